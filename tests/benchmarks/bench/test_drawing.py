"""Pictures and the page: they are whole, and ask nobody for anything."""

from __future__ import annotations

import copy
import io
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from PIL import Image

pytest.importorskip("matplotlib")

from matplotlib.backends.backend_agg import FigureCanvasAgg
from reverie.benchmarks.bench.drawing import COLOURS, colours_of, figure, png, svg
from reverie.benchmarks.bench.page import page


def test_a_picture_is_one(made: dict[str, Any]) -> None:
    picture = Image.open(io.BytesIO(png(made)))
    assert picture.width > 1000
    assert len(picture.convert("RGB").getcolors(2**24)) > 50


def test_axes_have_titles_and_units(made: dict[str, Any]) -> None:
    drawn = figure(made)
    phases, memory, soak = drawn.axes[:3]
    assert "seconds" in phases.get_xlabel()
    assert "MiB" in memory.get_ylabel()
    assert soak.get_ylabel() == "seconds a film"
    assert all(axes.get_title(loc="left") for axes in (phases, memory, soak))


def test_every_phase_is_in_the_legend_once(made: dict[str, Any]) -> None:
    labels = figure(made).axes[0].get_legend_handles_labels()[1]
    assert sorted(labels) == sorted(set(labels))
    assert {"look", "denoise", "drawing", "encode"} <= set(labels)


def test_bars_are_as_long_as_a_film(made: dict[str, Any]) -> None:
    row = made["rows"][0]
    bars = [patch for patch in figure(made).axes[0].patches if abs(patch.get_y()) < 0.5]
    assert max(bar.get_x() + bar.get_width() for bar in bars) == pytest.approx(
        row["end_to_end"]["median"]
    )


def test_long_names_and_signs_do_not_break_it(made: dict[str, Any]) -> None:
    odd = copy.deepcopy(made)
    for number, row in enumerate(odd["rows"]):
        row["id"] = f"a$long_name-{number} " + "very-long " * 30 + "x" * 200
        row["phases"]["a new phase"] = copy.deepcopy(row["phases"]["look"])
    drawn = figure(odd)
    FigureCanvasAgg(drawn).draw()
    labels = drawn.axes[0].get_yticklabels()
    assert all(label.get_text().count("\n") <= 2 for label in labels)
    box = drawn.bbox
    for label in labels:
        extent = label.get_window_extent()
        assert extent.x0 >= box.x0 - 1
        assert extent.x1 <= box.x1


def test_known_phases_keep_their_colours() -> None:
    found = colours_of(["denoise", "something", "other"])
    assert found["denoise"] == COLOURS["denoise"]
    assert len(set(found.values())) == 3


class Seen(HTMLParser):
    """Collects what a page would ask for, and its record."""

    def __init__(self) -> None:
        super().__init__()
        self.asks: list[str] = []
        self.open: list[str] = []
        self.record = ""
        self._inside = False

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        for name in ("src", "href", "xlink:href", "action", "data", "poster", "srcset"):
            value = found.get(name) or ""
            if value and not value.startswith(("#", "data:")):
                self.asks.append(value)
        self._inside = found.get("id") == "record"
        if tag in ("iframe", "link", "object", "embed", "base"):
            self.asks.append(tag)

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.record += data

    def handle_endtag(self, tag: str) -> None:
        self._inside = False


def test_a_page_asks_no_host(made: dict[str, Any]) -> None:
    text = page(made)
    seen = Seen()
    seen.feed(text)
    assert seen.asks == []
    hosts = set(re.findall(r"https?://[^\s\"'<>)]+", text))
    assert hosts <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}  # names only
    assert not re.search(r"@import|url\(\s*['\"]?(?!#)", text)
    assert json.loads(seen.record) == json.loads(json.dumps(made))


def test_a_page_says_what_it_is_of(made: dict[str, Any]) -> None:
    text = page(made)
    assert "A processor &amp; &lt;friends&gt;" in text
    assert "<friends>" not in text
    for row in made["rows"]:
        assert row["id"] in text
    assert "last third" in text
    assert text.count("<svg") == 1


def test_a_page_cannot_be_broken_out_of(made: dict[str, Any]) -> None:
    odd = copy.deepcopy(made)
    odd["rows"][0]["notes"].append("</script><script>alert(1)</script>")
    text = page(odd)
    assert "<script>alert" not in text
    seen = Seen()
    seen.feed(text)
    assert json.loads(seen.record)["rows"][0]["notes"][-1].startswith("</script>")


def test_svgs_have_no_metadata_and_are_the_same_again(made: dict[str, Any]) -> None:
    assert "<metadata" not in svg(made)
    assert svg(made) == svg(made)
