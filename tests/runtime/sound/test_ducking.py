"""The music's gain under speech: down in time, bridging words, back after."""

from __future__ import annotations

import numpy as np
import pytest
from reverie.benchmarks.made_sounds import speech as spoken
from reverie.runtime.sound.ducking import AHEAD, HOLD, RISE, duck_curve, gains, speech
from reverie.runtime.sound.recording import RATE
from reverie.runtime.sound.survey import STEP, Levels


def _levels(seconds: float, *stretches: tuple[float, float]) -> Levels:
    levels = np.full(round(seconds * 100), 1e-4)
    for first, last in stretches:
        levels[round(first * 100) : round(last * 100)] = 0.3
    return levels


def _at(curve: Levels, seconds: float) -> float:
    return float(curve[round(seconds * 100)])


def test_down_before_speech_and_back_after_it() -> None:
    curve = duck_curve(_levels(4, (1, 3)), 2.0, 10.0, 12.0)
    assert _at(curve, 3.0 - AHEAD - 0.1) == 0
    assert _at(curve, 3.0 - AHEAD / 2) == pytest.approx(-6, abs=1.5)
    assert all(_at(curve, at) == pytest.approx(-12) for at in (3.0, 4.0, 5.0, 5.0 + HOLD - 0.05))
    assert _at(curve, 5.0 + HOLD + RISE / 2) == pytest.approx(-6, abs=1.5)
    assert _at(curve, 5.0 + HOLD + RISE + 0.1) == 0


def test_gaps_between_words_are_bridged() -> None:
    curve = duck_curve(_levels(4, (1, 1.5), (1.9, 2.5)), 0.0, 5.0, 12.0)
    assert curve[100:250].max() == pytest.approx(-12)


def test_no_step_is_heard() -> None:
    curve = duck_curve(_levels(4, (0, 0.5), (2.5, 3)), 1.0, 6.0, 12.0)
    assert np.abs(np.diff(curve)).max() <= 12.0 * 0.01 / AHEAD + 1e-3
    linear = gains(curve, 4321, 48000)
    assert linear.shape == (48000, 1)
    assert np.abs(np.diff(linear[:, 0])).max() < 2e-4


@pytest.mark.parametrize("start", [0.0, 3.9, 7.0])
def test_a_voice_beyond_the_film(start: float) -> None:
    curve = duck_curve(_levels(30, (0, 30)), start, 4.0, 12.0)
    assert len(curve) == 401
    assert (curve.min() < -11) == (start < 4)


def test_a_silent_voice_lowers_nothing() -> None:
    assert not duck_curve(np.zeros(300), 0.0, 3.0, 12.0).any()
    assert not duck_curve(np.zeros(0), 0.0, 3.0, 12.0).any()


@pytest.mark.parametrize("gain", [0.01, 1.0])
@pytest.mark.parametrize("noise", [0.0, 0.003, 0.02])
def test_speech_is_told_from_its_room_at_any_loudness(gain: float, noise: float) -> None:
    room = np.random.default_rng(1).normal(0, noise, (8 * RATE, 2))
    sound = gain * (spoken(8, pause=(3.0, 5.0)) + room)
    levels = np.abs(sound).max(axis=1).reshape(-1, STEP).max(axis=1)
    found = speech(levels)
    assert not found[330:490].any()
    assert found[:280].mean() > 0.6
