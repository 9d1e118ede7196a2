"""Water: seas, lakes, rivers seen from the bank, falls, and what lies in it."""

from __future__ import annotations

import cv2
import numpy as np

from .masks import blob
from .motion import response, stir
from .world import COUNT, STATIC, WATER, Canvas, fractal, smooth_noise


def water(canvas: Canvas, alpha: np.ndarray, top: float, kind: str) -> None:
    """Fill `alpha` with water reaching from `top` of the height down to the viewer.

    kind: "sea", "lake" or "river". Ripples and flow grow towards the viewer.
    """
    rng = canvas.rng
    picture, flow = water_picture(canvas, top, kind)
    near = np.clip((canvas.yy / canvas.height - top) / max(0.06, 1 - top), 0, 1)
    motion, drift = water_motion(canvas, 0.25 + 0.75 * canvas.half(near), flow, kind)
    if rng.random() < 0.25:  # a far shore or haze lightens the far end
        picture = picture + (0.2 * (1 - near) ** 3)[..., None]
    canvas.paint(alpha, np.clip(picture, 0, 1), WATER, motion, drift)


def water_motion(
    canvas: Canvas, depth: np.ndarray, flow: float, kind: str
) -> tuple[np.ndarray, np.ndarray]:
    """Spectrum and drift of water; depth (h, w) scales both, 1 at the viewer."""
    rng = canvas.rng
    long_side = canvas.w / canvas.h
    rows, columns = rng.uniform(8, 18), rng.uniform(3, 7) * long_side
    raw = smooth_noise(rng, (canvas.h, canvas.w), rows, columns, COUNT * 4)
    raw = raw.reshape(canvas.h, canvas.w, COUNT, 4)
    rms = rng.uniform(1.2, 3.2) * (0.55 + 0.45 * min(flow, 1.5)) * canvas.wind.strength
    natural = rng.uniform(0.4, 1.2) * (1.3 if kind == "river" else 1)
    raw *= (response(rng, natural, 0.4) * rms * 0.85)[:, None] * np.float32([0.7, 0.7, 1.1, 1.1])
    motion = raw * depth[..., None, None]
    if kind == "sea" and rng.random() < 0.5:
        angle = np.pi / 2 + rng.normal(0, 0.4)  # waves come to the shore
    else:
        angle = rng.choice((0.0, np.pi)) + rng.normal(0, 0.25)
    speed = rng.uniform(8, 18) * np.clip(flow, 0.2, 1.6) * (0.7 + 0.3 * canvas.wind.strength)
    swirl = 1 + 0.2 * canvas.noise(5, 5)
    drift = np.stack([speed * np.cos(angle) * swirl, 0.6 * speed * np.sin(angle) * swirl], -1)
    return motion, (drift * depth[..., None]).astype(np.float32)


def water_picture(canvas: Canvas, top: float, kind: str) -> tuple[np.ndarray, float]:
    """A picture of water over the whole scene, and how fast it runs, 0 to 2."""
    rng = canvas.rng
    pick = rng.random()
    if kind == "river" and canvas.library.has("river") and pick < 0.55:
        picture, patch = canvas.texture("river")
        return picture, patch.flow
    if pick < 0.55 and canvas.library.has("water"):
        picture, patch = canvas.texture("water", least=0.3)
        return picture, patch.flow * (1.5 if kind == "river" else 1)
    flow = {"sea": 0.9, "lake": 0.25, "river": 1.4}[kind] * float(np.exp(rng.normal(0, 0.25)))
    if pick < 0.78 and top > 0.12 and kind != "sea":
        return mirrored(canvas, top), flow
    return rippled(canvas, top, kind), flow


def mirrored(canvas: Canvas, top: float) -> np.ndarray:
    """The scene above the shore line upside down, darker and broken by ripples."""
    rng = canvas.rng
    edge = max(6, int(top * canvas.height))
    deep = np.clip((canvas.yy - edge) / max(8, canvas.height - edge), 0, 1)
    shape = (canvas.height, canvas.width)
    shake = smooth_noise(rng, shape, rng.uniform(30, 70), rng.uniform(4, 10))
    rows = np.clip(2 * edge - canvas.yy + shake * rng.uniform(0, 4) * deep, 0, edge - 1)
    columns = canvas.xx + shake * rng.uniform(0.5, 4) * (0.2 + deep)
    picture = cv2.remap(
        canvas.image,
        columns.astype(np.float32),
        rows.astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT,
    )
    cast = np.clip(rng.normal([0.8, 0.9, 0.95], 0.08), 0.4, 1.1) * rng.uniform(0.6, 1)
    gleam = np.clip(shake - 1.1, 0, 1)[..., None] * rng.uniform(0, 0.4)
    return np.clip(picture * cast + gleam, 0, 1).astype(np.float32)


def rippled(canvas: Canvas, top: float, kind: str) -> np.ndarray:
    """Made-up water: crests closer together towards the horizon, gleams, foam on fast water."""
    rng = canvas.rng
    shape = (canvas.height, canvas.width)
    dark = np.array([0.05, 0.2, 0.28]) * rng.uniform(0.3, 1.6) + rng.normal(0, 0.05, 3)
    light = np.array([0.45, 0.62, 0.7]) * rng.uniform(0.6, 1.4) + rng.normal(0, 0.08, 3)
    if rng.random() < 0.25:  # muddy, or an evening
        dark, light = dark[::-1] * 0.9, light[::-1]
    near = np.clip((canvas.yy / canvas.height - top) / max(0.05, 1 - top), 0, 1)
    rows = (canvas.height * near**0.45).astype(np.float32)
    crests = np.zeros(shape, np.float32)
    for tall, wide, share in ((18, 4, 0.5), (45, 10, 0.35), (90, 28, 0.25)):
        tall *= rng.uniform(0.6, 1.4)
        crests += share * smooth_noise(rng, shape, tall, wide * canvas.width / canvas.height)
    crests = cv2.remap(crests, canvas.xx, rows, cv2.INTER_LINEAR)
    mix = np.clip(0.5 + crests * rng.uniform(0.15, 0.6), 0, 1)[..., None]
    picture = dark * (1 - mix) + light * mix
    if rng.random() < (0.6 if kind != "lake" else 0.25):
        foam = np.clip(crests - rng.uniform(0.5, 1.2), 0, 1) * 2
        picture = picture + foam[..., None] * rng.uniform(0.3, 1)
    if rng.random() < 0.2:  # the sun's road
        x = rng.uniform(0, canvas.width)
        road = np.exp(-(((canvas.xx - x) / (canvas.width * (0.03 + 0.12 * near))) ** 2))
        sparkle = np.clip(crests + 0.3, 0, 1) * road
        picture = picture + sparkle[..., None] * np.array([1, 0.8, 0.5])
    return np.clip(picture, 0, 1).astype(np.float32)


def river_mask(canvas: Canvas) -> tuple[np.ndarray, float]:
    """A river crossing the ground obliquely, as seen from its bank, and where its top lies."""
    rng = canvas.rng
    top = rng.uniform(0.25, 0.6)
    vanish = rng.uniform(-0.2, 1.2) * canvas.width
    foot = rng.uniform(-0.6, 1.6) * canvas.width
    near = np.clip((canvas.yy / canvas.height - top) / (1 - top), 0, 1.2)
    meander = smooth_noise(rng, (canvas.height, 4), 4, 2)[:, :1] * canvas.width * 0.06
    centre = vanish + (foot - vanish) * near**1.3 + meander
    wide = canvas.width * (0.01 + near * rng.uniform(0.2, 0.7))
    rough = smooth_noise(rng, (canvas.height, 8), 16, 2)[:, :1] * wide * 0.06
    alpha = np.clip(wide + rough - np.abs(canvas.xx - centre) + 0.5, 0, 1)
    return (alpha * (near > 0)).astype(np.float32), top


def waterfall(canvas: Canvas, x: float, top: float, foot: float, wide: float) -> None:
    """White water falling between rocks from pixel row `top` to `foot`."""
    rng = canvas.rng
    shape = (canvas.height, canvas.width)
    span = max(4.0, foot - top)
    sway = smooth_noise(rng, (canvas.height, 4), 5, 2)[:, :1] * wide * 0.2
    width = wide * (0.7 + 0.6 * np.clip((canvas.yy - top) / span, 0, 1))
    alpha = np.clip(width - np.abs(canvas.xx - x - sway) + 0.5, 0, 1)
    alpha *= (canvas.yy > top) & (canvas.yy < foot)
    threads = smooth_noise(rng, shape, 6, canvas.width / 4) + fractal(rng, shape, 8, 3) - 0.5
    picture = np.clip(0.75 + 0.2 * threads, 0, 1)[..., None] * np.array([0.93, 0.97, 1.0])
    alpha = alpha * np.clip(0.95 + 0.3 * threads, 0.3, 1)
    drift = np.zeros((canvas.h, canvas.w, 2), np.float32)
    drift[..., 1] = rng.uniform(14, 28)
    motion = stir(canvas, 1.8, 1.2, 10)
    canvas.paint(alpha.astype(np.float32), picture, WATER, motion, drift)


def stones(canvas: Canvas, count: int, top: float) -> None:
    """Rocks lying in the water or on the ground, larger near the viewer."""
    rng = canvas.rng
    for y in np.sort(rng.uniform(top, 1.05, count)):
        near = np.clip((y - top) / max(0.05, 1 - top), 0.05, 1)
        size = canvas.short * near * rng.uniform(0.03, 0.16)
        x = rng.uniform(0, canvas.width)
        alpha = blob(canvas, x, y * canvas.height, size * rng.uniform(1, 1.8), size, ragged=0.3)
        lit = 1.15 - 0.5 * np.clip((canvas.yy - y * canvas.height + size) / (2 * size), 0, 1)
        rock = canvas.texture("ground", least=0.15)[0] * rng.uniform(0.5, 1.1)
        canvas.paint(alpha, np.clip(rock * lit[..., None], 0, 1), STATIC)


def boat(canvas: Canvas, x: float, y: float, long: float) -> None:
    """A boat with its reflection: the hull and mast are held still, the water around moves."""
    rng = canvas.rng
    colour = rng.uniform(0.05, 0.95, 3)
    across = (canvas.xx - x) / long
    deck = y - long * rng.uniform(0.12, 0.25)
    sheer = deck - long * 0.12 * np.abs(across) ** 3
    keel = y - long * 0.5 * np.clip(np.abs(across) - 0.65, 0, 1)
    hull = np.clip(np.minimum(canvas.yy - sheer, keel - canvas.yy) + 0.5, 0, 1)
    hull *= np.clip((1 - np.abs(across)) * long + 0.5, 0, 1)
    mirror = np.clip(1 - (canvas.yy - y) / (0.4 * long), 0, 1) * (np.abs(across) < 0.95)
    mirror *= (canvas.yy > y) * rng.uniform(0.2, 0.7)
    canvas.image += mirror[..., None] * (colour * 0.5 - canvas.image)
    stripe = (canvas.yy < sheer + 0.04 * long)[..., None]
    canvas.paint(hull.astype(np.float32), np.where(stripe, 1 - colour, colour), STATIC)
    if rng.random() < 0.6:
        tall, at = long * rng.uniform(0.8, 2.2), x + long * rng.uniform(-0.3, 0.3)
        mast = np.clip(max(0.6, long * 0.015) - np.abs(canvas.xx - at) + 0.5, 0, 1)
        mast *= (canvas.yy > deck - tall) & (canvas.yy < deck)
        if rng.random() < 0.6:
            t = np.clip((canvas.yy - deck + tall) / tall, 0, 1)
            reach = (canvas.xx - at) * rng.choice((-1, 1))
            sail = (reach > 1) & (reach < t * long * 0.7) & (canvas.yy < deck - 0.08 * tall)
            sail &= canvas.yy > deck - tall
            canvas.paint(
                cv2.GaussianBlur(sail.astype(np.float32), (0, 0), 0.6),
                rng.uniform(0.6, 1, 3),
                STATIC,
            )
        canvas.paint(mast.astype(np.float32), colour * 0.4, STATIC, share=0.3)
    else:
        cabin = np.clip(0.35 * long - np.abs(canvas.xx - x) + 0.5, 0, 1)
        cabin *= (canvas.yy > deck - 0.25 * long) & (canvas.yy < deck)
        canvas.paint(cabin.astype(np.float32), rng.uniform(0.3, 1, 3), STATIC)


def pier(canvas: Canvas, top: float) -> None:
    """A jetty of planks leading from the viewer out over the water: still."""
    rng = canvas.rng
    near = np.clip((canvas.yy / canvas.height - top) / (1 - top), 0, 1)
    foot, end = rng.uniform(0, 1, 2) * canvas.width
    centre = end + (foot - end) * near
    wide = canvas.width * (0.01 + near * rng.uniform(0.06, 0.25))
    alpha = np.clip(wide - np.abs(canvas.xx - centre) + 0.5, 0, 1)
    alpha *= canvas.yy > (top + rng.uniform(0.02, 0.2)) * canvas.height
    planks = 0.8 + 0.2 * np.sign(np.sin(40 * np.log(near + 0.08)))
    wood = rng.uniform(0.2, 0.7) * np.array([1, 0.85, 0.7]) * (0.8 + 0.4 * rng.random())
    grain = 0.85 + 0.3 * smooth_noise(rng, alpha.shape, 60, 12)[..., None] * 0.4
    canvas.paint(alpha.astype(np.float32), np.clip(wood * planks[..., None] * grain, 0, 1), STATIC)
