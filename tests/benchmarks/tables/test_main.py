"""The command, and the documents themselves."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from reverie.benchmarks.tables import __main__ as command
from reverie.benchmarks.tables.reading import ROOT


@pytest.mark.parametrize("name", command.DOCUMENTS)
def test_a_document_says_what_the_results_say(name: str) -> None:
    text, ought, wrong = command.checked(ROOT / name)
    assert not wrong
    assert text == ought, "run `python -m reverie.benchmarks.tables --write`"


def run(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr("sys.argv", ["tables", *map(str, words)])
    return command.main()


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "page.md"
    path.write_text("# Page\n\n<!-- table: installed -->\n<!-- end table -->\n\nEnd.\n")
    return path


def test_differences_are_printed_and_are_an_error(
    document: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = document.read_text()
    assert run(monkeypatch, document) == 1
    assert "+| **all** | " in capsys.readouterr().out
    assert document.read_text() == before


def test_writing_puts_them_in_place_and_nothing_is_left_over(
    document: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(monkeypatch, "--write", document) == 0
    text = document.read_text()
    assert text.startswith("# Page\n\n<!-- table: installed -->\n\n| installed with `[cpu]` |")
    assert text.endswith("</sub>\n\n<!-- end table -->\n\nEnd.\n")
    assert run(monkeypatch, document) == 0
    assert [path.name for path in document.parent.iterdir()] == ["page.md"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("<!-- table: nothing -->\n<!-- end table -->\n", "no table is called 'nothing'"),
        ("<!-- table: installed -->\n", "line 1: .* has no other half"),
        ("| a |\n|---|\n| 5 ms |\n", "line 1: a table with '5 ms' looks measured"),
    ],
)
def test_what_is_wrong_is_told(
    document: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    text: str,
    why: str,
) -> None:
    document.write_text(text)
    assert run(monkeypatch, "--write", document) == 1
    assert re.search(why, capsys.readouterr().err)
    assert document.read_text() == text


def test_a_document_that_is_not_there_is_told_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, tmp_path / "none.md") == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_list_names_every_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--list") == 0
    out = capsys.readouterr().out
    assert "table whole renders: README.md: Whole renders" in out
