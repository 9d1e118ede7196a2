"""Blur as memory: the picture goes soft where feeling is highest, and sharp again as it resolves.

Faces stay sharp throughout, and whoever they belong to nearly so; what is behind a person is
blurred from what is behind alone, so that no rim of the person bleeds into it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from ..upsample import resize, smoothstep
from .lens import seen_through
from .light import dither
from .masks import disc

if TYPE_CHECKING:
    from .camera import Camera
    from .pacing import Pacing

Floats: TypeAlias = NDArray[np.float32]
Bytes: TypeAlias = NDArray[np.uint8]

WIDE = 0.009  # standard deviation of the blur at strength 1, in shorter sides
PERSON = 0.80  # how sharp a person stays
MIDDLE = 0.55  # how sharp the focus of a picture without people stays
UNSEEN = 0.02


class Softness:
    """The blur of one film.

    amount 0..1 at the peak; size: (height, width) of the frames; camera: the film's, through which
    the maps are seen; faces, people: (h, w) 0..1 over the picture, any grid, or None; focus: what
    stays clearer than the rest, (x, y) shares.
    """

    def __init__(
        self,
        amount: float,
        *,
        size: tuple[int, int],
        camera: Camera,
        pacing: Pacing,
        faces: Floats | None = None,
        people: Floats | None = None,
        focus: tuple[float, float] = (0.5, 0.5),
    ) -> None:
        self._amount = min(max(amount, 0.0), 1.0)
        self._size, self._camera, self._pacing = size, camera, pacing
        self._half = (size[0] + 1) // 2, (size[1] + 1) // 2
        quarter = (size[0] + 3) // 4, (size[1] + 3) // 4
        sharp = _kept(faces, people, quarter)
        if float(sharp.mean()) < 0.01:
            y, x = np.mgrid[0 : quarter[0], 0 : quarter[1]].astype(np.float32)
            away = np.hypot(x - focus[0] * quarter[1], y - focus[1] * quarter[0])
            near = 1.0 - smoothstep((away / np.float32(0.75 * min(quarter)) - 0.15) / 0.85)
            sharp = np.maximum(sharp, np.float32(MIDDLE) * near)
        self._sharp = sharp
        self._dither = dither(size)

    def much(self, time: float) -> float:
        """How soft the picture is at `time`, 0 .. 1."""
        return self._amount * self._pacing.feeling(time)

    def lay(self, frame: Bytes, time: float) -> Bytes:
        """The frame (h, w, 3) uint8, soft where it may be."""
        much = self.much(time)
        if much <= UNSEEN:
            return frame
        sharp = seen_through(self._camera.view(time), self._sharp)
        open_ = resize(np.asarray(1.0 - sharp, np.float32), self._half)
        small = cv2.resize(frame, self._half[::-1], interpolation=cv2.INTER_AREA)
        wide = max(0.5 * WIDE * min(self._size) * much, 0.6)
        weight = np.maximum(open_, np.float32(1e-3))
        spread = cv2.GaussianBlur(weight, (0, 0), wide)
        soft = cv2.GaussianBlur(
            cv2.multiply(small, cv2.merge([weight] * 3), dtype=cv2.CV_32F), (0, 0), wide
        )
        soft = cv2.divide(soft, cv2.merge([spread] * 3))
        high, across = self._size
        full = cv2.resize(soft, (across, high), interpolation=cv2.INTER_LINEAR)
        # From sharp to soft first, then ever softer: a lens going out of focus, not a double image.
        share = np.float32(min(1.0, 4.0 * (much - UNSEEN)))
        mask = cv2.resize(open_ * share, (across, high), interpolation=cv2.INTER_LINEAR)
        mixed = cv2.blendLinear(np.asarray(frame, np.float32), full, 1.0 - mask, mask)
        return np.asarray(cv2.add(mixed, self._dither, dtype=cv2.CV_8U), np.uint8)


def _kept(faces: Floats | None, people: Floats | None, size: tuple[int, int]) -> Floats:
    """How sharp each place stays: faces whole, people nearly, the rest not at all."""
    sharp = np.zeros(size, np.float32)
    there = None if people is None else _grown(people, size, 0.012)
    if there is not None:
        sharp = np.asarray(PERSON * there, np.float32)
    if faces is not None:
        face = _grown(faces, size, 0.035)
        inner = faces > 0.9
        if there is not None and inner.any():
            # A face's oval reaches beside the head; only where the person is known to be on it
            # does what lies beside go soft.
            known = resize(
                np.ascontiguousarray(people, np.float32), (faces.shape[0], faces.shape[1])
            )
            if float(known[inner].mean()) > 0.8:
                face *= np.minimum(1.0, 1.25 * there)
        sharp = np.maximum(sharp, face)
    return sharp


def _grown(map_: Floats, size: tuple[int, int], reach: float) -> Floats:
    """A map carried a little beyond its border, with a soft edge outside it."""
    there = resize(np.ascontiguousarray(map_, np.float32), size)
    there = smoothstep(there / np.float32(0.5))
    radius = max(1, round(reach * min(size)))
    grown = cv2.dilate(there, disc(radius))
    return np.maximum(there, cv2.GaussianBlur(grown, (0, 0), radius)).astype(np.float32)
