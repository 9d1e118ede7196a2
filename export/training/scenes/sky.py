"""Sky, clouds, fog, smoke and steam: what drifts in the air."""

from __future__ import annotations

import cv2
import numpy as np

from .motion import stir
from .world import SKY, WATER, Canvas, fractal, smooth_noise

HALO = 9.0


def cloudy(canvas: Canvas) -> np.ndarray:
    """Paint a made-up sky: a gradient and clouds from wisps to a lid, at any time of day."""
    rng = canvas.rng
    shape = (canvas.height, canvas.width)
    times = (
        ((0.25, 0.45, 0.8), (0.7, 0.82, 0.95)),
        ((0.45, 0.62, 0.85), (0.85, 0.9, 0.95)),
        ((0.3, 0.3, 0.5), (0.95, 0.6, 0.35)),
        ((0.15, 0.15, 0.35), (0.8, 0.45, 0.5)),
        ((0.55, 0.57, 0.6), (0.8, 0.81, 0.82)),
        ((0.02, 0.03, 0.08), (0.1, 0.12, 0.25)),
    )
    zenith, horizon = (np.array(c) + rng.normal(0, 0.06, 3) for c in times[rng.integers(6)])
    t = np.clip(canvas.yy / canvas.height / rng.uniform(0.4, 1.1), 0, 1)[..., None]
    picture = np.clip(zenith * (1 - t) + horizon * t, 0, 1).astype(np.float32)
    if rng.random() < 0.75:
        shapes = fractal(rng, shape, rng.uniform(1.5, 4), 6, rng.uniform(1, 3.5))
        cover = np.clip((shapes - rng.uniform(0.25, 0.65)) * rng.uniform(2, 7), 0, 1)
        lit = 0.7 + 0.3 * np.clip((shapes - np.roll(shapes, 4, 0)) * 8 + 0.5, 0, 1)
        white = np.clip(horizon * rng.uniform(0.2, 1) + rng.uniform(0.2, 0.7), 0, 1.05)
        cover = (cover * rng.uniform(0.3, 1))[..., None]
        picture += cover * (lit[..., None] * white.astype(np.float32) - picture)
    if rng.random() < 0.15:
        x, y = rng.uniform(0, canvas.width), rng.uniform(0, 0.5) * canvas.height
        glow = np.exp(-np.hypot(canvas.xx - x, canvas.yy - y) / rng.uniform(6, 50))[..., None]
        picture += glow * np.array([1, 0.9, 0.7], np.float32)
    return np.clip(picture, 0, 1).astype(np.float32)


def sky(canvas: Canvas, alpha: np.ndarray, picture: np.ndarray | None = None) -> None:
    """Fill `alpha` with a sky; clouds drift with the wind, faster overhead than at the horizon."""
    rng = canvas.rng
    if picture is None:
        known = canvas.library.has("sky") and rng.random() < 0.5
        picture = canvas.texture("sky")[0] if known else cloudy(canvas)
    motion, drift = sky_motion(canvas, picture)
    canvas.paint(alpha, picture, SKY, motion, drift)


def sky_motion(canvas: Canvas, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Spectrum and drift of a sky that looks like `picture`: clear blue has little to move."""
    rng = canvas.rng
    grey = canvas.half(np.ascontiguousarray(picture[..., 1]))
    detail = np.abs(grey - cv2.GaussianBlur(grey, (0, 0), HALO))
    seen = np.clip(cv2.GaussianBlur(detail, (0, 0), HALO) / 0.02, 0.15, 1)
    speed = rng.choice((-1.0, 1.0)) * rng.uniform(3, 13) * canvas.wind.strength
    overhead = 1.15 - 0.6 * np.clip(canvas.v / canvas.v.max(), 0, 1)
    along = speed * overhead * (1 + 0.15 * canvas.noise(3, 4)) * seen
    up = 0.12 * abs(speed) * canvas.noise(3, 4) * seen
    motion = stir(canvas, 1.0) * seen[..., None, None]
    return motion, np.stack([along, up], -1).astype(np.float32)


def fog(canvas: Canvas) -> None:
    """Fog or low cloud over the scene, thick enough in places to hide it and drift by itself."""
    rng = canvas.rng
    shape = (canvas.height, canvas.width)
    banks = fractal(rng, shape, rng.uniform(1.5, 4), 5, rng.uniform(1.5, 4))
    level = rng.uniform(0.1, 0.8)
    reach = np.exp(-(((canvas.yy / canvas.height - level) / rng.uniform(0.12, 0.6)) ** 2))
    alpha = np.clip(reach * (0.35 + banks * rng.uniform(0.6, 1.4)), 0, rng.uniform(0.75, 1))
    # Water mirrors the air: fog never turns a lake to sky unless it hides it.
    cells = canvas.classes == WATER
    colour = np.clip(rng.uniform(0.45, 0.95) + rng.normal(0, 0.04, 3), 0, 1)
    shade = 0.88 + 0.2 * fractal(rng, shape, 3, 4)[..., None]
    drift = np.zeros((canvas.h, canvas.w, 2), np.float32)
    speed = rng.choice((-1.0, 1.0)) * rng.uniform(2, 9) * canvas.wind.strength
    drift[..., 0] = speed * (1 + 0.2 * canvas.noise(3, 4))
    drift[..., 1] = 0.2 * speed * canvas.noise(3, 4)
    canvas.image += alpha[..., None] * (np.clip(colour * shade, 0, 1) - canvas.image)
    part = canvas.half(alpha.astype(np.float32))
    canvas.spectrum *= np.clip(1 - part, 0, 1)[..., None, None]
    canvas.mark((part > np.where(cells, 0.8, 0.7)), SKY, stir(canvas, 1.5), drift)


def smoke(canvas: Canvas, x: float, y: float, tall: float, *, steam: bool = False) -> None:
    """A plume rising from pixels (x, y): smoke of a chimney or fire, or steam of a cup."""
    rng = canvas.rng
    shape = (canvas.height, canvas.width)
    t = np.clip((y - canvas.yy) / tall, 0, 1.2)
    wide = canvas.short * (0.008 + t * rng.uniform(0.04, 0.22))
    curl = smooth_noise(rng, (canvas.height, 4), 7, 2)[:, :1] * t * canvas.short * 0.06
    centre = x + curl + canvas.wind.angle * rng.uniform(0.5, 4) * t * tall
    alpha = np.exp(-(((canvas.xx - centre) / wide) ** 2)) * (canvas.yy < y)
    alpha *= np.clip(1.15 - t, 0, 1) * np.clip(t * 8, 0, 1)
    alpha *= np.clip(0.15 + fractal(rng, shape, 5, 5) * 1.15, 0, 1) * rng.uniform(0.5, 1.0)
    light = rng.uniform(0.65, 1) if steam or rng.random() < 0.7 else rng.uniform(0.05, 0.3)
    canvas.image += alpha[..., None] * (np.float32(light) - canvas.image)
    speed = rng.uniform(8, 30) * canvas.wind.strength * (0.6 if steam else 1)
    drift = np.zeros((canvas.h, canvas.w, 2), np.float32)
    drift[..., 1] = -speed * (1 + 0.2 * canvas.noise(4, 4))
    drift[..., 0] = speed * (np.tan(canvas.wind.angle) + 0.25 * canvas.noise(5, 5))
    covered = canvas.half(alpha.astype(np.float32)) > 0.18
    canvas.mark(covered, SKY, stir(canvas, 3.0, 0.5, 6), drift)
