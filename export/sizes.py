"""The size of every value of an ONNX graph at given sizes of its inputs, without running it.

Shapes go through the nodes one by one, with the values of small whole-number tensors, for those are
what later shapes are made of. An operator that is not known here is asked of onnx's own inference.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from . import operator_values, operators

Shape: TypeAlias = tuple[int, ...]

_BITS: dict[int, int] = {
    TensorProto.INT4: 4,
    TensorProto.UINT4: 4,
    TensorProto.FLOAT4E2M1: 4,
    TensorProto.BFLOAT16: 16,
    TensorProto.FLOAT8E4M3FN: 8,
    TensorProto.FLOAT8E5M2: 8,
    TensorProto.FLOAT8E8M0: 8,
}
SMALL = 4096
"""Elements up to which a tensor's values are followed."""


@dataclass(frozen=True)
class Known:
    """What is known of a value."""

    shape: Shape
    kind: int
    """Element type, of onnx.TensorProto."""
    value: NDArray[Any] | None = None
    """What it holds, where that is small and known."""
    constant: bool = False
    """Whether it is the same in every run."""

    @property
    def bytes(self) -> int:
        """What it takes in memory."""
        return math.ceil(math.prod(self.shape) * bits(self.kind) / 8)


def bits(kind: int) -> int:
    """Bits of an element of a type of onnx.TensorProto."""
    found = _BITS.get(kind)
    if found is None:
        found = 8 * int(np.dtype(helper.tensor_dtype_to_np_dtype(kind)).itemsize)
    return found


def weights_of(model: onnx.ModelProto, folder: Path) -> dict[str, Known]:
    """Return what a graph's initialisers are; small ones with their values."""
    found = {}
    overridable = {port.name for port in model.graph.input}
    for tensor in model.graph.initializer:
        shape = tuple(tensor.dims)
        value = None
        if math.prod(shape) <= SMALL and tensor.data_type in (
            TensorProto.INT64,
            TensorProto.INT32,
            TensorProto.FLOAT,
            TensorProto.BOOL,
        ):
            with contextlib.suppress(OSError):  # its file may not be there yet
                value = numpy_helper.to_array(tensor, str(folder))
        found[tensor.name] = Known(
            shape, tensor.data_type, value, constant=tensor.name not in overridable
        )
    return found


def follow(
    model: onnx.ModelProto, weights: Mapping[str, Known], inputs: Mapping[str, Shape]
) -> dict[str, Known]:
    """Return what every value of a graph is when its inputs have these shapes.

    Raises:
        ValueError: the shapes do not fit together; names the node.
    """
    known = dict(weights)
    for port in model.graph.input:
        if port.name in inputs:
            known[port.name] = Known(inputs[port.name], port.type.tensor_type.elem_type)
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    for node in model.graph.node:
        given = [known.get(name) if name else None for name in node.input]
        try:
            made = _outputs(node, given, opsets)
        except (ArithmeticError, IndexError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{node.op_type} {node.name or node.output[0]}: {error}") from error
        for name, one in zip(node.output, made, strict=False):
            if name:
                known[name] = one
    return known


def _outputs(
    node: onnx.NodeProto, given: Sequence[Known | None], opsets: Mapping[str, int]
) -> list[Known]:
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    rule: Callable[..., Any] | None = operators.RULES.get(node.op_type)
    constant = all(one is None or one.constant for one in given)
    if rule is None:
        return _asked(node, given, opsets, constant)
    made = rule(
        [one.shape if one else None for one in given],
        [one.value if one else None for one in given],
        attributes,
        len(node.output),
    )
    held_by = [one.value if one else None for one in given]
    value = operator_values.value_of(node.op_type, held_by, attributes)
    kinds = [one.kind if one else 0 for one in given]
    kind = operator_values.kind_of(node.op_type, kinds, attributes)
    outputs = []
    for index, shape in enumerate(made):
        shape = tuple(int(size) for size in shape)
        held = None
        if node.op_type == "Shape":
            held = np.asarray(given[0].shape if given[0] else (), np.int64)[
                attributes.get("start", 0) : attributes.get("end")
            ]
        elif index == 0 and value is not None and value.size <= SMALL and value.shape == shape:
            held = value
        outputs.append(Known(shape, kind, held, constant))
    return outputs


def _asked(
    node: onnx.NodeProto,
    given: Sequence[Known | None],
    opsets: Mapping[str, int],
    constant: bool,
) -> list[Known]:
    """What onnx infers of one node; where it cannot, outputs are taken to be as the first input."""
    names = [name for name in node.input if name]
    infos = [
        helper.make_tensor_value_info(name, one.kind, one.shape)
        for name, one in zip(node.input, given, strict=True)
        if name and one is not None
    ]
    constants = [
        numpy_helper.from_array(one.value, name)
        for name, one in zip(node.input, given, strict=True)
        if one is not None and one.value is not None
    ]
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
    graph = helper.make_graph([node], "one", infos, outputs, constants)
    imports = [helper.make_opsetid(domain, version) for domain, version in opsets.items()]
    found = {}
    try:
        inferred = onnx.shape_inference.infer_shapes(
            helper.make_model(graph, opset_imports=imports), data_prop=True
        )
        for port in inferred.graph.output:
            kind = port.type.tensor_type
            if kind.elem_type and all(d.HasField("dim_value") for d in kind.shape.dim):
                shape = tuple(d.dim_value for d in kind.shape.dim)
                found[port.name] = Known(shape, kind.elem_type, None, constant)
    except onnx.shape_inference.InferenceError:
        pass
    first = next((one for one in given if one is not None), None)
    if first is None and not names and not found:
        raise ValueError("nothing is known of what it makes")
    fallback = Known(first.shape if first else (), first.kind if first else TensorProto.FLOAT)
    return [found.get(name, fallback) for name in node.output]
