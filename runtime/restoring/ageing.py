"""What state a photo is in: its blocks, how soft and how noisy it is, whether it has colours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from ..letterbox import shrunk
from .deblock import saved_quality

Pixels: TypeAlias = NDArray[np.uint8]
Floats: TypeAlias = NDArray[np.float32]

SMALL = 720
"""Pixels of the shorter side under which a photo is small."""
_LOOK = 1024  # pixels of the middle that are looked at, at full size
_NOISY = 5.0  # levels
_SOFT = 0.046  # of the contrast of edges, lost at half the size
_TONED = 4.6, 12.0  # levels that colours stray from a single tone, usually and at most


@dataclass(frozen=True)
class State:
    """What a photo is like."""

    short: int
    """Pixels of the shorter side."""
    quality: int | None
    """JPEG quality it shows blocks of; None where none are to be seen."""
    begin: tuple[int, int]
    """Where those begin, (row, column)."""
    noise: float
    """Levels of 255, standard deviation."""
    soft: bool
    """Half the size would hold all that is in it."""
    toned: bool
    """Grey, sepia, or of another single tone."""

    @property
    def small(self) -> bool:
        """Too small for a film to be sharp."""
        return self.short < SMALL

    @property
    def noisy(self) -> bool:
        """Grain or noise is plainly seen."""
        return self.noise > _NOISY

    @property
    def aged(self) -> bool:
        """Old enough, as it looks, to have been scratched."""
        return self.toned or (self.small and (self.soft or self.noisy))


def look_at(pixels: Pixels) -> State:
    """Say what a photo, uint8 RGB (H, W, 3), is like, from its middle."""
    height, width = pixels.shape[:2]
    top, left = max(0, (height - _LOOK) // 2), max(0, (width - _LOOK) // 2)
    part = np.ascontiguousarray(pixels[top : top + _LOOK, left : left + _LOOK])
    luma = np.asarray(cv2.cvtColor(part, cv2.COLOR_RGB2GRAY), np.float32)
    found = saved_quality(pixels)
    noise = _noise(luma)
    return State(
        short=min(height, width),
        quality=None if found is None else found[0],
        begin=(0, 0) if found is None else found[1],
        noise=noise,
        soft=_lost_at_half(luma, noise) < _SOFT,
        toned=all(np.less(_strays(pixels), _TONED)),
    )


def _noise(luma: Floats) -> float:
    """Standard deviation of noise where the picture is smooth (after Immerkaer, 1996)."""
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    rough = np.abs(cv2.filter2D(luma, cv2.CV_32F, kernel)) / 6.0
    clipped = (luma < 4) | (luma > 251)
    if clipped.all():
        return 0.0
    local = cv2.blur(rough, (15, 15))[~clipped]
    smooth = local[local <= np.quantile(local, 0.2)]
    return float(np.sqrt(np.pi / 2) * smooth.mean())


def _lost_at_half(luma: Floats, noise: float) -> float:
    """How much of its strongest edges a photo loses at half the size, 0..1."""
    height, width = luma.shape
    small = cv2.resize(
        luma, (max(1, width // 2), max(1, height // 2)), interpolation=cv2.INTER_AREA
    )
    back = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    lost = np.sqrt(cv2.blur(np.square(luma - back), (9, 9)))
    side = np.ones((9, 9), np.uint8)
    span = cv2.dilate(luma, side) - cv2.erode(luma, side)
    edges = span >= max(float(np.quantile(span, 0.9)), 20.0)
    if not edges.any():
        return 1.0
    own = np.sqrt(np.maximum(np.square(lost[edges]) - 0.7 * noise**2, 0))
    return float(np.median(own / span[edges]))


def one_tone(pixels: Pixels) -> Pixels:
    """Give a photo of a single tone exactly that: each brightness one colour, its usual one."""
    values = cv2.cvtColor(pixels, cv2.COLOR_RGB2YCrCb)
    curves = [_powers(np.arange(256) / 255.0) @ one for one in _tone(_colours(pixels, 160))]
    for channel, curve in enumerate(curves, 1):
        table = np.clip(np.rint(curve), 0, 255).astype(np.uint8)
        values[..., channel] = cv2.LUT(values[..., 0], table)
    return np.asarray(cv2.cvtColor(values, cv2.COLOR_YCrCb2RGB), np.uint8)


def _strays(pixels: Pixels) -> tuple[float, float]:
    """Levels that colours stray from what brightness alone tells: usually, and at the far end.

    A photo of 40 pixels is enough for that, and in it colours that JPEG invents are gone.
    """
    values = _colours(pixels, 40)
    powers = _powers(values[:, 0] / 255.0)
    left = [one - powers @ curve for one, curve in zip(values.T[1:], _tone(values), strict=True)]
    away = np.hypot(*left)
    return float(np.sqrt(np.square(away).mean())), float(np.quantile(away, 0.99))


def _colours(pixels: Pixels, side: int) -> NDArray[np.float64]:
    """Brightness and two colours of a small copy, (n, 3)."""
    values = cv2.cvtColor(shrunk(pixels, side), cv2.COLOR_RGB2YCrCb)
    return np.asarray(values, np.float64).reshape(-1, 3)


def _powers(luma: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([np.ones_like(luma), luma, luma**2, luma**3], 1)


def _tone(values: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Either colour as a cubic of brightness."""
    powers = _powers(values[:, 0] / 255.0)
    return [np.linalg.lstsq(powers, one, rcond=None)[0] for one in values.T[1:]]
