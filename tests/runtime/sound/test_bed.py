"""Music led back to its beginning: without a click, on the beat, and as long as the film."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from reverie.benchmarks.made_sounds import Samples, clicks, drone, save, song
from reverie.runtime.sound.bed import Bed, across, lay
from reverie.runtime.sound.recording import RATE, open_recording
from reverie.runtime.sound.survey import open_survey


def _lay(path: Path, seconds: float) -> Bed:
    opened, found = open_survey(path, "music", seconds + 1, beats=True)
    return lay(opened, found, seconds)


def _heard(bed: Bed, seconds: float) -> Samples:
    heard = np.concatenate(list(bed.blocks(round(seconds * RATE))))
    assert heard.shape == (round(seconds * RATE), 2)
    return heard


def test_music_that_is_long_enough_is_played_as_it_is(tmp_path: Path) -> None:
    sound = drone(4)
    bed = _lay(save(tmp_path / "a.wav", sound), 3)
    assert bed.join is None
    assert np.abs(_heard(bed, 3) - sound[: 3 * RATE]).max() < 1e-3


def test_a_drone_is_led_back_without_a_click_or_a_hole(tmp_path: Path) -> None:
    sound = drone(6)
    bed = _lay(save(tmp_path / "a.wav", sound), 30)
    assert bed.join is not None
    assert bed.join.fade > 0.5 * RATE
    heard = _heard(bed, 30)
    assert np.abs(np.diff(heard, axis=0)).max() <= 1.1 * np.abs(np.diff(sound, axis=0)).max()
    levels = np.sqrt((heard.reshape(-1, RATE // 2, 2) ** 2).mean(axis=(1, 2)))
    own = np.sqrt((sound.reshape(-1, RATE // 2, 2) ** 2).mean(axis=(1, 2)))
    assert levels.min() > 0.7 * own.min()
    assert levels.max() < 1.2 * own.max()


@pytest.mark.parametrize(("tempo", "lasts", "first"), [(90, 9.7, 0.2), (120, 8.0, 0.0)])
def test_clicks_keep_their_beat_over_the_join(
    tempo: float, lasts: float, first: float, tmp_path: Path
) -> None:
    path = save(tmp_path / "a.wav", clicks(tempo, lasts, first=first, noise=0.001)[0])
    opened, found = open_survey(path, "music", 41, beats=True)
    bed = lay(opened, found, 40)
    assert bed.join is not None
    assert bed.join.musical
    heard = np.abs(_heard(bed, 40)).max(axis=1)
    starts = np.flatnonzero(heard > 0.15)
    starts = starts[np.diff(starts, prepend=-RATE) > 0.2 * RATE] / RATE
    gaps = np.diff(starts)
    assert np.abs(gaps - 60 / tempo).max() < 0.025
    told = bed.beats(found.beats, 40)
    assert told.clear
    assert len(told.times) == pytest.approx(len(starts), abs=1)
    assert max(np.abs(starts - time).min() for time in told.times[:-1]) < 0.03


def test_a_waltz_is_joined_by_its_bars(tmp_path: Path) -> None:
    bed = _lay(save(tmp_path / "a.wav", clicks(150, 13, bar=3)[0]), 30)
    assert bed.join is not None
    bars = bed.join.period / RATE / (3 * 60 / 150)
    assert bars == pytest.approx(round(bars), abs=0.02)


def test_a_song_is_joined_by_whole_bars(tmp_path: Path) -> None:
    path = save(tmp_path / "a.flac", song(100, 21)[0])
    bed = _lay(path, 60)
    assert bed.join is not None
    assert bed.join.musical
    bars = bed.join.period / RATE / (4 * 60 / 100)
    assert bars == pytest.approx(round(bars), abs=0.02)


def test_its_own_fade_out_is_not_in_the_loop(tmp_path: Path) -> None:
    sound = drone(12)
    sound[6 * RATE :] *= np.linspace(1, 0, 6 * RATE, dtype=np.float32)[:, None] ** 2
    bed = _lay(save(tmp_path / "a.wav", sound), 40)
    assert bed.join is not None
    assert bed.join.out + bed.join.fade < 10.5 * RATE


def test_silence_around_music(tmp_path: Path) -> None:
    quiet = np.zeros((3 * RATE, 2), np.float32)
    path = save(tmp_path / "a.wav", np.concatenate([quiet, drone(5), quiet]))
    bed = _lay(path, 20)
    assert bed.start == pytest.approx(3 * RATE, abs=RATE // 10)
    heard = _heard(bed, 20)
    levels = np.abs(heard).reshape(-1, RATE // 2, 2).max(axis=(1, 2))
    assert levels.min() > 0.02


def test_music_after_a_long_silence_is_found(tmp_path: Path) -> None:
    quiet = np.zeros((15 * RATE, 2), np.float32)
    path = save(tmp_path / "a.wav", np.concatenate([quiet, clicks(120, 20)[0]]))
    opened, found = open_survey(path, "music", 8, beats=True)
    bed = lay(opened, found, 7)
    assert bed.start == pytest.approx(15 * RATE, abs=RATE // 10)
    assert bed.join is None
    assert len(bed.beats(found.beats, 7).times) == pytest.approx(14, abs=1)


def test_hardly_too_short_is_left_to_end(tmp_path: Path) -> None:
    assert _lay(save(tmp_path / "a.wav", drone(9)), 10).join is None


def test_where_music_is_not_led_back_silence_follows(tmp_path: Path) -> None:
    bed = Bed(open_recording(save(tmp_path / "a.wav", drone(1)), "music"), 0)
    heard = _heard(bed, 5)
    assert not heard[RATE + 100 :].any()
    assert heard[: RATE - 100].any()


@pytest.mark.parametrize("seconds", [0.12, 0.5, 1.3])
def test_very_short_music_still_fills_the_film(seconds: float, tmp_path: Path) -> None:
    bed = _lay(save(tmp_path / "a.wav", drone(seconds)), 6)
    heard = _heard(bed, 6)
    assert np.abs(heard).reshape(-1, RATE // 4, 2).max(axis=(1, 2)).min() > 0.01


@pytest.mark.parametrize("alike", [True, False])
def test_a_cross_fade_keeps_the_level(alike: bool) -> None:
    draw = np.random.default_rng(3)
    one = draw.normal(0, 0.1, (RATE, 2)).astype(np.float32)
    two = one if alike else draw.normal(0, 0.1, (RATE, 2)).astype(np.float32)
    mixed = across(one, two)
    assert mixed[0] == pytest.approx(one[0], abs=1e-3)
    assert mixed[-1] == pytest.approx(two[-1], abs=1e-3)
    levels = mixed.reshape(10, -1).std(axis=1)
    assert np.abs(20 * np.log10(levels / 0.1)).max() < 0.5
