"""Trains ember's denoiser: `python -m reverie.export.training.train_denoiser --help`."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .batches import Shards
from .checkpoint import load_checkpoint, save_checkpoint
from .denoiser import EmberDenoiser
from .maps import EmberMaps
from .targets import mirror_latents, prepare_latents, rotate_phases
from .train_maps import learning_rate
from .trainer import Trainer, run

_KEEP = 0.997
_BACKGROUND = 0.1  # weight of places where nothing moves: there the latents are zero


@dataclass(frozen=True)
class Scenes:
    """Scenes of one size, ready to learn from: features, latents and where they count (float16)."""

    features: Tensor
    latents: Tensor
    counts: Tensor


@torch.no_grad()
def gather(maps: EmberMaps, shards: Shards, limit: int, seed: int) -> list[Scenes]:
    """Runs the maps once over at most `limit` scenes (half of them mirrored), grouped by size.

    Groups are taken in the proportion of their shares, as far as they reach.
    """
    rng = np.random.default_rng(seed)
    found: dict[tuple[int, int], list[tuple[Tensor, Tensor, Tensor]]] = {}
    total = sum(share for _, share in shards.groups)
    for known, (_, share) in zip(shards.found, shards.groups, strict=True):
        left = int(limit * share / total)
        for index in rng.permutation(len(known)):
            shard, ready = known[index]
            prepare_latents(shard, ready)
            image = np.load(shard / "image.npy", mmap_mode="r")
            truth = [np.load(ready / f"{name}.npy") for name in ("latents", "counts")]
            for start in range(0, min(len(image), left), 16):
                picture = torch.from_numpy(image[start : start + 16].copy())
                picture = picture.permute(0, 3, 1, 2).float() / 255
                latents, counts = (torch.from_numpy(part[start : start + 16]) for part in truth)
                if rng.random() < 0.5:
                    picture, counts = picture.flip(-1), counts.flip(-1)
                    latents = mirror_latents(latents)
                with torch.autocast("cpu", torch.bfloat16):
                    features = maps(picture.contiguous(memory_format=torch.channels_last))[3]
                # Scenes in which next to nothing moves teach nothing about phases.
                some = counts.float().mean((1, 2, 3)) > 0.01
                if some.any():
                    found.setdefault(tuple(features.shape[2:]), []).append(
                        (features[some].half(), latents[some], counts[some])
                    )
            left -= len(image)
            if left <= 0:
                break
    return [
        Scenes(*(torch.cat(part) for part in zip(*items, strict=True))) for items in found.values()
    ]


class DenoiserTrainer(Trainer):
    """Trains the denoiser on features and latents that lie ready."""

    network: EmberDenoiser
    average: EmberDenoiser

    def __init__(self, seed: int, rate: float) -> None:
        super().__init__(seed)
        self.network = EmberDenoiser().to(memory_format=torch.channels_last)
        self.average = EmberDenoiser().eval()
        self.average.load_state_dict(self.network.state_dict())
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=rate, weight_decay=0.01, betas=(0.9, 0.98)
        )
        self.rate = rate

    def standardise(self, scenes: list[Scenes]) -> None:
        """Sets the features' mean and scale from the scenes, once, before the first step."""
        some = torch.cat([item.features[:200].float().flatten(2).mean(2) for item in scenes])
        mean = some.mean(0)
        spread = torch.cat(
            [
                (item.features[:200].float() - mean[:, None, None]).square().mean((2, 3))
                for item in scenes
            ]
        ).mean(0)
        for network in (self.network, self.average):
            network.feature_mean.copy_(mean)
            network.feature_scale.copy_(1 / (spread.sqrt() + 1e-3))

    def learn(self, scenes: list[Scenes], batch: int, steps: int) -> dict[str, float]:
        """One step; which scenes, phases and noise depends on seed and step alone."""
        rng = np.random.default_rng((self.seed, self.step))
        random = torch.Generator().manual_seed(int(rng.integers(2**62)))
        sizes = np.array([len(item.latents) for item in scenes], float)
        item = scenes[rng.choice(len(scenes), p=sizes / sizes.sum())]
        chosen = torch.from_numpy(rng.integers(0, len(item.latents), batch))
        latents = item.latents[chosen].float()
        counts = item.counts[chosen].float()
        features = item.features[chosen].float()
        # A stationary swing has no beginning: each frequency may start at any moment.
        turns = torch.rand(batch, 8, generator=random) * (2 * math.pi)
        latents = rotate_phases(latents, turns)
        level = torch.sigmoid(torch.randn(batch, generator=random) * 1.2 + 0.4)
        noise = torch.randn(latents.shape, generator=random)
        loss, parts = self._loss(latents, counts, features, level, noise)
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate * learning_rate(self.step, steps)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        self.follow(min(_KEEP, 1 - 15 / (self.step + 20)))
        return parts

    def _loss(
        self, latents: Tensor, counts: Tensor, features: Tensor, level: Tensor, noise: Tensor
    ) -> tuple[Tensor, dict[str, float]]:
        wide = level[:, None, None, None]
        size = ((1 - wide).square() + wide.square()).sqrt()
        noisy = (1 - wide) * latents + wide * noise
        inputs = (noisy / size).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            answer = self.network.core(
                inputs, level, features.contiguous(memory_format=torch.channels_last)
            )
        error = (answer - (wide * latents - (1 - wide) * noise) / size).square()
        weight = _BACKGROUND + (1 - _BACKGROUND) * counts
        swing = (error[:, :32].mean(1) * weight[:, 0]).sum() / weight[:, 0].sum()
        drift = (error[:, 32:].mean(1) * weight[:, 1]).sum() / weight[:, 1].sum()
        return swing + 0.3 * drift, {"swing": float(swing.detach()), "drift": float(drift.detach())}


def train(
    trainer: DenoiserTrainer,
    scenes: list[Scenes],
    *,
    steps: int,
    batch: int,
    out: Path,
    every: int = 300,
    minutes: float = math.inf,
) -> None:
    """Trains up to `steps` or for `minutes`; writes denoiser.pt and lines to denoiser.jsonl."""
    told = (trainer.learn(scenes, batch, steps) for _ in count())
    run(
        trainer,
        told,
        name="denoiser",
        out=out,
        steps=steps,
        every=every,
        minutes=minutes,
        facts=lambda: {"scenes": sum(len(item.latents) for item in scenes)},
    )


def main() -> None:
    """Command line; see --help."""
    parser = argparse.ArgumentParser(description="Train ember's denoiser on trained maps.")
    parser.add_argument("--data", action="append", required=True, metavar="FOLDER[=SHARE]")
    parser.add_argument("--maps", type=Path, required=True, help="maps.pt of train_maps")
    parser.add_argument("--weights", type=Path, help="ember.safetensors to train on from")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--prepared", type=Path, required=True)
    parser.add_argument("--skip", default="", help="shard names left for validation, by commas")
    parser.add_argument("--scenes", type=int, default=6000, help="at most so many are kept ready")
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=math.inf)
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    asked.out.mkdir(parents=True, exist_ok=True)
    maps = EmberMaps().eval()
    maps.load_state_dict(torch.load(asked.maps, weights_only=True)["average"])
    maps = maps.to(memory_format=torch.channels_last)
    groups = []
    for text in asked.data:
        folder, _, share = text.partition("=")
        groups.append((Path(folder), float(share or 1)))
    shards = Shards(groups, asked.prepared, frozenset(filter(None, asked.skip.split(","))))
    if not shards.refresh():
        parser.error("no whole shard lies in any --data folder; make scenes first")
    kept = asked.out / "scenes.pt"
    if kept.exists():
        scenes = [Scenes(*parts) for parts in torch.load(kept, weights_only=True)]
    else:
        scenes = gather(maps, shards, asked.scenes, asked.seed)
        torch.save([(s.features, s.latents, s.counts) for s in scenes], kept)
    trainer = DenoiserTrainer(asked.seed, asked.rate)
    checkpoint = asked.out / "denoiser.pt"
    if checkpoint.exists():
        trainer.resume(checkpoint)
    elif asked.weights:
        trainer.start_with(load_checkpoint(asked.weights)[1].state_dict())
    else:
        trainer.standardise(scenes)
    train(
        trainer,
        scenes,
        steps=asked.steps,
        batch=asked.batch,
        out=asked.out,
        minutes=asked.minutes,
    )
    save_checkpoint(asked.out / "ember.safetensors", maps, trainer.average)


if __name__ == "__main__":
    main()
