"""Steady drift of water, clouds and smoke, for as long as the film lasts.

What drifts would soon have left its place, so it is drawn twice, half a period apart: each copy
travels from half a period behind to half a period ahead while it fades in and out. Two unlike
textures laid over each other lose contrast, which would make water pulse between blurred and
sharp; the fine part of the blend is given back what it lost, as far as the copies are unlike.
On water only the ripples travel: what it mirrors stays where it is, as it does in nature.
Clouds go straight on, drawn once, where the film is short enough.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from .look.camera import glide
from .upsample import Floats, resize, smoothstep
from .warp import Warp

Bytes: TypeAlias = NDArray[np.uint8]
Mask: TypeAlias = NDArray[np.bool_]

FASTEST = 0.03  # the most speed, in shorter sides a second
TRAVEL = (0.12, 0.055)  # the way of one copy, sky and water, in shorter sides
PERIODS = ((6.0, 24.0), (3.0, 8.0))  # seconds, sky and water
STRAIGHT = 0.06  # the way of a whole film, in shorter sides, under which clouds are drawn once
SLOPE = (0.5, 0.4)  # share of the distance to the shore that a copy may travel, sky and water
UNSEEN = 0.25  # a way, in pixels, that nobody sees
STRIP = 45  # rows of the half-size grid that are worked at a time


@dataclass(frozen=True)
class Moment:
    """The drift at one time, over the drift's grid."""

    shifts: tuple[Floats, Floats]
    """How far back each copy looks, (h, w, 2) pixels of the picture."""
    weight: Floats
    """Weight of the second copy, (h, w) 0..1."""


class Drift:
    """Everything that drifts in one film.

    velocity (h, w, 2) float32 in pixels per second, held to FASTEST; gain (h, w) 0..1, sharp,
    where it drifts; water (h, w) 0..1, where it is water: all on one grid; picture (H, W, 3) uint8.
    """

    def __init__(
        self,
        velocity: Floats,
        gain: Floats,
        water: Floats,
        picture: Bytes,
        *,
        seconds: float,
        loop: bool,
        seed: int,
    ) -> None:
        self.grid = gain.shape[0], gain.shape[1]
        self._picture = picture.shape[0], picture.shape[1]
        self._seconds, self._loop = max(seconds, 1e-3), loop
        most = np.float32(FASTEST * min(self._picture))
        velocity = velocity * np.minimum(1.0, most / np.maximum(_length(velocity), 1e-6))[..., None]
        self._velocity = velocity * gain[..., None]
        speed = _length(self._velocity)
        self.active = bool(float(speed.max()) * min(seconds, 8.0) > UNSEEN)
        self.twice = False
        if not self.active:
            return
        wet = water > 0.5
        self._period = np.ones(self.grid, np.float32)
        self._once = np.zeros(self.grid, np.bool_)
        for which, mask in enumerate((~wet, wet)):
            self._settle(which, mask & (speed * min(seconds, 8.0) > UNSEEN))
        drifting = _length(self._velocity) * self._reach() > UNSEEN
        self.active = bool(drifting.any())
        self._drifting = (drifting & ~self._once).astype(np.uint8)
        self._straight = self._once.astype(np.uint8) if self._once.any() else None
        self.twice = bool(self._drifting.any())
        if not self.twice:
            return
        rng = np.random.default_rng([seed, 5])
        rough = rng.uniform(-1.0, 1.0, (4, 6)).astype(np.float32)
        uneven = cv2.resize(rough, self.grid[::-1], interpolation=cv2.INTER_CUBIC)
        self._uneven = np.asarray(np.clip(uneven, -1.0, 1.0) * 0.22, np.float32)
        self._mirror = smoothstep((water - 0.25) * 2.0) * (gain > 0.02)
        self._base = self._ground(picture, gain)
        self._likeness = self._measure(picture)

    def _settle(self, which: int, mask: Mask) -> None:
        """Choose the period of the sky (0) or of the water (1), and calm it at its shores."""
        if not mask.any():
            return
        shorter = min(self._picture)
        speed = _length(self._velocity)[mask]
        fast = float(np.percentile(speed[speed >= 0.25 * speed.max()], 90))
        once = which == 0 and not self._loop and fast * self._seconds < STRAIGHT * shorter
        period = min(max(TRAVEL[which] * shorter / fast, PERIODS[which][0]), PERIODS[which][1])
        if self._loop:
            period = self._seconds / max(1, round(self._seconds / period))
        self._once |= mask & once
        self._period[mask] = 2.0 * self._seconds if once else period
        # Towards a shore the drift slows down, so that nothing beyond is pulled in.
        reach = self._seconds if once else period / 2.0
        scale = self._picture[0] / self.grid[0]
        framed = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
        shore = cv2.distanceTransform(framed, cv2.DIST_L2, 5)[1:-1, 1:-1]
        shore = np.maximum(shore - 1.0, 0.0) * np.float32(scale)
        allowed = SLOPE[which] * shore / reach
        speed = _length(self._velocity)
        limit = allowed / np.sqrt(allowed * allowed + speed * speed + 1e-12)  # a soft minimum
        limit = cv2.GaussianBlur(limit.astype(np.float32), (0, 0), 1.0)
        limit *= smoothstep((shore / (6.0 * scale)).astype(np.float32))
        self._velocity[mask] *= limit[mask][:, None]

    def _reach(self) -> Floats:
        return np.asarray(self._period * np.float32(0.5), np.float32)

    def _ground(self, picture: Bytes, gain: Floats) -> Floats:
        """The picture without its fine texture, half its size: long blurred downward on water,
        where ripples are short and mirrored things are tall, and evenly elsewhere."""
        half = self._picture[0] // 2, self._picture[1] // 2
        shorter = min(half)
        base = cv2.resize(picture, half[::-1], interpolation=cv2.INTER_AREA).astype(np.float32)
        inside = np.clip(resize(gain, half), 0.0, 1.0)[..., None] + np.float32(1e-3)
        tall = _blur(base * inside, 0.0, 0.012 * shorter)
        tall /= _blur(inside, 0.0, 0.012 * shorter)[..., None]
        even = _blur(base * inside, 0.009 * shorter, 0.009 * shorter)
        even /= _blur(inside, 0.009 * shorter, 0.009 * shorter)[..., None]
        return np.asarray(even + resize(self._mirror, half)[..., None] * (tall - even), np.float32)

    def _measure(self, picture: Bytes) -> Floats:
        """How alike the two copies are, 0..1, where they lie half a period apart."""
        half = self._base.shape[1], self._base.shape[0]
        small = cv2.resize(picture, half, interpolation=cv2.INTER_AREA).astype(np.float32)
        fine = np.asarray(cv2.cvtColor(small - self._base, cv2.COLOR_RGB2GRAY), np.float32)
        y, x = np.mgrid[0 : half[1], 0 : half[0]].astype(np.float32)
        way = resize(self._velocity * self._reach()[..., None], (half[1], half[0]))
        way = way * np.float32(half[1] / self._picture[0])
        there = x - way[..., 0], y - way[..., 1]
        moved = cv2.remap(fine, *there, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        moved = np.asarray(moved, np.float32)
        both, one, other = (_blur(p, 8.0, 8.0) for p in (fine * moved, fine * fine, moved * moved))
        alike = np.clip(both / (np.sqrt(one * other) + 0.5), 0.0, 1.0)
        # Squared, because the finest texture, lost in this half-size look, is never alike.
        return resize(np.square(alike), self.grid)

    def at(self, time: float) -> Moment:
        """Where the copies look, and how they are weighed; at 0 the first alone, unmoved."""
        # A current sets in gently and keeps its pace.
        ease = min(2.0, self._seconds / 2.0)
        gone = time - ease / 2.0 if time > ease else time * time / (2.0 * ease)
        if not self.twice:
            shift = self._velocity * np.float32(gone)
            return Moment((shift, shift), np.zeros(self.grid, np.float32))
        if self._loop:
            begun = math.sin(math.pi * time / self._seconds) ** 2
        else:
            begun = glide(time / 16.0, 0.5, 0.5)
        elapsed = time if self._loop else gone
        turn = np.float32(elapsed) / self._period + self._uneven * np.float32(begun)
        first, second = turn - np.round(turn), turn - np.round(turn - 0.5) - np.float32(0.5)
        gone_by = (np.asarray(a * self._period, np.float32) for a in (first, second))
        shift, later = (self._velocity * _many(periods, 2) for periods in gone_by)
        weight = np.sin(np.float32(math.pi) * first) ** 2
        if self._straight is not None:
            cv2.copyTo(self._velocity * np.float32(gone), self._straight, shift)
            weight *= 1 - self._straight
        return Moment((shift, later), weight)

    def blend(
        self,
        frame: Bytes,
        warp: Warp,
        moment: Moment,
        seen: tuple[Floats, Floats],
        places: tuple[Floats, Floats],
        back: Floats,
    ) -> None:
        """Lay the second copy over the frame drawn from the first, in place, where it drifts.

        seen: where a grid half the frame's size looks, in cells of the drift's grid; places: the
        same with the swing, in pixels of the picture; back (h, w, 2): how far back the first copy
        looks from there. Worked in strips, so that only what drifts is touched.
        """
        moving = cv2.remap(self._drifting, *seen, cv2.INTER_LINEAR)
        for top in range(0, len(moving), STRIP):
            x, y, wide, tall = cv2.boundingRect(moving[top : top + STRIP])
            if wide:
                at = (top + y, top + y + tall, x, x + wide)
                self._blend_box(frame, warp, moment, seen, places, back, at)

    def _blend_box(
        self,
        frame: Bytes,
        warp: Warp,
        moment: Moment,
        seen: tuple[Floats, Floats],
        places: tuple[Floats, Floats],
        back: Floats,
        box: tuple[int, int, int, int],
    ) -> None:
        y0, y1, x0, x1 = box
        # One cell more on every side, so that strips join without a seam.
        wy0, wy1 = max(y0 - 1, 0), min(y1 + 1, seen[0].shape[0])
        wx0, wx1 = max(x0 - 1, 0), min(x1 + 1, seen[0].shape[1])
        cut = (slice(wy0, wy1), slice(wx0, wx1))
        sx, sy = seen[0][cut], seen[1][cut]
        full = (slice(2 * y0, 2 * y1), slice(2 * x0, 2 * x1))

        def look(map_: Floats) -> Floats:
            taken = cv2.remap(map_, sx, sy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            return np.asarray(taken, np.float32)

        def widen(map_: Floats) -> Floats:
            size = (2 * (wx1 - wx0), 2 * (wy1 - wy0))
            wide = cv2.resize(map_, size, interpolation=cv2.INTER_LINEAR)
            oy, ox = 2 * (y0 - wy0), 2 * (x0 - wx0)
            return np.asarray(wide[oy : oy + 2 * (y1 - y0), ox : ox + 2 * (x1 - x0)], np.float32)

        def ground(x: Floats, y: Floats) -> Floats:
            half = np.float32(0.5)
            return np.asarray(
                cv2.remap(
                    self._base,
                    x * half - np.float32(0.25),
                    y * half - np.float32(0.25),
                    cv2.INTER_LINEAR,
                    borderMode=cv2.BORDER_REFLECT_101,
                ),
                np.float32,
            )

        here = (places[0][cut], places[1][cut])
        weight = look(moment.weight)
        ways = [
            (here[0] - b[..., 0], here[1] - b[..., 1]) for b in (back[cut], look(moment.shifts[1]))
        ]
        second = warp.warp(widen(ways[1][0]), widen(ways[1][1]))

        other = 1.0 - weight
        lost = weight * weight + other**2
        gain = 1.0 / np.sqrt(lost + 2.0 * look(self._likeness) * weight * other)
        mean = cv2.blendLinear(ground(*ways[0]), ground(*ways[1]), other, weight)
        stays = look(self._mirror)
        # (mixed - mean) * gain + ground, and the ground of water is the one that stays.
        level = mean * _many(1.0 - gain, 3) + _many(stays, 3) * (ground(*here) - mean)
        mixed = cv2.blendLinear(
            np.ascontiguousarray(frame[full]), second, widen(other), widen(weight)
        )
        mixed = cv2.multiply(mixed, _many(widen(gain), 3), dtype=cv2.CV_32F)
        frame[full] = cv2.add(mixed, widen(level), dtype=cv2.CV_8U)


def _many(map_: Floats, channels: int) -> Floats:
    """A map (h, w) in several channels, which multiply others far faster than one spread over."""
    return np.asarray(cv2.merge([map_] * channels), np.float32)


def _length(field: Floats) -> Floats:
    return np.asarray(np.hypot(field[..., 0], field[..., 1]), np.float32)


def _blur(map_: Floats, across: float, along: float) -> Floats:
    wide = 0 if across > 0.0 else 1
    tall = 0 if wide == 0 else 2 * math.ceil(3.0 * along) + 1
    blurred = cv2.GaussianBlur(map_, (wide, tall), max(across, 0.1), sigmaY=along)
    return np.asarray(blurred, np.float32)
