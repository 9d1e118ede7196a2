"""How much memory a graph's activations take at most, as polynomials in the sizes of its inputs.

    python -m reverie.export.memory BUNDLE     adds the figures to a bundle that has none

Values are counted from the node that makes them to the last that reads them, in the order in which
ONNX Runtime runs the nodes with its arena off; what it works in place, views, constants and the
scratch memory of attention are counted as it has them, that of convolutions is left out. A
manifest's entry is

    memory  {"main": FIGURES, "cpu": FIGURES, "fused": FIGURES}
    FIGURES {sizes: names of free sizes, peaks: polynomials, weights: bytes, folded: bytes;
             packed: true where weights are packed when the graph is opened, see `integers`}

of a component's two graphs, and of the main one where attention is fused, if that differs. There
the peak is the largest of the polynomials, each [[coefficient, exponent of each size], ...].
A size named "rows_x4" is four times "rows". `weights` are the stored ones that a run reads,
`folded` what is worked out from them once, when the graph is opened.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from ..runtime import figures as read
from ..runtime.bundle import MANIFEST
from . import liveness, polynomials
from .integers import WHOLE
from .optimised import SMALL_GRAPH, optimised
from .polynomials import Walk, compact, fitted
from .sizes import Known

_NEAR = 1.01
_PROBES = 256


def component_memory(folder: Path, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of a component of a bundle, or of one of its variants.

    entry: what the manifest says of it. Graphs that cannot be followed are left out.
    """
    found: dict[str, Any] = {}
    plain, on_cpu, weights = polynomials.graphs_of(folder, entry)
    for name, path, fused in (
        ("main", plain, False),
        ("fused", plain, True),
        ("cpu", on_cpu, False),
    ):
        run_as_is = name != "cpu" or weights > SMALL_GRAPH
        if run_as_is and name == "cpu" and on_cpu == plain:
            continue
        figures = graph_memory(path, fused=fused, weight_bytes=None if run_as_is else weights)
        if figures is not None and figures != found.get("main"):
            found[name] = figures
    return found


def graph_memory(
    path: Path, *, fused: bool = False, weight_bytes: int | None = None
) -> dict[str, Any] | None:
    """Return one graph's figures, None where its sizes cannot be followed.

    fused: whether matrices of attention scores are never whole in memory, as in TensorRT.
    weight_bytes: of the graph, where it is to be taken as ONNX Runtime rewrites it.
    """
    if weight_bytes is None:
        return _figures(onnx.load(str(path), load_external_data=False), path.parent, fused)
    with optimised(path, weight_bytes) as (model, folder):
        return _figures(model, folder, fused)


def _figures(model: onnx.ModelProto, folder: Path, fused: bool) -> dict[str, Any] | None:
    walk = Walk(model, folder)
    axes = len(walk.names)
    rows: list[NDArray[np.float64]] = []
    static: tuple[int, int] = (0, 0)
    plan: liveness.Plan | None = None
    try:
        for known in walk.grid():
            if plan is None:
                plan = liveness.Plan(model, known, fused=fused)
                static = plan.static_bytes(known)
            rows.append(plan.live_bytes(known))
    except ValueError:
        return None
    whole = any(node.op_type in WHOLE for node in model.graph.node)
    return {
        **({"packed": True} if whole else {}),
        "sizes": list(walk.names),
        "peaks": [compact(one, axes) for one in _undominated(fitted(rows, axes), axes)],
        "weights": static[0],
        "folded": static[1],
    }


def evaluate(figures: Mapping[str, Any], sizes: Mapping[str, float]) -> float:
    """Return the bytes that `figures` tell for some sizes."""
    values = [float(sizes[name]) for name in figures["sizes"]]
    return max(read.value(peak, values) for peak in figures["peaks"])


def _undominated(polynomials: NDArray[np.float64], axes: int) -> NDArray[np.float64]:
    """The few polynomials of which one is the largest, or as good as, at whatever sizes."""
    if axes == 0:
        largest: NDArray[np.float64] = polynomials.max(axis=0, keepdims=True)
        return largest
    random = np.random.default_rng(0)
    probes = np.exp(random.uniform(np.log(2), np.log(20_000), (_PROBES, axes)))
    values = np.zeros((len(polynomials), _PROBES))
    for powers in itertools.product(range(3), repeat=axes):
        place: Any = (..., *powers)
        values += np.outer(polynomials[place], np.prod(probes**powers, axis=1))
    near = values * _NEAR >= values.max(axis=0)
    chosen: list[int] = []
    left = np.ones(_PROBES, bool)
    while left.any():
        best = int(near[:, left].sum(axis=1).argmax())
        chosen.append(best)
        left &= ~near[best]
    return polynomials[chosen]


def add_to_manifest(folder: Path) -> list[str]:
    """Write the figures of every component into a bundle's manifest; returns what was left out."""
    return polynomials.add_to_manifest(folder, "memory", component_memory)


def main(argv: Sequence[str] | None = None) -> int:
    """Add the figures to a bundle's manifest; its graphs stay as they are."""
    parser = argparse.ArgumentParser(
        prog="python -m reverie.export.memory", description=(main.__doc__ or "").split(";")[0]
    )
    parser.add_argument("bundle", type=Path, help="the folder of a bundle")
    folder = parser.parse_args(argv).bundle
    if not (folder / MANIFEST).is_file():
        print(f"{folder} is no bundle: it has no {MANIFEST}", file=sys.stderr)
        return 4
    for name in add_to_manifest(folder):
        print(f"{name}: its sizes cannot be followed; it is planned by rough figures")
    return 0


__all__ = ["Known", "add_to_manifest", "component_memory", "evaluate", "graph_memory"]

if __name__ == "__main__":
    sys.exit(main())
