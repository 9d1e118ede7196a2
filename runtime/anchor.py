"""Colours that stay where a film's first window had them, however many windows follow.

Each window begins with what the last one ended with, so a model's small, steady shift of colour
adds up. The first window says within which band the mean and the spread of each channel of CIELAB
may be; later frames are brought back to the nearest edge of it, no faster than an eye would follow.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from .letterbox import shrunk

Pixels = NDArray[np.uint8]
Stats = NDArray[np.float64]

SETTLES = 5.0
"""Frames in which a correction follows what it corrects: flicker is left alone."""
_SLACK = np.array([[0.4, 0.3, 0.3], [0.4, 0.3, 0.3]])
"""CIELAB units that the band reaches beyond what was seen: too little to be noticed."""
_UNSEEN = 0.15  # CIELAB units below which nothing is corrected
_GAIN = (0.8, 1.25)
_LOOKED_AT = 96  # pixels of the longer side


class Band:
    """The range within which some numbers were seen, and how far others are out of it."""

    def __init__(self, slack: Stats | float = 0.0) -> None:
        self._slack = slack
        self.low: Stats | None = None
        self.high: Stats | None = None

    def see(self, values: Stats) -> None:
        """Let the range reach to these."""
        self.low = values if self.low is None else np.minimum(self.low, values)
        self.high = values if self.high is None else np.maximum(self.high, values)

    def nearest(self, values: Stats) -> Stats:
        """The nearest numbers within the range; the same where nothing was seen."""
        if self.low is None or self.high is None:
            return values
        return np.clip(values, self.low - self._slack, self.high + self._slack)


class ColourAnchor:
    """Holds the colours of windows to those of the first one."""

    def __init__(self) -> None:
        self._band = Band(_SLACK)
        self._shift = np.zeros(3)
        self._stretch = np.zeros(3)
        self._window = 0

    def begin(self, window: int) -> None:
        """Frames of this window follow; it starts from a picture whose colours are right."""
        self._window = window
        self._shift, self._stretch = np.zeros(3), np.zeros(3)

    def hold(self, frame: Pixels) -> Pixels:
        """Return a frame, uint8 RGB (H, W, 3), corrected; those of window 0 are as they were."""
        seen = statistics(frame)
        if self._window == 0:
            self._band.see(seen)
            return frame
        wanted, share = self._band.nearest(seen), 1 - math.exp(-1 / SETTLES)
        gain = np.clip(wanted[1] / np.maximum(seen[1], 1e-3), *_GAIN)
        self._shift += share * (wanted[0] - seen[0] - self._shift)
        self._stretch += share * (np.log(gain) - self._stretch)
        changes = np.abs([self._shift, self._stretch * seen[1]])
        if changes.max() < _UNSEEN:
            return frame
        middle, gain = seen[0], np.exp(self._stretch)
        lab = (_to_lab(frame) - middle.astype(np.float32)) * gain.astype(np.float32)
        lab += (middle + self._shift).astype(np.float32)
        rgb = cv2.cvtColor(lab.astype(np.float32), cv2.COLOR_Lab2RGB)
        return np.asarray(np.rint(np.clip(rgb, 0, 1) * 255), np.uint8)


def statistics(frame: Pixels) -> Stats:
    """Mean and spread (2, 3) of the CIELAB channels of a frame, seen from afar."""
    lab = _to_lab(shrunk(frame, _LOOKED_AT)).reshape(-1, 3).astype(np.float64)
    return np.stack([lab.mean(0), lab.std(0)])


def _to_lab(frame: Pixels) -> NDArray[np.float32]:
    scaled = frame.astype(np.float32) / np.float32(255)
    return np.asarray(cv2.cvtColor(scaled, cv2.COLOR_RGB2Lab), np.float32)
