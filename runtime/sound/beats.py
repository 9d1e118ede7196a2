"""Where the beats of a piece of music lie, and cuts moved onto them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from .onsets import FRAMES, when

_SLOWEST, _FASTEST = 50.0, 210.0  # beats a minute
_LIKELY = 115.0
"""Beats a minute that people tap to most readily: octaves of a tempo are told apart by it."""
_TIGHT = 120.0  # how dearly a beat off the tempo is paid for
_PERIODIC, _STANDING_OUT, _KEPT = 0.28, 1.5, 0.7
# Tried on made sounds: pulses repeat at 0.84 and more, drones, speech and rubato at 0.19 and less.
_FEWEST = 5

Curve = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Beats:
    """The beats of a recording, or of what is heard in a film."""

    times: tuple[float, ...] = ()
    """Seconds from the start, rising; empty unless they are clear."""
    tempo: float | None = None
    """Beats a minute; None where no tempo is to be found."""
    clear: bool = False
    """True where a listener would tap along: False for rubato, drones and speech."""
    bar: int = 4
    """Beats in a bar: 3 where every third is stressed, as in a waltz, else 4."""


def beats_of(curve: Curve) -> Beats:
    """Find beats in onset strengths, `FRAMES` of them a second.

    The tempo is the strongest period of the curve's autocorrelation, weighted towards the tempi
    people tap; the beats are the best path at about that period: D. Ellis, "Beat tracking by
    dynamic programming" (2007). They are clear where the curve repeats itself, stands out at the
    beats, and has something beginning at most of them.
    """
    if len(curve) < 2 * FRAMES:
        return Beats()
    strength = _evened(np.asarray(curve, np.float64))
    if not strength.any():
        return Beats()
    period, repeats = _period(strength)
    if not period:
        return Beats()
    frames = _path(strength, period)
    if len(frames) < _FEWEST:
        return Beats()
    near = np.max([np.roll(strength, shift) for shift in (-2, -1, 0, 1, 2)], axis=0)
    stands = (near[frames].mean() - near.mean()) / max(float(near.std()), 1e-9)
    kept = float((near[frames] > near.mean()).mean())
    if repeats < _PERIODIC or stands < _STANDING_OUT or kept < _KEPT:
        return Beats()
    times = tuple(max(round(when(_summit(strength, frame)), 4), 0.0) for frame in frames)
    tempo = float(60 * (len(times) - 1) / (times[-1] - times[0]))
    return Beats(times, tempo, True, _bar(near[frames]))


def ease_cuts(
    cuts: Sequence[float],
    beats: Beats,
    most: float = 0.35,
    *,
    least: float = 1.0,
    seconds: float = math.inf,
) -> list[float]:
    """Move each cut to the nearest beat within `most` seconds, where that does no harm.

    `cuts` are rising times in seconds within a film of `seconds`, its start and end not among
    them. Their order and number stay; no shot is made shorter than `least` seconds by it (a shot
    that was shorter before gets no shorter still). Without clear beats nothing is moved.
    """
    edges = [0.0, *(float(cut) for cut in cuts), seconds]
    if not beats.clear or not beats.times:
        return edges[1:-1]
    times = np.asarray(beats.times)
    lengths = [min(least, after - before) for before, after in pairwise(edges)]
    for index in range(1, len(edges) - 1):
        cut = edges[index]
        for beat in times[np.argsort(np.abs(times - cut), kind="stable")][:3]:
            if abs(beat - cut) > most:
                break
            before, after = beat - edges[index - 1], edges[index + 1] - beat
            if before >= lengths[index - 1] - 1e-9 and after >= lengths[index] - 1e-9:
                edges[index] = float(beat)
                break
    return edges[1:-1]


def _bar(stress: Curve) -> int:
    """Return beats in a bar, 3 or 4, for how strong each beat is."""
    if len(stress) < 12 or stress.std() < 0.1 * stress.mean():
        return 4
    rest = (stress - stress.mean()) / stress.std()
    three, four = (float(np.mean(rest[lag:] * rest[:-lag])) for lag in (3, 4))
    return 3 if three > max(four, 0.0) + 0.25 else 4


def _evened(curve: Curve) -> Curve:
    """Take the slow part away and bring the rest to unit spread, so that loudness says nothing."""
    wide = np.ones(FRAMES + 1)
    mean = np.convolve(curve, wide, "same") / np.convolve(np.ones(len(curve)), wide, "same")
    rest = np.maximum(curve - mean, 0)
    # One bang must not outweigh everything else.
    ceiling = 4 * float(np.sqrt(np.mean(rest**2)))
    rest = np.minimum(rest, ceiling)
    spread = float(rest.std())
    return rest / spread if spread > 1e-6 else np.zeros_like(curve)


def _period(strength: Curve) -> tuple[float, float]:
    """Return frames from beat to beat, and how strongly the curve repeats itself then (0 to 1)."""
    smooth = np.convolve(strength, np.array([0.25, 0.5, 1.0, 0.5, 0.25]) / 2.5, "same")
    smooth = smooth - smooth.mean()
    size = 1 << int(np.ceil(np.log2(2 * len(smooth))))
    spectrum = np.fft.rfft(smooth, size)
    alike = np.fft.irfft(np.abs(spectrum) ** 2, size)[: len(smooth)]
    lags = np.arange(len(alike))
    # Less and less overlaps at long lags: make up for it.
    alike = alike / max(alike[0], 1e-9) * (len(alike) / np.maximum(len(alike) - lags, 1))
    low, high = int(60 * FRAMES / _FASTEST), math.ceil(60 * FRAMES / _SLOWEST)
    high = min(high, len(alike) // 2 - 2)
    if high <= low:
        return 0.0, 0.0
    octaves = np.log2(60 * FRAMES / lags[low : high + 1] / _LIKELY)
    weighted = alike[low : high + 1] * np.exp(-0.5 * (octaves / 0.9) ** 2)
    best = low + int(np.argmax(weighted))
    if alike[best] <= 0:
        return 0.0, 0.0
    period = _finer(alike, best)
    # Chance may repeat something once; a pulse is still there two, three and four beats later.
    later = [round(period * times) for times in (1, 2, 3, 4)]
    seen = [alike[at - 2 : at + 3].max() for at in later if at + 3 < len(alike) // 2]
    return period, float(np.mean(seen)) if seen else 0.0


def _finer(alike: Curve, lag: int) -> float:
    """Sharpen a lag by its multiples: n beats later the error is n times as easy to see."""
    fine = _summit(alike, lag)
    for times in (2, 4, 8):
        at = round(fine * times)
        reach = max(2, times // 2)
        if at + reach + 1 >= len(alike) // 2:
            break
        around = alike[at - reach : at + reach + 1]
        if around.max() < 0.5 * alike[lag]:
            break
        fine = _summit(alike, at - reach + int(np.argmax(around))) / times
    return fine


def _summit(curve: Curve, at: int) -> float:
    """Place of the highest point about index `at`, between the samples (a parabola through 3)."""
    first = max(at - 2, 0)
    top = first + int(np.argmax(curve[first : at + 3]))
    if not 0 < top < len(curve) - 1:
        return float(top)
    left, middle, right = (float(v) for v in curve[top - 1 : top + 2])
    bend = left - 2 * middle + right
    return top + 0.5 * (left - right) / bend if bend < 0 else float(top)


def _path(strength: Curve, period: float) -> npt.NDArray[np.intp]:
    """Return the frames of the best row of beats about `period` apart."""
    smooth = np.convolve(strength, np.array([0.5, 1.0, 0.5]), "same")
    shortest, longest = max(round(period * 0.6), 1), round(period * 1.6)
    back = np.arange(longest, shortest - 1, -1)
    dear = _TIGHT * np.log(back / period) ** 2
    total = np.concatenate([np.zeros(longest), smooth])
    came = np.full(len(total), -1)
    for frame in range(longest, len(total)):
        scores = total[frame - longest : frame - shortest + 1] - dear
        best = int(np.argmax(scores))
        if frame - back[best] >= longest and scores[best] > 0:
            total[frame] += scores[best]
            came[frame] = frame - back[best]
    tail = total[-longest:]
    frame = len(total) - longest + int(np.argmax(tail))
    row = []
    while frame >= longest:
        row.append(frame - longest)
        frame = int(came[frame])
    return np.array(row[::-1], np.intp)
