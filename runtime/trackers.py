"""What can be told of a film while it passes, each by something small that forgets all but little.

Every tracker sees frame after frame and holds the same few kilobytes however long the film is.
Brightness and colour are in levels, 0..255.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from .alignment import find_view

Pixels: TypeAlias = NDArray[np.uint8]
Floats: TypeAlias = NDArray[np.float32]
Colours: TypeAlias = NDArray[np.float64]

GRID = (8, 6)
"""Columns and rows of the blocks that brightness is followed in."""
_LONG = 160
_BINS = 400


def thumbnail(frame: Pixels) -> Pixels:
    """A frame averaged down to about 160 pixels: uint8 (h, w, 3)."""
    tall, wide = frame.shape[:2]
    times = max(round(max(tall, wide) / _LONG), 1)
    size = max(wide // times, 1), max(tall // times, 1)
    part = frame[: size[1] * times, : size[0] * times]  # whole blocks are several times as fast
    if times % 4 == 0:
        part = part[::2]  # half of the rows tell the same, at half the cost
    return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)


def picked(frame: Pixels) -> Pixels:
    """Every n-th pixel of a frame's green, about 320 across: uint8 (h, w), not averaged."""
    step = max(max(frame.shape[:2]) // 320, 1)
    return np.ascontiguousarray(frame[step // 2 :: step, step // 2 :: step, 1])


def luma(small: Pixels) -> Floats:
    """Brightness (h, w) of a picture, levels."""
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.float32)


@dataclass(frozen=True)
class Worst:
    """The worst value of something, and the frame it was seen at."""

    value: float = 0.0
    frame: int = 0

    def or_worse(self, value: float, frame: int) -> Worst:
        """This, or another where that is larger."""
        return Worst(value, frame) if value > self.value else self


class Median:
    """A median of any number of values >= 0, to two hundredths of itself."""

    def __init__(self) -> None:
        self._counts = np.zeros(_BINS, np.int64)

    def add(self, value: float) -> None:
        """Count one value."""
        at = int((math.log(max(value, 1e-4)) - math.log(1e-4)) / math.log(1e7) * _BINS)
        self._counts[min(max(at, 0), _BINS - 1)] += 1

    def __call__(self) -> float:
        total = int(self._counts.sum())
        if not total:
            return 0.0
        at = int(np.searchsorted(np.cumsum(self._counts), (total + 1) // 2))
        return float(1e-4 * 1e7 ** ((at + 0.5) / _BINS)) if at else 0.0


class Blank:
    """Counts frames that are black, white or of one colour all over."""

    def __init__(self) -> None:
        self.black = self.white = self.flat = 0
        self.first: int | None = None

    def see(self, index: int, grey: Floats) -> bool:
        """Look at a frame's brightness (h, w); returns whether it shows nothing."""
        mean, spread = (float(v[0, 0]) for v in cv2.meanStdDev(grey))
        if 24 < mean < 220 and spread > 8:
            return False  # as nearly every frame, at once
        low, high = (float(v) for v in np.percentile(grey, (2, 98)))
        black, white = high < 24, low > 236
        flat = not black and not white and high - low < 4
        self.black += black
        self.white += white
        self.flat += flat
        if black or white or flat:
            self.first = index if self.first is None else self.first
            return True
        return False


class Frozen:
    """How long nothing changes, under film grain too: neither from frame to frame nor over time."""

    EQUAL = 0.02
    """Levels of mean change below which a frame is its neighbour again."""
    CHANGE = 0.75
    """Levels that the hundredth of the blocks that changes most must change by."""
    LONG = 0.9
    """Seconds without a change from which on a small one is an encoder's that improves a still
    picture, not the film's: good films were never still for half as long."""

    def __init__(self, fps: float) -> None:
        self._long = self.LONG * fps
        self.longest = Worst()
        """Frames without a change, and where they begin."""
        self.repeated = 0
        self._anchor: Floats | None = None
        self._before: Floats | None = None
        self._start = 0

    def see(self, index: int, small: Pixels, step: float | None) -> None:
        """Look at a frame's thumbnail and its step from the frame before."""
        if step is not None and step < self.EQUAL:
            self.repeated += 1
        size = max(small.shape[1] // 2, 1), max(small.shape[0] // 2, 1)
        blocks = np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_AREA), np.float32)
        if self._anchor is not None and self._before is not None:
            change = cv2.absdiff(blocks, self._anchor).max(-1)
            few = 0.01 * change.size
            still = np.count_nonzero(change >= self.CHANGE) < few
            mended = False
            if not (still or self._is_grain(blocks, change)):
                mended = index - self._start >= self._long and self._is_mended(blocks)
                if not mended:
                    self._anchor, self._before, self._start = blocks, blocks, index
                    return
            self._anchor = blocks if mended else self._anchor
            self._before = blocks
            self.longest = self.longest.or_worse(index - self._start + 1, self._start)
            return
        self._anchor, self._before, self._start = blocks, blocks, index

    def _is_mended(self, blocks: Floats) -> bool:
        """Whether a still picture was only drawn better: fine detail, and no area of it."""
        if self._anchor is None:
            return False
        change = blocks - self._anchor
        wide = np.abs(cv2.resize(change, (12, 8), interpolation=cv2.INTER_AREA)).max()
        return bool(wide < 0.6 and np.percentile(np.abs(change).max(-1), 99) < 4.0)

    def _is_grain(self, blocks: Floats, change: NDArray[Any]) -> bool:
        """Whether a change is no more than that from the frame before, and none of any area."""
        if self._anchor is None or self._before is None:
            return False
        wide, noise = (
            float(np.abs(cv2.resize(blocks - other, (12, 8), interpolation=cv2.INTER_AREA)).max())
            for other in (self._anchor, self._before)
        )
        if wide >= max(0.6, 1.4 * noise) or wide >= 2.0:
            return False
        if self._anchor is self._before:
            return True  # of one step nothing can be said yet
        beside = cv2.absdiff(blocks, self._before).max(-1)
        most, usual = (float(np.percentile(one, 99)) for one in (change, beside))
        return most <= min(1.3 * usual, 12.0)


class Steps:
    """Steps between neighbours: their median, and the one that stands out most from those around.

    A step is the mean change of a pixel, in levels.
    """

    FLOOR = 0.3
    """Levels that a median counts at least; below, noise and rounding speak."""

    def __init__(self, fps: float) -> None:
        self._half = max(round(fps / 2), 4)
        self._recent: deque[tuple[int, float]] = deque(maxlen=2 * self._half + 1)
        self._seen = 0
        self.median = Median()
        self.worst = Worst()
        """The step over the median of those around it, and the frame it leads to."""
        self.levels = 0.0

    def see(self, index: int, step: float) -> None:
        """Take the step that leads to a frame."""
        self.median.add(step)
        self._recent.append((index, step))
        self._seen += 1
        if self._seen > self._half:
            self._weigh(len(self._recent) - 1 - self._half)

    def end(self) -> None:
        """Weigh the steps at the end, which have no neighbours after them."""
        for place in range(max(len(self._recent) - self._half, 0), len(self._recent)):
            self._weigh(place)

    def over(self, step: float) -> float:
        """A step in medians of the film."""
        return step / max(self.median(), self.FLOOR)

    def _weigh(self, place: int) -> None:
        index, step = self._recent[place]
        others = [s for i, s in self._recent if i != index]
        if others:
            ratio = step / max(float(np.median(others)), self.FLOOR)
            if ratio > self.worst.value:
                self.worst, self.levels = Worst(ratio, index), step


class Flicker:
    """Brightness that trembles: how far a frame lies from the middle of frames around it.

    Those are its neighbours, and those a twelfth of a second away: a slow wave or a moving camera
    is not flicker. The median over a second counts, so that one flash or one cut is not flicker
    either, and the worst second, so that a short one is not lost in a long film.
    """

    def __init__(self, fps: float) -> None:
        self._lags = sorted({1, max(round(fps / 12), 1)})
        self._window: deque[Floats] = deque(maxlen=2 * self._lags[-1] + 1)
        second = max(round(fps), 6)
        self._seconds: list[deque[Floats]] = [deque(maxlen=second) for _ in self._lags]
        self._stride = max(round(fps / 4), 1)
        self.whole = Worst()
        """Of the whole frame, levels."""
        self.blocks = Worst()
        """Of the tenth of the blocks that trembles most, levels."""

    def see(self, index: int, grey: Floats) -> None:
        """Look at a frame's brightness (h, w)."""
        self._window.append(np.asarray(cv2.resize(grey, GRID, interpolation=cv2.INTER_AREA)))
        middle = self._lags[-1]
        if len(self._window) < 2 * middle + 1:
            return
        for lag, second in zip(self._lags, self._seconds, strict=True):
            around = (self._window[middle - lag] + self._window[middle + lag]) / 2
            second.append(np.asarray(self._window[middle] - around, np.float32))
        if index % self._stride == 0:
            self.end(index)

    def end(self, index: int) -> None:
        """Weigh what came since the last time."""
        for second in self._seconds:
            if len(second) < 5:
                continue
            residual = np.stack(second)
            whole = float(np.median(np.abs(residual.mean((1, 2)))))
            self.whole = self.whole.or_worse(whole, index)
            blocks = np.median(np.abs(residual), axis=0)
            self.blocks = self.blocks.or_worse(float(np.percentile(blocks, 90)), index)


class Drift:
    """How far a film's colours go from those it began with, slowly.

    The distance is that of mean and spread of lightness and both colour axes of CIELAB, averaged
    over about a second; 2.3 is a difference one just sees. Where it is more than that, pictures are
    laid over each other as the camera moved, so that what came into sight is no drift.
    """

    DOUBT = 2.5

    def __init__(self, fps: float) -> None:
        self._stride = max(round(fps / 4), 1)
        self._recent: deque[float] = deque(maxlen=4)
        self._start: Pixels | None = None
        self._colours = np.zeros(6)
        self._before: tuple[Pixels, Colours] | None = None
        """The picture looked at last, and how its colours had changed."""
        self.worst = Worst()

    def begin(self, picture: Pixels) -> None:
        """Take a picture's colours for those that belong."""
        self._start = _shrunk(picture)
        self._colours = _colours(thumbnail(picture))

    def see(self, index: int, frame: Pixels, small: Pixels) -> None:
        """Look at a frame and its thumbnail, a few times a second."""
        if self._start is None:
            self.begin(frame)
        if index % self._stride or self._start is None:
            return
        now, change = _shrunk(frame), _colours(small) - self._colours
        if float(np.linalg.norm(change)) > self.DOUBT:
            seen = _changed(self._start, now)
            if seen is None and self._before is not None:
                step = _changed(self._before[0], now)
                seen = None if step is None else self._before[1] + step
            change = change if seen is None else seen
        self._before = now, change
        self._recent.append(float(np.linalg.norm(change)))
        if len(self._recent) == self._recent.maxlen:
            self._weigh(index)

    def end(self, index: int) -> None:
        """Weigh a film too short to have been weighed."""
        if self._recent and len(self._recent) < (self._recent.maxlen or 0):
            self._weigh(index)

    def _weigh(self, index: int) -> None:
        self.worst = self.worst.or_worse(float(np.mean(list(self._recent))), index)


def _changed(before: Pixels, now: Pixels) -> Colours | None:
    """How colours changed where two pictures show the same; None where that cannot be found."""
    view = find_view(before, now)
    if view is None:
        return None
    size = now.shape[1], now.shape[0]
    moved = np.asarray(cv2.warpAffine(before, view, size), np.uint8)
    cover = cv2.warpAffine(np.full(before.shape[:2], 255, np.uint8), view, size)
    inside = np.asarray(cover) > 250
    if inside.mean() < 0.3:
        return None
    return _colours(now, inside) - _colours(moved, inside)


def _shrunk(picture: Pixels) -> Pixels:
    times = max(picture.shape[:2]) // 400
    if times < 2:
        return picture
    size = picture.shape[1] // times, picture.shape[0] // times
    part = picture[: size[1] * times, : size[0] * times]
    return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)


def _colours(small: Pixels, inside: NDArray[np.bool_] | None = None) -> Colours:
    lab = cv2.cvtColor(np.asarray(small, np.float32) / np.float32(255), cv2.COLOR_RGB2LAB)
    seen = lab.reshape(-1, 3) if inside is None else lab[inside]
    return np.concatenate([seen.mean(0), seen.std(0)]).astype(np.float64)
