"""Drawing a picture through a map of coordinates: one seam, two ways, the same frames.

OpenCV's remap draws everywhere; a GridSample graph, for any engine, stands beside it and will be
taken on the devices where it is measured to be faster. Both sample a copy of the picture with a
half-pixel grid put in once by a wide cubic, so that the cheap linear reading of it stays sharp: a
slow camera would otherwise show the picture breathe between sharp and soft.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from ..engines.device import Device, choose_device
from ..engines.engine import open_engine

Floats: TypeAlias = NDArray[np.float32]
Bytes: TypeAlias = NDArray[np.uint8]

GRAPH = Path(__file__).parent / "graphs" / "warp.onnx"
CRISP = 0.02
_TAPS = np.arange(-3, 5) - 0.5
WIDEST_FINE = 8192  # pictures wider than this are read as they are, to keep memory in bounds


class Warp(Protocol):
    """A picture that can be drawn through maps, by several threads at once."""

    def warp(self, map_x: Floats, map_y: Floats) -> Bytes:
        """Sample the picture at (map_x, map_y), (h, w) float32 in picture pixels -> (h, w, 3).

        Outside the picture lies its mirror image.
        """

    def close(self) -> None:
        """Free what drawing holds; a second call does nothing."""


def refine(picture: Bytes, times: int) -> Bytes:
    """Put a new sample between each two of the picture; the old ones stay exact.

    picture (H, W, 3) uint8 -> (times H, times W, 3) uint8, where [times y, times x] is [y, x];
    times is 1 or 2. The new ones come from a Lanczos window of eight samples.
    """
    if times == 1:
        return picture
    height, width = picture.shape[:2]
    between = np.sinc(_TAPS) * np.sinc(_TAPS / 4.0)
    # A little crisper than the window alone, so that half-way is as sharp as the pixels are.
    between = np.convolve(between, [-CRISP, 1.0 + 2.0 * CRISP, -CRISP], "same")
    between /= between.sum()
    as_is = np.array([1.0])
    fine = np.empty((2 * height, 2 * width, 3), np.uint8)
    for y, along in enumerate((as_is, between)):
        for x, across in enumerate((as_is, between)):
            anchor = (3 if x else 0, 3 if y else 0)
            fine[y::2, x::2] = cv2.sepFilter2D(
                picture, -1, across, along, anchor=anchor, borderType=cv2.BORDER_REFLECT_101
            )
    return fine


def fineness(picture: Bytes) -> int:
    """How many samples a pixel is given along each axis."""
    return 2 if max(picture.shape[:2]) * 2 <= WIDEST_FINE else 1


class Refined:
    """A picture with new samples put in once, read through one scale and shift."""

    def __init__(self, picture: Bytes) -> None:
        self._times = fineness(picture)
        self._fine = refine(picture, self._times)

    def affine(self, scale: float, start: tuple[float, float], size: tuple[int, int]) -> Bytes:
        """Read (width, height) pixels from `start` (x, y) on, `scale` picture pixels apart.

        Outside the picture lies its mirror image.
        """
        by = self._times
        matrix = np.array([[scale * by, 0.0, start[0] * by], [0.0, scale * by, start[1] * by]])
        how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        seen = cv2.warpAffine(
            self._fine, matrix, size, flags=how, borderMode=cv2.BORDER_REFLECT_101
        )
        return np.asarray(seen, np.uint8)


class OpenCvWarp:
    """The way taken: OpenCV's remap, on the CPU."""

    def __init__(self, picture: Bytes) -> None:
        self._times = fineness(picture)
        # A pixel of four bytes is read in one go: a quarter of the time of a remap less.
        self._fine = cv2.cvtColor(refine(picture, self._times), cv2.COLOR_RGB2RGBA)

    def warp(self, map_x: Floats, map_y: Floats) -> Bytes:
        if self._times != 1:
            map_x, map_y = map_x * np.float32(self._times), map_y * np.float32(self._times)
        frame = cv2.remap(
            self._fine, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
        )
        return np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGBA2RGB), np.uint8)

    def close(self) -> None:
        """Nothing is held that needs freeing."""


class GraphWarp:
    """The second way: a GridSample graph, run by whatever engine the device has.

    Raises EngineError when there is no such device.
    """

    def __init__(self, picture: Bytes, device: Device | str = "auto") -> None:
        self._times = fineness(picture)
        self._fine = refine(picture, self._times)
        self._engine = open_engine(GRAPH, device=device)

    def warp(self, map_x: Floats, map_y: Floats) -> Bytes:
        times = np.float32(self._times)
        inputs = {"picture": self._fine, "map_x": map_x * times, "map_y": map_y * times}
        return np.asarray(self._engine.run(inputs)["frame"], np.uint8)

    def close(self) -> None:
        """Close the engine."""
        self._engine.close()


def choose_warp(picture: Bytes, device: Device | str = "cpu") -> Warp:
    """The faster way beside this device, as far as it is measured: OpenCV, everywhere.

    `GraphWarp` is to be chosen here for a device once it is measured faster there, the way of the
    frames to and from it included. Raises EngineError when there is no such device.
    """
    choose_device(device)
    return OpenCvWarp(picture)
