"""What a run of a graph computes and moves, as polynomials in the sizes of its inputs.

    python -m reverie.export.cost BUNDLE      adds the figures to a bundle that has none
    python -m reverie.export.cost BUNDLE --nodes denoiser --at tokens=1536 --at length=128

Floating-point operations are counted as `operator_cost` says. Bytes are those that each node reads
and writes, its weights among them, as if nothing stayed in a cache between two nodes. A manifest's
entry is

    cost    {"main": FIGURES, "fused": FIGURES, "cpu": FIGURES}
    FIGURES {sizes: names of free sizes, weights: bytes, work: {KIND: {nodes, flops, bytes}}}

KIND is matmul, convolution, attention or elementwise; flops and bytes are polynomials. "main" is
the graph as it is written, for a GPU: what widens a weight is part of reading it, which counts its
stored bytes. "fused" is the same where attention scores are never in memory. "cpu" is what ONNX
Runtime's processor provider runs: a small graph with its nodes fused, a large one as written.
`weights` are the bytes of weights that a run reads, at the width in which they lie in memory.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from ..runtime.bundle import MANIFEST
from ..runtime.cost import KINDS, Kind
from . import operator_cost, polynomials
from .liveness import PRODUCTS, score_groups
from .optimised import optimised
from .polynomials import Walk
from .sizes import Known


@dataclass(frozen=True)
class NodeCost:
    """What one node computes and moves in a run."""

    name: str
    operator: str
    kind: Kind
    flops: float
    bytes: float


class Counter:
    """Says of each node of a graph what it computes and moves, at any sizes."""

    def __init__(
        self, model: onnx.ModelProto, known: Mapping[str, Known], *, on_cpu: bool, fused: bool
    ) -> None:
        """known: what the values are at any sizes. on_cpu, fused: see the module."""
        self._graph, self._on_cpu = model.graph, on_cpu
        self._stored = {tensor.name for tensor in model.graph.initializer}
        self._readers: dict[str, set[str]] = {}
        for node in model.graph.node:
            for name in node.input:
                self._readers.setdefault(name, set()).add(node.op_type)
        self._scores = self._attention_scores(known)
        self._unseen = self._scores if fused else set()
        self._read_as: dict[str, tuple[str, ...]] = {}
        self._still: set[str] = set(self._stored)  # the same in every run, unless overridden
        self._nodes = [
            (node, {a.name: helper.get_attribute_value(a) for a in node.attribute})
            for node in self._graph.node
            if self._runs(node, known)
        ]

    def nodes(self, known: Mapping[str, Known]) -> Iterator[NodeCost]:
        """Yield what each node that runs costs."""
        for node, attributes in self._nodes:
            kind, flops = operator_cost.of_node(
                node.op_type,
                node.domain,
                [known[name].shape if name else None for name in node.input],
                [known[name].shape for name in node.output if name],
                attributes,
            )
            if kind != "attention" and self._scores.intersection((*node.input, *node.output)):
                product = operator_cost.is_product(node.op_type)
                kind, flops = "attention", flops if product else 0.0
            name = node.name or node.output[0]
            yield NodeCost(name, node.op_type, kind, flops, self._moved(node, known))

    def weight_bytes(self, known: Mapping[str, Known]) -> int:
        """Bytes of weights that a run reads."""
        read = {
            name
            for node, _ in self._nodes
            for given in node.input[node.op_type in operator_cost.PARTIAL :]
            for name in self._resolved(given)
        }
        return sum(known[name].bytes for name in read & (self._stored | self._still))

    def _runs(self, node: onnx.NodeProto, known: Mapping[str, Known]) -> bool:
        """Whether a node is more than a part of reading a weight, or of opening the graph."""
        given = [name for name in node.input if name]
        if (
            node.op_type in ("Cast", "CastLike")
            and known[given[0]].kind == known[node.output[0]].kind
        ):
            self._read_as[node.output[0]] = self._resolved(given[0])
            if given[0] in self._still:
                self._still.add(node.output[0])
            return False  # every library leaves it out
        before_product = node.op_type == "DequantizeLinear" and all(
            operator_cost.is_product(reader)
            for output in node.output
            for reader in self._readers.get(output, {""})
        )
        still = all(name in self._still for name in given)
        if before_product or (still and not self._on_cpu):
            self._read_as[node.output[0]] = tuple(n for one in given for n in self._resolved(one))
        if not still:
            return not before_product
        # ONNX Runtime works out constants once, but for DequantizeLinear and what comes after.
        folded = node.op_type != "DequantizeLinear" and all(known[name].constant for name in given)
        if not self._on_cpu or folded:
            self._still.update(node.output)
            return False
        return not before_product

    def _resolved(self, name: str) -> tuple[str, ...]:
        return self._read_as.get(name, (name,))

    def _moved(self, node: onnx.NodeProto, known: Mapping[str, Known]) -> float:
        if node.op_type in operator_cost.VIEWS:
            return 0.0
        made = [name for name in node.output if name]
        given: Iterable[str] = dict.fromkeys(n for name in node.input for n in self._resolved(name))
        if node.op_type in operator_cost.PARTIAL:
            made, given = made * 2, list(given)[1:]
        names = (*made, *(name for name in given if name))
        return float(sum(known[name].bytes for name in names if name not in self._unseen))

    def _attention_scores(self, known: Mapping[str, Known]) -> set[str]:
        """Scores that a product makes and another one reads."""
        makers = {name: node.op_type for node in self._graph.node for name in node.output}
        found: set[str] = set()
        for group in score_groups(self._graph, known):
            made = any(makers[name] in PRODUCTS for name in group)
            if made and any(self._readers.get(name, set()) & PRODUCTS for name in group):
                found |= group
        return found


def component_cost(folder: Path, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of a component of a bundle, or of one of its variants.

    entry: what the manifest says of it. Graphs that cannot be followed are left out.
    """
    plain, on_cpu, weights = polynomials.graphs_of(folder, entry)
    main, fused = graph_cost(onnx.load(str(plain), load_external_data=False), folder)
    with optimised(on_cpu, weights, layouts=False) as (model, place):
        cpu = graph_cost(model, place, on_cpu=True)[0]
    found = {"main": main, "fused": fused, "cpu": cpu}
    return {
        name: figures
        for name, figures in found.items()
        if figures is not None and (name == "main" or figures != main)
    }


def graph_cost(
    model: onnx.ModelProto, folder: Path, *, on_cpu: bool = False
) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Return a graph's figures and those with attention fused, None where it cannot be followed."""
    walk = Walk(model, folder)
    rows: list[NDArray[np.float64]] = []
    counters: list[Counter] = []
    weights = [0, 0]
    counts: list[list[int]] = []
    try:
        for known in walk.grid():
            if not counters:
                counters = [
                    Counter(model, known, on_cpu=on_cpu, fused=fused) for fused in (False, True)
                ]
                weights = [counter.weight_bytes(known) for counter in counters]
            summed = [sum_by_kind(counter.nodes(known)) for counter in counters]
            counts = [[int(row[0]) for row in one] for one in summed]
            rows.append(np.concatenate([one[:, 1:].ravel() for one in summed]))
    except ValueError:
        return None, None
    axes = len(walk.names)
    fitted = iter(polynomials.fitted(rows, axes))
    made = []
    for held, nodes in zip(weights, counts, strict=True):
        work = {
            kind: {
                "nodes": count,
                "flops": polynomials.compact(next(fitted), axes),
                "bytes": polynomials.compact(next(fitted), axes),
            }
            for kind, count in zip(KINDS, nodes, strict=True)
        }
        work = {kind: one for kind, one in work.items() if one["nodes"]}
        made.append({"sizes": list(walk.names), "weights": held, "work": work})
    return made[0], made[1]


def sum_by_kind(nodes: Iterable[NodeCost]) -> NDArray[np.float64]:
    """Return (kinds, 3): how many nodes there are of each kind, their operations, their bytes."""
    found = np.zeros((len(KINDS), 3))
    for node in nodes:
        found[KINDS.index(node.kind)] += (1, node.flops, node.bytes)
    return found


def add_to_manifest(folder: Path) -> list[str]:
    """Write the figures of every component into a bundle's manifest; returns what was left out."""
    return polynomials.add_to_manifest(folder, "cost", component_cost)


def main(argv: Sequence[str] | None = None) -> int:
    """Add what each network computes and moves to a bundle's manifest, or print its nodes."""
    parser = argparse.ArgumentParser(
        prog="python -m reverie.export.cost", description=(main.__doc__ or "").split(";")[0]
    )
    add = parser.add_argument
    add("bundle", type=Path, help="the folder of a bundle")
    add("--nodes", metavar="COMPONENT", help="print this network's heaviest nodes instead")
    add("--at", action="append", default=[], metavar="SIZE=N", help="a free size, for --nodes")
    add("--graph", default="cpu", choices=("cpu", "main", "fused"))
    add("--precision", help="of the network, for --nodes (default: its own)")
    add("--top", type=int, default=20, help="how many nodes (default 20)")
    asked = parser.parse_args(argv)
    if not (asked.bundle / MANIFEST).is_file():
        print(f"{asked.bundle} is no bundle: it has no {MANIFEST}", file=sys.stderr)
        return 4
    try:
        if asked.nodes is not None:
            from .cost_table import print_nodes

            return print_nodes(asked)
        for name in add_to_manifest(asked.bundle):
            print(f"{name}: its sizes cannot be followed; its cost is not known")
    except (OSError, onnx.checker.ValidationError) as error:
        # Such as weights that are a link, or have several, which onnx does not read.
        why = str(error).splitlines()[0]
        print(f"{asked.bundle} cannot be read ({why}): copy its files plainly", file=sys.stderr)
        return 4
    return 0


if __name__ == "__main__":
    sys.exit(main())
