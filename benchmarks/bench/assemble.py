"""What processes told -> one row of the record."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .cases import cores_here
from .children import Runner, Told
from .energy import kind_of
from .record import maybe_summary, phase, summary
from .sensors import heat_summary
from .soak import soak, wall_of

NAMES = {"encode image": "image encode", "frames": "drawing"}
"""Stages of a render that are called otherwise here."""
_MOST_FRAMES = 5000
"""Samples of drawing that are kept one by one; of more, each render's median is."""


def make_row(
    runner: Runner, films: Sequence[Told], starts: Sequence[Told], kept: Told
) -> dict[str, Any]:
    """Return a case's row.

    films: processes that rendered whole films; starts: those that went to the first frame; kept:
    the one that rendered again and again.
    """
    case, plans, sensors = runner.case, runner.plans, runner.sensors
    clip = kept.runs[-1]["clip"]
    kind = kind_of(clip["device"])
    meter, no_meter = runner.meters.of(kind)
    runs = [
        run | {"joules": run["joules"].get(kind)} for run in kept.runs if run["kind"] != "warmup"
    ]
    wall = summary([one.ended - one.spawned for one in films])
    readings = [
        one for told in (*starts, *films, kept) if told.sampler for one in told.sampler.readings
    ]
    joules = maybe_summary([one.joules.get(kind) for one in films])
    heat = heat_summary(readings)
    first = kept.runs[0]
    timeline = kept.sampler.timeline if kept.sampler else None
    notes = list(clip["notes"])
    if case.made_prompt:
        notes.append("embeddings were made up where none are baked: there is no text encoder")
    if heat is None:
        notes.append(f"temperature: {sensors.why_no_heat or 'none was read'}")
    return {
        "id": case.id(clip["device"]),
        "model": case.name,
        "family": case.family,
        "version": case.version,
        "width": clip["width"],
        "height": clip["height"],
        "frames": clip["frames"],
        "fps": clip["fps"],
        "seconds": clip["seconds"],
        "steps": clip["steps"],
        "precision": clip["precision"],
        "backend": ", ".join(clip["backend"]),
        "device": clip["device"],
        "threads": case.threads or cores_here(),
        "onnxruntime": clip["onnxruntime"],
        "encoder": clip["encoder"],
        "photo": Path(case.photo).name,
        "asked": {
            "size": f"{case.width}x{case.height}",
            "frames": case.frames,
            "seconds": case.seconds,
            "steps": case.steps,
            "guidance": case.guidance,
            "precision": case.precision,
            "backend": case.backend,
            "device": case.device,
            "threads": case.threads,
            "prompt": case.prompt,
            "repeat": plans.repeat,
            "warmup": plans.warmup,
            "minutes": plans.minutes,
        },
        "phases": phases_of(runs),
        "opening_networks": summary([run["opening"] for run in runs]),
        "warm_wall": summary([wall_of(run) for run in runs]),
        "cold_start": cold_start(starts),
        "end_to_end": wall,
        "real_time_factor": round(clip["seconds"] / wall["median"], 4),
        "host_peak_bytes": maybe_summary([one.runs[0]["peak"] for one in films]),
        "warm_peak_bytes": maybe_summary([run["peak"] for run in runs]),
        "planned_peak_bytes": clip["planned_peak_bytes"],
        "device_peak_bytes": _device_peak(films) if clip["device"] != "cpu" else None,
        "timeline": timeline.between(kept.spawned, first["end"]) if timeline else [],
        "marks": [[round(at - kept.spawned, 3), name] for at, name in _marks(kept)],
        "energy": {
            "source": meter.source if meter is not None and joules else None,
            "covers": meter.covers if meter is not None and joules else None,
            "joules": joules,
            "reason": no_meter or ("" if joules else "the meter told nothing"),
        },
        "temperature": heat,
        "throttled": sensors.throttling(readings),
        "soak": soak(runs, kept.sampler.readings if kept.sampler else [], plans.minutes),
        "notes": notes,
    }


def phases_of(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the figures of each phase over some renders of one process, in their order."""
    names = list(dict.fromkeys(name for run in runs for name in run["stages"]))
    found = {}
    for name in names:
        totals = [run["stages"].get(name, 0.0) for run in runs]
        called = NAMES.get(name, name)
        steps = [step for run in runs for step in run["steps"]]
        frames = [run["frames"] for run in runs]
        if name == "denoise" and (steps or any(run["first_steps"] for run in runs)):
            first = [step for run in runs for step in run["first_steps"]]
            outside = [step for run in runs for step in run["outside"]]
            found[called] = phase(
                steps or first,
                per="step",
                totals=totals,
                first=summary(first) if first else None,
                outside_networks=summary(outside) if outside else None,
            )
        elif name == "frames" and all(frames):
            samples = [piece for run in frames for piece in run]
            if len(samples) > _MOST_FRAMES:
                samples = [statistics.median(run) for run in frames]
            found[called] = phase(samples, per="frame", totals=totals)
        else:
            found[called] = phase(totals)
    return found


def cold_start(starts: Sequence[Told]) -> dict[str, Any]:
    """Return the figures of the way to the first frame in fresh processes, in seconds.

    process: from its start to the first line of its own; import: Reverie and what it loads at once;
    open: opening networks, ONNX Runtime loaded with the first; first step and first frame: from the
    call; total: from the start of the process to the first frame. Files are in the system's cache
    from the second process on.
    """

    def of(run: dict[str, Any], what: str, since: float) -> float | None:
        return None if run[what] is None else run[what] - since

    rows: dict[str, list[float | None]] = {
        "process": [one.ready["begun"] - one.spawned for one in starts],
        "import": [one.ready["imported"] for one in starts],
        "open": [one.runs[0]["opening"] for one in starts],
        "first step": [of(one.runs[0], "first_step", one.runs[0]["start"]) for one in starts],
        "first frame": [of(one.runs[0], "first_frame", one.runs[0]["start"]) for one in starts],
        "total to first step": [of(one.runs[0], "first_step", one.spawned) for one in starts],
        "total": [of(one.runs[0], "first_frame", one.spawned) for one in starts],
    }
    return {name: made for name, samples in rows.items() if (made := maybe_summary(samples))}


def _marks(told: Told) -> list[tuple[float, str]]:
    begun = [(told.spawned, "start"), (told.ready["begun"], "import")]
    return begun + [(at, NAMES.get(name, name)) for at, name in told.runs[0]["marks"]]


def _device_peak(films: Sequence[Told]) -> dict[str, Any] | None:
    peaks = [
        max(
            one.runs[0]["device_peak"] or 0,
            (one.sampler.device_peak(one.spawned, one.ended) or 0) if one.sampler else 0,
        )
        for one in films
    ]
    return summary(peaks) if all(peaks) else None
