"""What stays where it is: ground, buildings, furniture, goods, freed animals, made-up people."""

from __future__ import annotations

import cv2
import numpy as np

from .masks import blob, box
from .plants import lay_down
from .world import STATIC, Canvas, crop, smooth_noise, tint


def ground(canvas: Canvas, alpha: np.ndarray, top: float) -> None:
    """Soil, gravel, sand, paving or rock going away towards `top` of the height."""
    rng = canvas.rng
    picture = canvas.texture("ground", least=0.3)[0]
    if rng.random() < 0.6 and top > 0.05:
        picture = lay_down(picture, np.clip((canvas.yy / canvas.height - top) / (1 - top), 0, 1))
    canvas.paint(alpha, picture * rng.uniform(0.6, 1.15), STATIC)


def surface(canvas: Canvas, alpha: np.ndarray) -> None:
    """Any still surface: a wall, stone, fur, goods, or a plain colour with a little shading."""
    rng = canvas.rng
    pick = rng.random()
    if pick < 0.75:
        kind = str(rng.choice(("still", "ground", "fur", "bark"), p=(0.5, 0.25, 0.15, 0.1)))
        picture = canvas.texture(kind, least=0.25)[0]
    else:
        shade = 1 + 0.15 * smooth_noise(rng, alpha.shape, 2, 3)[..., None]
        picture = rng.uniform(0.08, 0.95, 3) * shade
    canvas.paint(alpha, np.clip(picture, 0, 1), STATIC)


def building(canvas: Canvas, left: float, top: float, right: float, foot: float) -> None:
    """A house or tower with rows of windows, with sharp edges against the sky."""
    rng = canvas.rng
    wide, tall = right - left, foot - top
    alpha = box(canvas, left, top, right, foot)
    if rng.random() < 0.3:
        slope = np.abs(canvas.xx - (left + right) / 2) * rng.uniform(0.5, 1.2)
        alpha = np.maximum(alpha, box(canvas, left, top - wide, right, top + 2))
        alpha *= np.clip(canvas.yy - (top - wide * 0.3) - slope + wide * 0.1, 0, 1)
    if rng.random() < 0.4:
        wall = canvas.texture("still", least=0.25)[0] * rng.uniform(0.5, 1.1)
    else:
        wall = rng.uniform(0.1, 0.9) * (1 + rng.normal(0, 0.08, 3)) * np.ones((*alpha.shape, 1))
        wall = wall * (1 + 0.1 * smooth_noise(rng, alpha.shape, 4, 4)[..., None])
    columns, rows = rng.uniform(0.12, 0.5) * wide, rng.uniform(0.12, 0.5) * wide * 0.8
    u, v = (canvas.xx - left) / max(3.0, columns), (canvas.yy - top) / max(3.0, rows)
    pane = ((u % 1 > 0.3) & (u % 1 < 0.8) & (v % 1 > 0.25) & (v % 1 < 0.8)).astype(np.float32)
    pane *= (canvas.yy < top + 0.95 * tall) * rng.uniform(0.3, 1)
    lit = np.where(
        (np.floor(u) * 7 + np.floor(v) * 13) % 5 < rng.integers(0, 4), 0.9, rng.uniform(0, 0.5)
    )
    glass = lit[..., None] * np.clip(np.array([0.9, 0.9, 0.85]) + rng.normal(0, 0.1, 3), 0, 1)
    picture = wall + pane[..., None] * (glass - wall)
    canvas.paint(alpha.astype(np.float32), np.clip(picture, 0, 1), STATIC)


def skyline(canvas: Canvas, foot: float) -> None:
    """Towers side by side along a line at `foot` of the height."""
    rng = canvas.rng
    for _ in range(int(rng.integers(2, 9))):
        wide = rng.uniform(0.04, 0.22) * canvas.width
        left = rng.uniform(-0.1, 1.0) * canvas.width
        top = foot * canvas.height - rng.uniform(0.08, 0.6) * canvas.height
        building(canvas, left, max(-5.0, top), left + wide, foot * canvas.height + 2)
    if rng.random() < 0.3:  # a crane, an aerial, wires
        line = np.zeros((canvas.height, canvas.width), np.float32)
        for _ in range(int(rng.integers(1, 5))):
            a, b = rng.integers(0, canvas.width, 2), rng.integers(0, int(foot * canvas.height), 2)
            cv2.line(line, (int(a[0]), int(b[0])), (int(a[1]), int(b[1])), 1.0, 1, cv2.LINE_AA)
        canvas.paint(line, rng.uniform(0, 0.4, 3), STATIC, share=0.3)


def creature(canvas: Canvas, big: bool | None = None) -> bool:
    """Set an animal or object freed from its photograph into the scene; False if there is none."""
    rng = canvas.rng
    if not canvas.library.cutouts:
        return False
    piece = canvas.library.cutouts[rng.integers(len(canvas.library.cutouts))]
    big = rng.random() < 0.6 if big is None else big
    tall = canvas.short * (rng.uniform(0.45, 1.1) if big else rng.uniform(0.12, 0.4))
    scale = tall / max(piece.shape[:2])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    piece = cv2.resize(piece, None, fx=scale, fy=scale, interpolation=method)
    if rng.random() < 0.5:
        piece = piece[:, ::-1]
    h, w = piece.shape[:2]
    x = int(rng.uniform(-0.1, 1.1) * canvas.width - w / 2)
    y = int(rng.uniform(0.4, 1.05) * canvas.height - h / 2)
    place(canvas, piece, x, y)
    return True


def place(
    canvas: Canvas,
    piece: np.ndarray,
    x: int,
    y: int,
    label: int = STATIC,
    motion: np.ndarray | None = None,
) -> None:
    """Paste an RGBA uint8 piece with its upper left corner at pixels (x, y).

    motion (8, 4) moves it as a whole.
    """
    x0, y0 = max(0, x), max(0, y)
    x1, y1 = min(canvas.width, x + piece.shape[1]), min(canvas.height, y + piece.shape[0])
    if x1 - x0 < 2 or y1 - y0 < 2:
        return
    part = piece[y0 - y : y1 - y, x0 - x : x1 - x].astype(np.float32) / 255
    alpha = np.zeros((canvas.height, canvas.width), np.float32)
    picture = np.zeros((canvas.height, canvas.width, 3), np.float32)
    alpha[y0:y1, x0:x1] = part[..., 3]
    picture[y0:y1, x0:x1] = tint(canvas.rng, part[..., :3], 0.7)
    cells = canvas.paint(alpha, picture, label)
    if motion is not None:
        canvas.spectrum[cells] = motion


def thing(canvas: Canvas) -> None:
    """An object of some still material: round, boxy or uneven, shaded as a solid."""
    rng = canvas.rng
    a, b = rng.uniform(0.06, 0.4, 2) * canvas.short
    x, y = rng.uniform(0, canvas.width), rng.uniform(0.2, 1.0) * canvas.height
    alpha = blob(
        canvas, x, y, a, b,
        ragged=float(rng.choice((0, 0.05, 0.25))), power=float(rng.choice((2, 2, 3, 8))),
    )  # fmt: skip
    kind = str(rng.choice(("still", "fur", "ground", "bark"), p=(0.45, 0.25, 0.2, 0.1)))
    picture = canvas.texture(kind, least=0.2)[0]
    if rng.random() < 0.3:
        picture = np.broadcast_to(rng.uniform(0.05, 1, 3).astype(np.float32), picture.shape)
    shade = 1.1 - 0.45 * np.clip((canvas.xx - x) / a * 0.5 + (canvas.yy - y) / b * 0.6, -1, 1)
    canvas.paint(alpha, np.clip(picture * shade[..., None], 0, 1), STATIC)


def goods(canvas: Canvas, alpha: np.ndarray) -> None:
    """Fruit, vegetables or pebbles heaped up: round, green or red, yet they do not move."""
    rng = canvas.rng
    picture = canvas.texture("ground")[0] * 0.4
    size = rng.uniform(0.015, 0.07) * canvas.short
    hues = rng.uniform(0.1, 1, (int(rng.integers(1, 4)), 3))
    rows = np.arange(0, canvas.height + size, size * 1.5)
    picture = np.ascontiguousarray(picture, np.float32)
    for y in rows:
        for x in np.arange(-size, canvas.width + size, size * 1.75):
            centre = (int(x + rng.normal(0, size * 0.3)), int(y + rng.normal(0, size * 0.3)))
            colour = np.clip(hues[rng.integers(len(hues))] * rng.uniform(0.7, 1.15), 0, 1)
            radius = max(1, int(size * rng.uniform(0.8, 1.1)))
            cv2.circle(picture, centre, radius, tuple(float(c * 0.55) for c in colour), -1)
            inner = (centre[0] - radius // 4, centre[1] - radius // 4)
            cv2.circle(picture, inner, max(1, radius * 7 // 10), tuple(map(float, colour)), -1)
    canvas.paint(alpha, cv2.GaussianBlur(picture, (0, 0), 0.7), STATIC)


def fence(canvas: Canvas) -> None:
    """Posts and rails, a lattice, or reed-like straight bars that do not bend."""
    rng = canvas.rng
    top, foot = rng.uniform(0.3, 0.75), rng.uniform(0.85, 1.1)
    pitch, bar = rng.uniform(0.02, 0.15) * canvas.width, rng.uniform(0.1, 0.5)
    bars = ((canvas.xx + rng.uniform(0, pitch)) % pitch < pitch * bar).astype(np.float32)
    rail = np.zeros_like(bars)
    for level in (0.25, 0.75):
        y = (top + (foot - top) * level) * canvas.height
        rail = np.maximum(rail, np.clip(2.5 - np.abs(canvas.yy - y), 0, 1))
    alpha = np.maximum(bars, rail) * (canvas.yy > top * canvas.height)
    alpha *= canvas.yy < foot * canvas.height
    colour = rng.uniform(0.1, 1) * np.array([1, 0.92, 0.82])
    grain = 1 + 0.12 * smooth_noise(rng, alpha.shape, 8, canvas.width / 3)[..., None]
    canvas.paint(cv2.GaussianBlur(alpha, (0, 0), 0.5), np.clip(colour * grain, 0, 1), STATIC)


def whole_photo(canvas: Canvas) -> None:
    """A whole photograph in which nothing moves."""
    rng = canvas.rng
    patches = canvas.library.patches.get("whole")
    if not patches:
        surface(canvas, canvas.full_mask())
        return
    pixels = patches[rng.integers(len(patches))].pixels
    size = rng.uniform(0.55, 1.0)
    picture = tint(rng, crop(rng, pixels, canvas.height, canvas.width, size))
    canvas.paint(canvas.full_mask(), picture, STATIC)
