"""A graph with its weights quantised: the nodes that say what `plans` decided.

Weights become DequantizeLinear of small numbers, activations QuantizeLinear and DequantizeLinear
around a scale that a calibration found, all of it symmetric; biases stay floats. TensorRT-RTX 1.7
builds every one of these forms, tried ahead of time on small graphs with float16 and bfloat16
around: int8 and fp8 with and without activations for MatMul, Gemm and convolutions in 1, 2 and 3
dimensions, also 7 x 5 channels (int8 for SM75 to SM120, fp8 from SM89); int4 in blocks of 32, 64
and 128 from SM86 on, SM75 refuses it; nvfp4 with and without activations for SM120. With float32
around, SM75 refuses int8 MatMul, Gemm and 3-D convolutions as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as passes
from numpy.typing import NDArray

from . import blocks
from .blocks import Blocks
from .integers import RESULTS
from .plans import Plan
from .store import Made

_TYPES = {
    "int8": ir.DataType.INT8,
    "fp8": ir.DataType.FLOAT8E4M3FN,
    "int4": ir.DataType.INT4,
    "nvfp4": ir.DataType.FLOAT4E2M1,
}
_TRT = "trt"


def quantise(model: ir.Model, plans: Sequence[Plan]) -> None:
    """Put the nodes of each plan into a graph, in place; weights become tensors made on the way.

    Each layer computes in what its first node's weight has now.
    """
    if not plans:
        return
    rewriter = _Rewriter(model)
    dtypes = {}
    for plan in plans:
        weight = plan.layer.nodes[0].inputs[1]
        assert weight is not None
        assert weight.dtype is not None
        dtypes[plan.layer] = weight.dtype
    for plan in plans:
        rewriter.weight(plan, dtypes[plan.layer])
    for plan in plans:
        if plan.activations:
            rewriter.activations(plan, dtypes[plan.layer])
    rewriter.finish()


class _Rewriter:
    def __init__(self, model: ir.Model) -> None:
        self.model, self.graph = model, model.graph
        self._taken: set[str] = set()
        self._ahead: list[ir.Node] = []
        self._made: dict[tuple[Any, ...], ir.Value] = {}

    def weight(self, plan: Plan, dtype: ir.DataType) -> None:
        """Put DequantizeLinear in the place of a weight."""
        stored, layer = plan.stored, plan.layer
        name = self._free(str(layer.weight.name))
        numpy = dtype.numpy()
        attributes: dict[str, Any]
        if plan.kind in ("int8", "fp8"):
            scales = blocks.channel_scales(stored.absmax(), plan.kind, numpy)
            scale = self._constant(f"{name}.scale", scales.astype(numpy), dtype)
            make = lambda: blocks.per_channel(stored, scales, plan.kind)  # noqa: E731
            attributes = {"axis": layer.outer}
        else:
            block = blocks.FP4_BLOCK
            if plan.kind == "int4":
                block = blocks.block_size(stored.depth) or 0
            parts = Blocks(stored, plan.kind, block, numpy)
            scale_type = dtype if plan.kind == "int4" else ir.DataType.FLOAT8E4M3FN
            scale = self._register(
                Made(f"{name}.scale", scale_type, parts.scale_shape, parts.scales)
            )
            if plan.kind == "nvfp4":
                absmax = float(stored.absmax().max(initial=0.0))
                parts.whole = blocks.whole_scale(absmax, numpy)
                whole = self._constant(
                    f"{name}.whole", np.array(parts.whole, np.float32).astype(numpy), dtype
                )
                scale = self._add("DequantizeLinear", [scale, whole], f"{name}.scales", dtype)
            make = parts.numbers
            attributes = {"axis": layer.inner, "block_size": block}
        numbers = self._register(Made(f"{name}.numbers", _TYPES[plan.kind], layer.shape, make))
        wide = self._add("DequantizeLinear", [numbers, scale], f"{name}.wide", dtype, attributes)
        wide.shape = ir.Shape(layer.shape)
        for node in layer.nodes:
            node.replace_input_with(1, wide)

    def activations(self, plan: Plan, dtype: ir.DataType) -> None:
        """Quantise what a layer multiplies its weight with."""
        for node in plan.layer.nodes:
            value = node.inputs[0]
            assert value is not None
            smooth = None if plan.smooth is None else plan.smooth.tobytes()
            key = (value, plan.kind, plan.layer.kind == "conv", plan.range, smooth)
            if key not in self._made:
                self._made[key] = self._quantised(value, plan, dtype)
            node.replace_input_with(0, self._made[key])
            if plan.results > 0:
                node.meta[RESULTS] = plan.results

    def _quantised(self, value: ir.Value, plan: Plan, dtype: ir.DataType) -> ir.Value:
        name, numpy = self._free(f"{value.name}.{plan.kind}"), dtype.numpy()
        producer, before = value.producer(), list[ir.Node]()

        def add(kind: str, inputs: list[ir.Value], ending: str, out: ir.DataType) -> ir.Value:
            return self._add(kind, inputs, f"{name}.{ending}", out, into=before)

        if plan.smooth is not None:
            factor = plan.smooth
            if plan.layer.kind == "conv":
                factor = factor.reshape(-1, *[1] * (len(plan.layer.shape) - 2))
            by = self._constant(f"{name}.smooth", factor.astype(numpy), dtype)
            value = add("Mul", [value, by], "smoothed", dtype)
        if plan.kind == "nvfp4":
            wide = self._fp4(value, plan, dtype, name, before)
        else:
            scale = blocks.rounded(
                np.array(plan.range / blocks.LARGEST[plan.kind], np.float32), numpy
            )
            step = self._constant(f"{name}.step", np.asarray(scale).astype(numpy), dtype)
            zero = self._zero(plan.kind)
            small = add("QuantizeLinear", [value, step, zero], "numbers", _TYPES[plan.kind])
            wide = add("DequantizeLinear", [small, step, zero], "wide", dtype)
        if producer is None:
            self._ahead += before
        else:
            self.graph.insert_after(producer, before)
        return wide

    def _fp4(
        self, value: ir.Value, plan: Plan, dtype: ir.DataType, name: str, before: list[ir.Node]
    ) -> ir.Value:
        """TensorRT's own node: blocks of 16 get scales while it runs, within one known scale."""
        whole = blocks.whole_scale(plan.range, dtype.numpy())
        step = self._constant(
            f"{name}.step", np.array(whole, np.float32).astype(dtype.numpy()), dtype
        )
        node = ir.node(
            "TRT_FP4DynamicQuantize",
            [value, step],
            {"axis": -1, "block_size": blocks.FP4_BLOCK, "scale_type": int(_TYPES["fp8"])},
            num_outputs=2,
            domain=_TRT,
        )
        for output, ending, kind in zip(
            node.outputs, ("numbers", "small"), ("nvfp4", "fp8"), strict=True
        ):
            output.name, output.type = f"{name}.{ending}", ir.TensorType(_TYPES[kind])
        before.append(node)
        numbers, small = node.outputs
        scales = self._add("DequantizeLinear", [small, step], f"{name}.scales", dtype, into=before)
        attributes = {"axis": -1, "block_size": blocks.FP4_BLOCK}
        self.graph.opset_imports[_TRT] = 1
        return self._add(
            "DequantizeLinear", [numbers, scales], f"{name}.wide", dtype, attributes, into=before
        )

    def finish(self) -> None:
        """Drop what nothing reads any more, and ask for the opset that the types need."""
        if self._ahead:
            self.graph.insert_before(self.graph[0], self._ahead)
        passes.RemoveUnusedNodesPass()(self.model)
        if any(v.dtype == ir.DataType.FLOAT4E2M1 for v in self.graph.initializers.values()):
            self.graph.opset_imports[""] = max(23, self.graph.opset_imports.get("", 0))
            self.model.ir_version = max(11, self.model.ir_version)
        else:
            self.graph.opset_imports[""] = max(21, self.graph.opset_imports.get("", 0))
            self.model.ir_version = max(10, self.model.ir_version)

    def _zero(self, kind: str) -> ir.Value:
        if ("zero", kind) not in self._made:
            numpy = np.dtype(np.int8 if kind == "int8" else ml_dtypes.float8_e4m3fn)
            self._made["zero", kind] = self._constant(
                self._free(f"zero.{kind}"), np.zeros((), numpy), _TYPES[kind]
            )
        return self._made["zero", kind]

    def _constant(self, name: str, values: NDArray[Any], dtype: ir.DataType) -> ir.Value:
        return self._register(ir.Tensor(values, dtype=dtype, name=name))

    def _register(self, tensor: ir.TensorProtocol) -> ir.Value:
        value = ir.Value(
            name=tensor.name, shape=ir.Shape(tensor.shape.numpy()), type=ir.TensorType(tensor.dtype)
        )
        value.const_value = tensor
        self.graph.register_initializer(value)
        return value

    def _add(
        self,
        kind: str,
        inputs: list[ir.Value],
        name: str,
        dtype: ir.DataType,
        attributes: Mapping[str, Any] | None = None,
        into: list[ir.Node] | None = None,
    ) -> ir.Value:
        node = ir.node(kind, inputs, attributes or {}, name=name)
        node.outputs[0].name, node.outputs[0].type = name, ir.TensorType(dtype)
        (self._ahead if into is None else into).append(node)
        return node.outputs[0]

    def _free(self, name: str) -> str:
        """A name that nothing else here begins with."""
        found, number = name, 2
        while found in self._taken:
            found, number = f"{name}.{number}", number + 1
        self._taken.add(found)
        return found
