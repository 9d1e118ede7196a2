"""How well a looping film closes: the step over its seam against the steps beside it.

    python -m reverie.benchmarks.loop_seam [PHOTO...] [--seconds 10] [--height 360] [--json FILE]

The camera and the light stand still, so that nothing hides the seam of the motion itself. A ratio
of 1 is a seam nobody can see; above about 1.1 it would be a jolt.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from ..runtime.pipeline import stream
from .machine import describe_machine
from .photo_gate import DATA

PHOTOS = ("demo.jpg", "photos/tea-gardens.jpg", "photos/beach-rocks.jpg", "photos/city-clouds.jpg")


def seam(photo: Path, seconds: float, height: int, model: str) -> dict[str, float]:
    """Mean absolute steps between neighbouring frames, in grey levels, and the seam's ratio."""
    film = stream(
        photo,
        model=model,
        seconds=seconds,
        height=height,
        loop=True,
        prompt="static camera, unchanged light",
    )
    first = last = None
    steps: list[float] = []
    for frame in film:
        frame = frame.astype(np.float32)
        if last is None:
            first = frame
        else:
            steps.append(float(np.abs(frame - last).mean()))
        last = frame
    assert first is not None
    assert last is not None
    over = float(np.abs(last - first).mean())
    beside = max(steps[0], steps[-1])
    return {
        "seam": over,
        "beside": beside,
        "median": float(np.median(steps)),
        "ratio": over / max(beside, 1e-9),
        "ratio_to_median": over / max(float(np.median(steps)), 1e-9),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, nargs="*")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--height", type=int, default=360)
    parser.add_argument("--model", default="ember")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    rows = []
    for photo in asked.photos or [DATA / name for name in PHOTOS]:
        row = seam(photo, asked.seconds, asked.height, asked.model)
        rows.append({"photo": photo.name, **row})
        print(
            f"{photo.name:28s} seam {row['seam']:.3f}, steps beside {row['beside']:.3f},"
            f" ratio {row['ratio']:.2f}; to the median step {row['ratio_to_median']:.2f}"
        )
    if asked.json:
        asked.json.write_text(
            json.dumps({"machine": describe_machine(), "rows": rows}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
