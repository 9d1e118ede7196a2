"""A variant as a GPU computes it, for a processor: in float32, rounded wherever it rounds.

The graph for processors computes a half-precision variant in float32 throughout, and so shows the
rounding of weights alone. Here each value that the main graph has in half precision is rounded to
it on its way, and what is too large becomes infinity. Products are summed in float32, as tensor
cores do. Not seen: the order of sums, and what a library fuses without rounding between.
"""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx_ir as ir

from ..runtime.bundle import Bundle
from .calibrate import load_graph

_HALF = {
    onnx.TensorProto.FLOAT16: ir.DataType.FLOAT16,
    onnx.TensorProto.BFLOAT16: ir.DataType.BFLOAT16,
}
_FLOAT = ir.TensorType(ir.DataType.FLOAT)


def load_rounded(bundle: Bundle, name: str, precision: str | None = None) -> ir.Model:
    """Return a component's graph for processors, with what its main graph rounds rounded.

    Raises:
        BundleError: its files are not whole, or it is not there in that precision.
    """
    main = bundle.path(name, precision=precision)
    model = load_graph(bundle.path(name, device="cpu", precision=precision))
    halves = half_values(main)
    outputs = {value.name for value in model.graph.outputs}
    for node in list(model.graph):
        for value in node.outputs:
            half = halves.get(str(value.name))
            if half is None or value.name in outputs or not value.uses():
                continue
            _round(node, value, half)
    return model


def half_values(path: Path) -> dict[str, ir.DataType]:
    """Values that a graph works out in half precision, and in which."""
    model = onnx.load(path, load_external_data=False)
    graph = onnx.shape_inference.infer_shapes(model).graph
    return {
        value.name: _HALF[value.type.tensor_type.elem_type]
        for value in graph.value_info
        if value.type.tensor_type.elem_type in _HALF
    }


def _round(node: ir.Node, value: ir.Value, half: ir.DataType) -> None:
    uses = list(value.uses())
    narrow = ir.node("Cast", [value], {"to": int(half)})
    narrow.outputs[0].name = f"{value.name}.rounded"
    narrow.outputs[0].type = ir.TensorType(half)
    wide = ir.node("Cast", [narrow.outputs[0]], {"to": int(ir.DataType.FLOAT)})
    wide.outputs[0].name, wide.outputs[0].type = f"{value.name}.widened", _FLOAT
    wide.outputs[0].shape = value.shape
    assert node.graph is not None
    node.graph.insert_after(node, [narrow, wide])
    for use in uses:
        use.node.replace_input_with(use.idx, wide.outputs[0])
