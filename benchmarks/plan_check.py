"""Predicted peaks of memory beside measured ones, on the CPU provider, phase by phase.

    python -m reverie.benchmarks.plan_check [--full FOLDER] [--json FILE]

Each render is one of `reverie.animate` in a process of its own, which sets its high-water mark of
memory back at the beginning of each stage (Linux). Tiny bundles are made on the spot; --full names
a folder with bundles "svd", "ltx" and "wan" at full size, which are not changed: prompts are made
up in memory where one was exported without its text encoder.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from ..runtime.bundle import load_bundle
from ..runtime.frame import frame_size
from ..runtime.memory import peak_memory
from ..runtime.planner import plan_render
from ..runtime.shapes import plan_for
from .bench.made_prompt import made_prompt
from .machine import describe_machine

LIMIT = 0.15
STAGES = {"motion": "frames", "encode": "frames"}
"""Stages of a render that are no phase of a plan by themselves."""
CASES: dict[str, list[dict[str, Any]]] = {
    "ember": [
        {"height": 720, "aspect": "16:9", "seconds": 2.0},
        {"height": 1080, "aspect": "16:9", "seconds": 2.0},
    ],
    "svd": [
        {"height": 64, "aspect": "1:1", "num_frames": 4, "steps": 2},
        {"height": 128, "aspect": "16:9", "num_frames": 8, "steps": 2},
    ],
    "ltx": [
        {"height": 64, "aspect": "1:1", "num_frames": 9, "steps": 2, "guidance": 1.0},
        {"height": 192, "aspect": "4:3", "num_frames": 17, "steps": 2, "guidance": 1.0},
    ],
    "wan": [
        {"height": 64, "aspect": "1:1", "num_frames": 5, "steps": 2, "guidance": 1.0},
        {"height": 192, "aspect": "4:3", "num_frames": 9, "steps": 2, "guidance": 1.0},
    ],
}
FULL: dict[str, list[dict[str, Any]]] = {
    "svd": [
        {"height": 256, "aspect": "4:3", "num_frames": 2, "steps": 1, "guidance": 1.0},
        {"height": 320, "aspect": "16:9", "num_frames": 4, "steps": 1, "guidance": 1.0},
    ],
    "ltx": [
        {"height": 320, "aspect": "4:3", "num_frames": 17, "steps": 2, "guidance": 1.0},
        {"height": 512, "aspect": "16:9", "num_frames": 25, "steps": 2, "guidance": 1.0},
    ],
    "wan": [
        {"height": 256, "aspect": "4:3", "num_frames": 5, "steps": 1, "guidance": 1.0},
        {"height": 384, "aspect": "16:9", "num_frames": 9, "steps": 1, "guidance": 1.0},
    ],
}


class Marks:
    """Each stage's peak, in bytes."""

    def __init__(self) -> None:
        self.peaks: dict[str, int] = {}
        self._stage = "before"

    def told(self, stage: str, done: int, total: int) -> None:
        """Take the progress of the render."""
        name = STAGES.get(stage, stage)
        self._note()
        if name != self._stage:
            self._stage = name
            Path("/proc/self/clear_refs").write_text("5")

    def _note(self) -> None:
        self.peaks[self._stage] = max(self.peaks.get(self._stage, 0), peak_memory())

    def end(self) -> dict[str, int]:
        """Every stage's peak."""
        self._note()
        return self.peaks


def measure(model: str, asked: dict[str, Any]) -> dict[str, int]:
    """Make a clip in this process; returns each stage's peak."""
    from ..runtime.pipeline import animate

    width, height = frame_size(asked["aspect"], asked["height"], (16, 9))
    photo = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    marks, bundle = Marks(), load_bundle(model)
    unread = bundle.section("text") and "text_encoder" not in bundle.components
    with (
        tempfile.TemporaryDirectory() as folder,
        made_prompt(bundle) if unread else contextlib.nullcontext(),
    ):
        animate(
            photo,
            Path(folder) / "clip.mp4",
            model=model,
            device="cpu",
            prompt="" if bundle.section("text") else None,
            on_progress=marks.told,
            **asked,
        )
    return marks.end()


def predict(model: str, asked: dict[str, Any]) -> dict[str, int]:
    """Return each phase's predicted peak."""
    bundle = load_bundle(model)
    film = frame_size(asked["aspect"], asked["height"], (16, 9))
    plan = plan_render(bundle, plan_for(bundle, **asked), film=film)
    if plan.rough:
        raise SystemExit(f"{bundle.folder} has no figures: python -m reverie.export.memory it")
    return {phase.name: phase.peak_bytes for phase in plan.phases}


def check(model: str, name: str, asked: dict[str, Any]) -> dict[str, Any]:
    """One render's row: predicted and measured peaks, and how far apart they are."""
    command = [sys.executable, "-m", __spec__.name if __spec__ else __name__]
    done = subprocess.run(
        [*command, "--render", model, json.dumps(asked)], capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr.strip()[-500:]}")
    measured = json.loads(done.stdout.splitlines()[-1])
    predicted = predict(model, asked)
    phases = {
        phase: {
            "predicted_bytes": bytes_,
            "measured_bytes": measured[phase],
            "error": round(bytes_ / measured[phase] - 1, 4),
        }
        for phase, bytes_ in predicted.items()
        if phase in measured
    }
    most, real = max(predicted.values()), max(measured.values())
    row = {
        "model": name,
        "asked": asked,
        "predicted_bytes": most,
        "measured_bytes": real,
        "error": round(most / real - 1, 4),
        "phases": phases,
    }
    within = abs(row["error"]) <= LIMIT
    print(
        f"{name} {asked['height']}: {most / 1e6:.0f} MB predicted, {real / 1e6:.0f} measured, ",
        end="",
    )
    print(f"{row['error']:+.1%}{'' if within else '  OFF'}")
    for phase, one in phases.items():
        print(
            f"    {phase:14}{one['predicted_bytes'] / 1e6:8.0f} {one['measured_bytes'] / 1e6:8.0f} "
            f"{one['error']:+.1%}",
            flush=True,
        )
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", type=Path, help="folder with full-size bundles svd, ltx, wan")
    parser.add_argument("--only", help="one family")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--render", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.render:
        print(json.dumps(measure(asked.render[0], json.loads(asked.render[1]))))
        return
    rows = []
    with tempfile.TemporaryDirectory() as place:
        for family, cases in (FULL if asked.full else CASES).items():
            if asked.only and family != asked.only:
                continue
            if asked.full:
                model = str(asked.full / family)
            elif family == "ember":
                model = "ember"
            else:
                from .tiny_bundles import make

                model = str(make(family, Path(place) / family))
            size = "full size" if asked.full else "tiny"
            name = family if family == "ember" else f"{family}, {size}"
            rows += [check(model, name, case) for case in cases]
    if asked.json:
        text = json.dumps(
            {"machine": describe_machine(), "limit": LIMIT, "renders": rows}, indent=1
        )
        asked.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
