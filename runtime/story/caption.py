"""Captions of a story: what a photo's own file says, and where on a frame no face is covered."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ...engines.errors import SettingsError
from ..crop import Box
from ..letters.lettering import SAFE, Letters, check_text, draw_text
from .plan import PhotoSource, StoryPlan

_CAMERAS = re.compile(
    r"(?i)^(img|image|dsc[nf]?|dscn|pxl|photo|pict?|picture|mvimg|scan|screenshot|whatsapp|p|"
    r"wp|cimg|sam|gopr|unnamed|download|untitled|bild|foto)?[\s_\-.]*[\d\s_\-.]*(wa\d+)?"
    r"([\s_\-]*(copy|edited|\(\d+\)))*$"
)
_YEAR = re.compile(r"(?<!\d)(1[89]\d\d|20\d\d)(?!\d)")
_DAY = re.compile(r"(?<!\d)(1[89]\d\d|20\d\d)[-_. ]?[01]\d[-_. ]?[0-3]\d(?!\d)")
_DESCRIPTION, _DATE, _EXIF = 0x010E, 0x9003, 0x8769
_ROOM = 0.1  # of a face's size around it, for the camera's way and the chin
_MOST = 80


def caption_of(photo: PhotoSource) -> tuple[str, ...]:
    """Return what a photo's file says of it: its title or name, and the year; or nothing.

    The title is the EXIF description, else the file's name where it is words and not a camera's
    number; the year is that of the EXIF date, else one in the name.
    """
    if not isinstance(photo, str | Path):
        return ()
    stem = Path(photo).stem
    title, year = _from_exif(Path(photo))
    found = _DAY.search(stem) or _YEAR.search(stem)
    year = year or (found[1] if found else "")
    if not title and not _CAMERAS.match(stem):
        words = re.sub(r"[\s_\-]+", " ", _YEAR.sub(" ", _DAY.sub(" ", stem))).strip()
        if sum(letter.isalpha() for letter in words) >= 3 and words.isprintable():
            title = words[0].upper() + words[1:]
    if len(title) > _MOST:
        title = ""
    return tuple(line for line in (title, year) if line)


def _from_exif(path: Path) -> tuple[str, str]:
    from PIL import Image

    try:
        with Image.open(path) as picture:
            exif = picture.getexif()
            title = " ".join(str(exif.get(_DESCRIPTION, "")).split())
            date = str(exif.get_ifd(_EXIF).get(_DATE, ""))
    except Exception:  # the photo is read elsewhere; here it has just nothing to say
        return "", ""
    year = _YEAR.match(date)
    return (title if title.isprintable() and not _CAMERAS.match(title) else ""), (
        year[1] if year else ""
    )


def with_captions(plan: StoryPlan) -> StoryPlan:
    """Return a plan whose shots without a caption have what their photo's file says.

    A picture that comes again is not named again.
    """
    shots, named = [], set()
    for shot in plan.shots:
        if not shot.caption and str(shot.photo) not in named:
            shot = replace(shot, caption=_drawable(caption_of(shot.photo), plan.font))
        named.add(str(shot.photo))
        shots.append(shot)
    return replace(plan, shots=tuple(shots), captions=True)


def _drawable(lines: tuple[str, ...], font: Path | None) -> tuple[str, ...]:
    if lines:
        try:
            check_text(lines, font)
        except SettingsError:  # nobody asked for just these words
            return ()
    return lines


def check_captions(plan: StoryPlan, size: tuple[int, int]) -> None:
    """Refuse a caption or label that cannot be drawn on frames of `size`, before any is rendered.

    Raises:
        StoryError: one has letters that no font here has, or does not fit; names its line.
        SettingsError: the same of a label that is not the plan's.
    """
    if plan.label is not None:
        try:
            draw_text(plan.label, size=size, style="label", font=plan.font)
        except SettingsError as error:
            if "label" not in plan.lines:
                raise
            raise plan.error("label", str(error)) from error
    for shot in plan.shots if plan.captions is not False else ():
        if shot.caption:
            try:
                draw_text(shot.caption, size=size, style="caption", font=plan.font)
            except SettingsError as error:
                raise shot.error(str(error), "caption") from error


def draw_caption(
    lines: Sequence[str], *, size: tuple[int, int], faces: Sequence[Box], font: Path | None
) -> Letters | None:
    """Draw a caption for frames of `size` (w, h) where it covers no face; None where it would.

    It stands at the foot; where a face is there, at the head, or in the first corner without one.

    Raises:
        SettingsError: it cannot be drawn, or does not fit.
    """
    letters = draw_text(lines, size=size, style="caption", font=font)
    x0, y0, x1, y1 = _ink(letters)
    width, height = size
    across, down = round(width * SAFE), round(height * SAFE)
    foot, middle = letters.top + y0, letters.left + x0
    sides = [middle, across, width - across - (x1 - x0)]
    places = [(middle, foot), (middle, down)]
    places += [(x, y) for y in (foot, down) for x in sides[1:] if x >= across]
    for x, y in places:
        ink = Box(x / width, y / height, (x + x1 - x0) / width, (y + y1 - y0) / height)
        if not any(_covers(ink, face) for face in faces):
            return _laid(letters, x - x0, y - y0, size)
    return None


def _ink(letters: Letters) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the letters themselves, without their soft shadow."""
    bright = letters.rgba[..., 0] > 96
    rows, columns = np.flatnonzero(bright.any(1)), np.flatnonzero(bright.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _laid(letters: Letters, left: int, top: int, size: tuple[int, int]) -> Letters:
    """Letters at another place, what of the shadow is then off the frame cut away."""
    rgba = letters.rgba
    if top < letters.top and letters.top + len(rgba) >= size[1]:
        # The frame's foot has cut the shadow off; further up that would be seen as a line.
        rows = min(round(0.03 * size[1]) + 1, len(rgba))
        ramp = np.ones((len(rgba), 1, 1), np.float32)
        ramp[-rows:, 0, 0] = np.linspace(1.0, 0.0, rows)
        rgba = np.asarray(np.rint(rgba * ramp), np.uint8)
    rgba = rgba[max(0, -top) :, max(0, -left) :]
    rgba = rgba[: size[1] - max(top, 0), : size[0] - max(left, 0)]
    return replace(letters, rgba=np.ascontiguousarray(rgba), left=max(left, 0), top=max(top, 0))


def _covers(box: Box, face: Box) -> bool:
    across, down = _ROOM * (face.x1 - face.x0), _ROOM * (face.y1 - face.y0)
    beside = box.x1 <= face.x0 - across or box.x0 >= face.x1 + across
    return not (beside or box.y1 <= face.y0 - down or box.y0 >= face.y1 + down)
