"""Chooses the part of a photo that a frame of another shape shows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# A crop may take this share of the photo away; beyond it the frame is extended.
MAX_LOSS = 0.45
_SLACK = 0.05
# The photo itself fills at least this share of the frame's height or width.
_LEAST_OF_FRAME = 0.3
_HINT = 0.3
_NEARLY = 0.985

Window = tuple[float, float, float, float]


class Box(NamedTuple):
    """A box on the photo: left, top, right, bottom, each 0..1 of its width or height."""

    x0: float
    y0: float
    x1: float
    y1: float


def _large_enough(boxes: Sequence[Sequence[float]]) -> list[Sequence[float]]:
    """The faces that must stay: passers-by far smaller than the nearest face may go."""
    tallest = max((box[3] - box[1] for box in boxes), default=0.0)
    return [box for box in boxes if box[3] - box[1] >= 0.3 * tallest]


def _with_room(face: Box) -> Box:
    """A face with room for hair, ears, chin and neck, on the photo; less for a close portrait."""
    across, down = face.x1 - face.x0, face.y1 - face.y0
    room = 1 - 0.8 * min(max(across, down), 1.0)
    return Box(
        min(max(face.x0 - 0.35 * room * across, 0.0), 1.0),
        min(max(face.y0 - 0.7 * room * down, 0.0), 1.0),
        min(max(face.x1 + 0.35 * room * across, 0.0), 1.0),
        min(max(face.y1 + 0.45 * room * down, 0.0), 1.0),
    )


def choose_window(
    size: tuple[int, int],
    ratio: float,
    keep: NDArray[np.float32] | None,
    interest: NDArray[np.float32],
    boxes: Sequence[Sequence[float]],
) -> Window:
    """Choose the window of shape `ratio` (width over height) that a frame shows of a photo.

    `size` (W, H) of the photo, `keep` float32 (h, w) what matters in it, `interest` the same but
    a hint only, that settles where nothing else does; `boxes` faces in 0..1. The window
    (x0, y0, x1, y1) is in photo pixels; it reaches beyond the photo where cutting more would cost
    a face, the subject or too much of the picture.
    """
    wide, tall = size
    faces = [_with_room(Box(*box)) for box in _large_enough(boxes)]
    sideways = ratio < wide / tall
    fits = tall * ratio / wide if sideways else wide / ratio / tall
    if fits > _NEARLY:
        # Even sizes ask for a hair's breadth less than the photo: show it whole.
        return (0.0, 0.0, float(wide), float(tall))
    shown = max(fits, _least_shown(fits, faces, keep, sideways))
    shown = min(shown, fits / _LEAST_OF_FRAME, 1.0)
    start = _best_start(shown, faces, keep, interest, sideways)
    if sideways:
        length = wide * shown
        high = length / ratio
        return (wide * start, (tall - high) / 2, wide * start + length, (tall + high) / 2)
    length = tall * shown
    across = length * ratio
    return ((wide - across) / 2, tall * start, (wide + across) / 2, tall * start + length)


def _least_shown(
    fits: float, faces: list[Box], keep: NDArray[np.float32] | None, sideways: bool
) -> float:
    """The least share of the cut side to show, when a window on the photo shows `fits` of it."""
    least = 0.0 if fits > 1 - MAX_LOSS - _SLACK else 1 - MAX_LOSS
    if faces:
        spans = [(f.x0, f.x1) if sideways else (f.y0, f.y1) for f in faces]
        least = max(least, max(s[1] for s in spans) - min(s[0] for s in spans))
    # Of a person the face matters; of an animal or a thing, all of it.
    share = 0.75 if faces else 0.97
    least = max(least, _compact_span(_weights(keep, sideways), share))
    # A continuation of a few pixels would look like a fault: rather cut those few.
    return least if least > fits + _SLACK / 2 else fits


def _weights(keep: NDArray[np.float32] | None, sideways: bool) -> NDArray[np.float64] | None:
    """How much of what matters lies at each place along the cut side; sums to 1, or None."""
    if keep is None or keep.size == 0:
        return None
    along = np.clip(np.nan_to_num(keep) - 0.25, 0, None).sum(0 if sideways else 1, dtype=np.float64)
    total = float(along.sum())
    return along / total if total > 1e-3 * keep.size else None


def _compact_span(weight: NDArray[np.float64] | None, share: float) -> float:
    """The shortest part of the side with `share` of the subject; 0 when nothing stands out."""
    if weight is None:
        return 0.0
    ends = np.cumsum(weight)
    starts = ends - weight
    reach = np.searchsorted(ends, starts + share * ends[-1] - 1e-9)
    lengths = np.where(reach < len(weight), reach - np.arange(len(weight)) + 1, len(weight))
    span = float(lengths.min()) / len(weight)
    # What fills most of the side anyway is the scene, not a subject in it.
    return min(span + 0.04, 1.0) if span <= 0.8 else 0.0


def _held(
    weight: NDArray[np.float64], starts: NDArray[np.float64], length: float
) -> NDArray[np.float64]:
    """The share of what matters that windows of `length` show, for each of their starts."""
    ends = np.concatenate([[0], np.cumsum(weight)])
    edges = np.linspace(0, 1, len(ends))
    return np.asarray(
        np.interp(starts + length, edges, ends) - np.interp(starts, edges, ends), np.float64
    )


def _best_start(
    length: float,
    faces: list[Box],
    keep: NDArray[np.float32] | None,
    interest: NDArray[np.float32],
    sideways: bool,
) -> float:
    """Where along the cut side (0..1) a window of `length` shows most of what matters."""
    room = 1 - length
    if room <= 1e-6:
        return 0.0
    starts = np.linspace(0, room, 201)
    score = -0.06 * np.square((starts - room / 2) / max(room, 0.2))
    weight = _weights(interest, sideways)
    if weight is not None:
        score += _HINT * _held(weight, starts, length)
    weight = _weights(keep, sideways)
    if weight is not None:
        score += _held(weight, starts, length)
        centre = float((weight * (np.arange(len(weight)) + 0.5)).sum() / len(weight))
        place = (centre - starts) / length
        # A subject sits well at the middle or on a third, badly at the rim.
        off = np.minimum.reduce([abs(place - third) for third in (1 / 3, 1 / 2, 2 / 3)])
        score -= 0.3 * off
    for face in faces:
        low, high = (face.x0, face.x1) if sideways else (face.y0, face.y1)
        cut = np.clip(starts - low, 0, None) + np.clip(high - starts - length, 0, None)
        score -= 10 * cut / max(high - low, 1e-6)
        if not sideways:
            # Eyes a little above the middle: the room belongs below a face, not over it.
            score -= 0.5 * abs((low + high) / 2 - starts - 0.42 * length) / len(faces)
    return float(starts[int(np.argmax(score))])


def whole_pixels(window: Window, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Round a window to whole pixels, and to the photo's border where it nearly lies there."""
    rounded = [math.floor(edge + 0.5) for edge in window]
    for i, limit in enumerate((size[0], size[1]) * 2):
        border = 0 if i < 2 else limit
        if abs(window[i] - border) <= max(1.0, 0.004 * limit):
            rounded[i] = border
    return rounded[0], rounded[1], rounded[2], rounded[3]


def distinct(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """How much each place differs in colour from the whole: float32 (h, w) 0..1, small.

    After "Frequency-tuned salient region detection" (Achanta et al., 2009).
    """
    import cv2

    tall, wide = pixels.shape[:2]
    scale = 96 / max(tall, wide)
    size = max(2, round(wide * scale)), max(2, round(tall * scale))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    lab = cv2.GaussianBlur(cv2.cvtColor(small, cv2.COLOR_RGB2LAB), (0, 0), 1.5)
    away = np.sqrt(np.square(lab - lab.mean((0, 1))).sum(-1))
    return np.asarray(away / max(float(away.max()), 1.0), np.float32)
