"""The canvas of a scene, the wind over it, and the noise and photographs it is painted with.

Units everywhere: displacement in thousandths of the picture's shorter side, drift in thousandths
of it per second. Pictures are float32 RGB 0..1 of (H, W, 3); everything said of motion lives at
half that size, (h, w). A spectrum is (h, w, 8, 4): frequency, then x re, x im, y re, y im.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ....runtime.settings import CLASSES
from ....runtime.spectrum import FREQUENCIES as HERTZ
from ..textures import Library, Patch

FREQUENCIES = np.array(HERTZ, np.float32)
COUNT = len(FREQUENCIES)
STATIC, PLANT, WATER, SKY, CLOTH, FLAME = range(len(CLASSES))
Rng = np.random.Generator


@dataclass
class Wind:
    """One wind for a whole scene: things far apart along it move later, by the way it travels."""

    angle: float
    strength: float
    phases: np.ndarray
    lag: np.ndarray

    @classmethod
    def draw(cls, rng: Rng) -> Wind:
        angle = float(np.clip(rng.normal(0, 0.2), -0.6, 0.6))
        strength = float(np.exp(np.clip(rng.normal(0, 0.28), -0.6, 0.45)))
        speed = np.exp(rng.uniform(np.log(0.7), np.log(3.0))) * rng.choice((-1.0, 1.0))
        # Gusts of higher frequency are smaller, but do not travel faster; the power softens
        # phase differences which the coarse latent grid could not hold.
        lag = 2 * np.pi * FREQUENCIES**0.7 / speed
        return cls(angle, strength, rng.uniform(0, 2 * np.pi, COUNT), lag)

    def phase_at(self, x: np.ndarray | float, y: np.ndarray | float) -> np.ndarray:
        """Phase of every frequency at (x, y) in shorter sides: (..., 8) float32."""
        way = np.asarray(x) * np.cos(self.angle) + np.asarray(y) * np.sin(self.angle)
        return (self.phases - way[..., None] * self.lag).astype(np.float32)


class Canvas:
    """A scene while it is painted, from the back to the front."""

    def __init__(self, rng: Rng, library: Library, height: int, width: int) -> None:
        self.rng, self.library = rng, library
        self.height, self.width = height, width
        self.h, self.w = height // 2, width // 2
        self.short = min(height, width)
        self.image = np.zeros((height, width, 3), np.float32)
        self.classes = np.zeros((self.h, self.w), np.uint8)
        self.spectrum = np.zeros((self.h, self.w, COUNT, 4), np.float32)
        self.drift = np.zeros((self.h, self.w, 2), np.float32)
        self.valid = np.ones((self.h, self.w), bool)
        self.wind = Wind.draw(rng)
        self.yy, self.xx = np.mgrid[0:height, 0:width].astype(np.float32)
        #: half-size coordinates in shorter sides
        self.v = self.yy[::2, ::2] / self.short
        self.u = self.xx[::2, ::2] / self.short

    def paint(
        self,
        alpha: np.ndarray,
        picture: np.ndarray,
        label: int,
        spectrum: np.ndarray | None = None,
        drift: np.ndarray | None = None,
        *,
        share: float = 0.5,
    ) -> np.ndarray:
        """Lay `picture` over the scene and let what it covers by `share` move as told.

        alpha (H, W) float32 0..1; picture (H, W, 3) or a colour (3,). Returns the covered cells
        (h, w) bool.
        """
        self.image += alpha[..., None] * (np.asarray(picture, np.float32) - self.image)
        covered = self.half(alpha) > share
        self.mark(covered, label, spectrum, drift)
        return covered

    def mark(
        self,
        covered: np.ndarray,
        label: int,
        spectrum: np.ndarray | None = None,
        drift: np.ndarray | None = None,
    ) -> None:
        """Set class and motion of the covered (h, w) bool cells; no motion where none is given."""
        self.classes[covered] = label
        self.valid[covered] = True
        self.spectrum[covered] = 0 if spectrum is None else spectrum[covered]
        self.drift[covered] = 0 if drift is None else drift[covered]

    def half(self, field: np.ndarray) -> np.ndarray:
        return cv2.resize(field, (self.w, self.h), interpolation=cv2.INTER_AREA)

    def full_mask(self) -> np.ndarray:
        return np.ones((self.height, self.width), np.float32)

    def noise(self, rows: float, columns: float, channels: int = 1) -> np.ndarray:
        """Smooth noise on the half-size grid, (h, w) or (h, w, channels)."""
        return smooth_noise(self.rng, (self.h, self.w), rows, columns, channels)

    def texture(self, kind: str, *, least: float = 0.4) -> tuple[np.ndarray, Patch]:
        """A random crop of a photograph that may stand for `kind`, as large as the scene.

        `least` is the smallest share of the photograph's side. The patch returned beside the
        picture has its nearness scaled by the crop's size.
        """
        patches = self.library.patches.get(kind)
        if not patches:
            return speckle(self.rng, self.height, self.width), Patch(self.image[:1, :1])
        patch = patches[self.rng.integers(len(patches))]
        # Fewer than 90 rows stretched over a scene would only teach blur.
        size = max(self.rng.uniform(least, 1.0), min(1.0, 90 / patch.pixels.shape[0]))
        picture = crop(self.rng, patch.pixels, self.height, self.width, size)
        return tint(self.rng, picture), Patch(patch.pixels, patch.near / size, patch.flow)


def smooth_noise(
    rng: Rng, shape: tuple[int, int], rows: float, columns: float, channels: int = 1
) -> np.ndarray:
    """Normal noise of `rows` x `columns` cells, bicubic to `shape`; (h, w) when one channel."""
    seedlings = rng.standard_normal((max(2, int(rows)), max(2, int(columns)), channels), np.float32)
    return cv2.resize(seedlings, shape[::-1], interpolation=cv2.INTER_CUBIC)


def fractal(
    rng: Rng, shape: tuple[int, int], cells: float = 3, octaves: int = 5, stretch: float = 1.0
) -> np.ndarray:
    """Fractal noise scaled to 0..1; `stretch` > 1 draws it out sideways."""
    total = np.zeros(shape, np.float32)
    aspect = shape[1] / shape[0]
    for octave in range(octaves):
        rows = cells * 2**octave
        total += smooth_noise(rng, shape, rows, rows * aspect / stretch) * 0.55**octave
    total -= total.min()
    return total / (total.max() + 1e-6)


def crop(rng: Rng, pixels: np.ndarray, height: int, width: int, size: float) -> np.ndarray:
    """A random crop of `size` times the largest window of that aspect, float32 0..1."""
    rows, columns = pixels.shape[:2]
    window = min(rows, columns * height / width) * size
    tall = max(8, min(rows, round(window)))
    wide = max(8, min(columns, round(window * width / height)))
    top, left = rng.integers(rows - tall + 1), rng.integers(columns - wide + 1)
    part = pixels[top : top + tall, left : left + wide]
    method = cv2.INTER_AREA if tall > height else cv2.INTER_LINEAR
    part = cv2.resize(part, (width, height), interpolation=method)
    if rng.random() < 0.5:
        part = part[:, ::-1]
    return part.astype(np.float32) / 255


def tint(rng: Rng, picture: np.ndarray, amount: float = 1.0) -> np.ndarray:
    """Vary the exposure, contrast and colour cast of a picture 0..1."""
    # A power on three numbers per level is cheap; on every pixel it is not.
    levels = np.linspace(0, 1, 256, dtype=np.float32) ** rng.uniform(0.8, 1.25)
    cast = rng.uniform(0.8, 1.15) * (1 + amount * rng.normal(0, 0.06, 3))
    table = np.clip(levels[:, None] * cast, 0, 1).astype(np.float32)
    index = (picture * 255).astype(np.uint8)
    return np.stack([table[:, c][index[..., c]] for c in range(3)], -1)


def speckle(rng: Rng, height: int, width: int) -> np.ndarray:
    """A made-up rough surface of one or two colours, for when no photograph is at hand."""
    first, second = rng.uniform(0.1, 0.9, (2, 3)).astype(np.float32)
    grain = fractal(rng, (height, width), rng.uniform(2, 12), 5)[..., None]
    return first * grain + second * (1 - grain)
