"""Whole real photographs with a label map: their labelled regions are given motion."""

from __future__ import annotations

import cv2
import numpy as np

from ..textures import UNKNOWN, LabelledPhoto
from .motion import stir, sway, travelling
from .plants import leaf_frequency, leaf_rms
from .sky import sky_motion
from .water import water_motion
from .world import CLOTH, FLAME, PLANT, SKY, WATER, Canvas, tint


def real_photo(canvas: Canvas, photo: LabelledPhoto) -> None:
    """Show a random crop of `photo` and move each region as its class does at that scale."""
    rng = canvas.rng
    size = rng.uniform(0.45, 1.0) if rng.random() < 0.75 else 1.0
    pixels, labels, magnified = window(canvas, photo, size)
    canvas.image = tint(rng, pixels.astype(np.float32) / 255, rng.uniform(0.5, 2.5))
    half = labels[::2, ::2]
    canvas.valid = half != UNKNOWN
    canvas.classes = np.where(canvas.valid, half, 0).astype(np.uint8)
    near = photo.near * magnified
    if (half == PLANT).any():
        cells = half == PLANT
        motion = plant_motion(canvas, cells, near)
        canvas.mark(cells, PLANT, motion)
    if (half == WATER).any():
        cells = half == WATER
        top = np.nonzero(cells.any(1))[0].min()
        rows = np.arange(canvas.h, dtype=np.float32)[:, None]
        depth = np.clip(0.3 + 0.7 * (rows - top) / max(8, canvas.h - top), 0.3, 1)
        depth = np.broadcast_to(depth, (canvas.h, canvas.w))
        kind = "river" if photo.flow > 1.3 else "lake" if photo.flow < 0.4 else "sea"
        canvas.mark(cells, WATER, *water_motion(canvas, depth, photo.flow, kind))
    if (half == SKY).any():
        canvas.mark(half == SKY, SKY, *sky_motion(canvas, canvas.image))
    if (half == CLOTH).any():
        cells = half == CLOTH
        rms = rng.uniform(2.5, 7) * np.clip(near, 0.3, 1.2)
        motion = travelling(
            canvas,
            float(rms),
            free_end(cells),
            along=(rng.normal(0, 4), rng.normal(0, 4)),
            natural=rng.uniform(0.5, 1.2),
            angle=canvas.wind.angle,
        )
        canvas.mark(cells, CLOTH, motion)
    if (half == FLAME).any():
        cells = half == FLAME
        motion = sway(canvas, rng.uniform(5, 9), cells=12, jitter=0.8, natural=1.7)
        motion += stir(canvas, 2.0, 1.6, 14)
        tips = free_end(cells[::-1])[::-1]  # a flame is held below and free above
        canvas.mark(cells, FLAME, motion * tips[..., None, None])


def plant_motion(canvas: Canvas, cells: np.ndarray, near: float) -> np.ndarray:
    """Sway of leaves at the photograph's scale, less where they meet what stands still."""
    rng = canvas.rng
    inside = cv2.distanceTransform(cells.astype(np.uint8), cv2.DIST_L2, 3)
    hold = np.clip(0.75 + 0.25 * inside / 4, 0, 1)
    return sway(
        canvas,
        leaf_rms(canvas, near) * hold,
        cells=float(np.clip(rng.uniform(4, 8) / np.clip(near, 0.3, 1.3), 3, 14)),
        jitter=rng.uniform(0.35, 0.65),
        natural=leaf_frequency(canvas, near),
    )


def free_end(cells: np.ndarray) -> np.ndarray:
    """How free each cell is, 0..1: the farther down its column's run it lies, the freer."""
    run = np.cumsum(cells, 0)
    total = np.maximum(1, cells.sum(0, keepdims=True))
    return np.clip(0.3 + 0.7 * run / total, 0, 1).astype(np.float32)


def window(
    canvas: Canvas, photo: LabelledPhoto, size: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """The same random crop, perhaps flipped, of pixels and labels, at the scene's size.

    The third value says how much larger things look in it than in the whole photograph.
    """
    rng = canvas.rng
    rows, columns = photo.labels.shape
    aspect = canvas.height / canvas.width
    tall = int(min(rows, columns * aspect) * size)
    wide = min(columns, int(tall / aspect))
    top, left = rng.integers(rows - tall + 1), rng.integers(columns - wide + 1)
    part = np.s_[top : top + tall, left : left + wide]
    shape = (canvas.width, canvas.height)
    method = cv2.INTER_AREA if tall > canvas.height else cv2.INTER_LINEAR
    pixels = cv2.resize(photo.pixels[part], shape, interpolation=method)
    labels = cv2.resize(photo.labels[part], shape, interpolation=cv2.INTER_NEAREST)
    if rng.random() < 0.5:
        pixels, labels = pixels[:, ::-1], labels[:, ::-1]
    if rng.random() < 0.5:
        # Turned and stretched a little, and magnified so far that no corner is missing.
        matrix = cv2.getRotationMatrix2D((shape[0] / 2, shape[1] / 2), rng.normal(0, 4), 1.14)
        matrix[:, :2] *= rng.uniform(0.94, 1.12, (2, 1))
        middle = np.array(shape) / 2
        matrix[:, 2] = middle - matrix[:, :2] @ middle
        pixels = cv2.warpAffine(pixels, matrix, shape, borderMode=cv2.BORDER_REFLECT)
        labels = cv2.warpAffine(
            labels, matrix, shape, flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT
        )
    magnified = min(rows, columns) / min(tall, wide)
    return np.ascontiguousarray(pixels), np.ascontiguousarray(labels), magnified
