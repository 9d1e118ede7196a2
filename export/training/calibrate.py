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
from .maps import EmberMaps


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

    Two rounds, since the cap on displacement bends the relation a little.
    """
    for _ in range(rounds):
        energy = np.zeros((2, 8))
        drift = np.zeros(2)
        for scene in look(maps, denoiser, shards, limit=limit):
            for row, item in enumerate((scene.truth, scene.sampled)):
                energy[row] += (np.square(item) * scene.valid).reshape(8, -1).sum(1)
            for row, flow in enumerate((scene.true_drift, scene.drift)):
                drift[row] += (np.square(flow) * scene.valid).sum()
        maps.amplitude_gain *= torch.from_numpy(np.sqrt(energy[0] / energy[1])).float()
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
    print("amplitude gains", [round(float(g), 3) for g in maps.amplitude_gain])
    print("drift gain", round(float(maps.drift_gain), 3))


if __name__ == "__main__":
    main()
