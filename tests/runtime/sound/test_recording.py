"""Files of every kind read as 48 kHz stereo, and everything that is no sound refused in a line."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from reverie.benchmarks.made_sounds import clicks, drone, save
from reverie.engines.errors import SoundError
from reverie.runtime.sound import recording as module
from reverie.runtime.sound.recording import RATE, Damage, between, even, open_recording
from reverie.runtime.sound.survey import open_survey


def _wav(path: Path, samples: npt.NDArray[np.generic], rate: int, tag: int = 1) -> Path:
    """Write a WAV by hand: any depth and number of channels."""
    channels, bits = samples.shape[1], samples.dtype.itemsize * 8
    data = samples.tobytes()
    shape = (16, tag, channels, rate, rate * channels * bits // 8, channels * bits // 8, bits)
    head = b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt "
    head += struct.pack("<IHHIIHH", *shape) + b"data" + struct.pack("<I", len(data))
    path.write_bytes(head + data)
    return path


def _read(path: Path) -> npt.NDArray[np.float32]:
    return np.concatenate(list(open_recording(path, "music").blocks()))


@pytest.mark.parametrize("kind", ["wav", "mp3", "m4a", "flac", "ogg", "opus", "mka"])
def test_every_usual_kind(kind: str, tmp_path: Path) -> None:
    sound = drone(3)
    read = _read(save(tmp_path / f"music.{kind}", sound))
    assert read.dtype == np.float32
    assert read.shape[1] == 2
    assert len(read) == pytest.approx(len(sound), abs=3000)  # MP3 and AAC pad to whole frames
    assert np.abs(read).max() == pytest.approx(np.abs(sound).max(), rel=0.15)


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 96000, 192000])
def test_every_rate(rate: int, tmp_path: Path) -> None:
    wave = np.sin(2 * np.pi * 440 * np.arange(rate) / rate)[:, None] * [[20000, -20000]]
    read = _read(_wav(tmp_path / "a.wav", wave.astype("<i2"), rate))
    assert len(read) == pytest.approx(RATE, abs=2)
    true = np.sin(2 * np.pi * 440 * np.arange(len(read)) / RATE) * 20000 / 32768
    assert np.abs(read[500:-500, 0] - true[500:-500]).max() < 0.01
    assert np.abs(read[500:-500, 1] + true[500:-500]).max() < 0.01


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 6, 7, 8, 12, 16])
def test_every_number_of_channels(channels: int, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).normal(0, 3000, (24000, channels)).astype("<i2")
    read = _read(_wav(tmp_path / "a.wav", noise, RATE))
    assert read.shape == (24000, 2)
    assert read.std(axis=0).min() > 0.01


@pytest.mark.parametrize(("kind", "tag"), [("u1", 1), ("<i2", 1), ("<i4", 1), ("<f4", 3)])
def test_every_depth(kind: str, tag: int, tmp_path: Path) -> None:
    wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(24000) / RATE)[:, None]
    scale = {"u1": 127, "<i2": 32767, "<i4": 2**31 - 1, "<f4": 1}[kind]
    samples = wave * scale + (128 if kind == "u1" else 0)
    read = _read(_wav(tmp_path / "a.wav", samples.astype(kind), RATE, tag))
    assert np.abs(read).max() / 0.5 == pytest.approx(0.707, abs=0.02)  # one channel, shared by two


def test_numbers_that_are_none_are_silence(tmp_path: Path) -> None:
    samples = np.full((4800, 2), 0.25, "<f4")
    samples[100], samples[200] = np.nan, np.inf
    read = _read(_wav(tmp_path / "a.wav", samples, RATE, 3))
    assert np.isfinite(read).all()
    assert read.max() == pytest.approx(0.25)


def test_floats_far_beyond_full_scale_are_brought_into_it(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).normal(0, 8000, (RATE, 2)).astype("<f4")
    opened, found = open_survey(_wav(tmp_path / "a.wav", noise, RATE, 3), "music", 9, beats=False)
    assert found.levels.max() == pytest.approx(1.0)
    assert -20 < found.loudness.lufs < 0
    assert max(np.abs(block).max() for block in opened.blocks()) == pytest.approx(1.0)


def _film(path: Path, sound: bool) -> Path:
    with av.open(str(path), "w") as film:
        video = film.add_stream("libx264", rate=24)
        video.width = video.height = 64
        audio = film.add_stream("aac", rate=44100, layout="mono") if sound else None
        for level in range(24):
            grey = np.full((64, 64, 3), 9 * level, np.uint8)
            film.mux(video.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        film.mux(video.encode(None))
        if audio is not None:
            wave = np.sin(np.arange(44100) / 20, dtype=np.float32)[None] * np.float32(0.3)
            frame = av.AudioFrame.from_ndarray(wave, format="flt", layout="mono")
            frame.sample_rate = 44100
            film.mux(audio.encode(frame))
            film.mux(audio.encode(None))
    return path


def test_the_sound_of_a_film(tmp_path: Path) -> None:
    assert len(_read(_film(tmp_path / "a.mp4", True))) == pytest.approx(RATE, abs=3000)


def test_a_cover_picture_is_passed_over(tmp_path: Path) -> None:
    cover = tmp_path / "cover.png"
    Image.new("RGB", (64, 64), "red").save(cover)
    plain, path = save(tmp_path / "plain.mp3", drone(1)), tmp_path / "music.mp3"
    with av.open(str(path), "w") as out, av.open(str(plain)) as one, av.open(str(cover)) as two:
        sound = out.add_stream_from_template(one.streams.audio[0])
        picture = out.add_stream_from_template(two.streams.video[0])
        picture.disposition = av.stream.Disposition.attached_pic
        for stream, source in ((picture, two), (sound, one)):
            for packet in source.demux():
                if packet.size:
                    packet.stream = stream
                    out.mux(packet)
    with av.open(str(path)) as check:
        assert len(check.streams.video) == 1
    assert len(_read(path)) == pytest.approx(RATE, abs=3000)


def test_files_chained_with_another_rate(tmp_path: Path) -> None:
    one = save(tmp_path / "one.mp3", drone(1)[: RATE // 2], rate=44100)
    two = save(tmp_path / "two.mp3", drone(1))
    path = tmp_path / "both.mp3"
    path.write_bytes(one.read_bytes() + two.read_bytes())
    assert len(_read(path)) > 1.4 * RATE


@pytest.mark.parametrize("name", ["song: part 1.wav", "100%d.wav", "música 音楽.wav", "a\nb.wav"])
def test_odd_names(name: str, tmp_path: Path) -> None:
    path = save(tmp_path / "plain.wav", drone(0.5))
    assert len(_read(path.rename(tmp_path / name))) == RATE // 2


_Make = Callable[[Path], None]


def _picture(path: Path) -> None:
    Image.new("RGB", (64, 64), "red").save(path, "PNG")


def _random(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(100_000))


def _locked(path: Path) -> None:
    save(path, drone(1))
    path.write_bytes(path.read_bytes().replace(b"mp4a", b"drms"))


def _playlist(path: Path) -> None:
    save(path.with_name("a.wav"), drone(0.2))
    path.write_text("ffconcat version 1.0\nfile a.wav\n")


REFUSED: dict[str, tuple[str, _Make, str]] = {
    "missing": ("a.mp3", lambda path: None, "is not there: check the path"),
    "empty": ("a.mp3", lambda path: path.write_bytes(b"") and None, "is empty"),
    "folder": ("a.mp3", lambda path: path.mkdir(), "is a folder"),
    "text": ("a.txt", lambda path: path.write_text("hello\n" * 99) and None, "is text"),
    "text as mp3": ("a.mp3", lambda path: path.write_text("hello\n" * 99) and None, "not a sound"),
    "picture": ("a.png", _picture, "is a picture"),
    "picture as mp3": ("a.mp3", _picture, "is a picture"),
    "silent film": ("a.mp4", lambda path: _film(path, False) and None, "a video without sound"),
    "random mp3": ("a.mp3", _random, "damaged|not a sound"),
    "random m4a": ("a.m4a", _random, "not a sound"),
    "locked": ("a.m4a", _locked, "copy protection"),
    "playlist": (
        "a.txt",
        _playlist,
        "is a playlist",
    ),
    "no samples": (
        "a.wav",
        lambda path: _wav(path, np.zeros((0, 2), "<i2"), RATE) and None,
        "can be decoded",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_sound_is_refused_in_one_line(case: str, tmp_path: Path) -> None:
    name, make, words = REFUSED[case]
    make(tmp_path / name)
    with pytest.raises(SoundError, match=words) as caught:
        open_recording(tmp_path / name, "music")
    assert f'the music "{tmp_path / name}"' in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_address_is_not_fetched() -> None:
    with pytest.raises(SoundError, match="nothing is fetched"):
        open_recording("https://example.org/a.mp3", "music")


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "a.wav", drone(0.2))

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(SoundError, match="may not be read"):
        open_recording(path, "voice")


def test_a_file_that_goes_away(tmp_path: Path) -> None:
    path = save(tmp_path / "a.wav", drone(0.2))
    opened = open_recording(path, "music")
    path.unlink()
    with pytest.raises(SoundError, match="not there any more"):
        list(opened.blocks())


@pytest.mark.parametrize("kind", ["wav", "mp3", "flac", "opus"])
def test_a_torn_off_tail_is_read_to_there(kind: str, tmp_path: Path) -> None:
    path = save(tmp_path / f"a.{kind}", clicks(120, 6)[0])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    _, found = open_survey(path, "music", 60, beats=False)
    assert 2 * RATE < found.samples < 4 * RATE
    assert found.ended
    if kind == "flac":  # the others do not say how long they were
        assert "cut off" in found.notes[0]


def test_damage_in_the_middle_is_left_out_and_told(tmp_path: Path) -> None:
    path = save(tmp_path / "a.flac", clicks(120, 6)[0])
    data = bytearray(path.read_bytes())
    for at in range(3000, len(data), 9973):
        data[at] ^= 0x5A
    path.write_bytes(data)
    _, found = open_survey(path, "music", 60, beats=False)
    assert found.samples > 2 * RATE
    assert "damaged" in found.notes[0]


def test_almost_nothing_left_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.opus", clicks(120, 6)[0])
    data = bytearray(path.read_bytes())
    for at in range(6000, len(data), 499):
        data[at] ^= 0x5A
    path.write_bytes(data)
    with pytest.raises(SoundError, match=r"damaged|not a sound"):
        open_survey(path, "voice", 60, beats=False)


def test_even_and_between_keep_every_sample() -> None:
    samples = np.arange(2000, dtype=np.float32).reshape(-1, 2)
    parts = np.split(samples, [1, 5, 400, 401, 777])
    cut = list(even(parts, 64))
    assert {len(block) for block in cut[:-1]} == {64}
    assert np.array_equal(np.concatenate(cut), samples)
    for first, last in ((0, 1000), (3, 410), (400, 401), (990, 5000)):
        taken = list(between(parts, first, last))
        assert np.array_equal(np.concatenate(taken), samples[first:last])


def test_damage_is_counted(tmp_path: Path) -> None:
    damage = Damage()
    list(open_recording(save(tmp_path / "a.mp3", drone(1)), "music").blocks(damage))
    assert damage.whole
    assert damage.good > 30
    assert damage.bad == 0
    assert module.RATE == 48000
