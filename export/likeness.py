"""How alike two pictures are."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[Any]

_WINDOW, _SPREAD = 11, 1.5
_STEADY = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def squared_error(one: Picture, other: Picture) -> float:
    """Mean squared difference of two arrays of one shape, in float64."""
    return float(np.mean((np.asarray(one, np.float64) - np.asarray(other, np.float64)) ** 2))


def psnr(error: float) -> float | None:
    """Peak signal to noise ratio of 8-bit pictures in dB, from their mean squared difference.

    None where they are equal.
    """
    return 10 * math.log10(255**2 / error) if error else None


def ssim(one: Picture, other: Picture) -> float:
    """Structural similarity of two uint8 RGB pictures (H, W, 3), at most 1.

    The mean of the index over their brightness, with a Gaussian window of 11 pixels and spread 1.5,
    over the places where it lies wholly inside; after Wang et al. (2004), "Image Quality
    Assessment: From Error Visibility to Structural Similarity". Sides are 11 pixels and more.
    """
    first, second = _brightness(one), _brightness(other)
    means = _blur(first), _blur(second)
    spread = (
        _blur(first * first) - means[0] ** 2,
        _blur(second * second) - means[1] ** 2,
    )
    both = _blur(first * second) - means[0] * means[1]
    low, high = _STEADY
    index = (2 * means[0] * means[1] + low) * (2 * both + high)
    index /= (means[0] ** 2 + means[1] ** 2 + low) * (spread[0] + spread[1] + high)
    return float(index.mean())


def relative(ours: Picture, theirs: Picture) -> float:
    """|ours - theirs| / |theirs|, norms over all numbers, in float64."""
    exact = np.asarray(theirs, np.float64)
    error = float(np.linalg.norm(np.asarray(ours, np.float64) - exact))
    return error / max(float(np.linalg.norm(exact)), 1e-12)


def _brightness(picture: Picture) -> NDArray[np.float64]:
    """Luma of BT.601, 0 .. 255."""
    weights = np.array([0.299, 0.587, 0.114])
    return np.asarray(np.asarray(picture, np.float64) @ weights, np.float64)


def _blur(values: NDArray[np.float64]) -> NDArray[np.float64]:
    edge = _WINDOW // 2
    blurred = cv2.GaussianBlur(values, (_WINDOW, _WINDOW), _SPREAD)
    return np.asarray(blurred[edge:-edge, edge:-edge], np.float64)
