"""What one frame costs to draw, by what moves in it, on one thread and on two.

    python -m reverie.benchmarks.frame_cost [--size 1280x720] [--seconds 3] [--json FILE]

A made picture and made spectra, so that the figures do not depend on a model or a photo.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np

from ..runtime.motion import render
from ..runtime.settings import CLASSES, LightIntent
from ..runtime.spectrum import FREQUENCIES, Spectrum
from ..runtime.warp import GraphWarp, OpenCvWarp
from .machine import describe_machine

CELLS = (96, 144)
CASES = {
    "camera": (0.0, 0.0, None),
    "camera, light": (0.0, 0.0, "golden"),
    "camera, swing, light": (0.004, 0.0, "golden"),
    "camera, swing, light, water in the lower half": (0.004, 0.5, "golden"),
    "camera, swing, light, water everywhere": (0.004, 1.0, "golden"),
}
"""Name -> rms swing in shorter sides, share of the picture that drifts, light."""


def made_picture(width: int, height: int) -> np.ndarray:
    """Soft noise, uint8 (height, width, 3)."""
    rng = np.random.default_rng(0)
    noise = cv2.GaussianBlur(rng.standard_normal((height, width, 3)), (0, 0), 2.0)
    return np.clip(128 + 45 * noise / noise.std(), 0, 255).astype(np.uint8)


def made_spectrum(swing: float, drifting: float) -> Spectrum:
    """Smooth random phases of one strength, and a drift in the lowest rows."""
    rng = np.random.default_rng(1)
    coefficients = np.zeros((len(FREQUENCIES), 4, *CELLS), np.float32)
    for index in np.ndindex(len(FREQUENCIES), 4):
        smooth = cv2.GaussianBlur(rng.standard_normal(CELLS), (0, 0), 6)
        coefficients[index] = swing / 2 / (index[0] + 1) ** 0.5 * smooth / smooth.std()
    drift = np.zeros((2, *CELLS), np.float32)
    drift[0, round(CELLS[0] * (1 - drifting)) :] = 0.012
    return Spectrum(coefficients, np.array(FREQUENCIES, np.float32), drift)


def frame_times(case: str, width: int, height: int, seconds: float) -> dict[str, float]:
    """Milliseconds a frame, over all of them (wall, CPU), and to prepare.

    Frames are drawn side by side and a few ahead, so that a single one has no time of its own.
    """
    swing, drifting, light = CASES[case]
    classes = np.zeros((len(CLASSES), *CELLS), np.float32)
    classes[CLASSES.index("water")] = 1.0
    frames = render(
        made_picture(width, height),
        made_spectrum(swing, drifting),
        np.ones(CELLS, np.float32),
        seconds=seconds,
        fps=24,
        depth=np.linspace(0, 1, CELLS[0], dtype=np.float32)[:, None].repeat(CELLS[1], 1),
        classes=classes,
        light=LightIntent(light or "none"),
    )
    next(frames)
    start = time.perf_counter()
    next(frames)  # the first drawn frame waits for everything that is made once a film
    prepared = time.perf_counter() - start
    start, start_busy = time.perf_counter(), time.process_time()
    count = sum(1 for _ in frames)
    wall, busy = time.perf_counter() - start, time.process_time() - start_busy
    return {
        "wall_ms": round(1e3 * wall / count, 2),
        "cpu_ms": round(1e3 * busy / count, 2),
        "prepare_ms": round(1e3 * prepared, 1),
    }


def warp_times(width: int, height: int, runs: int = 12) -> dict[str, float]:
    """Milliseconds of one warp, each way, on the CPU."""
    picture = made_picture(width, height)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    map_x, map_y = x * np.float32(0.96) + 9, y * np.float32(0.96) + 5
    found = {}
    for name, opened in (("opencv", OpenCvWarp(picture)), ("graph", GraphWarp(picture, "cpu"))):
        times = []
        with closing(opened) as way:
            for _ in range(runs):
                start = time.perf_counter()
                way.warp(map_x, map_y)
                times.append(1e3 * (time.perf_counter() - start))
        found[f"{name}_ms"] = round(statistics.median(times), 2)
    return found


def main() -> None:
    """Measure, print a table, and write it where asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    width, height = (int(side) for side in asked.size.split("x"))
    rows = []
    for threads in (1, 2):
        cv2.setNumThreads(threads)
        for case in CASES:
            rows.append(
                {"case": case, "threads": threads} | frame_times(case, width, height, asked.seconds)
            )
            print(
                f"{threads} thread(s)  {rows[-1]['wall_ms']:6.1f} ms a frame "
                f"({rows[-1]['cpu_ms']:.1f} CPU, {rows[-1]['prepare_ms']:.0f} once)  {case}"
            )
    warps = warp_times(width, height)
    print(f"one warp: OpenCV {warps['opencv_ms']} ms, graph on the CPU {warps['graph_ms']} ms")
    if asked.json is not None:
        result = {"machine": describe_machine(), "size": asked.size, "frames": rows, "warp": warps}
        asked.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
