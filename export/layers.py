"""The weights of a graph that can be quantised, and what each multiplies.

A layer is one stored weight and all the nodes that multiply by it: MatMul and Gemm are "linear",
Conv in any number of dimensions is "conv". Weights stored as float16 behind a Cast count as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Literal

import onnx_ir as ir

LEAST = 256
"""Elements below which a weight is not worth a node."""

_FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16)
_MULTIPLY = ("MatMul", "Gemm", "Conv", "ConvTranspose")


@dataclass(frozen=True)
class Layer:
    """One weight, and the nodes that multiply by it."""

    name: str
    """Where it is in the network: "transformer_blocks.0.attn1.to_q"."""
    kind: Literal["linear", "conv"]
    weight: ir.Value
    """The initializer."""
    nodes: tuple[ir.Node, ...]
    shape: tuple[int, ...]
    inner: int
    """Axis that is summed over: 0 for MatMul, 1 for convolutions and transposed Gemm."""
    groups: int
    """Of a convolution: 1, or more where channels do not all meet."""
    activations: tuple[str, ...]
    """Names of the values it multiplies, one for each node."""

    @property
    def results(self) -> tuple[str, ...]:
        """Names of the values it gives, one for each node."""
        return tuple(str(node.outputs[0].name) for node in self.nodes)

    @property
    def outer(self) -> int:
        """Axis of the output channels."""
        return 1 - self.inner

    @property
    def size(self) -> int:
        """Number of weights."""
        return prod(self.shape)


@dataclass(frozen=True)
class Left:
    """A weight that multiplies something and stays as it is."""

    name: str
    size: int
    reason: str


def find_layers(graph: ir.Graph) -> tuple[list[Layer], list[Left]]:
    """Return what can be quantised, and what cannot with the reason, in the graph's order."""
    layers, left, seen = list[Layer](), list[Left](), set[ir.Value]()
    for node in graph:
        if node.op_type not in _MULTIPLY or node.domain not in ("", "ai.onnx"):
            continue
        for value in node.inputs[:2]:
            weight = stem(value)
            if weight is None or weight in seen or weight.dtype not in _FLOATS:
                continue
            shape = tuple(int(size) for size in weight.const_value.shape.numpy())  # type: ignore[union-attr]
            if len(shape) < 2:
                continue
            seen.add(weight)
            found = _layer(graph, weight, shape)
            if isinstance(found, Layer):
                layers.append(found)
            else:
                left.append(Left(_name(weight, [node]), prod(shape), found))
    return layers, left


def stem(value: ir.Value | None) -> ir.Value | None:
    """Return the initializer that a value is, or is only cast from; None where there is none."""
    while value is not None and (node := value.producer()) is not None:
        if node.op_type not in ("Cast", "Identity"):
            return None
        value = node.inputs[0]
    if value is None or value.is_graph_input() or value.const_value is None:
        return None
    return value


def readers(value: ir.Value) -> Iterator[tuple[ir.Node, int]]:
    """Yield what reads a value, through casts: (node, which input)."""
    for use in value.uses():
        if use.node.op_type in ("Cast", "Identity"):
            yield from readers(use.node.outputs[0])
        else:
            yield use.node, use.idx


def _layer(graph: ir.Graph, weight: ir.Value, shape: tuple[int, ...]) -> Layer | str:
    """Return the layer of a weight, or why it is none."""
    uses = list(readers(weight))
    nodes = [node for node, _ in uses]
    if any(node.op_type == "ConvTranspose" for node in nodes):
        return "transposed convolution"
    if weight.is_graph_output() or any(
        index != 1 or node.op_type not in _MULTIPLY or node.graph is not graph
        for node, index in uses
    ):
        return "also used elsewhere, as a table or on the left of a product"
    forms = {_form(node) for node in nodes}
    if len(forms) != 1:
        return "used in two forms"
    kind, inner, groups = forms.pop()
    if kind == "linear" and len(shape) != 2:
        return "a product of many matrices at once"
    if inner < 0:
        return "its input is transposed in the product"
    if prod(shape) < LEAST:
        return "small"
    return Layer(
        name=_name(weight, nodes),
        kind=kind,
        weight=weight,
        nodes=tuple(nodes),
        shape=shape,
        inner=inner,
        groups=groups,
        activations=tuple(str(node.inputs[0].name) for node in nodes if node.inputs[0]),
    )


def _form(node: ir.Node) -> tuple[Literal["linear", "conv"], int, int]:
    """Kind, axis that is summed over (-1: not to be quantised), groups."""
    if node.op_type == "MatMul":
        return "linear", 0, 1
    if node.op_type == "Gemm":
        if _integer(node, "transA", 0):
            return "linear", -1, 1
        return "linear", 1 if _integer(node, "transB", 0) else 0, 1
    return "conv", 1, _integer(node, "group", 1)


def _integer(node: ir.Node, name: str, default: int) -> int:
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_int()


def _name(weight: ir.Value, nodes: list[ir.Node]) -> str:
    """A dotted name from the weight, or from the bias added behind it, else the node's own."""
    for value in (weight, *_biases(nodes[0])):
        name = str(value.name)
        for ending in (".fp16", ".turned"):
            name = name.removesuffix(ending)
        for ending in (".weight", ".bias"):
            if name.endswith(ending):
                return name.removesuffix(ending).removeprefix("network.")
    name = str(weight.name)
    return name.removeprefix("network.") if "." in name else str(nodes[0].name or name)


def _biases(node: ir.Node) -> Iterator[ir.Value]:
    added = list(node.inputs[2:])
    for use in node.outputs[0].uses():
        if use.node.op_type == "Add":
            added += use.node.inputs
    for value in added:
        # Biases of nothing but zeros were made one.
        if value is not None and value.const_value is not None and len(value.uses()) == 1:
            yield value
