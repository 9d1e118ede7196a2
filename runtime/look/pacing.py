"""Pacing: a film in phrases, written as a score, and the curves that follow from it.

A score says what the camera does and how long: it leans in, waits, withdraws, holds its breath.
Beside it runs one curve of feeling, which rises to a peak and resolves; blur, light and the pace
of the world's own time hang on it. The seed moves every phrase and the peak a little in time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from .camera import glide

VERSE = 18.0  # seconds a score is made for at most; a longer film plays it more than once
SWING = 0.16  # how far the seed lengthens or shortens a phrase
WANDERS = 0.04  # how far the seed moves the peak, as a share of the film
RISE, FALL = 0.30, 0.26  # shares of the film over which feeling rises to the peak and resolves
LONGEST = 6.0  # seconds that either takes at most
SETTLING = 1.2  # seconds over which a breath comes to be held
HELD = 0.75  # how far the world's time slows down in a held breath


@dataclass(frozen=True)
class Phrase:
    """One phrase of a score."""

    does: str
    """What the camera does, in a person's words: "leans in"."""
    lasts: float
    """Its share of the film; the shares of a score are brought to 1."""
    to: float
    """Where the camera is at its end: 0 the whole picture, 1 as near as it goes."""


Score: TypeAlias = tuple[Phrase, ...]


class Pacing:
    """The curves of one film.

    score: () leaves the camera its own pace; peak: share of the film; slow: how much slower the
    world's time goes at the peak, 0 .. 0.8; seconds, loop, seed as in the settings. In a loop the
    camera comes back to where it began, no breath is held and the world keeps its pace.
    """

    def __init__(
        self,
        score: Score = (),
        *,
        peak: float = 0.5,
        slow: float = 0.0,
        seconds: float,
        loop: bool = False,
        seed: int = 0,
    ) -> None:
        self._seconds, self._loop = max(seconds, 1e-3), loop
        rng = np.random.default_rng([seed, 17])
        verses = max(1, round(self._seconds / VERSE)) if score else 0
        phrases = list(score) * verses
        breathes = len(phrases) > 1 and phrases[-1].to == phrases[-2].to
        if loop and phrases:
            if breathes:
                phrases.pop()  # the breath; it would stand still and then hurry home
            phrases.append(Phrase("comes back", 0.35 * verses, 0.0))
        lasts = np.array([p.lasts for p in phrases]) * rng.uniform(
            1.0 - SWING, 1.0 + SWING, len(phrases)
        )
        ends = np.cumsum(lasts) / max(float(lasts.sum()), 1e-9) * self._seconds
        self._phrases = [(float(end), p.to) for end, p in zip(ends, phrases, strict=True)]
        self._breath = self._seconds
        if breathes and not loop:
            self._breath = float(ends[-2])
        self._peak = (peak + WANDERS * float(rng.uniform(-1.0, 1.0))) * self._seconds
        self._rise = min(RISE * self._seconds, LONGEST, self._peak)
        self._fall = min(FALL * self._seconds, LONGEST, self._seconds - self._peak)
        self._slow = 0.0 if loop else slow
        self._side = float(rng.choice([-1.0, 1.0]))

    @property
    def scored(self) -> bool:
        """Whether the camera follows a score."""
        return bool(self._phrases)

    @property
    def side(self) -> float:
        """The side that this film's camera leans to, -1 or 1."""
        return self._side

    def way(self, time: float) -> float:
        """How near the camera is at `time` seconds, 0 .. 1; level at the joints of the phrases."""
        begun, start = 0.0, 0.0
        for end, to in self._phrases:
            if time <= end:
                return start + (to - start) * glide((time - begun) / max(end - begun, 1e-6))
            begun, start = end, to
        return start

    def breath(self, time: float) -> float:
        """How far the breath is held, 0 .. 1: 1 in all but the first of the last phrase."""
        return _rising((time - self._breath) / self._settling)

    def feeling(self, time: float) -> float:
        """The curve of feeling, 0 .. 1: 0 at both ends, 1 at the peak."""
        if time <= self._peak:
            return _rising(1.0 - (self._peak - time) / max(self._rise, 1e-6))
        return _rising(1.0 - (time - self._peak) / max(self._fall, 1e-6))

    def world(self, time: float) -> float:
        """The world's own time: it slows down at the peak, and in the held breath. Monotone."""
        if not self.scored or self._loop:
            return time
        rise, fall = self._rise, self._fall
        lost = rise * _risen((time - self._peak + rise) / max(rise, 1e-6), 1.0)
        lost += fall * (0.5 - _risen(1.0 - (time - self._peak) / max(fall, 1e-6), 1.0))
        held = self._settling * _risen((time - self._breath) / self._settling)
        # Where a peak and a breath overlap, both together stop no more than one would.
        return time - self._slow * lost - (HELD - self._slow * 0.25) * held

    @property
    def _settling(self) -> float:
        return max(min(SETTLING, 0.4 * (self._seconds - self._breath)), 1e-6)


def _rising(share: float) -> float:
    """Half a cosine from 0 to 1."""
    u = min(max(share, 0.0), 1.0)
    return (1.0 - math.cos(math.pi * u)) / 2.0


def _risen(share: float, end: float = math.inf) -> float:
    """The integral of `_rising` from 0 to `share`, `end` at most."""
    u = min(max(share, 0.0), end)
    if u <= 1.0:
        return u / 2.0 - math.sin(math.pi * u) / (2.0 * math.pi)
    return u - 0.5
