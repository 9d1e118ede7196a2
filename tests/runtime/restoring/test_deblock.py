from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from reverie.runtime.restoring.deblock import deblock, find_grid, saved_quality

PHOTOS = Path(__file__).parents[2] / "data" / "photos"
NAMES = ("person-006-portrait", "lake-sherburne", "tea-gardens")


def photo(name: str) -> np.ndarray:
    with Image.open(PHOTOS / f"{name}.jpg") as picture:
        small = picture.convert("RGB").reduce(2)  # what its own JPEG left is gone
    return np.asarray(small)


def saved(pixels: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def decibels(one: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.square(one.astype(float) - other).mean()))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("quality", "least"), [(12, 0.2), (20, 0.2), (50, 0.15)])
def test_a_small_jpeg_comes_nearer_to_what_it_was(name: str, quality: int, least: float) -> None:
    clean = photo(name)
    cut = (slice(3, None), slice(5, None))  # as of a photo cut from another
    blocky = np.ascontiguousarray(saved(clean, quality)[cut])
    found = saved_quality(blocky)
    assert found is not None
    assert abs(found[0] - quality) <= 2
    assert found[1] == (5, 3)
    assert decibels(deblock(blocky, *found), clean[cut]) > decibels(blocky, clean[cut]) + least


@pytest.mark.parametrize("name", NAMES)
def test_a_good_photo_is_left(name: str) -> None:
    assert saved_quality(photo(name)) is None
    assert saved_quality(saved(photo(name), 92)) is None


def test_plain_and_tiny_pictures_have_no_blocks() -> None:
    assert saved_quality(np.full((200, 200, 3), 90, np.uint8)) is None
    noise = np.random.default_rng(0).integers(0, 256, (160, 160, 3)).astype(np.uint8)
    assert saved_quality(noise) is None
    assert saved_quality(noise[:60, :60]) is None


def test_where_blocks_begin() -> None:
    blocks = np.random.default_rng(0).integers(60, 200, (16, 16)).astype(np.uint8)
    picture = np.kron(blocks, np.ones((8, 8), np.uint8))
    for row, column in ((0, 0), (1, 6), (7, 3)):
        begin, strength = find_grid(picture[(8 - row) % 8 :, (8 - column) % 8 :])
        assert begin == (row, column)
        assert strength > 5
