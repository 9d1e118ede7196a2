"""Drawn plants: single stalks with leaves, and flower heads of many kinds."""

from __future__ import annotations

import cv2
import numpy as np

from .motion import rigid
from .world import COUNT, PLANT, Canvas, Rng

SEGMENTS = 7
FINE = 2  # bits of sub-pixel precision in drawing calls


def stalks(
    canvas: Canvas,
    count: int,
    *,
    root: tuple[float, float] = (0.85, 1.15),
    length: float = 0.6,
    thickness: float = 2.0,
    bend: float = 0.3,
    leafy: bool = False,
    head: str | None = None,
    hanging: bool = False,
    kind: str = "plant",
    spread: tuple[float, float] = (-0.05, 1.05),
) -> None:
    """Draw single stalks that stand still at the root and swing at the tip.

    root: range of the roots in fractions of the height; length: in shorter sides; thickness:
    in pixels; spread: range of the roots in fractions of the width; head: None, "seed", "ball"
    (dandelion), "petals", "photo" (a photographed blossom) or "ear".
    """
    rng, short = canvas.rng, canvas.short
    # One float picture holds stalk number, share of the tip's motion and shade: one draw call each.
    drawn = np.zeros((canvas.height, canvas.width, 3), np.float32)
    motions = np.zeros((count + 1, COUNT, 4), np.float32)
    natural = float(np.exp(rng.uniform(np.log(0.35), np.log(1.3))))
    contrast = rng.uniform(0.15, 0.45)
    roots = np.sort(rng.uniform(*root, count)) * canvas.height
    leaf_long, leaf_wide = rng.uniform(4, 15), rng.uniform(1.2, 4.5)
    tips: list[tuple[float, float, int]] = []
    for number, y in enumerate(roots, start=1):
        x = rng.uniform(*spread) * canvas.width
        long = length * rng.uniform(0.5, 1.2) * short
        motions[number] = rigid(
            canvas,
            float(np.clip(14 * long / short, 1.5, 13) * np.exp(rng.normal(0, 0.25))),
            x / short,
            y / short,
            natural * float(np.exp(rng.normal(0, 0.12))),
        )
        shade = rng.uniform(1 - contrast, 1 + contrast)
        tip = _stalk(
            canvas, drawn, number, (x, y), long, thickness, bend, shade, hanging, leafy,
            leaf_long, leaf_wide,
        )  # fmt: skip
        tips.append((*tip, number))
    alpha = cv2.GaussianBlur((drawn[..., 0] > 0).astype(np.float32), (0, 0), 0.5)
    if rng.random() < 0.75:
        skin = canvas.texture(kind)[0]
        skin = np.clip(skin * rng.uniform(0.7, 1.4), 0, 1)
    else:
        skin = np.broadcast_to(_stem_colour(rng), (*alpha.shape, 3))
    picture = np.clip(skin * cv2.GaussianBlur(drawn[..., 2], (0, 0), 0.5)[..., None], 0, 1)
    cells = _pool(drawn)
    numbers = cells[..., 0].astype(np.int32)
    motion = motions[numbers] * cells[..., 1, None, None]
    canvas.paint(alpha, picture, PLANT)
    covered = numbers > 0
    canvas.mark(covered, PLANT, motion)
    if head is not None:
        radius = rng.uniform(0.012, 0.05) * short * (1.8 if head in ("photo", "petals") else 1.0)
        style = head_style(canvas)
        for x, y, number in tips:
            r = radius * rng.uniform(0.7, 1.2)
            blossom(canvas, x, y, max(1.5, r), head, motions[number], style)


def _stalk(
    canvas: Canvas,
    drawn: np.ndarray,
    number: int,
    start: tuple[float, float],
    long: float,
    thickness: float,
    bend: float,
    shade: float,
    hanging: bool,
    leafy: bool,
    leaf_long: float,
    leaf_wide: float,
) -> tuple[float, float]:
    rng = canvas.rng
    x, y = start
    angle = (np.pi / 2 if hanging else -np.pi / 2) + rng.normal(0, bend)
    curve = rng.normal(0, bend * 1.2) / SEGMENTS
    step = long / SEGMENTS
    one = 1 << FINE
    for k in range(SEGMENTS):
        t = (k + 1) / SEGMENTS
        nx, ny = x + step * np.cos(angle), y + step * np.sin(angle)
        wide = max(1, round(thickness * (1 - 0.7 * t)))
        value = (number, t**1.6, shade)
        ends = [(int(x * one), int(y * one)), (int(nx * one), int(ny * one))]
        cv2.line(drawn, ends[0], ends[1], value, wide, cv2.LINE_8, FINE)
        if leafy and k > 0:
            for side in (-1, 1):
                turn = angle + side * rng.uniform(0.4, 1.2)
                size = leaf_long * rng.uniform(0.6, 1.1)
                centre = (
                    int((nx + 0.5 * size * np.cos(turn)) * one),
                    int((ny + 0.5 * size * np.sin(turn)) * one),
                )
                axes = (max(2, int(size * one / 2)), max(2, int(leaf_wide * one / 2)))
                value = (number, t**1.6, shade * rng.uniform(0.75, 1.25))
                turned = float(np.degrees(turn))
                cv2.ellipse(drawn, centre, axes, turned, 0, 360, value, -1, cv2.LINE_8, FINE)
        x, y, angle = nx, ny, angle + curve
    return x, y


def _pool(drawn: np.ndarray) -> np.ndarray:
    """Halve a drawn picture, keeping lines one pixel thin."""
    quarter = np.stack([drawn[a::2, b::2] for a in (0, 1) for b in (0, 1)])
    best = quarter[..., 0].argmax(0)
    return np.take_along_axis(quarter, best[None, ..., None], 0)[0]


def _stem_colour(rng: Rng) -> np.ndarray:
    green = np.array([0.35, 0.5, 0.2]) * rng.uniform(0.3, 1.6)
    straw = np.array([0.75, 0.62, 0.35]) * rng.uniform(0.4, 1.25)
    return np.clip((green if rng.random() < 0.6 else straw) + rng.normal(0, 0.06, 3), 0, 1)


def head_style(canvas: Canvas) -> dict[str, np.ndarray | float]:
    rng = canvas.rng
    palette = [(0.9, 0.12, 0.1), (0.95, 0.8, 0.15), (0.95, 0.95, 0.92), (0.75, 0.35, 0.75)]
    palette += [(0.95, 0.5, 0.65), (0.35, 0.4, 0.85), (0.95, 0.5, 0.1), (0.5, 0.38, 0.22)]
    colour = np.clip(np.array(palette[rng.integers(len(palette))]) + rng.normal(0, 0.07, 3), 0, 1)
    heart = np.clip(np.array(palette[rng.integers(len(palette))]) * rng.uniform(0.3, 1), 0, 1)
    style: dict[str, np.ndarray | float] = {"colour": colour, "heart": heart}
    style["petals"] = float(rng.integers(4, 16))
    patches = canvas.library.patches.get("bloom")
    if patches:
        style["photo"] = patches[rng.integers(len(patches))].pixels
    return style


def blossom(
    canvas: Canvas,
    x: float,
    y: float,
    radius: float,
    head: str,
    motion: np.ndarray,
    style: dict[str, np.ndarray | float],
) -> None:
    """Draw one flower head at pixels (x, y), moving as a whole by `motion` (8, 4)."""
    rng = canvas.rng
    reach = int(radius * (2.6 if head == "ear" else 1.3)) + 2
    left, top = int(x) - reach, int(y) - reach
    x0, y0 = max(0, left), max(0, top)
    x1, y1 = min(canvas.width, left + 2 * reach), min(canvas.height, top + 2 * reach)
    if x1 - x0 < 2 or y1 - y0 < 2:
        return
    gx = (np.arange(x0, x1, dtype=np.float32) - x)[None] / radius
    gy = (np.arange(y0, y1, dtype=np.float32) - y)[:, None] / radius
    r = np.sqrt(gx**2 + gy**2)
    colour = np.asarray(style["colour"], np.float32)
    light = (1 - 0.25 * (gx + gy) / 1.4)[..., None]
    if head == "photo" and "photo" in style:
        size = 2 * reach
        photo = cv2.resize(np.asarray(style["photo"]), (size, size), interpolation=cv2.INTER_AREA)
        picture = photo[y0 - top : y1 - top, x0 - left : x1 - left].astype(np.float32) / 255
        alpha = np.clip((1.15 - r) * radius, 0, 1)
    elif head == "petals":
        turn = np.arctan2(gy, gx)
        shape = 0.7 + 0.3 * np.cos(turn * style["petals"] + rng.uniform(0, 6.3))
        alpha = np.clip((shape - r) * radius, 0, 1)
        heart = np.clip((0.28 - r) * radius, 0, 1)[..., None]
        picture = colour * (0.65 + 0.35 * r[..., None]) * light
        picture = picture * (1 - heart) + np.asarray(style["heart"], np.float32) * heart
    elif head == "ball":
        rays = rng.random(r.shape, dtype=np.float32)
        alpha = np.clip((1 - r) * radius, 0, 1) * (0.35 + 0.6 * rays * np.clip(r + 0.3, 0, 1))
        alpha = np.clip(alpha + np.clip(0.25 - r, 0, 1) * 3, 0, 1)
        picture = np.ones((*r.shape, 3), np.float32) * (0.75 + 0.25 * rays[..., None])
        picture = picture * np.clip(colour * 0.3 + 0.7, 0, 1)
    elif head == "ear":
        r = np.sqrt((gx / 0.4) ** 2 + (gy / 2) ** 2)
        alpha = np.clip((1 - r) * radius * 0.5, 0, 1) * rng.uniform(0.5, 1, r.shape)
        picture = (np.array([0.8, 0.68, 0.42]) * rng.uniform(0.5, 1.2)) * np.ones((*r.shape, 1))
        picture = picture * rng.uniform(0.6, 1.1, (*r.shape, 1))
    else:
        alpha = np.clip((0.7 - r) * radius + 0.5, 0, 1)
        picture = colour * light * np.ones((*r.shape, 1))
    alpha = alpha.astype(np.float32)
    region = canvas.image[y0:y1, x0:x1]
    region += alpha[..., None] * (np.clip(picture, 0, 1).astype(np.float32) - region)
    a0, b0 = y0 + y0 % 2, x0 + x0 % 2
    cells = (slice(a0 // 2, (y1 + 1) // 2), slice(b0 // 2, (x1 + 1) // 2))
    covered = (alpha > 0.3)[a0 - y0 :: 2, b0 - x0 :: 2]
    for field, value in ((canvas.classes, PLANT), (canvas.valid, True), (canvas.drift, 0)):
        part = field[cells]
        part[covered] = value
    canvas.spectrum[cells][covered] = motion
