"""The table of a comparison, as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .ratios import COLD, QUANTITIES, Rounds

_GIB = 2**30


def tell_rounds(rounds: Rounds) -> list[str]:
    """What one way measured, a line a quantity: median, and the range over the rounds."""
    if rounds.skipped:
        return [f"{rounds.name}: not run: {rounds.skipped}"]
    versions = ", ".join(f"{n} {v}" for n, v in rounds.results[0]["versions"].items())
    lines = [f"{rounds.name} ({versions})"]
    for quantity in QUANTITIES:
        found = rounds.take(quantity.take)
        if found:
            memory = "memory" in quantity.name
            lines.append(f"  {quantity.name:36} {spread(found, _GIB if memory else 1)}")
    peaks = rounds.results[0]["peaks"]
    told = ", ".join(f"{name} {peak / _GIB:.2f}" for name, peak in peaks.items())
    lines.append(f"  peak of each phase, GiB: {told}")
    marks = rounds.results[0]["marks"]
    cold = ", ".join(f"{name} {marks[name]:.2f}" for name in COLD if name in marks)
    lines.append(f"  seconds since process start: {cold}")
    for part in ("decode", "decode tiled"):
        skipped = rounds.results[0].get(part, {}).get("skipped")
        lines += [f"  {part}, alone: not run: {skipped}"] if skipped else []
    notes = {note for result in rounds.results for note in result["notes"]}
    return lines + [f"  note: {note}" for note in sorted(notes)]


def spread(samples: Sequence[float], unit: float = 1) -> str:
    """Median with range: "1.23 (1.20 .. 1.31)"; one sample is told alone."""
    ordered = sorted(sample / unit for sample in samples)
    half = len(ordered) // 2
    middle = ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
    if len(ordered) == 1:
        return f"{middle:9.3f}"
    return f"{middle:9.3f} ({ordered[0]:.3f} .. {ordered[-1]:.3f})"


def tell_comparison(comparison: Mapping[str, Any]) -> list[str]:
    """Ratios with their ranges, and why others are not given."""
    lines = [f"{comparison['ours']} beside {comparison['theirs']}"]
    for name, proof in comparison["proofs"].items():
        lines.append(
            f"  {name}: {'same work' if proof['same'] else 'NOT the same'}: {proof['why']}"
        )
    for name, ratio in comparison["ratios"].items():
        how = "times as fast" if ratio["faster"] else "of the peer's"
        lines.append(
            f"  {name:36} {ratio['median']:6.2f} ({ratio['low']:.2f} .. {ratio['high']:.2f}) {how}"
        )
    if comparison["refused"]:
        names = ", ".join(comparison["refused"])
        reasons = "; ".join(sorted(set(comparison["refused"].values())))
        lines.append(f"  no ratio of {names}: {reasons}")
    return lines


def tell_best(comparisons: Sequence[Mapping[str, Any]], rounds: Sequence[Rounds]) -> list[str]:
    """The best precision of Reverie beside the best of each peer, by seconds a step."""
    from .ratios import step_seconds

    steps = {r.name: min(found) for r in rounds if (found := r.take(step_seconds))}
    lines: list[str] = []
    peers = {r.name: r.peer for r in rounds}
    for peer in dict.fromkeys(peers.values()):
        proved = [
            c
            for c in comparisons
            if peers[c["theirs"]] == peer and "denoise, a step" in c["ratios"]
        ]
        if not proved:
            continue
        ours = min((c["ours"] for c in proved), key=lambda name: steps[name])
        theirs = min((c["theirs"] for c in proved), key=lambda name: steps[name])
        for c in proved:
            if (c["ours"], c["theirs"]) == (ours, theirs):
                step = c["ratios"]["denoise, a step"]
                lines.append(
                    f"best of each: {ours} beside {theirs}: a step {step['median']:.2f} "
                    f"({step['low']:.2f} .. {step['high']:.2f}) times as fast"
                )
    return lines
