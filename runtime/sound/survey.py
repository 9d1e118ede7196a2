"""One reading of a recording before it is used: its length, loudness, beats, where it is heard."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ...engines.errors import SoundError
from .beats import Beats, beats_of
from .loudness import Loudness, Meter
from .onsets import Onsets
from .recording import RATE, Damage, Recording, even, open_recording

STEP = RATE // 100
"""Samples a level stands for: a hundredth of a second."""

Levels = npt.NDArray[np.floating[Any]]

_HEARD = 10 ** (-50 / 20)  # of the usual level: below it is before and after the music
_AUDIBLE, _LONGEST_WAIT = 1e-3, 600  # times full scale; seconds
_FAR_BEYOND = 2.0  # times full scale; MP3 and the like overshoot by less
_SHORT_OF = 0.97  # of the length a file states, below which it was cut off


@dataclass(frozen=True)
class Survey:
    """What a recording turned out to be, as far as it was read."""

    samples: int
    """How many samples were read, at 48 kHz."""
    ended: bool
    """True where that is all there is."""
    levels: Levels
    """The highest sample of each hundredth of a second, (samples / STEP,), 1.0 at full scale."""
    loudness: Loudness
    """Of all that was read."""
    beats: Beats
    """In seconds from the start; sought in music only."""
    notes: tuple[str, ...] = ()
    """What a person should know: "it is damaged ..."."""

    @property
    def heard(self) -> tuple[int, int]:
        """Samples at which sound first and last is, (0, samples) in silence."""
        if not self.levels.any():
            return 0, self.samples
        # Of what is usual, not of the highest: one bang does not make the rest silence.
        usual = float(np.percentile(self.levels[self.levels > 0], 90))
        loud = np.flatnonzero(self.levels > _HEARD * usual)
        return int(loud[0]) * STEP, min((int(loud[-1]) + 1) * STEP, self.samples)


def open_survey(
    path: str | os.PathLike[str], use: str, seconds: float, *, beats: bool
) -> tuple[Recording, Survey]:
    """Open a file and survey it; samples far beyond full scale are brought into it.

    FFmpeg's meter ends at 10 LUFS, and float files made of whole numbers lie far above that.
    """
    recording = open_recording(path, use)
    found = survey(recording, seconds, beats=beats)
    highest = float(found.levels.max())
    if highest > _FAR_BEYOND:
        recording = replace(recording, scale=1 / highest)
        found = survey(recording, seconds, beats=beats)
    return recording, found


def survey(recording: Recording, seconds: float, *, beats: bool) -> Survey:
    """Read a recording once, `seconds` of it at most, and keep figures only.

    With `beats` (music) silence before it is not counted in, up to ten minutes. Under a kilobyte a
    second is kept. Raises SoundError where nothing at all can be read.
    """
    damage, meter, onsets = Damage(), Meter(), Onsets()
    levels: list[float] = []
    samples, waited = 0, not beats
    left = round(seconds * RATE)
    for block in even(recording.blocks(damage)):
        block = block[:left]
        samples += len(block)
        meter.hear(block)
        if beats:
            onsets.hear(block)
        highest = np.abs(block).max(axis=1)
        levels.extend(float(highest[at : at + STEP].max()) for at in range(0, len(block), STEP))
        waited = waited or float(highest.max()) > _AUDIBLE or samples > _LONGEST_WAIT * RATE
        left -= len(block) if waited else 0
        if left <= 0:
            break
    stated = recording.stated or 0.0
    if not samples or (damage.whole and samples < 0.1 * RATE and stated > 1):
        raise SoundError(
            f"{recording.name} is damaged: {samples / RATE:.2f} of its {stated:.1f} s can be "
            "decoded; give another copy"
        )
    return Survey(
        samples=samples,
        ended=damage.whole,
        levels=np.asarray(levels, np.float32),
        loudness=meter.read(),
        beats=beats_of(onsets.curve()) if beats else Beats(),
        notes=_damage_notes(recording, samples, damage),
    )


def _damage_notes(recording: Recording, samples: int, damage: Damage) -> tuple[str, ...]:
    read, stated = samples / RATE, recording.stated
    if damage.whole and stated and read < _SHORT_OF * stated - 0.2:
        return (
            f"{recording.name} is damaged or cut off: {read:.1f} of its {stated:.1f} s can be read",
        )
    if damage.bad > 2 and damage.bad > 0.005 * damage.good:  # a first odd packet is no harm
        return (
            f"{recording.name} is damaged: {damage.bad} pieces of it cannot be decoded and are "
            "left out",
        )
    return ()
