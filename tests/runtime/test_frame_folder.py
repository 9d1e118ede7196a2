from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from reverie.engines.errors import OutputError
from reverie.runtime import frame_folder
from reverie.runtime.clip import check_output
from reverie.runtime.formats import encoding_for
from reverie.runtime.frame_folder import frame_name
from reverie.runtime.reading import film_facts, read_frames

from .film_tries import film, left_in, moving


def test_frames_are_numbered_and_exact(tmp_path: Path) -> None:
    written = film(f"{tmp_path}/frames/", 12, fps=30, metadata={"comment": "häagen"})
    assert (written.frames, written.codec, written.seconds) == (12, "png", 0.4)
    names = left_in(tmp_path / "frames")
    assert names == [frame_name(n) for n in range(12)]
    assert names[0] == "000001.png"
    frames = list(read_frames(tmp_path / "frames"))
    assert len(frames) == 12
    for seen, meant in zip(frames, moving(12), strict=True):
        assert np.array_equal(seen, meant)
    with Image.open(tmp_path / "frames" / "000001.png") as picture:
        assert picture.info["srgb"] == 0
        assert picture.text["Comment"] == "häagen"  # type: ignore[attr-defined]
    facts = film_facts(tmp_path / "frames")
    assert (facts.frames, facts.fps, facts.seconds, facts.codec) == (12, 30, 0.4, "png")
    assert facts.bytes == written.bytes
    assert left_in(tmp_path) == ["frames"]


def test_an_empty_folder_is_used_and_an_old_one_only_with_force(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    film(folder, 3, codec="png")
    with pytest.raises(OutputError, match="--force"):
        film(folder, 2, codec="png")
    assert len(left_in(folder)) == 3
    film(folder, 2, codec="png", force=True)
    assert len(left_in(folder)) == 2
    assert left_in(tmp_path) == ["frames"]


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    (folder / "letters.txt").write_text("mine")
    for force in (False, True):
        with pytest.raises(OutputError, match=r"other things than frames .letters"):
            check_output(f"{folder}/", force)
        with pytest.raises(OutputError, match="other things"):
            film(folder, 2, codec="png", force=force)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="is no folder"):
        film(tmp_path / "file", 2, codec="png", force=True)
    assert left_in(tmp_path) == ["file", "frames"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError])
def test_whatever_stops_it_nothing_is_left(tmp_path: Path, stop: type[BaseException]) -> None:
    folder = tmp_path / "frames"
    film(folder, 2, codec="png")

    def frames() -> object:
        yield from moving(3)
        raise stop

    with pytest.raises(stop):
        film(folder, 9, codec="png", frames=frames(), force=True)
    assert left_in(tmp_path) == ["frames"]
    assert len(left_in(folder)) == 2


def test_a_folder_that_fills_meanwhile_stays(tmp_path: Path) -> None:
    folder = tmp_path / "frames"

    def frames() -> object:
        yield from moving(2)
        folder.mkdir()
        (folder / "mine.txt").write_text("mine")

    with pytest.raises(OutputError, match="other things"):
        film(folder, 2, codec="png", frames=frames())
    assert left_in(tmp_path) == ["frames"]
    assert left_in(folder) == ["mine.txt"]


def test_the_old_folder_comes_back_when_the_new_cannot_take_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "frames"
    film(folder, 2, codec="png")
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if target == folder and len(left_in(self)) == 3:
            raise OSError(5, "no")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OutputError, match="cannot be written"):
        film(folder, 3, codec="png", force=True)
    assert left_in(tmp_path) == ["frames"]
    assert len(left_in(folder)) == 2


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: object, *words: object, **more: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OutputError, match="disk is full"):
        film(tmp_path / "frames", 2, codec="png")
    assert left_in(tmp_path) == []


def test_what_a_killed_render_left_is_swept_after_a_day(tmp_path: Path) -> None:
    for name, age in [(".reverie-0123456789ab.frames", 25), (".reverie-ba9876543210.frames", 2)]:
        (tmp_path / name).mkdir()
        (tmp_path / name / frame_name(0)).write_bytes(b"half")
        os.utime(tmp_path / name, (time.time() - age * 3600,) * 2)
    film(tmp_path / "frames", 2, codec="png")
    assert left_in(tmp_path) == [".reverie-ba9876543210.frames", "frames"]
    assert frame_folder.frame_files(tmp_path / "frames")[1].name == "000002.png"


@pytest.mark.parametrize("name", ["./", ".", "../"])
def test_the_folder_one_is_in_is_refused_before_anything_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "in").mkdir()
    monkeypatch.chdir(tmp_path / "in")
    with pytest.raises(OutputError, match="name a folder in it"):
        check_output(name, encoding=encoding_for(name, "png"))
    assert not left_in(tmp_path / "in")
