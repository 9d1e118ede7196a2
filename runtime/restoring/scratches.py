"""Finds scratches and dust on an old photo, and fills them from beside.

Both are thin or small, much brighter or darker than what they lie on, and lie on what is smooth; a
scratch is a line besides. Whatever is in doubt stays: hair, grass and ropes are lines as well.
Filling follows Telea, "An image inpainting technique based on the fast marching method" (2004).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from ..crop import Box

Pixels: TypeAlias = NDArray[np.uint8]
Floats: TypeAlias = NDArray[np.float32]

_LOOK = 1400  # pixels of the longer side at which damage is looked for
_THIN = 0.006  # of the shorter side: half the widest line
_CLEAR, _TIMES = 16.0, 4.0  # levels above what is around, and times what is usual there
_LONG_BRIGHT, _LONG_DARK = 0.2, 0.5  # of the shorter side
_BENT = 0.03  # of its length that a scratch may leave its curve
_UNEVEN = 0.35  # of its contrast by which the ground may differ between its two sides
_SPECK = 0.02  # of the shorter side: the widest grain of dust
_SMOOTH, _EVEN = 3.0, 0.15  # levels, and share of its contrast, that what is around may vary
_MOST_SPECKS = 300
_PIECE, _AROUND = 1536, 64  # pixels a side that are filled at once, and seen around them
_MOST = 0.06  # of the photo; more is texture


@dataclass(frozen=True)
class Damage:
    """What was found."""

    mask: NDArray[np.bool_]
    """(H, W): what is to be filled."""
    scratches: int
    specks: int


def find_damage(pixels: Pixels, faces: Sequence[Box] = (), *, rim: int = 1) -> Damage:
    """Find scratches and dust on a photo, uint8 RGB (H, W, 3); nothing on faces (0..1) is touched.

    rim: pixels around what is found that are filled with it; JPEG leaves its echo there.

    What would cover more than six hundredths of it is texture and left alone.
    """
    height, width = pixels.shape[:2]
    scale = min(1.0, _LOOK / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA) if scale < 1 else pixels
    luma = cv2.cvtColor(np.asarray(small), cv2.COLOR_RGB2GRAY).astype(np.float32)
    allowed = ~_inside(faces, luma.shape)
    found = np.zeros(luma.shape, np.uint8)
    counts = [0, 0]
    for sign in (1.0, -1.0):
        kinds = _one_sign(sign * luma, allowed, bright=sign > 0)
        for index, mask in enumerate(kinds):
            number, _ = cv2.connectedComponents(mask)
            counts[index] += number - 1
            found |= mask
    if found.mean() > _MOST:
        return Damage(np.zeros((height, width), bool), 0, 0)
    found = np.asarray(cv2.dilate(found, np.ones((2 * rim + 1,) * 2, np.uint8)), np.uint8)
    if scale < 1:
        found = np.asarray(cv2.resize(found, (width, height), interpolation=cv2.INTER_NEAREST))
        reach = 2 * round(1 / scale) + 1
        found = np.asarray(cv2.dilate(found, np.ones((reach, reach), np.uint8)), np.uint8)
    return Damage((found > 0) & ~_inside(faces, (height, width)), counts[0], counts[1])


def fill(pixels: Pixels, damage: Damage) -> Pixels:
    """Fill what was found from beside it; uint8 RGB (H, W, 3) as it came."""
    filled, (height, width) = pixels.copy(), damage.mask.shape
    for top in range(0, height, _PIECE):
        for left in range(0, width, _PIECE):
            inner = slice(top, top + _PIECE), slice(left, left + _PIECE)
            if not damage.mask[inner].any():
                continue
            y, x = max(top - _AROUND, 0), max(left - _AROUND, 0)
            seen = slice(y, top + _PIECE + _AROUND), slice(x, left + _PIECE + _AROUND)
            mask = damage.mask[seen].astype(np.uint8)
            done = cv2.inpaint(np.ascontiguousarray(pixels[seen]), mask, 3, cv2.INPAINT_TELEA)
            filled[inner] = done[top - y :, left - x :][:_PIECE, :_PIECE]
    return filled


def _inside(faces: Sequence[Box], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """(h, w): where faces are, with a rim."""
    high, wide = shape[:2]
    mask = np.zeros((high, wide), np.uint8)
    for box in faces:
        middle = (box.x0 + box.x1) / 2 * wide, (box.y0 + box.y1) / 2 * high
        axes = max(0.62 * (box.x1 - box.x0) * wide, 2), max(0.62 * (box.y1 - box.y0) * high, 2)
        centre, half = (tuple(round(v) for v in pair) for pair in (middle, axes))
        cv2.ellipse(mask, centre, half, 0, 0, 360, 1, -1)
    return mask > 0


def _one_sign(
    luma: Floats, allowed: NDArray[np.bool_], *, bright: bool
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Masks (h, w) of scratches and of dust that are brighter than what they lie on."""
    short = min(luma.shape)
    reach = max(3, round(_THIN * short))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    raised = np.asarray(luma - cv2.morphologyEx(luma, cv2.MORPH_OPEN, kernel), np.float32)
    around = _usual(raised, max(25, round(0.06 * short) | 1))
    strong = raised > np.maximum(_CLEAR, _TIMES * around)
    strong &= allowed
    # A scratch is dotted where the ground is nearly as bright: dots in a row belong together.
    joined = cv2.morphologyEx(strong.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    number, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    lines, specks = np.zeros(luma.shape, np.uint8), np.zeros(luma.shape, np.uint8)
    least = (_LONG_BRIGHT if bright else _LONG_DARK) * short
    widest = max(6.0, _SPECK * short)
    white = float(np.percentile(luma, 98)) - 24
    grains = []
    for index in range(1, number):
        x, y, wide, high, area = (int(value) for value in stats[index])
        extent = max(wide, high)
        if extent < least and extent > widest:
            continue
        part = slice(y, y + high), slice(x, x + wide)
        own = labels[part] == index
        contrast = float(raised[part][own].mean())
        at_end = float(np.quantile(luma[part][own], 0.85)) > white
        if extent >= least:
            thin = area / extent <= max(reach + 2.5, 1.7 * reach)
            plain = thin and at_end and contrast > 25 and _is_line(own)
            if plain and _lies_on(luma, labels == index, part, reach, contrast):
                lines[part][own] = 1
        elif area >= 2 and contrast > 24 and at_end and _alone(luma, own, part, contrast):
            grains.append((part, own))
    if len(grains) <= _MOST_SPECKS:
        for part, own in grains:
            specks[part][own] = 1
    return lines, specks


def _usual(raised: Floats, side: int) -> Floats:
    """What is usual around each place; what stands out counts only so much."""
    limited = np.minimum(raised, 24.0).astype(np.float32)
    return np.asarray(cv2.blur(limited, (side, side), borderType=cv2.BORDER_REFLECT), np.float32)


def _alone(
    luma: Floats, own: NDArray[np.bool_], part: tuple[slice, slice], contrast: float
) -> bool:
    """Whether a speck lies on what is smooth all around it."""
    rim = 4
    rows, columns = part
    top, left = max(rows.start - rim, 0), max(columns.start - rim, 0)
    around = luma[top : rows.stop + rim, left : columns.stop + rim]
    mask = np.zeros(around.shape, np.uint8)
    mask[rows.start - top :, columns.start - left :][: own.shape[0], : own.shape[1]] = own
    ring = around[cv2.dilate(mask, np.ones((5, 5), np.uint8)) == 0]
    return ring.size >= 12 and float(ring.std()) < max(_SMOOTH, _EVEN * contrast)


def _lies_on(
    luma: Floats, own: NDArray[np.bool_], part: tuple[slice, slice], reach: int, contrast: float
) -> bool:
    """Whether the ground goes on under a line, as under a scratch, and does not end at it."""
    rows, columns = part
    upright = rows.stop - rows.start >= columns.stop - columns.start
    if not upright:
        own, luma, (rows, columns) = own.T, luma.T, (columns, rows)
    wide, differ, away = luma.shape[1], [], 2 * reach + 1
    for row in range(rows.start, rows.stop):
        at = np.flatnonzero(own[row, columns])
        if not at.size:
            continue
        first, last = columns.start + int(at[0]), columns.start + int(at[-1])
        left = luma[row, max(first - away, 0) : max(first - 1, 0)]
        right = luma[row, last + 2 : min(last + 1 + away, wide)]
        if left.size and right.size:
            differ.append(abs(float(left.mean() - right.mean())))
    return bool(differ) and float(np.mean(differ)) < _UNEVEN * contrast


def _is_line(own: NDArray[np.bool_]) -> bool:
    """Whether a shape is one long line, straight or softly bent."""
    rows, columns = np.nonzero(own)
    along, across = (rows, columns) if own.shape[0] >= own.shape[1] else (columns, rows)
    length = int(along.max() - along.min()) + 1
    if len(np.unique(along)) < 0.7 * length:
        return False
    place = (along - along.min()) / max(length - 1, 1)
    curve = np.polynomial.Polynomial.fit(place, across, 2)
    left = np.abs(across - curve(place))
    return float(np.percentile(left, 95)) <= max(3.0, _BENT * length)
