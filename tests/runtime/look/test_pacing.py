"""Pacing: the camera waits, turns back and holds its breath; feeling rises and resolves."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from reverie.runtime.look.camera import Camera
from reverie.runtime.look.mood import MOODS, PAUSE
from reverie.runtime.look.pacing import Pacing, Phrase
from reverie.runtime.settings import CameraIntent

SCORES = {**{name: mood.score for name, mood in MOODS.items()}, "pause": PAUSE}


def paced(name: str, *, seconds: float = 10.0, **more: object) -> Pacing:
    mood = MOODS.get(name, MOODS["tender"])
    return Pacing(SCORES[name], peak=mood.peak, slow=mood.slow, seconds=seconds, **more)  # type: ignore[arg-type]


def path(pacing: Pacing, seconds: float = 10.0) -> np.ndarray:
    return np.array([pacing.way(float(t)) for t in np.linspace(0.0, seconds, 481)])


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("seed", [0, 1, 7])
def test_a_held_breath_ends_every_film(name: str, seed: int) -> None:
    pacing = paced(name, seed=seed)
    way = path(pacing)
    assert way[0] == 0.0
    assert np.ptp(way[-29:]) == 0.0  # the last 0.6 seconds at least
    assert pacing.breath(10.0) == 1.0
    assert pacing.breath(5.0) == 0.0
    for move in ("push", "pull", "left", "orbit", "still"):
        camera = Camera(CameraIntent(move), seconds=10, pacing=pacing, aside=1.0)  # type: ignore[arg-type]
        last = [camera.view(t) for t in (9.7, 9.85, 10.0)]
        assert max(abs(v.zoom - last[0].zoom) for v in last) < 1e-6
        assert max(abs(v.side - last[0].side) for v in last) < 1e-6
        assert max(abs(v.left - last[0].left) for v in last) < 1e-6


@pytest.mark.parametrize("name", [name for name in SCORES if name != "still"])
def test_the_camera_pauses_on_its_way(name: str) -> None:
    for seed in range(4):
        speed = np.abs(np.diff(path(paced(name, seed=seed)))) * 48
        moves = np.flatnonzero(speed > 0.02)
        between = speed[moves[0] : moves[-1] + 1] < 0.01
        runs = [len(run) for run in "".join("x" if b else " " for b in between).split()]
        assert max(runs, default=0) >= 16  # a third of a second in the middle of its way


@pytest.mark.parametrize("name", ["wistful", "restless"])
def test_some_moods_turn_back(name: str) -> None:
    way = path(paced(name))
    assert way[-1] < way.max() - 0.3
    assert way[-1] > 0.1


@pytest.mark.parametrize("name", SCORES)
def test_the_path_is_smooth_and_its_joints_are_level(name: str) -> None:
    for seconds in (3.0, 10.0, 60.0):
        way = np.array([paced(name, seconds=seconds).way(i / 24) for i in range(int(seconds * 24))])
        assert way.min() >= 0.0
        assert way.max() <= 1.0
        speed = np.diff(way) * 24
        assert np.abs(np.diff(speed)).max() < 0.6 * max(1.0, (10.0 / seconds) ** 2)


@pytest.mark.parametrize("name", SCORES)
def test_a_loop_comes_back(name: str) -> None:
    pacing = paced(name, loop=True)
    way = path(pacing)
    assert way[0] == way[-1] == 0.0
    assert way.max() > 0.5
    assert pacing.breath(10.0) == 0.0
    assert pacing.world(3.3) == 3.3


def test_the_seed_moves_every_phrase() -> None:
    ways = [path(paced("wistful", seed=seed)) for seed in (1, 1, 2)]
    assert np.array_equal(ways[0], ways[1])
    assert np.abs(ways[0] - ways[2]).max() > 0.03


@pytest.mark.parametrize("name", SCORES)
def test_feeling_peaks_in_the_middle_and_resolves(name: str) -> None:
    for seconds in (4.0, 10.0, 120.0):
        pacing = paced(name, seconds=seconds, seed=3)
        curve = np.array([pacing.feeling(float(t)) for t in np.linspace(0, seconds, 2401)])
        assert curve[0] == 0.0
        assert curve[-1] == 0.0
        assert curve.max() > 0.99
        assert 0.3 < curve.argmax() / 2400 < 0.8
        assert np.abs(np.diff(curve)).max() < 0.02


@pytest.mark.parametrize("name", SCORES)
def test_the_world_slows_down_and_never_turns_back(name: str) -> None:
    pacing = paced(name, seed=5)
    times = np.linspace(0.0, 10.0, 481)
    world = np.array([pacing.world(float(t)) for t in times])
    rate = np.diff(world) * 48
    assert world[0] == 0.0
    assert rate.min() > 0.1
    assert rate.max() < 1.001
    assert rate[-10:].max() < 0.6  # in the held breath
    assert [b > a for a, b in pairwise(world)]


def test_long_films_play_their_score_again() -> None:
    way = path(paced("wistful", seconds=60.0), 60.0)
    inner = (way[1:-1] > way[:-2]) & (way[1:-1] >= way[2:]) & (way[1:-1] > 0.9)
    assert np.count_nonzero(inner) >= 3


def test_without_a_score_there_is_feeling_but_no_pace() -> None:
    pacing = Pacing(seconds=10.0, peak=0.5, slow=0.5)
    assert not pacing.scored
    assert pacing.feeling(5.0) > 0.5
    assert pacing.world(7.0) == 7.0
    assert Camera(None, seconds=10, pacing=pacing).view(5.0) == Camera(None, seconds=10).view(5.0)


def test_a_score_of_one_phrase_is_a_score() -> None:
    pacing = Pacing((Phrase("goes", 1.0, 1.0),), seconds=5.0)
    assert pacing.way(5.0) == 1.0
    assert pacing.breath(5.0) == 0.0
    assert Pacing((Phrase("goes", 1.0, 1.0),), seconds=5.0, loop=True).way(5.0) == 0.0
