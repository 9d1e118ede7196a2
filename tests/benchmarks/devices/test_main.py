"""The command that a reader gives a record to, and what was handed in so far."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from reverie.benchmarks.devices import __main__ as command
from reverie.benchmarks.devices import personal
from reverie.benchmarks.devices.__main__ import FOLDER, main
from reverie.benchmarks.devices.checks import problems, schema_problems


@pytest.fixture
def file(sent: dict[str, Any], tmp_path: Path) -> Path:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(sent))
    return path


def test_a_record_is_shown_as_its_rows(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(file)]) == 0
    out = capsys.readouterr().out
    assert "device: A chip of 2026, 2 cores, 8 GB of memory; Python 3.11.7" in out
    assert "8.0 s (7.9 to 8.2 s)" in out
    assert "denoise 0.11 s, 11 ms a step" in out
    assert "It can be handed in" in out


def test_a_record_is_written_without_what_is_personal(file: Path, tmp_path: Path) -> None:
    assert main([str(file), "--write", "a-chip-2-cores", "--into", str(tmp_path)]) == 0
    written = json.loads((tmp_path / "a-chip-2-cores.json").read_text())
    assert written == personal.without(json.loads(file.read_text()))
    assert "anna" not in json.dumps(written)
    assert not list(problems(written))
    assert schema_problems(written) == []
    assert {path.name for path in tmp_path.iterdir()} == {"mine.json", "a-chip-2-cores.json"}


def test_outside_a_checkout_it_is_written_here(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main([str(file), "--write", "here"]) == 0
    assert (tmp_path / "here.json").exists()


def test_a_file_that_is_there_is_kept(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken.json").write_text("old")
    assert main([str(file), "--write", "taken", "--into", str(tmp_path)]) == 2
    assert "taken.json is there already" in capsys.readouterr().err
    assert (tmp_path / "taken.json").read_text() == "old"


@pytest.mark.parametrize("name", ["../up", "A b", "", "a.json", "-a"])
def test_a_name_is_one_plain_word(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert main([str(file), f"--write={name}", "--into", str(tmp_path)]) == 2
    assert "is no name" in capsys.readouterr().err


def test_a_bad_record_is_not_written(
    file: Path, sent: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sent["machine"]["processor"] = "x86_64"
    file.write_text(json.dumps(sent))
    assert main([str(file), "--write", "mine-2", "--into", str(tmp_path)]) == 1
    assert "its processor is called 'x86_64'" in capsys.readouterr().err
    assert not (tmp_path / "mine-2.json").exists()


def test_a_departure_from_the_schema_is_told(
    file: Path, sent: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    sent["rows"][0]["notes"] = "one text"
    file.write_text(json.dumps(sent))
    assert main([str(file)]) == 1
    assert "rows/0/notes: 'one text' is not of type 'array'" in capsys.readouterr().err


def test_without_a_validator_that_is_said(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    assert main([str(file)]) == 0
    assert "pip install jsonschema" in capsys.readouterr().out


@pytest.mark.parametrize("content", [None, "{"])
def test_a_file_that_is_no_record_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None
) -> None:
    path = tmp_path / "x.json"
    if content is not None:
        path.write_text(content)
    assert main([str(path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_what_was_handed_in_is_sound_and_clean(path: Path) -> None:
    handed_in = json.loads(path.read_text())
    assert not list(problems(handed_in))
    assert schema_problems(handed_in) == []
    assert personal.without(handed_in) == handed_in
