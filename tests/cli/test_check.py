from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from reverie.cli.main import main
from reverie.engines.errors import PhotoError
from reverie.runtime.checking import check_film, open_film
from reverie.runtime.clip import write_clip

PHOTOS = Path(__file__).parents[1] / "data" / "photos"
SCENE, PERSON = PHOTOS / "tea-gardens.jpg", PHOTOS / "person-006-portrait.jpg"


def frames_of(photo: Path, count: int, height: int = 160) -> list[np.ndarray]:
    with Image.open(photo) as picture:
        width = round(picture.width * height / picture.height / 2) * 2
        whole = picture.convert("RGB").resize((width + 64, height + 64))
    pixels = np.asarray(whole)
    return [pixels[i : i + height, i : i + width] for i in range(count)]


def clip(path: Path, frames: list[np.ndarray], fps: int = 12, comment: str = "") -> Path:
    height, width = frames[0].shape[:2]
    write_clip(
        frames,
        path,
        fps=fps,
        width=width,
        height=height,
        frame_count=len(frames),
        metadata={"comment": comment},
    )
    return path


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return clip(tmp_path / "good.mp4", frames_of(SCENE, 30))


@pytest.fixture
def torn(tmp_path: Path) -> Path:
    frames = frames_of(SCENE, 30)
    return clip(tmp_path / "torn.mp4", [*frames[:15], np.zeros_like(frames[0]), *frames[16:]])


def test_a_good_film(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(good), "--strict"]) == 0
    out = capsys.readouterr().out
    assert "30 frames, 2.50 s, 12 fps" in out
    assert "in all: ok" in out
    assert "not measured: identity, for no photo was given" in out


def test_a_film_with_a_fault(torn: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(torn), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["verdict"] == "bad"
    assert told["figures"]["blank"]["value"] == 1
    assert told["figures"]["blank"]["detail"] == "1 black"
    assert main(["check", str(torn), "--quiet"]) == 0
    assert "blank 1 frames at 1.2 s (1 black)" in capsys.readouterr().out


def test_strict_leaves_with_1(torn: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(torn), "--json", "--strict"]) == 1
    out, error = capsys.readouterr()
    told = json.loads(out)  # one object, with the figures and the error
    assert told["exit_code"] == 1
    assert told["figures"]["blank"]["verdict"] == "bad"
    assert error.count("\n") == 1
    assert "blank" in error


def test_against_a_photo_in_another_framing(tmp_path: Path) -> None:
    with Image.open(PERSON) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    window = [pixels[20 + i : 340 + i, 60:460] for i in range(12)]
    report = check_film(clip(tmp_path / "p.mp4", window), PERSON)
    assert report["identity"].value > 0.95
    assert report["first frame"].value < 5
    assert report.verdict == "ok"


def test_against_somebody_else(tmp_path: Path) -> None:
    film = clip(tmp_path / "p.mp4", frames_of(PERSON, 12, 240))
    report = check_film(film, PHOTOS / "person-004-selfie.jpg")
    assert report["identity"].verdict == "bad"
    assert "first frame" in report.not_measured


@pytest.mark.parametrize("comment", ["", "Reverie, light none", "Reverie, mood wistful", "--light"])
def test_a_light_that_was_asked_for(tmp_path: Path, comment: str) -> None:
    ramp = [np.full((96, 128, 3), 60, np.uint8) for _ in range(24)]
    for index, frame in enumerate(ramp):
        frame[:, ::8], frame[..., 0] = 90, 60 + index
    film = clip(tmp_path / "p.mp4", ramp, comment=comment)
    told = check_film(film, expected_light=comment == "--light")["colour drift"]
    assert (told.verdict == "ok") == (comment in ("Reverie, mood wistful", "--light"))


def test_a_loop(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    film = clip(tmp_path / "p.mp4", frames_of(SCENE, 30))
    main(["check", str(film), "--loop", "--json"])
    assert json.loads(capsys.readouterr().out)["figures"]["loop seam"]["verdict"] != "ok"


def test_what_is_no_film(tmp_path: Path, good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, empty, cut = tmp_path / "a.txt", tmp_path / "e.mp4", tmp_path / "c.mp4"
    text.write_text("hello " * 100)
    empty.write_bytes(b"")
    cut.write_bytes(good.read_bytes()[:-3000])
    playlist = tmp_path / "list.m3u8"
    playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{good}\n#EXT-X-ENDLIST\n")
    wrong = [text, empty, tmp_path, tmp_path / "nowhere.mp4", SCENE, playlist]
    for path in wrong:
        assert main(["check", str(path)]) == 3, path
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert path.name in error
    assert main(["check", str(good), "--against", str(text)]) == 3
    assert "not a photo" in capsys.readouterr().err


def test_a_film_that_breaks_off_is_told(tmp_path: Path) -> None:
    whole = clip(tmp_path / "w.mkv", frames_of(SCENE, 60))
    data = bytearray(whole.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 4000] = bytes(4000)
    broken = tmp_path / "b.mkv"
    broken.write_bytes(data)
    try:
        report = check_film(broken)
    except PhotoError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert report.verdict != "ok" or report.frames < 60


def test_names_that_look_like_protocols_are_files(tmp_path: Path, good: Path) -> None:
    odd = tmp_path / "concat:a%20b.mp4"
    odd.write_bytes(good.read_bytes())
    with open_film(odd) as film:
        assert (film.fps, film.count) == (12, 30)
        assert next(film.frames).shape == (160, 240, 3)
