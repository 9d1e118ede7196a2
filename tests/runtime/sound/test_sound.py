"""The sound of a film: exact length, loudness, peaks, fades, a voice over music, flat memory."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyloudnorm
import pytest
from reverie.benchmarks.made_sounds import Samples, clicks, drone, save, song, speech
from reverie.engines.errors import SettingsError, SoundError
from reverie.runtime.sound.loudness import measure
from reverie.runtime.sound.sound import RATE, Sound, open_sound


def _open(music: Path | None, voice: Path | None, seconds: float, **more: Any) -> Sound:
    sound = open_sound(music, voice, seconds, **more)
    assert sound is not None
    return sound


def _play(sound: Sound) -> Samples:
    heard = np.concatenate(list(sound.blocks()))
    assert heard.dtype == np.float32
    assert heard.shape == (sound.samples, 2)
    return heard


def _lufs(heard: Samples) -> float:
    return float(pyloudnorm.Meter(RATE).integrated_loudness(heard.astype(np.float64)))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("sounds")
    made = {
        "drone.wav": drone(12),
        "song.mp3": song(100, 16)[0],
        "song.m4a": song(84, 16)[0],
        "clicks.opus": clicks(107, 10)[0],
        "voice.mp3": speech(5),
        "pause.wav": speech(9, pause=(3.0, 6.0)),
    }
    return {name: save(folder / name, sound) for name, sound in made.items()}


def test_nothing_given_is_no_sound() -> None:
    assert open_sound(None, None, 5.0) is None


@pytest.mark.parametrize(
    "seconds", [2, 49 / 24, 241 / 24, 301 / 30, 15 + 1 / 60, 120], ids=lambda s: f"{s:.3f}"
)
def test_lengths_are_exact_to_the_sample(seconds: float, files: dict[str, Path]) -> None:
    sound = _open(files["drone.wav"], None, seconds)
    assert sound.samples == round(seconds * 48000)
    heard = _play(sound)
    assert not heard[-1].any()
    assert np.abs(heard).max() <= 1


@pytest.mark.parametrize("name", ["drone.wav", "song.mp3", "song.m4a"])
@pytest.mark.parametrize("seconds", [3.0, 20.0])
def test_music_comes_to_sixteen_below(name: str, seconds: float, files: dict[str, Path]) -> None:
    sound = _open(files[name], None, seconds)
    heard = _play(sound)
    assert _lufs(heard) == pytest.approx(-16, abs=0.5)
    found = measure([heard])
    assert found.lufs == pytest.approx(-16, abs=0.5)
    assert found.lufs == pytest.approx(sound.loudness.lufs, abs=0.1)
    assert found.peak <= -1.0


@pytest.mark.parametrize("lufs", [-23.0, -14.0])
def test_another_loudness(lufs: float, files: dict[str, Path]) -> None:
    assert _lufs(_play(_open(files["drone.wav"], None, 8, lufs=lufs))) == pytest.approx(
        lufs, abs=0.5
    )


def test_a_voice_alone(files: dict[str, Path]) -> None:
    sound = _open(None, files["voice.mp3"], 8, lead_in=1.5)
    heard = _play(sound)
    assert _lufs(heard) == pytest.approx(-16, abs=0.5)
    assert np.abs(heard[: round(1.4 * RATE)]).max() < 1e-3
    assert np.abs(heard[round(1.5 * RATE) : round(1.7 * RATE)]).max() > 0.05
    assert not heard[7 * RATE :].max() > 1e-3  # not begun again
    assert sound.voice_seconds == pytest.approx(6.5, abs=0.1)
    assert not sound.notes


def test_music_goes_down_by_twelve_under_speech(files: dict[str, Path]) -> None:
    sound = _open(files["drone.wav"], files["pause.wav"], 12)
    alone = np.concatenate(list(replace(sound.mix, voice=None).blocks()))
    free = np.concatenate(list(replace(sound.mix, voice=None, duck=None).blocks()))

    def fall(first: float, last: float) -> float:
        part = slice(round(first * RATE), round(last * RATE))
        return float(10 * np.log10((alone[part] ** 2).mean() / (free[part] ** 2).mean()))

    assert fall(0.5, 2.5) == pytest.approx(-12, abs=0.2)
    assert fall(6.5, 8.0) == pytest.approx(-12, abs=0.5)
    assert fall(4.9, 5.3) == pytest.approx(0, abs=1.0)  # come back in the pause
    assert _lufs(_play(sound)) == pytest.approx(-16, abs=0.5)


def test_the_voice_is_well_above_the_music_under_it(files: dict[str, Path]) -> None:
    mix = _open(files["song.mp3"], files["voice.mp3"], 6).mix
    parts = (replace(mix, voice=None), replace(mix, music=None))
    alone = [np.concatenate(list(part.blocks())) for part in parts]
    part = slice(round(0.5 * RATE), round(4.0 * RATE))
    music, voice = (measure([sound[part]]).lufs for sound in alone)
    assert voice - music > 10


def test_a_voice_longer_than_the_film_is_told_and_faded(files: dict[str, Path]) -> None:
    sound = _open(None, files["voice.mp3"], 3.0, lead_in=0.5)
    assert "longer than the film" in sound.notes[0]
    assert "5.5 s" in sound.notes[0]
    assert sound.voice_seconds == pytest.approx(5.5, abs=0.1)
    heard = _play(sound)
    assert np.abs(heard[-RATE // 50 :]).max() < 0.1 * np.abs(heard).max()


def test_fades_fall_on_beats_and_whole_seconds(files: dict[str, Path]) -> None:
    ambient = _open(files["drone.wav"], None, 11.3)
    assert ambient.mix.fade_out % RATE == 0
    assert 1.5 <= 11.3 - ambient.mix.fade_out / RATE <= 4
    pulsed = _open(files["song.mp3"], None, 11.3)
    assert min(abs(pulsed.mix.fade_out / RATE - time) for time in pulsed.beats.times) < 1e-3
    for sound in (ambient, pulsed):
        heard = np.abs(_play(sound)).max(axis=1)
        assert heard[0] < 1e-3
        assert heard[-1] == 0
        assert heard[-RATE // 2 :].max() < 0.3 * heard.max()


def test_beats_are_those_of_what_is_heard(files: dict[str, Path]) -> None:
    beats = _open(files["song.mp3"], None, 24).beats
    assert beats.clear
    gaps = np.diff(beats.times)
    assert len(beats.times) == pytest.approx(24 / 0.6, abs=2)
    assert np.abs(gaps - 0.6).max() < 0.06
    assert not _open(files["drone.wav"], None, 8).beats.clear


def test_quiet_music_is_raised_only_so_far(tmp_path: Path) -> None:
    path = save(tmp_path / "a.wav", 0.002 * drone(6), codec="pcm_s24le")
    sound = _open(path, None, 5)
    assert sound.gain == pytest.approx(30)
    assert _lufs(_play(sound)) == pytest.approx(sound.loudness.lufs, abs=0.5)
    assert "not -16" in sound.notes[0]


def test_one_bang_in_quiet_music_bounds_the_gain(tmp_path: Path) -> None:
    sound = 0.003 * drone(8)
    sound[4 * RATE : 4 * RATE + 300] += 0.9 * np.random.default_rng(1).normal(0, 0.4, (300, 1))
    made = _open(save(tmp_path / "a.wav", sound, codec="pcm_s24le"), None, 8)
    assert measure([_play(made)]).peak <= -1.0
    assert "peaks leave no more room" in made.notes[0]


def test_loud_music_is_lowered_without_the_limiter(tmp_path: Path) -> None:
    made = _open(save(tmp_path / "a.wav", np.clip(5 * drone(6), -1, 1)), None, 5)
    assert made.gain < -5
    assert not made.limit


def test_silence_is_a_note(tmp_path: Path, files: dict[str, Path]) -> None:
    quiet = save(tmp_path / "quiet.wav", np.zeros((3 * RATE, 2), np.float32))
    made = _open(quiet, None, 2)
    assert "is silent" in made.notes[0]
    assert not _play(made).any()
    both = _open(files["drone.wav"], quiet, 6)
    assert "voice" in both.notes[0]
    assert _lufs(_play(both)) == pytest.approx(-16, abs=0.5)
    assert both.mix.duck is None


def test_the_same_every_time(files: dict[str, Path]) -> None:
    sound = _open(files["clicks.opus"], files["voice.mp3"], 14)
    assert sound.limit
    assert np.array_equal(_play(sound), _play(sound))


def test_a_bad_voice_is_told_before_the_music_is_read(files: dict[str, Path]) -> None:
    with pytest.raises(SoundError, match=r'the voice ".*none.mp3" is not there'):
        open_sound(files["drone.wav"], "none.mp3", 5.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"seconds": 0.0},
        {"seconds": float("nan")},
        {"lufs": 0.0},
        {"lufs": -60.0},
        {"duck_db": -3.0},
        {"lead_in": 9.0},
        {"lead_in": -1.0},
    ],
)
def test_impossible_requests(wrong: dict[str, float], files: dict[str, Path]) -> None:
    with pytest.raises(SettingsError) as caught:
        open_sound(files["drone.wav"], files["voice.mp3"], **{"seconds": 5.0, **wrong})
    assert "\n" not in str(caught.value)


def test_memory_is_flat(tmp_path: Path) -> None:
    music = save(tmp_path / "music.mp3", drone(6))

    def most(seconds: float) -> int:
        tracemalloc.start()
        sound = _open(music, None, seconds)
        for _ in sound.blocks():
            pass
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    most(5)  # what is loaded once
    short, long = most(15), most(60)
    assert long < short + 1_500_000  # a few kilobytes a second, for levels and beats
