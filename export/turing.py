"""Float32 products of a half-precision graph in the one form that TensorRT-RTX takes for Turing.

Layers that would overflow stay in float32 (T5's `wo`, Wan's time embedding). TensorRT-RTX 1.7 says
"FP32 GEMM is not supported" for SM75, and builds the same sums as a convolution over one place.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as passes

PRECISIONS = ("fp16", "int8")
"""What Turing computes in."""

_FLOAT, _INT64 = ir.DataType.FLOAT, ir.DataType.INT64


def as_convolutions(model: ir.Model) -> int:
    """Put convolutions in the place of float32 products of weights, in place; returns how many."""
    found = [node for node in model.graph if _shape(node) is not None]
    for node in found:
        _Conv(node).put()
    passes.RemoveUnusedNodesPass()(model)
    return len(found)


def _shape(node: ir.Node) -> tuple[int, int] | None:
    """(summed over, outputs) of a product that can be a convolution, None of any other."""
    if node.op_type not in ("MatMul", "Gemm") or len(node.inputs) < 2:
        return None
    weight = node.inputs[1]
    if weight is None or weight.dtype != _FLOAT:
        return None
    producer = weight.producer()
    stored = weight
    if producer is not None and producer.op_type == "DequantizeLinear" and producer.inputs[0]:
        stored = producer.inputs[0]
    if stored.const_value is None or len(stored.const_value.shape) != 2:
        return None
    rows, columns = (int(size) for size in stored.const_value.shape.numpy())
    if node.op_type == "MatMul":
        return rows, columns
    plain = all(
        _number(node, name, normal) == normal
        for name, normal in (("alpha", 1.0), ("beta", 1.0), ("transA", 0))
    )
    turned = _number(node, "transB", 0) == 1
    depth, width = (columns, rows) if turned else (rows, columns)
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    sizes = None if bias is None or bias.const_value is None else bias.const_value.shape.numpy()
    return (depth, width) if plain and (bias is None or sizes == (width,)) else None


def _number(node: ir.Node, name: str, default: float) -> float:
    attribute = node.attributes.get(name)
    return default if attribute is None else float(attribute.value)


class _Conv:
    def __init__(self, node: ir.Node) -> None:
        shape = _shape(node)
        assert shape is not None
        assert node.graph is not None
        self.node, self.graph, (self.depth, self.width) = node, node.graph, shape
        self.name = str(node.outputs[0].name)
        self.made: list[ir.Node] = []

    def put(self) -> None:
        """Put it in the product's place."""
        x, weight = self.node.inputs[0], self.node.inputs[1]
        assert x is not None
        assert weight is not None
        if self.node.op_type == "MatMul" or _number(self.node, "transB", 0) == 0:
            weight = self.add("Transpose", [weight], "turned", perm=[1, 0])
        kernel = self.add("Unsqueeze", [weight, self.constant("axis", [2])], "kernel")
        rows = self.add("Reshape", [x, self.constant("flat", [1, -1, self.depth])], "rows")
        columns = self.add("Transpose", [rows], "columns", perm=[0, 2, 1])
        bias = [value for value in self.node.inputs[2:] if value is not None]
        sums = self.add("Conv", [columns, kernel, *bias], "sums", kernel_shape=[1])
        back = self.add("Transpose", [sums], "back", perm=[0, 2, 1])
        sizes = self.add("Shape", [x], "sizes", _INT64, end=-1)
        whole = self.add(
            "Concat", [sizes, self.constant("width", [self.width])], "whole", _INT64, axis=0
        )
        output = self.node.outputs[0]
        result = self.add("Reshape", [back, whole], "result")
        result.shape = output.shape
        self.graph.insert_before(self.node, self.made)
        output.replace_all_uses_with(result, replace_graph_outputs=True)
        self.graph.remove(self.node, safe=True)
        result.name, output.name = self.name, None

    def add(
        self,
        kind: str,
        inputs: list[ir.Value],
        ending: str,
        dtype: ir.DataType = _FLOAT,
        **attributes: Any,
    ) -> ir.Value:
        """Add a node; returns what it gives."""
        node = ir.node(kind, inputs, attributes, name=f"{self.name}.{ending}")
        node.outputs[0].name, node.outputs[0].type = f"{self.name}.{ending}", ir.TensorType(dtype)
        self.made.append(node)
        return node.outputs[0]

    def constant(self, ending: str, numbers: list[int]) -> ir.Value:
        """Add a few whole numbers."""
        tensor = ir.tensor(np.array(numbers, np.int64), name=f"{self.name}.{ending}")
        shape = ir.Shape([len(numbers)])
        value = ir.Value(name=tensor.name, shape=shape, type=ir.TensorType(_INT64))
        value.const_value = tensor
        self.graph.register_initializer(value)
        return value
