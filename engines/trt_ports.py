"""Inputs and outputs of TensorRT engines: names, types, the shapes they were built for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .engine import Array, Port, Shape
from .errors import EngineError

_DTYPES: Mapping[str, type[np.generic]] = {
    "FLOAT": np.float32,
    "HALF": np.float16,
    "INT64": np.int64,
    "INT32": np.int32,
    "INT8": np.int8,
    "UINT8": np.uint8,
    "BOOL": np.bool_,
    "BF16": np.uint16,  # its bits: numpy has no such type
}


@dataclass(frozen=True)
class Tensor:
    """One input or output of an engine."""

    port: Port
    """As `run` takes and gives it."""
    stored: np.dtype[np.generic]
    """As it lies on the device."""
    is_input: bool
    brain: bool = False
    """Whether it is bfloat16, which `run` takes and gives as float32."""
    least: Shape = ()
    most: Shape = ()
    """Of an input: the shapes it was built for."""

    @property
    def name(self) -> str:
        """The tensor's name."""
        return self.port.name

    def to_device(self, array: Array) -> Array:
        """An array as it lies on the device."""
        return to_brain(array) if self.brain else np.ascontiguousarray(array)

    def to_host(self, array: Array) -> Array:
        """An array as `run` gives it."""
        return from_brain(array) if self.brain else array

    def check(self, file: str, shape: Shape) -> None:
        """Refuse an input of a shape that the engine was not built for."""
        fits = len(shape) == len(self.least) and all(
            low <= size <= high
            for low, size, high in zip(self.least, shape, self.most, strict=True)
        )
        if not fits:
            raise EngineError(
                f"{file} takes {self.name} of {list(self.least)} to {list(self.most)}, given "
                f"{list(shape)}: build it for this size, or ask for a size that it was built for"
            )


def read_tensors(file: str, library: Any, engine: Any) -> tuple[Tensor, ...]:
    """Return an engine's inputs and outputs in its order.

    Raises:
        EngineError: one is of a type, or in a place, that is not supported.
    """
    found = []
    for index in range(engine.num_io_tensors):
        name = engine.get_tensor_name(index)
        kind = engine.get_tensor_dtype(name).name
        if kind not in _DTYPES:
            raise EngineError(f"{file}: {name} has the type {kind}, which is not supported")
        if engine.get_tensor_location(name) != library.TensorLocation.DEVICE:
            raise EngineError(
                f"{file}: {name} must lie in the host's memory, which is not supported: "
                "build it from a graph whose shapes depend on no input's values"
            )
        is_input = engine.get_tensor_mode(name) == library.TensorIOMode.INPUT
        least = most = ()
        if is_input:
            low, _, high = engine.get_tensor_profile_shape(name, 0)
            least, most = tuple(low), tuple(high)
        brain = kind == "BF16"
        stored = np.dtype(_DTYPES[kind])
        sizes = tuple(
            f"{name}.{axis}" if size < 0 else int(size)
            for axis, size in enumerate(tuple(engine.get_tensor_shape(name)))
        )
        port = Port(name, np.dtype(np.float32) if brain else stored, sizes)
        found.append(Tensor(port, stored, is_input, brain, least, most))
    return tuple(found)


def to_brain(array: Array) -> Array:
    """float32 as the bits of bfloat16, rounded half to even; NaN stays NaN."""
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
    return np.where(np.isnan(array), np.uint32(0x7FC0), rounded).astype(np.uint16)


def from_brain(bits: Array) -> Array:
    """Bits of bfloat16 as float32."""
    return (np.asarray(bits).astype(np.uint32) << np.uint32(16)).view(np.float32)
