"""Sets the gains of ember's maps so that the assembled motion has the energy of the truth."""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch

from .checkpoint import load_checkpoint, save_checkpoint
from .denoiser import EmberDenoiser
from .evaluate import look
from .maps import CLASSES, EmberMaps


@torch.no_grad()
def calibrate(
    maps: EmberMaps,
    denoiser: EmberDenoiser,
    shards: list[Path],
    *,
    limit: int = 60,
    rounds: int = 2,
) -> None:
    """Multiplies `amplitude_gain` and `drift_gain` by truth over sample, on validation scenes.

    Each class has its own gains, from the places that are rightly taken for it; what is taken for
    static keeps its gain of 1. Two rounds, since the cap and the blending of classes bend the
    relation a little.
    """
    for _ in range(rounds):
        energy = np.zeros((2, len(CLASSES), 8))
        drift = np.zeros(2)
        for scene in look(maps, denoiser, shards, limit=limit):
            taken_for = scene.probabilities.argmax(0)
            for row, item in enumerate((scene.truth, scene.sampled)):
                each = np.square(item).reshape(8, 4, *taken_for.shape).sum(1)
                for kind in range(len(CLASSES)):
                    here = (taken_for == kind) & (scene.classes == kind) & scene.valid
                    energy[row, kind] += each[:, here].sum(1)
            for row, flow in enumerate((scene.true_drift, scene.drift)):
                drift[row] += (np.square(flow) * scene.valid).sum()
        change = np.clip(np.sqrt((energy[0] + 1) / (energy[1] + 1)), 0.3, 4.0)
        change[0] = 1.0
        maps.amplitude_gain *= torch.from_numpy(change).float()
        maps.drift_gain *= float(np.sqrt(drift[0] / drift[1]))


def main() -> None:
    """Command line; see --help."""
    parser = argparse.ArgumentParser(description="Calibrate ember on validation scenes.")
    parser.add_argument("--checkpoint", type=Path, required=True, help="ember.safetensors")
    parser.add_argument("--out", type=Path, required=True, help="calibrated file to write")
    parser.add_argument("--shard", type=Path, action="append", required=True)
    parser.add_argument("--limit", type=int, default=60)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    cv2.setNumThreads(asked.threads)
    maps, denoiser = load_checkpoint(asked.checkpoint)
    calibrate(maps, denoiser, asked.shard, limit=asked.limit)
    save_checkpoint(asked.out, maps, denoiser)
    for name, gains in zip(CLASSES, maps.amplitude_gain, strict=True):
        print(name, [round(float(gain), 3) for gain in gains])
    print("drift gain", round(float(maps.drift_gain), 3))


if __name__ == "__main__":
    main()
