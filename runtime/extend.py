"""Continues a photo beyond its borders, softly, for frames of another shape than the photo."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .upsample import smoothstep

_SMALL = 320
_DARKEST = 0.72


def extended_picture(
    pixels: NDArray[np.uint8], crop: tuple[int, int, int, int], size: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Show the part `crop` of a photo, which reaches beyond it, as a frame of `size`.

    `pixels` uint8 (H, W, 3); `crop` (x0, y0, x1, y1) in its pixels; `size` (width, height). Gives
    the picture uint8 (h, w, 3) and where it is continuation, float32 (h, w): 1 beyond the photo,
    falling to 0 over a narrow band inside it. The continuation is the photo mirrored at its
    border, out of focus by more the further it goes, and a little darker.
    """
    import cv2

    width, height = size
    x0, y0, x1, y1 = crop
    tall, wide = pixels.shape[:2]
    left, top = max(x0, 0), max(y0, 0)
    right, bottom = min(x1, wide), min(y1, tall)
    per_x, per_y = width / (x1 - x0), height / (y1 - y0)
    place = (
        round((left - x0) * per_x),
        round((top - y0) * per_y),
        round((right - x0) * per_x),
        round((bottom - y0) * per_y),
    )
    inner = resample(pixels[top:bottom, left:right], (place[2] - place[0], place[3] - place[1]))
    backdrop = _continuation(inner, place, size)
    extended = _beyond(place, size)
    picture = np.empty((height, width, 3), np.uint8)
    noise = np.random.default_rng(0).random((64, width, 1), np.float32)
    for start in range(0, height, 64):
        rows = slice(start, min(start + 64, height))
        high = rows.stop - rows.start
        at_y = (np.arange(rows.start, rows.stop, dtype=np.float32) + 0.5) / height
        at_x = (np.arange(width, dtype=np.float32) + 0.5) / width
        map_x, map_y = np.meshgrid(at_x * backdrop.shape[1] - 0.5, at_y * backdrop.shape[0] - 0.5)
        soft = cv2.remap(backdrop, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        share = extended[rows, :, None]
        mixed = soft * share
        inside = slice(max(place[1], rows.start), min(place[3], rows.stop))
        if inside.stop > inside.start:
            part = slice(inside.start - rows.start, inside.stop - rows.start)
            across = slice(place[0], place[2])
            shown = inner[inside.start - place[1] : inside.stop - place[1]]
            mixed[part, across] += shown * (1 - share[part, across])
        # Half a level of noise keeps the smooth parts free of bands.
        dither = np.where(share > 0, noise[:high], 0.5)
        picture[rows] = np.clip(mixed + dither, 0, 255).astype(np.uint8)
    return picture, extended


def resample(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize uint8 (h, w, 3) to `size` (width, height): by area down, by cubic curves up."""
    import cv2

    if (pixels.shape[1], pixels.shape[0]) == size:
        return np.ascontiguousarray(pixels)
    smaller = size[0] < pixels.shape[1] or size[1] < pixels.shape[0]
    how = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(pixels, size, interpolation=how), np.uint8)


def _continuation(
    inner: NDArray[np.uint8], place: tuple[int, int, int, int], size: tuple[int, int]
) -> NDArray[np.float32]:
    """The blurred surroundings of `inner`, small: float32 (h, w, 3) over the whole frame."""
    import cv2

    width, height = size
    scale = min(1.0, _SMALL / max(width, height))
    small = (max(8, round(width * scale)), max(8, round(height * scale)))
    x0, x1 = (round(place[i] * small[0] / width) for i in (0, 2))
    y0, y1 = (round(place[i] * small[1] / height) for i in (1, 3))
    core = cv2.resize(inner, (max(2, x1 - x0), max(2, y1 - y0)), interpolation=cv2.INTER_AREA)
    rows = _mirrored(np.arange(small[1]) - y0, core.shape[0])
    columns = _mirrored(np.arange(small[0]) - x0, core.shape[1])
    whole = core[rows][:, columns].astype(np.float32)
    unit = min(small)
    near = cv2.GaussianBlur(whole, (0, 0), 0.02 * unit, borderType=cv2.BORDER_REFLECT_101)
    middle = cv2.GaussianBlur(whole, (0, 0), 0.07 * unit, borderType=cv2.BORDER_REFLECT_101)
    distance = _distance((x0, y0, x1, y1), small)
    reach = max(x0, y0, small[0] - x1, small[1] - y1, 1)
    far = cv2.GaussianBlur(
        whole, (0, 0), max(0.14 * unit, 0.2 * reach), borderType=cv2.BORDER_REFLECT_101
    )
    away = smoothstep(distance / (0.12 * unit))[..., None]
    farther = smoothstep((distance - 0.06 * unit) / (0.3 * unit))[..., None]
    soft = (near * (1 - away) + middle * away) * (1 - farther) + far * farther
    shade = 1 - (1 - _DARKEST) * np.clip(distance / reach, 0, 1)[..., None] ** 0.8
    return np.asarray(soft * shade, np.float32)


def _mirrored(index: NDArray[np.intp], length: int) -> NDArray[np.intp]:
    """Indices on a side of `length` for places on and beyond it, mirrored at its ends.

    Only its outer part is mirrored, to and fro: a subject in the middle must have no ghost.
    """
    depth = max(length // 4, 1)
    beyond = np.where(index < 0, -1 - index, index - length)
    folded = np.mod(beyond, 2 * depth)
    inward = np.where(folded < depth, folded, 2 * depth - 1 - folded)
    return np.where(index < 0, inward, np.where(index >= length, length - 1 - inward, index))


def _distance(place: tuple[int, int, int, int], size: tuple[int, int]) -> NDArray[np.float32]:
    """Pixels from each place of the frame to the photo in it, 0 on the photo; float32 (h, w)."""
    x = np.arange(size[0], dtype=np.float32) + 0.5
    y = np.arange(size[1], dtype=np.float32) + 0.5
    beside = np.maximum(np.maximum(place[0] - x, x - place[2]), 0)
    above = np.maximum(np.maximum(place[1] - y, y - place[3]), 0)
    return np.asarray(np.hypot(beside[None, :], above[:, None]), np.float32)


def _beyond(place: tuple[int, int, int, int], size: tuple[int, int]) -> NDArray[np.float32]:
    """1 outside the photo, falling smoothly to 0 over a band inside those borders that show."""
    band = max(4.0, 0.07 * min(place[2] - place[0], place[3] - place[1]))

    def ramp(low: int, high: int, length: int) -> NDArray[np.float32]:
        at = np.arange(length, dtype=np.float32) + 0.5
        depth = np.full(length, np.inf, np.float32)
        if low > 0:
            depth = np.minimum(depth, at - low)
        if high < length:
            depth = np.minimum(depth, high - at)
        return smoothstep(1 - depth / band)

    across = ramp(place[0], place[2], size[0])
    down = ramp(place[1], place[3], size[1])
    return np.asarray(1 - (1 - across)[None, :] * (1 - down)[:, None], np.float32)
