"""What a bundle's manifest says of a variant."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from .layers import Left
from .plans import Plans

WORST = 10
"""Layers whose error is named."""


def report(
    plans: Plans, left: Sequence[Left], before: int, entry: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what was done, what was kept and why, and what it costs.

    left: what stays beside what a table keeps. before: bytes of the network it was made from.
    entry: the variant's files.
    """
    rows = [(str(row), row.reason) for _, row in plans.kept]
    rows += [("*", one.reason) for one in left]
    errors = sorted(
        (plan.stored.error.decibels, plan.layer.name, plan.kind) for plan in plans.quantised
    )
    quantised = sum(plan.layer.size for plan in plans.quantised)
    total = quantised + sum(layer.size for layer, _ in plans.kept) + sum(one.size for one in left)
    after = entry["bytes"] + sum(data["bytes"] for data in entry.get("data", ()))
    said: dict[str, Any] = {
        "quantised": {
            "layers": dict(Counter(plan.label for plan in plans.quantised)),
            "smoothed": sum(plan.smooth is not None for plan in plans.quantised),
            "share": round(quantised / total, 4) if total else 0.0,
            "bytes_before": before,
            "bytes_after": after,
        },
        "kept": [
            {"pattern": pattern, "reason": reason, "count": count}
            for (pattern, reason), count in Counter(rows).items()
        ],
        "error": {},
    }
    if errors:
        said["error"]["weights"] = {
            "median_db": _finite(errors[len(errors) // 2][0]),
            "worst": [
                {"layer": name, "kind": kind, "db": _finite(decibels)}
                for decibels, name, kind in errors[:WORST]
            ],
        }
    return said


def _finite(decibels: float) -> float | None:
    """A ratio as JSON can hold it; None where nothing was lost."""
    return round(decibels, 2) if math.isfinite(decibels) else None
