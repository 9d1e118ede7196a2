"""Lays a face of the photo over a frame: moved as the frame's own face is, and in its light."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from .alignment import SIDE, Pixels, Similarity, carry, chain, inverse, size_of
from .upsample import smoothstep

_MIDDLE, _HALF = np.array([56.0, 64.0]), np.array([50.0, 66.0])  # of the oval, on the template
_RIM = 0.28  # of the oval's radius, in which it fades
_MARGIN = 30  # template pixels that the oval's picture reaches beyond the template
_LIGHT = 24.0  # template pixels over which light is the frame's own


def lay_face(
    frame: Pixels, photo: Pixels, known: Similarity, way: Similarity, weight: float
) -> Pixels:
    """A frame with a face of the photo laid over it in a soft oval, from brow to chin.

    frame, photo: uint8 RGB of any sizes; known, way: from the template to the photo's and to the
    frame's face; weight: 0 the frame as it is .. 1. Where light falls over areas wider than about a
    third of the face, and of what colour, stays the frame's. The result is a new picture.
    """
    if weight <= 0.0:
        return frame
    region = _region(frame, way)
    if region is None:
        return frame
    x0, y0, x1, y1 = region
    size = x1 - x0, y1 - y0
    here = np.array([[1.0, 0.0, -x0], [0.0, 1.0, -y0]])
    alpha = _warped(_oval(), chain(_FROM_OVAL, chain(way, here)), size)
    moved = chain(inverse(known), chain(way, here))
    face = _warped(photo, moved, size, border=cv2.BORDER_REPLICATE)
    part = frame[y0:y1, x0:x1].astype(np.float32)
    lit = _in_light(face.astype(np.float32), part, alpha, _LIGHT * size_of(way))
    share = (alpha * np.float32(min(weight, 1.0)))[..., None]
    mixed = part + (lit - part) * share
    done = frame.copy()
    done[y0:y1, x0:x1] = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
    return done


_FROM_OVAL = np.array([[1.0, 0.0, -_MARGIN], [0.0, 1.0, -_MARGIN]])


@cache
def _oval() -> NDArray[np.float32]:
    """The weight of a face's places on the template and around it, float32, 1 fading to 0."""
    side = SIDE + 2 * _MARGIN
    y, x = np.mgrid[:side, :side].astype(np.float32) - np.float32(_MARGIN)
    away = np.hypot((x - _MIDDLE[0]) / _HALF[0], (y - _MIDDLE[1]) / _HALF[1])
    return smoothstep((1.0 - away) / _RIM)


def _region(frame: Pixels, way: Similarity) -> tuple[int, int, int, int] | None:
    """The part of the frame that the oval covers; None where it lies outside."""
    corners = _MIDDLE + _HALF * np.array([(-1, -1), (1, -1), (-1, 1), (1, 1)])
    places = carry(corners, way)
    low, high = np.floor(places.min(0)).astype(int), np.ceil(places.max(0)).astype(int) + 1
    x0, y0 = max(int(low[0]), 0), max(int(low[1]), 0)
    x1, y1 = min(int(high[0]), frame.shape[1]), min(int(high[1]), frame.shape[0])
    return (x0, y0, x1, y1) if x1 - x0 >= 4 and y1 - y0 >= 4 else None


def _warped(
    picture: NDArray[np.uint8] | NDArray[np.float32],
    way: Similarity,
    size: tuple[int, int],
    border: int = cv2.BORDER_CONSTANT,
) -> NDArray[np.float32]:
    flags = cv2.INTER_CUBIC if picture.dtype == np.uint8 else cv2.INTER_LINEAR
    return np.asarray(
        cv2.warpAffine(picture, way, size, flags=flags, borderMode=border), np.float32
    )


def _in_light(
    face: NDArray[np.float32],
    part: NDArray[np.float32],
    alpha: NDArray[np.float32],
    reach: float,
) -> NDArray[np.float32]:
    """The face with the frame's own brightness and colour over distances of `reach` pixels."""
    times = max(int(reach / 6), 1)
    size = max(face.shape[1] // times, 1), max(face.shape[0] // times, 1)
    spread = max(reach / times, 0.5)

    def soft(picture: NDArray[np.float32]) -> NDArray[np.float32]:
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.GaussianBlur(small, (0, 0), spread), np.float32)

    cover = soft(alpha)[..., None] + np.float32(0.02)
    wanted = soft(part * alpha[..., None]) / cover
    own = soft(face * alpha[..., None]) / cover
    gain = np.clip((wanted + 8) / (own + 8), 0.4, 2.5)
    whole = cv2.resize(gain, (face.shape[1], face.shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray((face + 8) * whole - 8, np.float32)
