"""Tables of `reverie bench`: cases of this machine, their phases, and records that readers sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .reading import Results
from .wording import (
    NONE,
    Table,
    machine_line,
    ratio,
    same_machine,
    seconds,
    short_name,
    size,
    spread,
)

Row = Mapping[str, Any]


def bench(results: Results) -> Table:
    """Whole films, start and memory by case: bench*.json."""
    told = measured(results)
    rows = [
        (
            name,
            *(spread(row["cold_start"].get(name)) for name in ("import", "open", "first frame")),
            spread(row["end_to_end"]),
            ratio(row.get("real_time_factor")),
            peaks(row),
        )
        for name, row in told.items()
    ]
    heads = (
        "case",
        "cold start: import",
        "networks opened",
        "first frame",
        "end to end",
        "real time",
        "peak memory",
    )
    return Table(heads, (*rows,), (how_often(told.values()),))


def bench_phases(results: Results) -> Table:
    """The phases of each case, medians of whole runs after warm-up: bench*.json."""
    told = measured(results)
    names = list(dict.fromkeys(phase_ for row in told.values() for phase_ in row["phases"]))
    rows = [(case, *(phase(row["phases"].get(n)) for n in names)) for case, row in told.items()]
    return Table(("case", *names), (*rows,), ("Medians of warm renders, in one process",))


def bench_energy(results: Results) -> Table:
    """Energy, temperature and throttling, where the machine tells them: bench*.json."""
    rows = []
    for name, row in measured(results).items():
        energy = row["energy"]
        if energy["joules"]:
            told = spread(energy["joules"], lambda joules: f"{joules:.0f} J")
        else:
            told = f"not told: {energy['reason']}"
        heat, throttled = _heat(row.get("temperature")), _throttled(row.get("throttled"))
        rows.append((name, told, heat, throttled))
    return Table(("case", "energy of a film", "temperature", "throttled"), (*rows,))


def measured(results: Results) -> dict[str, Row]:
    """Return every case that was measured, named with its machine where there are several."""
    records = results.every("bench")
    alone = all(same_machine(records[0]["machine"], one["machine"]) for one in records)
    return {
        row["id"] if alone else f"{row['id']}, {short_name(record['machine'])}": row
        for record in records
        for row in record["rows"]
    }


def _heat(found: Mapping[str, Any] | None) -> str:
    return f"at most {found['highest']:.0f} C" if found else "not told"


def _throttled(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "not told"
    if not found["seen"]:
        return "not told" if found["seen"] is None else "none seen"
    counted = [name for name, times in (found.get("counted") or {}).items() if times]
    return f"seen: {', '.join([*counted, *(found.get('gpu') or {})]) or 'clocks fell'}"


def phase(found: Mapping[str, Any] | None) -> str:
    """A phase as "5.8 s", and for steps and frames what one of them takes."""
    if not found:
        return NONE
    one = seconds(found["median"])
    if found.get("per", "run") == "run":
        return one
    whole = found.get("total")
    of_one = f"{one} a {found['per']}"
    return f"{seconds(whole['median'])}, {of_one}" if whole else of_one


def peaks(row: Row) -> str:
    """Peak memory of a case, and of its GPU where there was one."""
    host = size(row["host_peak_bytes"]["median"])
    device = row.get("device_peak_bytes")
    return f"{host}, GPU {size(device['median'])}" if device else host


def how_often(rows: Iterable[Row]) -> str:
    """What the figures of a case are, told once under its table."""
    times = sorted({len(row["end_to_end"]["samples"]) for row in rows})
    if times == [1]:
        return "Each film once"
    runs = " or ".join(map(str, times))
    return f"Medians of {runs} films, in brackets the least and the 95th percentile"


DEVICE_HEADS = (
    "device",
    "case",
    "backend",
    "end to end",
    "real time",
    "phases",
    "peak memory",
)


def devices(results: Results) -> Table:
    """Records that readers of these pages handed in: benchmarks/devices/*.json."""
    rows = [row for record in results.devices() for row in device_rows(record)]
    none = ("none yet", *[""] * (len(DEVICE_HEADS) - 1))
    return Table(DEVICE_HEADS, (*rows,) or (none,), own_machines=True)


def device_rows(record: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the rows that a record becomes in the table of devices."""
    name = machine_line(record["machine"])
    day = str(record["created"])[:10]
    rows = []
    for row in record["rows"]:
        precisions = "/".join(sorted(set(row["precision"].values())))
        told = (f"{key} {phase(found)}" for key, found in row["phases"].items())
        rows.append(
            (
                f"{name}; {day}",
                row["id"],
                f"{row['backend']}, {row['device']}, {precisions}",
                spread(row["end_to_end"]),
                ratio(row.get("real_time_factor")),
                "; ".join(told),
                peaks(row),
            )
        )
    return rows
