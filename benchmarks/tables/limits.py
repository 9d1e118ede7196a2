"""Tables of what a machine can do at most, how much of it is reached, and how cost grows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .reading import Results
from .wording import NONE, Table, percent, rate, ratio, seconds, size


def ceilings(results: Results) -> Table:
    """The best that was seen of each kind of work, by precision and threads: ceilings_*.json."""
    rows = []
    for record in results.every("ceilings"):
        found = record["rows"]
        threads = sorted({row["threads"] for row in found if row["threads"] is not None})
        kinds = dict.fromkeys((row["kind"], row["operator"], row["arithmetic"]) for row in found)
        for kind in kinds:
            mine = [r for r in found if (r["kind"], r["operator"], r["arithmetic"]) == kind]
            best = {
                count: max(
                    (row for row in mine if row["threads"] == count),
                    key=lambda row: row["best"],
                    default=None,
                )
                for count in threads or [None]
            }
            told = ", ".join(
                f"{rate(row['best'], row['unit'])}"
                + (f" ({counted_threads(count)})" if count is not None else "")
                for count, row in best.items()
                if row is not None
            )
            rows.append((record["name"], kind[0], kind[1], kind[2], told or NONE))
    heads = ("machine", "kind of work", "operator", "precision", "best of all sizes")
    return Table(heads, (*rows,))


def counted_threads(count: int) -> str:
    """Return "1 thread" or "2 threads"."""
    return f"{count} thread{'s' * (count != 1)}"


def scaling(results: Results) -> Table:
    """How cost grows with size, frames, steps, photos and jobs: scaling.json."""
    told = results["scaling"]
    rows = []
    for name in dict.fromkeys(row["sweep"] for row in told["rows"]):
        points = [row for row in told["rows"] if row["sweep"] == name]
        fits = {one["measure"]: one for one in told["fits"] if one["sweep"] == name}
        phases = [one for what, one in fits.items() if what not in _WHOLE and one["power"]]
        rows.append(
            (
                name,
                f"{points[0]['x']:g} to {points[-1]['x']:g} {points[0]['x_unit']}",
                _way(points, "end_to_end", seconds),
                _power(fits.get("seconds")) if fits else _throughput(points),
                "; ".join(f"{one['measure']} {_power(one)}" for one in phases) or NONE,
                _way(points, "host_peak_bytes", size),
                _power(fits.get("memory")),
            )
        )
    heads = ("what grows", "from, to", "time", "power", "phases that grow", "memory", "its power")
    note = (
        "Time is a constant and a part that grows with this power, in brackets where it lies with"
        " 95%; faster than linear for certain is bold"
    )
    return Table(heads, (*rows,), (note, *told["faster_than_linear"]))


def _way(points: Sequence[Mapping[str, Any]], name: str, form: Callable[[float], str]) -> str:
    return " to ".join(form(points[place][name]["median"]) for place in (0, -1))


def _power(fit: Mapping[str, Any] | None) -> str:
    if fit is None:
        return NONE
    if not fit["power"]:
        return "does not grow"
    if fit["high"] - fit["low"] > _WIDE:
        return f"not told ({fit['low']:.2f} to {fit['high']:.2f})"
    told = f"{fit['power']:.2f} ({fit['low']:.2f} to {fit['high']:.2f})"
    return f"**{told}**" if fit["faster_than_linear"] else told


def _throughput(points: Sequence[Mapping[str, Any]]) -> str:
    base = points[0]["jobs_a_minute"]["median"]
    shares = (f"{ratio(p['jobs_a_minute']['median'] / base)} with {p['x']:g}" for p in points[1:])
    return f"throughput {', '.join(shares)}"


def roofline(results: Results) -> Table:
    """What each phase takes at least by this machine's ceilings, and takes: roofline*.json."""
    rows = []
    for record in results.every("roofline"):
        for case in record["rows"]:
            threads = f", {counted_threads(case['threads'])}" if case["threads"] else ""
            name = f"{case['id'].removeprefix('roofline ')}{threads}"
            for one in case["roofline"]:
                measured = one["measured"]
                rows.append(
                    (
                        name,
                        f"{one['phase']}: {one['component']}, {one['precision']}",
                        f"{one['flops'] / 1e9:,.1f}",
                        f"{one['bytes'] / 1e9:,.2f}",
                        seconds(one["roof_seconds"]),
                        seconds(measured["min"]) if measured else NONE,
                        percent(one["achieved"]),
                        one["bound"],
                    )
                )
    heads = (
        "case",
        "phase: networks",
        "GFLOP",
        "GB moved",
        "at least",
        "measured, the best",
        "share reached",
        "bound by",
    )
    note = (
        "At least: operations at the best rate that was measured here for their kind, or bytes at"
        " the speed of copying memory, whichever takes longer; one kind of work after another"
    )
    return Table(heads, (*rows,), (note,))


def counted(results: Results) -> Table:
    """How the operations of full-size networks grow, counted and not run: scaling.json."""
    points = results["scaling"]["counted"]
    rows = []
    for key in dict.fromkeys((p["model"], p["axis"], p["phase"]) for p in points):
        along = [p for p in points if (p["model"], p["axis"], p["phase"]) == key]
        first, last = along[0], along[-1]
        if len(along) < 2 or first["flops"] == last["flops"]:
            continue
        power = math.log(last["flops"] / first["flops"]) / math.log(last["x"] / first["x"])
        rows.append(
            (
                f"{key[0]}, {key[2]}",
                f"{first['x']:,} to {last['x']:,} {_AXES[key[1]]}",
                f"{first['flops'] / 1e12:,.1f} to {last['flops'] / 1e12:,.1f}",
                f"{power:.2f}",
                f"{percent(first['attention_share'])} to {percent(last['attention_share'])}",
            )
        )
    heads = ("phase", "from, to", "TFLOP", "power", "of it attention")
    return Table(heads, (*rows,), ("Counted from the graphs, at full size; nothing was run",))


_WHOLE = ("seconds", "memory", "processor")
"""Measures of a fit that are no phases."""
_WIDE = 1.5
"""An interval of powers that is wider tells nothing."""
_AXES = {"size": "pixels", "frames": "frames"}
