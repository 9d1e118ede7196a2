"""Time, peak memory and host overhead of a video model's render, in this process alone.

    python -m reverie.benchmarks.render_cost BUNDLE [--height H] [--width W] [--frames N]
        [--steps 2] [--guidance 1] [--made-prompt] [--json FILE]

A made photo through the model's own loop. Host time is what a denoising step takes outside the
engines. --made-prompt takes random embeddings for the empty prompt, in memory, for bundles that
were exported without their text encoder (of random weights, say).

`reverie bench` measures whole films, repeated and in processes of their own; this is one look at a
model by itself, with each stage's peak.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from ..runtime.memory import peak_memory
from ..runtime.model import load
from ..runtime.noise import Noise
from .bench.made_prompt import made_prompt
from .bench.watch import Engines, PeakWatch
from .machine import describe_machine


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
    engines = Engines()
    watch = PeakWatch(engines=engines)
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
    made = made_prompt(model.bundle) if asked.made_prompt else contextlib.nullcontext()
    with engines.watched(), made:
        for _ in model.render(
            picture, plan, prompt=prompt, negative_prompt=None, noise=Noise(0), stages=watch
        ):
            frames += 1
    wall = time.perf_counter() - start
    sizes = {name: part.stored_bytes for name, part in model.bundle.components.items()}
    _, steps, outside = watch.step_times()
    row: dict[str, Any] = {
        "model": model.bundle.name,
        "family": model.bundle.family,
        "precision": model.bundle.component("denoiser").precision,
        "size": f"{plan.width}x{plan.height}",
        "frames": frames,
        "steps": plan.steps,
        "seconds": wall,
        "stages": watch.seconds,
        "step_seconds": statistics.median(steps) if steps else None,
        "host_seconds_per_step": statistics.median(outside) if steps else None,
        "peak_bytes": max(peak_memory(), *watch.peaks.values()),
        "stage_peak_bytes": watch.peaks,
        "weights_bytes": sizes,
    }
    print(f"{row['model']} {row['precision']}, {row['size']}, {frames} frames, {plan.steps} steps")
    for name, seconds in watch.seconds.items():
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
