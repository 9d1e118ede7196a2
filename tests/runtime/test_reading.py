from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from reverie.engines.errors import OutputError
from reverie.runtime.reading import film_facts, read_frames

from .film_tries import HEIGHT, WIDTH, film, moving, tone


def test_facts_of_a_film(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    film(path, 30, fps=30, encoder="software", sound=tone(48_000))
    facts = film_facts(path)
    assert (facts.width, facts.height, facts.fps, facts.frames) == (WIDTH, HEIGHT, 30, 30)
    assert (facts.seconds, facts.codec, facts.pixels) == (1.0, "h264", "yuv420p")
    assert (facts.sound, facts.bytes) == ("aac", path.stat().st_size)
    assert facts.sound_seconds == pytest.approx(1.0, abs=1e-3)
    film(path, 30, fps=30, encoder="software", force=True)
    assert film_facts(path).sound is None
    assert film_facts(path).sound_seconds == 0


def test_what_is_no_film_is_told_in_a_line(tmp_path: Path) -> None:
    film(tmp_path / "good.mp4", 5)
    whole = (tmp_path / "good.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[:300])
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("once upon a time\n" * 50)
    (tmp_path / "folder").mkdir()
    Image.fromarray(next(moving(1))).save(tmp_path / "photo.jpg")
    Image.fromarray(next(moving(1))).save(tmp_path / "photo.png")
    _write_sound(tmp_path / "music.wav")
    for name, words in [
        ("cut.mp4", "no moving pictures"),
        ("empty.mp4", "is empty"),
        ("text.mp4", "no video that can be read"),
        ("photo.jpg", "is a picture"),
        ("photo.png", "is a picture"),
        ("music.wav", "no moving pictures"),
        ("folder", "holds no frames"),
        ("missing.mp4", "does not exist"),
        ("good.mp4/x.mp4", "does not exist"),
        ("nul\0.mp4", "no video"),
    ]:
        with pytest.raises(OutputError, match=words) as caught:
            film_facts(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_a_broken_frame_in_a_folder_is_told(tmp_path: Path) -> None:
    film(tmp_path / "frames", 2, codec="png")
    (tmp_path / "frames" / "000001.png").write_bytes(b"half")
    with pytest.raises(OutputError, match="no video that can be read"):
        film_facts(tmp_path / "frames")


def test_frames_come_one_at_a_time(tmp_path: Path) -> None:
    film(tmp_path / "a.webm", 10, encoder="software")
    frames = read_frames(tmp_path / "a.webm")
    first = next(frames)
    assert (first.shape, first.dtype) == ((HEIGHT, WIDTH, 3), np.uint8)
    assert sum(1 for _ in frames) == 9


def test_a_film_that_breaks_off_is_told_in_a_line(tmp_path: Path) -> None:
    film(tmp_path / "a.mkv", 24, codec="ffv1")
    whole = (tmp_path / "a.mkv").read_bytes()
    rubbish = np.random.default_rng(0).bytes(len(whole) // 2)
    (tmp_path / "a.mkv").write_bytes(whole[: len(whole) // 3] + rubbish)
    (tmp_path / "text.mp4").write_text("no film")
    seen = []
    with contextlib.suppress(OutputError):  # or it ends early: FFmpeg decides
        seen += read_frames(tmp_path / "a.mkv")
    assert len(seen) < 24
    for name in ("text.mp4", "missing.mp4"):
        with pytest.raises(OutputError) as caught:
            next(read_frames(tmp_path / name))
        assert "\n" not in str(caught.value)


def _write_sound(path: Path) -> None:
    import wave

    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(48_000)
        file.writeframes(bytes(48_000))
