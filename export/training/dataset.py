"""Training data on disk: shards of procedural scenes as memory-mapped .npy files.

    python -m reverie.export.training.dataset --textures DIR --out DIR --scenes N --split train

A shard is a folder `shard-0000/` with image.npy uint8 (N, H, W, 3), classes.npy uint8 (N, h, w),
spectrum.npy float16 (N, 32, h, w), drift.npy float16 (N, 2, h, w) and valid.npy uint8 (N, h, w),
all scenes of one shape; h = H/2. Displacements are in thousandths of the shorter side. A shard is
complete when it bears its final name, so a run that was broken off goes on where it stopped.
"""

from __future__ import annotations

import argparse
import multiprocessing
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from .scenes.compose import REAL_SHARE, draw_scene
from .scenes.world import COUNT
from .textures import Library, load_library

#: (height, width) and share of the shards.
SHAPES = (((192, 288), 0.60), ((288, 192), 0.22), ((224, 224), 0.18))
SHARD = 200
#: Seeds of the two splits never meet: each has half of the number line for itself.
SPLIT_OFFSET = {"train": 0, "heldout": 1 << 40}
CLASS_NAMES = ("static", "plant", "water", "sky", "cloth", "flame")
FIELDS = ("image", "classes", "spectrum", "drift", "valid")

_library: Library | None = None


def scene_seed(split: str, seed: int, number: int) -> int:
    """Seed of scene `number` of a run; runs of other `seed` never meet it below 2^20 scenes."""
    return SPLIT_OFFSET[split] + (seed << 20) + number


def shard_shape(number: int) -> tuple[int, int]:
    """Height and width of the scenes of a shard: the shares of SHAPES, evenly spread out."""
    # Multiples of the golden ratio fill 0..1 evenly from the first shard on.
    place = (number * 0.6180339887) % 1.0
    for shape, share in SHAPES:
        if place < share:
            return shape
        place -= share
    return SHAPES[-1][0]


def create(folder: Path, scenes: int, shape: tuple[int, int]) -> dict[str, np.ndarray]:
    """Create the memory-mapped arrays of one shard in `folder`."""
    height, width = shape
    h, w = height // 2, width // 2
    layout = {
        "image": (np.uint8, (scenes, height, width, 3)),
        "classes": (np.uint8, (scenes, h, w)),
        "spectrum": (np.float16, (scenes, COUNT * 4, h, w)),
        "drift": (np.float16, (scenes, 2, h, w)),
        "valid": (np.uint8, (scenes, h, w)),
    }
    folder.mkdir(parents=True)
    return {
        name: np.lib.format.open_memmap(folder / f"{name}.npy", "w+", dtype, size)
        for name, (dtype, size) in layout.items()
    }


def write_shard(
    out: Path,
    number: int,
    first: int,
    scenes: int,
    split: str,
    seed: int,
    real_share: float,
    library: Library,
) -> Path:
    """Draw scenes from number `first` on into shard `number`, unless that is finished."""
    final = out / f"shard-{number:04d}"
    if final.is_dir():
        return final
    part = out / f"shard-{number:04d}.part"
    shutil.rmtree(part, ignore_errors=True)
    shape = shard_shape(number)
    arrays = create(part, scenes, shape)
    for index in range(scenes):
        chosen = scene_seed(split, seed, first + index)
        scene = draw_scene(chosen, library, *shape, real_share=real_share)
        for name in FIELDS:
            arrays[name][index] = getattr(scene, name)
    for array in arrays.values():
        array.flush()
    part.rename(final)
    return final


def measure(out: Path, per_shard: int = 40) -> dict[str, dict[str, float]]:
    """Share, mean rms displacement and mean drift of each class over a sample of every shard."""
    cells = np.zeros(6)
    rms, drift = np.zeros(6), np.zeros(6)
    for folder in sorted(out.glob("shard-????")):
        read = {name: np.load(folder / f"{name}.npy", mmap_mode="r")[:per_shard] for name in FIELDS}
        known = read["valid"] > 0
        classes = read["classes"][known]
        spectrum = read["spectrum"].astype(np.float32)
        power = np.sqrt((spectrum**2).sum(1) / 2)[known]
        speed = np.sqrt((read["drift"].astype(np.float32) ** 2).sum(1))[known]
        cells += np.bincount(classes, minlength=6)
        rms += np.bincount(classes, power, minlength=6)
        drift += np.bincount(classes, speed, minlength=6)
    count = np.maximum(cells, 1)
    return {
        name: {
            "share": cells[k] / max(1.0, cells.sum()),
            "rms": rms[k] / count[k],
            "drift": drift[k] / count[k],
        }
        for k, name in enumerate(CLASS_NAMES)
    }


def _start(textures: Path, labels: Path | None, split: str) -> None:
    global _library  # loaded once a process: 150 MB of pictures are not sent with every task
    cv2.setNumThreads(1)
    _library = load_library(textures, split, labels)


def _work(task: tuple[Path, int, int, int, str, int, float]) -> Path:
    if _library is None:
        raise RuntimeError("the worker has no library; start it with _start")
    return write_shard(*task, _library)


def generate(
    textures: Path,
    out: Path,
    scenes: int,
    split: str,
    *,
    labels: Path | None = None,
    workers: int = 1,
    seed: int = 0,
    first_shard: int = 0,
    shard: int = SHARD,
    real_share: float = REAL_SHARE,
) -> Iterator[Path]:
    """Draw `scenes` scenes into shards below `out`, and give each shard when it is finished."""
    out.mkdir(parents=True, exist_ok=True)
    tasks = []
    for index, start in enumerate(range(0, scenes, shard)):
        number = first_shard + index
        count = min(shard, scenes - start)
        tasks.append((out, number, number * shard, count, split, seed, real_share))
    if workers <= 1:
        library = load_library(textures, split, labels)
        for task in tasks:
            yield write_shard(*task, library)
        return
    # Spawned, not forked: a fork copies locks that other threads of this process may hold.
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers, _start, (textures, labels, split)) as pool:
        yield from pool.imap_unordered(_work, tasks)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Draw training scenes with known motion.")
    parser.add_argument("--textures", type=Path, required=True, help="photographs by subject")
    parser.add_argument("--labels", type=Path, help="label maps NAME.png (default: beside this)")
    parser.add_argument("--out", type=Path, required=True, help="folder for the shards")
    parser.add_argument("--scenes", type=int, default=2000)
    parser.add_argument("--split", choices=tuple(SPLIT_OFFSET), default="train")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first-shard", type=int, default=0, help="number of the first shard")
    parser.add_argument("--shard", type=int, default=SHARD, help="scenes in one shard")
    parser.add_argument(
        "--real-share", type=float, default=REAL_SHARE, help="share of whole labelled photographs"
    )
    asked = parser.parse_args(arguments)
    labels = asked.labels or Path(__file__).parent / "labels"
    begun = time.perf_counter()
    done = 0
    for folder in generate(
        asked.textures,
        asked.out,
        asked.scenes,
        asked.split,
        labels=labels if labels.is_dir() else None,
        workers=asked.workers,
        seed=asked.seed,
        first_shard=asked.first_shard,
        shard=asked.shard,
        real_share=asked.real_share,
    ):
        done = min(done + asked.shard, asked.scenes)
        pace = done / (time.perf_counter() - begun)
        print(f"{folder.name}  {done}/{asked.scenes}  {pace:.1f} scenes/s", flush=True)
    print("rms in 1/1000 of the shorter side, drift in 1/1000 of it a second")
    for name, values in measure(asked.out).items():
        print(f"{name:8s}" + "".join(f"  {key} {value:7.3f}" for key, value in values.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
