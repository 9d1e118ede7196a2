"""A weight where it lies, read piece by piece, and what quantising it cost.

A weight is a matrix (rows, columns): its first axis, and all others. Sums run over `inner`: axis 0
of a MatMul's weight, axis 1 of a convolution's or a transposed Gemm's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ..engines.errors import BundleError
from .formats import Matrix

TILE = 1 << 18
"""Elements that are worked on at once, so that they stay in a processor's cache."""


@dataclass
class Error:
    """What quantising a weight cost, summed up while it was written."""

    signal: float = 0.0
    noise: float = 0.0

    def add(self, before: Matrix, after: Matrix) -> None:
        """Count a piece in."""
        self.signal += float(np.vdot(before, before))
        after -= before
        self.noise += float(np.vdot(after, after))

    @property
    def decibels(self) -> float:
        """Signal-to-noise ratio of the weights; infinite where nothing was lost."""
        if self.noise <= 0.0:
            return float("inf")
        return 10.0 * float(np.log10(max(self.signal, 1e-300) / self.noise))


@dataclass
class Stored:
    """A weight where it lies, read piece by piece as float32."""

    name: str
    tensor: ir.TensorProtocol
    shape: tuple[int, ...]
    inner: int
    smooth: NDArray[np.float32] | None = None
    """(channels,) what the weights of each input channel are multiplied by."""
    error: Error = field(default_factory=Error)

    @property
    def rows(self) -> int:
        """Size of the first axis."""
        return self.shape[0]

    @property
    def columns(self) -> int:
        """Size of all others."""
        return int(np.prod(self.shape[1:], dtype=np.int64))

    @property
    def depth(self) -> int:
        """How many products are summed."""
        return self.rows if self.inner == 0 else self.columns

    def pieces(self, multiple: int = 1) -> Iterator[Matrix]:
        """Yield rows in order, a multiple of so many at once, as float32 of one's own.

        Raises:
            BundleError: the weight holds NaN or infinity.
        """
        step = max(1, TILE // max(1, self.columns * multiple)) * multiple
        for piece in self._read(step):
            if self.smooth is not None:
                self._smooth(piece[0], piece[1])
            yield piece[1]

    def absmax(self) -> NDArray[np.float32]:
        """(outer,) the largest magnitude of each output channel."""
        if self.inner == 1:
            return np.concatenate([np.abs(piece).max(axis=1) for piece in self.pieces()])
        most = np.zeros(self.columns, np.float32)
        for piece in self.pieces():
            np.maximum(most, np.abs(piece).max(axis=0), out=most)
        return most

    def inner_absmax(self, channels: int) -> NDArray[np.float32]:
        """(channels,) the largest magnitude of the weights of each input channel."""
        most = []
        total = np.zeros(channels, np.float32)
        for piece in self.pieces():
            size = np.abs(piece)
            if self.inner == 0:
                most.append(size.max(axis=1))
            else:
                each = size.reshape(len(piece), channels, -1).max(axis=(0, 2))
                np.maximum(total, each, out=total)
        return np.concatenate(most) if most else total

    def _smooth(self, first: int, piece: Matrix) -> None:
        assert self.smooth is not None
        if self.inner == 0:
            piece *= self.smooth[first : first + len(piece), None]
        else:
            piece.reshape(len(piece), len(self.smooth), -1)[:] *= self.smooth[:, None]

    def _read(self, step: int) -> Iterator[tuple[int, Matrix]]:
        dtype, columns = self.tensor.dtype.numpy(), self.columns
        if not isinstance(self.tensor, ir.ExternalTensor):
            whole = np.asarray(self.tensor.numpy()).reshape(self.rows, columns)
            for first in range(0, self.rows, step):
                yield first, self._wide(whole[first : first + step])
            return
        with Path(self.tensor.path).open("rb", buffering=0) as file:
            file.seek(self.tensor.offset or 0)
            for first in range(0, self.rows, step):
                count = min(step, self.rows - first)
                piece = np.empty((count, columns), dtype)
                left = piece.reshape(-1).view(np.uint8).data
                while left:
                    got = file.readinto(left)
                    if not got:
                        raise BundleError(
                            f"{self.tensor.path} ends within {self.name}: copy the bundle again"
                        )
                    left = left[got:]
                yield first, self._wide(piece)

    def _wide(self, values: NDArray[Any]) -> Matrix:
        if values.dtype == ml_dtypes.bfloat16:
            wide = np.left_shift(values.view(np.uint16), 16, dtype=np.uint32).view(np.float32)
        else:
            wide = values.astype(np.float32)
        if not np.isfinite(np.vdot(wide, wide)) and not np.isfinite(wide).all():
            raise BundleError(f"weight {self.name} holds NaN or infinity: export the model again")
        return wide
