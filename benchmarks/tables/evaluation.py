"""Tables of the model card: ember's networks on procedural scenes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .reading import Results
from .wording import Table, score, verdict

Evaluation = Mapping[str, Any]


def amplitude(results: Results) -> Table:
    """Amplitudes against truth, beside baselines: heldout.json, known.json."""
    sets = results["heldout"]["amplitude"], results["known"]["amplitude"]
    names = ("auc_pooled", "auc_per_image", "pearson")
    rows = [(what, *(score(one[what][name]) for one in sets for name in names)) for what in sets[0]]
    heads = ("held-out: AUC pooled", "AUC per image", "Pearson")
    also = ("known: AUC pooled", "AUC per image", "Pearson")
    return Table(("amplitude", *heads, *also), (*rows,))


def phases(results: Results) -> Table:
    """Phases sampled, random and true: heldout.json, known.json."""
    strange, known = results["heldout"]["phases"], results["known"]["phases"]
    rows = [
        (
            what,
            _ends(one["rms_over_truth"]),
            score(one["coherence_1"]),
            score(one["coherence_3"]),
            score(known[what]["coherence_3"]),
        )
        for what, one in strange.items()
    ]
    heads = (
        "phases",
        "held-out: rms over truth, 8 frequencies",
        "coherence, next cell",
        "three cells",
        "known: three cells",
    )
    return Table(heads, (*rows,))


def other(results: Results) -> Table:
    """Classes, stillness, drift and seeds: heldout.json, known.json."""
    sets = results["heldout"], results["known"]
    rows = [("class accuracy", *(score(one["classes"]["accuracy"]) for one in sets))]
    kinds = [name for name in sets[0]["classes"] if name.startswith("iou_")]
    rows += [
        (
            f"intersection over union, {kind.removeprefix('iou_')}",
            *(score(one["classes"][kind]) for one in sets),
        )
        for kind in kinds
    ]
    leak, drift = "leak_percent_of_height", "drift"
    for what, part, names in (
        (
            "motion of static places, mean / 95th / 99th percentile, % of height",
            leak,
            ("static_mean", "static_p95", "static_p99"),
        ),
        (
            "motion of moving places, mean, ember / truth, % of height",
            leak,
            ("moving_mean", "moving_truth_mean"),
        ),
        (
            "drift: AUC / Pearson of speed / cosine of direction",
            drift,
            ("auc_pooled", "pearson", "direction_cosine"),
        ),
    ):
        rows.append((what, *(" / ".join(score(one[part][n]) for n in names) for one in sets)))
    rows.append(("two seeds: 1 - correlation", *(score(one["seeds_differ"]) for one in sets)))
    return Table(("other", "held-out", "known"), (*rows,))


def gates(results: Results) -> Table:
    """What was wanted of the model, on scenes that it never saw: heldout.json."""
    told = results["heldout"]
    found = told["amplitude"]["ember, regressed amplitude"]
    sampled = told["phases"]["ember, sampled"]
    rms, still = sampled["rms_over_truth"], told["leak_percent_of_height"]["static_p99"]
    rows = [
        _gate("amplitude AUC, pooled", 0.93, found["auc_pooled"]),
        _gate("amplitude AUC, per image", 0.85, found["auc_per_image"]),
        _gate("Pearson", 0.5, found["pearson"]),
        _gate("class accuracy", 0.9, told["classes"]["accuracy"]),
        (
            "rms of truth, every frequency",
            "0.9 .. 1.1",
            _ends(rms),
            verdict(min(rms) >= 0.9 and max(rms) <= 1.1),
        ),
        _gate("coherence, three cells", 0.55, sampled["coherence_3"]),
        (
            "99th percentile of motion in static places",
            "0.1% of height",
            f"{still:.2f}%",
            verdict(still <= 0.1),
        ),
        (
            "seeds differ",
            "yes",
            f"1 - correlation {score(told['seeds_differ'])}",
            verdict(told["seeds_differ"] > 0),
        ),
    ]
    return Table(("measure", "gate", "held-out", ""), (*rows,))


def _gate(what: str, mark: float, found: float) -> tuple[str, ...]:
    return what, score(mark), score(found), verdict(found >= mark)


def _ends(values: list[float]) -> str:
    return f"{min(values):.2f} .. {max(values):.2f}"
