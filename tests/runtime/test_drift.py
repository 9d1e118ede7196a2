"""Drift: begins at rest, closes loops, moves ripples and lets what water mirrors stay."""

from __future__ import annotations

import numpy as np
import pytest
from reverie.runtime.drift import FASTEST, Drift
from reverie.runtime.motion import render
from reverie.runtime.settings import CLASSES, CameraIntent, LightIntent
from reverie.runtime.spectrum import FREQUENCIES, Spectrum

PICTURE, GRID = (144, 192), (36, 48)


def ripples(seed: int = 0) -> np.ndarray:
    """Noise that is short downward and long across, as on water."""
    noise = np.random.default_rng(seed).standard_normal((PICTURE[0] // 2, PICTURE[1] // 6))
    return 25 * noise.repeat(2, 0).repeat(6, 1)


def columns() -> np.ndarray:
    """Tall soft stripes, as lights mirrored in water."""
    x = np.arange(PICTURE[1]) / 14
    return np.broadcast_to(128 + 60 * np.sin(x), PICTURE)


def painted(*parts: np.ndarray) -> np.ndarray:
    total = np.sum(parts, axis=0)
    return np.repeat(np.clip(total, 0, 255).astype(np.uint8)[..., None], 3, -1)


def drift(speed: float, *, water: float = 1.0, loop: bool = False, seconds: float = 8.0) -> Drift:
    velocity = np.zeros((*GRID, 2), np.float32)
    velocity[..., 0] = speed
    ones = np.ones(GRID, np.float32)
    picture = painted(columns(), ripples())
    return Drift(velocity, ones, ones * water, picture, seconds=seconds, loop=loop, seed=0)


def filmed(picture: np.ndarray, name: str, seconds: float = 8.0) -> np.ndarray:
    flow = np.zeros((2, *GRID), np.float32)
    flow[0] = 0.02
    still = np.zeros((len(FREQUENCIES), 4, *GRID), np.float32)
    classes = np.zeros((len(CLASSES), *GRID), np.float32)
    classes[CLASSES.index(name)] = 1.0
    frames = render(
        picture,
        Spectrum(still, np.array(FREQUENCIES, np.float32), flow),
        np.ones(GRID, np.float32),
        seconds=seconds,
        fps=6,
        classes=classes,
        camera=CameraIntent("push", strength=0.0),
        light=LightIntent("none"),
    )
    return np.stack(list(frames)).astype(float)[..., 0]


@pytest.mark.parametrize("loop", [False, True])
@pytest.mark.parametrize("water", [0.0, 1.0])
def test_it_begins_at_rest(water: float, loop: bool) -> None:
    start = drift(4.0, water=water, loop=loop).at(0.0)
    assert not start.shifts[0].any()
    assert not start.weight.any()


def test_a_loop_ends_where_it_began() -> None:
    looped = drift(4.0, loop=True)
    end = looped.at(8.0)
    assert np.abs(end.shifts[0]).max() < 1e-3
    assert end.weight.max() < 1e-5


def test_the_weightless_copy_is_the_one_that_leaps() -> None:
    flowing = drift(4.0)
    before = flowing.at(0.0)
    for time in np.arange(1, 80) * 0.1:
        now = flowing.at(float(time))
        leapt = np.abs(now.shifts[0] - before.shifts[0]).max(-1) > 2.0
        assert np.all(now.weight[leapt] > 0.95)
        before = now


def test_no_speed_no_drift() -> None:
    assert not drift(0.0).active


@pytest.mark.parametrize("water", [0.0, 1.0])
def test_no_drift_is_faster_than_the_cap(water: float) -> None:
    fast = drift(40.0, water=water, seconds=2.0)
    before, now = (fast.at(t).shifts[0] for t in (1.8, 1.81))
    speed = (now - before)[..., 0] / 0.01
    usual = FASTEST * min(PICTURE)
    assert 0.4 * usual < speed.max() < 1.5 * usual  # copies are uneven in pace
    slow, capped = (drift(v, water=water).at(1.0).shifts[0] for v in (usual, 40.0))
    np.testing.assert_allclose(capped, slow, atol=1e-4)


def test_short_films_of_clouds_are_drawn_once_and_water_twice() -> None:
    assert drift(0.8, water=0.0).active
    assert not drift(0.8, water=0.0).twice
    assert drift(4.0, water=1.0).twice


def test_nothing_is_pulled_in_from_beyond_the_shore() -> None:
    velocity = np.full((*GRID, 2), 3.0, np.float32)
    gain = np.zeros(GRID, np.float32)
    gain[10:30, 10:40] = 1.0
    picture = painted(columns())
    pond = Drift(velocity, gain, gain, picture, seconds=30, loop=False, seed=0)
    y, x = np.mgrid[0 : GRID[0], 0 : GRID[1]]
    for time in np.arange(1, 30, 0.7):
        for shift in pond.at(float(time)).shifts:
            from_x, from_y = x - shift[..., 0] / 4, y - shift[..., 1] / 4
            moving = np.hypot(shift[..., 0], shift[..., 1]) > 0.1
            assert from_x[moving].min() >= 9.5
            assert from_x[moving].max() <= 39.5
            assert from_y[moving].min() >= 9.5
            assert from_y[moving].max() <= 29.5


def test_ripples_travel_and_what_is_mirrored_stays() -> None:
    frames = filmed(painted(columns(), ripples()), "water")[:, 20:-20, 20:-20]
    tall = frames.mean(1)  # the columns
    assert np.abs(tall[8:] - tall[0]).mean() < 4.0
    fine = frames - frames.mean(1, keepdims=True)
    alike = (fine * fine[0]).mean((1, 2)) / fine[0].var()
    assert alike[20:].min() < 0.93  # even in so small a picture, where the ground keeps much
    assert (fine.std((1, 2)) > 0.8 * fine[0].std()).all()  # and as strong


def test_in_the_sky_all_of_it_travels() -> None:
    tall = filmed(painted(columns()), "sky", seconds=2.0)[:, 20:-20, 30:-30].mean(1)
    assert np.abs(tall[-1] - tall[0]).mean() > 4.0
