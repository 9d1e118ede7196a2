"""Trains ember's maps: `python -m reverie.export.training.train_maps --help`."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from .backbone import FROZEN_LAYERS, read_fastdepth
from .batches import Batch, Shards, stream
from .checkpoint import load_checkpoint
from .maps import CLASSES, EmberMaps, RawMaps, gated
from .trainer import Trainer, run

CLASS_WEIGHTS = (1.0, 1.0, 1.3, 1.2, 1.8, 2.5)  # rare classes count for more
_KEEP = 0.997  # how slowly the averaged weights follow at most


def learning_rate(step: int, steps: int) -> float:
    """Share of the full rate: a short warm-up, level for half the way, then a cosine to nothing."""
    warm = min(1.0, (step + 1) / 100)
    late = max(0.0, (step / steps - 0.5) / 0.5)
    return warm * (0.5 + 0.5 * math.cos(math.pi * min(1.0, late))) + 0.005


def losses(raw: RawMaps, batch: Batch) -> dict[str, Tensor]:
    """The parts of the loss, each a mean over the places that count.

    class: weighted cross entropy. size: gated roots against the truth, everywhere. bare: the same
    without the gate, where something moves. total: root of the rms over all frequencies. drift:
    likewise for the drift's speed.
    """
    valid = batch.valid
    places = valid.sum().clamp_min(1)
    weights = torch.tensor(CLASS_WEIGHTS)
    entropy = F.cross_entropy(
        raw.logits, batch.classes, weight=weights, reduction="none", label_smoothing=0.04
    )
    classes = raw.logits.softmax(1)
    root, drift_root = gated(raw, classes)
    moving = valid * (batch.root.pow(4).sum(1, keepdim=True) > 0.01)
    drifting = valid * (batch.drift_root > 0.3)

    def far(guess: Tensor, truth: Tensor, where: Tensor) -> Tensor:
        error = F.smooth_l1_loss(guess, truth, reduction="none", beta=0.5)
        return (error * where).sum() / (where.sum() * guess.shape[1]).clamp_min(1)

    return {
        "class": (entropy * valid[:, 0]).sum() / places,
        "size": far(root, batch.root, valid),
        "bare": far(raw.root, batch.root, moving),
        "total": far(_total(root), _total(batch.root), valid),
        "drift": far(drift_root, batch.drift_root, valid)
        + 0.3 * far(raw.drift_root, batch.drift_root, drifting),
    }


def _total(root: Tensor) -> Tensor:
    return (root.pow(4).sum(1, keepdim=True) + 1e-4).pow(0.25)


PARTS = {"class": 1.0, "size": 2.0, "bare": 0.5, "total": 0.7, "drift": 0.4}


class MapsTrainer(Trainer):
    """Trains the maps: the encoder's late layers gently, the rest at the full rate."""

    network: EmberMaps
    average: EmberMaps

    def __init__(self, seed: int, rate: float) -> None:
        super().__init__(seed)
        self.network = EmberMaps().to(memory_format=torch.channels_last)
        self.average = EmberMaps().eval()
        self.average.load_state_dict(self.network.state_dict())
        layers = self.network.encoder.layers
        for layer in layers[:FROZEN_LAYERS]:
            layer.requires_grad_(False)
        tuned = [p for layer in layers[FROZEN_LAYERS:] for p in layer.parameters()]
        own = {id(p) for p in layers.parameters()}
        fresh = [p for p in self.network.parameters() if id(p) not in own]
        self.optimiser = torch.optim.AdamW(
            [{"params": fresh, "full": rate}, {"params": tuned, "full": rate * 0.4}],
            weight_decay=0.02,
            betas=(0.9, 0.98),
        )

    def start_from(self, backbone: Path) -> None:
        """Takes FastDepth's encoder as the beginning."""
        state = read_fastdepth(backbone)
        self.network.encoder.load_state_dict(state)
        self.average.encoder.load_state_dict(state)

    def learn(self, batch: Batch, steps: int) -> dict[str, float]:
        """One step on one batch; gives the parts of the loss and the class accuracy."""
        share = learning_rate(self.step, steps)
        for group in self.optimiser.param_groups:
            group["lr"] = group["full"] * share
        self.network.train()
        image = batch.image.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            raw = self.network.raw(image)
        parts = losses(raw, batch)
        loss = sum((PARTS[name] * part for name, part in parts.items()), torch.zeros(()))
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 2.0)
        self.optimiser.step()
        self.step += 1
        self.follow(min(_KEEP, 1 - 15 / (self.step + 20)))
        right = (raw.logits.argmax(1) == batch.classes).float()[:, None] * batch.valid
        told = {name: float(part.detach()) for name, part in parts.items()}
        told["loss"] = float(loss.detach())
        told["accuracy"] = float(right.sum() / batch.valid.sum().clamp_min(1))
        return told


def train(
    trainer: MapsTrainer,
    shards: Shards,
    *,
    steps: int,
    batch: int,
    out: Path,
    coarse: int = 0,
    every: int = 300,
    minutes: float = math.inf,
) -> None:
    """Trains up to `steps` or for `minutes`; writes maps.pt and a line of JSON to maps.jsonl."""
    batches = stream(shards, batch, trainer.seed, trainer.step, coarse=coarse)
    told = (trainer.learn(item, steps) for item in batches)
    run(
        trainer,
        told,
        name="maps",
        out=out,
        steps=steps,
        every=every,
        minutes=minutes,
        facts=lambda: {"shards": sum(len(known) for known in shards.found)},
    )


def main() -> None:
    """Command line; see --help."""
    parser = argparse.ArgumentParser(description="Train ember's maps.")
    parser.add_argument(
        "--data",
        action="append",
        required=True,
        metavar="FOLDER[=SHARE]",
        help="folder of shards and its share of the batches; may be given again",
    )
    parser.add_argument("--backbone", type=Path, help="fastdepth_7.onnx; not needed to resume")
    parser.add_argument("--weights", type=Path, help="ember.safetensors to train on from")
    parser.add_argument("--out", type=Path, required=True, help="where checkpoints and log go")
    parser.add_argument("--prepared", type=Path, required=True, help="where targets are kept")
    parser.add_argument("--skip", default="", help="shard names left for validation, by commas")
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--coarse", type=int, default=0, help="first steps at two thirds size")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=math.inf)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--first", type=int, default=1000, help="shards to wait for at the start")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    asked.out.mkdir(parents=True, exist_ok=True)
    groups = []
    for text in asked.data:
        folder, _, share = text.partition("=")
        groups.append((Path(folder), float(share or 1)))
    shards = Shards(groups, asked.prepared, frozenset(filter(None, asked.skip.split(","))))
    if not shards.refresh(limit=asked.first):
        parser.error("no whole shard lies in any --data folder; make scenes first")
    trainer = MapsTrainer(asked.seed, asked.rate)
    checkpoint = asked.out / "maps.pt"
    if checkpoint.exists():
        trainer.resume(checkpoint)
    elif asked.weights:
        trainer.start_with(load_checkpoint(asked.weights)[0].state_dict())
    elif asked.backbone:
        trainer.start_from(asked.backbone)
    else:
        parser.error(f"--backbone or --weights is needed: there is no {checkpoint} to go on from")
    train(
        trainer,
        shards,
        steps=asked.steps,
        batch=asked.batch,
        out=asked.out,
        minutes=asked.minutes,
        coarse=asked.coarse,
    )


if __name__ == "__main__":
    assert len(CLASS_WEIGHTS) == len(CLASSES)
    main()
