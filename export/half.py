"""A float32 graph in half precision: products and what lies between them, not what would overflow.

Products run in half precision; so do the cheap nodes between them. What sums, squares, divides or
raises (statistics of norms, softmax, positions and noise levels) stays in float32, and so does
whatever works on values that are not activations. Inputs and outputs stay float32.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as passes

from ..engines.errors import BundleError
from .layers import stem
from .store import Made
from .stored import Stored

LARGEST_HALF = 65504.0

_FLOAT = ir.DataType.FLOAT
_HALF = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)
PRODUCTS = ("MatMul", "Gemm", "Conv", "ConvTranspose", "Einsum")
BETWEEN = (
    "Add", "Sub", "Mul", "Relu", "LeakyRelu", "PRelu", "Clip", "Sigmoid", "HardSigmoid",
    "HardSwish", "Tanh", "Gelu", "Neg", "Max", "Min", "MaxPool", "Reshape", "Transpose", "Concat",
    "Slice", "Split", "Squeeze", "Unsqueeze", "Flatten", "Expand", "Tile", "Pad", "Identity",
    "DepthToSpace", "SpaceToDepth",
)  # fmt: skip
"""Nodes that run in half precision where products stand before them and behind them."""
_SENSITIVE = (
    "ReduceMean", "ReduceSum", "ReduceL2", "ReduceProd", "Pow", "Sqrt", "Exp", "Log", "Div",
    "Reciprocal", "Softmax", "Erf", "Sin", "Cos", "CumSum", "GridSample",
    "InstanceNormalization", "GroupNormalization", "LayerNormalization", "RMSNormalization",
)  # fmt: skip
_FIRST_ONLY = (
    "Reshape", "Transpose", "Slice", "Split", "Squeeze", "Unsqueeze", "Flatten", "Expand", "Tile",
    "MaxPool", "Identity", "DepthToSpace", "SpaceToDepth",
)  # fmt: skip
_TYPE_ATTRIBUTES = ("to", "dtype", "output_dtype")


def computes_half(model: ir.Model) -> bool:
    """Whether a graph multiplies weights in half precision; stored so alone does not count."""
    return any(
        node.op_type in PRODUCTS and node.inputs[1] is not None and node.inputs[1].dtype in _HALF
        for node in model.graph
    )


def to_half(model: ir.Model, dtype: ir.DataType, keep: Collection[ir.Node] = ()) -> list[str]:
    """Let a float32 graph compute in half precision, in place; weights are rounded on their way.

    keep: nodes that stay in float32. Returns the names of products that stay because a weight of
    theirs is beyond what float16 holds.
    """
    too_large = [
        node
        for node in model.graph
        if node.op_type in PRODUCTS and dtype == ir.DataType.FLOAT16 and _overflows(node)
    ]
    running = _running(model.graph, {*keep, *too_large})
    _Narrower(model, dtype, running).run()
    return [str(node.name or node.outputs[0].name) for node in too_large]


def swap_half(model: ir.Model, dtype: ir.DataType) -> None:
    """Let a graph in one half precision compute in the other, in place.

    Raises:
        BundleError: a weight is beyond what float16 holds.
    """
    other = next(half for half in _HALF if half != dtype)
    for node in model.graph.all_nodes():
        for name, attribute in list(node.attributes.items()):
            if name in _TYPE_ATTRIBUTES and attribute.value == int(other):
                node.attributes[name] = ir.AttrInt64(name, int(dtype))
            elif attribute.type == ir.AttributeType.TENSOR and attribute.value.dtype == other:
                narrow = _rounded(attribute.value, dtype, name)
                node.attributes[name] = ir.AttrTensor(name, narrow)
        for value in node.outputs:
            if value.dtype == other:
                value.type = ir.TensorType(dtype)
    for name, value in model.graph.initializers.items():
        if value.const_value is not None and value.const_value.dtype == other:
            value.const_value = _rounded(value.const_value, dtype, name)
            value.type = ir.TensorType(dtype)


def _running(graph: ir.Graph, keep: Collection[ir.Node]) -> set[ir.Node]:
    """Which nodes run in half precision."""
    running: set[ir.Node] = set()
    for node in graph:
        if node in keep or node.domain not in ("", "ai.onnx"):
            continue
        if node.op_type in PRODUCTS:
            running.add(node)
        elif node.op_type in BETWEEN:
            data = [value for value in _data(node) if value is not None]
            producers = [value.producer() for value in data]
            if any(one in running for one in producers if one) and not _is_statistic(node):
                running.add(node)
    return running


def _is_statistic(node: ir.Node) -> bool:
    """Whether a cheap node is part of a sum or a square that must not be rounded."""
    users = [use.node.op_type in _SENSITIVE for output in node.outputs for use in output.uses()]
    if node.op_type == "Mul" and node.inputs[0] is node.inputs[1]:
        return True
    if node.op_type not in ("Add", "Sub", "Mul") or not any(users):
        return False
    producers = [value.producer() for value in node.inputs if value is not None]
    return all(users) or any(one is not None and one.op_type in _SENSITIVE for one in producers)


def _data(node: ir.Node) -> list[ir.Value | None]:
    """The floating inputs of a node that may run in half precision."""
    if node.op_type in _FIRST_ONLY:
        return list(node.inputs[:1])
    if node.op_type == "Pad":
        return [node.inputs[0], *node.inputs[2:3]]
    return list(node.inputs)


class _Narrower:
    def __init__(self, model: ir.Model, dtype: ir.DataType, running: set[ir.Node]) -> None:
        self.model, self.graph, self.dtype, self.running = model, model.graph, dtype, running
        self._made: dict[tuple[ir.Value, ir.DataType], ir.Value] = {}

    def run(self) -> None:
        """Convert what runs in half precision, and cast at its borders."""
        for node in list(self.graph):
            if node not in self.running:
                continue
            floats = {id(value) for value in _data(node) if value is not None}
            for index, value in enumerate(node.inputs):
                if value is None or id(value) not in floats:
                    continue
                producer = value.producer()
                if producer in self.running:
                    continue
                node.replace_input_with(index, self._narrow(value, node))
        for node in list(self.graph):
            if node in self.running:
                for value in node.outputs:
                    self._widen_for_others(value)
        passes.RemoveUnusedNodesPass()(self.model)

    def _narrow(self, value: ir.Value, node: ir.Node) -> ir.Value:
        weight = stem(value)
        if weight is not None and weight.dtype in (_FLOAT, *_HALF):
            return self._constant(weight)
        key = value, self.dtype
        if key not in self._made:
            self._made[key] = self._cast(value, self.dtype, f"{value.name}.half", _after(value))
        return self._made[key]

    def _constant(self, weight: ir.Value) -> ir.Value:
        key = weight, self.dtype
        if key not in self._made:
            tensor = weight.const_value
            assert tensor is not None
            if tensor.dtype == self.dtype:
                self._made[key] = weight
            else:
                name = f"{weight.name}.half"
                made = ir.Value(name=name, shape=weight.shape, type=ir.TensorType(self.dtype))
                made.const_value = _rounded(tensor, self.dtype, name)
                self.graph.register_initializer(made)
                self._made[key] = made
        return self._made[key]

    def _widen_for_others(self, value: ir.Value) -> None:
        value.type = ir.TensorType(self.dtype)
        others = [use for use in value.uses() if use.node not in self.running]
        cast_back = [use for use in others if not self._is_own_cast(use.node)]
        if value.is_graph_output():
            inside, index = value, list(self.graph.outputs).index(value)
            name = str(value.name)
            inside.name = f"{name}.half"
            outside = self._cast(inside, _FLOAT, name, inside.producer())
            outside.shape = inside.shape
            self.graph.outputs[index] = outside
            for use in cast_back:
                use.node.replace_input_with(use.idx, outside)
        elif cast_back:
            wide = self._cast(value, _FLOAT, f"{value.name}.wide", value.producer())
            for use in cast_back:
                use.node.replace_input_with(use.idx, wide)

    def _is_own_cast(self, node: ir.Node) -> bool:
        return node.outputs[0] in self._made.values()

    def _cast(
        self, value: ir.Value, dtype: ir.DataType, name: str, after: ir.Node | None
    ) -> ir.Value:
        node = ir.node("Cast", [value], {"to": int(dtype)}, name=name)
        node.outputs[0].name, node.outputs[0].type = name, ir.TensorType(dtype)
        if after is None:
            self.graph.insert_before(self.graph[0], node)
        else:
            self.graph.insert_after(after, node)
        return node.outputs[0]


def _after(value: ir.Value) -> ir.Node | None:
    return value.producer()


def _overflows(node: ir.Node) -> bool:
    """Whether a float32 weight, or a bias, of a product has values that float16 lacks."""
    for value in node.inputs[1:]:
        weight = stem(value)
        if weight is None or weight.const_value is None or weight.dtype != _FLOAT:
            continue
        stored = _stored(weight.const_value, str(weight.name))
        if max((float(abs(piece).max()) for piece in stored.pieces()), default=0) > LARGEST_HALF:
            return True
    return False


def _stored(tensor: ir.TensorProtocol, name: str) -> Stored:
    shape = tuple(int(size) for size in tensor.shape.numpy())
    rows = shape if len(shape) > 1 else (1, max(1, tensor.size))
    return Stored(name, tensor, rows, 1)


def _rounded(tensor: ir.TensorProtocol, dtype: ir.DataType, name: str) -> ir.TensorProtocol:
    """The same values in another type: at once where they are few, else on their way."""
    numpy, shape = dtype.numpy(), tuple(int(size) for size in tensor.shape.numpy())
    if not isinstance(tensor, ir.ExternalTensor) or tensor.size == 0:
        values = np.asarray(tensor.numpy()).astype(np.float32)
        if dtype == ir.DataType.FLOAT16:
            limit = np.float32(LARGEST_HALF)
            values = np.clip(values, -limit, limit) if np.isfinite(values).all() else values
        return ir.Tensor(values.astype(numpy), dtype=dtype, name=name)
    stored = _stored(tensor, name)

    def pieces():  # type: ignore[no-untyped-def]
        for piece in stored.pieces():
            if dtype == ir.DataType.FLOAT16 and np.abs(piece).max(initial=0) > LARGEST_HALF:
                raise BundleError(
                    f"weight {name} is beyond what float16 holds ({LARGEST_HALF:.0f}): make it"
                    " bf16 instead"
                )
            yield piece.astype(numpy).reshape(-1)

    return Made(name, dtype, shape, pieces)
