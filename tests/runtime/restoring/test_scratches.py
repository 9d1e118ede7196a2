from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from reverie.runtime.crop import Box
from reverie.runtime.restoring.scratches import fill, find_damage

PHOTOS = Path(__file__).parents[2] / "data" / "photos"
TONE = np.array([240, 215, 170.0])


def sepia(name: str) -> np.ndarray:
    with Image.open(PHOTOS / f"{name}.jpg") as picture:
        grey = np.asarray(picture.convert("L"), np.float32)[..., None] / 255
    return np.clip(10 + grey * TONE, 0, 255).astype(np.uint8)


def worn(pixels: np.ndarray) -> np.ndarray:
    """The photo with three scratches from top to bottom and grains of dust."""
    damaged, (height, width) = pixels.copy(), pixels.shape[:2]
    rng = np.random.default_rng(5)
    for place in (0.15, 0.72, 0.9):
        rows = np.linspace(0.1 * height, 0.9 * height, 10)
        line = np.stack([place * width + rng.normal(0, 0.7, 10), rows], 1).astype(np.int32)
        cv2.polylines(damaged, [line], False, (252, 242, 215), 1, cv2.LINE_AA)
    for _ in range(12):
        x, y = rng.uniform(0, (width, height)).astype(int)
        cv2.circle(damaged, (int(x), int(y)), 1, (252, 242, 215), -1, cv2.LINE_AA)
    return damaged


def decibels(one: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.square(one.astype(float) - other).mean()))


@pytest.mark.parametrize("name", ["person-006-portrait", "tea-gardens", "cliff-ruins"])
def test_a_scratched_photo_comes_nearer_to_what_it_was(name: str) -> None:
    clean = sepia(name)
    damaged = worn(clean)
    found = find_damage(damaged)
    assert found.scratches >= 2  # of three: one is white on white fog
    assert decibels(fill(damaged, found), clean) > decibels(damaged, clean) + 3


@pytest.mark.parametrize(
    "name", ["person-006-portrait", "tea-gardens", "roman-colosseum", "coffee", "mountain-meadow"]
)
def test_hair_leaves_and_masts_are_no_damage(name: str) -> None:
    found = find_damage(sepia(name))
    assert found.scratches == 0
    assert found.mask.mean() < 0.001


def test_faces_are_not_touched() -> None:
    damaged = worn(sepia("person-006-portrait"))
    face = Box(0.6, 0.3, 0.8, 0.7)
    mask = find_damage(damaged, [face]).mask
    height, width = mask.shape
    assert not mask[
        int(0.35 * height) : int(0.65 * height), int(0.64 * width) : int(0.76 * width)
    ].any()
    assert find_damage(damaged).mask[:, int(0.64 * width) : int(0.76 * width)].any()


def test_what_is_everywhere_is_texture() -> None:
    x = np.arange(240)[None].repeat(240, 0)
    stripes = np.where(x % 16 < 2, 250, 90).astype(np.uint8)
    assert not find_damage(np.dstack([stripes] * 3)).mask.any()


def test_a_large_scan_is_searched_small_and_filled_whole() -> None:
    clean = cv2.resize(sepia("person-006-portrait"), (2000, 2000), interpolation=cv2.INTER_CUBIC)
    damaged = clean.copy()
    cv2.line(damaged, (1700, 200), (1708, 1500), (252, 242, 215), 5, cv2.LINE_AA)
    found = find_damage(damaged)
    assert found.scratches == 1
    assert found.mask.shape == (2000, 2000)
    assert decibels(fill(damaged, found), clean) > decibels(damaged, clean) + 10
