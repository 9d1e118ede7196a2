"""The check of written films' sound, on one short film in each of two containers."""

from __future__ import annotations

from pathlib import Path

import pytest
from reverie.benchmarks.made_sounds import save, song
from reverie.benchmarks.sound_check import CONTAINERS, FPS, check
from reverie.runtime.formats import encoding_for
from reverie.runtime.sound.sound import open_sound


@pytest.mark.parametrize(("suffix", "codec"), [("mp4", None), ("mkv", "ffv1")])
def test_a_film_as_written(suffix: str, codec: str | None, tmp_path: Path) -> None:
    assert (suffix, codec) in CONTAINERS
    music = save(tmp_path / "song.mp3", song(100, 5)[0])
    sound = open_sound(music, None, 73 / FPS)
    assert sound is not None
    path = tmp_path / f"film.{suffix}"
    row = check(sound, path, encoding_for(path, codec), 73)
    assert row["lufs"] == pytest.approx(-16, abs=0.7)
    assert row["true_peak_db"] <= -1
    assert row["file_seconds"] == pytest.approx(73 / FPS, abs=0.03)
    assert row["sound_seconds"] == pytest.approx(73 / FPS, abs=0.05)
