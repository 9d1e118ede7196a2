"""Runs a network that enlarges pictures over a picture of any size, in tiles that leave no seam.

A convolution sees only so far. Tiles overlap by that much, and of each only the part is kept whose
surroundings it saw whole, so that the pieces are those of the picture run at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...engines.engine import Engine

Pixels: TypeAlias = NDArray[np.uint8]

MOST = 160_000
"""Pixels of a tile at most: 0.24 GiB of activations of SPAN."""


def enlarged(
    pixels: Pixels, engine: Engine, factor: int, *, margin: int, most: int = MOST
) -> Pixels:
    """Enlarge uint8 (H, W, 3) with a network that takes 0..1 and gives `factor` times as much.

    margin: how far, in pixels of the picture, the network sees; most: pixels of a tile.

    Raises:
        EngineError: the device failed.
    """
    height, width = pixels.shape[:2]
    out = np.empty((height * factor, width * factor, 3), np.uint8)
    image, larger = engine.inputs[0].name, engine.outputs[0].name
    for place, seen in tiles(height, width, margin, most):
        tile = pixels[seen].astype(np.float32) * np.float32(1 / 255)
        given = np.ascontiguousarray(tile.transpose(2, 0, 1)[None])
        answer = engine.run({image: given})[larger][0]
        rows, columns = (
            slice((whole.start - part.start) * factor, (whole.stop - part.start) * factor)
            for whole, part in zip(place, seen, strict=True)
        )
        kept = answer[:, rows, columns].transpose(1, 2, 0)
        down, across = (slice(one.start * factor, one.stop * factor) for one in place)
        out[down, across] = np.rint(np.clip(kept, 0.0, 1.0) * 255.0)
    return out


Area: TypeAlias = tuple[slice, slice]


def tiles(height: int, width: int, margin: int, most: int = MOST) -> Iterator[tuple[Area, Area]]:
    """Yield what each tile is kept for and what it sees, (rows, columns) of the picture.

    Where there are several in a row they all see an area of one size.
    """
    down, across = _counts(height, width, margin, most)
    for top, bottom in _pieces(height, down):
        for left, right in _pieces(width, across):
            seen = (
                _seen(top, height, -(-height // down), margin),
                _seen(left, width, -(-width // across), margin),
            )
            yield (slice(top, bottom), slice(left, right)), seen


def _counts(height: int, width: int, margin: int, most: int) -> tuple[int, int]:
    """How many tiles down and across cost least, none above `most` pixels."""
    best: tuple[int, int, int] | None = None
    for down in range(1, height + 1):
        tall = min(-(-height // down) + 2 * margin, height)
        across = 1
        while across < width and tall * min(-(-width // across) + 2 * margin, width) > most:
            across += 1
        wide = min(-(-width // across) + 2 * margin, width)
        cost = down * across * tall * wide
        if tall * wide <= most and (best is None or cost < best[0]):
            best = cost, down, across
        if best is not None and down > 4 * best[1]:
            break
    return best[1:] if best is not None else (height, width)


def _pieces(length: int, count: int) -> list[tuple[int, int]]:
    size = -(-length // count)
    return [(start, min(start + size, length)) for start in range(0, length, size)]


def _seen(start: int, length: int, size: int, margin: int) -> slice:
    """The stretch that holds a piece and its surroundings; as long as those of its neighbours."""
    long = min(size + 2 * margin, length)
    first = min(max(start - margin, 0), length - long)
    return slice(first, first + long)
