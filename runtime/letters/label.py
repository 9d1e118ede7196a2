"""A small caption burnt into a corner of every frame, so that a film says what it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .lettering import Corner, Letters, compose, draw_text

Frame = npt.NDArray[np.uint8]
Box = tuple[float, float, float, float]

DEFAULT_LABEL = "Animated from a photograph by AI"
"""What `--label` says without words of its own."""

_TOLD = "; label: "
_CORNERS: tuple[Corner, ...] = ("bottom-right", "bottom-left", "top-right", "top-left")


def label_frames(
    frames: Iterable[Frame],
    text: str,
    size: tuple[int, int],
    *,
    faces: Sequence[Box] = (),
    font: Path | None = None,
) -> Iterator[Frame]:
    """Yield the frames with a label in the corner that hides least of any face.

    Args:
        frames: uint8 RGB (height, width, 3).
        text: the label; one or two short lines.
        size: (width, height) of a frame in pixels.
        faces: left, top, right, bottom of each face, in pixels of the frame.
        font: a font file for characters that the fonts that ship do not have.

    Raises:
        SettingsError: the text cannot be drawn; at once, before the first frame is asked for.
    """
    letters = draw_label(text, size, faces=faces, font=font)
    return (compose(frame, letters) for frame in frames)


def draw_label(
    text: str,
    size: tuple[int, int],
    *,
    faces: Sequence[Box] = (),
    font: Path | None = None,
) -> Letters:
    """Draw a label where it hides least of the faces: at the foot first, right before left."""
    drawn = [draw_text(text, size=size, style="label", font=font, corner=c) for c in _CORNERS[:1]]
    if _hidden(drawn[0], faces) > 0:
        drawn += [
            draw_text(text, size=size, style="label", font=font, corner=c) for c in _CORNERS[1:]
        ]
    return min(drawn, key=lambda letters: _hidden(letters, faces))


def _hidden(letters: Letters, faces: Sequence[Box]) -> float:
    """Pixels of faces beneath the label's rectangle."""
    height, width = letters.rgba.shape[:2]
    right, bottom = letters.left + width, letters.top + height
    covered = (
        max(0.0, min(right, box[2]) - max(letters.left, box[0]))
        * max(0.0, min(bottom, box[3]) - max(letters.top, box[1]))
        for box in faces
    )
    return float(sum(covered))


def with_label(comment: str, label: str | None) -> str:
    """Return a container's comment that also tells the label burnt into the film."""
    return comment if label is None else comment + _TOLD + " ".join(label.split())


def told_label(comment: str | None) -> str | None:
    """Return the label that a container's comment tells of (see `with_label`), None without."""
    _, found, label = (comment or "").partition(_TOLD)
    return label if found else None
