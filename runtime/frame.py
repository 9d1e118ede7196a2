"""Lays a photo into a frame of the asked shape, keeping faces and the subject in sight.

A frame of another shape than the photo cuts some of it away. Where that would cost a face, the
subject, or too much of the picture, the frame reaches over the photo's border instead, and what
lies there is a soft, blurred continuation of the photo itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..engines.errors import SettingsError
from .crop import Box, choose_window, distinct, whole_pixels
from .extend import extended_picture, resample
from .photo import Photo
from .settings import ASPECT_RANGE, HEIGHT_RANGE, parse_aspect

MAX_WIDTH = 8192
Points: TypeAlias = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Shot:
    """A photo framed.

    `picture` uint8 (h, w, 3), even sizes. `crop` (x0, y0, x1, y1) is the part of the photo it
    shows, in the photo's pixels, beyond its borders where the picture is continued. `size` is the
    photo's (W, H); `scale` is frame pixels per photo pixel, above 1 where the photo is enlarged.
    `extended` float32 (h, w), 1 where the picture is continuation, fading to 0, or None.
    """

    picture: NDArray[np.uint8]
    crop: tuple[float, float, float, float]
    size: tuple[int, int]
    scale: float = 1.0
    extended: NDArray[np.float32] | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def width(self) -> int:
        """Width of the frame in pixels."""
        return int(self.picture.shape[1])

    @property
    def height(self) -> int:
        """Height of the frame in pixels."""
        return int(self.picture.shape[0])

    def carry(self, map_: NDArray[np.float32], fill: float | None = 0.0) -> NDArray[np.float32]:
        """Take a map laid over the whole photo to the frame, at the map's own scale.

        `map_` is float32 (h, w) or (h, w, c); the result is what the frame shows of it, linear
        between cells, `fill` outside the photo; None goes on there with the border's values.
        """
        rows, inside_y = _cells(self.crop[1], self.crop[3], self.size[1], map_.shape[0])
        columns, inside_x = _cells(self.crop[0], self.crop[2], self.size[0], map_.shape[1])
        shown = _between(_between(map_, rows, 0), columns, 1)
        if fill is not None:
            shown[~(inside_y[:, None] & inside_x[None, :])] = fill
        return shown

    def carry_box(self, box: Box) -> Box:
        """Take a box on the photo to the frame; where the frame cuts it, it leaves 0..1."""
        x0, y0, x1, y1 = self.crop
        width, height = self.size
        across, down = x1 - x0, y1 - y0
        return Box(
            (box[0] * width - x0) / across,
            (box[1] * height - y0) / down,
            (box[2] * width - x0) / across,
            (box[3] * height - y0) / down,
        )

    def carry_points(self, points: Points) -> Points:
        """Take points on the photo, pairs of 0..1, to the frame."""
        carried = [self.carry_box(Box(x, y, x, y)) for x, y in points]
        return tuple((box.x0, box.y0) for box in carried)


def _cells(
    start: float, stop: float, length: int, cells: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Where along a map of `cells` the frame's cells lie, and which of them are on the photo."""
    step = cells / length
    count = max(1, round((stop - start) * step))
    at = start * step + (np.arange(count) + 0.5) * ((stop - start) * step / count)
    return np.clip(at - 0.5, 0, cells - 1), (at > 0) & (at < cells)


def _between(map_: NDArray[Any], at: NDArray[np.float64], axis: int) -> NDArray[np.float32]:
    low = np.floor(at).astype(np.intp)
    high = np.minimum(low + 1, map_.shape[axis] - 1)
    shape = [1] * map_.ndim
    shape[axis] = -1
    share = (at - low).astype(np.float32).reshape(shape)
    mixed = np.take(map_, low, axis) * (1 - share) + np.take(map_, high, axis) * share
    return np.asarray(mixed, np.float32)


def frame_size(aspect: str, height: int, size: tuple[int, int]) -> tuple[int, int]:
    """Even (width, height) in pixels of a frame for a photo of `size` (W, H).

    Raises SettingsError for a height outside 64 .. 4320 or a width above 8192.
    """
    ratio = parse_aspect(aspect)
    if ratio is None:
        ratio = min(max(size[0] / size[1], ASPECT_RANGE[0]), ASPECT_RANGE[1])
    low, high = HEIGHT_RANGE
    if not low <= height <= high:
        raise SettingsError(f"height {height} is out of range: give one from {low} to {high}")
    even = height - height % 2
    width = max(16, 2 * int(even * ratio / 2 + 0.5))
    if width > MAX_WIDTH:
        raise SettingsError(
            f"a frame {even} pixels high would be {width} wide, more than {MAX_WIDTH}: give a "
            "smaller height or a narrower aspect"
        )
    return width, even


def frame_photo(
    photo: Photo,
    *,
    aspect: str,
    height: int,
    keep: NDArray[np.float32] | None = None,
    boxes: Sequence[Sequence[float]] = (),
) -> Shot:
    """Frame a photo in the shape `aspect`, `height` pixels high.

    `keep` float32 (h, w) >= 0 over the whole photo says how much each place matters (the
    subject); `boxes` are faces, (x0, y0, x1, y1) in 0..1, which stay in sight with room around
    them. Raises SettingsError for an impossible aspect or height.
    """
    tall, wide = photo.pixels.shape[:2]
    width, height = frame_size(aspect, height, (wide, tall))
    window = choose_window((wide, tall), width / height, keep, distinct(photo.pixels), boxes)
    crop = whole_pixels(window, (wide, tall))
    scale = height / (crop[3] - crop[1])
    notes = []
    reaches = crop[0] < 0 or crop[1] < 0 or crop[2] > wide or crop[3] > tall
    if reaches:
        notes.append("extended by a soft continuation of the photo")
    if scale > 1.05:
        notes.append(f"enlarged {scale:.1f} times")
    if reaches:
        picture, extended = extended_picture(photo.pixels, crop, (width, height))
        return Shot(picture, crop, (wide, tall), scale, extended, tuple(notes))
    x0, y0, x1, y1 = crop
    picture = resample(photo.pixels[y0:y1, x0:x1], (width, height))
    return Shot(picture, crop, (wide, tall), scale, None, tuple(notes))
