"""Tables of what nobody measured: every one says so, and how far off it may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .reading import Results
from .wording import NONE, Table, between, duration, ratio, seconds, size

_CALIBRATED = "Shares of peaks are fitted on measurements of"
_NAMES = {"ember": "ember", "ltx": "LTX 2B", "svd": "SVD", "wan": "Wan 2.2 TI2V-5B"}

_SOME = (
    "orin-nano-8gb",
    "orin-agx-64gb",
    "thor",
    "rtx3060-12gb",
    "rtx4060-8gb",
    "rtx4090",
    "rtx5070",
    "rtx5090",
    "t4",
    "h200",
    "ryzen7-5800u",
    "raspberry-pi-5",
    "apple-m2",
)
_RANGES = {
    "measured": "on processors like the one that was measured",
    "published": "on GPUs of a kind that figures were published of",
    "processor": "on other processors",
    "unseen": "on other GPUs, or in other precisions",
    "host": "drawing and encoding",
}


def devices(results: Results) -> Table:
    """Seconds and memory on devices that were not here, all predicted: prediction.json."""
    return _devices(results["prediction"], None)


def some_devices(results: Results) -> Table:
    """The same of a dozen devices, for a first page: prediction.json."""
    told = results["prediction"]
    if unknown := set(_SOME) - {row["device"] for row in told["rows"]}:
        raise ValueError(f"nothing is predicted for {', '.join(sorted(unknown))}")
    return _devices(told, _SOME)


def _devices(told: Mapping[str, Any], chosen: Sequence[str] | None) -> Table:
    models = list(dict.fromkeys(row["model"] for row in told["rows"]))
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in told["rows"]:
        if chosen is not None and row["device"] not in chosen:
            continue
        if not row["predicted"]:
            raise ValueError(f"{row['device']} {row['model']} is not said to be predicted")
        found.setdefault(row["title"], {})[row["model"]] = row
    rows = [(title, *(_cell(by.get(model)) for model in models)) for title, by in found.items()]
    heads = (_head(model, told["workloads"][model]) for model in models)
    note = (
        "No figure of this table was measured. Seconds of a film, in brackets the range that they"
        " should lie in, the denoiser's precision, peak memory"
    )
    return Table(("device", *heads), (*rows,), (note,), made_on=_CALIBRATED)


def _head(model: str, work: Mapping[str, Any]) -> str:
    steps = f", {work['steps']} steps" if "steps" in work else ""
    size_ = f"{work['width']}x{work['height']}, {work['frames']} frames{steps}"
    return f"{_NAMES.get(model, model)}, {size_}: predicted"


def _cell(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return NONE
    if not row["fits"]:
        needs, has = size(row["peak_bytes"]), size(row["budget_bytes"])
        return f"does not fit: {needs} of {has}"
    reach = between(row["low_seconds"], row["high_seconds"], duration)
    words = [f"{duration(row['seconds'])} ({reach})"]
    if "denoiser" in row["precisions"]:
        words.append(row["precisions"]["denoiser"])
    words.append(size(row["peak_bytes"]))
    if row["streamed"]:
        words.append(f"streamed: {', '.join(row['streamed'])}")
    return ", ".join(words)


def errors(results: Results) -> Table:
    """What the stated ranges rest on: prediction.json."""
    told = results["prediction"]
    rows = [
        (_RANGES.get(name, name), f"{ratio(one['factor'])} too long or too short", one["why"])
        for name, one in told["errors"].items()
    ]
    heads = ("predicted", "the range given: off by", "because")
    return Table(heads, (*rows,), made_on=_CALIBRATED)


def held_against(results: Results) -> Table:
    """Predicted from the other machines alone, against what was timed: prediction.json."""
    told = results["prediction"]
    rows = []
    for group, whose in (("measured", "measured here"), ("published", "published")):
        for row in told[group]["rows"]:
            source = row.get("source")
            where = f"[{source['title']}]({source['url']})" if source else whose
            rows.append(
                (
                    row["device"],
                    row["id"],
                    seconds(row["seconds"]),
                    seconds(row["predicted_seconds"]),
                    ratio(row["ratio"]),
                    where,
                )
            )
    heads = ("device", "what", "timed", "predicted", "predicted / timed", "timed by")
    notes = [
        f"{group}: median {told[group]['spread']['median_factor']:g}x off, worst"
        f" {told[group]['spread']['worst_factor']:g}x, {told[group]['spread']['points']} points"
        for group in ("measured", "published")
    ]
    return Table(heads, (*rows,), tuple(notes), made_on=_CALIBRATED)
