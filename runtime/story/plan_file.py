"""Reads the plan of a story: short TOML, every mistake told with its line.

seconds = 60                     # of the whole film; leave it out to go by the shots
music = "waltz.mp3"

[[shot]]
photo = "porch.jpg"              # paths start at the plan's own folder
seconds = 5
camera = "push"
caption = { name = "Ana", place = "Porto", year = 1962 }

[[shot]]
photo = "porch.jpg"              # again, in another light
light = "dusk"
transition = "dissolve 2"        # how it comes in; "cut", or "fade 2" through black
hold = 1.5                       # it stands still at its end
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from typing import Any

from ...engines.errors import SettingsError, StoryError
from ..settings import Settings, parse_aspect, shown
from .plan import (
    SHOT_SETTINGS,
    Change,
    StoryPlan,
    StoryShot,
    check_asks,
    check_count,
    check_length,
)

_TOP = ("seconds", "fps", "height", "aspect", "music", "voice", "captions", "font", "label", "end")
_SHOT = ("photo", "seconds", "caption", "transition", "hold")
_CAPTION = ("name", "place", "year")
_LIMIT = 4 * 2**20  # bytes; a plan of five hundred shots has a hundred thousand
_MOST_LINES, _MOST_LETTERS = 4, 200


@dataclass
class _Lines:
    """Where the entries of a TOML text stand; lines count from 1."""

    top: dict[str, int] = field(default_factory=dict)
    shots: list[tuple[int, dict[str, int]]] = field(default_factory=list)
    """For each [[shot]] its own line and those of its entries."""

    @classmethod
    def of(cls, text: str) -> _Lines:
        found = cls()
        place: dict[str, int] | None = found.top
        inside = ""  # the quotes of a text of several lines
        for number, line in enumerate(text.splitlines(), 1):
            if inside:
                inside = "" if line.count(inside) % 2 else inside
                continue
            header = re.match(r"\s*(\[\[?)\s*([^\]#]*?)\s*\]", line)
            entry = re.match(r"""\s*(?:"([^"]*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*[=.]""", line)
            if header:
                name = header[2].strip("\"' ")
                if header[1] == "[[" and name == "shot":
                    place = {}
                    found.shots.append((number, place))
                else:
                    found.top.setdefault(name.split(".")[0].strip(), number)
                    place = place if name.startswith("shot.") else None
            elif entry and place is not None:
                place.setdefault(
                    next(group for group in entry.groups() if group is not None), number
                )
            for quotes in ('"""', "'''"):
                if line.split("#")[0].count(quotes) % 2:
                    inside = quotes
        return found


def read_plan(path: str | Path) -> StoryPlan:
    """Read a plan from a file.

    Raises:
        StoryError: the file is not there or no TOML, a key is unknown, a value impossible, a photo
            missing; the message names the file and the line.
    """
    source = Path(path)
    return parse_plan(_text(source), source)


def parse_plan(text: str, source: Path) -> StoryPlan:
    """Read a plan from its text; `source` names it in errors, and paths start in its folder.

    Raises:
        StoryError: see `read_plan`.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _syntax(source, text, str(error)) from error
    except RecursionError as error:
        raise StoryError(f"{source}: it is nested too deeply to be a plan") from error
    lines = _Lines.of(text)
    at = _Places(source, lines)
    _known(table, (*_TOP, "shot", *SHOT_SETTINGS), lambda key: at.top(key), "a story")
    entries = table.get("shot", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise at.top("shot")("shot must be written as [[shot]], one for each shot")
    check_count(len(entries), f"{source}: ")
    plan = StoryPlan(
        shots=tuple(_shot(entry, index, at) for index, entry in enumerate(entries)),
        asks=_asks(table, at.top, skip=("seed",)),
        source=source,
        lines=lines.top,
        **_top(table, at),
    )
    return check_length(plan)


class _Places:
    """Makes errors that name a line."""

    def __init__(self, source: Path, lines: _Lines) -> None:
        self.source, self._lines = source, lines

    def line(self, index: int, key: str | None = None) -> int | None:
        if index >= len(self._lines.shots):  # shots written in another way than [[shot]]
            return self._lines.top.get("shot")
        own, entries = self._lines.shots[index]
        return entries.get(key, own) if key else own

    def top(self, key: str) -> Any:
        return lambda why: self._error(self._lines.top.get(key), why)

    def shot(self, index: int) -> Any:
        return lambda key: lambda why: self._error(self.line(index, key), why)

    def where(self, index: int, key: str) -> str:
        line = self.line(index, key)
        return f"{self.source}:{line}" if line else f"{self.source}, shot {index + 1}"

    def _error(self, line: int | None, why: str) -> StoryError:
        return StoryError(f"{self.source}:{line}: {why}" if line else f"{self.source}: {why}")


def _text(source: Path) -> str:
    name = source
    try:
        if source.is_dir():
            raise StoryError(f"{name} is a folder: name the plan in it, such as story.toml")
        if source.exists() and not source.is_file():
            raise StoryError(f"{name} is a pipe or device, not a file: save the plan to a file")
        with source.open("rb") as file:
            raw = file.read(_LIMIT + 1)
    except FileNotFoundError as error:
        raise StoryError(
            f"the plan {name} is not there: check the path, or write one with --write-plan"
        ) from error
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise StoryError(f"the plan {name} cannot be read ({why}): check the path") from error
    if len(raw) > _LIMIT:
        raise StoryError(f"{name} is larger than {_LIMIT >> 20} MB, no plan is: check the path")
    try:
        return raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise StoryError(
            f"{name}:{line}: it is not UTF-8 text: save it as UTF-8 in a text editor"
        ) from error


def _syntax(source: Path, text: str, message: str) -> StoryError:
    """Put the line that TOML's own message names where an editor finds it."""
    found = re.search(r"\s*\(at line (\d+), column (\d+)\)", message)
    if found:
        why = message.replace(found[0], "")
        return StoryError(f"{source}:{found[1]}: this is no TOML ({why}, column {found[2]})")
    why = message.replace(" (at end of document)", ", and the file ends")
    return StoryError(f"{source}:{max(1, len(text.splitlines()))}: this is no TOML ({why})")


def _known(table: Mapping[str, Any], known: tuple[str, ...], at: Any, of: str) -> None:
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key.lower(), known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"use {', '.join(known)}"
            raise at(key)(f"{shown(key)} is no entry of {of}: {hint}")


def _number(value: object, key: str, fail: Any) -> float:
    if not isinstance(value, Real) or isinstance(value, bool) or value != value:
        raise fail(f"{key} {shown(value)} cannot be used: give a number of seconds")
    return float(value)


def _asks(table: Mapping[str, Any], at: Any, skip: tuple[str, ...] = ()) -> dict[str, Any]:
    """The settings in a table, each checked by itself, so that an error has its line."""
    asks: dict[str, Any] = {}
    for key in SHOT_SETTINGS:
        if key in table and key not in skip:
            try:
                asks |= check_asks({key: table[key]})
            except SettingsError as error:
                raise at(key)(str(error)) from error
    return asks


def _top(table: Mapping[str, Any], at: _Places) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for key in ("fps", "height", "seed"):
        if key in table:
            try:
                fields[key] = getattr(Settings(**{key: table[key]}), key)
            except SettingsError as error:
                raise at.top(key)(str(error)) from error
    if "seconds" in table:
        fields["seconds"] = _number(table["seconds"], "seconds", at.top("seconds"))
    if "aspect" in table:
        try:
            parse_aspect(table["aspect"])
        except SettingsError as error:
            raise at.top("aspect")(str(error)) from error
        fields["aspect"] = table["aspect"]
    for key in ("music", "voice", "font"):
        if key in table:
            fields[key] = _file(table[key], key, at.source.parent, at.top(key))
    if "captions" in table:
        if not isinstance(table["captions"], bool):
            raise at.top("captions")(f"captions {shown(table['captions'])}: write true or false")
        fields["captions"] = table["captions"]
    if "label" in table:
        if not isinstance(table["label"], str) or not table["label"].strip():
            raise at.top("label")(f"label {shown(table['label'])}: write a short text")
        fields["label"] = table["label"]
    if "end" in table:
        fields["end"] = _change(table["end"], at.top("end"))
        if fields["end"].kind == "dissolve":
            raise at.top("end")('the film cannot end in a dissolve: write "fade 2" or "cut"')
    return fields


def _shot(entry: Mapping[str, Any], index: int, at: _Places) -> StoryShot:
    fail = at.shot(index)
    _known(entry, (*_SHOT, *SHOT_SETTINGS), fail, "a shot")
    if "photo" not in entry:
        raise fail(None)(f'shot {index + 1} names no photo: write photo = "..."')
    fields: dict[str, Any] = {}
    for key in ("seconds", "hold"):
        if key in entry:
            fields[key] = _number(entry[key], key, fail(key))
    return StoryShot(
        photo=_file(entry["photo"], "photo", at.source.parent, fail("photo")),
        asks=_asks(entry, fail),
        caption=_caption(entry.get("caption", ()), fail("caption")),
        change=_change(entry["transition"], fail("transition")) if "transition" in entry else None,
        where=at.where(index, "photo"),
        places={key: at.where(index, key) for key in entry},
        **fields,
    )


def _change(value: object, fail: Any) -> Change:
    try:
        return Change.parse(value)
    except SettingsError as error:
        raise fail(str(error)) from error


def _file(value: object, key: str, folder: Path, fail: Any) -> Path:
    if not isinstance(value, str) or not value.strip():
        raise fail(f'{key} {shown(value)} cannot be used: write the name of a file in "quotes"')
    try:
        path = folder / Path(value).expanduser()
        if path.is_dir():
            raise fail(f"{key} {shown(value)} is a folder: name one file in it")
        if not path.exists():
            raise fail(f"{key} {shown(value)} is not there (looked for {path}): check the name")
    except (OSError, ValueError, RuntimeError) as error:
        raise fail(f"{key} {shown(value)} cannot be used ({error})") from error
    return path


def _caption(value: object, fail: Any) -> tuple[str, ...]:
    """Lines of a caption: a text, a list of texts, or {name, place, year}."""
    if isinstance(value, dict):
        _known(value, _CAPTION, lambda key: fail, "a caption")
        parts = {key: _line(part, fail) for key, part in value.items()}
        below = ", ".join(parts[key] for key in ("place", "year") if parts.get(key))
        lines = [line for line in (parts.get("name", ""), below) if line]
    else:
        items = value.splitlines() if isinstance(value, str) else value
        if not isinstance(items, list | tuple):
            raise fail(
                f'caption {shown(value)} cannot be used: write a "text", ["two", "lines"] or '
                '{ name = "...", place = "...", year = 1962 }'
            )
        lines = [line for line in (_line(item, fail) for item in items) if line]
    if len(lines) > _MOST_LINES:
        raise fail(f"a caption has {_MOST_LINES} lines at most, this one {len(lines)}")
    return tuple(lines)


def _line(value: object, fail: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise fail(f"a caption holds text and years, not {shown(value)}")
    line = " ".join(str(value).split())
    if len(line) > _MOST_LETTERS:
        raise fail(f"a line of a caption has {_MOST_LETTERS} letters at most, this one {len(line)}")
    return line
