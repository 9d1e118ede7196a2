"""Watching a graph's activations: small reductions worked out in the graph itself, as outputs.

A watched value never leaves the graph. Beside it stand its largest magnitude for each channel and a
sample of its values, and whoever reads it waits for both, so that no value is kept for later: the
peak is that of the plain run. The sample's places are `(k * prime + offset) mod size`, spread
evenly over the tensor and other ones at each run; a tensor of up to `SAMPLE` values is seen whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

KINDS = ("MatMul", "Gemm", "Conv", "ConvTranspose")
"""Nodes whose first input is multiplied with weights."""
RESULTS = ("Conv",)
"""Nodes whose results are watched too: as whole numbers they need a range."""
SAMPLE = 8192
"""Values of a tensor that are looked at in one run."""
OFFSET = "reverie.watch.offset"
"""Input int64 (1,) of a watched graph: where the sample begins."""

_PRIME = 2_147_483_647
_THROUGH = ("Cast", "Identity", "DequantizeLinear", "Transpose", "Reshape")
_PREFIX = "reverie.watch"


@dataclass(frozen=True)
class Point:
    """An activation that is multiplied with weights, or what a convolution gives."""

    name: str
    """The value's name in the graph."""
    nodes: tuple[str, ...]
    """Names of the nodes that multiply it; empty for what a convolution gives."""
    channels: int | None
    """How many channels it has, None where its readers see them on different axes."""
    rank: int | None
    """Number of axes, channels on axis 1, for convolutions; None has channels on the last axis."""


def weight_of(node: ir.Node) -> ir.Value | None:
    """Return the stored weights that a node of `KINDS` multiplies by, None where there are none."""
    value = node.inputs[1] if len(node.inputs) > 1 else None
    while value is not None and (producer := value.producer()) is not None:
        if producer.op_type not in _THROUGH:
            return None
        value = producer.inputs[0]
    return value if value is not None and value.const_value is not None else None


def find_points(graph: ir.Graph) -> dict[str, Point]:
    """Return every activation of a graph that is multiplied with weights, in the graph's order.

    Behind them stand the results of convolutions that nothing multiplies.
    """
    readers: dict[str, list[tuple[ir.Node, int | None, int | None]]] = {}
    for node in graph:
        value = node.inputs[0] if node.op_type in KINDS else None
        weight = weight_of(node) if value is not None else None
        if value is None or not value.name or weight is None or value.const_value is not None:
            continue
        readers.setdefault(value.name, []).append((node, *_channels(node)))
    points = {}
    for name, rows in readers.items():
        seen = {(channels, rank) for _, channels, rank in rows}
        channels, rank = seen.pop() if len(seen) == 1 else (None, None)
        nodes = tuple(node.name or node.outputs[0].name or "" for node, _, _ in rows)
        points[name] = Point(name, nodes, channels, rank)
    for node in graph:
        result = node.outputs[0].name if node.op_type in RESULTS else None
        if result and result not in points and weight_of(node) is not None:
            points[result] = Point(result, (), None, None)
    return points


def add_watch(model: ir.Model, points: Iterable[Point]) -> list[Point]:
    """Watch values of a graph, in place; returns the points that the graph has.

    The k-th of them gives the outputs `channels_of(k)`, float (channels,) or (1,), and
    `sample_of(k)`, at most `SAMPLE` values.
    """
    graph, there = model.graph, list[Point]()
    values = {value.name: value for value in _values(graph)}
    order = {node: number for number, node in enumerate(graph)}
    offset = _offset(graph)
    for point in points:
        value = values.get(point.name)
        uses = [
            use
            for use in (value.uses() if value is not None else ())
            if use.node in order
            and (
                not point.nodes
                or (use.idx == 0 and use.node.op_type in KINDS and weight_of(use.node) is not None)
            )
        ]
        if value is None or not uses:
            continue
        nodes, passed, outputs = _watch(value, point, offset, len(there))
        graph.insert_before(min((use.node for use in uses), key=order.__getitem__), nodes)
        for use in uses:
            use.node.replace_input_with(use.idx, passed)
        graph.outputs.extend(outputs)
        there.append(point)
    return there


def channels_of(number: int) -> str:
    """Name of the output that has a point's largest magnitudes."""
    return f"{_PREFIX}.{number}.channels"


def sample_of(number: int) -> str:
    """Name of the output that has a sample of a point's values."""
    return f"{_PREFIX}.{number}.sample"


def is_watch(output: str) -> bool:
    """Whether an output of a graph was added here."""
    return output.startswith(f"{_PREFIX}.")


def _channels(node: ir.Node) -> tuple[int | None, int | None]:
    """How many channels a node takes, and on which axis: (channels, rank), see `Point`."""
    weights = node.inputs[1]
    shape = _shape(weights) if weights is not None else None
    if shape is None:
        return None, None
    if node.op_type == "MatMul":
        return (shape[-2] if len(shape) > 1 else shape[0]), None
    if node.op_type == "Gemm":
        if _integer(node, "transA", 0):
            return None, None
        return shape[1 if _integer(node, "transB", 0) else 0], None
    if node.op_type == "ConvTranspose":
        return shape[0], len(shape)
    return shape[1] * _integer(node, "group", 1), len(shape)


def _shape(value: ir.Value) -> tuple[int, ...] | None:
    """Shape of weights behind what only changes their type or turns them."""
    if value.const_value is not None:
        return tuple(int(size) for size in value.const_value.shape.numpy())
    producer = value.producer()
    known = value.shape
    if known is not None and all(isinstance(size, int) for size in known):
        return tuple(int(size) for size in known.numpy())
    if producer is None or producer.inputs[0] is None or producer.op_type == "Reshape":
        return None
    before = _shape(producer.inputs[0])
    if before is not None and producer.op_type == "Transpose":
        perm = producer.attributes.get("perm")
        axes = perm.as_ints() if perm is not None else range(len(before))[::-1]
        return tuple(before[axis] for axis in axes)
    return before


def _integer(node: ir.Node, name: str, otherwise: int) -> int:
    attribute = node.attributes.get(name)
    return attribute.as_int() if attribute is not None else otherwise


def _values(graph: ir.Graph) -> Iterator[ir.Value]:
    yield from graph.inputs
    for node in graph:
        yield from node.outputs


def add_samples(model: ir.Model, names: Iterable[str]) -> list[str]:
    """Let a graph put out samples of some of its values, in place; returns those that it has.

    The k-th of them gives the output `sample_of(k)`. Two graphs give values of the same places
    where they are run with the same `OFFSET`, and their values have the same shape.
    """
    graph, there = model.graph, list[str]()
    values = {value.name: value for value in _values(graph)}
    offset = _offset(graph)
    for name in names:
        value = values.get(name)
        if value is None or value.producer() is None:
            continue
        uses = list(value.uses())
        made = _Nodes(len(there))
        sample = made.sample(value, offset)
        passed = made.behind(
            value, [made.add("ReduceMax", [made.add("Abs", [sample])], keepdims=0)]
        )
        producer = value.producer()
        assert producer is not None
        graph.insert_after(producer, made.nodes)
        for use in uses:
            use.node.replace_input_with(use.idx, passed)
        made.name(sample, sample_of(len(there)), value)
        graph.outputs.append(sample)
        there.append(name)
    return there


def _watch(
    value: ir.Value, point: Point, offset: ir.Value, number: int
) -> tuple[list[ir.Node], ir.Value, list[ir.Value]]:
    """The nodes that watch a value, the value again behind them, and what they put out."""
    made = _Nodes(number)
    if point.rank is None:
        rows = made.add("Reshape", [value, made.constant([-1, point.channels or 1])])
        axes = made.constant([0])
    else:
        rows, axes = value, made.constant([0, *range(2, point.rank)])
    high = made.add("ReduceMax", [rows, axes], keepdims=0)
    low = made.add("ReduceMin", [rows, axes], keepdims=0)
    channels = made.add("Max", [high, made.add("Neg", [low])])
    sample = made.sample(value, offset)
    largest = made.add("ReduceMax", [channels], keepdims=0)
    sampled = made.add("ReduceMax", [made.add("Abs", [sample])], keepdims=0)
    passed = made.behind(value, [largest, sampled])
    made.name(channels, channels_of(number), value)
    made.name(sample, sample_of(number), value)
    return made.nodes, passed, [channels, sample]


class _Nodes:
    """Nodes as they are made, their values named after the point they belong to."""

    def __init__(self, number: int) -> None:
        self.nodes: list[ir.Node] = []
        self._number = number

    def add(self, op: str, inputs: Sequence[ir.Value], /, **attributes: Any) -> ir.Value:
        node = ir.node(op, inputs, attributes or None)
        node.outputs[0].name = f"{_PREFIX}.{self._number}.{len(self.nodes)}"
        self.nodes.append(node)
        return node.outputs[0]

    def constant(self, values: int | list[int]) -> ir.Value:
        return self.add("Constant", [], value=ir.tensor(np.array(values, np.int64)))

    def name(self, made: ir.Value, name: str, like: ir.Value) -> None:
        """Make a value ready to be an output: one axis, of the type of another value."""
        made.name = name
        if like.type is not None:
            made.type, made.shape = like.type, ir.Shape([f"{name}.size"])

    def sample(self, value: ir.Value, offset: ir.Value) -> ir.Value:
        """Some of a value's numbers, (at most SAMPLE,)."""
        size = self.add("Size", [value])
        count = self.add("Min", [size, self.constant(SAMPLE)])
        steps = self.add("Range", [self.constant(0), count, self.constant(1)])
        places = self.add("Add", [self.add("Mul", [steps, self.constant(_PRIME)]), offset])
        places = self.add("Mod", [places, size])
        return self.add("Gather", [self.add("Reshape", [value, self.constant([-1])]), places])

    def behind(self, value: ir.Value, first: list[ir.Value]) -> ir.Value:
        """The same value, not there before some numbers of 0 and above are; no copy of it."""
        largest = self.add("Max", first) if len(first) > 1 else first[0]
        number = self.add("Cast", [largest], to=int(ir.DataType.FLOAT))
        below = self.add("Less", [number, self.add("Constant", [], value_float=0.0)])
        zero = self.add("Cast", [below], to=int(ir.DataType.INT64))
        shape = self.add("Add", [self.add("Shape", [value]), zero])
        passed = self.add("Reshape", [value, shape])
        if value.type is not None:
            passed.type, passed.shape = value.type, value.shape
        return passed


def _offset(graph: ir.Graph) -> ir.Value:
    offset = ir.Value(name=OFFSET, shape=ir.Shape([1]), type=ir.TensorType(ir.DataType.INT64))
    graph.inputs.append(offset)
    return offset
