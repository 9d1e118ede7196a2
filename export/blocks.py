"""Weights as small numbers and their scales, a piece at a time.

All of it is symmetric: value = number * scale, no zero points. Scales are rounded to the type they
are stored in before numbers are chosen, so that rounding them costs nothing.

int4 and nvfp4 try a few scales for every block and keep that of least squared error (int4: parts of
the largest value, as in AWQ's search for a clip; nvfp4: the largest value as 6 or as 4, "Four Over
Six", arXiv:2512.02010).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .formats import FP8, Matrix, round_fp4, round_fp8, round_int4, snap_fp4, snap_int4
from .stored import Stored

CLIPS = (1.0, 0.95, 0.9, 0.86, 0.81, 0.75)
"""Parts of a block's largest value that int4 tries as 7."""
LARGEST = {"int8": 127.0, "fp8": 448.0, "int4": 7.0, "nvfp4": 6.0}
FP4_BLOCK = 16


def channel_scales(
    absmax: NDArray[np.float32], precision: str, dtype: np.dtype[Any]
) -> NDArray[np.float32]:
    """Scales of output channels, as `dtype` has them; 1 for a channel of zeros."""
    return rounded(absmax / LARGEST[precision], dtype)


def rounded(scales: NDArray[np.float32], dtype: np.dtype[Any]) -> NDArray[np.float32]:
    """Round positive scales to a type, never to zero or infinity; zeros become 1."""
    least, most = (2.0**-24, 65504.0) if dtype == np.float16 else (2.0**-126, 3.3e38)
    kept = np.clip(scales, least, most).astype(dtype).astype(np.float32)
    return np.where(scales > 0, kept, np.float32(1.0))


def per_channel(weight: Stored, scales: NDArray[np.float32], precision: str) -> Iterator[Any]:
    """Yield int8 or e4m3 numbers, given a scale for each output channel."""
    column = weight.inner == 0
    first = 0
    for piece in weight.pieces():
        rows = scales[None, :] if column else scales[first : first + len(piece), None]
        first += len(piece)
        scaled = piece / rows
        if precision == "int8":
            np.rint(scaled, out=scaled)
            np.clip(scaled, -127, 127, out=scaled)
            numbers = scaled.astype(np.int8)
        else:
            numbers = round_fp8(scaled)
        scaled *= rows
        weight.error.add(piece, scaled)
        yield numbers


def block_size(depth: int) -> int | None:
    """The largest of int4's block sizes that divides a depth, None where none does."""
    return next((size for size in (128, 64, 32) if depth % size == 0), None)


@dataclass
class Blocks:
    """A weight in blocks along its inner axis: int4, or nvfp4 with a scale for the whole besides.

    Scales are found when they are written, which is before the numbers are.
    """

    weight: Stored
    precision: str
    block: int
    dtype: np.dtype[Any]
    """Of int4's scales, and of nvfp4's one scale for the whole."""
    whole: float = 1.0
    """nvfp4's scale for the whole weight."""
    _scales: list[NDArray[np.float32]] = field(default_factory=list)

    @property
    def scale_shape(self) -> tuple[int, ...]:
        """Shape of the scales."""
        rows, columns = self.weight.rows, self.weight.columns
        if self.weight.inner == 0:
            return rows // self.block, columns
        return rows, columns // self.block

    def scales(self) -> Iterator[NDArray[Any]]:
        """Yield the scales of the blocks, flat."""
        self._scales.clear()
        for piece in self._pieces():
            blocks = self._in_blocks(piece)
            found = self._int4(blocks) if self.precision == "int4" else self._nvfp4(blocks)
            self._scales.append(found)
            yield found.reshape(-1).astype(self.dtype if self.precision == "int4" else FP8)

    def numbers(self) -> Iterator[NDArray[np.uint8]]:
        """Yield the numbers, two to a byte."""
        if not self._scales:
            for _ in self.scales():
                pass
        axis = self._axis
        for piece, found in zip(self._pieces(), self._scales, strict=True):
            blocks = self._in_blocks(piece)
            scale = np.expand_dims(found * np.float32(self.whole), axis)
            scaled = np.divide(blocks, np.where(scale > 0, scale, 1), dtype=np.float32)
            codes, values = round_int4(scaled) if self.precision == "int4" else round_fp4(scaled)
            values *= scale
            self.weight.error.add(blocks, values)
            codes = codes.reshape(-1)
            yield codes[0::2] | (codes[1::2] << np.uint8(4))
        self._scales.clear()

    @property
    def _axis(self) -> int:
        return 1 + self.weight.inner

    def _pieces(self) -> Iterator[Matrix]:
        # An even number of rows, so that no byte is shared by two pieces.
        return self.weight.pieces(self.block if self.weight.inner == 0 else 2)

    def _in_blocks(self, piece: Matrix) -> Matrix:
        rows, columns = piece.shape
        if self.weight.inner == 0:
            return piece.reshape(rows // self.block, self.block, columns)
        return piece.reshape(rows, columns // self.block, self.block)

    def _int4(self, blocks: Matrix) -> NDArray[np.float32]:
        largest = np.abs(blocks).max(axis=self._axis)
        candidates = (rounded(largest * np.float32(clip / 7.0), self.dtype) for clip in CLIPS)
        return _best(blocks, self._axis, candidates, snap_int4)

    def _nvfp4(self, blocks: Matrix) -> NDArray[np.float32]:
        largest = np.abs(blocks).max(axis=self._axis) / np.float32(self.whole)
        candidates = (
            np.minimum(largest / np.float32(as_), 448).astype(FP8).astype(np.float32)
            for as_ in (6.0, 4.0)
        )
        return _best(blocks / np.float32(self.whole), self._axis, candidates, snap_fp4)


def whole_scale(absmax: float, dtype: np.dtype[Any]) -> float:
    """nvfp4's scale for a whole weight, so that the scale of the largest block fits e4m3."""
    scale = rounded(np.array([absmax / (448.0 * 6.0)], np.float32), dtype)[0]
    return float(scale)


def _best(
    blocks: Matrix,
    axis: int,
    candidates: Iterator[NDArray[np.float32]],
    snap: Callable[[Matrix], None],
) -> NDArray[np.float32]:
    """For each block, the scale of least squared error."""
    best: NDArray[np.float32] | None = None
    least: NDArray[np.float32] | None = None
    work = np.empty_like(blocks)
    sums = "abc,abc->ac" if axis == 1 else "abc,abc->ab"
    for scale in candidates:
        wide = np.expand_dims(scale, axis)
        np.multiply(blocks, 1.0 / np.where(wide > 0, wide, np.float32(1.0)), out=work)
        snap(work)
        work *= wide
        work -= blocks
        error = np.einsum(sums, work, work)
        if best is None or least is None:
            best, least = scale.copy(), error
        else:
            better = error < least
            np.copyto(best, scale, where=better)
            np.minimum(least, error, out=least)
    assert best is not None
    return best
