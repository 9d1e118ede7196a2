"""`reverie inspect`: valid, broken and missing credentials, the photo, and the label."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from reverie.cli.main import main
from reverie.runtime.clip import write_clip
from reverie.runtime.credentials import provenance, signing
from reverie.runtime.credentials.credentials import FilmClaims, photo_hash, sign_film
from reverie.runtime.letters.label import with_label

pytest.importorskip("c2pa", reason="c2pa-python is not installed")
pytest.importorskip("cryptography", reason="cryptography is not installed")

LABEL = "Animated from a photograph by AI"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for the own key, instead of the user's."""
    folder = tmp_path / "config"
    monkeypatch.setattr(signing, "own_folder", lambda: folder)
    return folder


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "grandmother.jpg"
    path.write_bytes(b"a photograph")
    return path


def film(path: Path, photo: Path | None, label: str | None = LABEL) -> Path:
    def finish(part: Path, kind: str) -> None:
        if photo is not None:
            claims = FilmClaims("ember", "1.2", [photo_hash(photo)], 3, {"fps": 24}, label=label)
            assert sign_film(part, kind, claims, environment={}).done

    write_clip(
        (np.full((64, 96, 3), 10 * index, np.uint8) for index in range(8)),
        path,
        fps=24,
        width=96,
        height=64,
        frame_count=8,
        metadata={"comment": with_label("Reverie, model ember, seed 3", label)},
        finish=finish,
    )
    return path


def break_it(path: Path) -> Path:
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    return path


def test_a_valid_film(tmp_path: Path, photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = film(tmp_path / "film.mp4", photo)
    assert main(["inspect", str(path), "--photo", str(photo), "--strict"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    for words in (
        "valid: signed, and nothing was changed since",
        "a signer known here",
        "ember 1.2",
        photo_hash(photo),
        "yes, it is what this film was made from",
        f"“{LABEL}” (told by its credentials and its comment)",
        "compositeWithTrainedAlgorithmicMedia",
        "Reverie, model ember",
    ):
        assert words in out, words
    assert max(map(len, out.splitlines())) <= 120


def test_json(tmp_path: Path, photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = film(tmp_path / "film.mp4", photo)
    other = tmp_path / "other.jpg"
    other.write_bytes(b"another")
    assert main(["inspect", str(path), "--json", "--photo", str(other)]) == 0
    out, err = capsys.readouterr()
    assert (err, out.count("\n")) == ("", 1)
    told = json.loads(out)
    assert told["credentials"] == "valid"
    assert told["photos"] == [photo_hash(photo)]
    assert told["photo"]["ingredient"] is False
    assert told["label"] == {"credentials": LABEL, "comment": LABEL}
    assert told["settings"] == {"fps": 24}


def test_a_broken_film(tmp_path: Path, photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = break_it(film(tmp_path / "film.mp4", photo))
    assert main(["inspect", str(path), "--photo", str(photo)]) == 0
    out = capsys.readouterr().out
    assert "BROKEN: the film was changed after it was signed" in out
    assert "says a broken statement" in out
    assert main(["inspect", str(path), "--quiet", "--strict"]) == 1
    out, err = capsys.readouterr()
    assert out == "broken\n"
    assert "are broken, the film was changed" in err
    assert main(["inspect", str(path), "--json", "--strict"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["credentials"], told["exit_code"]) == ("broken", 1)


def test_a_film_too_broken_to_open(
    tmp_path: Path, photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = film(tmp_path / "film.mp4", photo)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"moov", b"xxxx", 1))
    assert main(["inspect", str(path), "--quiet"]) == 0
    assert capsys.readouterr().out == "broken\n"


@pytest.mark.parametrize("name", ["film.mp4", "film.mkv", "film.gif"])
def test_a_film_without_credentials(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = film(tmp_path / name, None, None)
    assert main(["inspect", str(path)]) == 0
    out = capsys.readouterr().out
    assert "none: this film does not say what it is" in out
    assert "none that it tells of" in out
    assert main(["inspect", str(path), "--strict"]) == 1
    assert "carries no content credentials" in capsys.readouterr().err


def test_the_wrong_photo_is_strictly_refused(
    tmp_path: Path, photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = film(tmp_path / "film.mov", photo)
    photo.write_bytes(b"another")
    assert main(["inspect", str(path), "--photo", str(photo), "--strict"]) == 1
    assert "was not made from grandmother.jpg" in capsys.readouterr().err


def test_bad_input_is_one_line(
    tmp_path: Path, photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = film(tmp_path / "film.mp4", None)
    empty = tmp_path / "empty.mp4"
    empty.write_bytes(b"")
    for words, code in (
        ([str(tmp_path / "none.mp4")], 3),
        ([str(tmp_path)], 3),
        ([str(photo)], 3),
        ([str(empty)], 3),
        ([str(path), "--photo", str(tmp_path / "none.jpg")], 3),
        ([str(path), "--photo", str(tmp_path)], 3),
        ([str(path), "--photo", "\0"], 3),
        (["\0"], 3),
        ([str(path), "--trust", str(photo)], 2),
        ([], 2),
    ):
        assert main(["inspect", *words]) == code, words
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1), words


def test_what_a_film_says_cannot_paint_the_terminal(
    tmp_path: Path, photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = film(tmp_path / "film.mp4", photo, "a\x1b[31m [red]b[/red]")
    assert main(["inspect", str(path)]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "[red]b[/red]" in out


def test_without_the_reader_it_says_what_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = film(tmp_path / "film.mp4", None)
    monkeypatch.setitem(provenance.__dict__, "__builtins__", {**vars(__import__("builtins"))})
    monkeypatch.setitem(__import__("sys").modules, "c2pa", None)
    assert main(["inspect", str(path)]) == 7
    assert "pip install c2pa-python" in capsys.readouterr().err
