"""The lens: where each place of a frame looks, near things moving more than far ones.

One smooth depth bends the picture, without edges and without holes; people are one depth each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from ..upsample import border_fade, resize, smoothstep
from .masks import grow

if TYPE_CHECKING:
    from .camera import View

Floats: TypeAlias = NDArray[np.float32]

DEEP = 0.55  # how much more the nearest zooms than the middle, as a share of the zoom


def calm_depth(depth: Floats, people: Floats | None, size: tuple[int, int]) -> Floats:
    """Depth without edges, and one constant over people, so that no face is bent by parallax.

    depth (h, w) 0 far .. 1 near; people (h, w) 0..1, any grid over the same picture, or None;
    size (height, width) of the answer; returns float32, its mean taken away, within -1..1.
    """
    shorter = min(size)
    soft = resize(np.ascontiguousarray(depth, np.float32), size)
    low, high = (float(v) for v in np.percentile(soft, (2, 98)))
    if high - low < 1e-3:
        return np.zeros(size, np.float32)
    soft = np.clip((soft - low) / max(high - low, 0.25), 0.0, 1.0).astype(np.float32)
    if people is not None:
        mask = resize(np.ascontiguousarray(people, np.float32), size)
        inside = (mask > 0.35).astype(np.uint8)
        if int(inside.sum()) > 0:
            level = float(soft[inside > 0].mean())
            grown = grow(inside, 0.03 * shorter)
            soft = np.where(grown > 0, np.float32(level), soft)
            blurred = cv2.GaussianBlur(soft, (0, 0), 0.045 * shorter)
            # Level again inside, and from there over to the blurred rest without a step.
            outside = cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5)
            keep = (1.0 - outside / (0.12 * shorter)).astype(np.float32)
            calm = blurred + smoothstep(keep) * (np.float32(level) - blurred)
            return np.asarray(calm - calm.mean(), np.float32)
    calm = cv2.GaussianBlur(soft, (0, 0), 0.045 * shorter)
    return np.asarray(calm - calm.mean(), np.float32)


def seen_through(view: View, map_: Floats) -> Floats:
    """A map (h, w) over the picture as the camera sees it."""
    height, width = map_.shape
    seen = cv2.warpAffine(
        map_,
        view.matrix(height, width),
        (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(seen, np.float32)


class Lens:
    """Turns views into offsets: where each place of the frame looks in the picture.

    depth: from `calm_depth`, on the grid that offsets are made on, or None for a flat picture;
    size: (height, width) of that grid; picture: (height, width) of the picture.
    """

    def __init__(
        self, depth: Floats | None, size: tuple[int, int], picture: tuple[int, int]
    ) -> None:
        self._depth = depth
        self._size = size
        self._picture = picture
        height, width = size
        self._x = ((np.arange(width, dtype=np.float32) + 0.5) * (picture[1] / width) - 0.5)[None]
        self._y = ((np.arange(height, dtype=np.float32) + 0.5) * (picture[0] / height) - 0.5)[
            :, None
        ]
        self._fade = border_fade(size, 0.08)

    def offsets(self, view: View) -> tuple[Floats, Floats]:
        """Looked-at minus own coordinates, in picture pixels, (h, w) float32 each."""
        tall, wide = self._picture
        room = 1.0 - 1.0 / view.zoom
        pin_x = (view.left / room if room > 1e-9 else 0.5) * wide - 0.5
        pin_y = (view.top / room if room > 1e-9 else 0.5) * tall - 0.5
        if self._depth is None:
            shape = self._size
            across = np.broadcast_to((self._x - np.float32(pin_x)) * np.float32(-room), shape)
            along = np.broadcast_to((self._y - np.float32(pin_y)) * np.float32(-room), shape)
            return np.array(across), np.array(along)
        depth = seen_through(view, self._depth)
        # 1 / zoom - 1, with the zoom a little larger for what is near.
        shrink = -room * (1.0 + DEEP * depth)
        shorter = min(tall, wide)
        near = depth * self._fade
        across = (self._x - np.float32(pin_x)) * shrink + near * np.float32(view.side * shorter)
        along = (self._y - np.float32(pin_y)) * shrink + near * np.float32(view.rise * shorter)
        return across.astype(np.float32), along.astype(np.float32)
