from __future__ import annotations

import pytest
from reverie.benchmarks.tables.markers import (
    BrokenMarker,
    measured_looking,
    places,
    rewritten,
    unmarked,
)

TEXT = """# A page

<!-- table: first one -->
| a |
|---|
| 1 s |
<!-- end table -->

It takes <!-- figure: all -->9.7 s<!-- end -->
as predicted.

More.
"""


def test_places_are_found_with_what_stands_in_them() -> None:
    table, figure = places(TEXT)
    assert (table.kind, table.name) == ("table", "first one")
    assert table.body == "| a |\n|---|\n| 1 s |\n"
    assert (figure.kind, figure.name, figure.body) == ("figure", "all", "9.7 s")
    assert "predicted" in figure.paragraph
    assert "More" not in figure.paragraph


def test_only_the_places_change() -> None:
    text = rewritten(TEXT, lambda place: "NEW\n" if place.kind == "table" else "new")
    assert text == (
        "# A page\n\n<!-- table: first one -->\nNEW\n<!-- end table -->\n\n"
        "It takes <!-- figure: all -->new<!-- end -->\nas predicted.\n\nMore.\n"
    )
    assert rewritten(TEXT, lambda place: place.body) == TEXT


@pytest.mark.parametrize(
    "text",
    [
        "<!-- table: a -->\n| 1 s |\n",
        "| 1 s |\n<!-- end table -->\n",
        "It takes <!-- figure: a -->9.7 s.\n",
        "It takes 9.7 s<!-- end -->.\n",
        "<!-- table: a -->\n<!-- table: b -->\n<!-- end table -->\n",
    ],
)
def test_half_a_marker_is_told(text: str) -> None:
    with pytest.raises(BrokenMarker, match=r"line [12]"):
        places(text)


@pytest.mark.parametrize(
    "cell",
    [
        "9.7 s",
        "585 MB",
        "+5.0%",
        "0.95",
        "0.45 / 0.46",
        "-16.1 to -15.8 LUFS",
        "1.03x",
        "2x",
        "32 ms",
    ],
)
def test_cells_that_look_measured(cell: str) -> None:
    assert measured_looking(cell)


@pytest.mark.parametrize(
    "cell",
    ["`--memory 6GB`", "14 or 25 frames", "sm86", "int8", "12", "TensorRT 10.13", "10 s2", ""],
)
def test_cells_that_do_not(cell: str) -> None:
    assert not measured_looking(cell)


TABLE = "| a | b |\n|---|---|\n| x | y |\n| z | 9.7 s |\n"


def test_a_measured_table_without_a_marker_is_told() -> None:
    assert list(unmarked("Text\n\n" + TABLE)) == [(3, "9.7 s")]
    assert list(unmarked("Text\n\n" + TABLE + "\n" + TABLE)) == [(3, "9.7 s"), (8, "9.7 s")]


def test_a_made_or_excused_table_is_let_pass() -> None:
    assert not list(unmarked(f"<!-- table: x -->\n\n{TABLE}\n<!-- end table -->\n"))
    assert not list(unmarked(f"<!-- not measured: bounds of options -->\n\n{TABLE}"))


def test_an_excuse_gives_its_reason() -> None:
    assert list(unmarked(f"<!-- not measured: -->\n\n{TABLE}"))
