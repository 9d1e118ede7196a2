"""The simple rivals that ember is measured beside."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def picture_energies(image: NDArray[np.uint8]) -> tuple[Array, Array]:
    """Gradient magnitude and texture energy of a picture (H,W,3), at half its size (H/2,W/2)."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    slope = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    mean = cv2.GaussianBlur(grey, (0, 0), 4)
    texture = np.sqrt(np.maximum(cv2.GaussianBlur(grey * grey, (0, 0), 4) - mean * mean, 0))
    size = (grey.shape[1] // 2, grey.shape[0] // 2)
    small = [cv2.resize(part, size, interpolation=cv2.INTER_AREA) for part in (slope, texture)]
    return np.asarray(small[0], np.float32), np.asarray(small[1], np.float32)


def smooth_random(amplitude: Array, seed: int, cell: int = 16) -> Array:
    """Smooth random phases x the regressed amplitude (8,h,w): a spectrum (32,h,w).

    `cell` is the spacing of the random values in half-size pixels: larger is smoother.
    """
    random = np.random.default_rng(seed)
    height, width = amplitude.shape[1:]
    fields = random.standard_normal((height // cell + 1, width // cell + 1, 32)).astype(np.float32)
    waves = cv2.resize(fields, (width, height), interpolation=cv2.INTER_CUBIC)
    swing = waves.transpose(2, 0, 1).reshape(8, 4, height, width)
    size = np.sqrt(np.square(swing).sum(1).mean((1, 2)) / 2)[:, None, None, None]
    return (swing / size * amplitude[:, None]).reshape(32, height, width)
