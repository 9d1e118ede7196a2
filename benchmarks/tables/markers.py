"""The places in a document that are generated, and tables that ought to be and are not.

    <!-- table: NAME -->            <!-- figure: NAME -->9.7 s<!-- end -->
    ...
    <!-- end table -->

A table of settings or limits that looks like one of measurements has `<!-- not measured: WHY -->`
on the line before it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_TABLE = re.compile(
    r"^<!-- table: (?P<name>[^>]+?) -->\n(?P<body>.*?)^<!-- end table -->$",
    re.DOTALL | re.MULTILINE,
)
_FIGURE = re.compile(r"<!-- figure: (?P<name>[^>]+?) -->(?P<body>[^<]*)<!-- end -->")
_OPENING = re.compile(r"<!-- (?:table|figure): |<!-- end(?: table)? -->")
_EXCUSE = re.compile(r"<!-- not measured: \S.* -->")
_UNIT = r"(?:s|ms|min|kB|MB|GB|KiB|MiB|GiB|dB|px|%|x|fps|LUFS|GB/s|GFLOP|TFLOP|GFLOP/s|TFLOP/s|J|W)"
_MEASURED = re.compile(rf"(?<![\w.])[-+]?\d[\d,]*(?:\.\d+)? ?{_UNIT}(?![\w/])")
_DECIMALS = re.compile(r"[-+]?\d+\.\d+(?:\s*/\s*[-+]?\d+\.\d+)*")


@dataclass(frozen=True)
class Place:
    """A generated place of a document.

    Attributes:
        kind: "table" or "figure".
        body: what stands there now.
        start, end: where the body is, in characters.
        paragraph: the text around a figure up to blank lines; of a table, its body.
    """

    kind: str
    name: str
    body: str
    start: int
    end: int
    paragraph: str


class BrokenMarker(ValueError):
    """A marker without its other half; the message tells the line."""


def places(text: str) -> list[Place]:
    """Return the generated places of a document, from the top.

    Raises:
        BrokenMarker: one is opened and not closed, or closed and not opened.
    """
    found = [_place("table", match, text) for match in _TABLE.finditer(text)]
    found += [_place("figure", match, text) for match in _FIGURE.finditer(text)]
    halves = {start for place in found for start in _halves(place, text)}
    for match in _OPENING.finditer(text):
        if match.start() not in halves:
            line = text.count("\n", 0, match.start()) + 1
            raise BrokenMarker(f"line {line}: {match[0].strip()} has no other half")
    return sorted(found, key=lambda place: place.start)


def _place(kind: str, match: re.Match[str], text: str) -> Place:
    start, end = match.span("body")
    around = match["body"]
    if kind == "figure":
        first = text.rfind("\n\n", 0, start)
        last = text.find("\n\n", end)
        around = text[max(first, 0) : last if last >= 0 else None]
    return Place(kind, match["name"], match["body"], start, end, around)


def _halves(place: Place, text: str) -> tuple[int, int]:
    return text.rfind("<!--", 0, place.start), place.end


def rewritten(text: str, body: Callable[[Place], str]) -> str:
    """Return the document with every generated place as `body` says."""
    for place in reversed(places(text)):
        text = text[: place.start] + body(place) + text[place.end :]
    return text


def unmarked(text: str) -> Iterator[tuple[int, str]]:
    """Yield line and first measured-looking cell of each table that is neither made nor excused.

    Measured-looking is a cell with a number and a unit of time, memory, rate or quality, or one
    of decimals alone.
    """
    made = [(p.start, p.end) for p in places(text) if p.kind == "table"]
    offset = 0
    lines = text.split("\n")
    starts = []
    for line in lines:
        starts.append(offset)
        offset += len(line) + 1
    number = 0
    while number < len(lines):
        if not lines[number].startswith("|"):
            number += 1
            continue
        first = number
        while number < len(lines) and lines[number].startswith("|"):
            number += 1
        inside = any(start <= starts[first] < end for start, end in made)
        above = next((line for line in reversed(lines[:first]) if line.strip()), "")
        if inside or _EXCUSE.fullmatch(above.strip()):
            continue
        for row in lines[first + 2 : number]:
            cells = [cell.strip() for cell in row.strip().strip("|").split("|")]
            if looks := next((c for c in cells if measured_looking(c)), None):
                yield first + 1, looks
                break


def measured_looking(cell: str) -> bool:
    """Whether a cell reads like a measurement; what stands in backticks does not."""
    plain = re.sub(r"`[^`]*`", "", cell)
    return bool(_MEASURED.search(plain) or _DECIMALS.fullmatch(plain.strip()))
