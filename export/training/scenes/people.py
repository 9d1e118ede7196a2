"""Made-up people: a face, hair, a body in clothes, or small figures far off. Only hair moves."""

from __future__ import annotations

import cv2
import numpy as np

from .cloth import weave
from .masks import blob
from .motion import travelling
from .world import CLOTH, STATIC, Canvas, smooth_noise

SKINS = (
    (0.98, 0.83, 0.73),
    (0.92, 0.74, 0.6),
    (0.8, 0.58, 0.43),
    (0.6, 0.4, 0.28),
    (0.36, 0.24, 0.18),
)
HAIRS = (
    (0.05, 0.04, 0.04),
    (0.2, 0.12, 0.07),
    (0.4, 0.26, 0.14),
    (0.75, 0.6, 0.35),
    (0.6, 0.25, 0.1),
)


def portrait(canvas: Canvas) -> None:
    """Head and shoulders close by: skin, features and clothes stay, long hair moves at its ends."""
    rng = canvas.rng
    tall = canvas.short * rng.uniform(0.16, 0.36)
    wide = tall * rng.uniform(0.7, 0.82)
    x, y = rng.uniform(0.25, 0.75) * canvas.width, rng.uniform(0.25, 0.55) * canvas.height
    skin = np.clip(np.array(SKINS[rng.integers(5)]) + rng.normal(0, 0.03, 3), 0, 1)
    colour = np.array(HAIRS[rng.integers(5)]) if rng.random() < 0.9 else rng.uniform(0.6, 0.8, 3)
    long = rng.uniform(0.9, 3.2) if rng.random() < 0.65 else 0.0
    light = 1 - rng.uniform(0.1, 0.4) * (canvas.xx - x) / (2 * wide) * rng.choice((-1, 1))
    if long:
        hair_behind(canvas, x, y, wide, tall, long, colour)
    shoulders(canvas, x, y, wide, tall, skin, light)
    face(canvas, x, y, wide, tall, skin, light)
    if rng.random() < 0.92:
        hair_cap(canvas, x, y, wide, tall, colour, long)


def strands(canvas: Canvas, colour: np.ndarray, x: float, y: float, wide: float) -> np.ndarray:
    """Picture of combed hair around (x, y): fine lines running down and outward."""
    rng = canvas.rng
    shape = (canvas.height, canvas.width)
    fine = smooth_noise(rng, shape, 6, canvas.width / 2.2)
    wavy = smooth_noise(rng, shape, 7, 6) * wide * rng.uniform(0, 0.3)
    spread = (canvas.xx - x) / np.clip(0.6 + 0.4 * (canvas.yy - y) / (2 * wide), 0.5, 1.4)
    fine = cv2.remap(
        fine,
        (spread + x + wavy).astype(np.float32),
        canvas.yy,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT,
    )
    pick = rng.random()
    if pick < 0.2:  # curls
        fine = smooth_noise(rng, shape, canvas.height / 5, canvas.width / 5)
    elif pick < 0.55 and canvas.library.has("fur"):  # an animal's coat makes good hair
        coat = canvas.texture("fur", least=0.3)[0].mean(-1)
        fine = (coat - coat.mean()) / (coat.std() + 0.05) * 0.8
    shine = 0.5 + 0.5 * np.exp(-(((canvas.yy - y + wide) / wide) ** 2))
    tone = 1 + 0.35 * fine[..., None] + 0.5 * shine[..., None] * np.clip(fine, 0, 1)[..., None]
    return np.clip(colour * tone + 0.03, 0, 1).astype(np.float32)


def hair_motion(canvas: Canvas, y: float, wide: float, reach: float) -> np.ndarray:
    """Hair is fixed to the head at the top and swings at its ends, `reach` pixels below."""
    rng = canvas.rng
    profile = np.clip((canvas.yy[::2, ::2] - y) / max(8.0, reach), 0.03, 1) ** 1.3
    rms = np.clip(rng.uniform(3.5, 8) * (reach / canvas.short) / 0.4, 0.6, 9)
    return travelling(
        canvas,
        float(rms),
        profile,
        along=(rng.normal(0, 3), rng.uniform(1, 6)),
        natural=rng.uniform(0.5, 1.2),
        angle=canvas.wind.angle,
        ellipticity=0.3,
    )


def hair_behind(
    canvas: Canvas, x: float, y: float, wide: float, tall: float, long: float, colour: np.ndarray
) -> None:
    """Long hair that falls behind face and shoulders."""
    rng = canvas.rng
    reach = tall * long
    alpha = blob(
        canvas, x, y + reach * 0.4, wide * rng.uniform(1.2, 1.7), reach * 0.6 + tall * 0.6,
        ragged=0.12, power=3, bumps=9,
    )  # fmt: skip
    motion = hair_motion(canvas, y - tall * 0.5, wide, reach + tall)
    canvas.paint(alpha, strands(canvas, colour * 0.8, x, y, wide), CLOTH, motion)


def shoulders(
    canvas: Canvas,
    x: float,
    y: float,
    wide: float,
    tall: float,
    skin: np.ndarray,
    light: np.ndarray,
) -> None:
    """Neck, shoulders and a shirt."""
    rng = canvas.rng
    neck = np.clip(wide * 0.5 - np.abs(canvas.xx - x) + 0.5, 0, 1)
    neck *= (canvas.yy > y) & (canvas.yy < y + 1.7 * tall)
    canvas.paint(neck, skin * 0.82 * light[..., None], STATIC)
    top = y + tall * rng.uniform(1.15, 1.35)
    reach = wide * rng.uniform(2.0, 2.8)
    slope = top + tall * 0.55 * (np.abs(canvas.xx - x) / reach) ** 2.2
    body = np.clip(canvas.yy - slope + 0.5, 0, 1)
    body *= np.clip(reach - np.abs(canvas.xx - x) + 0.5, 0, 1)
    throat = np.hypot((canvas.xx - x) / (0.55 * wide), (canvas.yy - top) / (0.4 * tall))
    body *= np.clip((throat - 1) * wide * 0.3, 0, 1)
    across = (canvas.xx - x) / (2 * reach) + 0.5
    shirt = weave(canvas, across, (canvas.yy - top) / canvas.height)
    canvas.paint(body.astype(np.float32), np.clip(shirt * light[..., None], 0, 1), STATIC)


def face(
    canvas: Canvas,
    x: float,
    y: float,
    wide: float,
    tall: float,
    skin: np.ndarray,
    light: np.ndarray,
) -> None:
    """An oval with brows, eyes, nose, mouth and beard or glasses at times; it holds still."""
    rng = canvas.rng
    alpha = blob(canvas, x, y, wide, tall, ragged=0, power=2.2)
    picture = np.ones((*alpha.shape, 3), np.float32) * skin
    edge = np.clip(((canvas.xx - x) / wide) ** 2 + ((canvas.yy - y) / tall) ** 2, 0, 1)
    picture = picture * (1.05 - 0.25 * edge**2)[..., None]
    canvas.paint(alpha, np.clip(picture * light[..., None], 0, 1), STATIC)
    drawn = np.ascontiguousarray(canvas.image)
    turn = rng.normal(0, 0.12) * wide

    def oval(dx: float, dy: float, a: float, b: float, colour: np.ndarray) -> None:
        centre = (int((x + dx * wide + turn) * 4), int((y + dy * tall) * 4))
        axes = (max(2, int(a * wide * 4)), max(2, int(b * wide * 4)))
        paint = tuple(float(c) for c in np.clip(colour, 0, 1))
        cv2.ellipse(drawn, centre, axes, 0, 0, 360, paint, -1, cv2.LINE_AA, 2)

    for side in (-1, 1):
        oval(side * 0.42, -0.32, 0.24, 0.05, skin * 0.3)
        oval(side * 0.42, -0.12, 0.2, 0.1, skin * 0.7)
        oval(side * 0.42, -0.12, 0.16, 0.075, np.array([0.93, 0.92, 0.9]))
        oval(side * 0.42, -0.12, 0.075, 0.075, rng.uniform(0.02, 0.4, 3))
        oval(side * 0.5, 0.25, 0.2, 0.12, skin * np.array([1.0, 0.88, 0.86]))
    oval(0.06, 0.18, 0.1, 0.2, skin * 0.88)
    oval(0, 0.3, 0.17, 0.07, skin * 0.8)
    oval(
        0, 0.56, rng.uniform(0.26, 0.38), rng.uniform(0.06, 0.12), skin * np.array([0.85, 0.5, 0.5])
    )
    if rng.random() < 0.3:
        oval(0, 0.57, 0.24, 0.035, np.array([0.95, 0.94, 0.92]))
    inside = alpha[..., None] * np.clip(1.2 - edge, 0, 1)[..., None]
    soft = cv2.GaussianBlur(drawn, (0, 0), max(0.5, wide * 0.02))
    canvas.image += inside * (soft - canvas.image)


def hair_cap(
    canvas: Canvas, x: float, y: float, wide: float, tall: float, colour: np.ndarray, long: float
) -> None:
    """Hair on the crown and temples; it moves with the long hair, if only a little."""
    rng = canvas.rng
    outer = blob(
        canvas, x, y - 0.12 * tall, wide * rng.uniform(1.08, 1.35), tall * rng.uniform(1.05, 1.25),
        ragged=0.06, bumps=10,
    )  # fmt: skip
    brow = y - tall * rng.uniform(0.3, 0.6)
    part = rng.uniform(-0.5, 0.5) * wide
    inner = np.hypot(
        (canvas.xx - x - part * 0.3) / (wide * 0.9), (canvas.yy - y - tall * 0.35) / tall
    )
    keep = np.clip((inner - 0.92) * wide * 0.8, 0, 1) * (
        canvas.yy < y + tall * (0.2 + 0.5 * (long > 0))
    )
    low = np.clip(canvas.yy - brow, 0, 1) * (np.abs(canvas.xx - x) < wide * 0.6)
    alpha = outer * keep * (1 - low)
    motion = hair_motion(canvas, y - tall, wide, tall * 2.2) * np.float32(0.5 if long else 0.25)
    canvas.paint(alpha.astype(np.float32), strands(canvas, colour, x, y, wide), CLOTH, motion)


def figure(canvas: Canvas, foot: float, tall: float) -> None:
    """A small person standing or walking at pixel row `foot`: all still."""
    rng = canvas.rng
    x = rng.uniform(0.05, 0.95) * canvas.width
    skin = np.array(SKINS[rng.integers(5)]) * rng.uniform(0.7, 1)
    coat, legs = rng.uniform(0.05, 0.95, (2, 3))
    stride = rng.uniform(0.0, 0.1)
    picture = canvas.image.copy()
    alpha = np.zeros((canvas.height, canvas.width), np.float32)
    parts = (
        ((x, foot - 0.5 * tall), (x - stride * tall, foot), 0.075, legs),
        ((x, foot - 0.5 * tall), (x + stride * tall, foot), 0.075, legs),
        ((x, foot - 0.8 * tall), (x, foot - 0.48 * tall), 0.2, coat),
        (
            (x - 0.1 * tall, foot - 0.8 * tall),
            (x - 0.15 * tall, foot - 0.45 * tall),
            0.06,
            coat * 0.9,
        ),
        (
            (x + 0.1 * tall, foot - 0.8 * tall),
            (x + 0.13 * tall, foot - 0.45 * tall),
            0.06,
            coat * 0.9,
        ),
        ((x, foot - 0.93 * tall), (x, foot - 0.9 * tall), 0.12, skin),
        ((x, foot - 0.97 * tall), (x, foot - 0.96 * tall), 0.1, np.array(HAIRS[rng.integers(5)])),
    )
    for start, end, thick, colour in parts:
        ends = [(int(a), int(b)) for a, b in (start, end)]
        line = max(1, round(thick * tall))
        cv2.line(picture, ends[0], ends[1], tuple(map(float, colour)), line, cv2.LINE_AA)
        cv2.line(alpha, ends[0], ends[1], 1.0, line, cv2.LINE_AA)
    canvas.paint(alpha, picture, STATIC)
