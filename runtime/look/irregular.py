"""What is not smooth: a picture that catches for a moment, a background that falls out of step.

Both are small displacements of where a frame looks. They fade out towards the picture's border, so
that nothing beyond it is seen, and towards faces, which never take part.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from ..upsample import border_fade, resize, smoothstep

if TYPE_CHECKING:
    from .mood import Irregularity

Floats: TypeAlias = NDArray[np.float32]

CATCH = 0.0035  # how far the picture jumps, in shorter sides
SLIP = 0.0060  # how far the background falls behind, in shorter sides
LETS_GO = 0.22  # seconds over which a jump is taken back
SLIPPING = 1.5  # seconds from falling out of step to being back in it
QUIET = 0.12  # share of the film at its start and end in which nothing of this happens


class Unrest:
    """The irregular moments of one film.

    asked: how often they come, None for never; size: (height, width) of the grid of offsets;
    picture: (height, width) of the picture; faces, people, near: (h, w) 0..1 over the picture,
    any grid, or None: what never jumps, and what the background is behind.
    """

    def __init__(
        self,
        asked: Irregularity | None,
        *,
        size: tuple[int, int],
        picture: tuple[int, int],
        seconds: float,
        seed: int,
        faces: Floats | None = None,
        people: Floats | None = None,
        near: Floats | None = None,
    ) -> None:
        rng = np.random.default_rng([seed, 19])
        shorter = min(picture)
        self._catches = _moments(rng, asked.stutters if asked else 0.0, seconds, CATCH * shorter)
        self._slips = _moments(rng, asked.slips if asked else 0.0, seconds, SLIP * shorter)
        self.active = bool(self._catches or self._slips)
        if not self.active:
            return
        fade = border_fade(size, 0.06)
        still = _around(faces, size, 0.10)
        self._loose = np.asarray(fade * (1.0 - still), np.float32)
        front = np.maximum(_around(people, size, 0.08), still)
        if near is not None:
            deep = cv2.GaussianBlur(
                resize(np.ascontiguousarray(near, np.float32), size), (0, 0), 0.05 * min(size)
            )
            front = np.maximum(front, smoothstep((deep - 0.35).astype(np.float32) / 0.5))
        self._behind = np.asarray(fade * (1.0 - front), np.float32)

    def offsets(self, time: float) -> tuple[Floats, Floats] | None:
        """Displacement across and along, (h, w) float32 each, in pixels; None for none."""
        if not self.active:
            return None
        caught = _sum(self._catches, time, _catch)
        slipped = _sum(self._slips, time, _slip)
        if not any((*caught, *slipped)):
            return None
        across = self._loose * np.float32(caught[0]) + self._behind * np.float32(slipped[0])
        along = self._loose * np.float32(caught[1]) + self._behind * np.float32(slipped[1])
        return across, along


def _moments(
    rng: np.random.Generator, often: float, seconds: float, far: float
) -> list[tuple[float, float, float]]:
    """When, and how far across and along; spread over the film, each somewhere in its part."""
    count = round(often * seconds / 10.0)
    if often > 0.0 and seconds >= 3.0:
        count = max(count, 1)
    span = (1.0 - 2.0 * QUIET) * seconds
    found = []
    for index in range(count):
        share = (index + float(rng.uniform(0.1, 0.75))) / count
        angle = float(rng.uniform(0.0, 2.0 * math.pi))
        much = far * float(rng.uniform(0.6, 1.0))
        found.append(
            (QUIET * seconds + share * span, much * math.cos(angle), much * math.sin(angle))
        )
    return found


def _sum(
    moments: list[tuple[float, float, float]], time: float, shape: Callable[[float], float]
) -> tuple[float, float]:
    across = along = 0.0
    for start, x, y in moments:
        much = shape(time - start)
        across, along = across + much * x, along + much * y
    return across, along


def _catch(since: float) -> float:
    """At once there, held for the blink of a frame or two, then let go."""
    if not 0.0 <= since < 0.07 + LETS_GO:
        return 0.0
    return (1.0 + math.cos(math.pi * max(since - 0.07, 0.0) / LETS_GO)) / 2.0


def _slip(since: float) -> float:
    """Slowly behind, and back in step."""
    if not 0.0 <= since < SLIPPING:
        return 0.0
    return (1.0 - math.cos(2.0 * math.pi * since / SLIPPING)) / 2.0


def _around(map_: Floats | None, size: tuple[int, int], reach: float) -> Floats:
    """A map grown and softened, so that what is on it stays out and nothing tears beside it."""
    if map_ is None:
        return np.zeros(size, np.float32)
    there = (resize(np.ascontiguousarray(map_, np.float32), size) > 0.3).astype(np.uint8)
    if not there.any():
        return np.zeros(size, np.float32)
    away = cv2.distanceTransform(1 - there, cv2.DIST_L2, 5) / (reach * min(size))
    return smoothstep((1.35 - away).astype(np.float32) / np.float32(1.0))
