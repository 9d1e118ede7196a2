"""Tables of Reverie beside other software, and of the denoising loop's own cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .cases import phase
from .reading import Results
from .wording import NONE, Table, percent, ratio, seconds, size, spread

Record = Mapping[str, Any]
STEP, PEAK = "denoise, a step", "peak memory"
START = "start to first step ends"
TILED, TILED_PEAK = "decode alone, tiled", "decode alone, tiled, peak memory"
_RATIOS = (STEP, "decode alone", TILED, TILED_PEAK, START, "whole, start to last frame", PEAK)
_TITLES = {"whole, start to last frame": "whole film"}


def peers(results: Results) -> Table:
    """Every way of doing the same work, in turns on one machine: peers*.json."""
    rows = []
    for record in results.every("peers"):
        for row in record["rows"]:
            if row["skipped"]:
                rows.append((row["id"], f"not run: {row['skipped']}", *[NONE] * 4))
                continue
            versions = ", ".join(f"{name} {v}" for name, v in row["versions"].items())
            found = row["phases"]
            cold = row["cold_start"].get("first step ends")
            rows.append(
                (
                    f"{row['id']} ({versions})",
                    spread(found.get("denoise")),
                    phase(found.get("decode")),
                    phase(found.get("decode tiled, alone") or found.get("decode, alone")),
                    spread(cold),
                    size(row["host_peak_bytes"]["median"]),
                )
            )
    heads = (
        "way",
        "a step",
        "decode, in the film",
        "decode alone, tiled where the software tiles",
        "start to end of first step",
        "peak memory",
    )
    note = "Random weights; the same weights, photo, noise, size, steps and threads for all"
    return Table(heads, (*rows,), (note,))


def peer_ratios(results: Results) -> Table:
    """Ratios of paired rounds, where outputs were proved the same: peers*.json."""
    rows = []
    for record in results.every("peers"):
        for pair in record["comparisons"]:
            found = [pair["ratios"].get(name) for name in _RATIOS]
            proofs = "; ".join(f"{name}: {one['why']}" for name, one in pair["proofs"].items())
            cells = (ratio_range(one) for one in found)
            rows.append((film_of(record), f"{pair['ours']} / {pair['theirs']}", *cells, proofs))
    heads = [_TITLES.get(name, name) for name in _RATIOS]
    notes = (
        "Steps, decoding and films: how many times as fast Reverie is; starts and memory: its share"
        " of the other's",
        "Medians of rounds in turns, in brackets least and most; none where outputs differed",
    )
    return Table(("case", "Reverie / other", *heads, "same work?"), (*rows,), notes)


def ratio_range(found: Mapping[str, Any] | None) -> str:
    """A ratio of paired rounds as "1.42x (1.40 to 1.45)"."""
    if not found:
        return NONE
    if len(found["samples"]) < 2:
        return f"{ratio(found['median'])} (once)"
    return f"{ratio(found['median'])} ({found['low']:.2f} to {found['high']:.2f})"


def film_of(record: Record) -> str:
    """What all ways of a record made."""
    row = record["rows"][0]
    return f"{row['model']} {row['width']}x{row['height']}, {row['frames']} frames"


def best_pair(record: Record, peer: str = "diffusers") -> Mapping[str, Any] | None:
    """The comparison of the quickest proved ways of Reverie and of a peer without compiling."""
    steps, peers_by_name = {}, {}
    for row in record["rows"]:
        if not row["skipped"] and "denoise" in row["phases"]:
            name = _name_of(row, record)
            steps[name] = row["phases"]["denoise"]["median"]
            peers_by_name[name] = row["peer"]
    proved = [
        pair
        for pair in record["comparisons"]
        if STEP in pair["ratios"]
        and peers_by_name.get(pair["theirs"]) == peer
        and "compile" not in pair["theirs"]
    ]
    return min(proved, key=lambda pair: (steps[pair["theirs"]], steps[pair["ours"]]), default=None)


def _name_of(row: Mapping[str, Any], record: Record) -> str:
    """What comparisons call the way of a row, whose id ends with it."""
    names = {pair[side] for pair in record["comparisons"] for side in ("ours", "theirs")}
    return max((n for n in names if row["id"].endswith(f" {n}")), key=len, default=row["id"])


def instructions(results: Results) -> Table:
    """Instructions a step of the loops with engines that do nothing: instructions.json."""
    told = results["instructions"]
    rows = [(name, f"{n:,}") for name, n in told["instructions_per_step"].items()]
    python = told["python"].split()[0]
    note = f"{told['valgrind']}, Python {python}, NumPy {told['numpy']}, {told['architecture']}"
    return Table(("loop", "instructions a step"), (*rows,), (note,))


def host_overhead(results: Results) -> Table:
    """The loops' own seconds a step at real sizes: instructions.json."""
    rows = [
        (
            row["loop"],
            row["film"],
            spread(row["seconds_per_step"]),
            seconds(row["step_seconds"]),
            percent(row["share"], digits=3),
            f"steps longer than {seconds(row['longer_than'])}",
        )
        for row in results["instructions"]["host"]
    ]
    heads = ("loop", "film", "the loop's own, a step", "a real step", "share", "under 1% of")
    return Table(heads, (*rows,))
