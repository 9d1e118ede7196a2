"""Two pictures mixed in proportion, and an even way from the one to the other."""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels: TypeAlias = NDArray[np.uint8]


def blend(before: Pixels, after: Pixels, share: float) -> Pixels:
    """Mix two pictures, uint8 of one shape, to the nearest level; share 0 is the first, 1 the
    second."""
    return np.asarray(cv2.addWeighted(before, 1.0 - share, after, share, 0.0), np.uint8)


def eased(share: float) -> float:
    """From 0 to 1 with rest at both ends."""
    share = min(max(share, 0.0), 1.0)
    return share * share * (3.0 - 2.0 * share)
