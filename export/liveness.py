"""Which values of a graph are in memory at the same time when ONNX Runtime runs it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray

from .operators import names
from .sizes import Known

VIEWS = frozenset(("Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity"))
"""Operators whose output is their first input, seen otherwise."""
IN_PLACE = frozenset(
    names(
        "Abs Add Ceil Clip Div Erf Exp Floor Gelu LeakyRelu Log Mul "
        "Neg Reciprocal Relu Sigmoid Softmax Sqrt Sub Tanh"
    )
)
"""Operators that write over an input that nobody else reads."""
ATTENTION = frozenset(("MultiHeadAttention", "Attention"))
PRODUCTS = frozenset(("MatMul", "FusedMatMul"))
"""Operators that make attention scores, and weigh values by them."""


class Plan:
    """The order in which a graph's nodes run, and how long each of its values is needed."""

    def __init__(
        self, model: onnx.ModelProto, known: Mapping[str, Known], *, fused: bool = False
    ) -> None:
        """known: what the values are at any sizes, from `sizes.follow`.

        fused: whether matrices of attention scores are never whole in memory, as in TensorRT.
        """
        self.graph = model.graph
        self._inferred = {} if fused else _inferred(model, known)
        groups = score_groups(model.graph, known) if fused else []
        self._unseen: set[str] = set().union(*groups)
        self._stored = {tensor.name for tensor in model.graph.initializer}
        self._constants = {
            name
            for node in self.graph.node
            for name in node.output
            if name and known[name].constant
        }
        nodes = list(self.graph.node)
        self.nodes = [nodes[i] for i in order(nodes) if not set(nodes[i].output) & self._constants]
        self._find_buffers(known)

    def static_bytes(self, known: Mapping[str, Known]) -> tuple[int, int]:
        """Bytes of stored weights that runs read, and of what is worked out from them at first."""
        read = {name for node in self.nodes for name in node.input}
        read |= {port.name for port in self.graph.output}
        return (
            sum(known[name].bytes for name in read & self._stored),
            sum(known[name].bytes for name in read & self._constants),
        )

    def live_bytes(self, known: Mapping[str, Known]) -> NDArray[np.float64]:
        """Bytes of activations while each node runs: its inputs, outputs and scratch included."""
        change = np.zeros(len(self.nodes) + 1)
        for name, (first, last) in self._spans.items():
            if name in self._unseen:
                continue
            change[first] += known[name].bytes
            change[last + 1] -= known[name].bytes
        live = np.cumsum(change)[:-1]
        total: NDArray[np.float64] = live + np.array([scratch(node, known) for node in self.nodes])
        return total

    def _find_buffers(self, known: Mapping[str, Known]) -> None:
        """Give each value a buffer of its own or another's, and each buffer its span of nodes."""
        uses: dict[str, int] = {}
        for node in self.nodes:
            for name in node.input:
                uses[name] = uses.get(name, 0) + 1
        results = {port.name for port in self.graph.output}
        owner: dict[str, str] = {}
        readers: dict[str, int] = {}  # of a buffer, still to come
        spans: dict[str, list[int]] = {}
        free: list[str] = []  # buffers that nobody reads any more, the last one first
        fixed = self._stored | self._constants | {port.name for port in self.graph.input}
        end = len(self.nodes) - 1
        for port in self.graph.input:
            if port.name not in self._stored and uses.get(port.name):
                spans[port.name] = [0, end]  # the caller's, all the time
        for index, node in enumerate(self.nodes):
            for name in node.input:
                held = owner.get(name)
                if held is not None:
                    readers[held] -= 1
                    spans[held][1] = max(spans[held][1], index)
            for place, name in enumerate(node.output):
                if not name:
                    continue
                taken = self._reused(node, place, name, known, owner, readers, fixed)
                if taken is None:
                    taken = self._taken_again(name, known, free)
                if taken is None:
                    owner[name], spans[name], readers[name] = name, [index, index], 0
                elif taken in fixed:
                    continue
                else:
                    owner[name] = taken
                    spans[taken][1] = index
                readers[owner[name]] += uses.get(name, 0)
                if name in results:
                    spans[owner[name]][1] = end
                    readers[owner[name]] += 1
            touched = dict.fromkeys(owner[n] for n in (*node.input, *node.output) if n in owner)
            free[:0] = [held for held in touched if readers[held] == 0 and held not in free]
        self._spans = {name: (first, last) for name, (first, last) in spans.items()}

    def _reused(
        self,
        node: onnx.NodeProto,
        place: int,
        name: str,
        known: Mapping[str, Known],
        owner: Mapping[str, str],
        readers: Mapping[str, int],
        fixed: set[str],
    ) -> str | None:
        """The buffer that an output is put into, None where it needs one of its own."""
        if place:
            return None
        if node.op_type in VIEWS:
            first = node.input[0]
            return owner.get(first, first if first in fixed else None)
        if node.op_type in IN_PLACE:
            for given in node.input:
                held = owner.get(given)
                if held is not None and readers[held] == 0 and self._same(given, name, known):
                    return held
        return None

    def _taken_again(self, name: str, known: Mapping[str, Known], free: list[str]) -> str | None:
        """A buffer that was done with, for a value of its very shape: it was kept for it.

        So ONNX Runtime holds on to one buffer for each shape of widened weights.
        """
        if not self._inferred:
            return None
        found = next((held for held in free if self._same(held, name, known)), None)
        if found is not None:
            free.remove(found)
        return found

    def _same(self, one: str, other: str, known: Mapping[str, Known]) -> bool:
        """Whether two values are of one size, and ONNX Runtime can tell before it runs."""
        if known[one].shape != known[other].shape or known[one].bytes != known[other].bytes:
            return False
        if not self._inferred:  # it is not ONNX Runtime that runs it
            return True
        first = self._inferred.get(one)
        return first is not None and first == self._inferred.get(other)


def _inferred(
    model: onnx.ModelProto, known: Mapping[str, Known]
) -> dict[str, tuple[int | str, ...]]:
    """Shapes that are known before any input is, names for free sizes."""
    sizes = [d for port in model.graph.input for d in port.type.tensor_type.shape.dim]
    if all(size.HasField("dim_value") for size in sizes):
        return {name: one.shape for name, one in known.items()}
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    found = {}
    graph = onnx.shape_inference.infer_shapes(bare, data_prop=False).graph
    for port in (*graph.value_info, *graph.input, *graph.output):
        if not port.type.tensor_type.HasField("shape"):
            continue
        shape = tuple(
            d.dim_value if d.HasField("dim_value") else d.dim_param
            for d in port.type.tensor_type.shape.dim
        )
        if all(isinstance(size, int) or (size and not size.startswith("unk__")) for size in shape):
            found[port.name] = shape
    return found


def score_groups(graph: onnx.GraphProto, known: Mapping[str, Known]) -> list[set[str]]:
    """Values between the two matrix products of each attention: scores, scaled, masked, weighed.

    A softmax that stands alone makes a group as well.
    """
    makers = {name: node for node in graph.node for name in node.output}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    groups: list[set[str]] = []
    for node in graph.node:
        if node.op_type != "Softmax":
            continue
        shape = known[node.output[0]].shape
        found: set[str] = set()
        todo = [node.output[0], node.input[0]]
        while todo:
            name = todo.pop()
            if name in found or name not in makers or known[name].shape != shape:
                continue
            found.add(name)
            if makers[name].op_type not in PRODUCTS:
                todo += makers[name].input
            todo += [o for reader in readers.get(name, ()) for o in reader.output]
        groups.append(found)
    return groups


def order(nodes: list[onnx.NodeProto]) -> list[int]:
    """Indices of nodes in the order in which ONNX Runtime runs them.

    It goes back from the last node that nobody reads, and does whatever input of a node stands
    later in the file first (GraphViewer, ReverseDFSFrom).
    """
    maker = {name: i for i, node in enumerate(nodes) for name in node.output if name}
    before = [sorted({maker[name] for name in _read(node) if name in maker}) for node in nodes]
    read = {i for inputs in before for i in inputs}
    stack = [(i, False) for i in range(len(nodes)) if i not in read]
    seen = [False] * len(nodes)
    found: list[int] = []
    while stack:
        index, done = stack.pop()
        if done:
            found.append(index)
        elif not seen[index]:
            seen[index] = True
            stack.append((index, True))
            stack.extend((i, False) for i in before[index] if not seen[i])
    return found


def _read(node: onnx.NodeProto) -> list[str]:
    """Names that a node reads, those that its subgraphs take from outside among them."""
    names = list(node.input)
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            names += [name for inner in attribute.g.node for name in _read(inner)]
    return names


def scratch(node: onnx.NodeProto, known: Mapping[str, Known]) -> float:
    """Bytes that a node needs beside its inputs and outputs while it runs."""
    if node.op_type in ATTENTION:
        # Query, key and value are laid out anew, head by head.
        given = [known[name] for name in node.input[:3] if name]
        return float(sum(one.bytes for one in given if len(one.shape) == 3))
    return 0.0
