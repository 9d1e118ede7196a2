"""Scenes in the open: land, shores, rivers, falls, wide skies."""

from __future__ import annotations

import numpy as np

from . import people, plants, sky, still, water
from .front import branch, near_stalks
from .masks import below
from .world import STATIC, Canvas, fractal


def far_side(canvas: Canvas, horizon: float) -> None:
    """What stands along the horizon: hills, woods, towers, trees."""
    rng = canvas.rng
    if rng.random() < 0.55:
        level = horizon - rng.uniform(0.02, 0.25)
        alpha = below(canvas, level, rng.uniform(0.02, 0.1), rng.uniform(2, 9))
        if rng.random() < 0.5:
            picture = canvas.texture(str(rng.choice(("ground", "still", "bark"))))[0]
            haze = rng.uniform(0, 0.6)
            picture = picture * (1 - haze) + haze * np.array([0.6, 0.68, 0.78])
            canvas.paint(alpha, np.clip(picture, 0, 1), STATIC)
        else:
            plants.woods(canvas, alpha)
    if rng.random() < 0.3:
        still.skyline(canvas, horizon + 0.01)
    for _ in range(int(rng.integers(1, 5)) if rng.random() < 0.3 else 0):
        tall = rng.uniform(0.1, 0.6) * canvas.height
        foot = (horizon + rng.uniform(0, 0.15)) * canvas.height
        plants.tree(canvas, rng.uniform(0, canvas.width), foot, tall)


def landscape(canvas: Canvas) -> None:
    """Land under a sky: grass, soil or rock up to a horizon, and what stands on it."""
    rng = canvas.rng
    horizon = rng.uniform(0.12, 0.7)
    sky.sky(canvas, canvas.full_mask())
    far_side(canvas, horizon)
    near = below(canvas, horizon, rng.choice((0, 0.01, 0.04)), 4)
    pick = rng.random()
    if pick < 0.4:
        plants.meadow(canvas, near, horizon, "grass" if rng.random() < 0.75 else "plant")
        if rng.random() < 0.35:
            track, _ = water.river_mask(canvas)
            still.ground(canvas, track * near, horizon)
    elif pick < 0.75:
        still.ground(canvas, near, horizon)
        if rng.random() < 0.3:
            tufts = near * (fractal(rng, near.shape, 4, 4) > rng.uniform(0.5, 0.75))
            plants.meadow(canvas, tufts.astype(np.float32), horizon)
    else:
        still.surface(canvas, near)
    foreground(canvas, horizon)


def foreground(canvas: Canvas, horizon: float) -> None:
    """At times stones, animals, people, a fence, stalks, a twig, a trunk or fog."""
    rng = canvas.rng
    if rng.random() < 0.2:
        water.stones(canvas, int(rng.integers(1, 7)), horizon + 0.05)
    if rng.random() < 0.18:
        still.creature(canvas)
    if rng.random() < 0.15:
        for _ in range(int(rng.integers(1, 5))):
            foot = rng.uniform(horizon + 0.05, 1.0) * canvas.height
            people.figure(canvas, foot, rng.uniform(0.08, 0.35) * canvas.height)
    if rng.random() < 0.1:
        still.fence(canvas)
    if rng.random() < 0.25:
        near_stalks(canvas)
    if rng.random() < 0.12:
        branch(canvas)
    if rng.random() < 0.08:
        plants.trunk(canvas)
    if rng.random() < 0.1:
        sky.fog(canvas)


def waterside(canvas: Canvas) -> None:
    """Sea or lake up to a horizon, with boats, rocks, a jetty or a shore at times."""
    rng = canvas.rng
    horizon = rng.uniform(0.08, 0.6)
    sky.sky(canvas, canvas.full_mask())
    far_side(canvas, horizon)
    kind = str(rng.choice(("sea", "lake")))
    water.water(canvas, below(canvas, horizon, rng.choice((0, 0, 0.01)), 3), horizon, kind)
    if rng.random() < 0.3:
        x, y = rng.uniform(0.1, 0.9) * canvas.width, rng.uniform(horizon + 0.02, 0.95)
        near = np.clip((y - horizon) / (1 - horizon), 0.05, 1)
        long = canvas.short * near * rng.uniform(0.1, 0.4)
        water.boat(canvas, x, y * canvas.height, max(5.0, long))
    if rng.random() < 0.3:
        water.stones(canvas, int(rng.integers(1, 9)), horizon)
    if rng.random() < 0.12:
        water.pier(canvas, horizon)
    if rng.random() < 0.4:  # the near shore
        shore = below(canvas, rng.uniform(horizon + 0.2, 1.05), rng.uniform(0.01, 0.08), 4)
        if rng.random() < 0.6:
            still.ground(canvas, shore, horizon)
        else:
            plants.meadow(canvas, shore, horizon, "grass")
    foreground(canvas, horizon)


def river(canvas: Canvas) -> None:
    """A river seen obliquely from its bank, with banks of grass, stones or leaves."""
    rng = canvas.rng
    alpha, top = water.river_mask(canvas)
    sky.sky(canvas, canvas.full_mask())
    if rng.random() < 0.8:
        plants.woods(canvas, below(canvas, top - rng.uniform(0.02, 0.5), 0.06, 6))
    banks = below(canvas, top - 0.02, 0.02, 5)
    if rng.random() < 0.5:
        plants.meadow(canvas, banks, top, str(rng.choice(("grass", "plant"))))
    else:
        still.ground(canvas, banks, top)
    water.water(canvas, alpha, top, "river")
    if rng.random() < 0.6:
        water.stones(canvas, int(rng.integers(2, 12)), top)
    foreground(canvas, top)


def fall(canvas: Canvas) -> None:
    """Water falling over rocks into a pool."""
    rng = canvas.rng
    still.surface(canvas, canvas.full_mask())
    canvas.paint(canvas.full_mask(), canvas.texture("ground")[0] * rng.uniform(0.4, 0.9), STATIC)
    if rng.random() < 0.6:
        plants.woods(canvas, 1 - below(canvas, rng.uniform(0.1, 0.4), 0.06, 6))
    foot = rng.uniform(0.5, 0.9)
    for _ in range(int(rng.integers(1, 4))):
        top = rng.uniform(-0.1, foot - 0.2) * canvas.height
        wide = rng.uniform(0.02, 0.15) * canvas.width
        x = rng.uniform(0.1, 0.9) * canvas.width
        water.waterfall(canvas, x, top, foot * canvas.height + 3, wide)
    water.water(canvas, below(canvas, foot, 0.03, 4), foot, "river")
    water.stones(canvas, int(rng.integers(0, 8)), foot - 0.05)
    foreground(canvas, 0.6)


def open_sky(canvas: Canvas) -> None:
    """Mostly sky, fog or smoke, over a strip of something."""
    rng = canvas.rng
    sky.sky(canvas, canvas.full_mask())
    level = rng.uniform(0.6, 1.0)
    if rng.random() < 0.3:
        still.skyline(canvas, level)
    alpha = below(canvas, level, 0.05, 5)
    (plants.woods if rng.random() < 0.4 else still.surface)(canvas, alpha)
    if rng.random() < 0.4:
        sky.fog(canvas)
    if rng.random() < 0.3:
        sky.smoke(canvas, rng.uniform(0, canvas.width), level * canvas.height, 0.6 * canvas.height)
