"""Masks made larger by a round brush."""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Mask: TypeAlias = NDArray[np.uint8]


def grow(mask: Mask, radius: float) -> Mask:
    """A mask (h, w), 1 inside, carried `radius` pixels beyond its outline, one at least."""
    return np.asarray(cv2.dilate(mask, disc(radius)), np.uint8)


def disc(radius: float) -> Mask:
    """The brush: 1 within `radius` pixels, one at least, of the middle of a square."""
    side = 2 * max(1, round(radius)) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)
