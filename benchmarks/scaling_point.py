"""One film of a video model in a process of its own, told as JSON; what `scaling` runs.

python -m reverie.benchmarks.scaling_point BUNDLE HEIGHT WIDTH FRAMES STEPS
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from ..runtime.memory import peak_memory
from ..runtime.model import load
from ..runtime.noise import Noise
from ..runtime.stages import Stages


def film(bundle: Path, height: int, width: int, frames: int, steps: int) -> dict[str, object]:
    """Make a film of a made picture; returns stages in seconds, frames and the peak in bytes.

    Raises ValueError where the model can only do another size, for a sweep would not be one.
    """
    stages = Stages()
    with load(bundle, "cpu") as model:
        plan = model.plan(height=height, width=width, num_frames=frames, steps=steps)
        found = (plan.height, plan.width, plan.num_frames, plan.steps)
        if found != (height, width, frames, steps):
            raise ValueError(f"{bundle} makes {found} of {(height, width, frames, steps)}")
        picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
        prompt = "" if model.bundle.section("text") else None
        drawn = model.render(
            picture, plan, prompt=prompt, negative_prompt=None, noise=Noise(0), stages=stages
        )
        count = sum(1 for _ in drawn)
    return {"stages": stages.seconds, "frames": count, "peak_memory_bytes": peak_memory()}


if __name__ == "__main__":
    print(json.dumps(film(Path(sys.argv[1]), *map(int, sys.argv[2:]))))
