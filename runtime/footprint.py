"""What a component takes in memory in a render, from the figures of its bundle's manifest.

`export.memory` says what the figures are. Bundles without them are planned by the rough figures
that their family tells.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ..engines.errors import BundleError
from .bundle import MANIFEST, Bundle, Component
from .figures import check, entry_of, sizes_of, value
from .shapes import ShapeSet

Graph = Literal["cpu", "main", "fused"]
"""A processor's graph; the main one, as ONNX Runtime runs it on a GPU; the main one as TensorRT
does, which never holds a whole matrix of attention scores."""

MAPPED_FROM = 512 * 2**20
"""Bytes of weights from which on a processor maps them from their file (see engines/ort.py)."""
ARENA = 1.5
"""What values take on a processor beside what they need at their peak: free pieces between those in
use, in ONNX Runtime's arena. Measured from 1.0 (LTX's denoiser) to 1.8 (SVD's decoder)."""
INSIDE_COPIES = 2
"""What weights inside a graph take on a processor, beside the graph: they are widened,
and laid out anew for its kernels. Those of a file beside are taken from there."""
_ROUGH_VALUE = 256
"""Bytes of activations to an element of the inputs, where nothing at all is known."""


@dataclass(frozen=True)
class Taken:
    """What one component takes, in bytes."""

    weights: int
    """Of weights while it is open."""
    least_weights: int | None
    """Of those, what must be there while it runs; None where the rest cannot be left out."""
    activations: int
    rough: bool = False
    """Whether the bundle had no figures for it."""


def figures_of(bundle: Bundle, component: Component, graph: Graph) -> Mapping[str, Any] | None:
    """Return a component's figures for one of its graphs, None where the bundle has none.

    Raises:
        BundleError: they are there and broken.
    """
    memory = entry_of(bundle, component).get("memory") or {}
    try:
        found = memory.get(graph) or memory.get("main")
        if found is None:
            return None
        if not found["peaks"]:
            raise ValueError("peaks")
        for peak in found["peaks"]:
            check(peak, len(found["sizes"]))
        int(found["weights"]), int(found["folded"])
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise BundleError(
            f"{bundle.folder / MANIFEST}: components.{component.name}.memory is broken ({error}): "
            "export the model again"
        ) from error
    return found  # type: ignore[no-any-return]


def taken(
    bundle: Bundle,
    component: Component,
    shapes: Iterable[ShapeSet],
    graph: Graph,
    rough: float | None,
) -> Taken:
    """Return what a component takes when it is run with these shapes, on a graph of its."""
    sets = list(shapes)
    figures = figures_of(bundle, component, graph)
    stored = component.stored_bytes
    if figures is None:
        elements = max((sum(math.prod(s) for s in one.values()) for one in sets), default=0)
        activations = elements * _ROUGH_VALUE if rough is None else int(rough)
        weights, folded = stored, 0
    else:
        activations = max(
            (activation_bytes(bundle, component.name, figures, s) for s in sets), default=0
        )
        weights, folded = int(figures["weights"]), int(figures["folded"])
    if graph != "cpu":
        return Taken(stored, None, activations, figures is None)
    activations = int(activations * ARENA)
    data = sum(file.bytes for file in component.data)
    if data >= MAPPED_FROM and not (figures or {}).get("packed"):
        return Taken(weights + folded, folded, activations, figures is None)
    used = weights + folded or stored
    resident = used if component.data else stored + INSIDE_COPIES * used
    return Taken(resident, None, activations, figures is None)


def activation_bytes(
    bundle: Bundle, name: str, figures: Mapping[str, Any], shapes: ShapeSet
) -> int:
    """Return what a run with some input shapes takes, by a graph's figures."""
    sizes = sizes_of(bundle, name, "memory", figures, shapes)
    return max(int(max(value(peak, sizes) for peak in figures["peaks"])), 0)
