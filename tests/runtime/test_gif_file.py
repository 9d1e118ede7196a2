from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from reverie.engines.errors import OutputError
from reverie.runtime import gif_file
from reverie.runtime.reading import film_facts, read_frames

from .film_tries import film, left_in, moving


def delays(path: Path) -> list[int]:
    """Hundredths of a second of each frame, as the file holds them."""
    found = re.findall(rb"\x21\xf9\x04.(..)\x00?", path.read_bytes(), re.DOTALL)
    with Image.open(path) as picture:
        counted = getattr(picture, "n_frames", 1)
        times = []
        for index in range(counted):
            picture.seek(index)
            times.append(round(picture.info["duration"] / 10))
    assert len(found) >= counted
    return times


@pytest.mark.parametrize(
    ("fps", "count", "kept"), [(24, 37, 37), (25, 25, 25), (30, 31, 31), (50, 50, 50), (60, 61, 31)]
)
def test_length_is_right_to_half_a_hundredth(
    tmp_path: Path, fps: int, count: int, kept: int
) -> None:
    path = tmp_path / "a.gif"
    written = film(path, count, fps=fps)
    assert (written.frames, written.seconds) == (kept, count / fps)
    assert written.notes == () if kept == count else "50 frames a second" in written.notes[0]
    shown = delays(path)
    assert len(shown) == kept
    assert min(shown) >= 2  # a browser shows shorter ones at a tenth of a second
    assert sum(shown) == round(100 * count / fps)
    assert max(shown[:-1]) - min(shown[:-1]) <= 1
    facts = film_facts(path)
    assert (facts.codec, facts.frames) == ("gif", kept)
    assert facts.seconds == pytest.approx(count / fps, abs=0.0051)
    assert left_in(tmp_path) == ["a.gif"]


def test_it_loops_forever_with_one_palette(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    film(path, 30)
    data = path.read_bytes()
    assert b"NETSCAPE2.0\x03\x01\x00\x00" in data
    assert data[10] & 0x80  # a palette for the whole film


def test_colours_are_those_of_the_film(tmp_path: Path) -> None:
    """Its second half has colours that the first knows nothing of."""
    red, blue = (np.zeros((64, 96, 3), np.uint8) for _ in range(2))
    red[..., 0], blue[..., 2] = 200, 220
    frames = [red] * 60 + [blue] * 60
    path = tmp_path / "a.gif"
    film(path, 120, frames=iter(frames), width=96, height=64)
    seen = list(read_frames(path))
    assert len(seen) == 120
    assert np.abs(seen[0].astype(int) - red).max() <= 6
    assert np.abs(seen[-1].astype(int) - blue).max() <= 6


def test_a_moving_picture_stays_close(tmp_path: Path) -> None:
    film(tmp_path / "a.gif", 12)
    for seen, meant in zip(read_frames(tmp_path / "a.gif"), moving(12), strict=True):
        assert np.abs(seen.astype(float) - meant).mean() < 9


def test_nothing_is_left_of_a_gif_that_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def frames() -> object:
        yield from moving(5)
        assert len(left_in(tmp_path)) == 2  # the file, and what it will be made from
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        film(tmp_path / "a.gif", 12, frames=frames())
    assert left_in(tmp_path) == []

    def full(self: object, palette: object) -> object:
        raise OSError(28, "no room")

    monkeypatch.setattr(gif_file.GifFile, "_mapped", full)
    with pytest.raises(OutputError, match="disk is full"):
        film(tmp_path / "a.gif", 12)
    assert left_in(tmp_path) == []
