"""Lines and tables: nothing a terminal obeys gets through, and a pipe that is shut is no error."""

from __future__ import annotations

import io
import sys

import pytest
from reverie.cli.telling import one_line, plain_text, range_text, table_console, tell


def test_a_line_is_one_line() -> None:
    assert one_line("plain text, häagen 木") == "plain text, häagen 木"
    assert one_line("a\nb\tc\x07") == "a\\nb\\tc\\x07"
    assert one_line("file\udcff.jpg") == "file\\udcff.jpg"


def test_a_line_for_a_person_is_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    tell("note: a\x1b[31m name")
    assert capsys.readouterr() == ("", "note: a\\x1b[31m name\n")


def test_nobody_listens_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    class Shut:
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Shut())
    tell("a line")


def test_tables_in_a_file_are_of_one_width_and_obey_no_markup(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    console = table_console()
    assert console.width == 120
    with console.capture() as seen:
        console.print(plain_text("[red]a\tb"))
    assert seen.get() == "[red]a\\tb\n"


def test_a_range_in_words() -> None:
    assert range_text((0.5, 600.0)) == "0.5 to 600"
