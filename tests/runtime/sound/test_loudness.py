"""Loudness and true peaks against pyloudnorm, and the limiter's promise."""

from __future__ import annotations

import numpy as np
import pyloudnorm
import pytest
from reverie.benchmarks.made_sounds import Samples, clicks, drone, song, speech
from reverie.runtime.sound.loudness import SILENT, limited, measure
from reverie.runtime.sound.recording import even

SOUNDS: dict[str, Samples] = {
    "drone": drone(6),
    "speech": speech(6),
    "song": song(100, 8)[0],
    "clicks": clicks(107, 6)[0],  # 120 would fall in step with the tenths of seconds of R128
}


@pytest.mark.parametrize("name", SOUNDS)
@pytest.mark.parametrize("gain", [0.02, 1.0])
def test_the_loudness_is_that_of_pyloudnorm(name: str, gain: float) -> None:
    sound = SOUNDS[name] * np.float32(gain)
    peer = pyloudnorm.Meter(48000).integrated_loudness(sound.astype(np.float64))
    assert measure([sound]).lufs == pytest.approx(peer, abs=0.2)


def test_blocks_of_any_length_are_the_same_sound() -> None:
    sound = SOUNDS["song"]
    whole = measure([sound])
    assert measure(even([sound], 333)) == whole


def test_a_peak_between_samples_is_seen() -> None:
    time = np.arange(48000) / 48000
    wave = np.sin(2 * np.pi * 12000 * time + np.pi / 4)  # every sample at 0.707 of the peak
    wave *= np.hanning(len(wave))
    sound = np.stack([wave, wave], 1).astype(np.float32)
    assert np.abs(sound).max() < 0.71
    assert measure([sound]).peak == pytest.approx(0.0, abs=0.2)


@pytest.mark.parametrize("seconds", [0.0, 0.05, 1.0])
def test_silence(seconds: float) -> None:
    found = measure([np.zeros((round(seconds * 48000), 2), np.float32)])
    assert found.silent
    assert found.lufs == SILENT


@pytest.mark.parametrize("name", SOUNDS)
@pytest.mark.parametrize("length", [1, 4799, 4800, 100_003])
def test_the_limiter_keeps_length_place_and_ceiling(name: str, length: int) -> None:
    sound = SOUNDS[name][:length]
    gain = -1.5 - measure([sound]).peak + 8 if length > 1000 else 0.0
    out = np.concatenate(list(limited([sound], gain, -1.5)))
    assert out.shape == sound.shape
    assert out.dtype == np.float32
    if length > 1000:
        assert measure([out]).peak < -1.0
        wanted = sound * 10 ** (gain / 20)
        shifts = range(-240, 241, 1)
        middle = slice(1000, min(len(sound) - 1000, 20000))
        alike = [np.sum(wanted[middle] * np.roll(out, shift, 0)[middle]) for shift in shifts]
        assert list(shifts)[int(np.argmax(alike))] == 0


def test_below_the_ceiling_the_limiter_does_nothing() -> None:
    sound = SOUNDS["drone"][:48000]
    out = np.concatenate(list(limited([sound], -6.0, -1.5)))
    inner = slice(500, -500)
    assert np.abs(out[inner] - sound[inner] * np.float32(10 ** (-6 / 20))).max() < 1e-3
