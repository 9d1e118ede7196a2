"""The same graph for processors that do not compute in half precision.

Weights stay in half precision on disk, and mapped; each is widened to float32 when its turn comes.
ONNX Runtime's CPU provider has no kernels for bfloat16, and widens all of a float16 graph at once:
512 MiB of matrices then take 1142 MiB, and 660 MiB in the form made here, a run of 256 rows 2.1 s
instead of 1.5 s on two cores, opening no time instead of 4 s.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

LEAN_FROM = 512 * 2**20
"""Bytes of weights from which on they must not be widened all at once."""

_LARGE = 1 << 20
_HALF = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)
_FLOAT = ir.TensorType(ir.DataType.FLOAT)
_TYPE_ATTRIBUTES = ("to", "dtype", "output_dtype")


def has_half(model: ir.Model) -> bool:
    """Whether a graph computes in half precision anywhere."""
    values = [value for node in model.graph.all_nodes() for value in node.outputs]
    return any(value.dtype in _HALF for value in (*model.graph.initializers.values(), *values))


def widen(model: ir.Model, *, lean_from: int = LEAN_FROM) -> None:
    """Let a written graph compute in float32 on the same weights, in place.

    Where there are many, large weights become inputs with a default: no backend folds, packs or
    copies those ahead.
    """
    graph = model.graph
    stored = [
        value
        for value in graph.initializers.values()
        if isinstance(value.const_value, ir.ExternalTensor)
    ]
    lean = sum(value.const_value.nbytes for value in stored if value.const_value) >= lean_from
    for node in graph.all_nodes():
        for name, attribute in list(node.attributes.items()):
            if name in _TYPE_ATTRIBUTES and attribute.value in map(int, _HALF):
                node.attributes[name] = ir.AttrInt64(name, int(ir.DataType.FLOAT))
            elif attribute.type == ir.AttributeType.TENSOR and attribute.value.dtype in _HALF:
                node.attributes[name] = ir.AttrTensor(name, _widened(attribute.value))
        for value in node.outputs:
            if value.dtype in _HALF:
                value.type = _FLOAT
    casts = []
    for name, value in list(graph.initializers.items()):
        tensor = value.const_value
        if tensor is None or (tensor.dtype not in _HALF and not lean):
            continue
        if not isinstance(tensor, ir.ExternalTensor):
            if tensor.dtype in _HALF:
                value.const_value, value.type = _widened(tensor), _FLOAT
            continue
        if tensor.dtype in _HALF:
            cast = ir.node("Cast", [value], {"to": int(ir.DataType.FLOAT)})
            cast.outputs[0].name, cast.outputs[0].type = f"{name}.wide", _FLOAT
            cast.outputs[0].shape = value.shape
            value.replace_all_uses_with(cast.outputs[0])
            cast.replace_input_with(0, value)
            casts.append(cast)
        if lean and tensor.nbytes >= _LARGE:
            graph.inputs.append(value)
    # Ahead of all others in the file, each runs just before the node that needs it.
    graph.insert_before(graph[0], casts)


def _widened(tensor: ir.TensorProtocol) -> ir.TensorProtocol:
    return ir.tensor(tensor.numpy().astype(np.float32), name=tensor.name)
