"""The camera: a slow path through the picture; `lens.py` says what each view looks at.

The film begins on the whole picture and never looks outside it, so every path is a small zoom
about a point that wanders, and parallax that is still at the frame's border.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ..settings import CameraIntent
    from .pacing import Pacing

Floats: TypeAlias = NDArray[np.float32]

PUSH = 0.06  # zoom of a ten-second push
PAN = 0.12  # zoom that gives a pan its room
SIDE = 0.012  # parallax of a pan or an orbit between far and near, in shorter sides
BREATH = 0.0016  # the same of the sway that no camera is ever without
HEAD = 0.7  # how much of the room above a head a push with a score may take away
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

    def matrix(self, height: int, width: int) -> NDArray[np.float64]:
        """(2, 3): where the pixels of a frame look in a picture of the same size, without parallax.

        Pixel centres: (x + 0.5) / zoom + left * width - 0.5.
        """
        inverse = 1.0 / self.zoom
        shift = 0.5 * inverse - 0.5
        return np.array(
            [
                [inverse, 0.0, shift + self.left * width],
                [0.0, inverse, shift + self.top * height],
            ]
        )


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
    the start; focus: (x, y) shares of width and height that a push goes towards; pacing: phrases
    in place of the even pace; aside: how far a push leans to a side, 1 as far as a pan; deep: how
    much larger parallax is than of one bent picture; above: the room above a head, as a share of
    the height, of which a push with a score keeps some.
    """

    def __init__(
        self,
        intent: CameraIntent | None,
        *,
        seconds: float,
        loop: bool = False,
        focus: tuple[float, float] = (0.5, 0.5),
        pacing: Pacing | None = None,
        aside: float = 0.0,
        deep: float = 1.0,
        above: float | None = None,
    ) -> None:
        self._pacing = pacing if pacing is not None and pacing.scored else None
        self._deep = SIDE * deep
        self._aside = aside * pacing.side if pacing is not None else aside
        self._move = (intent.move if intent is not None else None) or "push"
        pace = float(intent.pace) if intent is not None else 1.0
        strength = float(intent.strength) if intent is not None else 1.0
        self._amount = min(max(pace, 0.0), 2.0) * min(max(strength, 0.0), 2.0)
        self._seconds = max(seconds, 1e-3)
        self._loop = loop
        self._short = min(self._seconds / SHORT, 1.0) if loop or self._pacing else 1.0
        self._focus = (min(max(focus[0], 0.0), 1.0), min(max(focus[1], 0.0), 1.0))
        if self._pacing is not None and above:
            nearest = 1.4 * PUSH * self._amount * self._length()  # with what nearness adds to it
            lost = max(1.0 - 1.0 / (1.0 + nearest), 1e-6)
            self._focus = self._focus[0], min(self._focus[1], HEAD * above / lost)

    def _length(self) -> float:
        # A longer film goes further, but not in proportion: it goes slower too.
        seconds = max(self._seconds, SHORT) if self._loop else self._seconds
        return float(min((seconds / 10.0) ** 0.6, 2.0) * self._short)

    def view(self, time: float) -> View:
        """The view at `time` seconds; at 0 the whole picture, without parallax."""
        if self._amount <= 0.0:
            return View(1.0, 0.0, 0.0)
        length = self._length()
        move = self._move
        if move in ("left", "right", "up", "down"):
            return self._pan(time, length)
        if move == "orbit":
            return self._orbit(time)
        if move == "still":
            return self._rest(time)
        way = self._way(time)
        if move == "pull" and (self._loop or self._pacing is None):
            # It cannot step back from the whole picture: it leans in first, then withdraws.
            share = time / self._seconds
            way = way if self._loop else glide(share / 0.3, 0.5, 0.5) * (1 - self._late(share, 0.3))
        elif move == "pull":
            way = glide(time / (0.2 * self._seconds), 0.5, 0.5) * (1.0 - way)
        zoom = 1.0 + PUSH * self._amount * length * way
        side, rise = self._sway(time)
        side += self._aside * self._deep * min(length, 1.0) * min(self._amount, 1.5) * way
        return self._about(zoom, self._focus, side, rise)

    def _way(self, time: float) -> float:
        if self._pacing is not None:
            return self._pacing.way(time)
        share = time / self._seconds
        return (1.0 - math.cos(2.0 * math.pi * share)) / 2.0 if self._loop else glide(share)

    def _late(self, share: float, after: float) -> float:
        return glide((share - after) / (1.0 - after), 0.4, 0.4)

    def _turns(self, period: float) -> float:
        """A frequency near 1 / period; in a loop a whole number of turns fits the film."""
        if not self._loop:
            return 1.0 / period
        return max(1, round(self._seconds / period)) / self._seconds

    def _alive(self, time: float) -> float:
        """1, and 0 where the breath is held."""
        return 1.0 if self._pacing is None else 1.0 - self._pacing.breath(time)

    def _calm(self, period: float) -> float:
        """How much smaller what comes back every `period` is to be, quickened to fit a loop."""
        return min(1.0, 1.0 / (period * self._turns(period)))

    def _sway(self, time: float) -> tuple[float, float]:
        amount = BREATH * min(self._amount, 1.0)
        across = 2.0 * math.pi * self._turns(9.0) * time
        along = 2.0 * math.pi * self._turns(13.0) * time
        begin = 1.0 if self._loop else glide(time / 4.0, 0.5, 0.5)
        begin *= self._alive(time)
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
        zoom = 1.0 + lean * (1.0 - math.cos(turn)) * self._alive(time)
        return self._about(zoom, self._focus, *self._sway(time))

    def _pan(self, time: float, length: float) -> View:
        share = time / self._seconds
        way = self._way(time)
        opened = way if self._loop or self._pacing else glide(share / 0.8, 0.35, 0.5)
        zoom = 1.0 + PAN * self._amount * length * opened
        heading = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}[self._move]
        x, y = (0.5 + 0.5 * h * way if h else f for h, f in zip(heading, self._focus, strict=True))
        deep = self._deep * self._short * min(self._amount, 1.5) * way
        side, rise = self._sway(time)
        return self._about(zoom, (x, y), side + heading[0] * deep, rise + heading[1] * deep)

    def _orbit(self, time: float) -> View:
        begin = 1.0 if self._loop else glide(time / 4.0, 0.5, 0.5)
        turn = 2.0 * math.pi * self._turns(12.0) * time
        if self._pacing is not None and not self._loop:
            turn = 2.0 * math.pi * self._turns(12.0) * self._seconds * self._pacing.way(time)
        amount = self._calm(12.0) * min(self._amount, 1.5)
        zoom = 1.0 + 0.5 * PUSH * amount * ((1.0 - math.cos(turn)) / 2.0 if self._loop else begin)
        deep = self._deep * amount
        fixed = (0.5 + 0.5 * begin * math.sin(turn), self._focus[1])
        rise = 0.3 * deep * (1.0 - math.cos(turn)) / 2.0 * begin
        return self._about(zoom, fixed, deep * math.sin(turn) * begin, rise)


def headroom(people: Floats | None) -> float | None:
    """The room above whoever stands highest, as a share of the height; None where nobody is cut.

    people (h, w) 0..1.
    """
    if people is None:
        return None
    rows = np.flatnonzero((people > 0.5).any(1))
    return float(rows[0]) / people.shape[0] if rows.size and rows[0] > 0 else None
