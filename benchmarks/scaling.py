"""How cost grows: with size, frames, steps, photos of a story, and jobs at the same time.

    python -m reverie.benchmarks.scaling [--sweep NAME...] [--tiny FOLDER] [--repeat 3]
        [--json FILE] [--plot FILE.png]

Each point runs in processes of its own, in rounds over all points, every second one backwards, so
that a slow minute falls on all alike. For the whole run, each phase and the peak memory the power
is fitted with which it grows beside a constant (see `growth`), and what grows faster than linear
for certain is told, with the phases that do. The embedded model is run as users run it; of the
video families tiny bundles with random weights, in which attention weighs more than in real ones;
how the work of those grows is counted from their graphs instead (see `counted_growth`), and printed
beside. --tiny keeps the tiny bundles in a folder, for they take a minute to make.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ..engines.errors import ReverieError, SettingsError
from ..runtime.output import write_file
from . import counted_growth, sweeps
from .bench.drawing import check_drawing
from .bench.record import encoded, phase, record, summary
from .growth import Growth, fit
from .machine import describe_machine
from .manifest_only import FOLDER as MANIFESTS
from .paired import run_once
from .scaling_figure import png
from .sweeps import Point, Sweep

PHOTOS = Path(__file__).resolve().parents[1] / "export" / "photos"
REPEAT = 3
_OF_RUNS = ("sweep", "photos", "tiny", "repeat", "plot")
"""Options of what is measured."""
TELLING_SHARE = 0.05
"""A phase is worth a word from this share of the largest point on."""
WHOLE = ("seconds", "processor", "memory")
_ATTENTION = "attention's share rises along this axis in what is counted of the full-size graphs"
EXPLAINED = {
    "ltx-tiny size": {"denoise": _ATTENTION},
    "ltx-tiny frames": {"denoise": _ATTENTION},
    "svd-tiny size": {"denoise": _ATTENTION, "encode image": _ATTENTION},
}
"""Sweep -> measure -> why it may grow so: only what the counted graphs bear out."""


def run_point(point: Point, folder: Path) -> list[dict[str, Any]]:
    """Run a point once; returns what each of its processes took."""

    def one(number: int) -> dict[str, Any]:
        found = run_once([word.format(number=number) for word in point.command])
        told = json.loads(found.pop("output").strip().splitlines()[-1])
        return {**found, "stages": told["stages"]}

    with ThreadPoolExecutor(point.at_once) as pool:
        return list(pool.map(one, range(point.at_once)))


def measure(chosen: Sequence[Sweep], repeat: int, folder: Path) -> list[dict[str, Any]]:
    """Run all points of all sweeps, in rounds; returns a row for each, with its samples."""
    todo = [(sweep, point) for sweep in chosen for point in sweep.points]
    runs: list[list[list[dict[str, Any]]]] = [[] for _ in todo]
    for number in range(repeat):
        order = list(enumerate(todo))
        for place, (_, point) in order if number % 2 == 0 else order[::-1]:
            runs[place].append(run_point(point, folder))
            print(".", end="", flush=True, file=sys.stderr)
    print(file=sys.stderr)
    return [row(*case, found) for case, found in zip(todo, runs, strict=True)]


def row(
    sweep: Sweep, point: Point, rounds: Sequence[Sequence[Mapping[str, Any]]]
) -> dict[str, Any]:
    """A point as a row of a record; of jobs at once the slowest's seconds, and all their memory.

    "end_to_end" has the process's start in it.
    """
    stages = {name: None for found in rounds for one in found for name in one["stages"]}

    def of(name: str) -> list[float]:
        return [max(one["stages"].get(name, 0.0) for one in found) for found in rounds]

    wall = [max(one["seconds"] for one in found) for found in rounds]
    return {
        "id": f"scaling {sweep.name} {point.x:g}",
        "model": sweep.model,
        "family": sweep.family,
        "width": point.width,
        "height": point.height,
        "frames": point.frames,
        "steps": point.steps,
        "device": "cpu",
        "threads": int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1),
        "sweep": sweep.name,
        "x": point.x,
        "x_unit": sweep.unit,
        "jobs": point.at_once,
        "phases": {name: phase(of(name)) for name in stages},
        "end_to_end": summary(wall),
        "processor_seconds": summary(
            [sum(one["processor_seconds"] for one in found) for found in rounds]
        ),
        "host_peak_bytes": summary([sum(one["peak_bytes"] for one in found) for found in rounds]),
        "jobs_a_minute": summary([60 * point.at_once / seconds for seconds in wall]),
    }


def growths(rows: Sequence[Mapping[str, Any]]) -> dict[str, Growth]:
    """How one sweep's rows grow: in "seconds", "processor" seconds, "memory", and each phase."""
    points = [one["x"] for one in rows]

    def fitted(figures: Iterable[Mapping[str, Any]]) -> Growth:
        return fit(points, [one["samples"] for one in figures])

    found = {
        "seconds": fitted(one["end_to_end"] for one in rows),
        "processor": fitted(one["processor_seconds"] for one in rows),
        "memory": fitted(one["host_peak_bytes"] for one in rows),
    }
    largest = rows[-1]["end_to_end"]["median"]
    for name, figures in rows[-1]["phases"].items():
        everywhere = all(name in one["phases"] for one in rows)
        if everywhere and figures["median"] >= TELLING_SHARE * largest:
            found[name] = fitted(one["phases"][name] for one in rows)
    return found


def _why(sweep: str, measure: str) -> str:
    return EXPLAINED.get(sweep, {}).get(measure, "not explained yet")


def findings(name: str, found: Mapping[str, Growth]) -> list[str]:
    """What grows faster than linear for certain, and why it may."""
    faster = [measure for measure, growth in found.items() if growth.faster_than_linear]
    phases = [measure for measure in faster if measure not in WHOLE]
    told = []
    if {"seconds", "processor"} & {*faster} and not phases:
        told.append(f"{name}: the whole grows faster than linear, and no phase of it for certain")
    for measure in phases:
        growth = found[measure]
        told.append(
            f"{name}: {measure} grows with power {growth.power:.2f} [{growth.low:.2f} .."
            f" {growth.high:.2f}]: {_why(name, measure)}"
        )
    if "memory" in faster:
        growth = found["memory"]
        told.append(f"{name}: memory grows with power {growth.power:.2f}: {_why(name, 'memory')}")
    return told


def report(rows: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[str]]:
    """Print tables and fits of all sweeps; returns the fits as plain data, and the findings."""
    fits, told = list[dict[str, Any]](), list[str]()
    for name in dict.fromkeys(one["sweep"] for one in rows):
        of_it = [one for one in rows if one["sweep"] == name]
        print(f"\n{name}")
        for one in of_it:
            print(_line(one))
        if of_it[0]["x_unit"] == "processes":
            base = of_it[0]["jobs_a_minute"]["median"]
            shares = (f"{one['jobs_a_minute']['median'] / base:.2f}x" for one in of_it)
            print(f"  throughput beside one process: {', '.join(shares)}")
            continue
        found = growths(of_it)
        for measure, growth in found.items():
            print(f"    {measure:<14} {growth.told()}")
            fits.append({"sweep": name, "measure": measure, **growth.as_json()})
        told += findings(name, found)
    print("\nfaster than linear:" if told else "\nnothing was seen to grow faster than linear")
    for line in told:
        print(f"  {line}")
    return fits, told


def _line(one: Mapping[str, Any]) -> str:
    phases = ", ".join(
        f"{name} {figures['median']:.2f}"
        for name, figures in one["phases"].items()
        if figures["median"] >= TELLING_SHARE * one["end_to_end"]["median"]
    )
    many = "" if one["jobs"] == 1 else f"  {one['jobs_a_minute']['median']:.1f} jobs a minute"
    return (
        f"  {one['x']:>9g} {one['x_unit']:<9} {one['end_to_end']['median']:7.2f} s"
        f" {one['host_peak_bytes']['median'] / 2**20:7.0f} MiB{many}  ({phases})"
    )


def choose(names: Sequence[str], photos: Sequence[Path], folder: Path, tiny: Path) -> list[Sweep]:
    """The sweeps asked for: "ember", "ember size", "ltx-tiny", ...; none named means all."""
    wanted = [*sweeps.ember(photos, folder)]
    for family in sweeps.TINY:
        wanted += sweeps.video(family, tiny / family)
    chosen = [s for s in wanted if not names or {s.name, s.model} & set(names)]
    unknown = set(names) - {s.name for s in wanted} - {s.model for s in wanted}
    if unknown:
        known = ", ".join(s.name for s in wanted)
        raise SettingsError(f"no sweep is called {min(unknown)!r}: use some of {known}")
    return chosen


def _make_tiny(chosen: Sequence[Sweep], folder: Path) -> None:
    for family in dict.fromkeys(s.family for s in chosen if s.model != s.family):
        if not (folder / family / "bundle.json").exists():
            from .tiny_bundles import make

            make(family, folder / family)


def _measured(asked: argparse.Namespace) -> list[dict[str, Any]]:
    photos = asked.photos or sorted(PHOTOS.glob("*.jpg"))
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        tiny = (asked.tiny or folder / "tiny").absolute()
        chosen = choose(asked.sweep or [], sweeps.large(photos, folder), folder, tiny)
        _make_tiny(chosen, tiny)
        return measure(chosen, asked.repeat, folder)


def _count() -> list[counted_growth.Counted]:
    """Count the models whose manifests are here, and print what was found."""
    found = []
    for manifest in sorted(MANIFESTS.glob("*/bundle.json")):
        found += counted_growth.counted(manifest.parent)
    if found:
        print("\noperations of full-size models, counted from their graphs and not measured;")
        print("power from each point to the next, and attention's share at each:")
        print("\n".join(counted_growth.lines(found)))
    return found


def main(words: Sequence[str] | None = None) -> int:
    """Measure, print, and write where asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--sweep", nargs="+", metavar="NAME", help='"ember", "ember size", ... (default: all)')
    add("--photos", nargs="+", type=Path, metavar="PHOTO", help="default: those that come along")
    add("--tiny", type=Path, metavar="FOLDER", help="where tiny bundles are kept, or made")
    add("--repeat", type=int, help=f"runs of each point, 2 or more (default {REPEAT})")
    add("--counted", action="store_true", help="measure nothing: count full-size graphs alone")
    add("--json", type=Path, help="write the record here")
    add("--plot", type=Path, metavar="FILE.png", help="draw seconds over what was varied")
    asked = parser.parse_args(words)
    asked.words = list(sys.argv[1:] if words is None else words)
    try:
        for name in _OF_RUNS if asked.counted else ():
            if getattr(asked, name) is not None:
                raise SettingsError(f"--{name} cannot go with --counted, which runs nothing")
        asked.repeat = REPEAT if asked.repeat is None else asked.repeat
        if asked.repeat < 2:
            raise SettingsError("--repeat must be 2 or more: one sample has no spread")
        if asked.plot is not None:
            check_drawing()
        rows, fits, told = [], list[dict[str, Any]](), list[str]()
        if not asked.counted:
            rows = _measured(asked)
            fits, told = report(rows)
            if asked.plot is not None:
                write_file(png(rows, fits), asked.plot, force=True)
        counted = _count()
        if asked.json is not None:
            command = ["python", "-m", "reverie.benchmarks.scaling", *asked.words]
            made = record(
                rows,
                machine=describe_machine(),
                command=command,
                fits=fits,
                faster_than_linear=told,
                counted=counted_growth.as_json(counted),
            )
            write_file(encoded(made), asked.json, force=True)
    except ReverieError as error:
        print(f"scaling: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
