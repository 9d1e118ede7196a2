"""Rounding float32 to small formats: int4, e4m3 (OCP 8-bit floats) and e2m1 (OCP MX), fast.

Ties go to even and what is too large becomes the largest number, as in ONNX's QuantizeLinear.
`snap_*` round in place and leave the values that are meant; `round_*` return codes as well.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]

FP8 = np.dtype(ml_dtypes.float8_e4m3fn)
_FP4_VALUES = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], np.float32)
_FP4 = np.concatenate([_FP4_VALUES, -_FP4_VALUES])


def snap_int4(values: Matrix) -> None:
    np.rint(values, out=values)
    np.clip(values, -8, 7, out=values)


def round_int4(values: Matrix) -> tuple[NDArray[np.uint8], Matrix]:
    snap_int4(values)
    return values.astype(np.int8).view(np.uint8) & np.uint8(15), values


def _snap(values: Matrix, mantissa: int, least: int) -> None:
    """Round to so many bits of mantissa, ties to even, with steps of 2^(least - mantissa) at least.

    What is added and taken away again has the step wanted as its own last place.
    """
    added = values.view(np.uint32) & np.uint32(0x7F800000)
    np.maximum(added, np.uint32((127 + least) << 23), out=added)
    added += np.uint32((23 - mantissa) << 23)
    added |= np.uint32(0x400000)
    values += added.view(np.float32)
    values -= added.view(np.float32)


def snap_fp8(values: Matrix) -> None:
    np.clip(values, -448, 448, out=values)
    _snap(values, 3, -6)


def round_fp8(values: Matrix) -> NDArray[Any]:
    """Round in place, and return the same as e4m3."""
    snap_fp8(values)
    sign = (values.view(np.uint32) >> np.uint32(24)).astype(np.uint8) & np.uint8(0x80)
    size = np.abs(values)
    small = size < np.float32(2.0**-6)
    size += small * np.float32(2.0**-6)  # counts its steps in the same bits as larger ones
    codes = ((size.view(np.uint32) >> np.uint32(20)) - np.uint32(960)).astype(np.uint8)
    codes -= small * np.uint8(8)
    codes |= sign
    return codes.view(FP8)


def snap_fp4(values: Matrix) -> None:
    np.clip(values, -6, 6, out=values)
    _snap(values, 1, 0)


def round_fp4(values: Matrix) -> tuple[NDArray[np.uint8], Matrix]:
    snap_fp4(values)
    size = np.abs(values)
    codes = np.minimum(2 * size, np.minimum(size + 2, size / 2 + 4)).astype(np.uint8)
    codes |= (values.view(np.uint32) >> np.uint32(28)).astype(np.uint8) & np.uint8(8)
    return codes, values


def fp4_values() -> NDArray[np.float32]:
    """What the 16 codes of e2m1 mean: 0, 0.5, 1, 1.5, 2, 3, 4, 6, and the same below zero."""
    return _FP4.copy()
