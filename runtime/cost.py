"""What a render computes and moves, phase by phase: pure arithmetic on a bundle's manifest.

export/cost.py says what the figures are and how they are counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from ..engines.errors import BundleError
from .bundle import MANIFEST, Bundle, Component
from .figures import check, entry_of, sizes_of, value
from .footprint import Graph
from .shapes import ShapeSet, counted_shapes, phases

Kind = Literal["matmul", "convolution", "attention", "elementwise"]
KINDS: tuple[Kind, ...] = ("matmul", "convolution", "attention", "elementwise")


@dataclass(frozen=True)
class Work:
    """One kind of work of one run of a component."""

    kind: Kind
    flops: float
    """Floating-point operations, or those on whole numbers in their place."""
    bytes: float
    """Read and written by its nodes, weights among them, at the widths they have in memory."""
    nodes: int


@dataclass(frozen=True)
class PhaseCost:
    """What a component does in a phase, with inputs of one size."""

    phase: str
    """As `shapes.Phase` has it."""
    component: str
    runs: int
    """How often a render runs it with inputs of this size."""
    work: tuple[Work, ...]
    """Of one run."""
    weight_bytes: int
    """Of weights that a run reads; they are among the bytes of its work."""
    precision: str

    @property
    def flops(self) -> float:
        """Operations of one run."""
        return sum(one.flops for one in self.work)

    @property
    def bytes(self) -> float:
        """Bytes that one run moves."""
        return sum(one.bytes for one in self.work)


def phase_costs(
    bundle: Bundle,
    plan: Any,
    precisions: Mapping[str, str] | None = None,
    *,
    graph: Graph = "cpu",
) -> tuple[PhaseCost, ...]:
    """Return what each network does in a render, in the order of the phases.

    A component that runs with inputs of several sizes has a row for each. Where a film takes
    several windows of a model's frames, it is one window. The text encoder is told even where
    prompts are baked; what interpolates and sharpens afterwards is not.

    Args:
        plan: of the family; `shapes.plan_for` makes one.
        precisions: component -> what it runs in; its own where nothing is said.
        graph: what runs it: "cpu", or on a GPU "main" (ONNX Runtime) and "fused" (TensorRT).

    Raises:
        BundleError: the bundle has no such figures, they are broken, or a component is not there in
            that precision.
    """
    wanted = precisions or {}
    shapes = counted_shapes(bundle, plan)
    rows = []
    for phase in phases(bundle, plan):
        for name in phase.components:
            component = bundle.component(name, wanted.get(name))
            for sizes, runs in shapes.get(name, ()):
                work, weights = work_of(bundle, component, sizes, graph=graph)
                precision = component.precision
                rows.append(PhaseCost(phase.name, name, runs, work, weights, precision))
    return tuple(rows)


def work_of(
    bundle: Bundle, component: Component, shapes: ShapeSet, *, graph: Graph = "cpu"
) -> tuple[tuple[Work, ...], int]:
    """Return the work of one run of a component with some input shapes, and the weights it reads.

    Raises:
        BundleError: the bundle has no figures for it, or they are broken.
    """
    figures = _figures_of(bundle, component, graph)
    sizes = sizes_of(bundle, component.name, "cost", figures, shapes)
    work = tuple(
        Work(
            cast(Kind, kind),
            max(value(one["flops"], sizes), 0.0),
            max(value(one["bytes"], sizes), 0.0),
            int(one["nodes"]),
        )
        for kind, one in figures["work"].items()
    )
    return work, int(figures["weights"])


def _figures_of(bundle: Bundle, component: Component, graph: Graph) -> Mapping[str, Any]:
    cost = entry_of(bundle, component).get("cost")
    mend = f"`python -m reverie.export.cost {bundle.folder}` adds it"
    if not cost:
        raise BundleError(
            f"{bundle.folder / MANIFEST}: what {component.name} computes in {component.precision} "
            f"is not said: {mend}"
        )
    try:
        found: Mapping[str, Any] = cost.get(graph) or cost["main"]
        for kind, one in found["work"].items():
            if kind not in KINDS or int(one["nodes"]) < 0:
                raise ValueError(f"work of the kind {kind}")
            check(one["flops"], len(found["sizes"]))
            check(one["bytes"], len(found["sizes"]))
        if int(found["weights"]) < 0:
            raise ValueError("weights")
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise BundleError(
            f"{bundle.folder / MANIFEST}: components.{component.name}.cost is broken ({error}): "
            f"{mend} anew"
        ) from error
    return found
