"""What predictions are held against: runs of networks that somebody timed, and their counts.

Measured ones come from `prediction_measure`, on this machine; published ones from published.json,
other people's software on other people's machines. A point is some passes of networks and the
seconds that they took together; what they compute is counted from full-size manifests.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..engines.calibration import Reached
from ..engines.devices import Hardware, find_device
from ..runtime.bundle import Bundle, load_bundle
from ..runtime.cost import PhaseCost, Work, phase_costs
from ..runtime.durations import run_seconds
from ..runtime.take import find_family
from .manifest_only import FOLDER

PUBLISHED = Path(__file__).with_name("published.json")
MEASURED = Path(__file__).with_name("results") / "prediction_measured.json"


@dataclass(frozen=True)
class Point:
    """One timed thing."""

    id: str
    device: str
    """Name in the table of devices."""
    costs: tuple[tuple[PhaseCost, float], ...]
    """What was run, and how often."""
    seconds: float
    fit: bool
    """Whether shares are fitted on it, else it is only compared."""
    fused: bool = True
    """Whether its software joins elementwise nodes, so that less is moved."""
    bound: str | None = None
    """"upper" where the seconds are a limit."""
    facts: dict[str, Any] | None = None

    @property
    def hardware(self) -> Hardware:
        """The device's row."""
        return find_device(self.device)

    def predicted(self, reached: Reached) -> float:
        """Seconds as predicted with some shares."""
        return sum(times * run_seconds(cost, self.hardware, reached) for cost, times in self.costs)


def published(path: Path = PUBLISHED) -> list[Point]:
    """Return the published points whose model's manifest is there."""
    points = []
    for row in json.loads(path.read_text(encoding="utf-8"))["points"]:
        folder = FOLDER / row["family"]
        if not (folder / "bundle.json").is_file():
            continue
        bundle = load_bundle(folder)
        plan = find_family(bundle).plan(
            bundle,
            height=row["height"],
            width=row["width"],
            num_frames=row["frames"],
            steps=2,
            guidance=1.0,
        )
        costs = tuple(
            (cost, passes * cost.runs / _runs(bundle, plan, name))
            for name, passes in row["passes"].items()
            for cost in _costs(bundle, plan, name, "fused")
        )
        points.append(
            Point(
                id=row["id"],
                device=row["device"],
                costs=costs,
                seconds=row["seconds"],
                fit=row["fit"],
                fused=row["fused"],
                bound=row["bound"],
                facts={key: row[key] for key in ("software", "settings", "assumed", "source")},
            )
        )
    return points


def measured(path: Path = MEASURED) -> list[Point]:
    """Return what was measured on this machine, network by network; empty where nothing was."""
    if not path.is_file():
        return []
    points = []
    for row in json.loads(path.read_text(encoding="utf-8"))["rows"]:
        for name, timed in row["networks"].items():
            costs = [_cost(one) for one in timed["costs"]]
            counted = sum(one.runs for one in costs)
            if not counted or not timed["runs"]:
                continue
            points.append(
                Point(
                    id=f"{row['id']} {name}",
                    device=row["device"],
                    costs=tuple((one, timed["runs"] * one.runs / counted) for one in costs),
                    seconds=timed["seconds"],
                    fit=True,
                )
            )
    return points


def _cost(told: Mapping[str, Any]) -> PhaseCost:
    return PhaseCost(**{**told, "work": tuple(Work(**one) for one in told["work"])})


def _costs(bundle: Bundle, plan: Any, component: str, graph: Any) -> Sequence[PhaseCost]:
    return [one for one in phase_costs(bundle, plan, graph=graph) if one.component == component]


def _runs(bundle: Bundle, plan: Any, component: str) -> float:
    """Runs of a component that make one pass: a decoder's pieces together are one."""
    costs = _costs(bundle, plan, component, "fused")
    return 1.0 if "decoder" in component else float(sum(one.runs for one in costs))
