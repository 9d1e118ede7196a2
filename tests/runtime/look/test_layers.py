"""Two layers: only where they are clean, without a halo, and the photo itself at rest."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from reverie.runtime.look.camera import View
from reverie.runtime.look.layers import Layers
from reverie.runtime.look.lens import Lens
from reverie.runtime.warp import OpenCvWarp, Refined

HEIGHT, WIDTH = 192, 256
GRID = (48, 64)


def person(*, blur: float = 1.0, low: float = 2.0) -> np.ndarray:
    """A head and shoulders that the lower border cuts off, 0 .. 1."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    head = np.hypot((x - 128) / 34, (y - 80) / 42) < 1
    body = np.hypot((x - 128) / 75, (y - 200) / (35 * low)) < 1
    return cv2.GaussianBlur((head | body).astype(np.float32), (0, 0), blur)


def scene(busy: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A textured person before a soft slope; picture, depth, people."""
    rng = np.random.default_rng(2)
    x = np.linspace(90, 170, WIDTH, dtype=np.float32)[None, :, None]
    behind = np.broadcast_to(x, (HEIGHT, WIDTH, 3)).copy()
    behind += busy * rng.standard_normal((HEIGHT, WIDTH, 1)).astype(np.float32)
    skin = 60 + 25 * cv2.GaussianBlur(rng.standard_normal((HEIGHT, WIDTH, 3)), (0, 0), 1.0)
    there = person()
    mixed = behind * (1 - there[..., None]) + skin * there[..., None]
    small = cv2.resize(there, GRID[::-1], interpolation=cv2.INTER_AREA)
    picture = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
    coarse = cv2.resize(there, (128, 96), interpolation=cv2.INTER_AREA)
    return picture, (0.2 + 0.6 * small).astype(np.float32), coarse


def drawn(layers: Layers, picture: np.ndarray, view: View) -> np.ndarray:
    lens = Lens(layers.behind, GRID, (HEIGHT, WIDTH))
    across, along = (cv2.resize(o, (WIDTH, HEIGHT)) for o in lens.offsets(view))
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    frame = OpenCvWarp(layers.plate).warp(x + across, y + along)
    layers.lay(frame, view, Refined(picture))
    return frame


def cut() -> tuple[Layers, np.ndarray]:
    picture, depth, people = scene()
    layers = Layers.of(picture, depth, people, GRID)
    assert layers is not None
    return layers, picture


def test_at_rest_it_is_the_picture() -> None:
    layers, picture = cut()
    still = drawn(layers, picture, View(1.0, 0.0, 0.0))
    assert np.abs(still.astype(int) - picture).max() <= 1
    near = drawn(layers, picture, View(1.0, 0.0, 0.0, side=0.0005))
    assert np.abs(near.astype(int) - picture).mean() < 0.5


def test_the_plate_is_the_picture_without_the_person() -> None:
    layers, picture = cut()
    away = layers.cover < 0.01
    assert np.array_equal(layers.plate[away], picture[away])
    slope = np.linspace(90, 170, WIDTH)[None, :, None]
    ring = (layers.matte < 0.5) | (cv2.erode(layers.matte, np.ones((25, 25))) < 0.5)
    assert np.abs(layers.plate - slope)[ring].mean() < 8.0
    assert layers.plate.min() > 70  # nothing of the person is left in it


def test_the_person_moves_as_one_piece_and_further_than_what_is_behind() -> None:
    layers, picture = cut()
    frame = drawn(layers, picture, View(1.0, 0.0, 0.0, side=0.05))
    face = picture[60:100, 112:144].astype(np.float32)
    found = cv2.matchTemplate(frame.astype(np.float32), face, cv2.TM_SQDIFF)
    x = int(np.unravel_index(found.argmin(), found.shape)[1])
    assert int(np.unravel_index(found.argmin(), found.shape)[0]) == 60
    assert 1 <= 112 - x <= 9
    seen = frame[60:100, x : x + 32].astype(float)
    assert np.abs(seen - face).mean() < 6.0  # neither bent nor blurred


def test_there_is_no_halo() -> None:
    layers, picture = cut()
    for side in (-0.05, 0.05):
        frame = drawn(layers, picture, View(1.04, 0.02, 0.01, side=side)).astype(float)
        behind = np.linspace(90, 170, WIDTH)[None, :, None]
        # Beyond the person's darkness there is only the slope: nothing brighter, nothing darker.
        outside = cv2.erode((frame.mean(-1) > 88).astype(np.uint8), np.ones((5, 5))) > 0
        apart = np.abs(frame - behind)[outside]
        assert np.percentile(apart, 99.5) < 16.0


def test_who_is_cut_by_the_border_stays_at_it() -> None:
    layers, picture = cut()
    for rise in (-0.05, 0.05):
        frame = drawn(layers, picture, View(1.02, 0.01, 0.01, rise=rise))
        assert frame[-1, 100:156].mean() < 85  # shoulders, not what is behind them


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda p, d, h: (p, d, np.clip(cv2.GaussianBlur(h, (0, 0), 12), 0, 1)), "unsure"),
        (lambda p, d, h: (p, np.full_like(d, 0.5), h), "no step in depth"),
        (lambda p, d, h: (p, d, np.zeros_like(h)), "nobody"),
        (lambda p, d, h: (p, d, np.ones_like(h)), "nothing but people"),
        (lambda p, d, h: (scene(busy=40.0)[0], d, h), "a busy place"),
    ],
)
def test_a_matte_that_is_not_sure_gives_no_layers(change: object, why: str) -> None:
    picture, depth, people = change(*scene())  # type: ignore[operator]
    assert Layers.of(picture, depth, people, GRID) is None, why


def test_holes_in_a_person_are_filled() -> None:
    picture, depth, people = scene()
    people[36:42, 60:66] = 0.0
    layers = Layers.of(picture, depth, people, GRID)
    assert layers is not None
    assert layers.matte[70:86, 118:134].min() > 0.9
