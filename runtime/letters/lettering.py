"""Captions, titles and labels in good type, drawn once and laid over frames."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from ...engines.errors import SettingsError
from .typefaces import Face
from .typeset import Paragraph, Run, can_shape, paragraphs, short_text

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

Frame = npt.NDArray[np.uint8]
StyleName = Literal["caption", "title", "label"]
Corner = Literal["bottom-right", "bottom-left", "top-right", "top-left"]

SAFE = 0.05
"""Share of the frame's width and height at each edge that stays free of letters (title-safe)."""
_PHONE = 0.13  # at the foot of an upright frame, where phones lay their own buttons
_INK = np.array((255, 250, 241), np.float32)
_SHADE = np.array((14, 11, 8), np.float32)
_SMALLEST = 9.0  # pixels of type size; below that nobody reads it


@dataclass(frozen=True)
class _Style:
    size: float
    """Type size as a share of the frame's shorter side."""
    further: float
    """Size of the lines after a person's first, as a share of it."""
    measure: float
    """The widest line, as a share of the frame's width."""
    lines: int
    """The most lines."""
    height: float
    """The most of the frame's height."""
    leading: float
    """Distance of lines, in type sizes."""
    strength: float
    """How opaque the letters are."""


_STYLES: dict[str, _Style] = {
    "caption": _Style(0.062, 0.74, 0.82, 4, 0.34, 1.22, 1.0),
    "title": _Style(0.118, 0.50, 0.84, 4, 0.70, 1.16, 1.0),
    "label": _Style(0.034, 1.0, 0.60, 2, 0.16, 1.15, 0.9),
}
_SHRINKS = (1.0, 0.92, 0.85, 0.78, 0.7)


@dataclass(frozen=True)
class Letters:
    """Drawn text, and where it lies on the frame."""

    rgba: Frame
    """uint8 (height, width, 4), colours multiplied by alpha; the soft shadow is in it."""
    left: int
    """Column of the frame at its left edge."""
    top: int
    """Row of the frame at its upper edge."""
    fonts: tuple[str, ...] = ()
    """Names of the font files used."""
    lines: int = 1
    """How many lines it became."""


def check_text(text: str | Sequence[str], font: Path | None = None) -> None:
    """Raise SettingsError where a text cannot be drawn (see `draw_text`), before anything is."""
    paragraphs(_joined(text), font)


def draw_text(
    text: str | Sequence[str],
    *,
    size: tuple[int, int],
    style: StyleName = "caption",
    font: Path | None = None,
    corner: Corner = "bottom-right",
) -> Letters:
    """Draw a text for frames of `size` (width, height) and return it with its place.

    The first line is the largest; lines too long are broken at words, evenly. Text that does not
    fit is set smaller, by 30 % at most. A "caption" stands at the foot, a "title" in the middle, a
    "label" in `corner`.

    Raises:
        SettingsError: the text is empty, too long, or has characters that no font here has or that
            cannot be shaped here; the font given cannot be read.
    """
    if style not in _STYLES:
        raise SettingsError(f"style {style!r} is not known: use one of {', '.join(_STYLES)}")
    width, height = size
    text = _joined(text)
    pieces = paragraphs(text, font)
    shape = _STYLES[style]
    for shrink in _SHRINKS:
        lines = _set(pieces, shape, max(_SMALLEST, shape.size * min(size) * shrink), size)
        if lines is not None:
            break
    else:
        raise SettingsError(
            f"the {style} {short_text(text)} does not fit a frame of {width}x{height} in "
            f"{shape.lines} lines: shorten it, or break it into shorter lines or words"
        )
    align = {"left": 0.0, "right": 1.0}.get(corner.split("-")[1], 0.5) if style == "label" else 0.5
    canvas, baseline = _drawn(lines, align, shape.leading)
    rgba, box = _shaded(canvas, lines[0].size, shape.strength)
    left, top = _place(style, corner, size, box, lines[-1].size, baseline)
    rgba, left, top = _clipped(rgba, left, top, size)
    used = dict.fromkeys(run.face.path.name for line in lines for run in line.runs)
    return Letters(rgba, left, top, tuple(used), len(lines))


def compose(frame: Frame, letters: Letters, opacity: float = 1.0) -> Frame:
    """Return a copy of an RGB frame with letters laid over it; `opacity` 0 .. 1 fades them.

    Only the rectangle of the letters is touched; at opacity 0 the frame itself comes back.

    Raises:
        ValueError: opacity is not 0 .. 1, or the letters were drawn for a larger frame.
    """
    if not 0.0 <= opacity <= 1.0:
        raise ValueError(f"opacity {opacity} is not 0 .. 1")
    height, width = letters.rgba.shape[:2]
    rows = slice(letters.top, letters.top + height)
    columns = slice(letters.left, letters.left + width)
    if frame.shape[0] < rows.stop or frame.shape[1] < columns.stop:
        raise ValueError(f"letters that end at {columns.stop}, {rows.stop} on {frame.shape}")
    strength = round(opacity * 256)
    if strength == 0:
        return frame
    result = frame.copy()
    layer = letters.rgba if strength == 256 else _faded(letters.rgba, strength)
    mixed = result[rows, columns] * (255 - layer[..., 3:]).astype(np.uint16)
    mixed += np.uint16(255) * layer[..., :3] + np.uint16(128)
    mixed += mixed >> 8  # with the next line: a division by 255, rounded, in 16 bits
    result[rows, columns] = mixed >> 8
    return result


def _faded(rgba: Frame, strength: int) -> Frame:
    return ((rgba * np.uint16(strength) + np.uint16(128)) >> 8).astype(np.uint8)


@dataclass(frozen=True)
class _Line:
    runs: tuple[Run, ...]
    size: float
    width: float
    above: float
    below: float


def _joined(text: str | Sequence[str]) -> str:
    return text if isinstance(text, str) else "\n".join(str(line) for line in text)


def _set(
    pieces: list[Paragraph], shape: _Style, size: float, frame: tuple[int, int]
) -> list[_Line] | None:
    """Break the paragraphs into lines at this type size; None where they do not fit."""
    room = frame[0] * shape.measure
    lines: list[_Line] = []
    for index, piece in enumerate(pieces):
        own = size if index == 0 else max(_SMALLEST, size * shape.further)
        broken = piece.broken(room, functools.partial(_width, size=own))
        if broken is None:
            return None
        lines += [_measured(tuple(runs), own) for runs in broken]
    tall = sum(max(line.size * shape.leading, line.above + line.below) for line in lines)
    return lines if len(lines) <= shape.lines and tall <= shape.height * frame[1] else None


def _measured(runs: tuple[Run, ...], size: float) -> _Line:
    boxes = [
        _font(run.face, size).getbbox(run.text, anchor="ls", direction=_way(run)) for run in runs
    ]
    return _Line(
        runs,
        size,
        sum(_width(run, size) for run in runs),
        max((-box[1] for box in boxes), default=0.0),
        max((box[3] for box in boxes), default=0.0),
    )


@functools.lru_cache(maxsize=4096)
def _width(run: Run, size: float) -> float:
    return float(_font(run.face, size).getlength(run.text, direction=_way(run)))


@functools.lru_cache(maxsize=64)
def _font(face: Face, size: float) -> FreeTypeFont:
    from PIL import ImageFont

    engine = ImageFont.Layout.RAQM if can_shape() else ImageFont.Layout.BASIC
    return ImageFont.truetype(str(face.path), size * face.scale, face.index, layout_engine=engine)


def _way(run: Run) -> str | None:
    """The direction as Pillow calls it; None where it can lay out one alone."""
    return ("rtl" if run.leftward else "ltr") if can_shape() else None


def _drawn(lines: list[_Line], align: float, leading: float) -> tuple[Frame, float]:
    """Return the ink of all lines, float size pixels round, and the last baseline's row in it."""
    from PIL import Image, ImageDraw

    largest = max(line.size for line in lines)
    times = 4 if largest < 64 else 2  # drawn large and reduced: even spacing at any size
    pad = round(largest * 1.5) + 8  # for the shadow and for letters that reach out of their box
    widest = max(line.width for line in lines)
    baselines = [pad + lines[0].above]
    for before, line in itertools.pairwise(lines):
        apart = max(leading * (before.size + line.size) / 2, before.below + line.above)
        baselines.append(baselines[-1] + apart + 0.04 * line.size)
    width = round(widest) + 2 * pad
    height = round(baselines[-1] + lines[-1].below) + pad
    canvas = Image.new("L", (width * times, height * times), 0)
    draw = ImageDraw.Draw(canvas)
    for line, baseline in zip(lines, baselines, strict=True):
        pen = pad + (widest - line.width) * align
        for run in line.runs:
            draw.text(
                (pen * times, baseline * times),
                run.text,
                fill=255,
                font=_font(run.face, line.size * times),
                anchor="ls",
                direction=_way(run),
            )
            pen += _width(run, line.size)
    return np.asarray(canvas.reduce(times)), baselines[-1]


def _shaded(ink: Frame, size: float, strength: float) -> tuple[Frame, tuple[int, int, int, int]]:
    """Return premultiplied RGBA with the shadow beneath, and the box of the ink alone."""
    from PIL import Image, ImageChops, ImageFilter

    image = Image.fromarray(ink)
    box = image.getbbox() or (0, 0, 1, 1)
    near = image.filter(ImageFilter.GaussianBlur(max(0.8, size * 0.035)))
    far = image.filter(ImageFilter.GaussianBlur(max(2.0, size * 0.2)))
    wide = image.filter(ImageFilter.GaussianBlur(max(4.0, size * 0.5)))
    down = ImageChops.offset(near, 0, max(1, round(size * 0.03)))
    letters = ink.astype(np.float32) / 255 * strength
    edge = np.asarray(down, np.float32) / 255
    halo = np.minimum(np.asarray(far, np.float32) / 255 * 1.7, 0.7)
    veil = np.minimum(np.asarray(wide, np.float32) / 255 * 1.5, 0.35)
    shade = (1 - (1 - 0.75 * edge) * (1 - halo) * (1 - veil)) * strength
    alpha = letters + shade * (1 - letters)
    colour = np.multiply.outer(letters, _INK) + np.multiply.outer(shade * (1 - letters), _SHADE)
    rgba = np.rint(np.dstack([colour, alpha * 255])).clip(0, 255).astype(np.uint8)
    return rgba, box


def _place(
    style: str,
    corner: str,
    frame: tuple[int, int],
    box: tuple[int, int, int, int],
    size: float,
    baseline: float,
) -> tuple[int, int]:
    """Where the drawing's upper left corner goes, its ink within the safe part of the frame."""
    width, height = frame
    across, down = round(width * SAFE), round(height * SAFE)
    left = round((width - box[0] - box[2]) / 2)
    if style == "title":
        top = round((height - box[1] - box[3]) / 2)
    elif style == "caption":
        foot = _PHONE if height > 1.3 * width else SAFE
        top = round(height * (1 - foot) - 0.27 * size - baseline)  # baselines agree in a story
    else:
        vertical, side = corner.split("-")
        left = across - box[0] if side == "left" else width - across - box[2]
        top = down - box[1] if vertical == "top" else height - down - box[3]
    left = max(across - box[0], min(left, width - across - box[2]))
    top = max(down - box[1], min(top, height - down - box[3]))
    return left, top


def _clipped(rgba: Frame, left: int, top: int, frame: tuple[int, int]) -> tuple[Frame, int, int]:
    """Cut off what is empty or lies outside the frame."""
    filled = rgba[..., 3] > 0
    rows, columns = np.flatnonzero(filled.any(1)), np.flatnonzero(filled.any(0))
    first, last = max(rows[0], -top), min(rows[-1] + 1, frame[1] - top)
    start, end = max(columns[0], -left), min(columns[-1] + 1, frame[0] - left)
    kept = np.ascontiguousarray(rgba[first:last, start:end])
    return kept, int(left + start), int(top + first)
