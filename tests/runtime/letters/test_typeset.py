"""Text into lines of runs: directions, faces, breaking, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from reverie.engines.errors import SettingsError
from reverie.runtime.letters import typefaces, typeset
from reverie.runtime.letters.typefaces import SHIPPED
from reverie.runtime.letters.typeset import Paragraph, Run, can_shape, paragraphs

shaped = pytest.mark.skipif(not can_shape(), reason="Pillow finds no Raqm with FriBiDi here")


@pytest.fixture(autouse=True)
def no_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No fonts but those that ship."""
    monkeypatch.setattr(typefaces, "folders", lambda: [tmp_path])


def one(text: str) -> Paragraph:
    (paragraph,) = paragraphs(text)
    return paragraph


def told(paragraph: Paragraph) -> list[tuple[str, int, bool]]:
    runs = paragraph.runs(0, len(paragraph.text))
    return [(run.text, SHIPPED.index(run.face), run.leftward) for run in runs]


def letters(run: Run) -> float:
    return float(len(run.text))


def lines(text: str, room: float) -> list[str] | None:
    broken = one(text).broken(room, letters)
    return None if broken is None else ["".join(run.text for run in line) for line in broken]


def test_words_stay_as_they_were_written() -> None:
    text = "He\u2019d say “never” — 1938\u20131951…"
    assert told(one(text)) == [(text, 0, False)]


@shaped
def test_scripts_side_by_side() -> None:
    assert told(one("Anna (אנה) Levi")) == [
        ("Anna ", 0, False),
        ("(", 1, False),
        ("אנה", 1, True),
        (") ", 1, False),
        ("Levi", 0, False),
    ]
    assert told(one("תל אביב, 1947")) == [("1947", 1, False), ("תל אביב, ", 1, True)]
    assert told(one("القاهرة، ١٩٤٧")) == [("١٩٤٧", 2, False), ("القاهرة، ", 2, True)]


@shaped
def test_brackets_are_of_one_face() -> None:
    runs = told(one("القاهرة (Cairo) 1947"))
    brackets = {index for text, index, _ in runs for c in text if c in "()"}
    assert brackets == {0}


def test_lines_break_evenly_at_words() -> None:
    assert lines("aaaa bbbb cccc dddd", 15) == ["aaaa bbbb", "cccc dddd"]
    assert lines("a" * 9 + " b", 8) is None
    assert lines("one", 3) == ["one"]


def test_fixed_spaces_hold_and_dashes_let_go() -> None:
    assert lines("aa bb\u00a0cc", 6) == ["aa", "bb\u00a0cc"]
    assert lines("well-known", 6) == ["well-", "known"]
    assert lines("1938\u20131951", 6) is None
    assert lines("aaaa\u200bbbbb", 5) == ["aaaa", "bbbb"]


def test_cjk_breaks_between_characters_but_not_before_a_stop() -> None:
    text = "水水水水。水水"
    paragraph = Paragraph(text, (SHIPPED[0],) * 7, (0,) * 7)
    broken = paragraph.broken(4, letters)
    assert broken is not None
    found = ["".join(run.text for run in line) for line in broken]
    assert "".join(found) == text
    assert len(found) == 2
    assert not any(line.startswith("。") for line in found)


@shaped
def test_a_line_from_right_to_left_breaks_in_reading_order() -> None:
    assert lines("אאאא בבבב גגגג דדדד", 9) == ["אאאא בבבב", "גגגג דדדד"]


def test_spaces_and_ends_of_lines() -> None:
    assert [p.text for p in paragraphs("  Anna \t Levi \r\n\n 1947\u2028Kraków ")] == [
        "Anna Levi",
        "1947",
        "Kraków",
    ]


@shaped
def test_marks_are_composed_or_shaped() -> None:
    assert one("Hue\u0302\u0301").text == "Huế"
    assert told(one("m\u0308")) == [("m\u0308", 0, False)]


def test_what_steers_has_no_ink() -> None:
    assert [run.text for run in one("Kra\u00adków\u200e!").runs(0, 9)] == ["Kraków!"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        (" \n ", "empty"),
        ("\u200b\u200e", "empty"),
        ("Anna\x07", r"U\+0007"),
        ("Anna\x1b[31m", r"U\+001B"),
        ("\ud800", r"U\+D800"),
        ("a\u202eb", r"U\+202E"),
        ("a\u2067b", r"U\+2067"),
        ("\ue000", r"U\+E000"),
        ("x" * 401, "401 characters"),
        ("x" * 10_000, "10000 characters"),
        ("Anna 😀", "emoji"),
        ("Anna ❤\ufe0f", "emoji"),
        ("1\ufe0f\u20e3", "emoji"),
        ("祖母", r"祖 \(U\+7956 .*母"),
        ("สวัสดี", "no font here has"),
        ("दादी", "no font here has"),
    ],
)
def test_what_is_refused(text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words) as caught:
        paragraphs(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_many_unknown_characters_are_counted() -> None:
    with pytest.raises(SettingsError, match="and 2 more"):
        paragraphs("一二三四五")


def test_something_else_than_text_is_refused() -> None:
    with pytest.raises(SettingsError, match="no text"):
        paragraphs(12)  # type: ignore[arg-type]


def test_a_font_of_the_system_fills_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typeset, "SHIPPED", SHIPPED[:1])
    with pytest.raises(SettingsError, match="no font here has"):
        paragraphs("חנה")
    monkeypatch.setattr(typefaces, "folders", lambda: [SHIPPED[1].path.parent])
    if can_shape():
        assert [face.path.name for face in set(one("חנה").faces)] == [SHIPPED[1].path.name]


@shaped
def test_a_font_given_goes_first() -> None:
    (paragraph,) = paragraphs("Anna חנה ễ", SHIPPED[1].path)
    assert paragraph.faces[0].path == SHIPPED[1].path
    assert paragraph.faces[-1] == SHIPPED[0]
    with pytest.raises(SettingsError, match="cannot be used"):
        paragraphs("Anna", Path("/nowhere/none.ttf"))


@pytest.mark.parametrize("text", ["חנה", "سلام", "m\u0308", "Anna חנה", "a\u200db"])
def test_without_raqm_what_needs_it_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typeset, "can_shape", lambda: False)
    with pytest.raises(SettingsError, match="libfribidi0"):
        paragraphs(text)


def test_without_raqm_the_rest_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typeset, "can_shape", lambda: False)
    assert told(one("Nguyễn, Анна, Ελένη — 1947")) == [("Nguyễn, Анна, Ελένη — 1947", 0, False)]
