"""The swing: fits loops, never repeats otherwise, neither folds nor tears."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from reverie.runtime.spectrum import FREQUENCIES, Spectrum
from reverie.runtime.sway import Sway

GRID = (72, 96)


def picture() -> np.ndarray:
    noise = cv2.GaussianBlur(np.random.default_rng(0).standard_normal((144, 192, 3)), (0, 0), 1.5)
    return np.clip(128 + 50 * noise / noise.std(), 0, 255).astype(np.uint8)


def spectrum(amplitude: float = 0.006) -> Spectrum:
    rng = np.random.default_rng(5)
    coefficients = np.zeros((len(FREQUENCIES), 4, 36, 48), np.float32)
    for index in np.ndindex(len(FREQUENCIES), 4):
        smooth = cv2.GaussianBlur(rng.standard_normal((36, 48)), (0, 0), 6)
        coefficients[index] = amplitude / (index[0] + 1) * smooth / smooth.std()
    flow = np.zeros((2, 36, 48), np.float32)
    return Spectrum(coefficients, np.array(FREQUENCIES, np.float32), flow)


def sway(seconds: float, loop: bool, seed: int = 0, gain: float = 1.0) -> Sway:
    held = np.full((36, 48), gain, np.float32)
    return Sway(spectrum(), held, picture(), GRID, seconds=seconds, loop=loop, seed=seed)


def test_the_loops_frequencies_fit_the_film() -> None:
    for seconds in (2.0, 7.3, 20.0):
        looped = sway(seconds, loop=True)
        turns = np.array(looped.frequencies) * seconds
        np.testing.assert_allclose(turns, np.round(turns), atol=1e-4)
        assert turns.min() >= 1.0
        np.testing.assert_allclose(looped.at(seconds), 0.0, atol=1e-3)
        assert not looped.at(0.0).any()


def rms_speed(seconds: float) -> float:
    """Pixels a second over a loop and over the picture."""
    looped = sway(seconds, loop=True)
    gain = cv2.resize(looped.gain, (48, 36), interpolation=cv2.INTER_AREA)[..., None]
    times = np.linspace(0, seconds, round(seconds * 60) + 1)
    steps = np.diff(np.stack([looped.at(float(t)) * gain for t in times]), axis=0)
    return float(np.sqrt(np.square(steps / times[1]).sum(-1).mean()))


@pytest.mark.parametrize("seconds", [0.5, 1.0, 2.0])
def test_a_short_loop_is_no_faster_than_a_long_one(seconds: float) -> None:
    usual = rms_speed(10.0)
    assert 0.5 * usual < rms_speed(seconds) <= 1.2 * usual


def test_wild_spectra_neither_fold_nor_tear() -> None:
    rng = np.random.default_rng(6)
    wild = 0.05 * rng.standard_normal((len(FREQUENCIES), 4, 36, 48)).astype(np.float32)
    storm = SimpleNamespace(
        coefficients=wild,
        frequencies=np.array(FREQUENCIES, np.float32),
        drift=np.zeros((2, 36, 48), np.float32),
    )
    swing = Sway(
        storm,  # type: ignore[arg-type]
        np.ones((36, 48), np.float32),
        picture(),
        GRID,
        seconds=5,
        loop=False,
        seed=0,
    )
    for time in (1.0, 2.5, 4.0):
        field = cv2.resize(swing.at(time), (96, 72)) * swing.gain[..., None] / 2
        stretch = max(np.abs(np.diff(field, axis=axis)).max() for axis in (0, 1))
        assert stretch < 1.0


def test_a_film_does_not_repeat() -> None:
    swing = sway(60, loop=False)
    period = 1 / FREQUENCIES[0]
    one, later = swing.at(10.0), swing.at(10.0 + 3 * period)
    assert np.abs(one - later).mean() > 0.5 * np.abs(one).mean()


def test_the_photos_pose_is_let_go_and_in_a_loop_taken_up_again() -> None:
    free, looped = sway(10, loop=False), sway(10, loop=True)
    assert free.hold(0.0) == looped.hold(0.0) == 1.0
    assert free.hold(4.0) == free.hold(10.0) == 0.0
    assert looped.hold(5.0) == 0.0
    assert looped.hold(10.0) == 1.0


def test_the_size_is_the_spectrums() -> None:
    swing = sway(20, loop=False)
    found = np.stack([swing.at(t) for t in np.arange(4, 20, 0.37)])
    inner = np.sqrt(np.square(found).sum(-1).mean(0))[8:-8, 8:-8].mean()
    expected = spectrum().rms()[8:-8, 8:-8].mean() * 144
    assert 0.7 < inner / expected < 1.2


def test_seeds_set_the_gusts_apart() -> None:
    assert np.array_equal(sway(10, False, 1).at(5.0), sway(10, False, 1).at(5.0))
    assert not np.array_equal(sway(10, False, 1).at(5.0), sway(10, False, 2).at(5.0))


def test_no_gain_no_swing() -> None:
    assert not sway(10, loop=False, gain=0.0).gain.any()
