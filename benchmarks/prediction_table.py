"""The table of predictions: four models on every device, in the precisions planned there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..engines.calibration import Calibration
from ..engines.devices import Hardware, devices
from ..runtime.bundle import load_bundle
from ..runtime.predict import Prediction, predict
from ..runtime.shapes import plan_for
from ..runtime.take import find_family
from .manifest_only import FOLDER

WORKLOADS: Mapping[str, dict[str, Any]] = {
    "ember": {"width": 1280, "height": 720, "frames": 240, "fps": 24},
    "ltx": {"width": 704, "height": 512, "frames": 97, "fps": 24, "steps": 30, "guidance": 3.0},
    "svd": {"width": 1024, "height": 576, "frames": 14, "fps": 7, "steps": 25},
    "wan": {"width": 1280, "height": 704, "frames": 121, "fps": 24, "steps": 50, "guidance": 5.0},
}
"""Bundle -> what is predicted of it."""


def predicted(
    model: str, work: Mapping[str, Any], device: Hardware, known: Calibration
) -> Prediction | None:
    """Predict a workload; None where its manifest is not there."""
    folder = FOLDER / model
    if model != "ember" and not (folder / "bundle.json").is_file():
        return None
    bundle = load_bundle(model if model == "ember" else folder)
    if model == "ember":
        plan = plan_for(
            bundle, height=work["height"], aspect="16:9", num_frames=work["frames"], fps=work["fps"]
        )
    else:
        plan = find_family(bundle).plan(
            bundle,
            height=work["height"],
            width=work["width"],
            num_frames=work["frames"],
            steps=work.get("steps"),
            guidance=work.get("guidance"),
        )
    return predict(
        bundle,
        plan,
        device,
        film=(work["width"], work["height"]),
        frames=work["frames"],
        fps=work["fps"],
        known=known,
    )


def table(known: Calibration) -> list[dict[str, Any]]:
    """Return every device with every workload, predicted."""
    rows = []
    for name, device in devices().items():
        for model, work in WORKLOADS.items():
            made = predicted(model, work, device, known)
            if made is not None:
                rows.append({"device": name, "title": device.title, "model": model, **told(made)})
    return rows


def told(made: Prediction) -> dict[str, Any]:
    """Return a prediction as a row of a table."""
    total = made.total
    short = (None, None, None) if total is None else (total.seconds, total.low, total.high)
    seconds, low, high = (None if one is None else float(f"{one:.3g}") for one in short)
    factor = made.real_time_factor
    return {
        "predicted": True,
        "fits": made.fits,
        "seconds": seconds,
        "low_seconds": low,
        "high_seconds": high,
        "error_factor": made.error.factor if made.fits else None,
        "real_time_factor": None if factor is None else float(f"{factor:.3g}"),
        "peak_bytes": made.render.peak_bytes,
        "budget_bytes": made.render.budget_bytes,
        "precisions": {row.name: row.precision for row in made.render.components},
        "streamed": [row.name for row in made.render.components if row.residency == "streamed"],
        "phases": {one.name: float(f"{one.span.seconds:.3g}") for one in made.phases},
        "verdict": made.render.verdict,
    }
