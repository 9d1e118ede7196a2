"""Masks of shapes on a canvas, (H, W) float32 0..1, with soft edges."""

from __future__ import annotations

import numpy as np

from .world import Canvas, smooth_noise


def below(canvas: Canvas, level: float, roughness: float = 0.0, bumps: float = 4) -> np.ndarray:
    """Mask of what lies below a line at `level` of the height, uneven by `roughness` of it."""
    line = np.full((1, canvas.width), level * canvas.height, np.float32)
    for octave in range(4):
        part = smooth_noise(canvas.rng, (2, canvas.width), 2, bumps * 2**octave)[:1]
        line += part * (roughness * canvas.height * 0.5**octave)
    return np.clip(canvas.yy - line + 0.5, 0, 1)


def box(canvas: Canvas, left: float, top: float, right: float, bottom: float) -> np.ndarray:
    """Mask of a box given in pixels, with a soft edge of one pixel."""
    across = np.clip(np.minimum(canvas.xx - left, right - canvas.xx) + 0.5, 0, 1)
    return across * np.clip(np.minimum(canvas.yy - top, bottom - canvas.yy) + 0.5, 0, 1)


def blob(
    canvas: Canvas,
    x: float,
    y: float,
    half_width: float,
    half_height: float,
    *,
    ragged: float = 0.2,
    power: float = 2.0,
    bumps: float = 6,
) -> np.ndarray:
    """Mask of an uneven round thing centred at pixels (x, y); power 8 makes it nearly a box."""
    radius = np.abs((canvas.xx - x) / half_width) ** power
    radius += np.abs((canvas.yy - y) / half_height) ** power
    if ragged:
        cells = bumps * canvas.height / max(8.0, 2 * half_height)
        aspect = canvas.width / canvas.height
        shape = (canvas.height, canvas.width)
        uneven = smooth_noise(canvas.rng, shape, cells, cells * aspect)
        uneven += 0.6 * smooth_noise(canvas.rng, shape, cells * 3, cells * 3 * aspect)
        radius += ragged * uneven
    edge = min(half_width, half_height) * 0.5
    return np.clip((1 - radius) * edge + 0.5, 0, 1).astype(np.float32)
