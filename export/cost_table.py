"""The heaviest nodes of a network at some sizes, printed."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import onnx

from ..runtime.bundle import MANIFEST
from .cost import Counter, NodeCost
from .optimised import optimised
from .polynomials import Walk, graphs_of


def print_nodes(asked: argparse.Namespace) -> int:
    """Print a component's nodes, those that compute or move most first; returns the exit status.

    asked: bundle, nodes (the component), at ("SIZE=N"), graph, precision and top.
    """
    try:
        entry = _entry(asked.bundle, asked.nodes, asked.precision)
        sizes = {name: int(number) for name, _, number in (one.partition("=") for one in asked.at)}
        nodes = nodes_of(asked.bundle, entry, sizes, asked.graph)
    except (KeyError, ValueError) as error:
        print(f"{asked.bundle}: {error.args[0]}", file=sys.stderr)
        return 2
    flops, moved = sum(n.flops for n in nodes) or 1.0, sum(n.bytes for n in nodes) or 1.0
    heaviest = sorted(nodes, key=lambda n: -max(n.flops / flops, n.bytes / moved))
    print(f"{len(nodes)} nodes, {flops:.4g} operations, {moved:.4g} bytes")
    print(f"{'operator':22}{'kind':12}{'GFLOP':>10}{'share':>7}{'MB':>10}{'share':>7}  node")
    for n in heaviest[: asked.top]:
        print(
            f"{n.operator:22}{n.kind:12}{n.flops / 1e9:10.3f}{n.flops / flops:7.1%}"
            f"{n.bytes / 1e6:10.2f}{n.bytes / moved:7.1%}  {n.name[:60]}"
        )
    return 0


def nodes_of(
    folder: Path, entry: dict[str, Any], sizes: dict[str, int], graph: str
) -> list[NodeCost]:
    """Return what each node of a component's graph costs at some sizes.

    Raises:
        ValueError: a size is missing, or one is given that there is not.
    """
    plain, on_cpu, weights = graphs_of(folder, entry)
    if graph != "cpu":
        return _counted(onnx.load(str(plain), load_external_data=False), folder, sizes, graph)
    with optimised(on_cpu, weights, layouts=False) as (model, place):
        return _counted(model, place, sizes, graph)


def _counted(
    model: onnx.ModelProto, folder: Path, sizes: dict[str, int], graph: str
) -> list[NodeCost]:
    walk = Walk(model, folder)
    if set(walk.names) != set(sizes):
        wanted = " ".join(f"--at {name}=N" for name in walk.names) or "no --at"
        raise ValueError(f"its free sizes are others: give {wanted}")
    known = walk.at(sizes)
    counter = Counter(model, known, on_cpu=graph == "cpu", fused=graph == "fused")
    return list(counter.nodes(known))


def _entry(folder: Path, name: str, precision: str | None) -> dict[str, Any]:
    components = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["components"]
    if name not in components:
        raise ValueError(f"there is no network {name}: name one of {', '.join(components)}")
    entry: dict[str, Any] = components[name]
    if precision in (None, entry.get("precision", "fp32")):
        return entry
    variants: dict[str, dict[str, Any]] = entry.get("variants", {})
    if precision not in variants:
        raise ValueError(f"{name} is not there in {precision}")
    return variants[precision]
