"""How well a model's motion agrees with hand-drawn masks of what may move in real photos.

    python -m reverie.benchmarks.photo_gate [--model ember] [--only NAME ...] [--data FOLDER]
                                            [--json FILE]

For each photo of tests/data with a mask: the area under the ROC curve of the predicted motion
between what may move and what must hold still, and the share of either that moves; then the same
pooled and averaged, beside baselines that know less. Nothing of these photos was used in training.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from . import measure
from .machine import describe_machine
from .measure import HOLDS, MOVES, Map

DATA = Path(__file__).resolve().parent.parent / "tests" / "data"
MOVES_FROM = 0.001
"""Rms displacement, in shorter sides of the picture, from which a place counts as moving."""

Pixels = NDArray[np.uint8]
Predict = Callable[[Pixels], Mapping[str, Map]]
"""Takes a photo, uint8 RGB (H, W, 3), and returns the maps that `scores` reads, at any sizes:
classes (C, h, w), amplitude (K, h, w), drift (h, w), hold (h, w), people (h, w, 6) with the
background first, subject (h, w)."""

BASELINES = (
    "uniform",
    "texture",
    "gradient",
    "all but people",
    "prior by hand",
    "class mask",
    "class mask x texture",
)
PREDICTED = ("amplitude", "amplitude and drift", "as rendered")


@dataclass(frozen=True)
class Case:
    """One photo and its mask."""

    name: str
    pixels: Pixels
    mask: NDArray[np.uint8]
    """(h, w) 1 may move, 0 must hold still, 255 not judged; of the photo's aspect."""


def load_cases(folder: Path = DATA, only: Iterable[str] = ()) -> list[Case]:
    """Read the photos of a data folder that have a mask, in the order of their names."""
    wanted = set(only)
    cases = []
    for path in sorted((folder / "masks").glob("*.png")):
        if wanted and path.stem not in wanted:
            continue
        with Image.open(folder / "photos" / f"{path.stem}.jpg") as photo, Image.open(path) as mask:
            cases.append(Case(path.stem, np.asarray(photo.convert("RGB")), np.asarray(mask)))
    return cases


def scores(pixels: Pixels, maps: Mapping[str, Map], shape: tuple[int, int]) -> dict[str, Map]:
    """The predicted motion and every baseline for one photo, each (h, w) at a mask's size.

    "amplitude", "amplitude and drift" and "as rendered" (where the guards hold nothing) are rms
    displacements in shorter sides of the picture; the baselines have no unit.
    """

    def fit(values: Map) -> Map:
        return measure.resized(values, shape)

    picture = measure.grey(pixels)
    texture = fit(measure.texture_energy(picture))
    nobody = fit(maps["people"][..., 0])
    stirs = fit(np.asarray(maps["classes"])[1:].sum(axis=0))
    drift = np.asarray(maps["drift"]).reshape(maps["amplitude"].shape[1:])
    moved = fit(measure.motion(maps["amplitude"], drift))
    return {
        "amplitude": fit(measure.motion(maps["amplitude"])),
        "amplitude and drift": moved,
        "as rendered": moved * np.clip(1 - fit(maps["hold"]), 0, 1),
        "uniform": np.ones(shape),
        "texture": texture,
        "gradient": fit(measure.gradient_magnitude(picture)),
        "all but people": nobody,
        "prior by hand": nobody * np.clip(1 - fit(maps["subject"]), 0, 1) * texture,
        "class mask": stirs,
        "class mask x texture": stirs * texture,
    }


def gate(cases: Iterable[Case], predict: Predict) -> dict[str, Any]:
    """Score a model on photos with masks.

    Returns `photos` (name, judged shares, auc by score, shares that move), `pooled` and `mean` AUC
    by score, and `moving`, the mean share of what may and must not move that does.
    """
    rows, masks = [], []
    pools: dict[str, list[Map]] = {}
    for case in cases:
        found = scores(case.pixels, predict(case.pixels), case.mask.shape)
        for name, score in found.items():
            pools.setdefault(name, []).append(score)
        masks.append(case.mask)
        rows.append(
            {
                "name": case.name,
                "may_move": float((case.mask == MOVES).mean()),
                "must_hold": float((case.mask == HOLDS).mean()),
                "auc": {name: measure.mask_auc(score, case.mask) for name, score in found.items()},
                "moving": moving(found, case.mask),
            }
        )
    return {
        "photos": rows,
        "pooled": {name: measure.pooled_auc(pool, masks) for name, pool in pools.items()},
        "mean": {name: measure.mean_known([row["auc"][name] for row in rows]) for name in pools},
        "moving": {
            name: {
                kind: measure.mean_known([row["moving"][name][kind] for row in rows])
                for kind in ("of_may_move", "of_must_hold")
            }
            for name in PREDICTED
        },
    }


def moving(found: Mapping[str, Map], mask: NDArray[np.uint8]) -> dict[str, dict[str, float]]:
    """Shares of what may move and of what must hold still that move, for each prediction."""
    return {
        name: {
            "of_may_move": measure.share_above(found[name], mask, MOVES, MOVES_FROM),
            "of_must_hold": measure.share_above(found[name], mask, HOLDS, MOVES_FROM),
        }
        for name in PREDICTED
    }


def verdict(report: Mapping[str, Any]) -> dict[str, Any]:
    """The figures a release is held to: pooled AUC, and its lead on the best baseline."""
    pooled = report["pooled"]
    best = max(BASELINES, key=lambda name: pooled[name])
    own = pooled["amplitude and drift"]  # clouds and rivers move by drift alone
    return {
        "auc": own,
        "auc_per_photo": report["mean"]["amplitude and drift"],
        "lead_on_class_mask_x_texture": own - pooled["class mask x texture"],
        "best_baseline": best,
        "lead_on_best_baseline": own - pooled[best],
    }


def predictor(model: str) -> Predict:
    """Return what predicts with a bundle of family ember, by its name or folder."""
    from ..runtime.bundle import load_bundle
    from ..runtime.families import ember

    bundle = load_bundle(model)

    def predict(pixels: Pixels) -> Mapping[str, Map]:
        return vars(ember.analyse(bundle, pixels))

    return predict


def without_nan(value: Any) -> Any:
    """The same report with None for nan, which JSON does not know."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def show(report: Mapping[str, Any]) -> None:
    """Print the tables."""
    print(f"{'photo':24s} may/must  amplitude  drift too  rendered  mask x tex.  moving may/must")
    for row in report["photos"]:
        auc, shares = row["auc"], row["moving"]["as rendered"]
        print(
            f"{row['name']:24s} {row['may_move']:4.0%} {row['must_hold']:4.0%}"
            f" {auc['amplitude']:9.3f} {auc['amplitude and drift']:10.3f}"
            f" {auc['as rendered']:9.3f} {auc['class mask x texture']:12.3f}"
            f" {shares['of_may_move']:9.0%} {shares['of_must_hold']:5.0%}"
        )
    print(f"\n{'score':24s}  pooled  per photo")
    for name, value in report["pooled"].items():
        print(f"{name:24s} {value:7.3f} {report['mean'][name]:9.3f}")
    for name, shares in report["moving"].items():
        print(
            f"moving, {name}: {shares['of_may_move']:.0%} of what may move,"
            f" {shares['of_must_hold']:.1%} of what must hold still"
        )
    for name, value in report["verdict"].items():
        print(f"{name}: {value:.3f}" if isinstance(value, float) else f"{name}: {value}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="ember", help="a bundle's name or folder")
    parser.add_argument("--only", nargs="*", default=[], help="names of photos")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of photos/ and masks/")
    parser.add_argument("--json", type=Path, help="write the report here")
    arguments = parser.parse_args()
    cases = load_cases(arguments.data, arguments.only)
    if not cases:
        sys.exit(f"no photo with a mask under {arguments.data}")
    report = gate(cases, predictor(arguments.model))
    report = {"model": arguments.model, "verdict": verdict(report), **report}
    show(report)
    if arguments.json:
        report["machine"] = describe_machine()
        arguments.json.write_text(json.dumps(without_nan(report), indent=1) + "\n")


if __name__ == "__main__":
    main()
