"""Cloth that hangs or flies: flags, curtains, washing on a line, scarves."""

from __future__ import annotations

import cv2
import numpy as np

from .masks import box
from .motion import travelling
from .world import CLOTH, STATIC, Canvas, smooth_noise


def weave(canvas: Canvas, across: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Picture of cloth: plain, striped, checked or photographed, with folds along `across` 0..1."""
    rng = canvas.rng
    shape = (canvas.height, canvas.width)
    lean = across + 0.15 * smooth_noise(rng, shape, 3, 3) + down * rng.normal(0, 0.2)
    folds = np.sin(lean * rng.uniform(4, 16) * np.pi) * rng.uniform(0.06, 0.28)
    folds += smooth_noise(rng, shape, 4, 8) * 0.05
    colour = rng.uniform(0.08, 1, 3)
    pick = rng.random()
    if pick < 0.4:
        base = np.broadcast_to(colour, (*shape, 3))
    elif pick < 0.75:
        bands = int(rng.integers(2, 14))
        where = down if rng.random() < 0.5 else across
        colours = rng.uniform(0.05, 1, (min(bands, 4), 3))
        base = colours[(np.clip(where, 0, 0.999) * bands).astype(int) % len(colours)]
    elif pick < 0.88:
        n = rng.uniform(4, 20)
        check = ((across * n).astype(int) + (down * n).astype(int)) % 2
        base = np.where(check[..., None] == 0, colour, rng.uniform(0.3, 1, 3))
    else:
        base = canvas.texture(str(rng.choice(("still", "fur"))))[0]
    return np.clip(base * (1 + folds[..., None]), 0, 1).astype(np.float32)


def flag(canvas: Canvas) -> None:
    """A flag on its pole: free at the far end, waves run away from the pole."""
    rng = canvas.rng
    long = rng.uniform(0.15, 0.6) * canvas.short
    tall = long * rng.uniform(0.45, 0.9)
    x, y = rng.uniform(0.05, 0.95) * canvas.width, rng.uniform(0, 0.5) * canvas.height
    side = rng.choice((-1.0, 1.0))
    t = (canvas.xx - x) * side / long
    wavy = np.sin(t * rng.uniform(3, 8) + rng.uniform(0, 6)) * np.clip(t, 0, 1) * tall * 0.07
    droop = np.clip(t, 0, 1) * rng.uniform(0, 0.35) * tall
    down = (canvas.yy - y - wavy - droop) / tall
    alpha = ((t > 0) & (t < 1) & (down > 0) & (down < 1)).astype(np.float32)
    alpha = cv2.GaussianBlur(alpha, (0, 0), 0.6)
    held = np.clip(t[::2, ::2], 0, 1) ** 0.8
    motion = travelling(
        canvas,
        rng.uniform(6, 11) * np.clip(long / canvas.short / 0.4, 0.4, 1.1),
        held,
        along=(side * rng.uniform(8, 18), rng.normal(0, 2)),
        natural=rng.uniform(0.7, 1.6),
        angle=rng.uniform(0.7, 1.3),
    )
    pole = box(canvas, x - 1 - rng.uniform(0, 1.5), y - 0.1 * tall, x + 1, canvas.height + 2)
    canvas.paint(pole, rng.uniform(0.1, 0.9, 3), STATIC, share=0.4)
    canvas.paint(alpha, weave(canvas, t, down), CLOTH, motion)


def curtain(canvas: Canvas) -> None:
    """A curtain or a sheet hung up by its upper edge; it stirs at the hem."""
    rng = canvas.rng
    left = rng.uniform(-0.1, 0.8) * canvas.width
    right = left + rng.uniform(0.12, 0.6) * canvas.width
    top = rng.uniform(-0.1, 0.3) * canvas.height
    hem = top + rng.uniform(0.35, 1.0) * canvas.height
    edge = smooth_noise(rng, (canvas.height, 4), 4, 2)[:, :1] * 4
    scallop = smooth_noise(rng, (4, canvas.width), 2, 7)[:1] * 3
    alpha = box(canvas, left, top, right, hem) if rng.random() < 0.3 else None
    if alpha is None:
        inside = (canvas.xx > left + edge) & (canvas.xx < right - edge)
        inside &= (canvas.yy > top) & (canvas.yy < hem + scallop)
        alpha = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), 0.6)
    across = (canvas.xx - left) / (right - left)
    down = (canvas.yy - top) / (hem - top)
    motion = travelling(
        canvas,
        rng.uniform(2.5, 7),
        np.clip(down[::2, ::2], 0, 1) ** 1.4,
        along=(rng.normal(0, 6), rng.normal(0, 2)),
        natural=rng.uniform(0.4, 0.9),
        angle=rng.normal(0, 0.3),
    )
    canvas.paint(alpha, weave(canvas, across, down), CLOTH, motion)


def washing(canvas: Canvas) -> None:
    """Pieces of cloth pegged to a line."""
    rng = canvas.rng
    y, sag = rng.uniform(0.1, 0.45) * canvas.height, rng.uniform(0, 0.1) * canvas.height
    line = y + sag * (1 - (2 * canvas.xx / canvas.width - 1) ** 2)
    canvas.paint(np.clip(1 - np.abs(canvas.yy - line), 0, 1), rng.uniform(0, 0.6, 3), STATIC)
    x = rng.uniform(0, 0.15) * canvas.width
    while x < canvas.width * 0.95:
        wide, tall = rng.uniform(0.06, 0.25, 2) * (canvas.width, 1.6 * canvas.height)
        across, down = (canvas.xx - x) / wide, (canvas.yy - line) / tall
        alpha = ((across > 0) & (across < 1) & (down > 0) & (down < 1)).astype(np.float32)
        motion = travelling(
            canvas,
            rng.uniform(4, 8),
            np.clip(down[::2, ::2], 0, 1) ** 1.2,
            along=(rng.normal(0, 5), rng.normal(0, 3)),
            natural=rng.uniform(0.5, 1.1),
            angle=rng.normal(0, 0.35),
        )
        canvas.paint(
            cv2.GaussianBlur(alpha, (0, 0), 0.6), weave(canvas, across, down), CLOTH, motion
        )
        x += wide + rng.uniform(0.02, 0.15) * canvas.width
