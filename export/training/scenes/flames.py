"""Flames: candles, torches, a fire of logs, with their glow."""

from __future__ import annotations

import cv2
import numpy as np

from .masks import box
from .motion import rigid, stir
from .world import FLAME, STATIC, Canvas, smooth_noise


def glow(canvas: Canvas, x: float, y: float, reach: float, strength: float) -> None:
    """Light the surroundings of a flame warmly, without ever burning them out."""
    light = np.exp(-((canvas.xx - x) ** 2 + (canvas.yy - y) ** 2) / (2 * reach**2))[..., None]
    warm = light * strength * np.array([1.0, 0.65, 0.3], np.float32)
    canvas.image += warm * np.clip(1 - canvas.image, 0, 1)


def tongue(
    canvas: Canvas, x: float, foot: float, wide: float, tall: float, flicker: np.ndarray
) -> None:
    """One flame standing on pixel row `foot`, held at the wick and free at the tip.

    flicker (h, w, 8, 4) is the part of the motion that the flames of a scene share out.
    """
    rng = canvas.rng
    t = (foot - canvas.yy) / tall
    lean = smooth_noise(rng, (canvas.height, 4), 5, 2)[:, :1] * wide * 0.4 * np.clip(t, 0, 1)
    girth = np.sqrt(np.clip(t, 0, 1)) * np.clip(1 - t, 0, 1) ** 0.9 * 2.6
    r = np.abs(canvas.xx - x - lean) / (wide * girth + 1e-3)
    alpha = np.clip((1 - r) * wide * girth, 0, 1) * ((t > 0) & (t < 1))
    if alpha.max() < 0.05:
        return
    core = np.clip(1.2 - r - 0.4 * t, 0, 1)[..., None]
    picture = np.array([1, 0.98, 0.82]) * core + np.array([1, 0.55, 0.12]) * (1 - core)
    rms = rng.uniform(5, 11)
    motion = rigid(canvas, rms, x / canvas.short, foot / canvas.short, rng.uniform(1.2, 2.0))
    profile = np.clip(t[::2, ::2], 0, 1) ** 1.1
    alpha = cv2.GaussianBlur(alpha.astype(np.float32), (0, 0), 0.5)
    cells = canvas.paint(alpha, picture, FLAME, share=0.35)
    moved = (motion + rms * flicker[cells]) * profile[cells][:, None, None]
    canvas.spectrum[cells] = moved


def blaze(canvas: Canvas, x: float, foot: float, wide: float, tall: float) -> None:
    """A fire burning as one: ragged, torn upwards, white at the heart and red at the edges."""
    rng = canvas.rng
    shape = (canvas.height, canvas.width)
    rows = 2.5 * canvas.height / tall
    torn = smooth_noise(rng, shape, rows, 4 * canvas.width / wide)
    torn += 0.6 * smooth_noise(rng, shape, rows * 2, 9 * canvas.width / wide)
    t = (foot - canvas.yy) / tall
    body = 1.15 - np.clip(t, 0, None) - ((canvas.xx - x) / wide) ** 2 * (1 + 2 * np.clip(t, 0, 1))
    heat = body + 0.35 * torn * np.clip(t * 2, 0.1, 1)
    alpha = np.clip(heat * rng.uniform(2, 5), 0, 1) * np.clip((t + 0.03) * 20, 0, 1)
    heat = np.clip(heat, 0, 1)[..., None]
    picture = np.array([1.0, 0.35, 0.05]) * (1 - heat) + np.array([1.0, 0.95, 0.65]) * heat
    held = np.clip(t[::2, ::2], 0.05, 1)[..., None, None]
    motion = stir(canvas, rng.uniform(6, 11), rng.uniform(1.2, 2.0), 10) * held
    alpha = cv2.GaussianBlur(alpha.astype(np.float32), (0, 0), 0.6)
    canvas.paint(alpha, picture, FLAME, motion.astype(np.float32), share=0.4)


def candles(canvas: Canvas) -> None:
    """One to a dozen candles, dark around, wax and holders still."""
    rng = canvas.rng
    canvas.image *= rng.uniform(0.25, 0.85)
    flicker = stir(canvas, 0.35, 1.6, 14)
    count = int(rng.integers(1, 4) if rng.random() < 0.6 else rng.integers(4, 13))
    size = canvas.short * rng.uniform(0.015, 0.055) * (2.0 if count < 4 else 1)
    for y in np.sort(rng.uniform(0.35, 0.95, count)) * canvas.height:
        x, wide = rng.uniform(0.05, 0.95) * canvas.width, size * rng.uniform(0.8, 1.2)
        tall = wide * rng.uniform(3.0, 5.0)
        glow(
            canvas, x, y - tall / 2, tall * rng.uniform(1.5, 4), rng.uniform(0.2, 0.6) / count**0.5
        )
        if rng.random() < 0.8:
            body = box(canvas, x - wide * 1.3, y, x + wide * 1.3, y + wide * rng.uniform(3, 14))
            fade = np.exp(-np.clip(canvas.yy - y, 0, None) / (6 * wide))[..., None]
            wax = rng.uniform(0.45, 1, 3) * (0.35 + 0.65 * fade)
            canvas.paint(body, wax, STATIC)
        tongue(canvas, x, y, wide, tall, flicker)


def fire(canvas: Canvas) -> None:
    """A fire of logs or in a hearth."""
    rng = canvas.rng
    canvas.image *= rng.uniform(0.25, 0.9)
    x, foot = rng.uniform(0.2, 0.8) * canvas.width, rng.uniform(0.6, 0.95) * canvas.height
    size = canvas.short * rng.uniform(0.25, 0.8)
    flicker = stir(canvas, 0.35, 1.6, 14)
    glow(canvas, x, foot - size / 2, size * 1.5, rng.uniform(0.3, 0.8))
    for _ in range(int(rng.integers(3, 7))):
        a, b = rng.normal(0, 0.5 * size, 2)
        ends = ((int(x + a), int(foot + size * 0.1)), (int(x + b), int(foot - size * 0.05)))
        log = np.zeros((canvas.height, canvas.width), np.float32)
        cv2.line(log, ends[0], ends[1], 1.0, max(2, int(size * 0.09)))
        canvas.paint(log, canvas.texture("bark", least=0.2)[0] * 0.4, STATIC)
    if rng.random() < 0.6:
        blaze(canvas, x, foot, size * rng.uniform(0.3, 0.7), size * rng.uniform(0.7, 1.3))
    for _ in range(int(rng.integers(2, 12))):
        at = x + rng.normal(0, 0.28) * size
        tall = size * rng.uniform(0.35, 1.0) * np.exp(-(((at - x) / (0.5 * size)) ** 2))
        tongue(canvas, at, foot, size * rng.uniform(0.07, 0.16), tall, flicker)
