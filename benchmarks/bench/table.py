"""A record as tables for a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...cli.telling import plain_text, table_console
from ..machine import machine_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_COLD = ("process", "import", "open", "first step", "first frame", "total to first step", "total")


def print_record(made: Mapping[str, Any], console: Console | None = None) -> None:
    """Print every row of a record: phases, the start, and what a whole film costs."""
    console = console or table_console()
    console.print(plain_text(machine_line(made["machine"])), style="bold")
    console.print(plain_text(versions_line(made["machine"])))
    for row in made["rows"]:
        console.print()
        console.print(_times(row))
        console.print(_whole(row))
        for note in row["notes"]:
            console.print(plain_text(f"note: {note}"))


def versions_line(machine: Mapping[str, Any]) -> str:
    """Return system, Python and packages in one line."""
    packages = (f"{name} {version}" for name, version in machine["packages"].items())
    words = [machine["system"], f"Python {machine['python']}", *packages]
    words += [f"governor {machine['governor']}"] if machine.get("governor") else []
    words += ["a virtual machine"] if machine.get("virtual") else []
    return ", ".join(words)


def time_rows(row: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return (part, what of it, min, median, p95, samples, median of all) as text, of a row."""
    found: list[tuple[str, ...]] = []
    for name in _COLD:
        if name in row["cold_start"]:
            found.append((f"start: {name}", "process", *_figures(row["cold_start"][name]), ""))
    for name, one in row["phases"].items():
        total = f"{one['total']['median']:.3f}"
        found.append((name, one["per"], *_figures(one), total))
        if one.get("first") and one["samples"] != one["first"]["samples"]:
            found.append((f"{name}, the first", "step", *_figures(one["first"]), ""))
    found.append(("warm film", "run", *_figures(row["warm_wall"]), ""))
    found.append(("whole process", "process", *_figures(row["end_to_end"]), ""))
    return found


def fact_rows(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (what, figure) of what is not seconds, as text, of a row."""
    peak = row["host_peak_bytes"]
    planned = row.get("planned_peak_bytes")
    found = [
        (
            "real time",
            f"{row['real_time_factor']:.2f}x (film seconds per second, process included)",
        ),
    ]
    if peak:
        told = f"{mib(peak['median'])} ({mib(peak['min'])} to {mib(max(peak['samples']))})"
        found.append(("peak memory", told + (f", {mib(planned)} predicted" if planned else "")))
    if row["device_peak_bytes"]:
        found.append(("peak GPU memory", mib(row["device_peak_bytes"]["median"])))
    energy = row["energy"]
    if energy["joules"]:
        joules, seconds = energy["joules"]["median"], row["seconds"]
        told = f"{joules:.1f} J a film, {joules / seconds:.2f} J a second of it"
        found.append(("energy", f"{told} ({energy['source']}: {energy['covers']})"))
    else:
        found.append(("energy", f"not known: {energy['reason']}"))
    heat = row["temperature"]
    if heat:
        found.append(("temperature", f"{heat['highest']:.0f} °C at most"))
    found.append(("throttled", throttled_text(row["throttled"])))
    outside = (row["phases"].get("denoise") or {}).get("outside_networks")
    if outside:
        step = row["phases"]["denoise"]["median"]
        found.append(("outside networks", f"{outside['median'] / step:.2%} of a denoising step"))
    if row["soak"]:
        found.append(("soak", soak_text(row["soak"])))
    return found


def throttled_text(throttled: Mapping[str, Any] | None) -> str:
    """Return what was seen of throttling, in words."""
    if throttled is None:
        return "not known: nothing here counts it"
    if throttled["seen"] is None:
        share = throttled["clock_share"]
        return "not known" + (f", the clock ended at {share:.0%} of its highest" if share else "")
    if not throttled["seen"]:
        return "no"
    counted = [f"{name} {count} times" for name, count in (throttled["counted"] or {}).items()]
    held = [f"{name} in {share:.0%}" for name, share in (throttled["gpu"] or {}).items()]
    return f"yes: {', '.join([*counted, *held])}"


def soak_text(soak: Mapping[str, Any]) -> str:
    """Return how a soak drifted, in words."""
    first, last = soak["first_third"], soak["last_third"]
    told = f"{soak['runs']} films in {soak['minutes']:g} min, the last third takes "
    told += f"{soak['slow_down']:.3f}x the time of the first "
    told += f"({first['wall']['median']:.3f} s, {last['wall']['median']:.3f} s)"
    if first["highest_celsius"] and last["highest_celsius"]:
        told += f", {first['highest_celsius']:.0f} to {last['highest_celsius']:.0f} °C"
    if first["joules"] and last["joules"]:
        told += f", {first['joules']['median']:.1f} to {last['joules']['median']:.1f} J a film"
    return told


def row_title(row: Mapping[str, Any]) -> str:
    """Return what a row is of, in one line."""
    parts = sorted(set(row["precision"].values()))
    steps = f", {row['steps']} steps" if row["steps"] else ""
    return (
        f"{row['id']}: {row['width']}x{row['height']}, {row['frames']} frames, "
        f"{row['seconds']:g} s at {row['fps']} fps{steps}, {'+'.join(parts)} on {row['device']} "
        f"({row['backend']}), {row['threads']} threads"
    )


def mib(count: float) -> str:
    """Return bytes as "612 MiB" or "4.31 GiB"."""
    return f"{count / 2**20:.0f} MiB" if count < 2**30 else f"{count / 2**30:.2f} GiB"


def _figures(one: Mapping[str, Any]) -> tuple[str, ...]:
    return (*(_seconds(one[name]) for name in ("min", "median", "p95")), str(len(one["samples"])))


def _seconds(value: float) -> str:
    return f"{value:.3f}" if value >= 0.1 else f"{value:.5f}"


def _times(row: Mapping[str, Any]) -> Table:
    from rich.table import Table

    table = Table(title=plain_text(row_title(row)), title_justify="left")
    table.add_column("seconds")
    table.add_column("of a")
    for name in ("min", "median", "p95", "samples", "in a film"):
        table.add_column(name, justify="right")
    for number, one in enumerate(time_rows(row)):
        phases = len([name for name in _COLD if name in row["cold_start"]])
        table.add_row(*(plain_text(word) for word in one), end_section=number == phases - 1)
    return table


def _whole(row: Mapping[str, Any]) -> Table:
    from rich.table import Table

    table = Table(show_header=False)
    table.add_column("")
    table.add_column("", overflow="fold")
    for name, text in fact_rows(row):
        table.add_row(name, plain_text(text))
    return table
