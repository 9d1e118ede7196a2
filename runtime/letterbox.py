"""Lays pictures of any shape into the squares that small networks look at, and their maps back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..engines.engine import Engine

Map = NDArray[np.float32]
MAP_SIDE = 384


def run_one(engine: Engine, image: Map) -> Map:
    outputs = engine.run({engine.inputs[0].name: image})
    return np.asarray(next(iter(outputs.values())), np.float32)


def letterboxed(pixels: NDArray[np.uint8], side: int) -> tuple[Map, tuple[slice, slice]]:
    """A picture in the middle of a square, its rim repeated around: float32 0 .. 1, and where."""
    import cv2

    small = shrunk(pixels, side, exact=True)
    high, wide = small.shape[:2]
    top, left = (side - high) // 2, (side - wide) // 2
    square = cv2.copyMakeBorder(
        small, top, side - high - top, left, side - wide - left, cv2.BORDER_REPLICATE
    )
    inner = slice(top, top + high), slice(left, left + wide)
    return np.divide(square, 255, dtype=np.float32), inner


def shrunk(pixels: NDArray[np.uint8], side: int, exact: bool = False) -> NDArray[np.uint8]:
    """A picture scaled so that its longer side is `side`; smaller ones only where `exact`."""
    import cv2

    tall, wide = pixels.shape[:2]
    scale = side / max(tall, wide)
    if scale >= 1 and not exact:
        return pixels
    size = max(1, round(wide * scale)), max(1, round(tall * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, size, interpolation=how), np.uint8)


def map_size(pixels: NDArray[np.uint8]) -> tuple[int, int]:
    tall, wide = pixels.shape[:2]
    scale = MAP_SIDE / max(tall, wide)
    return max(1, round(wide * scale)), max(1, round(tall * scale))


def fitted(map_: Map, size: tuple[int, int]) -> Map:
    import cv2

    # remap-like resizing takes four channels at most in some builds: go by planes
    if map_.ndim == 2:
        return np.asarray(cv2.resize(map_, size, interpolation=cv2.INTER_LINEAR), np.float32)
    return np.stack([fitted(map_[..., c], size) for c in range(map_.shape[2])], -1)


def disc(radius: int) -> NDArray[np.uint8]:
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return np.asarray(x * x + y * y <= radius * radius + 0.5, np.uint8)
