"""What becomes of each layer of a network in a precision: its kind, ranges, smoothing.

Smoothing follows SmoothQuant (arXiv:2211.10438), half of the difference going into the weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from . import blocks
from .keep import FOUR_BITS, WITH_ACTIVATIONS, Keep, why_kept
from .layers import Layer
from .stored import Stored

if TYPE_CHECKING:
    from .ranges import Range

SMOOTH_FROM = 3.0
"""How much larger than the usual channel's the largest activation must be to be smoothed."""
CLIPPED = {"conv": 1.0, "linear": 4.0}
"""Activations larger than so many times their 99.99th percentile are clipped there. Transformers
put meaning into single outliers, convolutions of pictures do not."""


@dataclass
class Plan:
    """What becomes of one layer."""

    layer: Layer
    kind: str
    """int8, fp8, int4, nvfp4: of its weights."""
    stored: Stored
    activations: bool = False
    smooth: NDArray[np.float32] | None = None
    """(channels,) what its activations are multiplied by."""
    range: float = 0.0
    """The largest magnitude of its activations, smoothed."""
    results: float = 0.0
    """The largest magnitude of what it gives, 0 where that is not known."""

    @property
    def label(self) -> str:
        """How it is counted in a report."""
        return (
            f"{self.kind} weights and activations" if self.activations else f"{self.kind} weights"
        )


@dataclass
class Plans:
    """What becomes of a network."""

    quantised: list[Plan] = field(default_factory=list)
    kept: list[tuple[Layer, Keep]] = field(default_factory=list)


def make_plans(
    family: str,
    component: str,
    layers: Sequence[Layer],
    precision: str,
    ranges: Mapping[str, Range] | None,
    *,
    activations: bool = True,
) -> Plans:
    """Decide for each layer; reads weights where smoothing asks for it.

    ranges: of activations, by name; None quantises weights alone.
    activations: whether nvfp4 quantises activations too where it has ranges.
    """
    made = Plans()
    for layer in layers:
        row = why_kept(family, component, layer, precision)
        if row is not None:
            made.kept.append((layer, row))
            continue
        kind = _kind(layer, precision)
        tensor = layer.weight.const_value
        assert tensor is not None
        stored = Stored(layer.name, tensor, layer.shape, layer.inner)
        plan = Plan(layer, kind, stored)
        if ranges is not None and (
            kind == precision in WITH_ACTIVATIONS or (kind == precision == "nvfp4" and activations)
        ):
            plan.range = _range(layer, layer.activations, ranges, clipped=precision == "int8")
            plan.activations = plan.range > 0
            plan.results = _range(layer, layer.results, ranges, clipped=True)
        made.quantised.append(plan)
    if precision == "int8" and ranges is not None:
        _smooth([plan for plan in made.quantised if plan.activations], ranges)
    return made


def _kind(layer: Layer, precision: str) -> str:
    if precision not in FOUR_BITS:
        return precision
    depth = layer.shape[layer.inner]
    if layer.kind == "conv" or layer.size % 2:
        return "int8"
    fits = blocks.block_size(depth) if precision == "int4" else depth % blocks.FP4_BLOCK == 0
    return precision if fits else "int8"


def _range(
    layer: Layer, names: Sequence[str], ranges: Mapping[str, Range], *, clipped: bool
) -> float:
    """The largest magnitude of what a layer multiplies or gives, 0 where it is not known."""
    found = [ranges.get(name) for name in names]
    if any(one is None or not np.isfinite(one.absmax) for one in found):
        return 0.0
    return max(
        _clipped(one, layer.kind) if clipped else one.absmax for one in found if one is not None
    )


def _clipped(one: Range, kind: str) -> float:
    most = CLIPPED[kind] * one.upper
    return min(one.absmax, most) if most > 0 else one.absmax


def _smooth(plans: Sequence[Plan], ranges: Mapping[str, Range]) -> None:
    """Let weights take over part of what makes channels of activations differ, in place."""
    groups: dict[str, list[Plan]] = {}
    for plan in plans:
        if len(set(plan.layer.activations)) == 1:
            groups.setdefault(plan.layer.activations[0], []).append(plan)
    for name, group in groups.items():
        size = ranges[name].channel_absmax
        channels = {plan.layer.shape[plan.layer.inner] for plan in group}
        if size is None or channels != {len(size)} or not np.isfinite(size).all():
            continue
        size = size.astype(np.float32)
        usual = float(np.median(size[size > 0])) if (size > 0).any() else 0.0
        if usual <= 0 or float(size.max()) < SMOOTH_FROM * usual:
            continue
        weights = np.max([plan.stored.inner_absmax(len(size)) for plan in group], axis=0)
        alive = (size > 0) & (weights > 0)
        factor = np.ones_like(size)
        factor[alive] = np.sqrt(weights[alive] / size[alive])
        factor[alive] /= np.exp(np.mean(np.log(factor[alive])))
        # Numbers that every floating type has.
        factor = np.clip(factor, 1 / 64, 64).astype(ml_dtypes.bfloat16).astype(np.float32)
        for plan in group:
            plan.smooth, plan.stored.smooth = factor, np.float32(1) / factor
            plan.range = float((size * factor).max())
