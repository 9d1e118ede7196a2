"""Shares of peaks fitted on timed runs, and how far off they are where they were not fitted.

Least squares of the logarithm of predicted over measured seconds, by turns on one share after the
other, each pulled a little towards the middle of its range so that one which no point tells about
stays there. The error is that of leaving one machine out: fitted on the others, held against it.
GPUs of one architecture are left out together, for one tells too much of the other.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..engines.calibration import Reached
from .prediction_points import Point

SHARES = ("matmul", "convolution", "attention", "elementwise")
RANGES: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "gpu": {
        "matmul": (0.1, 0.9),
        "convolution": (0.1, 0.9),
        "attention": (1.0, 40.0),
        "elementwise": (0.1, 1.0),
        "products": (0.3, 1.0),
        "other": (0.3, 4.0),
        "eager": (0.3, 4.0),
        "node": (1e-6, 1e-5),
    },
    "cpu": {
        "matmul": (0.1, 1.0),
        "convolution": (0.1, 1.0),
        "attention": (0.1, 10.0),
        "elementwise": (0.02, 1.0),
        "products": (0.2, 4.0),
        "other": (0.1, 4.0),
        "eager": (0.1, 4.0),
        "node": (1e-6, 1e-4),
    },
}
"""Share -> the least and the most that it may be; bandwidth may be passed where caches or fusion
spare the memory; attention's is operations of its products to one that its softmax could do, so
that it passes 1. "eager" is "other" of software that joins no nodes, which Reverie's does: it is
fitted so that such points tell of the rest. "node" is seconds."""
PULL = 0.02
"""Weight of staying in the middle of the range, beside 1 for a point."""
_STEPS = (0.5, 0.25, 0.1, 0.04, 0.015)


def fit(points: Sequence[Point], kind: str) -> dict[str, float]:
    """Return the shares that predict some points best, by their names in `RANGES`."""
    ranges = RANGES[kind]
    values = {name: math.sqrt(low * high) for name, (low, high) in ranges.items()}

    def cost() -> float:
        fused, eager = reached_of(values), reached_of(values, eager=True)
        pulled = sum(
            PULL * math.log(values[name] / math.sqrt(low * high)) ** 2
            for name, (low, high) in ranges.items()
        )
        ratios = (
            point.predicted(fused if point.fused else eager) / point.seconds for point in points
        )
        return sum(math.log(ratio) ** 2 for ratio in ratios) + pulled

    best = cost()
    for step in _STEPS:
        for _ in range(60):
            before = best
            for name, (low, high) in ranges.items():
                for factor in (math.exp(step), math.exp(-step)):
                    old = values[name]
                    values[name] = min(max(old * factor, low), high)
                    now = cost()
                    if now < best - 1e-12:
                        best = now
                    else:
                        values[name] = old
            if before - best < 1e-9:
                break
    return values


def reached_of(values: Mapping[str, float], *, eager: bool = False) -> Reached:
    """Return shares as the package knows them; eager: of software that joins no nodes."""
    return Reached(
        compute={name: values[name] for name in SHARES},
        products_bandwidth=values["products"],
        other_bandwidth=values["eager" if eager else "other"],
        node_seconds=values["node"],
    )


def plain(values: Mapping[str, float]) -> dict[str, Any]:
    """Return shares as engines/calibration.json has them, rounded to what they mean."""
    reached = reached_of(values)
    return {
        "compute": {name: float(f"{share:.3g}") for name, share in reached.compute.items()},
        "products_bandwidth": float(f"{reached.products_bandwidth:.3g}"),
        "other_bandwidth": float(f"{reached.other_bandwidth:.3g}"),
        "eager_bandwidth": float(f"{values['eager']:.3g}"),
        "node_seconds": float(f"{reached.node_seconds:.3g}"),
    }


def machine_of(point: Point) -> str:
    """Return what is left out together: GPUs of one architecture are one machine."""
    architecture = point.hardware.architecture
    return point.device if architecture is None else architecture.name


def model_of(point: Point) -> str:
    """Return the first word of a point's name, which is its model."""
    return point.id.partition(" ")[0]


def leave_one_out(
    points: Sequence[Point], kind: str, group: Callable[[Point], str] = machine_of
) -> list[dict[str, Any]]:
    """Return each fitted point as predicted by shares fitted on the other groups alone."""
    fitted = [point for point in points if point.fit]
    rows = []
    for left in dict.fromkeys(group(point) for point in fitted):
        others = [point for point in fitted if group(point) != left]
        if not others:
            continue
        values = fit(others, kind)
        rows += [row_of(point, values) for point in fitted if group(point) == left]
    return rows


def row_of(point: Point, values: Mapping[str, float]) -> dict[str, Any]:
    """Return one line of a table of predicted against measured."""
    predicted = point.predicted(reached_of(values, eager=not point.fused))
    return {
        "id": point.id,
        "device": point.device,
        "seconds": point.seconds,
        "predicted_seconds": float(f"{predicted:.4g}"),
        "ratio": float(f"{predicted / point.seconds:.3g}"),
        **({"bound": point.bound} if point.bound else {}),
        **(point.facts or {}),
    }


def spread(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the median and the worst factor that predictions are off by, and on how many points.

    A factor is how often too long or too short, whichever it is: never below 1.
    """
    factors = factors_of(rows)
    return {
        "points": len(factors),
        "median_factor": float(f"{statistics.median(factors):.3g}"),
        "worst_factor": float(f"{factors[-1]:.3g}"),
    }


def factors_of(rows: Sequence[Mapping[str, Any]]) -> list[float]:
    """Return the factor that each prediction is off by, the worst last."""
    return sorted(math.exp(abs(math.log(row["ratio"]))) for row in rows)
