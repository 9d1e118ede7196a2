"""Steady drift of water, clouds and smoke, for as long as the film lasts.

What drifts would soon have left its place, so it is drawn twice, half a period apart: each copy
travels from half a period behind to half a period ahead while it fades in and out. Two unlike
textures laid over each other lose contrast, which would make water pulse between blurred and
sharp; the fine part of the blend is given back what it lost, as far as the copies are unlike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from .look.camera import glide
from .upsample import Floats, smoothstep
from .warp import Warp

Bytes: TypeAlias = NDArray[np.uint8]

TRAVEL = 0.055  # the way of one copy from birth to end, in shorter sides
STRAIGHT = 0.045  # a whole film's way under which one copy is enough
SLOPE = 0.5  # travel never exceeds this share of the distance to the shore
STILL = 0.25  # a way in pixels over the whole film that nobody sees
PERIODS = (3.0, 8.0)  # seconds
STRIP = 45  # rows of the grid that are worked at a time


@dataclass(frozen=True)
class Moment:
    """The drift at one time, over the grid that maps are made on."""

    shifts: tuple[Floats, ...]
    """How far back each copy looks, (h, w, 2) pixels."""
    weight: Floats | None
    """Weight of the second copy, (h, w) 0..1; None where there is but one."""


class Drift:
    """Everything that drifts in one film.

    velocity: (h, w, 2) float32, pixels per second, already 0 where nothing drifts, on the grid
    that maps are made on; gain (h, w) 0..1, sharp, on the same grid; picture (H, W, 3) uint8.
    """

    def __init__(
        self,
        velocity: Floats,
        gain: Floats,
        picture: Bytes,
        *,
        seconds: float,
        loop: bool,
        seed: int,
    ) -> None:
        self._grid = gain.shape[0], gain.shape[1]
        self._picture = picture.shape[0], picture.shape[1]
        self._seconds, self._loop = max(seconds, 1e-3), loop
        shorter = min(self._picture)
        speed = np.hypot(velocity[..., 0], velocity[..., 1]) * gain
        self.active = bool(float(speed.max()) * min(seconds, 8.0) > STILL)
        if not self.active:
            return
        fast = float(np.percentile(speed[speed > 0.25 * speed.max()], 90))
        self.single = not loop and fast * seconds < STRAIGHT * shorter
        if self.single:
            self.period = 2.0 * self._seconds
        else:
            self.period = min(max(TRAVEL * shorter / fast, PERIODS[0]), PERIODS[1])
            if loop:
                self.period = self._seconds / max(1, round(self._seconds / self.period))
        reach = self._seconds if self.single else self.period / 2.0
        self._velocity = self._calmed(velocity, gain, reach)
        left = np.hypot(self._velocity[..., 0], self._velocity[..., 1])
        self._drifting = (left * reach > 0.1).astype(np.uint8)
        self.active = bool(self._drifting.any())
        if not self.active or self.single:
            return
        rng = np.random.default_rng([seed, 5])
        rough = rng.uniform(-1.0, 1.0, (4, 6)).astype(np.float32)
        uneven = cv2.resize(rough, self._grid[::-1], interpolation=cv2.INTER_CUBIC)
        self._uneven = np.asarray(np.clip(uneven, -1.0, 1.0) * 0.22, np.float32)
        base = cv2.resize(picture, self._grid[::-1], interpolation=cv2.INTER_AREA)
        small = cv2.resize(base, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        self._base = cv2.GaussianBlur(small.astype(np.float32), (0, 0), 0.004 * shorter)
        self._likeness = self._measure(base)

    def _calmed(self, velocity: Floats, gain: Floats, reach: float) -> Floats:
        """Slow the drift towards its shores, so that nothing beyond them is pulled in."""
        scale = self._picture[0] / self._grid[0]
        inside = (gain > 0.5).astype(np.uint8)
        framed = cv2.copyMakeBorder(inside, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
        shore = cv2.distanceTransform(framed, cv2.DIST_L2, 5)[1:-1, 1:-1] * scale
        shore = np.maximum(shore - 2.0 * scale, 0.0)
        speed = np.hypot(velocity[..., 0], velocity[..., 1])
        allowed = SLOPE * shore / reach
        # A soft minimum: no crease where the limit begins.
        limit = allowed / np.sqrt(allowed * allowed + speed * speed + 1e-12)
        limit = cv2.GaussianBlur(limit.astype(np.float32), (0, 0), 1.5)
        limit = limit * smoothstep((shore / (6.0 * scale)).astype(np.float32))
        return np.asarray(velocity * limit[..., None], np.float32)

    def _measure(self, base: Bytes) -> Floats:
        """How alike the two copies are, 0..1, where they lie half a period apart."""
        grey = cv2.cvtColor(base, cv2.COLOR_RGB2GRAY).astype(np.float32)
        fine = grey - cv2.GaussianBlur(grey, (0, 0), 4.0)
        height, width = self._grid
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        way = self._velocity * np.float32(self.period / 2.0 * height / self._picture[0])
        moved = cv2.remap(
            fine, x - way[..., 0], y - way[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
        )
        both = cv2.GaussianBlur(fine * moved, (0, 0), 6.0)
        one = cv2.GaussianBlur(fine * fine, (0, 0), 6.0)
        other = cv2.GaussianBlur(moved * moved, (0, 0), 6.0)
        return np.asarray(np.clip(both / (np.sqrt(one * other) + 1.0), 0.0, 1.0), np.float32)

    def at(self, time: float) -> Moment:
        """Where the copies look, and how they are weighed, at `time`; at 0 the first alone, unmoved."""
        if self.single:
            # The current sets in gently and keeps its pace.
            ease = min(2.0, self._seconds / 2.0)
            gone = time - ease / 2.0 if time > ease else time * time / (2.0 * ease)
            return Moment((self._velocity * np.float32(gone),), None)
        if self._loop:
            begun = math.sin(math.pi * time / self._seconds) ** 2
        else:
            begun = glide(time / (2.0 * self.period), 0.5, 0.5)
        shifts, weight = [], None
        for which in (0.0, 0.5):
            turn = np.float32(time / self.period + which) + self._uneven * np.float32(begun)
            age = turn - np.round(turn)
            shifts.append(self._velocity * (age * np.float32(self.period))[..., None])
            weight = np.cos(np.float32(math.pi) * age) ** 2
        return Moment(tuple(shifts), weight)

    def blend(
        self,
        frame: Bytes,
        warp: Warp,
        moment: Moment,
        seen: tuple[Floats, Floats],
        places: tuple[Floats, Floats],
    ) -> None:
        """Lay the second copy over the frame drawn from the first, in place, where it drifts.

        seen: where the frame's grid looks, drift left out, in cells of this grid; places: the same
        with the swing, in pixels. Worked in strips, so that only what drifts is touched.
        """
        rows = self._grid[0]
        for top in range(0, rows, STRIP):
            bottom = min(top + STRIP, rows)
            box = self._seen_box(seen, top, bottom)
            if box is not None:
                self._blend_box(frame, warp, moment, seen, places, box)

    def _blend_box(
        self,
        frame: Bytes,
        warp: Warp,
        moment: Moment,
        seen: tuple[Floats, Floats],
        places: tuple[Floats, Floats],
        box: tuple[int, int, int, int],
    ) -> None:
        assert moment.weight is not None
        y0, y1, x0, x1 = box
        # One cell more on every side, so that strips join without a seam.
        wy0, wy1 = max(y0 - 1, 0), min(y1 + 1, self._grid[0])
        wx0, wx1 = max(x0 - 1, 0), min(x1 + 1, self._grid[1])
        cut = (slice(wy0, wy1), slice(wx0, wx1))
        sx, sy = seen[0][cut], seen[1][cut]

        def look(map_: Floats) -> Floats:
            taken = cv2.remap(map_, sx, sy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            return np.asarray(taken, np.float32)

        # The frame is the grid, twice as fine.
        full = (slice(2 * y0, 2 * y1), slice(2 * x0, 2 * x1))

        def widen(map_: Floats) -> Floats:
            size = (2 * (wx1 - wx0), 2 * (wy1 - wy0))
            wide = cv2.resize(map_, size, interpolation=cv2.INTER_LINEAR)
            oy, ox = 2 * (y0 - wy0), 2 * (x0 - wx0)
            return np.asarray(wide[oy : oy + 2 * (y1 - y0), ox : ox + 2 * (x1 - x0)], np.float32)

        weight = look(moment.weight)
        back = [look(shift) for shift in moment.shifts]
        ways = [(places[0][cut] - b[..., 0], places[1][cut] - b[..., 1]) for b in back]
        second = warp.warp(widen(ways[1][0]), widen(ways[1][1]))

        lost = weight * weight + (1.0 - weight) ** 2
        regain = 1.0 / np.sqrt(lost + 2.0 * look(self._likeness) * weight * (1.0 - weight)) - 1.0
        share = self._base.shape[1] / self._picture[1]
        offset = np.float32(0.5 * share - 0.5)
        first_mean, second_mean = (
            cv2.remap(
                self._base,
                x * np.float32(share) + offset,
                y * np.float32(share) + offset,
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REFLECT_101,
            )
            for x, y in ways
        )
        mean = first_mean + weight[..., None] * (second_mean - first_mean)
        mixed = cv2.blendLinear(
            np.ascontiguousarray(frame[full]), second, widen(1.0 - weight), widen(weight)
        )
        # mixed + regain * (mixed - mean), in the order that touches the wide arrays least.
        grown = cv2.multiply(mixed, widen(cv2.merge([1.0 + regain] * 3)), dtype=cv2.CV_32F)
        frame[full] = cv2.subtract(grown, widen(mean * regain[..., None]), dtype=cv2.CV_8U)

    def _seen_box(
        self, seen: tuple[Floats, Floats], top: int, bottom: int
    ) -> tuple[int, int, int, int] | None:
        """The part of these rows of the frame's grid that looks at what drifts."""
        moving = cv2.remap(self._drifting, seen[0][top:bottom], seen[1][top:bottom], cv2.INTER_NEAREST)
        box = _bounds(moving > 0)
        return None if box is None else (top + box[0], top + box[1], box[2], box[3])


def _bounds(mask: NDArray[np.bool_]) -> tuple[int, int, int, int] | None:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if rows.size == 0:
        return None
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
