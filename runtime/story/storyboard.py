"""A story on a page: each shot's picture in its frame, and what will happen in it, in words.

Nothing is rendered: the photo is framed as the film frames it, about as quickly as it is read.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ...engines.errors import OutputError, SettingsError
from ..frame import frame_photo, frame_size
from ..letters.lettering import compose
from ..letters.typefaces import FONTS
from ..output import write_file
from ..photo import load_photo
from .caption import draw_caption
from .measure import Measure
from .plan import StoryPlan, StoryShot
from .write import check_place

Pixels = NDArray[np.uint8]

_PAPER, _INK, _FAINT = (246, 243, 236), (38, 34, 30), (128, 120, 110)
_PAGE = 1920  # pixels across
_MOST_TALL = 30_000  # pixels; what viewers and PNG readers still open
_GAP = 28
_HEAD = 110
"""Height of the line over the page."""


def draw_storyboard(
    plan: StoryPlan, measures: Sequence[Measure], path: str | Path, *, force: bool = False
) -> Path:
    """Draw the story as a PNG picture, 1920 pixels across and as tall as it must be.

    plan: whole, as `prepare_story` gives it; measures: one for each shot.

    Raises:
        OutputError: it cannot be written there, or is there and `force` is False.
    """
    target = Path(path)
    check_board(target, force)
    page = board(plan, measures)
    buffer = io.BytesIO()
    page.save(buffer, "PNG")
    write_file(buffer.getvalue(), target, force=force)
    return target


def check_board(target: Path, force: bool) -> None:
    """Refuse a place where the picture cannot be written, before anything is made.

    Raises:
        OutputError: the name does not end in .png, the folder cannot be written in, or a file is
            there and `force` is False.
    """
    if target.suffix.lower() != ".png":
        raise OutputError(f"{target}: a storyboard's name must end in .png")
    check_place(target, force)


def board(plan: StoryPlan, measures: Sequence[Measure]) -> Image.Image:
    """Return the page as a picture."""
    count = len(plan.shots)
    width, height = frame_size(plan.aspect or "16:9", 360, (16, 9))
    across = _columns(count, width / height)
    cell = (_PAGE - (across + 1) * _GAP) // across
    tall = round(cell * height / width)
    size = max(13, round(cell * 0.047))
    under = round(4.1 * size)
    rows = math.ceil(count / across)
    page = Image.new("RGB", (_PAGE, _HEAD + rows * (tall + under + _GAP)), _PAPER)
    draw = ImageDraw.Draw(page)
    _head(draw, plan)
    at = 0.0
    for index, shot in enumerate(plan.shots):
        left = _GAP + (index % across) * (cell + _GAP)
        top = _HEAD + (index // across) * (tall + under + _GAP)
        page.paste(_framed(plan, shot, measures[index], (cell, tall)), (left, top))
        _words(draw, plan, shot, index, at, (left, top + tall + round(0.35 * size)), cell, size)
        at += shot.seconds or 0.0
    return page


def _columns(count: int, ratio: float) -> int:
    """How many pictures stand side by side: four of 16:9, more where the page grows too tall."""
    across = min(count, max(2, round(4 * math.sqrt(16 / 9 / ratio))))
    while across < count:
        cell = (_PAGE - (across + 1) * _GAP) / across
        if math.ceil(count / across) * (cell / ratio + 5 * cell * 0.06 + _GAP) + _HEAD < _MOST_TALL:
            break
        across += 1
    return max(across, 1)


def _head(draw: ImageDraw.ImageDraw, plan: StoryPlan) -> None:
    count = len(plan.shots)
    name = plan.source.stem if plan.source is not None else "A story"
    draw.text((_GAP, 26), _shortened(name, 60), _INK, _font(40))
    words = [f"{count} shot{'s' * (count > 1)}", f"{_clock(plan.total)} at {plan.fps} fps"]
    words += [f"music {plan.music.name}"] if plan.music else []
    words += [f"voice {plan.voice.name}"] if plan.voice else []
    words += [f"ends in a {plan.end}"] if plan.end else []
    draw.text((_PAGE - _GAP, 42), " · ".join(words), _FAINT, _font(22), anchor="ra")


def _framed(
    plan: StoryPlan, shot: StoryShot, measure: Measure, size: tuple[int, int]
) -> Image.Image:
    """The shot's picture as the film frames it, with its caption."""
    photo = load_photo(shot.photo, target=max(size))
    keep = None if measure.salience is None else 0.8 * measure.salience
    aspect = plan.aspect or "16:9"
    made = frame_photo(
        photo, aspect=aspect, height=max(size[1], 64), keep=keep, boxes=measure.faces
    )
    picture = Image.fromarray(made.picture).resize(size, Image.Resampling.LANCZOS)
    if shot.caption and plan.captions is not False:
        frame = np.array(picture)
        faces = [made.carry_box(face) for face in measure.faces]
        try:
            letters = draw_caption(shot.caption, size=size, faces=faces, font=plan.font)
        except SettingsError:  # too long for a frame this small; the words stand under it
            return picture
        if letters is not None:
            return Image.fromarray(compose(frame, letters))
    return picture


def _words(
    draw: ImageDraw.ImageDraw,
    plan: StoryPlan,
    shot: StoryShot,
    index: int,
    start: float,
    at: tuple[int, int],
    width: int,
    size: int,
) -> None:
    """Number, time and length in the first line, what happens in the second, how it comes in."""
    first = f"{index + 1}   {_shortened(shot.name, 28)}"
    draw.text(at, first, _INK, _font(size))
    draw.text((at[0] + width, at[1]), f"{shot.seconds or 0:.1f} s", _INK, _font(size), anchor="ra")
    second = " · ".join(plan.happens(shot))
    third = [_clock(start), f"{shot.change}"]
    third += [f"still for {shot.hold:g} s"] if shot.hold else []
    for line, text in enumerate((second, " · ".join(third)), 1):
        draw.text((at[0], at[1] + round(line * 1.3 * size)), text, _FAINT, _font(size))


def _clock(seconds: float) -> str:
    """A time as 0:07.2."""
    minutes, tenths = divmod(round(seconds * 10), 600)
    return f"{minutes}:{tenths / 10:04.1f}"


def _shortened(text: str, most: int) -> str:
    plain = "".join(c if c.isprintable() else "?" for c in text)
    return plain if len(plain) <= most else plain[: most - 1] + "…"


def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(FONTS / "EBGaramond-Medium.ttf"), size)
