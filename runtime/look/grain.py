"""Film grain: fine, faint, never the same twice in a row; only when asked for."""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from ..upsample import resize
from .camera import glide

Floats: TypeAlias = NDArray[np.float32]
Bytes: TypeAlias = NDArray[np.uint8]

DEPTH = 3.0  # levels of standard deviation at strength 1, in the midtones
SPARED = 0.7  # how much less of it there is on a face that is to be spared
MARGIN = 64  # how far the sheet of grain is shifted about
STRIP = 80  # rows that are worked at a time, so that their floats stay in the processor's memory


class Grain:
    """Grain for frames of one size.

    size (height, width); strength 0..1; seed: the same seed gives the same grain; faces: (h, w)
    0..1 over the frame, any grid, where there is less of it, or None.
    """

    def __init__(
        self,
        size: tuple[int, int],
        strength: float,
        seed: int = 0,
        faces: Floats | None = None,
    ) -> None:
        self._size = size
        self._strength = min(max(strength, 0.0), 1.0)
        self._seed = seed
        rng = np.random.default_rng([seed, 11])
        sheet = rng.standard_normal((size[0] + MARGIN, size[1] + MARGIN), np.float32)
        fine = np.asarray(cv2.GaussianBlur(sheet, (0, 0), 0.65), np.float32)
        self._sheet = fine * np.float32(DEPTH / float(fine.std()))
        self._clear: Floats | None = None
        if faces is not None and float(faces.max()) > 0.0:
            soft = cv2.GaussianBlur(faces, (0, 0), max(1.0, 0.02 * min(faces.shape)))
            self._clear = 1.0 - np.float32(SPARED) * resize(np.asarray(soft, np.float32), size)

    def lay(self, frame: Bytes, index: int, time: float) -> Bytes:
        """The frame (h, w, 3) uint8 with grain; the first frame stays as it is."""
        amount = self._strength * glide(time / 2.0, 0.5, 0.5)
        if amount <= 0.0:
            return frame
        luma = np.arange(256, dtype=np.float32) / np.float32(255.0)
        # Film shows its grain in the midtones; black and white stay clean.
        much = np.float32(amount) * (np.float32(0.35) + 2.6 * luma * (1.0 - luma))
        rng = np.random.default_rng([self._seed, 13, index])
        y, x = (int(v) for v in rng.integers(0, MARGIN, 2))
        part = self._sheet[y : y + self._size[0], x : x + self._size[1]]
        grainy = np.empty(frame.shape, np.uint8)
        for top in range(0, len(frame), STRIP):
            rows = slice(top, top + STRIP)
            noise = part[rows] if self._clear is None else part[rows] * self._clear[rows]
            noise = noise * cv2.LUT(cv2.cvtColor(frame[rows], cv2.COLOR_RGB2GRAY), much)
            cv2.add(frame[rows], cv2.merge([noise] * 3), dst=grainy[rows], dtype=cv2.CV_8U)
        return grainy
