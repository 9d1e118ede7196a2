"""Text into lines of runs: each run in one face and one direction, in the order they are seen."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ...engines.errors import SettingsError
from .bidi import levels, visual_order
from .typefaces import SHIPPED, Face, face_of, found_for

MOST_CHARACTERS = 400
"""More than a frame can hold at a readable size."""

_INVISIBLE = set("\u200b\u200e\u200f\u061c\u2060\ufeff\u00ad\ufe0e")  # they steer, and have no ink
_JOINERS = set("\u200c\u200d")
_DIRECTIONS = re.compile("[\u202a-\u202e\u2066-\u2069]")
_LINES = re.compile("\r\n|[\n\r\v\f\x85\u2028\u2029]")
_SPACES = re.compile("[ \t\u1680\u2000-\u2006\u2008-\u200a\u205f\u3000]+")
_FIXED_SPACES = "\u00a0\u202f\u2007"
# Lines of CJK text never begin with the first, nor end with the second (kinsoku).
_NEVER_FIRST = set("、。，．・：；？！）」』】〕〉》〗ー々ぁぃぅぇぉっゃゅょァィゥェォッャュョ")  # noqa: RUF001 - as meant
_NEVER_FIRST |= set(")]}\u2019\u201d!?,.:;")
_NEVER_LAST = set("（「『【〔〈《〖([{\u2018\u201c")  # noqa: RUF001 - these very characters
_SIMPLE = (
    *("LATIN", "GREEK", "CYRILLIC", "ARMENIAN", "GEORGIAN", "COPTIC", "GOTHIC", "CHEROKEE"),
    *("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO", "RUNIC", "OGHAM"),
)
"""How the names of letters begin that stand side by side, from left to right."""


@dataclass(frozen=True)
class Run:
    """A piece of a line in one face and one direction."""

    text: str
    """The characters, in reading order."""
    face: Face
    """What it is set in."""
    leftward: bool
    """True where it runs from right to left."""


Width = Callable[[Run], float]


@dataclass(frozen=True)
class Paragraph:
    """One line of a person's text, before it is broken into lines of the frame."""

    text: str
    """The characters, in reading order."""
    faces: tuple[Face, ...]
    """Each character's face."""
    levels: tuple[int, ...]
    """Each character's level of direction (see `bidi`)."""

    def runs(self, start: int, end: int) -> list[Run]:
        """Return the runs of a line that holds the characters start .. end, from left to right."""
        while end > start and self.text[end - 1] == " ":
            end -= 1
        while start < end and self.text[start] == " ":
            start += 1
        runs: list[Run] = []
        depths: list[int] = []
        for _, group in itertools.groupby(
            range(start, end), key=lambda place: (self.faces[place], self.levels[place])
        ):
            places = list(group)
            text = "".join(c for p in places if (c := self.text[p]) not in _INVISIBLE)
            if text:
                depths.append(self.levels[places[0]])
                runs.append(Run(text, self.faces[places[0]], depths[-1] % 2 == 1))
        return [runs[index] for index in visual_order(depths)]

    def broken(self, room: float, width: Width) -> list[list[Run]] | None:
        """Return the fewest lines no wider than `room`, of about equal length; None if a word
        alone is wider."""
        lines = self._greedy(room, width)
        if lines is None or len(lines) < 2:
            return lines
        low, high = room / len(lines), room
        for _ in range(7):  # the narrowest measure that gives as few lines is the evenest
            middle = (low + high) / 2
            tried = self._greedy(middle, width)
            if tried is not None and len(tried) == len(lines):
                lines, high = tried, middle
            else:
                low = middle
        return lines

    def _greedy(self, room: float, width: Width) -> list[list[Run]] | None:
        lines: list[list[Run]] = []
        start = 0
        ends = [*self._breaks(), len(self.text)]
        while ends:
            best: list[Run] | None = None
            for count, end in enumerate(ends):  # noqa: B007 - the count goes on below
                runs = self.runs(start, end)
                if sum(width(run) for run in runs) > room:
                    break
                best, last = runs, end
            else:
                count = len(ends)
            if best is None:
                return None
            lines.append(best)
            start, ends = last, ends[count:]
        return lines

    def _breaks(self) -> Iterator[int]:
        """Yield where a line may end: after a space or a dash, between CJK characters."""
        for place in range(1, len(self.text)):
            before, after = self.text[place - 1], self.text[place]
            if after == " " or after in _NEVER_FIRST or before in _NEVER_LAST:
                continue
            dash = before in "-\u2010\u2013\u2014/" and after.isalpha()
            beside = (_free(before) or _free(after)) and not _mark(after)
            if before in " \u200b" or dash or beside:
                yield place


def paragraphs(text: str, font: Path | None = None) -> list[Paragraph]:
    """Return a text's lines, each with the faces and directions of its characters.

    Raises:
        SettingsError: there is nothing to draw, too much of it, characters that no font here has
            or that cannot be shaped here, or control characters.
    """
    lines = [_cleaned(line) for line in _LINES.split(_limited(text))]
    lines = [line for line in lines if line]
    if not any(c for line in lines for c in line if c not in _INVISIBLE | _JOINERS):
        raise SettingsError("the text is empty: give some words, or leave it out")
    given = () if font is None else (face_of(font),)
    return [Paragraph(line, _faces(line, given), tuple(levels(line))) for line in lines]


def can_shape() -> bool:
    """Whether Pillow here orders and joins letters (Raqm with FriBiDi and HarfBuzz)."""
    from PIL import features

    return bool(features.check("raqm") and features.check("fribidi"))


def _limited(text: str) -> str:
    if not isinstance(text, str):
        raise SettingsError(f"{str(text)[:40]!r} is no text: give words")
    if len(text) > MOST_CHARACTERS:
        raise SettingsError(
            f"the text {short_text(text)} has {len(text)} characters and a frame holds at most "
            f"{MOST_CHARACTERS}: shorten it"
        )
    return text


def _cleaned(line: str) -> str:
    line = unicodedata.normalize("NFC", _SPACES.sub(" ", line)).strip(" \u200b")
    for character in line:
        if _DIRECTIONS.match(character) or (
            unicodedata.category(character) in ("Cc", "Cs", "Cn", "Co")
        ):
            raise SettingsError(
                f"the text {short_text(line)} has the control or unknown character "
                f"U+{ord(character):04X}, which cannot be drawn: take it out"
            )
    return line


def _faces(line: str, given: tuple[Face, ...]) -> tuple[Face, ...]:
    """Choose each character's face: the given one, then those that ship, then the system's."""
    shaping = can_shape()
    clusters = list(_clusters(line))
    for start, end in clusters:
        _refuse(line, line[start:end], shaping)
    known = (*given, *SHIPPED)
    chosen = [_first(known, line[start:end]) for start, end in clusters]
    missing = [line[s:e] for (s, e), face in zip(clusters, chosen, strict=True) if face is None]
    if missing:
        together = found_for("".join(missing))
        extra = (together,) if together else tuple(filter(None, map(found_for, missing)))
        for index, (start, end) in enumerate(clusters):
            if chosen[index] is None:
                chosen[index] = _first(extra, line[start:end])
        lost = [line[s:e] for (s, e), face in zip(clusters, chosen, strict=True) if face is None]
        if lost:
            raise _unknown(line, lost)
    letters = [unicodedata.category(line[start])[0] == "L" for start, _ in clusters]
    faces: list[Face] = []
    for index, (start, end) in enumerate(clusters):
        face = chosen[index]
        if not letters[index]:  # signs and digits go with the letters beside them
            beside = [i for i in range(index - 1, -1, -1) if letters[i]][:1]
            beside += [i for i in range(index + 1, len(clusters)) if letters[i]][:1]
            if unicodedata.category(line[start]) in ("Ps", "Pi"):
                beside.reverse()  # an opening bracket with what it opens
            near = (chosen[i] for i in beside)
            face = next((f for f in near if f and _has(f, line[start:end])), face)
        faces += [face or SHIPPED[0]] * (end - start)
    return tuple(faces)


def _clusters(line: str) -> Iterator[tuple[int, int]]:
    """Yield start and end of each letter with the marks on it."""
    start = 0
    for place in range(1, len(line) + 1):
        if place == len(line) or not (_mark(line[place]) or line[place] in _JOINERS):
            yield start, place
            start = place


def _refuse(line: str, cluster: str, shaping: bool) -> None:
    if (
        "\ufe0f" in cluster
        or "\u20e3" in cluster
        or any(0x1F000 <= ord(c) < 0x1FB00 for c in cluster)
    ):
        raise SettingsError(
            f"the text {short_text(line)} has the emoji {cluster}, and captions are set in letters "
            "only: leave it out"
        )
    if not shaping and not all(_simple(c) for c in cluster):
        raise SettingsError(
            f"the text {short_text(line)} has letters to be joined or ordered ({cluster}), and "
            "Pillow finds no Raqm with FriBiDi here: install FriBiDi (apt install libfribidi0, "
            "brew install fribidi), or write it without them"
        )


def _simple(character: str) -> bool:
    """Whether a character stands by itself, from left to right."""
    if unicodedata.bidirectional(character) in ("R", "AL", "AN") or _mark(character):
        return False
    if unicodedata.category(character)[0] == "L":
        return unicodedata.name(character, "").startswith(_SIMPLE)
    return character not in _JOINERS


def _first(faces: tuple[Face, ...], cluster: str) -> Face | None:
    """The first face with all its glyphs, else the first that has their parts."""
    whole = (face for face in faces if _has(face, cluster))
    parts = unicodedata.normalize("NFD", cluster)
    return next(whole, None) or next((face for face in faces if _has(face, parts)), None)


def _has(face: Face, cluster: str) -> bool:
    """Whether a face has a glyph for each character of a cluster that has ink."""
    return all(
        character in _INVISIBLE | _JOINERS
        or face.has(character)
        or (character in _FIXED_SPACES and face.has(" "))
        for character in cluster
    )


def _mark(character: str) -> bool:
    return unicodedata.category(character)[0] == "M"


def _free(character: str) -> bool:
    """Whether lines may break beside a character (CJK; not Hangul, which has spaces)."""
    return (
        "\u2e80" <= character <= "\u9fff"
        or "\uf900" <= character <= "\ufaff"
        or ("\uff00" <= character <= "\uff9f" or 0x20000 <= ord(character) < 0x40000)
    )


def _unknown(line: str, lost: list[str]) -> SettingsError:
    characters = list(dict.fromkeys("".join(lost)))
    named = ", ".join(
        f"{c} (U+{ord(c):04X} {unicodedata.name(c, 'without a name').lower()})"
        for c in characters[:3]
    )
    more = f" and {len(characters) - 3} more" if len(characters) > 3 else ""
    return SettingsError(
        f"the text {short_text(line)} has characters that no font here has, {named}{more}: name a "
        "font file that has them, or install one (Debian: fonts-noto-cjk, fonts-noto-core)"
    )


def short_text(text: str) -> str:
    """Return a text for a message, quoted and on one line."""
    text = " ".join(text.split())
    return f"“{text}”" if len(text) <= 40 else f"“{text[:38]}…”"
