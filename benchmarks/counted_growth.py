"""How the work of full-size networks grows, counted from their graphs: nothing is run for it.

A bundle's manifest holds polynomials of what each network computes (see export/cost.py). At several
sizes and lengths around the model's own they give the operations of each phase, the power with
which these grow from one point to the next, and how much of them is attention, which grows with the
square of the places that it looks at.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from ..runtime.bundle import Bundle, load_bundle
from ..runtime.cost import phase_costs
from ..runtime.take import find_family

SIDES = (0.5, 0.75, 1.0, 1.5)
LENGTHS = (0.25, 0.5, 1.0, 1.5)
"""Parts of a model's own height and width, and of its number of frames."""
LEAST_POWER = 0.01


@dataclass(frozen=True)
class Counted:
    """What a phase computes at one point, in operations."""

    model: str
    axis: str
    """"size" or "frames"."""
    phase: str
    x: int
    """Pixels of a frame, or frames."""
    flops: float
    attention: float

    @property
    def attention_share(self) -> float:
        """0 .. 1."""
        return self.attention / self.flops if self.flops else 0.0


def counted(folder: Path) -> list[Counted]:
    """Count a latent family's bundle along both axes, other things being its defaults.

    Raises BundleError where its manifest has no figures.
    """
    bundle = load_bundle(folder)
    found = [
        Counted(bundle.name, axis, name, x, *flops)
        for axis, x, plan in _plans(bundle)
        for name, flops in _phases(bundle, plan).items()
    ]
    return list({(c.axis, c.phase, c.x): c for c in found}.values())


def powers(points: list[Counted]) -> list[float]:
    """The power of growth between each two neighbours of one phase's points."""
    return [
        math.log(after.flops / before.flops) / math.log(after.x / before.x)
        for before, after in pairwise(points)
    ]


def lines(points: list[Counted]) -> list[str]:
    """A line for each phase and axis along which something grows."""
    told = []
    for key in dict.fromkeys((p.model, p.axis, p.phase) for p in points):
        along = [p for p in points if (p.model, p.axis, p.phase) == key]
        if len(along) < 2 or max(map(abs, powers(along))) < LEAST_POWER:
            continue
        model, axis, phase = key
        growth = ", ".join(f"{power:.2f}" for power in powers(along))
        shares = ", ".join(f"{p.attention_share:.0%}" for p in along)
        told.append(
            f"  {model} {phase} by {axis} ({', '.join(str(p.x) for p in along)}): power {growth};"
            f" attention {shares}"
        )
    return told


def as_json(points: list[Counted]) -> list[dict[str, Any]]:
    """Plain data."""
    return [
        {
            "model": p.model,
            "axis": p.axis,
            "phase": p.phase,
            "x": p.x,
            "flops": p.flops,
            "attention_share": p.attention_share,
        }
        for p in points
    ]


def _plans(bundle: Bundle) -> Iterator[tuple[str, int, Any]]:
    """Plans of rising size, then of rising length, each the nearest that the model can do."""
    family, own = find_family(bundle), bundle.section("defaults")
    height, width, frames = own["height"], own["width"], own["num_frames"]
    for share in SIDES:
        plan = family.plan(  # type: ignore[union-attr]
            bundle, height=round(share * height), width=round(share * width), num_frames=frames
        )
        yield "size", plan.width * plan.height, plan
    for share in LENGTHS:
        plan = family.plan(  # type: ignore[union-attr]
            bundle, height=height, width=width, num_frames=round(share * frames)
        )
        yield "frames", plan.num_frames, plan


def _phases(bundle: Bundle, plan: Any) -> dict[str, tuple[float, float]]:
    """Phase -> its operations, and those of attention among them."""
    found: dict[str, tuple[float, float]] = {}
    for cost in phase_costs(bundle, plan):
        flops, attention = found.get(cost.phase, (0.0, 0.0))
        attended = sum(work.flops for work in cost.work if work.kind == "attention")
        found[cost.phase] = flops + cost.runs * cost.flops, attention + cost.runs * attended
    return found
