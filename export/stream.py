"""Weights on their way from a checkpoint into a bundle, one block at a time.

A traced graph's initialisers become `Streamed` tensors, which know where their values lie and what
is to happen to them on the way: a type, a transposition, what a LoRA adds. `store.write` sends them
into one file beside the graph. No tensor is ever in memory as a whole, unless it is small.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import onnx_ir as ir
import torch
from numpy.typing import NDArray
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor

from ..engines.errors import BundleError
from . import fake, store
from .recipe import PartRecipe

if TYPE_CHECKING:
    from .lora import Loras
    from .weights import Tensor, Weights

BLOCK = 1 << 23
"""Elements that are in memory at once: 32 MiB in float32."""
LARGEST_HALF = 65504.0

_TYPES = {
    torch.float32: ir.DataType.FLOAT,
    torch.float16: ir.DataType.FLOAT16,
    torch.bfloat16: ir.DataType.BFLOAT16,
    torch.float64: ir.DataType.DOUBLE,
    torch.int64: ir.DataType.INT64,
    torch.int32: ir.DataType.INT32,
    torch.bool: ir.DataType.BOOL,
}


class Streamed(store.InBlocks):
    """A weight whose values are still in the checkpoint."""

    __slots__ = ("perm", "stream", "weight")

    def __init__(
        self,
        stream: Stream,
        weight: str,
        dtype: ir.DataType,
        shape: tuple[int, ...],
        perm: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__(weight, dtype, shape)
        self.stream, self.weight, self.perm = stream, weight, perm

    def blocks(self) -> Iterator[NDArray[Any]]:
        """Yield the values in order, flat, at most `BLOCK` at once."""
        return self.stream.blocks(self)

    def transposed(self, perm: tuple[int, ...]) -> Streamed:
        """Return the same weight with its axes in another order."""
        sizes = self.shape.numpy()
        shape = tuple(sizes[axis] for axis in perm)
        return Streamed(self.stream, self.weight, self.dtype, shape, perm)


class Stream:
    """The weights of one component: a part of a checkpoint, and the LoRAs that change it.

    Errors are BundleError, one line with the component and the tensor.
    """

    def __init__(self, component: str, weights: Weights, loras: Loras | None = None) -> None:
        self.component, self.weights, self.loras = component, weights, loras
        self._touched = 0

    def check(self, weight: str, shape: tuple[int, ...]) -> None:
        """Raise BundleError unless the checkpoint has a tensor of that name and shape."""
        if weight not in self.weights:
            raise BundleError(
                f"{self.component}: the checkpoint has no tensor {weight!r}, which its"
                " configuration asks for; get the checkpoint again"
            )
        found = tuple(self.weights.shape(weight))
        if found != shape:
            raise BundleError(
                f"{self.component}: tensor {weight!r} has shape {list(found)} and its"
                f" configuration asks for {list(shape)}; config and weights are of two models"
            )

    def blocks(self, tensor: Streamed) -> Iterator[NDArray[Any]]:
        """Yield a tensor's values in order, flat, in its own type, at most `BLOCK` at once."""
        values = self.weights.read(tensor.weight)
        delta = self.loras.delta(tensor.weight, values.shape) if self.loras else None
        wanted = tensor.dtype.numpy()
        if tensor.perm is None:
            flat = values.reshape(-1)
            change = None if delta is None else delta.reshape(-1)
            for start in range(0, flat.size, BLOCK):
                piece = slice(start, start + BLOCK)
                yield self._convert(
                    tensor, flat[piece], None if change is None else change[piece], wanted
                )
                self._let_go(flat[piece].nbytes)
            return
        if tensor.perm != (1, 0):
            whole = self._convert(tensor, values, delta, wanted)
            yield np.ascontiguousarray(whole.transpose(tensor.perm)).reshape(-1)
            self._let_go(values.nbytes)
            return
        rows, columns = values.shape
        across = max(1, BLOCK // rows)
        down = max(1, BLOCK // min(across, columns))
        for left in range(0, columns, across):
            right = min(left + across, columns)
            turned = np.empty((right - left, rows), wanted)
            for top in range(0, rows, down):
                tile = slice(top, top + down), slice(left, right)
                done = self._convert(
                    tensor, values[tile], None if delta is None else delta[tile], wanted
                )
                _bits(turned[:, tile[0]]).copy_(_bits(done).T)
                # A column touches every page of its rows, whatever its width.
                self._let_go(min(down, rows - top) * columns * values.itemsize)
            yield turned.reshape(-1)

    def _convert(
        self,
        tensor: Streamed,
        values: NDArray[Any],
        delta: NDArray[np.float32] | None,
        wanted: np.dtype[Any],
    ) -> NDArray[Any]:
        """Return a contiguous copy in the type wanted, rounded to nearest even."""
        if delta is not None:
            values = values.astype(np.float32) + delta
        if values.dtype == wanted:
            values = np.array(values)  # out of the mapped file
        if not _is_float(values.dtype):
            return np.ascontiguousarray(values.astype(wanted))
        if values.dtype.itemsize == 1:
            values = values.astype(np.float32)  # 8-bit floats have their own marks for infinity
        if not _all_finite(values):
            why = "holds NaN or infinity; get the checkpoint again"
            if delta is not None and not _all_finite(delta):
                why = "becomes NaN or infinity by a LoRA; get the LoRA again, or leave it out"
            raise BundleError(f"{self.component}: tensor {tensor.weight!r} {why}")
        if wanted == np.float16 and values.dtype not in (wanted, np.dtype(np.float16)):
            largest = float(np.abs(values).max()) if values.size else 0.0
            if largest > LARGEST_HALF:
                raise BundleError(
                    f"{self.component}: tensor {tensor.weight!r} reaches {largest:.4g}, beyond"
                    f" what float16 holds ({LARGEST_HALF:.0f}); export with --precision bf16 or"
                    " fp32"
                )
            if values.dtype == np.float32:  # torch does this one four times as fast
                full = torch.from_numpy(np.require(values, requirements=["C", "W"]))
                return full.to(torch.float16).numpy()
        return np.ascontiguousarray(values.astype(wanted, copy=False))

    def _let_go(self, count: int) -> None:
        """Release the mapped pages once enough of them were touched."""
        self._touched += count
        if self._touched >= 4 * BLOCK:
            self.weights.release()
            self._touched = 0


def attach(model: ir.Model, recipe: PartRecipe, module: nn.Module, stream: Stream) -> None:
    """Tie a traced graph's initialisers to the checkpoint, after checking names and shapes."""
    names = fake.names(module)
    for name, value in model.graph.initializers.items():
        raw = getattr(value.const_value, "raw", None)
        if not isinstance(raw, FakeTensor):
            continue
        weight = source_name(recipe, stream, names.get(name, (name,)))
        shape = tuple(int(size) for size in raw.shape)
        stream.check(weight, shape)
        value.const_value = Streamed(stream, weight, _TYPES[raw.dtype], shape)


def source_name(recipe: PartRecipe, stream: Stream, aliases: Sequence[str]) -> str:
    """Return the checkpoint's name of a tensor that its module knows under these names."""
    candidates = [recipe.weight_name(alias) for alias in aliases]
    return next((name for name in candidates if name in stream.weights), candidates[0])


def fold_transposes(model: ir.Model) -> int:
    """Let weights that a graph only transposes stream transposed; returns how many do."""
    graph, made = model.graph, dict[tuple[str, tuple[int, ...]], ir.Value]()
    for node in list(graph):
        source = node.inputs[0] if node.op_type == "Transpose" else None
        tensor = source.const_value if source is not None else None
        if source is None or not isinstance(tensor, Streamed) or tensor.perm is not None:
            continue
        perm = tuple(node.attributes["perm"].as_ints())
        if perm != (1, 0) and tensor.size > BLOCK:
            continue
        key = source.name or "", perm
        if key not in made:
            turned = tensor.transposed(perm)
            made[key] = ir.Value(
                name=f"{source.name}.turned", shape=turned.shape, type=ir.TensorType(turned.dtype)
            )
            made[key].const_value = turned
            graph.register_initializer(made[key])
        node.outputs[0].replace_all_uses_with(made[key])
        graph.remove(node, safe=True)
    for name in [name for name, value in graph.initializers.items() if not value.uses()]:
        del graph.initializers[name]
    return len(made)


def stored_bytes(weights: Mapping[str, Tensor], item_bytes: int) -> int:
    """Bytes of a part's tensors in a type of so many bytes: what an export of it takes at most."""
    return sum(math.prod(tensor.shape) for tensor in weights.values()) * item_bytes


def _is_float(dtype: np.dtype[Any]) -> bool:
    return dtype.kind == "f" or dtype.name.startswith(("bfloat", "float"))


def _bits(values: NDArray[Any]) -> torch.Tensor:
    """An array as torch sees its bits, whatever its type."""
    return torch.from_numpy(values.view(f"i{values.dtype.itemsize}"))


def _all_finite(values: NDArray[Any]) -> bool:
    if values.dtype == ml_dtypes.bfloat16 or values.dtype == np.float16:
        ceiling = 0x7F80 if values.dtype == ml_dtypes.bfloat16 else 0x7C00
        bits = values.view(np.uint16) & np.uint16(0x7FFF)
        return not bits.size or int(bits.max()) < ceiling
    return not values.size or bool(np.isfinite(values.max()) and np.isfinite(values.min()))
