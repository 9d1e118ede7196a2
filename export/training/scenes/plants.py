"""Plants: photographed leaves and grass, drawn stalks and flowers, trees, branches, pots."""

from __future__ import annotations

import cv2
import numpy as np

from .masks import blob
from .motion import sway
from .stalks import stalks
from .world import PLANT, STATIC, Canvas, fractal, smooth_noise


def leaf_rms(canvas: Canvas, near: float) -> float:
    """How far leaves move, by how close they are: 0.5 units for far woods to 8 for a blossom."""
    near = float(np.clip(near, 0.06, 1.3))
    return float(6.5 * near**0.9 * np.exp(canvas.rng.normal(0, 0.15)))


def leaf_frequency(canvas: Canvas, near: float) -> float:
    """Near twigs are small and quick, whole far trees slow, in Hz."""
    return float(np.clip(0.9 * np.exp(canvas.rng.normal(0, 0.35)) * (1.2 - 0.3 * near), 0.3, 1.7))


def foliage(canvas: Canvas, alpha: np.ndarray, kind: str = "plant", shade: float = 1.0) -> None:
    """Cover `alpha` with photographed leaves, moving in clusters as large as the picture shows."""
    picture, patch = canvas.texture(kind)
    rms = leaf_rms(canvas, patch.near)
    if kind == "blur":
        rms *= 0.7
    cells = float(np.clip(canvas.rng.uniform(4, 8) / np.clip(patch.near, 0.3, 1.3), 3, 14))
    motion = sway(
        canvas,
        rms,
        cells=cells,
        jitter=canvas.rng.uniform(0.35, 0.65),
        natural=leaf_frequency(canvas, patch.near),
    )
    canvas.paint(alpha, picture * shade, PLANT, motion)


def meadow(canvas: Canvas, alpha: np.ndarray, top: float, kind: str = "grass") -> None:
    """A plain of grass up to the horizon at `top` of the height: blades shrink with distance."""
    rng = canvas.rng
    nearness = np.clip((canvas.yy / canvas.height - top) / max(0.05, 1 - top), 0, 1)
    picture, patch = canvas.texture(kind)
    if rng.random() < 0.6 and top > 0.05:
        picture = lay_down(picture, nearness)
    depth = np.clip(canvas.half(nearness), 0.08, 1)
    rms = leaf_rms(canvas, np.clip(patch.near * 1.2, 0.2, 0.8))
    motion = sway(
        canvas,
        rms * depth,
        cells=rng.uniform(5, 11),
        jitter=rng.uniform(0.3, 0.6),
        natural=rng.uniform(0.6, 1.5),
    )
    canvas.paint(alpha, picture, PLANT, motion)


def lay_down(picture: np.ndarray, nearness: np.ndarray) -> np.ndarray:
    """Show a texture seen from above as ground going away: rows closer together far off."""
    height, width = picture.shape[:2]
    scale = 0.25 + 0.75 * nearness
    rows = (np.sqrt(nearness) * (height - 1)).astype(np.float32)
    columns = np.arange(width, dtype=np.float32)[None]
    columns = (columns - width / 2) / scale + width / 2
    return cv2.remap(
        picture, columns.astype(np.float32), rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )


def tree(canvas: Canvas, x: float, foot: float, tall: float) -> None:
    """A tree at pixel column x: the trunk stands, the crown of photographed leaves sways."""
    rng = canvas.rng
    wide = tall * rng.uniform(0.3, 0.6)
    middle = foot - tall * rng.uniform(0.55, 0.75)
    trunk = max(1.0, tall * rng.uniform(0.02, 0.06))
    lean = rng.normal(0, 0.04)
    bark = canvas.texture("bark", least=0.2)[0] * rng.uniform(0.3, 0.9)
    axis = x + (foot - canvas.yy) * lean
    width = trunk * (1 + 0.8 * np.clip((canvas.yy - middle) / tall, 0, 1) ** 4)
    stem = np.clip(width - np.abs(canvas.xx - axis) + 0.5, 0, 1)
    stem *= (canvas.yy < foot) & (canvas.yy > middle - tall * 0.1)
    canvas.paint(stem, bark, STATIC)
    ragged = rng.uniform(0.25, 0.6)
    crown = blob(canvas, x + tall * lean, middle, wide, tall * 0.42, ragged=ragged, bumps=7)
    if rng.random() < 0.5:  # sky seen between the leaves
        shape = (canvas.height, canvas.width)
        holes = smooth_noise(rng, shape, 24 * canvas.height / tall, 30 * canvas.width / tall)
        crown = crown * (holes < rng.uniform(0.6, 1.4))
        crown = cv2.GaussianBlur(crown, (0, 0), 0.6)
    height = np.clip((foot / canvas.short - canvas.v) / (tall / canvas.short), 0.2, 1)
    near = tall / canvas.short
    rms = leaf_rms(canvas, float(np.clip(near * 0.55, 0.06, 0.8)))
    natural = float(np.clip(0.45 / near**0.4, 0.3, 1.3))
    motion = sway(
        canvas, rms * height, cells=rng.uniform(4, 8) / max(0.3, near), natural=natural, jitter=0.5
    )
    leaves = canvas.texture("plant", least=0.5)[0] * rng.uniform(0.45, 1.1)
    canvas.paint(crown, leaves, PLANT, motion, share=0.4)


def woods(canvas: Canvas, alpha: np.ndarray) -> None:
    """Far woods or a hedge along a line: small, slow motion."""
    picture = canvas.texture("plant", least=0.6)[0] * canvas.rng.uniform(0.4, 1.0)
    rms = leaf_rms(canvas, canvas.rng.uniform(0.06, 0.25))
    motion = sway(
        canvas, rms, cells=canvas.rng.uniform(8, 14), natural=canvas.rng.uniform(0.3, 0.8)
    )
    canvas.paint(alpha, picture, PLANT, motion)


def bare_tree(canvas: Canvas) -> None:
    """Stems and boughs without leaves, close: they stand still and cross everything."""
    rng = canvas.rng
    alpha = np.zeros((canvas.height, canvas.width), np.float32)
    for _ in range(int(rng.integers(1, 5))):
        x, y = rng.uniform(0, canvas.width), canvas.height * rng.uniform(0.9, 1.1)
        angle, thick = -np.pi / 2 + rng.normal(0, 0.2), rng.uniform(2, 14)
        for _ in range(12):
            nx = x + np.cos(angle) * canvas.height / 9
            ny = y + np.sin(angle) * canvas.height / 9
            cv2.line(alpha, (int(x), int(y)), (int(nx), int(ny)), 1.0, max(1, round(thick)))
            x, y, thick = nx, ny, thick * 0.88
            angle += rng.normal(0, 0.12)
    alpha = cv2.GaussianBlur(alpha, (0, 0), 0.6)
    canvas.paint(alpha, canvas.texture("bark", least=0.3)[0] * rng.uniform(0.3, 1.1), STATIC)


def trunk(canvas: Canvas) -> None:
    """A thick trunk close by, in focus, in front of whatever is there."""
    rng = canvas.rng
    x, wide = rng.uniform(0, canvas.width), rng.uniform(0.04, 0.2) * canvas.width
    axis = x + rng.normal(0, 0.15) * (canvas.yy - canvas.height / 2)
    rough = smooth_noise(rng, (canvas.height, 8), 14, 2)[:, :1] * wide * 0.08
    alpha = np.clip(wide + rough - np.abs(canvas.xx - axis) + 0.5, 0, 1)
    roundness = np.sqrt(np.clip(1.05 - ((canvas.xx - axis) / wide) ** 2, 0.05, 1))[..., None]
    bark = canvas.texture(rng.choice(("bark", "bark", "ground")), least=0.3)[0]
    canvas.paint(alpha, bark * (0.4 + 0.6 * roundness), STATIC)


def pot(canvas: Canvas) -> None:
    """A potted plant on a table or floor: the pot stands still, the leaves stir a little."""
    rng = canvas.rng
    wide = rng.uniform(0.03, 0.1) * canvas.short
    x = rng.uniform(0.05, 0.95)
    y = rng.uniform(0.55, 0.98) * canvas.height
    stalks(
        canvas,
        int(rng.integers(4, 16)),
        root=((y - wide) / canvas.height, (y - 0.7 * wide) / canvas.height),
        spread=(x - 0.5 * wide / canvas.width, x + 0.5 * wide / canvas.width),
        length=float(rng.uniform(1.5, 4.0) * wide / canvas.short),
        thickness=float(rng.uniform(1, 3)),
        bend=0.45,
        leafy=True,
        head=str(rng.choice(("petals", "photo"))) if rng.random() < 0.4 else None,
    )
    slope = 0.75 + 0.25 * (y - canvas.yy) / wide
    alpha = np.clip(wide * slope - np.abs(canvas.xx - x * canvas.width) + 0.5, 0, 1)
    alpha *= np.clip(np.minimum(canvas.yy - (y - wide), y + 0.5 * wide - canvas.yy) + 0.5, 0, 1)
    shade = 1 - 0.35 * np.clip((canvas.xx - x * canvas.width) / wide, -1, 1)[..., None]
    canvas.paint(alpha.astype(np.float32), np.clip(rng.uniform(0.2, 0.9, 3) * shade, 0, 1), STATIC)


def backdrop(canvas: Canvas) -> None:
    """A blurred background behind something close: still things, leaves or a plain gradient."""
    rng = canvas.rng
    shape = (canvas.height, canvas.width)
    pick = rng.random()
    if pick < 0.35:
        foliage(canvas, canvas.full_mask(), "blur" if rng.random() < 0.5 else "plant")
        canvas.spectrum *= rng.uniform(0.3, 0.7)
    elif pick < 0.75:
        kind = str(rng.choice(("still", "ground", "water", "fur")))
        canvas.paint(canvas.full_mask(), canvas.texture(kind)[0], STATIC)
    else:
        first, second = rng.uniform(0.1, 0.95, (2, 3)).astype(np.float32)
        mix = fractal(rng, shape, 2, 2)[..., None]
        canvas.paint(canvas.full_mask(), first * mix + second * (1 - mix), STATIC)
    sigma = float(np.exp(rng.uniform(np.log(1.5), np.log(10))))
    canvas.image = cv2.GaussianBlur(canvas.image, (0, 0), sigma)
