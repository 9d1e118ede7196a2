from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import cv2
import numpy as np
import pytest
from PIL import Image
from reverie.engines.errors import EngineError
from reverie.runtime.bundle import load_bundle
from reverie.runtime.look.tiles import enlarged, tiles
from reverie.runtime.look.upscale import (
    SIGHT,
    Enlarger,
    enlarge_photo,
    factor_for,
    open_upscaler,
    plain,
)

PHOTOS = Path(__file__).parents[2] / "data" / "photos"


@pytest.fixture(scope="module")
def enlarge() -> Iterator[Enlarger]:
    with open_upscaler("cpu", threads=1) as made:
        yield made


def photo(name: str, width: int = 240, height: int = 160) -> np.ndarray:
    with Image.open(PHOTOS / f"{name}.jpg") as picture:
        pixels = np.asarray(picture.convert("RGB"))
    return cv2.resize(pixels[: 2 * height, : 2 * width], (width, height), cv2.INTER_AREA)


def shrunk(picture: np.ndarray, factor: float) -> np.ndarray:
    size = round(picture.shape[1] / factor), round(picture.shape[0] / factor)
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def decibels(one: np.ndarray, other: np.ndarray) -> float:
    error = np.square(one[6:-6, 6:-6].astype(float) - other[6:-6, 6:-6]).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


@pytest.mark.parametrize("name", ["person-006-portrait", "perched-osprey"])
@pytest.mark.parametrize(("factor", "least"), [(1.5, 0.4), (2, 0.2), (3, 0.4), (4, 0.4)])
def test_networks_see_more_than_curves(
    enlarge: Enlarger, name: str, factor: float, least: float
) -> None:
    truth = photo(name)
    small = shrunk(truth, factor)
    by_curves = cv2.resize(small, (240, 160), interpolation=cv2.INTER_CUBIC)
    drawn = enlarge(small, (240, 160))
    assert drawn.shape == truth.shape
    assert drawn.dtype == np.uint8
    assert decibels(drawn, truth) > decibels(by_curves, truth) + least


def test_tiles_leave_no_seam() -> None:
    picture = photo("coffee", 150, 110)
    with load_bundle("span").open("x2", device="cpu", threads=1) as engine:
        whole = enlarged(picture, engine, 2, margin=SIGHT)
        tiled = enlarged(picture, engine, 2, margin=SIGHT, most=80 * 80)
        blind = enlarged(picture, engine, 2, margin=2, most=36 * 36)
    assert np.abs(whole.astype(int) - tiled).max() <= 1
    assert np.abs(whole.astype(int) - blind).max() > 1  # the margin is what does it


@pytest.mark.parametrize(
    ("height", "width", "most"), [(64, 64, 10_000), (1080, 1920, 160_000), (97, 3001, 9_000)]
)
def test_tiles_cover_all_and_stay_small(height: int, width: int, most: int) -> None:
    covered, shapes = np.zeros((height, width), int), set()
    for (rows, columns), (tall, wide) in tiles(height, width, 24, most):
        covered[rows, columns] += 1
        assert tall.start <= max(rows.start - 24, 0)
        assert tall.stop >= min(rows.stop + 24, height)
        assert wide.start <= max(columns.start - 24, 0)
        assert wide.stop >= min(columns.stop + 24, width)
        shapes.add((tall.stop - tall.start, wide.stop - wide.start))
    assert (covered == 1).all()
    assert len(shapes) == 1
    assert all(tall * wide <= most for tall, wide in shapes)


def test_what_stands_still_stays_the_same(enlarge: Enlarger) -> None:
    frame = photo("coffee", 96, 64)
    other = frame.copy()
    other[:20, :20] = 255 - other[:20, :20]
    first, second = (enlarge(one, (192, 128)) for one in (frame, other))
    np.testing.assert_array_equal(first[2 * (20 + SIGHT) :], second[2 * (20 + SIGHT) :])
    assert not np.array_equal(first, second)


def test_which_network() -> None:
    shape = (100, 200, 3)
    sizes = {
        (200, 100): 1,
        (240, 120): 1,
        (260, 130): 2,
        (440, 220): 2,
        (460, 230): 4,
        (2000, 999): 4,
    }
    assert {size: factor_for(shape, size) for size in sizes} == sizes


def test_little_is_resampled(enlarge: Enlarger) -> None:
    frame = photo("coffee", 96, 64)
    assert enlarge(frame, (96, 64)) is frame
    for size in ((110, 74), (60, 40)):
        np.testing.assert_array_equal(enlarge(frame, size), plain(frame, size))


def test_a_device_that_fails_is_told_once() -> None:
    def closed(*given: object, **named: object) -> NoReturn:
        raise EngineError("no driver: use the CPU")

    told: list[str] = []
    frame = photo("coffee", 96, 64)
    bundle = replace(load_bundle("span"), opener=closed)
    with open_upscaler("cpu", bundle=bundle, on_note=told.append) as enlarge:
        for _ in range(2):
            np.testing.assert_array_equal(enlarge(frame, (192, 128)), plain(frame, (192, 128)))
    assert told == ["frames are enlarged without a network: no driver: use the CPU"]


def test_a_photo_is_enlarged_once_to_cover_a_frame() -> None:
    small = photo("coffee", 96, 64)
    larger = enlarge_photo(small, (160, 90), "cpu", threads=1)
    assert larger.shape == (107, 160, 3)
    assert enlarge_photo(small, (100, 60), "cpu") is small
    huge = np.zeros((1500, 1500, 3), np.uint8)
    assert enlarge_photo(huge, (4096, 2160), "cpu") is huge
