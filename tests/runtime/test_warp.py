"""One seam, two ways to draw, the same frames."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from reverie.engines.errors import EngineError
from reverie.runtime.warp import GraphWarp, OpenCvWarp, choose_warp, refine

PHOTO = Path(__file__).parents[1] / "data" / "photos" / "tea-gardens.jpg"
HEIGHT, WIDTH = 90, 128


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    rng = np.random.default_rng(4)
    return rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def maps(height: int, width: int, reach: float) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    map_x, map_y = x + reach * np.sin(y / 9), y + reach * np.cos(x / 11)
    return map_x.astype(np.float32), map_y.astype(np.float32)


def both_ways(picture: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray]:
    map_x, map_y = maps(*picture.shape[:2], reach)
    with closing(OpenCvWarp(picture)) as one, closing(GraphWarp(picture, "cpu")) as other:
        return one.warp(map_x, map_y).astype(int), other.warp(map_x, map_y).astype(int)


@pytest.mark.parametrize("reach", [0.7, 5.0, 20.0])
def test_both_ways_give_the_same_frame(picture: np.ndarray, reach: float) -> None:
    one, other = both_ways(picture, reach)
    assert np.abs(one - other).max() <= 1
    assert (one != other).mean() < 0.01


@pytest.mark.parametrize("reach", [0.37, 6.1])
def test_both_ways_give_the_same_frame_of_a_photo(reach: float) -> None:
    with Image.open(PHOTO) as image:
        one, other = both_ways(np.asarray(image.convert("RGB")), reach)
    assert np.abs(one - other).max() <= 1
    assert (one != other).mean() < 0.01


@pytest.mark.parametrize("way", [OpenCvWarp, lambda p: GraphWarp(p, "cpu")])
def test_standing_still_is_exact(picture: np.ndarray, way: type) -> None:
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    with closing(way(picture)) as opened:
        frame = opened.warp(x, y)
    assert frame.dtype == np.uint8
    assert np.array_equal(frame, picture)


def test_whole_pixels_move_exactly_and_mirror_at_the_border(picture: np.ndarray) -> None:
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    frame = OpenCvWarp(picture).warp(x + 3, y)
    assert np.array_equal(frame[:, :-3], picture[:, 3:])
    frame = OpenCvWarp(picture).warp(x - 2, y)
    assert np.array_equal(frame[:, 0], picture[:, 2])


def test_refining_keeps_every_pixel(picture: np.ndarray) -> None:
    fine = refine(picture, 2)
    assert fine.shape == (2 * HEIGHT, 2 * WIDTH, 3)
    assert np.array_equal(fine[::2, ::2], picture)


def test_a_slow_camera_does_not_breathe_between_sharp_and_soft() -> None:
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    waves = 128 + 90 * np.sin(2 * np.pi * 0.25 * x + 0.4) * np.ones_like(y)
    stripes = np.repeat(waves.astype(np.uint8)[..., None], 3, -1)
    warp = OpenCvWarp(stripes)
    contrast = [warp.warp(x + d, y)[20:-20, 20:-20].std() for d in (0, 0.125, 0.25, 0.375, 0.5)]
    assert min(contrast) > 0.9 * max(contrast)


def test_opencv_draws_and_unknown_devices_are_told(picture: np.ndarray) -> None:
    for device in ("cpu", "auto"):
        assert isinstance(choose_warp(picture, device), OpenCvWarp)
    with pytest.raises(EngineError, match="toaster"):
        choose_warp(picture, "toaster")
