"""Measures ember on scenes it never saw: `python -m reverie.export.training.evaluate --help`."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from ...runtime.spectrum import assemble
from .baselines import picture_energies, smooth_random
from .checkpoint import load_checkpoint
from .denoiser import EmberDenoiser, sample_latents
from .maps import CLASSES, EmberMaps
from .measures import Phases, area_under_curve, phase_measures

Array = NDArray[np.float32]
MOVING = 0.5  # thousandths of the shorter side


@dataclass(frozen=True)
class Scene:
    """One held-out scene and what the networks say of it; all in thousandths of the shorter side.

    image uint8 (H,W,3); classes (h,w); valid (h,w) bool; truth and sampled (32,h,w) spectra, other
    the sample of a second seed, true_sized the first sample's phases on the true amplitude;
    amplitude (8,h,w) regressed; probabilities (6,h,w); drifts (2,h,w).
    """

    image: NDArray[np.uint8]
    classes: NDArray[np.uint8]
    valid: NDArray[np.bool_]
    truth: Array
    true_drift: Array
    probabilities: Array
    amplitude: Array
    sampled: Array
    other: Array
    true_sized: Array
    drift: Array


def rms(spectrum: Array) -> Array:
    """Root mean square displacement (h,w) of a spectrum (32,h,w)."""
    return np.sqrt(np.square(spectrum).sum(0) / 2)


@torch.no_grad()
def look(
    maps: EmberMaps,
    denoiser: EmberDenoiser,
    shards: list[Path],
    *,
    limit: int,
    steps: int = 10,
    shift: float = 6.0,
) -> list[Scene]:
    """Runs both networks on up to `limit` scenes of each shard."""
    scenes = []
    for shard in shards:
        parts = {
            name: np.load(shard / f"{name}.npy", mmap_mode="r")
            for name in ("image", "classes", "valid", "spectrum", "drift")
        }
        count = min(limit, len(parts["image"]))
        for index in range(count):
            image = np.array(parts["image"][index])
            picture = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
            classes, amplitude, drift, features = maps(picture)
            truth = parts["spectrum"][index].astype(np.float32)
            flow = parts["drift"][index].astype(np.float32)
            two = features.expand(2, -1, -1, -1)
            latents = sample_latents(denoiser, two, seed=index, steps=steps, shift=shift).numpy()
            true_size = np.sqrt(np.square(truth.reshape(8, 4, *truth.shape[1:])).sum(1) / 2)
            spectra = [
                assemble(latents[0], classes.numpy(), amplitude.numpy(), drift.numpy()),
                assemble(latents[1], classes.numpy(), amplitude.numpy(), drift.numpy()),
                assemble(latents[0], classes.numpy(), true_size / 1000, drift.numpy(), cap=1.0),
            ]
            first, second, true_sized = (
                1000 * item.coefficients.reshape(-1, *item.coefficients.shape[2:])
                for item in spectra
            )
            scenes.append(
                Scene(
                    image,
                    np.array(parts["classes"][index]),
                    np.array(parts["valid"][index]) > 0,
                    truth,
                    flow,
                    classes[0].numpy(),
                    1000 * amplitude[0].numpy(),
                    first,
                    second,
                    true_sized,
                    1000 * spectra[0].drift,
                )
            )
    return scenes


def amplitude_scores(scenes: list[Scene]) -> dict[str, list[Array]]:
    """For every method, one map (h,w) a scene that should be large where the scene moves."""
    means = np.array(
        [
            np.mean(np.concatenate([rms(s.truth)[(s.classes == c) & s.valid] for s in scenes]))
            if any(((s.classes == c) & s.valid).any() for s in scenes)
            else 0.0
            for c in range(len(CLASSES))
        ],
        np.float32,
    )
    scores: dict[str, list[Array]] = {}
    for scene in scenes:
        height, width = scene.classes.shape
        slope, texture = picture_energies(scene.image)
        by_class = np.tensordot(means, scene.probabilities, 1)
        for name, score in (
            ("ember, regressed amplitude", np.sqrt(np.square(scene.amplitude).sum(0))),
            ("ember, assembled sample", rms(scene.sampled)),
            ("uniform", np.ones((height, width))),
            ("gradient magnitude", slope),
            ("texture energy", texture),
            ("class mask x mean class amplitude", by_class),
            ("class mask x texture", by_class * np.sqrt(texture + 1)),
        ):
            scores.setdefault(name, []).append(score.astype(np.float32))
    return scores


def amplitude_table(scenes: list[Scene]) -> dict[str, dict[str, float]]:
    """AUC pooled and per image, and mean Pearson correlation, of every method."""
    truths = [rms(scene.truth) for scene in scenes]
    table = {}
    for name, maps in amplitude_scores(scenes).items():
        areas, correlations = [], []
        for scene, truth, score in zip(scenes, truths, maps, strict=True):
            t, s = truth[scene.valid], score[scene.valid]
            moving = t > MOVING
            if 0.01 < moving.mean() < 0.99:
                areas.append(area_under_curve(s, moving))
            if t.std() > 0.1:
                correlations.append(_pearson(t, s))
        pooled_truth = np.concatenate(
            [t[s.valid][::7] for s, t in zip(scenes, truths, strict=True)]
        )
        pooled = np.concatenate([m[s.valid][::7] for s, m in zip(scenes, maps, strict=True)])
        table[name] = {
            "auc_pooled": area_under_curve(pooled, pooled_truth > MOVING),
            "auc_per_image": float(np.mean(areas)) if areas else float("nan"),
            "pearson": float(np.mean(correlations)) if correlations else float("nan"),
        }
    return table


def class_table(scenes: list[Scene]) -> dict[str, float]:
    """Accuracy over all valid places, and intersection over union of each class."""
    truth = np.concatenate([s.classes[s.valid] for s in scenes])
    guess = np.concatenate([s.probabilities.argmax(0)[s.valid] for s in scenes])
    table = {"accuracy": float((truth == guess).mean())}
    for index, name in enumerate(CLASSES):
        either = ((truth == index) | (guess == index)).sum()
        if either:
            table[f"iou_{name}"] = float(((truth == index) & (guess == index)).sum() / either)
    return table


def leak_table(scenes: list[Scene]) -> dict[str, float]:
    """Motion, in percent of the picture's height, where the truth is static; and of all truth."""
    still, moving, true_moving = [], [], []
    for scene in scenes:
        height, width = scene.classes.shape
        percent = 0.1 * min(height, width) / height
        guess, truth = rms(scene.sampled) * percent, rms(scene.truth) * percent
        still.append(guess[(scene.classes == 0) & scene.valid])
        where = (truth > MOVING * percent) & scene.valid
        moving.append(guess[where])
        true_moving.append(truth[where])
    rest = np.concatenate(still)
    return {
        "static_mean": float(rest.mean()),
        "static_p95": float(np.percentile(rest, 95)),
        "static_p99": float(np.percentile(rest, 99)),
        "moving_mean": float(np.concatenate(moving).mean()),
        "moving_truth_mean": float(np.concatenate(true_moving).mean()),
    }


def _pearson(truth: Array, guess: Array) -> float:
    if min(float(truth.std()), float(guess.std())) < 1e-6:
        return 0.0
    return float(np.corrcoef(truth, guess)[0, 1])


def drift_table(scenes: list[Scene]) -> dict[str, float]:
    """AUC and Pearson of drift speed, its energy against truth, and how well directions agree."""
    true = np.concatenate([np.hypot(*s.true_drift)[s.valid] for s in scenes])
    guess = np.concatenate([np.hypot(*s.drift)[s.valid] for s in scenes])
    dot = np.concatenate([(s.true_drift * s.drift).sum(0)[s.valid] for s in scenes])
    where = (true > 0.2) & (guess > 0.2)
    cosines = dot[where] / (true * guess)[where]
    return {
        "auc_pooled": area_under_curve(guess[::7], true[::7] > 0.2),
        "pearson": _pearson(true, guess),
        "rms_over_truth": float(np.linalg.norm(guess) / max(1e-9, float(np.linalg.norm(true)))),
        "direction_cosine": float(cosines.mean()) if cosines.size else float("nan"),
    }


def evaluate(scenes: list[Scene]) -> dict[str, object]:
    """All tables of one set of scenes."""
    truth = [s.truth for s in scenes]
    masks = [(rms(s.truth) > MOVING) & s.valid for s in scenes]
    valid = [s.valid for s in scenes]

    def phases(spectra: list[Array]) -> Phases:
        return phase_measures(spectra, truth, masks, valid)

    tables = {
        "ember, sampled": phases([s.sampled for s in scenes]),
        "ember, sampled phases x true amplitude": phases([s.true_sized for s in scenes]),
        # Coherence alone rewards smoothness: a random field can be made to have any amount of it.
        **{
            f"smooth random phases ({cell} px) x regressed amplitude": phases(
                [smooth_random(s.amplitude, index, cell) for index, s in enumerate(scenes)]
            )
            for cell in (16, 24)
        },
        "truth": phases(truth),
    }
    apart = [
        1 - abs(np.corrcoef(s.sampled[:, m].ravel(), s.other[:, m].ravel())[0, 1])
        for s, m in zip(scenes, masks, strict=True)
        if m.sum() > 500
    ]
    return {
        "scenes": len(scenes),
        "amplitude": amplitude_table(scenes),
        "classes": class_table(scenes),
        "leak_percent_of_height": leak_table(scenes),
        "drift": drift_table(scenes),
        "phases": {name: vars(table) for name, table in tables.items()},
        "seeds_differ": float(np.mean(apart)) if apart else float("nan"),
    }


def _text(report: object, indent: str = "") -> str:
    if not isinstance(report, dict):
        return f" {report:.3f}\n" if isinstance(report, float) else f" {report}\n"
    lines = "\n" if indent else ""
    for name, value in report.items():
        if isinstance(value, dict) and not any(isinstance(v, dict) for v in value.values()):
            cells = "  ".join(
                f"{key} {v:.3f}" if isinstance(v, float) else f"{key} {v}"
                for key, v in value.items()
            )
            lines += f"{indent}{name:44s} {cells}\n"
        else:
            lines += f"{indent}{name}{_text(value, indent + '  ')}"
    return lines


def main() -> None:
    """Command line; see --help."""
    parser = argparse.ArgumentParser(description="Measure ember on held-out scenes.")
    parser.add_argument("--checkpoint", type=Path, required=True, help="ember.safetensors")
    parser.add_argument(
        "--data",
        type=Path,
        action="append",
        required=True,
        help="folder of held-out shards, or one shard; may be given again",
    )
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--limit", type=int, default=80, help="scenes a shard")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--shift", type=float, default=6.0)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    cv2.setNumThreads(asked.threads)
    maps, denoiser = load_checkpoint(asked.checkpoint)
    shards = [
        shard for folder in asked.data for shard in (sorted(folder.glob("shard-????")) or [folder])
    ]
    scenes = look(maps, denoiser, shards, limit=asked.limit, steps=asked.steps, shift=asked.shift)
    report = evaluate(scenes)
    asked.out.write_text(json.dumps(report, indent=1) + "\n")
    print(_text(report))


if __name__ == "__main__":
    main()
