"""A quantised graph in the form that ONNX Runtime's CPU provider runs.

It reads the same file of weights. float8 becomes Cast and Mul, since the provider's optimiser turns
float8 QuantizeLinear into nodes that it has no kernel for (ONNX Runtime 1.31); 4-bit floats, for
which it has none at all, are read as unsigned integers that choose from a table of 16. Then
all is widened to float32 as for half precision, weights one by one, but for products of int8, which
stay whole numbers (see `integers`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as passes

from . import formats, integers, widen

_FP8, _FP4 = ir.DataType.FLOAT8E4M3FN, ir.DataType.FLOAT4E2M1
_FLOAT = ir.DataType.FLOAT
_OPSET, _IR_VERSION = 21, 10


def for_processor(model: ir.Model, *, lean_from: int = widen.LEAN_FROM) -> None:
    """Rewrite a graph whose weights are written, in place."""
    graph = model.graph
    fp4 = any(value.dtype == _FP4 for value in graph.initializers.values())
    for node in list(graph):
        if node.op_type == "TRT_FP4DynamicQuantize":
            _skip_activations(node)
    passes.RemoveUnusedNodesPass()(model)
    for node in list(graph):
        if node.op_type == "DequantizeLinear" and node.inputs[0] is not None:
            if node.inputs[0].dtype == _FP8:
                _Plain(node).from_fp8()
            elif node.inputs[0].dtype == _FP4:
                _Plain(node).from_fp4()
        elif node.op_type == "QuantizeLinear" and node.outputs[0].dtype == _FP8:
            _Plain(node).to_fp8()
    passes.RemoveUnusedNodesPass()(model)
    graph.opset_imports.pop("trt", None)
    if fp4:
        graph.opset_imports[""], model.ir_version = _OPSET, _IR_VERSION
    widen.widen(model, lean_from=lean_from)
    integers.multiply_integers(model)


def _skip_activations(node: ir.Node) -> None:
    """Leave 4-bit activations as they are: no form of them runs here."""
    value = node.inputs[0]
    assert value is not None
    for use in list(node.outputs[0].uses()):
        use.node.outputs[0].replace_all_uses_with(value)


class _Plain:
    """Plain nodes in the place of one that quantises or dequantises."""

    def __init__(self, node: ir.Node) -> None:
        assert node.graph is not None
        self.node, self.graph = node, node.graph
        self.name = str(node.outputs[0].name)
        self.made: list[ir.Node] = []

    def from_fp8(self) -> None:
        """Number times scale, the scale along its axis."""
        numbers, scale = self.node.inputs[:2]
        assert numbers is not None
        assert scale is not None
        wide = self.add("Cast", [numbers], "cast", _FLOAT, to=int(_FLOAT))
        self.replace(self.add("Mul", [wide, self._along(scale, numbers)], "plain", _FLOAT))

    def to_fp8(self) -> None:
        """Divided by the scale and rounded; what is too large becomes the largest."""
        value, scale = self.node.inputs[:2]
        assert value is not None
        assert scale is not None
        scaled = self.add("Div", [value, scale], "scaled", _FLOAT)
        self.replace(self.add("Cast", [scaled], "plain", _FP8, to=int(_FP8), saturate=1))

    def from_fp4(self) -> None:
        """A table of 16 values, and each block's scale."""
        numbers, scale = self.node.inputs[:2]
        assert numbers is not None
        assert scale is not None
        stored = numbers.const_value
        assert stored is not None
        block = self.node.attributes["block_size"].as_int()
        axis = self.node.attributes["axis"].as_int()
        rows, columns = (int(size) for size in stored.shape.numpy())
        split = [rows // block, block, columns] if axis == 0 else [rows, columns // block, block]
        codes = self.add(
            "Cast", [self._codes(numbers)], "codes", ir.DataType.INT32, to=int(ir.DataType.INT32)
        )
        table = self.constant("table", formats.fp4_values())
        values = self.add("Gather", [table, codes], "values", _FLOAT)
        apart = self.add(
            "Reshape", [values, self.constant("apart", np.array(split))], "split", _FLOAT
        )
        each = self.add(
            "Unsqueeze", [scale, self.constant("axis", np.array([axis + 1]))], "each", _FLOAT
        )
        scaled = self.add("Mul", [apart, each], "scaled", _FLOAT)
        self.replace(
            self.add(
                "Reshape",
                [scaled, self.constant("whole", np.array([rows, columns]))],
                "plain",
                _FLOAT,
            )
        )

    def add(
        self, kind: str, inputs: list[ir.Value], ending: str, dtype: ir.DataType, **attributes: Any
    ) -> ir.Value:
        """Add a node; returns what it gives."""
        node = ir.node(kind, inputs, attributes, name=f"{self.name}.{ending}")
        node.outputs[0].name = f"{self.name}.{ending}"
        node.outputs[0].type = ir.TensorType(dtype)
        self.made.append(node)
        return node.outputs[0]

    def constant(self, ending: str, values: Any) -> ir.Value:
        """Add a small initializer."""
        tensor = ir.tensor(values, name=f"{self.name}.{ending}")
        shape = ir.Shape(tensor.shape.numpy())
        value = ir.Value(name=tensor.name, shape=shape, type=ir.TensorType(tensor.dtype))
        value.const_value = tensor
        self.graph.register_initializer(value)
        return value

    def replace(self, value: ir.Value) -> None:
        """Put what was made into the node's place."""
        self.graph.insert_before(self.node, self.made)
        self.node.outputs[0].replace_all_uses_with(value)
        self.graph.remove(self.node, safe=True)

    def _along(self, scale: ir.Value, numbers: ir.Value) -> ir.Value:
        tensor, stored = scale.const_value, numbers.const_value
        if tensor is None or stored is None or (tensor.size <= 1 and len(tensor.shape) == 0):
            return scale
        axis = self.node.attributes["axis"].as_int()
        axes = [number for number in range(len(stored.shape)) if number != axis % len(stored.shape)]
        return self.add(
            "Unsqueeze", [scale, self.constant("axes", np.array(axes))], "scales", _FLOAT
        )

    def _codes(self, numbers: ir.Value) -> ir.Value:
        """The same bytes as unsigned integers."""
        stored = numbers.const_value
        assert stored is not None
        name = f"{numbers.name}.codes"
        if name in self.graph.initializers:
            return self.graph.initializers[name]
        assert isinstance(stored, ir.ExternalTensor)
        shape = ir.Shape(stored.shape.numpy())
        value = ir.Value(name=name, shape=shape, type=ir.TensorType(ir.DataType.UINT4))
        value.const_value = ir.ExternalTensor(
            stored.location,
            stored.offset,
            stored.length,
            ir.DataType.UINT4,
            shape=shape,
            name=name,
            base_dir=stored.base_dir,
        )
        self.graph.register_initializer(value)
        return value
