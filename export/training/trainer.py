"""What both trainers share: an averaged copy, checkpoints that hold all, and the log."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn


class Trainer:
    """Network, averaged copy, optimiser and step; all of it goes into a checkpoint.

    A subclass makes `network`, `average` (of the same weights) and `optimiser`, and learns.
    """

    network: nn.Module
    average: nn.Module
    optimiser: torch.optim.Optimizer

    def __init__(self, seed: int) -> None:
        torch.manual_seed(seed)
        self.seed, self.step = seed, 0

    @torch.no_grad()
    def follow(self, keep: float) -> None:
        """Bring the averaged copy nearer to the network; `keep` 0..1 is what it keeps."""
        mine, theirs = self.average.state_dict(), self.network.state_dict()
        floats = [name for name in mine if mine[name].is_floating_point()]
        torch._foreach_lerp_([mine[n] for n in floats], [theirs[n] for n in floats], 1 - keep)

    def start_with(self, weights: Mapping[str, Tensor]) -> None:
        """Takes weights that were trained before as the beginning, with a new optimiser."""
        self.network.load_state_dict(weights)
        self.average.load_state_dict(weights)

    def save(self, path: Path) -> None:
        """Everything needed to go on, written beside and renamed."""
        beside = path.with_name(path.name + ".part")
        torch.save(
            {
                "network": self.network.state_dict(),
                "average": self.average.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "random": torch.get_rng_state(),
                "step": self.step,
                "seed": self.seed,
            },
            beside,
        )
        beside.replace(path)

    def resume(self, path: Path) -> None:
        """Goes on from a checkpoint written by `save`, at the rates this trainer was made with."""
        state = torch.load(path, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        full = [group.get("full") for group in self.optimiser.param_groups]
        self.optimiser.load_state_dict(state["optimiser"])
        for group, rate in zip(self.optimiser.param_groups, full, strict=True):
            if rate is not None:
                group["full"] = rate
        torch.set_rng_state(state["random"])
        self.step, self.seed = state["step"], state["seed"]


def run(
    trainer: Trainer,
    told: Iterable[dict[str, float]],
    *,
    name: str,
    out: Path,
    steps: int,
    every: int,
    minutes: float = math.inf,
    facts: Callable[[], Mapping[str, float]] = dict,
) -> None:
    """Draw steps from `told` up to `steps` or for `minutes`; keep NAME.pt and a log, NAME.jsonl.

    told: takes one step each time it is asked, and says what came of it. Every 50 steps a line of
    means, with what `facts` says then, goes to the log; every `every` steps a checkpoint is
    written.
    """
    if trainer.step >= steps:
        return
    began = time.monotonic()
    rows: list[dict[str, float]] = []
    with (out / f"{name}.jsonl").open("a") as log:
        for row in told:
            rows.append(row)
            over = trainer.step >= steps or (time.monotonic() - began) / 60 >= minutes
            if trainer.step % 50 == 0 or over:
                means = {key: round(sum(r[key] for r in rows) / len(rows), 4) for key in rows[0]}
                means["step"] = trainer.step
                means["minutes"] = round((time.monotonic() - began) / 60, 2)
                log.write(json.dumps({**means, **facts()}) + "\n")
                log.flush()
                rows.clear()
            if trainer.step % every == 0 or over:
                trainer.save(out / f"{name}.pt")
            if over:
                return
