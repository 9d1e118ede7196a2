"""How well a bundle of family ember reads procedural scenes whose motion is known.

    python -m reverie.benchmarks.scenes FOLDER... [--limit 24] [--json FILE]

FOLDER holds shards made by `reverie.export.training.dataset`. The bundle is run as the runtime
runs it: several looks averaged, guards against what is static. A place moves when its true rms is
above 0.05% of the shorter side. Predicted: "raw" before the guards, "as filmed" after them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..runtime.bundle import Bundle, load_bundle
from ..runtime.families import ember
from ..runtime.regions import Regions
from . import measure
from .machine import describe_machine
from .measure import Map

MOVING = 0.0005
"""True rms displacement, in shorter sides, from which a place moves."""


def nobody(height: int, width: int) -> Regions:
    """What is found in a picture where nothing is found."""
    people = np.zeros((height, width, 6), np.float32)
    people[..., 0] = 1
    return Regions([], people, *(np.zeros((height, width), np.float32) for _ in range(2)))


def predict(bundle: Bundle, image: NDArray[np.uint8]) -> tuple[Map, dict[str, Map]]:
    """Class probabilities (6, h, w) and every score (h, w) for a scene, uint8 RGB (2h, 2w, 3)."""
    maps = ember.predict_maps(bundle, image, nobody(48, 48), device="cpu")
    shape = (image.shape[0] // 2, image.shape[1] // 2)
    grey = measure.grey(image)
    swing = measure.resized(measure.motion(maps.amplitude), shape)
    texture = measure.resized(measure.texture_energy(grey), shape)
    classes = np.stack([measure.resized(plane, shape) for plane in maps.classes])
    return classes, {
        "raw": swing,
        "as filmed": swing * np.clip(1 - measure.resized(maps.hold, shape), 0, 1),
        "uniform": np.ones(shape, np.float32),
        "gradient": measure.resized(measure.gradient_magnitude(grey), shape),
        "texture": texture,
        "class mask": classes[1:].sum(axis=0),
        "class mask x texture": classes[1:].sum(axis=0) * texture,
    }


def rate(bundle: Bundle, shards: list[Path], limit: int) -> dict[str, Any]:
    """Score a bundle on up to `limit` scenes of each shard."""
    pools: dict[str, list[Map]] = {}
    single: dict[str, list[float]] = {}
    pearson: dict[str, list[float]] = {}
    labels: list[NDArray[np.bool_]] = []
    right = judged = 0
    still: dict[str, list[Map]] = {"raw": [], "as filmed": []}
    for shard in shards:
        parts = {
            name: np.load(shard / f"{name}.npy", mmap_mode="r")
            for name in ("image", "classes", "valid", "spectrum")
        }
        for index in range(min(limit, len(parts["image"]))):
            known = np.asarray(parts["valid"][index]) > 0
            if not known.any():
                continue
            truth_classes = np.asarray(parts["classes"][index])
            energy = np.square(parts["spectrum"][index].astype(np.float32) / 1000).sum(0) / 2
            truth = np.sqrt(energy)
            moving = truth > MOVING
            classes, scores = predict(bundle, np.array(parts["image"][index]))
            right += int((classes.argmax(0) == truth_classes)[known].sum())
            judged += int(known.sum())
            labels.append(moving[known])
            short = min(parts["image"].shape[1:3]) / parts["image"].shape[1]
            for name, score in scores.items():
                pools.setdefault(name, []).append(score[known])
                if 0 < moving[known].mean() < 1:
                    single.setdefault(name, []).append(measure.auc(score[known], moving[known]))
                if truth[known].std() > 0 and score[known].std() > 0:
                    pearson.setdefault(name, []).append(
                        float(np.corrcoef(score[known], truth[known])[0, 1])
                    )
            for name, values in still.items():
                values.append(scores[name][known & (truth_classes == 0)] * short)
    together = np.concatenate(labels)
    return {
        "scenes": len(labels),
        "class_accuracy": right / judged,
        "static_p99_of_height": {
            name: float(np.quantile(np.concatenate(values), 0.99)) for name, values in still.items()
        },
        "scores": {
            name: {
                "auc_pooled": measure.auc(np.concatenate(pool), together),
                "auc_per_scene": float(np.mean(single[name])),
                "pearson": float(np.mean(pearson[name])) if name in pearson else None,
            }
            for name, pool in pools.items()
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+", help="folders of shards, or shards")
    parser.add_argument("--model", default="ember")
    parser.add_argument("--limit", type=int, default=24, help="scenes of each shard")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    bundle = load_bundle(asked.model)
    reports = {}
    for folder in asked.folders:
        shards = sorted(folder.glob("shard-????")) or [folder]
        report = rate(bundle, shards, asked.limit)
        reports[folder.name] = report
        print(f"{folder.name}: {report['scenes']} scenes, class {report['class_accuracy']:.3f},")
        for name, value in report["static_p99_of_height"].items():
            print(f"  99% of static places move at most {100 * value:.2f}% of the height, {name}")
        print(f"  {'score':22s} AUC pooled  per scene  Pearson")
        for name, row in report["scores"].items():
            pearson = row["pearson"]
            print(
                f"  {name:22s} {row['auc_pooled']:10.3f} {row['auc_per_scene']:10.3f}"
                + (f" {pearson:8.3f}" if pearson is not None else "")
            )
    if asked.json:
        report = {"machine": describe_machine(), "model": asked.model, "folders": reports}
        asked.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
