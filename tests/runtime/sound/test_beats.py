"""Beats found in made music, none where there is no pulse, and cuts moved onto them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from reverie.benchmarks.made_sounds import Samples, clicks, drone, rubato, save, song, speech
from reverie.runtime.sound.beats import Beats, beats_of, ease_cuts
from reverie.runtime.sound.onsets import Onsets
from reverie.runtime.sound.recording import even
from reverie.runtime.sound.survey import open_survey


def _beats(sound: Samples) -> Beats:
    onsets = Onsets()
    for block in even([sound]):
        onsets.hear(block)
    return beats_of(onsets.curve())


def _off(found: Beats, true: list[float]) -> np.ndarray:
    return np.array([np.abs(np.array(true) - time).min() for time in found.times])


@pytest.mark.parametrize("tempo", [60, 90, 100, 120, 140])
@pytest.mark.parametrize("noise", [0.001, 0.05])
def test_clicks_are_found_to_ten_milliseconds(tempo: float, noise: float) -> None:
    sound, true = clicks(tempo, 20, first=0.31, noise=noise, seed=round(tempo))
    found = _beats(sound)
    assert found.clear
    assert found.tempo == pytest.approx(tempo, rel=0.005)
    assert len(found.times) == pytest.approx(len(true), abs=1)
    assert _off(found, true).max() < 0.010


@pytest.mark.parametrize("tempo", [84, 96, 128])
def test_a_song_with_hats_and_chords(tempo: float) -> None:
    sound, true = song(tempo, 25, seed=3)
    found = _beats(sound)
    assert found.clear
    assert found.tempo == pytest.approx(tempo, rel=0.01)
    assert np.percentile(_off(found, true), 90) < 0.03


@pytest.mark.parametrize("loudness", [1e-3, 1.0])
def test_the_same_beats_at_any_loudness(loudness: float) -> None:
    sound, _ = clicks(100, 12)
    usual = _beats(sound).times
    assert _beats(sound * np.float32(loudness)).times == pytest.approx(usual, abs=0.003)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("make", [drone, speech, rubato])
def test_no_pulse_no_beats(make: object, seed: int) -> None:
    found = _beats(make(20, seed=seed))  # type: ignore[operator]
    assert found == Beats((), None, False)


@pytest.mark.parametrize(("stressed", "told"), [(1, 4), (3, 3), (4, 4)])
def test_a_waltz_has_three_beats_in_a_bar(stressed: int, told: int) -> None:
    found = _beats(clicks(150, 16, bar=stressed)[0])
    assert found.clear
    assert found.tempo == pytest.approx(150, rel=0.01)
    assert found.bar == told


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.5, 1.9])
def test_too_short_for_a_pulse(seconds: float) -> None:
    assert not _beats(np.zeros((round(seconds * 48000), 2), np.float32)).clear


@pytest.mark.parametrize("kind", ["mp3", "m4a", "opus"])
def test_files_keep_the_time(kind: str, tmp_path: Path) -> None:
    sound, true = clicks(120, 12, first=0.2)
    path = save(tmp_path / f"music.{kind}", sound)
    found = open_survey(path, "music", 60.0, beats=True)[1].beats
    assert found.clear
    assert _off(found, true).max() < 0.03  # MP3's own delay is part of it


def test_only_the_first_seconds_are_looked_at(tmp_path: Path) -> None:
    path = save(tmp_path / "music.wav", clicks(120, 20)[0])
    assert 0 < max(open_survey(path, "music", 8.0, beats=True)[1].beats.times) <= 8.0


def _grid(step: float, end: float = 60.0) -> Beats:
    return Beats(tuple(np.arange(0.0, end, step)), 60 / step, True)


def test_cuts_go_to_the_nearest_beat_within_reach() -> None:
    assert ease_cuts([4.1, 8.3, 12.55], _grid(2.0)) == pytest.approx([4.0, 8.0, 12.55])


def test_cuts_stay_without_clear_beats() -> None:
    cuts = [4.1, 8.3]
    assert ease_cuts(cuts, Beats((4.0, 8.0), 30.0, False)) == cuts
    assert ease_cuts(cuts, Beats((), None, True)) == cuts
    assert ease_cuts([], _grid(1.0)) == []


def test_no_shot_gets_too_short_and_no_two_cuts_meet() -> None:
    draw = np.random.default_rng(5)
    for _ in range(50):
        cuts = list(np.cumsum(draw.uniform(0.3, 3.0, 12)))
        eased = ease_cuts(cuts, _grid(draw.uniform(0.3, 1.2)), least=1.0)
        assert len(eased) == len(cuts)
        assert max(abs(a - b) for a, b in zip(eased, cuts, strict=True)) <= 0.35
        for (a, b), (c, d) in zip(pairwise([0.0, *eased]), pairwise([0.0, *cuts]), strict=True):
            assert b - a >= min(1.0, d - c) - 1e-6


def test_the_last_shot_keeps_its_length() -> None:
    assert ease_cuts([8.7], _grid(1.0), seconds=9.8) == [8.7]
    assert ease_cuts([8.7], _grid(1.0), seconds=12.0) == [9.0]


def test_onsets_do_not_depend_on_how_sound_is_cut() -> None:
    sound = song(100, 4)[0]
    curves = []
    for size in (480, 777, 4800, len(sound)):
        onsets = Onsets()
        for block in even([sound], size):
            onsets.hear(block)
        curves.append(onsets.curve())
    for curve in curves[1:]:
        assert curve == pytest.approx(curves[0], abs=1e-4)
