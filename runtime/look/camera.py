"""The camera: a slow path through the picture, with what is near moving more than what is far.

The film begins on the whole picture and never looks outside it, so every path is a small zoom
about a point that wanders, and parallax that is still at the frame's border.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from ..upsample import border_fade, resize, smoothstep

if TYPE_CHECKING:
    from ..settings import CameraIntent

Floats: TypeAlias = NDArray[np.float32]

PUSH = 0.06  # zoom of a ten-second push
PAN = 0.12  # zoom that gives a pan its room
DEEP = 0.55  # how much more the nearest zooms than the middle, as a share of the zoom
SIDE = 0.012  # parallax of a pan or an orbit between far and near, in shorter sides
BREATH = 0.0016  # the same of the sway that no camera is ever without
SHORT = 4.0  # seconds under which a loop goes less far, so as not to go faster


@dataclass(frozen=True)
class View:
    """What the camera sees at one moment."""

    zoom: float
    """1 is the whole picture."""
    left: float
    """Left edge of the window, as a share of the picture's width."""
    top: float
    """Upper edge of the window, as a share of the picture's height."""
    side: float = 0.0
    """Sideways parallax between far and near, in shorter sides; the camera goes right."""
    rise: float = 0.0
    """The same downward."""


def glide(share: float, start: float = 0.3, stop: float = 0.45) -> float:
    """A way from 0 to 1 that sets off slowly, keeps its pace, and comes to rest.

    share of the time 0..1; start and stop, the shares of the time spent gaining and losing pace.
    """
    u = min(max(share, 0.0), 1.0)
    length = 1.0 - (start + stop) / 2.0

    def gained(time: float, ramp: float) -> float:
        if time >= ramp:
            return time - ramp / 2.0
        return time / 2.0 - ramp / (2.0 * math.pi) * math.sin(math.pi * time / ramp)

    if u <= 1.0 - stop:
        return gained(u, start) / length
    return 1.0 - gained(1.0 - u, stop) / length


class Camera:
    """The path of one film.

    intent: what was asked, or None for a slow push; seconds: the film's length; loop: return to
    the start; focus: (x, y) shares of width and height that a push goes towards.
    """

    def __init__(
        self,
        intent: CameraIntent | None,
        *,
        seconds: float,
        loop: bool = False,
        focus: tuple[float, float] = (0.5, 0.5),
    ) -> None:
        self._move = (intent.move if intent is not None else None) or "push"
        pace = float(intent.pace) if intent is not None else 1.0
        strength = float(intent.strength) if intent is not None else 1.0
        self._amount = min(max(pace, 0.0), 2.0) * min(max(strength, 0.0), 2.0)
        self._seconds = max(seconds, 1e-3)
        self._loop = loop
        self._short = min(self._seconds / SHORT, 1.0) if loop else 1.0
        self._focus = (min(max(focus[0], 0.0), 1.0), min(max(focus[1], 0.0), 1.0))

    def view(self, time: float) -> View:
        """The view at `time` seconds; at 0 the whole picture, without parallax."""
        if self._amount <= 0.0:
            return View(1.0, 0.0, 0.0)
        # A longer film goes further, but not in proportion: it goes slower too.
        seconds = max(self._seconds, SHORT) if self._loop else self._seconds
        length = min((seconds / 10.0) ** 0.6, 2.0) * self._short
        move = self._move
        if move in ("left", "right", "up", "down"):
            return self._pan(time, length)
        if move == "orbit":
            return self._orbit(time, length)
        if move == "still":
            return self._rest(time)
        way = self._way(time)
        if move == "pull":
            # It cannot step back from the whole picture: it leans in first, then withdraws.
            share = time / self._seconds
            way = way if self._loop else glide(share / 0.3, 0.5, 0.5) * (1 - self._late(share, 0.3))
        zoom = 1.0 + PUSH * self._amount * length * way
        side, rise = self._sway(time)
        return self._about(zoom, self._focus, side, rise)

    def _way(self, time: float) -> float:
        share = time / self._seconds
        return (1.0 - math.cos(2.0 * math.pi * share)) / 2.0 if self._loop else glide(share)

    def _late(self, share: float, after: float) -> float:
        return glide((share - after) / (1.0 - after), 0.4, 0.4)

    def _turns(self, period: float) -> float:
        """A frequency near 1 / period; in a loop a whole number of turns fits the film."""
        if not self._loop:
            return 1.0 / period
        return max(1, round(self._seconds / period)) / self._seconds

    def _calm(self, period: float) -> float:
        """How much smaller what comes back every `period` is to be, quickened to fit a loop."""
        return min(1.0, 1.0 / (period * self._turns(period)))

    def _sway(self, time: float) -> tuple[float, float]:
        amount = BREATH * min(self._amount, 1.0)
        across = 2.0 * math.pi * self._turns(9.0) * time
        along = 2.0 * math.pi * self._turns(13.0) * time
        begin = 1.0 if self._loop else glide(time / 4.0, 0.5, 0.5)
        side = amount * self._calm(9.0) * math.sin(across)
        rise = 0.6 * amount * self._calm(13.0) * math.sin(along)
        return side * begin, rise * begin

    def _about(
        self, zoom: float, fixed: tuple[float, float], side: float = 0.0, rise: float = 0.0
    ) -> View:
        room = 1.0 - 1.0 / zoom
        return View(zoom, fixed[0] * room, fixed[1] * room, side, rise)

    def _rest(self, time: float) -> View:
        turn = 2.0 * math.pi * self._turns(8.0) * time
        lean = 0.004 * self._calm(8.0) * min(self._amount, 1.0)
        zoom = 1.0 + lean * (1.0 - math.cos(turn))
        return self._about(zoom, self._focus, *self._sway(time))

    def _pan(self, time: float, length: float) -> View:
        share = time / self._seconds
        way = self._way(time)
        opened = way if self._loop else glide(share / 0.8, 0.35, 0.5)
        zoom = 1.0 + PAN * self._amount * length * opened
        heading = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}[self._move]
        x, y = (0.5 + 0.5 * h * way if h else f for h, f in zip(heading, self._focus, strict=True))
        deep = SIDE * self._short * min(self._amount, 1.5) * way
        side, rise = self._sway(time)
        return self._about(zoom, (x, y), side + heading[0] * deep, rise + heading[1] * deep)

    def _orbit(self, time: float, length: float) -> View:
        begin = 1.0 if self._loop else glide(time / 4.0, 0.5, 0.5)
        turn = 2.0 * math.pi * self._turns(12.0) * time
        amount = self._calm(12.0) * min(self._amount, 1.5)
        zoom = 1.0 + 0.5 * PUSH * amount * ((1.0 - math.cos(turn)) / 2.0 if self._loop else begin)
        deep = SIDE * amount
        fixed = (0.5 + 0.5 * begin * math.sin(turn), self._focus[1])
        rise = 0.3 * deep * (1.0 - math.cos(turn)) / 2.0 * begin
        return self._about(zoom, fixed, deep * math.sin(turn) * begin, rise)


def calm_depth(depth: Floats, people: Floats | None, size: tuple[int, int]) -> Floats:
    """Depth without edges, and one constant over people, so that no face is bent by parallax.

    depth (h, w) 0 far .. 1 near; people (h, w) 0..1, any grid over the same picture, or None;
    size (height, width) of the answer; returns float32, its mean taken away, within -1..1.
    """
    shorter = min(size)
    soft = resize(np.ascontiguousarray(depth, np.float32), size)
    low, high = (float(v) for v in np.percentile(soft, (2, 98)))
    if high - low < 1e-3:
        return np.zeros(size, np.float32)
    soft = np.clip((soft - low) / max(high - low, 0.25), 0.0, 1.0).astype(np.float32)
    if people is not None:
        mask = resize(np.ascontiguousarray(people, np.float32), size)
        inside = (mask > 0.35).astype(np.uint8)
        if int(inside.sum()) > 0:
            level = float(soft[inside > 0].mean())
            grown = _grow(inside, max(1, round(0.03 * shorter)))
            soft = np.where(grown > 0, np.float32(level), soft)
            blurred = cv2.GaussianBlur(soft, (0, 0), 0.045 * shorter)
            # Level again inside, and from there over to the blurred rest without a step.
            outside = cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5)
            keep = (1.0 - outside / (0.12 * shorter)).astype(np.float32)
            calm = blurred + smoothstep(keep) * (np.float32(level) - blurred)
            return np.asarray(calm - calm.mean(), np.float32)
    calm = cv2.GaussianBlur(soft, (0, 0), 0.045 * shorter)
    return np.asarray(calm - calm.mean(), np.float32)


def _grow(mask: NDArray[np.uint8], radius: int) -> NDArray[np.uint8]:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return np.asarray(cv2.dilate(mask, kernel), np.uint8)


class Lens:
    """Turns views into offsets: where each place of the frame looks in the picture.

    depth: from `calm_depth`, on the grid that offsets are made on, or None for a flat picture;
    size: (height, width) of that grid; picture: (height, width) of the picture.
    """

    def __init__(
        self, depth: Floats | None, size: tuple[int, int], picture: tuple[int, int]
    ) -> None:
        self._depth = depth
        self._size = size
        self._picture = picture
        height, width = size
        self._x = ((np.arange(width, dtype=np.float32) + 0.5) * (picture[1] / width) - 0.5)[None]
        self._y = ((np.arange(height, dtype=np.float32) + 0.5) * (picture[0] / height) - 0.5)[
            :, None
        ]
        self._fade = border_fade(size, 0.08)

    def offsets(self, view: View) -> tuple[Floats, Floats]:
        """Looked-at minus own coordinates, in picture pixels, (h, w) float32 each."""
        tall, wide = self._picture
        room = 1.0 - 1.0 / view.zoom
        pin_x = (view.left / room if room > 1e-9 else 0.5) * wide - 0.5
        pin_y = (view.top / room if room > 1e-9 else 0.5) * tall - 0.5
        if self._depth is None:
            shape = self._size
            across = np.broadcast_to((self._x - np.float32(pin_x)) * np.float32(-room), shape)
            along = np.broadcast_to((self._y - np.float32(pin_y)) * np.float32(-room), shape)
            return np.array(across), np.array(along)
        depth = self._seen_depth(view)
        # 1 / zoom - 1, with the zoom a little larger for what is near.
        shrink = -room * (1.0 + DEEP * depth)
        shorter = min(tall, wide)
        near = depth * self._fade
        across = (self._x - np.float32(pin_x)) * shrink + near * np.float32(view.side * shorter)
        along = (self._y - np.float32(pin_y)) * shrink + near * np.float32(view.rise * shorter)
        return across.astype(np.float32), along.astype(np.float32)

    def _seen_depth(self, view: View) -> Floats:
        assert self._depth is not None
        height, width = self._size
        inverse = 1.0 / view.zoom
        # Pixel centres: (x + 0.5) / zoom + left * width - 0.5.
        shift = 0.5 * inverse - 0.5
        matrix = np.array(
            [
                [inverse, 0.0, shift + view.left * width],
                [0.0, inverse, shift + view.top * height],
            ],
            np.float64,
        )
        seen = cv2.warpAffine(
            self._depth,
            matrix,
            (width, height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return np.asarray(seen, np.float32)
