"""Tables of engines that were built without a GPU, and of plans against measurements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..build_table import markdown
from .models import PRECISIONS
from .reading import Results
from .wording import Table, percent, size

_FAMILIES = ("ember", "svd", "ltx", "wan")


def full_size(results: Results) -> str:
    """Every network of full size, precision and GPU: build_matrix_full.json."""
    return markdown(results["build_matrix_full"])


def tiny(results: Results) -> Table:
    """All networks of a family by precision and GPU: build_matrix_tiny.json."""
    told = results["build_matrix_tiny"]
    rows: Sequence[Mapping[str, Any]] = [r for r in told["rows"] if r["result"] != "not there"]
    gpus = list(dict.fromkeys(row["gpu"] for row in rows))
    lines = []
    for family in _FAMILIES:
        networks = {row["component"] for row in rows if row["family"] == family}
        for precision in (*PRECISIONS, "fp32"):
            here = [r for r in rows if (r["family"], r["precision"]) == (family, precision)]
            if not here:
                continue
            some = len({row["component"] for row in here})
            cells = [_cell([row for row in here if row["gpu"] == gpu]) for gpu in gpus]
            lines.append((f"{family}, {some} of {len(networks)}", precision, *cells))
    return Table(
        ("family, networks", "precision", *gpus), (*lines,), (f"TensorRT-RTX {told['library']}",)
    )


def _cell(rows: Sequence[Mapping[str, Any]]) -> str:
    built = [row for row in rows if row["result"] == "built"]
    if not built:
        return "refused" if rows else "-"
    times = [row["seconds"] for row in built]
    share = "all" if len(built) == len(rows) else f"{len(built)} of {len(rows)}"
    peak = size(max(row["peak_bytes"] for row in built))
    return f"{share}, {min(times):.0f}-{max(times):.0f} s, {peak}"


def counts(results: Results) -> str:
    """How many rows of build_matrix_tiny.json were built, refused, failed."""
    rows = results["build_matrix_tiny"]["rows"]

    def of(result: str) -> str:
        return f"{sum(row['result'] == result for row in rows) or 'none'}"

    built, refused, failed = of("built"), of("refused"), of("failed")
    return f"{len(rows)} rows: {built} were built, {refused} refused, {failed} failed"


def plans(results: Results) -> Table:
    """Peak of whole renders, predicted and measured: plan_check.json."""
    rows = [
        (
            f"{row['model']}, {_asked(row['asked'])}",
            size(row["predicted_bytes"]),
            size(row["measured_bytes"]),
            percent(row["error"], signed=True, digits=1),
        )
        for row in results["plan_check"]["renders"]
    ]
    return Table(("render", "predicted", "measured", "error"), (*rows,))


def _asked(asked: Mapping[str, Any]) -> str:
    length = f"{asked['seconds']:g} s" if "seconds" in asked else f"{asked['num_frames']} frames"
    return f"{asked['height']}p {asked['aspect']}, {length}"


def plan_phases(results: Results) -> Table:
    """Peak of each phase, predicted against measured, least and most error: plan_check.json."""
    rows = results["plan_check"]["renders"]
    models = list(dict.fromkeys(row["model"] for row in rows))
    phases = list(dict.fromkeys(phase for row in rows for phase in row["phases"]))
    lines = []
    for model in models:
        cells = []
        for phase in phases:
            errors = [
                row["phases"][phase]["error"]
                for row in rows
                if row["model"] == model and phase in row["phases"]
            ]
            ends = (
                [percent(edge, signed=True) for edge in (min(errors), max(errors))]
                if errors
                else []
            )
            cells.append(" to ".join(dict.fromkeys(ends)) or "-")
        lines.append((model, *cells))
    return Table(("predicted against measured", *phases), (*lines,))
