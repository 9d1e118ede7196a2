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
import onnx_ir.passes.common as passes
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

    __slots__ = ("perm", "stream", "taps", "weight")

    def __init__(
        self,
        stream: Stream,
        weight: str,
        dtype: ir.DataType,
        shape: tuple[int, ...],
        perm: tuple[int, ...] | None = None,
        taps: tuple[int, int] | None = None,
    ) -> None:
        """perm: the order of its axes. taps: those of axis 2 that are added up, first and end."""
        super().__init__(weight, dtype, shape)
        self.stream, self.weight, self.perm, self.taps = stream, weight, perm, taps

    def blocks(self) -> Iterator[NDArray[Any]]:
        """Yield the values in order, flat, at most `BLOCK` at once."""
        return self.stream.blocks(self)

    def transposed(self, perm: tuple[int, ...]) -> Streamed:
        """Return the same weight with its axes in another order."""
        sizes = self.shape.numpy()
        shape = tuple(sizes[axis] for axis in perm)
        return Streamed(self.stream, self.weight, self.dtype, shape, perm)

    def added_up(self, first: int, end: int) -> Streamed:
        """Return the same weight with some of its axis 2 added up, one left."""
        shape = (*self.shape.numpy()[:2], 1, *self.shape.numpy()[3:])
        return Streamed(self.stream, self.weight, self.dtype, shape, taps=(first, end))


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
        if tensor.taps is not None:
            taps, rows = slice(*tensor.taps), max(1, BLOCK // max(1, values[:1].size))
            for top in range(0, len(values), rows):
                some = np.asarray(values[top : top + rows, :, taps], np.float32)
                if delta is not None:
                    some = some + delta[top : top + rows, :, taps]
                yield self._convert(tensor, some.sum(axis=2), None, wanted).reshape(-1)
                self._let_go(values[top : top + rows].nbytes)
            return
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
        if source is None or not isinstance(tensor, Streamed) or tensor.perm or tensor.taps:
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
    _drop_unread(graph)
    return len(made)


def _drop_unread(graph: ir.Graph) -> None:
    for name in [name for name, value in graph.initializers.items() if not value.uses()]:
        del graph.initializers[name]


def fold_taps(model: ir.Model) -> int:
    """Let weights that a graph adds up along axis 2, or takes one tap of, stream so.

    Returns how many do. That a tracer adds up in float32, between two casts, makes no difference:
    so does the stream.
    """
    graph, made = model.graph, dict[tuple[str, int, int], ir.Value]()
    for node in list(graph):
        if node.op_type not in ("ReduceSum", "Slice"):
            continue
        source, results = _between_casts(node)
        tensor = source.const_value if source is not None else None
        if source is None or not isinstance(tensor, Streamed) or len(tensor.shape) != 5:
            continue
        taps = _taps(node, int(tensor.shape.numpy()[2]))
        if tensor.perm is not None or tensor.taps is not None or taps is None:
            continue
        key = source.name or "", *taps
        if key not in made:
            added = tensor.added_up(*taps)
            made[key] = ir.Value(
                name=f"{source.name}.taps{taps[0]}to{taps[1]}",
                shape=added.shape,
                type=ir.TensorType(added.dtype),
            )
            made[key].const_value = added
            graph.register_initializer(made[key])
        for result in results:
            result.replace_all_uses_with(made[key])
    passes.RemoveUnusedNodesPass()(model)
    return len(made)


def _between_casts(node: ir.Node) -> tuple[ir.Value | None, list[ir.Value]]:
    """What a node reads and what it gives, each beyond a cast from a type and back to it."""
    source, result = node.inputs[0], node.outputs[0]
    before = None if source is None else source.producer()
    if before is None or before.op_type != "Cast" or before.inputs[0] is None:
        return source, [result]
    kind = before.inputs[0].dtype
    casts = [use.node for use in result.uses()]
    if all(cast.op_type == "Cast" and _target(cast) == kind for cast in casts):
        return before.inputs[0], [cast.outputs[0] for cast in casts]
    return source, [result]


def _target(cast: ir.Node) -> ir.DataType:
    return ir.DataType(cast.attributes["to"].as_int())


def _taps(node: ir.Node, size: int) -> tuple[int, int] | None:
    """The taps of axis 2 that a ReduceSum adds up, or the one that a Slice takes; None else."""
    numbers = [
        None if value is None else ir.convenience.get_const_tensor(value)
        for value in node.inputs[1:]
    ]
    if any(number is None for number in numbers):
        return None
    found = [number.numpy().reshape(-1).tolist() for number in numbers if number is not None]
    if node.op_type == "ReduceSum":
        kept = node.attributes.get("keepdims")
        return (0, size) if found == [[2]] and (kept is None or kept.as_int()) else None
    if len(found) < 3 or found[2] != [2] or found[3:] not in ([], [[1]]):
        return None
    first, end, _ = slice(found[0][0], found[1][0]).indices(size)
    return (first, end) if end == first + 1 else None


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
