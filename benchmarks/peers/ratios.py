"""Figures of each way over its rounds, and ratios of rounds that ran one after the other."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..bench.record import phase, summary
from .proof import Proof

COLD = ("imported", "loaded", "first step begins", "first step ends")
Take = Callable[[Mapping[str, Any]], float | None]


@dataclass
class Rounds:
    """What one way did, round by round; a round that was skipped ends it."""

    name: str
    peer: str
    precision: str
    results: list[dict[str, Any]] = field(default_factory=list)
    skipped: str = ""

    def take(self, what: Take) -> list[float]:
        """A figure of every round; empty where a round lacks it."""
        found = [what(result) for result in self.results]
        known = [value for value in found if value is not None]
        return known if len(known) == len(found) else []


@dataclass(frozen=True)
class Quantity:
    """Something measured, and how a ratio of it is told."""

    name: str
    take: Take
    faster: bool
    """Whether told as how many times faster Reverie is, else as its share of the peer's."""
    proved_by: str
    """"film", "decode" or "tiled": which comparison says that the work was the same."""
    ours: Take | None = None
    """What is taken of Reverie, where that is another figure."""


def step_seconds(result: Mapping[str, Any]) -> float | None:
    """Median seconds of the steps after the first, or of the only one."""
    steps = result.get("steps") or []
    return statistics.median(steps[1:] or steps) if steps else None


def step_processor(result: Mapping[str, Any]) -> float | None:
    """As `step_seconds`, of the processor."""
    steps = result.get("step_processor") or []
    return statistics.median(steps[1:] or steps) if steps else None


def _processor(name: str) -> Take:
    return lambda result: result.get("processor", {}).get(name)


def _seconds(name: str) -> Take:
    return lambda result: result.get("seconds", {}).get(name)


def _mark(name: str) -> Take:
    return lambda result: result.get("marks", {}).get(name)


def _part(part: str, take: Take) -> Take:
    def found(result: Mapping[str, Any]) -> float | None:
        inner = result.get(part)
        return None if not inner or inner.get("skipped") else take(inner)

    return found


def _peak(result: Mapping[str, Any]) -> float | None:
    return result.get("peak_bytes")


_DECODE, _DECODE_PEAK = _part("decode", _seconds("decode")), _part("decode", _peak)
_TILED, _TILED_PEAK = _part("decode tiled", _seconds("decode")), _part("decode tiled", _peak)
_DECODE_BUSY = _part("decode", _processor("decode"))
_TILED_BUSY = _part("decode tiled", _processor("decode"))

QUANTITIES = (
    Quantity("denoise, a step", step_seconds, True, "film"),
    Quantity("a step, processor seconds", step_processor, True, "film"),
    Quantity("encode image", _seconds("encode image"), True, "film"),
    Quantity("decode, in the film", _seconds("decode"), True, "film"),
    Quantity("decode, network alone", _seconds("decode (network)"), True, "film"),
    Quantity("start to first step begins", _mark("first step begins"), False, "film"),
    Quantity("start to first step ends", _mark("first step ends"), False, "film"),
    Quantity("whole, start to last frame", _mark("done"), True, "film"),
    Quantity("peak memory", _peak, False, "film"),
    Quantity("decode alone", _DECODE, True, "decode"),
    Quantity("decode alone, peak memory", _DECODE_PEAK, False, "decode"),
    Quantity("decode alone, processor seconds", _DECODE_BUSY, True, "decode"),
    # Reverie has one way of decoding, cut or not.
    Quantity("decode alone, tiled", _TILED, True, "tiled", _DECODE),
    Quantity("tiled, processor seconds", _TILED_BUSY, True, "tiled", _DECODE_BUSY),
    Quantity("decode alone, tiled, peak memory", _TILED_PEAK, False, "tiled", _DECODE_PEAK),
)
"""In the order of the table. A peer's decoding with tiling is set beside Reverie's decoding, which
cuts its work as the bundle's plan and the settings say."""


def paired(ours: Sequence[float], theirs: Sequence[float], faster: bool) -> dict[str, Any] | None:
    """Ratios round by round, with median and range; None where rounds are missing."""
    if not ours or len(ours) != len(theirs) or min(*ours, *theirs) <= 0:
        return None
    found = [b / a if faster else a / b for a, b in zip(ours, theirs, strict=True)]
    median = statistics.median(found)
    return {"samples": found, "median": median, "low": min(found), "high": max(found)}


def compare(ours: Rounds, theirs: Rounds, proofs: Mapping[str, Proof]) -> dict[str, Any]:
    """Ratios of what was proved the same, and why others are not given.

    proofs: by "film", "decode" and "tiled"; one that is missing proves nothing.
    """
    ratios: dict[str, Any] = {}
    refused: dict[str, str] = {}
    for quantity in QUANTITIES:
        take = quantity.take
        mine, other = ours.take(quantity.ours or take), theirs.take(take)
        ratio = paired(mine, other, quantity.faster)
        if ratio is None:
            continue
        proof = proofs.get(quantity.proved_by)
        if proof is not None and proof.same:
            ratios[quantity.name] = {**ratio, "faster": quantity.faster}
        else:
            refused[quantity.name] = proof.why if proof else "outputs were not compared"
    told = {name: proof.told() for name, proof in proofs.items()}
    return {
        "ours": ours.name,
        "theirs": theirs.name,
        "proofs": told,
        "ratios": ratios,
        "refused": refused,
    }


def row(rounds: Rounds, case: Mapping[str, Any]) -> dict[str, Any]:
    """One way as a row of a record."""
    results = rounds.results
    made: dict[str, Any] = {
        **case,
        "id": f"{case['id']} {rounds.name}",
        "peer": rounds.peer,
        "precision": {"denoiser": rounds.precision},
        "skipped": rounds.skipped or None,
        "notes": sorted({note for result in results for note in result["notes"]}),
    }
    if not results:
        return made
    if results[0].get("precisions"):
        made["precision"] = results[0]["precisions"]
    phases: dict[str, Any] = {}
    for name in results[0]["seconds"]:
        if name == "denoise" and results[0]["steps"]:
            late = [s for r in results for s in (r["steps"][1:] or r["steps"])]
            totals = [r["seconds"][name] for r in results]
            first = [r["steps"][0] for r in results]
            phases[name] = phase(late, per="step", totals=totals, first=summary(first))
        elif found := rounds.take(_seconds(name)):
            phases[name] = phase(found)
    for name in ("decode", "decode tiled"):
        if found := rounds.take(_part(name, _seconds("decode"))):
            phases[f"{name}, alone"] = phase(found)
    peaks = {n: rounds.take(lambda r, n=n: r["peaks"].get(n)) for n in results[0]["peaks"]}
    for name in ("decode", "decode tiled"):
        peaks[f"{name}, alone"] = rounds.take(_part(name, _peak))
    cold = {name: rounds.take(_mark(name)) for name in COLD}
    made |= {
        "versions": results[0]["versions"],
        "phases": phases,
        "cold_start": {name: summary(found) for name, found in cold.items() if found},
        "host_peak_bytes": summary(rounds.take(_peak)),
        "phase_peak_bytes": {name: summary(found) for name, found in peaks.items() if found},
        "device_peak_bytes": None,
    }
    if whole := rounds.take(_mark("done")):
        made["end_to_end"] = summary(whole)
    return made
