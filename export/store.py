"""Graphs and weights on their way into files, without torch: for export and quantise alike.

A tensor whose values are not in memory is an `InBlocks`; `write` sends it out piece by piece.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from ..engines.errors import BundleError
from ..runtime.bundle import hash_file
from . import order

EMBEDDED_BELOW = 1024
"""Bytes under which a constant stays in the graph, where shape inference can see it."""

_PAGE, _LINE, _LARGE, _PIECE = 4096, 64, 1 << 20, 1 << 24
Told = Callable[[int, int], None]
"""Takes bytes done and bytes in all."""


class InBlocks(ir.LazyTensor):
    """A tensor whose values come one block after another."""

    __slots__ = ()

    def __init__(self, name: str, dtype: ir.DataType, shape: tuple[int, ...]) -> None:
        super().__init__(self._values, dtype, ir.Shape(shape), name=name)

    def blocks(self) -> Iterator[NDArray[Any]]:
        """Yield the values in order, flat; 4-bit ones as bytes that hold two, low bits first."""
        raise NotImplementedError

    def _values(self) -> ir.TensorProtocol:
        values = np.concatenate(list(self.blocks()))
        if self.dtype.bitwidth < 8:
            return ir.PackedTensor(
                values, self.dtype, shape=ir.Shape(self.shape.numpy()), name=self.name
            )
        return ir.tensor(values.reshape(self.shape.numpy()), dtype=self.dtype, name=self.name)


class Made(InBlocks):
    """A tensor whose blocks a function makes."""

    __slots__ = ("make",)

    def __init__(
        self,
        name: str,
        dtype: ir.DataType,
        shape: tuple[int, ...],
        make: Callable[[], Iterator[NDArray[Any]]],
    ) -> None:
        super().__init__(name, dtype, shape)
        self.make = make

    def blocks(self) -> Iterator[NDArray[Any]]:
        """Yield what the function makes."""
        return self.make()


def data_bytes(model: ir.Model) -> int:
    """Bytes that `write` will write for a graph, without the gaps."""
    return sum(
        tensor.nbytes
        for value in model.graph.initializers.values()
        if (tensor := value.const_value) is not None and _goes_out(tensor)
    )


def write(model: ir.Model, path: Path, told: Told | None = None) -> dict[str, Any] | None:
    """Write a graph's weights into one file and point the graph there.

    Returns {file, bytes, sha256}, or None where all is small enough to stay in the graph. Large
    tensors begin on a page, so that they can be mapped.
    """
    outward = {
        name: value
        for name, value in model.graph.initializers.items()
        if value.const_value is not None and _goes_out(value.const_value)
    }
    if not outward:
        return None
    total, at, digest = data_bytes(model), 0, hashlib.sha256()
    with path.open("wb", buffering=0) as file:

        def put(data: memoryview | bytes) -> None:
            nonlocal at
            digest.update(data)
            left = memoryview(data)
            while left:
                left = left[file.write(left) or 0 :]
            at += len(data)

        done = 0
        for name, value in outward.items():
            tensor = value.const_value
            assert tensor is not None
            put(bytes(-at % (_PAGE if tensor.nbytes >= _LARGE else _LINE)))
            begin = at
            for piece in _pieces(tensor):
                data = np.ascontiguousarray(piece).reshape(-1).view(np.uint8).data
                put(data)
                done += len(data)
                if told is not None:
                    told(done, total)
            value.const_value = ir.ExternalTensor(
                path.name,
                begin,
                at - begin,
                tensor.dtype,
                shape=ir.Shape(tensor.shape.numpy()),
                name=name,
                base_dir=path.parent,
            )
    return {"file": path.name, "bytes": at, "sha256": digest.hexdigest()}


def write_graph(model: ir.Model, path: Path) -> dict[str, Any]:
    """Write a graph whose weights are written; returns {file, bytes, sha256}."""
    order.shallow_first(model)
    path.write_bytes(ir.serde.serialize_model(model).SerializeToString())
    onnx.checker.check_model(str(path))
    return {"file": path.name, "bytes": path.stat().st_size, "sha256": hash_file(path)}


def _pieces(tensor: ir.TensorProtocol) -> Iterator[NDArray[Any]]:
    """A tensor's values or their bytes, in order."""
    if isinstance(tensor, InBlocks):
        yield from tensor.blocks()
    elif isinstance(tensor, ir.ExternalTensor):
        left = tensor.nbytes
        with Path(tensor.path).open("rb") as file:
            file.seek(tensor.offset or 0)
            while left:
                piece = np.fromfile(file, np.uint8, min(left, _PIECE))
                if not piece.size:
                    raise BundleError(
                        f"{tensor.path} ends within {tensor.name}: copy the bundle again"
                    )
                left -= piece.size
                yield piece
    else:
        yield np.asarray(tensor.numpy())


def _goes_out(tensor: ir.TensorProtocol) -> bool:
    return isinstance(tensor, InBlocks | ir.ExternalTensor) or tensor.nbytes >= EMBEDDED_BELOW
