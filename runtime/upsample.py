"""Carrying coarse maps up to the picture, along the picture's own edges."""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
Bytes: TypeAlias = NDArray[np.uint8]


def resize(map_: Floats, size: tuple[int, int]) -> Floats:
    """Lay a map over another grid of the same extent.

    map_ (h, w) or (h, w, c) float32; size (height, width). Averages going down, linear going up.
    """
    height, width = size
    if map_.shape[:2] == (height, width):
        return map_
    down = height * width < map_.shape[0] * map_.shape[1]
    how = cv2.INTER_AREA if down else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(map_, (width, height), interpolation=how), np.float32)


def rows_of(map_: Floats, rows: slice, size: tuple[int, int]) -> Floats:
    """Some rows of a map laid over a picture, linear between its cells, the rest never made.

    map_ (h, w) or (h, w, c) float32; size (height, width) of the picture; rows have both ends.
    """
    down, across = map_.shape[0] / size[0], map_.shape[1] / size[1]
    place = np.array(
        [[across, 0, 0.5 * across - 0.5], [0, down, (rows.start + 0.5) * down - 0.5]], np.float32
    )
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    part = size[1], rows.stop - rows.start
    laid = cv2.warpAffine(map_, place, part, flags=how, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(laid, np.float32)


def smoothstep(value: Floats) -> Floats:
    """0 below 0, 1 above 1, and a cubic with level ends between."""
    v = np.clip(value, 0.0, 1.0)
    return np.asarray(v * v * (3.0 - 2.0 * v), np.float32)


def _box(map_: Floats, radius: int) -> Floats:
    side = (2 * radius + 1, 2 * radius + 1)
    return np.asarray(cv2.boxFilter(map_, -1, side, borderType=cv2.BORDER_REFLECT), np.float32)


def guided_filter(guide: Floats, map_: Floats, radius: int, softness: float = 1e-3) -> Floats:
    """Bend the edges of `map_` onto the edges of a colour picture.

    guide (h, w, 3) float32 0..1, map_ (h, w) float32, radius in pixels, softness the variance
    under which a difference in colour is no edge; returns (h, w) float32.
    Follows He, Sun and Tang, Guided Image Filtering (2010), with the colour guide.
    """
    mean_guide, mean_map = _box(guide, radius), _box(map_, radius)
    between = _box(guide * map_[..., None], radius) - mean_guide * mean_map[..., None]
    r, g, b = guide[..., 0], guide[..., 1], guide[..., 2]
    products = np.stack([r * r, r * g, r * b, g * g, g * b, b * b], -1)
    mr, mg, mb = mean_guide[..., 0], mean_guide[..., 1], mean_guide[..., 2]
    means = np.stack([mr * mr, mr * mg, mr * mb, mg * mg, mg * mb, mb * mb], -1)
    rr, rg, rb, gg, gb, bb = np.moveaxis(_box_many(products, radius) - means, -1, 0)
    rr, gg, bb = rr + softness, gg + softness, bb + softness
    # The inverse of the symmetric 3x3 covariance, written out by cofactors.
    c00, c01, c02 = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
    c11, c12, c22 = rr * bb - rb * rb, rb * rg - rr * gb, rr * gg - rg * rg
    determinant = rr * c00 + rg * c01 + rb * c02
    x, y, z = between[..., 0], between[..., 1], between[..., 2]
    slope = np.stack(
        [c00 * x + c01 * y + c02 * z, c01 * x + c11 * y + c12 * z, c02 * x + c12 * y + c22 * z], -1
    )
    slope /= np.maximum(determinant, 1e-12)[..., None]
    level = mean_map - (slope * mean_guide).sum(-1)
    bent = (_box(slope.astype(np.float32), radius) * guide).sum(-1)
    return np.asarray(bent + _box(level.astype(np.float32), radius), np.float32)


def _box_many(maps: Floats, radius: int) -> Floats:
    """Box filter of more channels than one call takes."""
    half = [_box(np.ascontiguousarray(maps[..., i : i + 3]), radius) for i in (0, 3)]
    return np.concatenate(half, -1)


def follow_edges(map_: Floats, picture: Bytes, size: tuple[int, int]) -> Floats:
    """Carry a coarse map with values 0..1 up to `size`, its borders moved onto the picture's edges.

    map_ (h, w) float32, picture (H, W, 3) uint8, size (height, width); returns float32 0..1.
    A map that is already as fine as `size` is taken as it is.
    """
    coarse = map_.shape[0]
    fine = np.clip(resize(np.ascontiguousarray(map_, np.float32), size), 0.0, 1.0)
    if coarse >= size[0]:
        return np.asarray(fine, np.float32)
    small = cv2.resize(picture, (size[1], size[0]), interpolation=cv2.INTER_AREA)
    guide = small.astype(np.float32) / np.float32(255.0)
    cell = size[0] / coarse
    bent = guided_filter(guide, fine, max(2, round(1.5 * cell)), 2e-3)
    # A window sees two things at once, so the answer is a little flat: pull the ends apart.
    return smoothstep((bent - np.float32(0.08)) / np.float32(0.84))


def extend(field: Floats, weight: Floats) -> Floats:
    """Continue a field smoothly from where it is known into where it is not.

    field (h, w, c) float32, weight (h, w) float32 0 (unknown) .. 1 (known); returns (h, w, c).
    Weighted means over ever narrower neighbourhoods, the narrow ones winning where they know.
    """
    height, width = weight.shape
    total = float(weight.sum())
    if total <= 0.0:
        return np.zeros_like(field)
    filled = np.broadcast_to((field * weight[..., None]).sum((0, 1)) / total, field.shape)
    filled = np.array(filled, np.float32)
    weighted = field * weight[..., None]
    radius = max(height, width) / 4.0
    while radius >= 1.0:
        known = cv2.GaussianBlur(weight, (0, 0), radius)
        here = _blur_many(weighted, radius) / np.maximum(known, 1e-6)[..., None]
        trust = (known / (known + np.float32(0.05)))[..., None]
        filled += trust * (here - filled)
        radius /= 2.0
    return np.asarray(filled + weight[..., None] * (field - filled), np.float32)


def _blur_many(field: Floats, radius: float) -> Floats:
    blurred = [
        cv2.GaussianBlur(np.ascontiguousarray(field[..., i]), (0, 0), radius)
        for i in range(field.shape[-1])
    ]
    return np.stack(blurred, -1).astype(np.float32)


def border_fade(size: tuple[int, int], share: float) -> Floats:
    """1 inside, falling smoothly to 0 at the border over `share` of the shorter side."""
    height, width = size
    reach = max(1.0, share * min(height, width))
    down = np.minimum(np.arange(height) + 0.5, np.arange(height)[::-1] + 0.5) / reach
    across = np.minimum(np.arange(width) + 0.5, np.arange(width)[::-1] + 0.5) / reach
    fade = smoothstep(down.astype(np.float32))[:, None] * smoothstep(across.astype(np.float32))
    return np.asarray(fade, np.float32)
