"""A photo as CLIP looks at it in Stable Video Diffusion: blurred, made small, normalised.

Blur and resampling are both sums along rows and columns, so each is folded into one table of taps
an axis: a 24-megapixel photo costs no more than the few pixels that its small picture is made of.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float32]
Pixels: TypeAlias = NDArray[np.uint8]

LEAST_BLUR = 0.001
"""Standard deviation in pixels where nothing is made smaller: no blur in effect."""
SHARPNESS = -0.75
"""The bicubic kernel's free parameter (Keys, 1981), as PyTorch has it."""


def see(pixels: Pixels, size: int, mean: Sequence[float], std: Sequence[float]) -> Array:
    """Return a photo, uint8 RGB (H, W, 3), as CLIP's normalised input (1, 3, size, size).

    Follows `_resize_with_antialiasing` and CLIPImageProcessor as diffusers'
    StableVideoDiffusionPipeline calls them: the whole photo, whatever its shape, is made square.
    """
    image = pixels
    small = _along_rows(_along_rows(image, size).transpose(1, 0, 2), size).transpose(1, 0, 2)
    small = small / np.float32(255.0)
    normal = (small - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)
    return np.ascontiguousarray(normal.transpose(2, 0, 1)[None], np.float32)


def taps(length: int, size: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Where each of `size` samples of a line of `length` looks, and with what weights.

    Both are (size, taps). A Gaussian blur (reflected at the ends, as wide as the line shrinks) and
    then bicubic interpolation with the corners aligned.
    """
    factor = length / size
    deviation = max((factor - 1.0) / 2.0, LEAST_BLUR)
    width = int(max(4.0 * deviation, 3)) // 2 * 2 + 1
    offsets = np.arange(width) - width // 2
    blur = np.exp(-(offsets**2) / (2.0 * deviation**2))
    blur /= blur.sum()

    place = np.arange(size) * ((length - 1) / (size - 1) if size > 1 else 0.0)
    base = np.floor(place).astype(np.intp)
    near = np.clip(base[:, None] + np.arange(-1, 3), 0, length - 1)
    interpolation = _bicubic((place - base)[:, None] - np.arange(-1, 3))

    looked_at = _reflected(near[:, :, None] + offsets, length)
    weights = interpolation[:, :, None] * blur
    return looked_at.reshape(size, -1), weights.reshape(size, -1)


def _along_rows(image: NDArray[np.generic], size: int) -> Array:
    """Draw an image (H, W, 3) with `size` rows."""
    looked_at, weights = taps(len(image), size)
    first = looked_at.min(axis=1)
    # Neighbouring taps share pixels: each sample is a short run of rows, each row met once.
    span = int((looked_at - first[:, None]).max()) + 1
    runs = np.zeros((size, span))
    np.add.at(runs, (np.arange(size)[:, None], looked_at - first[:, None]), weights)
    drawn = np.zeros((size, *image.shape[1:]), np.float32)
    for step in range(span):
        rows = np.minimum(first + step, len(image) - 1)
        drawn += image[rows].astype(np.float32) * runs[:, step, None, None].astype(np.float32)
    return drawn


def _bicubic(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weight of a pixel at a distance of up to 2 from where the sample lies."""
    x = np.abs(distance)
    near = ((SHARPNESS + 2.0) * x - (SHARPNESS + 3.0)) * x * x + 1.0
    far = SHARPNESS * (((x - 5.0) * x + 8.0) * x - 4.0)
    return np.where(x <= 1.0, near, np.where(x < 2.0, far, 0.0))


def _reflected(places: NDArray[np.intp], length: int) -> NDArray[np.intp]:
    """Places beyond the ends, mirrored at the first and last pixel."""
    period = max(2 * (length - 1), 1)
    folded = np.mod(places, period)
    return np.where(folded < length, folded, period - folded)
