from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from reverie.engines.errors import OutputError, SettingsError
from reverie.runtime.posters import Posters, check_still, clock, draw_sheet, sharpness_of

from .film_tries import left_in, moving


def checked(side: int, cell: int, low: int = 60, high: int = 190) -> np.ndarray:
    y, x = np.mgrid[0:side, 0:side] // cell
    return np.where((x + y) % 2, high, low).astype(np.uint8)[..., None].repeat(3, 2)


def test_frames_pass_as_they_are(tmp_path: Path) -> None:
    posters = Posters(poster=tmp_path / "p.png", sheet=tmp_path / "s.jpg", count=30, fps=24)
    for seen, meant in zip(posters.over(moving(30)), moving(30), strict=True):
        assert np.array_equal(seen, meant)
    assert posters.save() == (tmp_path / "p.png", tmp_path / "s.jpg")
    assert left_in(tmp_path) == ["p.png", "s.jpg"]


def test_the_best_still_is_sharp_and_from_the_middle(tmp_path: Path) -> None:
    soft, sharp = checked(96, 48), checked(96, 4)
    frames = [sharp] + [soft] * 48 + [checked(96, 8)] * 4 + [soft] * 47
    path = tmp_path / "p.png"
    posters = Posters(poster=path, count=100, fps=24)
    for _ in posters.over(frames):
        pass
    posters.save()
    with Image.open(path) as picture:
        assert np.array_equal(np.asarray(picture), frames[50])


def test_sharpness_knows_blur_from_detail() -> None:
    assert sharpness_of(checked(96, 4)) > sharpness_of(checked(96, 16)) > 0
    assert sharpness_of(np.full((64, 64, 3), 90, np.uint8)) == 0
    assert sharpness_of(np.zeros((2, 2, 3), np.uint8)) == 0


def test_memory_does_not_grow_with_the_film(tmp_path: Path) -> None:
    posters = Posters(poster=tmp_path / "p.png", sheet=tmp_path / "s.png", count=5000, fps=24)
    frame = next(moving(1))
    for _ in posters.over(frame for _ in range(5000)):
        pass
    assert len(posters._cells) == 12
    assert len(posters._candidates) <= 15


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (720, 1280), (400, 400), (64, 48)])
@pytest.mark.parametrize("count", [1, 2, 7, 300])
def test_a_sheet_of_any_shape(tmp_path: Path, width: int, height: int, count: int) -> None:
    path = tmp_path / "s.png"
    posters = Posters(sheet=path, count=count, fps=24)
    frame = np.full((height, width, 3), 200, np.uint8)
    for _ in posters.over(frame for _ in range(count)):
        pass
    posters.save()
    with Image.open(path) as page:
        assert max(page.size) <= 2100
        pixels = np.asarray(page.convert("L"))
    assert len(posters._cells) == min(count, 12)
    assert (pixels == 200).mean() > 0.2
    assert posters._cells[0][0] == 0
    assert posters._cells[-1][0] == count - 1


def test_times_are_written_under_the_pictures() -> None:
    assert (clock(0), clock(7.25), clock(61.5), clock(59.999)) == (
        "0:00.00",
        "0:07.25",
        "1:01.50",
        "1:00.00",
    )
    black = Image.new("RGB", (320, 180))
    page = np.asarray(draw_sheet([(0, black)], 24))
    assert page[200:].max() > 150  # letters below
    assert page[12:192, 12:332].max() == 0


def test_bad_names_are_told_before(tmp_path: Path) -> None:
    (tmp_path / "old.png").write_text("mine")
    for name, words in [
        ("p.webp", "must end in .jpg, .jpeg, .png"),
        ("missing/p.png", "does not exist"),
        ("old.png", "--force"),
        ("nul\0.png", "no usable"),
    ]:
        with pytest.raises(OutputError, match=words):
            check_still(tmp_path / name)
    same = tmp_path / "p.png"
    with pytest.raises(SettingsError, match="two names"):
        Posters(poster=same, sheet=same, count=1, fps=24)


def test_no_frame_no_still(tmp_path: Path) -> None:
    for words in ({"poster": tmp_path / "p.png"}, {"sheet": tmp_path / "p.png"}):
        with pytest.raises(OutputError, match="no frame came by"):
            Posters(count=9, fps=24, **words).save()
    assert left_in(tmp_path) == []


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    posters = Posters(poster=tmp_path / "p.jpg", count=3, fps=24)
    for _ in posters.over(moving(3)):
        pass

    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OutputError, match="disk is full"):
        posters.save()
    assert left_in(tmp_path) == []
