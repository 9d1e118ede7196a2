"""Recipes: which things come together in a scene, and how often."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from . import cloth, flames, people, plants, sky, stalks, still, water
from .country import fall, landscape, open_sky, river, waterside
from .front import branch, near_stalks
from .masks import below, blob
from .motion import rigid
from .world import PLANT, Canvas


def leaves(canvas: Canvas) -> None:
    """A wall of leaves, often with something still in front."""
    rng = canvas.rng
    plants.foliage(canvas, canvas.full_mask(), str(rng.choice(("plant", "plant", "grass"))))
    if rng.random() < 0.2:
        sky.sky(canvas, 1 - below(canvas, rng.uniform(0.1, 0.4), 0.08, 8))
    if rng.random() < 0.25:
        near_stalks(canvas)
    if rng.random() < 0.2:
        plants.trunk(canvas)
    if rng.random() < 0.15:
        plants.bare_tree(canvas)


def guarded(canvas: Canvas) -> None:
    """Animals and objects before leaves, grass or water: what stands in front stays."""
    rng = canvas.rng
    pick = rng.random()
    if pick < 0.5:
        leaves(canvas)
    elif pick < 0.7:
        plants.meadow(canvas, canvas.full_mask(), 0.0)
    elif pick < 0.85:
        water.water(canvas, canvas.full_mask(), 0.0, str(rng.choice(("sea", "lake"))))
    else:
        landscape(canvas)
    for _ in range(int(rng.integers(1, 4))):
        if rng.random() < 0.55 or not still.creature(canvas):
            still.thing(canvas)
    if rng.random() < 0.25:
        near_stalks(canvas)


def thin_stalks(canvas: Canvas) -> None:
    """Thin stalks, seed heads or flowers in focus before a blurred background."""
    rng = canvas.rng
    plants.backdrop(canvas)
    near_stalks(canvas, int(np.exp(rng.uniform(np.log(1), np.log(30)))))
    if rng.random() < 0.3:
        near_stalks(canvas, int(rng.integers(1, 8)))
    if rng.random() < 0.15:
        branch(canvas)
    if rng.random() < 0.15 and not still.creature(canvas):
        still.thing(canvas)


def big_flower(canvas: Canvas) -> None:
    """One to three flowers close up, which sway as a whole."""
    rng = canvas.rng
    plants.backdrop(canvas)
    for _ in range(int(rng.integers(1, 4))):
        x = rng.uniform(0.15, 0.85)
        stalks.stalks(
            canvas,
            1,
            root=(0.95, 1.3),
            length=rng.uniform(0.5, 0.9),
            thickness=rng.uniform(2, 8),
            bend=0.15,
            leafy=rng.random() < 0.6,
            spread=(x, x),
        )
        motion = rigid(canvas, rng.uniform(4, 10), x, 0.5, rng.uniform(0.4, 1.0))
        y = rng.uniform(0.25, 0.65) * canvas.height
        radius = rng.uniform(0.1, 0.38) * canvas.short
        blooms = canvas.library.blooms
        if blooms and rng.random() < 0.55:
            piece = blooms[rng.integers(len(blooms))]
            scale = 2.4 * radius / max(piece.shape[:2])
            piece = cv2.resize(piece, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            left, top = int(x * canvas.width - piece.shape[1] / 2), int(y - piece.shape[0] / 2)
            still.place(canvas, piece, left, top, PLANT, motion)
        else:
            head = str(rng.choice(("photo", "petals", "petals", "ball")))
            style = stalks.head_style(canvas)
            stalks.blossom(canvas, x * canvas.width, y, radius, head, motion, style)


def still_scene(canvas: Canvas) -> None:
    """Nothing moves at all: goods, walls, soil, stones, whole photographs, things on things."""
    rng = canvas.rng
    pick = rng.random()
    if pick < 0.35:
        still.whole_photo(canvas)
    elif pick < 0.5:
        still.goods(canvas, canvas.full_mask())
    elif pick < 0.8:
        still.ground(canvas, canvas.full_mask(), 0.0)
    else:
        still.surface(canvas, canvas.full_mask())
    for _ in range(int(rng.integers(0, 4))):
        pick = rng.random()
        if pick < 0.35:
            still.creature(canvas)
        elif pick < 0.5:
            x, y = rng.uniform(0, 1, 2) * (canvas.width, canvas.height)
            size = rng.uniform(0.1, 0.4, 2) * canvas.short
            still.goods(canvas, blob(canvas, x, y, size[0], size[1], ragged=0.1))
        else:
            still.thing(canvas)
    if rng.random() < 0.12:
        plants.bare_tree(canvas)


def town(canvas: Canvas) -> None:
    """Buildings close or far against the sky, people below, a tree or a flag at times."""
    rng = canvas.rng
    sky.sky(canvas, canvas.full_mask())
    foot = rng.uniform(0.55, 0.95)
    for _ in range(int(rng.integers(1, 3))):
        still.skyline(canvas, foot)
    near = below(canvas, foot, 0.0)
    pick = rng.random()
    if pick < 0.35:
        water.water(canvas, near, foot, "lake")
    elif pick < 0.85:
        still.ground(canvas, near, foot)
    else:
        plants.meadow(canvas, near, foot)
    if rng.random() < 0.3:
        tall = rng.uniform(0.3, 0.7) * canvas.height
        plants.tree(canvas, rng.uniform(0, canvas.width), (foot + 0.05) * canvas.height, tall)
    for _ in range(int(rng.integers(0, 5))):
        people.figure(canvas, rng.uniform(foot, 1.0) * canvas.height, rng.uniform(15, 60))
    if rng.random() < 0.25:
        cloth.flag(canvas)
    if rng.random() < 0.15:
        x, y = rng.uniform(0, canvas.width), rng.uniform(0.2, 0.6) * canvas.height
        sky.smoke(canvas, x, y, rng.uniform(0.2, 0.5) * canvas.height)
    if rng.random() < 0.2:
        branch(canvas)


def indoors(canvas: Canvas) -> None:
    """A room: wall, table, things; a curtain, candles, a plant or a steaming cup at times."""
    rng = canvas.rng
    still.surface(canvas, canvas.full_mask())
    still.surface(canvas, below(canvas, rng.uniform(0.5, 0.9), 0.0))
    for _ in range(int(rng.integers(0, 4))):
        still.thing(canvas)
    if rng.random() < 0.45:
        cloth.curtain(canvas)
    if rng.random() < 0.3:
        plants.pot(canvas)
    if rng.random() < 0.3:
        (flames.candles if rng.random() < 0.7 else flames.fire)(canvas)
    if rng.random() < 0.2:
        x, y = rng.uniform(0.1, 0.9) * canvas.width, rng.uniform(0.5, 0.9) * canvas.height
        sky.smoke(canvas, x, y, rng.uniform(0.2, 0.5) * canvas.height, steam=True)


def burning(canvas: Canvas) -> None:
    """Candles or a fire in the dark."""
    rng = canvas.rng
    still.surface(canvas, canvas.full_mask())
    if rng.random() < 0.4:
        still.ground(canvas, below(canvas, rng.uniform(0.3, 0.8), 0.01), 0.4)
    canvas.image *= rng.uniform(0.3, 1.0)
    (flames.candles if rng.random() < 0.55 else flames.fire)(canvas)
    if rng.random() < 0.3:
        x = rng.uniform(0.2, 0.8) * canvas.width
        sky.smoke(canvas, x, rng.uniform(0.4, 0.7) * canvas.height, 0.5 * canvas.height)


def clothes_line(canvas: Canvas) -> None:
    """Flags, washing and curtains."""
    rng = canvas.rng
    if rng.random() < 0.5:
        sky.sky(canvas, canvas.full_mask())
        still.ground(canvas, below(canvas, rng.uniform(0.5, 0.9), 0.03), 0.5)
    else:
        still.surface(canvas, canvas.full_mask())
    for _ in range(int(rng.integers(1, 3))):
        pick = rng.random()
        (cloth.flag if pick < 0.45 else cloth.washing if pick < 0.7 else cloth.curtain)(canvas)


def someone(canvas: Canvas) -> None:
    """A made-up person before anything."""
    rng = canvas.rng
    pick = rng.random()
    if pick < 0.35:
        still.surface(canvas, canvas.full_mask())
    elif pick < 0.6:
        plants.backdrop(canvas)
    elif pick < 0.8:
        leaves(canvas)
    else:
        (landscape if rng.random() < 0.5 else waterside)(canvas)
    people.portrait(canvas)


RECIPES: dict[str, tuple[float, Callable[[Canvas], None]]] = {
    "landscape": (0.10, landscape),
    "waterside": (0.16, waterside),
    "river": (0.08, river),
    "fall": (0.04, fall),
    "leaves": (0.06, leaves),
    "guarded": (0.11, guarded),
    "thin_stalks": (0.08, thin_stalks),
    "big_flower": (0.05, big_flower),
    "still_scene": (0.12, still_scene),
    "town": (0.06, town),
    "indoors": (0.06, indoors),
    "burning": (0.07, burning),
    "clothes_line": (0.07, clothes_line),
    "someone": (0.12, someone),
    "open_sky": (0.04, open_sky),
}
