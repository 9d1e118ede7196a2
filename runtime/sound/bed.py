"""Music laid under a film: from where it begins, and how its end is led into its beginning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from .beats import Beats
from .recording import BLOCK, RATE, Block, Recording, between
from .survey import STEP, Survey

_LEAD_SILENCE = 1.0
"""Seconds of silence before music that are left as they are; longer ones are passed over."""
_NATURAL_END = 1.5  # seconds by which music may be short of the film and still end by itself
_LONGEST_FADE, _LEAST_FADE = 4.0, 0.005
_PLAYING = 10 ** (-12 / 20)  # of the usual level: below it music is fading in or out
_SHORTEST = 0.1


@dataclass(frozen=True)
class Join:
    """How music that is too short is led back: a cross-fade from its end into an earlier place."""

    out: int
    """Sample at which the end begins to fade."""
    back: int
    """Sample at which the music goes on, fading in from there."""
    fade: int
    """Samples the cross-fade takes."""
    musical: bool = False
    """True where it keeps the beat."""

    @property
    def period(self) -> int:
        """Samples from one round to the next."""
        return self.out - self.back


@dataclass(frozen=True)
class Bed:
    """Music as it is heard in a film, before any fade or gain."""

    recording: Recording
    start: int
    """Sample of the recording at which the film begins."""
    join: Join | None = None
    """How it is led back at its end, None where it plays once."""

    def blocks(self, samples: int) -> Iterator[Block]:
        """Yield `samples` of it in blocks of any length, silence where it has ended."""
        yield from between(self._endless(), 0, samples)

    def beats(self, beats: Beats, seconds: float) -> Beats:
        """Return the recording's beats where they fall in a film of that length."""
        if not beats.clear:
            return beats
        times = np.asarray(beats.times)
        if self.join is None:
            heard = times - self.start / RATE
        else:
            # The round that ends counts to the middle of the cross-fade, the one that begins from
            # its start; what both have there is one beat.
            last = (self.join.out + self.join.fade / 2) / RATE
            first, period = self.join.back / RATE - 0.02, self.join.period / RATE
            again = times[(times >= first) & (times < last)]
            later = [again + n * period for n in range(1, int(seconds / period) + 2)]
            heard = np.concatenate([times[times < last], *later]) - self.start / RATE
            apart = np.diff(heard, prepend=-np.inf) > 0.5 * 60 / (beats.tempo or 120)
            heard = heard[apart]
        heard = heard[(heard >= 0) & (heard < seconds)]
        return replace(beats, times=tuple(round(float(time), 4) for time in heard))

    def _endless(self) -> Iterator[Block]:
        if self.join is None:
            yield from between(self.recording.blocks(), self.start, 1 << 62)
        else:
            yield from self._rounds(self.join)
        while True:
            yield np.zeros((RATE, 2), np.float32)

    def _rounds(self, join: Join) -> Iterator[Block]:
        first, tail = self.start, None
        while True:
            reader = _Reader(between(self.recording.blocks(), first, join.out + join.fade))
            head = reader.take(join.fade)
            yield head if tail is None else across(tail, head)
            left = join.out - first - join.fade
            while left > 0:
                block = reader.take(min(left, BLOCK))
                left -= len(block)
                yield block
            tail = reader.take(join.fade)
            first = join.back


def lay(recording: Recording, found: Survey, seconds: float) -> Bed:
    """Choose where music begins and, where it is shorter than the film, how it is led back."""
    first, last = found.heard
    start = first if first > _LEAD_SILENCE * RATE else 0
    short = seconds * RATE - (last - start)
    if not found.ended or short <= 0 or found.loudness.silent:
        return Bed(recording, start)
    if short <= _NATURAL_END * RATE and last - start > 8 * RATE:
        return Bed(recording, start)
    if last - first < _SHORTEST * RATE:
        return Bed(recording, start)
    lowest, highest = _playing(found, first, last)
    join = _join_on_beat(found, lowest, highest) or _join_alike(found, lowest, highest)
    return Bed(recording, min(start, join.back), join)


def across(tail: Block, head: Block) -> Block:
    """Cross-fade one stretch into another of the same length, at equal power.

    Where the two are alike (a loop that meets itself) their sum would swell by up to 3 dB: how
    alike they are is measured and taken out.
    """
    share = (np.arange(len(head), dtype=np.float32)[:, None] + 0.5) / max(len(head), 1)
    fading, rising = np.cos(share * np.pi / 2), np.sin(share * np.pi / 2)
    power = float(np.sqrt(np.sum(tail**2, dtype=np.float64) * np.sum(head**2, dtype=np.float64)))
    alike = float(np.sum(tail * head, dtype=np.float64)) / power if power > 0 else 0.0
    swell = np.sqrt(1 + 2 * fading * rising * min(max(alike, 0.0), 1.0))
    mixed: Block = (tail * (fading / swell) + head * (rising / swell)).astype(np.float32)
    return mixed


class _Reader:
    """Takes as many samples as asked from blocks of any length, silence after their end."""

    def __init__(self, blocks: Iterator[Block]) -> None:
        self._blocks = blocks
        self._rest = np.zeros((0, 2), np.float32)

    def take(self, samples: int) -> Block:
        parts, held = [self._rest], len(self._rest)
        while held < samples:
            block = next(self._blocks, None)
            if block is None:
                block = np.zeros((samples - held, 2), np.float32)
            parts.append(block)
            held += len(block)
        whole = np.concatenate(parts)
        self._rest = whole[samples:].copy()
        return whole[:samples]


def _playing(found: Survey, first: int, last: int) -> tuple[int, int]:
    """Return the samples between which the music plays in full, its own fades left out."""
    heard = found.levels[first // STEP : max(last // STEP, first // STEP + 1)]
    seconds = [heard[at : at + 100].max() for at in range(0, len(heard), 100)]
    full = np.flatnonzero(heard >= _PLAYING * float(np.median(seconds)))
    if not len(full) or full[-1] - full[0] < len(heard) // 2:
        return first, last
    return first + int(full[0]) * STEP, min(first + (int(full[-1]) + 1) * STEP, last)


def _join_on_beat(found: Survey, lowest: int, highest: int) -> Join | None:
    """Join whole bars, the cross-fade over just before a beat sounds."""
    if not found.beats.clear or found.beats.tempo is None:
        return None
    beat, bar = 60 / found.beats.tempo, found.beats.bar
    # The place where the next beat would have come is as good as a beat.
    times = [*found.beats.times, found.beats.times[-1] + beat]
    end = min(found.samples / RATE + 0.02, highest / RATE + 1.05 * beat)
    best: tuple[float, Join] | None = None
    for early, begin in enumerate(times[:8]):
        for late in range(early + bar, len(times), bar):
            lost = max(begin - lowest / RATE, 0.0) + abs(highest / RATE - times[late])
            if times[late] > end or (best is not None and lost > best[0]):
                continue
            fade = max(min(beat / 2, 0.35, begin), _LEAST_FADE)
            back = max(begin - fade, 0.0)
            out = min(back + times[late] - begin, found.samples / RATE - fade)
            hard = 0.0 if fade >= 0.05 else 0.05 * (times[late] - begin)
            if best is None or lost + hard < best[0]:
                join = Join(round(out * RATE), round(back * RATE), round(fade * RATE), True)
                best = lost + hard, join
    return best[1] if best else None


def _join_alike(found: Survey, lowest: int, highest: int) -> Join:
    """Join by a long cross-fade, from where the level runs most as it does at the beginning."""
    span = highest - lowest
    fade = max(min(round(_LONGEST_FADE * RATE), span // 4), round(_LEAST_FADE * RATE))
    back, out = lowest, highest - fade
    steps = fade // STEP
    if steps:
        entry = found.levels[back // STEP :][:steps]
        earliest = max(out - min(span // 10, 5 * RATE), back + 2 * fade)
        best = np.inf
        for at in range(highest - fade, earliest - 1, -10 * STEP):
            leaving = found.levels[at // STEP :][:steps]
            size = min(len(entry), len(leaving))
            unlike = float(np.abs(entry[:size] - leaving[:size]).mean())
            if unlike < 0.9 * best:
                best, out = unlike, at
    return Join(out, back, fade)
