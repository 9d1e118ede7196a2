"""Batches of scenes for training, drawn from whatever shards there are, and made various."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from .targets import is_prepared, prepare_shard

_SIZES = ((192, 288), (288, 192), (224, 224), (192, 256), (256, 192), (160, 320), (320, 160))


@dataclass(frozen=True)
class Batch:
    """Pictures and what is to be learnt from them.

    image (B,3,H,W) 0..1; classes (B,h,w); root (B,8,h,w) and drift_root (B,1,h,w), square roots of
    thousandths of the shorter side (a second); valid (B,1,h,w) 0 or 1.
    """

    image: Tensor
    classes: Tensor
    root: Tensor
    drift_root: Tensor
    valid: Tensor


class Shards:
    """The shards of one or more folders, each folder with its share of the batches.

    `groups` is [(folder, share), ...]; shards named in `skip` are left for validation; `refresh`
    takes in shards that were written since.
    """

    def __init__(self, groups: list[tuple[Path, float]], prepared: Path, skip: frozenset[str]):
        self.groups = groups
        self.prepared = prepared
        self.skip = skip
        self.found: list[list[tuple[Path, Path]]] = [[] for _ in groups]
        self._open: dict[Path, tuple[NDArray[np.generic], ...]] = {}

    def refresh(self, limit: int = 1_000) -> int:
        """Takes in whole shards, at most `limit` whose targets must be worked out first.

        Gives how many are known now.
        """
        taken = 0
        for known, (folder, _) in zip(self.found, self.groups, strict=True):
            have = {shard for shard, _ in known}
            for shard in sorted(folder.glob("shard-*")):
                if shard in have or shard.name in self.skip:
                    continue
                if shard.suffix:  # shard-0000.part: still being written
                    continue
                if not is_prepared(shard, self.prepared):
                    if taken >= limit:
                        continue
                    taken += 1
                known.append((shard, prepare_shard(shard, self.prepared)))
        return sum(len(known) for known in self.found)

    def draw(self, rng: np.random.Generator, size: int) -> Batch:
        """One batch of `size` scenes of one shard, before any variation."""
        shares = np.array(
            [share * bool(known) for known, (_, share) in zip(self.found, self.groups, strict=True)]
        )
        group = self.found[rng.choice(len(shares), p=shares / shares.sum())]
        shard, ready = group[rng.integers(len(group))]
        arrays = self._arrays(shard, ready)
        chosen = np.sort(
            rng.choice(len(arrays[0]), size, replace=len(arrays[0]) < size),
        )
        image, classes, root, drift_root, valid = (
            torch.from_numpy(np.ascontiguousarray(array[chosen])) for array in arrays
        )
        return Batch(
            image.permute(0, 3, 1, 2).float() / 255,
            classes.long(),
            root.float(),
            drift_root.float(),
            valid[:, None].float(),
        )

    def _arrays(self, shard: Path, ready: Path) -> tuple[NDArray[np.generic], ...]:
        if shard not in self._open:
            names = (
                shard / "image.npy",
                shard / "classes.npy",
                ready / "root.npy",
                ready / "drift_root.npy",
                shard / "valid.npy",
            )
            self._open[shard] = tuple(np.load(name, mmap_mode="r") for name in names)
        return self._open[shard]


def vary(batch: Batch, rng: np.random.Generator, *, coarse: bool = False) -> Batch:
    """The batch mirrored, cropped to a random part and size, and seen through other cameras.

    `coarse` shrinks it to two thirds: the first part of a training goes twice as fast so.
    """
    image, classes = batch.image, batch.classes
    root, drift_root, valid = batch.root, batch.drift_root, batch.valid
    if rng.random() < 0.5:
        image, classes, root, drift_root, valid = (
            part.flip(-1) for part in (image, classes, root, drift_root, valid)
        )
    height, width = image.shape[2:]
    if rng.random() < 0.6:
        image, classes, root, drift_root, valid = _crop(
            image, classes, root, drift_root, valid, height, width, rng
        )
    batch = Batch(image, classes, root, drift_root, valid)
    if coarse:
        batch = _shrink(batch)
    return replace(batch, image=_expose(batch.image, rng))


def _shrink(batch: Batch) -> Batch:
    height, width = (max(64, round(side / 48) * 32) for side in batch.image.shape[2:])

    def small(maps: Tensor) -> Tensor:
        return F.interpolate(maps, size=(height // 2, width // 2), mode="nearest")

    image = F.interpolate(batch.image, size=(height, width), mode="area")
    return Batch(
        image,
        small(batch.classes[:, None].float())[:, 0].long(),
        small(batch.root),
        small(batch.drift_root),
        small(batch.valid),
    )


def _crop(
    image: Tensor,
    classes: Tensor,
    root: Tensor,
    drift_root: Tensor,
    valid: Tensor,
    height: int,
    width: int,
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    near = [size for size in _SIZES if 0.6 < (size[0] / size[1]) / (height / width) < 1.7]
    out_height, out_width = near[rng.integers(len(near))]
    scale = rng.uniform(0.7, 1.0) * min(height / out_height, width / out_width)
    rows, columns = (int(scale * side / 2) for side in (out_height, out_width))
    top = int(rng.integers(height // 2 - rows + 1))
    left = int(rng.integers(width // 2 - columns + 1))

    def cut(maps: Tensor, factor: int, mode: str) -> Tensor:
        part = maps[
            :,
            :,
            factor * top : factor * (top + rows),
            factor * left : factor * (left + columns),
        ]
        size = (out_height * factor // 2, out_width * factor // 2)
        if mode == "nearest":
            return F.interpolate(part, size=size, mode=mode)
        return F.interpolate(part, size=size, mode=mode, align_corners=False)

    # Displacements are counted in shorter sides: they grow as the crop's shorter side shrinks.
    growth = (min(height, width) / (2 * min(rows, columns))) ** 0.5
    return (
        cut(image, 2, "bilinear"),
        cut(classes[:, None].float(), 1, "nearest")[:, 0].long(),
        cut(root, 1, "nearest") * growth,
        cut(drift_root, 1, "nearest") * growth,
        cut(valid, 1, "nearest"),
    )


def _expose(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Each picture with its own brightness, contrast, colour balance, gamma, blur and noise."""
    count = len(image)

    def each(low: float, high: float, channels: int = 1) -> Tensor:
        values = rng.uniform(low, high, (count, channels, 1, 1))
        return torch.from_numpy(values.astype(np.float32))

    image = image.clamp(0, 1) ** each(0.8, 1.25)
    grey = image.mean(1, keepdim=True)
    image = grey + (image - grey) * each(0.5, 1.3)
    if rng.random() < 0.03:
        image = grey.expand_as(image)
    image = image * each(0.8, 1.15) * each(0.92, 1.08, 3)
    middle = image.mean((1, 2, 3), keepdim=True)
    image = middle + (image - middle) * each(0.9, 1.1)
    if rng.random() < 0.25:
        softer = F.avg_pool2d(image, 3, 1, 1, count_include_pad=False)
        image = torch.lerp(image, softer, each(0, 1))
    if rng.random() < 0.3:
        seed = int(rng.integers(2**31))
        noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(seed))
        image = image + noise * each(0, 0.025)
    return image.clamp(0, 1)


def stream(
    shards: Shards, size: int, seed: int, start: int, *, coarse: int = 0, ahead: int = 3
) -> Iterator[Batch]:
    """Varied batches from step `start` on, made in a thread; the first `coarse` steps are small.

    Step n depends on the seed, on n, and on the shards there are (looked for every 25 steps).
    """
    ready: queue.Queue[Batch | BaseException] = queue.Queue(ahead)

    def work() -> None:
        step = start
        try:
            while True:
                if step % 25 == 0:
                    shards.refresh(limit=1)
                rng = np.random.default_rng((seed, step))
                ready.put(vary(shards.draw(rng, size), rng, coarse=step < coarse))
                step += 1
        except BaseException as problem:  # handed over: the training loop must not wait for ever
            ready.put(problem)

    threading.Thread(target=work, daemon=True).start()
    while True:
        item = ready.get()
        if isinstance(item, BaseException):
            raise item
        yield item
