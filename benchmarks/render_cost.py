"""Time, peak memory and host overhead of a video model's render, in this process alone.

    python -m reverie.benchmarks.render_cost BUNDLE [--height H] [--width W] [--frames N]
        [--steps 2] [--guidance 1] [--made-prompt] [--json FILE]

A made photo through the model's own loop. Host time is what a denoising step takes outside the
engines. --made-prompt bakes random embeddings for the empty prompt into the bundle, for bundles
that were exported without their text encoder (of random weights, say).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..engines.engine import Array
from ..engines.ort import OrtEngine
from ..runtime.bundle import Bundle
from ..runtime.memory import peak_memory
from ..runtime.model import load
from ..runtime.noise import Noise
from ..runtime.prompts import store_prompts
from ..runtime.stages import Stages
from ..runtime.text import Text
from .machine import describe_machine


class Watch:
    """Counts the time inside engines, notes when each denoising step ended, and each stage's peak.

    The peak of a stage is known on Linux alone, where a process may set its own mark back.
    """

    def __init__(self) -> None:
        self.inside = 0.0
        self.steps: list[tuple[float, float]] = []
        self.peaks: dict[str, int] = {}
        plain = OrtEngine.run

        def run(engine: OrtEngine, inputs: Mapping[str, Array]) -> dict[str, Array]:
            start = time.perf_counter()
            try:
                return plain(engine, inputs)
            finally:
                self.inside += time.perf_counter() - start

        OrtEngine.run = run  # type: ignore[method-assign]

    def told(self, stage: str, done: int, total: int) -> None:
        """Take the progress of the render."""
        if done == 0:
            self.peaks["before"] = max(self.peaks.get("before", 0), peak_memory())
            with contextlib.suppress(OSError):
                Path("/proc/self/clear_refs").write_text("5")
        else:
            self.peaks[stage] = max(self.peaks.get(stage, 0), peak_memory())
        if stage == "denoise":
            self.steps.append((time.perf_counter(), self.inside))

    def step_times(self) -> list[tuple[float, float]]:
        """Seconds of each step after the first, whole and outside the engines."""
        pairs = zip(self.steps[1:], self.steps[2:], strict=False)  # [0] is the stage's beginning
        rows = [(b[0] - a[0], (b[0] - a[0]) - (b[1] - a[1])) for a, b in pairs]
        return [row for row in rows if row[0] > 0]


def made_prompt(bundle: Bundle, channels: int) -> Bundle:
    """Bake random embeddings for the empty prompt."""
    text = Text(bundle)
    shape = (1, text.max_tokens, channels)
    embeddings = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    mask = np.zeros((1, text.max_tokens), np.int64)
    mask[:, :16] = 1
    return store_prompts(bundle, [(text.clean(""), (embeddings, mask))])


def text_channels(bundle: Bundle) -> int:
    """Channels of the embeddings that the denoiser takes."""
    ports = bundle.manifest["components"]["denoiser"]["inputs"]
    return int(next(p["shape"][2] for p in ports if p["name"] == "text"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--height", type=int)
    parser.add_argument("--width", type=int)
    parser.add_argument("--frames", type=int)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--guidance", type=float, default=1.0)
    parser.add_argument("--made-prompt", action="store_true")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    model = load(asked.bundle)
    if asked.made_prompt:
        made_prompt(model.bundle, text_channels(model.bundle))
        model = load(asked.bundle)
    watch = Watch()
    stages = Stages(watch.told)
    plan = model.plan(
        height=asked.height,
        width=asked.width,
        num_frames=asked.frames,
        steps=asked.steps,
        guidance=asked.guidance,
    )
    picture = np.random.default_rng(0).integers(0, 256, (plan.height, plan.width, 3), np.uint8)
    start = time.perf_counter()
    prompt = "" if model.bundle.section("text") else None
    frames = 0
    for _ in model.render(
        picture, plan, prompt=prompt, negative_prompt=None, noise=Noise(0), stages=stages
    ):
        frames += 1
    wall = time.perf_counter() - start
    sizes = {name: part.stored_bytes for name, part in model.bundle.components.items()}
    steps = watch.step_times()
    row: dict[str, Any] = {
        "model": model.bundle.name,
        "family": model.bundle.family,
        "precision": model.bundle.component("denoiser").precision,
        "size": f"{plan.width}x{plan.height}",
        "frames": frames,
        "steps": plan.steps,
        "seconds": wall,
        "stages": stages.seconds,
        "step_seconds": statistics.median(s for s, _ in steps) if steps else None,
        "host_seconds_per_step": statistics.median(h for _, h in steps) if steps else None,
        "peak_bytes": max(peak_memory(), *watch.peaks.values()),
        "stage_peak_bytes": watch.peaks,
        "weights_bytes": sizes,
    }
    print(f"{row['model']} {row['precision']}, {row['size']}, {frames} frames, {plan.steps} steps")
    for name, seconds in stages.seconds.items():
        peak = watch.peaks.get(name, row["peak_bytes"]) / 2**30
        print(f"  {name:14} {seconds:8.2f} s {peak:6.2f} GiB")
    if steps:
        share = row["host_seconds_per_step"] / row["step_seconds"]
        print(f"  a step {row['step_seconds']:.3f} s, outside engines {share:.2%}")
    print(
        f"  peak {row['peak_bytes'] / 2**30:.2f} GiB, "
        f"largest component {max(sizes.values()) / 2**30:.2f} GiB"
    )
    if asked.json:
        text = json.dumps({"machine": describe_machine(), **row}, indent=1)
        asked.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
