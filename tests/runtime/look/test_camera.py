"""The camera: starts on the picture, never looks outside it, never bends a face."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from reverie.runtime.look.camera import Camera, View, glide, headroom
from reverie.runtime.look.lens import Lens, calm_depth
from reverie.runtime.look.mood import MOODS
from reverie.runtime.look.pacing import Pacing
from reverie.runtime.settings import CameraIntent

MOVES = ("push", "pull", "left", "right", "up", "down", "orbit", "still", None)
GRID, PICTURE = (45, 80), (180, 320)


def bumpy_depth() -> np.ndarray:
    y, x = np.mgrid[0 : GRID[0], 0 : GRID[1]] / np.float32(GRID[0])
    return calm_depth((0.5 + 0.5 * np.sin(5 * x) * np.cos(4 * y)).astype(np.float32), None, GRID)


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("loop", [False, True])
def test_every_path_starts_on_the_picture_and_stays_inside(move: str | None, loop: bool) -> None:
    intent = CameraIntent(move, pace=2.0, strength=2.0)  # type: ignore[arg-type]
    camera = Camera(intent, seconds=10, loop=loop, focus=(0.8, 0.3))
    lens = Lens(bumpy_depth(), GRID, PICTURE)
    x = (np.arange(GRID[1]) + 0.5) * 4 - 0.5
    y = (np.arange(GRID[0])[:, None] + 0.5) * 4 - 0.5
    start = lens.offsets(camera.view(0.0))
    assert max(np.abs(o).max() for o in start) < 1e-5
    moved = 0.0
    for time in np.linspace(0, 10, 41):
        view = camera.view(float(time))
        assert view.zoom >= 1.0
        across, along = lens.offsets(view)
        moved = max(moved, float(np.abs(across).max()), float(np.abs(along).max()))
        assert (x + across).min() >= -0.5
        assert (x + across).max() <= PICTURE[1] - 0.5
        assert (y + along).min() >= -0.5
        assert (y + along).max() <= PICTURE[0] - 0.5
    assert moved > 0.5
    if loop:
        end = lens.offsets(camera.view(10.0))
        assert max(np.abs(o).max() for o in end) < 1e-3


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("loop", [False, True])
def test_every_path_is_smooth(move: str | None, loop: bool) -> None:
    camera = Camera(CameraIntent(move), seconds=10, loop=loop)  # type: ignore[arg-type]
    views = [camera.view(i / 24) for i in range(241)]
    path = np.array([(v.zoom, v.left, v.top, v.side, v.rise) for v in views])
    speed = np.diff(path, axis=0) * 24
    assert np.abs(np.diff(speed, axis=0)).max() * 24 < 0.06  # per second squared
    if not loop:
        assert np.abs(speed[0]).max() < 0.002  # it sets off slowly


@pytest.mark.parametrize("move", MOVES)
def test_a_short_loop_does_not_shake(move: str | None) -> None:
    lens = Lens(bumpy_depth(), GRID, PICTURE)

    def speed(seconds: float) -> float:
        camera = Camera(CameraIntent(move), seconds=seconds, loop=True)  # type: ignore[arg-type]
        times = np.linspace(0, seconds, round(40 * seconds) + 1)
        path = np.stack([np.stack(lens.offsets(camera.view(float(t)))) for t in times])
        return float(np.sqrt(np.square(np.diff(path, axis=0) / times[1]).sum(1).mean()))

    usual = speed(4.0)
    for seconds in (0.5, 1.0, 2.0):
        assert speed(seconds) <= 1.2 * usual


def test_a_push_goes_in_and_holds_its_breath() -> None:
    camera = Camera(None, seconds=10)
    zooms = [camera.view(t).zoom for t in (0, 2.5, 5, 7.5, 9.5, 10)]
    assert zooms == sorted(zooms)
    assert 1.05 <= zooms[-1] <= 1.07
    assert zooms[-1] - zooms[-2] < 0.0005


def test_pace_and_strength_shape_the_way() -> None:
    ends = [
        Camera(CameraIntent("push", p, s), seconds=10).view(10).zoom - 1
        for p, s in ((0.5, 1.0), (1.0, 1.0), (1.0, 1.5))
    ]
    assert ends == sorted(ends)
    assert Camera(CameraIntent("push", strength=0.0), seconds=10).view(5) == View(1.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("move", "axis", "sign"), [("left", 0, -1), ("right", 0, 1), ("up", 1, -1), ("down", 1, 1)]
)
def test_a_pan_goes_where_it_says(move: str, axis: int, sign: int) -> None:
    camera = Camera(CameraIntent(move), seconds=10)  # type: ignore[arg-type]

    def middle(view: View) -> float:
        return (view.left, view.top)[axis] + 0.5 / view.zoom

    assert sign * (middle(camera.view(10)) - middle(camera.view(0))) > 0.03


def test_a_flat_picture_stays_straight() -> None:
    across, along = Lens(None, GRID, PICTURE).offsets(View(1.05, 0.02, 0.01))
    np.testing.assert_allclose(np.diff(across, 2, axis=1), 0, atol=1e-3)
    np.testing.assert_allclose(np.diff(along, 2, axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(across, np.broadcast_to(across[:1], across.shape), atol=1e-4)


def test_the_near_moves_more_than_the_far() -> None:
    ramp = np.linspace(0, 1, GRID[0], dtype=np.float32)[:, None].repeat(GRID[1], 1)
    lens = Lens(calm_depth(ramp, None, GRID), GRID, PICTURE)
    across, _ = lens.offsets(View(1.05, 0.0, 0.0, side=0.01))
    middle = GRID[1] // 2
    plain, _ = lens.offsets(View(1.05, 0.0, 0.0))
    shift = (across - plain)[:, middle]
    assert shift[6] < -0.2
    assert shift[-7] > 0.2


def test_people_move_as_one() -> None:
    rng = np.random.default_rng(0)
    people = np.zeros((64, 64), np.float32)
    people[20:60, 20:44] = 1.0
    depth = (0.3 * rng.random((64, 64), np.float32) + 0.6 * people).astype(np.float32)
    calm = calm_depth(depth, people, (90, 90))
    inside = calm[30:82, 31:59]
    assert np.ptp(inside) < 1e-5
    assert np.ptp(calm) > 0.2
    assert np.abs(np.diff(calm, axis=0)).max() < 0.12  # no step at the person's outline


def test_flat_depth_gives_no_parallax() -> None:
    assert not calm_depth(np.full((20, 20), 0.4, np.float32), None, (30, 40)).any()


def test_glide_goes_from_rest_to_rest() -> None:
    values = [glide(u) for u in np.linspace(-0.1, 1.1, 121)]
    assert values[0] == 0.0
    assert math.isclose(values[-1], 1.0)
    assert all(b >= a for a, b in pairwise(values))
    assert glide(0.02) < 0.002
    assert 1 - glide(0.98) < 0.002


def test_a_push_with_a_score_keeps_the_head_in_sight() -> None:
    people = np.zeros((100, 80), np.float32)
    people[6:, 20:60] = 1.0
    assert headroom(people) == pytest.approx(0.06)
    assert headroom(None) is None
    assert headroom(np.zeros((10, 10), np.float32)) is None
    assert headroom(np.ones((10, 10), np.float32)) is None
    for name, mood in MOODS.items():
        pacing = Pacing(mood.score, seconds=10.0)
        camera = Camera(
            mood.camera, seconds=10, focus=(0.5, 0.45), pacing=pacing, above=headroom(people)
        )
        tops = [camera.view(float(t)).top for t in np.linspace(0, 10, 41)]
        assert max(tops) < 0.05, name


def test_a_push_leans_to_the_side_its_seed_chooses() -> None:
    sides = set()
    for seed in range(6):
        pacing = Pacing(MOODS["wistful"].score, seconds=10.0, seed=seed)
        camera = Camera(CameraIntent("push"), seconds=10, pacing=pacing, aside=1.0)
        sides.add(np.sign(camera.view(4.0).side))
    assert sides == {-1.0, 1.0}
