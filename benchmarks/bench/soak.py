"""A thermal soak: what the first third of many renders cost, and what the last one did."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from .record import maybe_summary, summary
from .sensors import Reading, heat_summary

_SERIES = 600


def soak(
    runs: Sequence[dict[str, Any]], readings: Sequence[Reading], minutes: float | None
) -> dict[str, Any] | None:
    """Return the drift of renders that went on for some minutes; None where none did.

    Each third is of the time from the first render's beginning to the last one's end; a render is
    of the third in which it began. slow_down: the last third's median over the first's, 1 where
    nothing changed.
    """
    if minutes is None or not runs:
        return None
    begin, end = runs[0]["start"], runs[-1]["end"]
    third = (end - begin) / 3
    first = [run for run in runs if run["start"] <= begin + third]
    last = [run for run in runs if run["start"] >= end - third] or [runs[-1]]
    made: dict[str, Any] = {
        "minutes": minutes,
        "runs": len(runs),
        "walls": [[round(run["start"] - begin, 3), round(wall_of(run), 6)] for run in runs],
        "first_third": _third(first, readings),
        "last_third": _third(last, readings),
        "temperatures": _series(readings, begin, end),
    }
    before, after = made["first_third"]["wall"]["median"], made["last_third"]["wall"]["median"]
    return made | {"slow_down": round(after / before, 4)}


def wall_of(run: dict[str, Any]) -> float:
    """Return the seconds of a render."""
    return float(run["end"] - run["start"])


def _third(runs: Sequence[dict[str, Any]], readings: Sequence[Reading]) -> dict[str, Any]:
    begin, end = runs[0]["start"], runs[-1]["end"]
    inside = [one for one in readings if begin <= one.at <= end]
    heat = heat_summary(inside)
    clocks = [one.megahertz for one in inside if one.megahertz]
    return {
        "runs": len(runs),
        "wall": summary([wall_of(run) for run in runs]),
        "joules": maybe_summary([run["joules"] for run in runs]),
        "highest_celsius": None if heat is None else heat["highest"],
        "megahertz": round(statistics.fmean(clocks), 1) if clocks else None,
    }


def _series(readings: Sequence[Reading], begin: float, end: float) -> list[list[float]]:
    """[seconds, the hottest sensor's °C] over the time."""
    rows = [
        [round(one.at - begin, 1), round(max(one.celsius.values()), 1)]
        for one in readings
        if one.celsius and begin <= one.at <= end
    ]
    return rows[:: max(1, len(rows) // _SERIES)]
