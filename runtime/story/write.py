"""Writes the plan of a story as the TOML a person would like to edit."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...engines.errors import OutputError, StoryError
from ..output import disk_errors, part_of, reserve, write_file
from .plan import SHOT_SETTINGS, StoryPlan, StoryShot

_HEAD = """\
# The plan of a story. Edit it, then: reverie story --plan {name} --out film.mp4
# A changed line renders its own shot again, and only that one.
#
# Of the whole film: seconds (the shots are stretched to it), fps, height, aspect, seed, music,
#   voice, captions, font, label, end ("fade 2" or "cut"), and for every shot that says nothing
#   else: mood, light, camera, motion, prompt, grain, restore, faces.
# Of a shot: photo (any order, any number of times), seconds, camera (push, pull, left, right, up,
#   down, orbit, still, off), mood (tender, wistful, radiant, restless, still, none), light (golden,
#   dusk, moon, candle, overcast, bright, none), motion (0 to 1), prompt, seed,
#   transition (how it comes in: "cut", "dissolve 1.2", "fade 2" through black),
#   hold (seconds for which it stands still at its end),
#   caption ("text", ["two", "lines"], or {{ name = "Ana", place = "Porto", year = 1962 }}).
"""


def plan_text(plan: StoryPlan, folder: Path, name: str = "story.toml") -> str:
    """Return a plan as TOML; photos are named as seen from `folder`.

    Raises:
        StoryError: a photo is no file, or its name is no text that TOML can hold.
    """
    lines = [_HEAD.format(name=name)]
    total = f"{plan.total:g} s in all" if plan.total else ""
    lines.append(f"# {len(plan.shots)} shots{', ' * bool(total)}{total}")
    top: dict[str, Any] = {"fps": plan.fps, "height": plan.height, "aspect": plan.aspect}
    top |= {"seed": plan.seed or None}
    top |= {key: getattr(plan, key) for key in ("music", "voice", "font", "label")}
    top |= {"captions": plan.captions, "end": None if plan.end is None else str(plan.end)}
    if not all(shot.seconds is not None for shot in plan.shots):
        top = {"seconds": plan.seconds, **top}
    for key, value in {**top, **_asked(plan.asks)}.items():
        if value is not None:
            lines.append(f"{key} = {_value(value, folder)}")
    for number, shot in enumerate(plan.shots, 1):
        lines += ["", f"# {number}", "[[shot]]", *_shot_lines(shot, folder)]
    return "\n".join(lines) + "\n"


def write_plan(plan: StoryPlan, path: str | Path, *, force: bool = False) -> Path:
    """Write a plan to a file, whole or not at all.

    Raises:
        OutputError: it cannot be written there, or a file is there and `force` is False.
        StoryError: see `plan_text`.
    """
    target = Path(path)
    text = plan_text(plan, target.absolute().parent, target.name).encode()
    write_file(text, target, force=force)
    return target


def check_place(target: Path, force: bool) -> None:
    """Refuse a place where a small file cannot be written, before it is made.

    Raises:
        OutputError: the folder cannot be written in, or a file is there and `force` is False.
    """
    if target.is_dir():
        raise OutputError(f"{target} is a folder: name a file in it")
    if target.exists() and not force:
        raise OutputError(
            f"{target} exists and is not overwritten: choose another name, or use --force"
        )
    part = part_of(target)
    with disk_errors(target):
        reserve(part)
        part.unlink()


def _shot_lines(shot: StoryShot, folder: Path) -> list[str]:
    if not isinstance(shot.photo, str | Path):
        raise StoryError("a picture that is no file cannot be written into a plan: save it first")
    entries: dict[str, Any] = {"photo": Path(shot.photo), "seconds": shot.seconds}
    entries |= _asked(shot.asks)
    entries["transition"] = None if shot.change is None else str(shot.change)
    entries["hold"] = shot.hold
    if shot.caption:
        entries["caption"] = shot.caption[0] if len(shot.caption) == 1 else list(shot.caption)
    return [
        f"{key} = {_value(value, folder)}" for key, value in entries.items() if value is not None
    ]


def _asked(asks: Mapping[str, Any]) -> dict[str, Any]:
    """A shot's settings in the order in which they read best."""
    order = dict.fromkeys(("camera", "mood", "light", *SHOT_SETTINGS))
    return {
        key: "none" if (key, asks[key]) == ("mood", None) else asks[key]
        for key in order
        if key in asks
    }


def _value(value: object, folder: Path) -> str:
    if isinstance(value, Path):
        return _quoted(_from(value, folder))
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        text = f"{value:.6g}" if abs(value - round(value, 3)) < 1e-9 else repr(value)
        return text if any(c in text for c in ".e") else text + ".0"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(item, folder) for item in value) + "]"
    return _quoted(str(value))


def _from(path: Path, folder: Path) -> str:
    """A path as one would write it in a plan in `folder`: short where it is near."""
    whole = path.absolute()
    try:
        near = Path(os.path.relpath(whole, folder))
    except ValueError:  # another drive
        return whole.as_posix()
    leads_there = os.path.realpath(folder / near) == os.path.realpath(whole)  # links may not
    return (near if leads_there and near.parts.count("..") <= 3 else whole).as_posix()


def _quoted(text: str) -> str:
    """A TOML basic string; what JSON escapes TOML reads, and DEL must be escaped too."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise StoryError(
            f"{text.encode(errors='backslashreplace').decode()} is no name that a plan can hold "
            "(it is not UTF-8): rename the file"
        ) from error
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
