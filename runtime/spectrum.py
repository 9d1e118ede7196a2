"""The motion spectrum of a picture: what ember's networks say, put together in pixels.

Follows Li et al., "Generative Image Dynamics" (2023): every place swings at a few temporal
frequencies. Here the phases and directions are sampled and the amplitudes are regressed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from .settings import CLASSES

Array = NDArray[np.float32]

FREQUENCIES = (0.15, 0.3, 0.45, 0.75, 1.05, 1.35, 1.65, 1.95)  # Hz; a 20/3 s clip loops all but .75
CAP = 0.015  # the most rms displacement anywhere, fraction of the shorter side
_CELLS = 1.5  # latent cells over which the sampled swing is brought to unit size
_SOFTEN = 0.5  # latent cells: neighbours then agree as much as in scenes of known motion
_GAIN = 1.2  # gives back what bringing to unit size and the floor below take away
_FLOOR = 0.15  # below this the sample is taken to say "still" and is not blown up


@dataclass(frozen=True)
class Spectrum:
    """How every place of a picture moves, at half its size or less.

    Displacement at time t is, for x and for y, the sum over the frequencies of
    re cos(2 pi f t) + im sin(2 pi f t), plus the drift, which never comes back.
    """

    coefficients: Array
    """(K,4,h,w), x re, x im, y re, y im, in fractions of the picture's shorter side."""
    frequencies: Array
    """(K,) Hz."""
    drift: Array
    """(2,h,w) steady velocity, x and y, in shorter sides per second."""

    def rms(self) -> Array:
        """Root mean square displacement (h,w) over all time, drift left out."""
        energy = np.square(self.coefficients).sum((0, 1)) / 2
        return cast(Array, np.sqrt(energy).astype(np.float32))

    def displacement(self, seconds: float) -> Array:
        """Displacement (2,h,w), x and y, at a time, drift left out."""
        angles = 2 * np.pi * self.frequencies * seconds
        swing = np.einsum("kchw,k->chw", self.coefficients[:, 0::2], np.cos(angles))
        swing += np.einsum("kchw,k->chw", self.coefficients[:, 1::2], np.sin(angles))
        return cast(Array, swing.astype(np.float32))


def assemble(
    latents: Array,
    classes: Array,
    amplitude: Array,
    drift: Array,
    *,
    frequencies: Sequence[float] = FREQUENCIES,
    cap: float = CAP,
) -> Spectrum:
    """Sampled phases and directions x regressed sizes -> the spectrum of the picture.

    latents (4K+2,H/8,W/8) from the denoiser; classes (6,h,w) probabilities; amplitude (K,h,w) rms
    at each of `frequencies` (Hz), fraction of the shorter side; drift (1,h,w) shorter sides per
    second. A leading batch axis of 1 is accepted on each. No place swings more than `cap` rms, and
    only water and sky drift. Raises ValueError when the shapes do not fit together.
    """
    latents, classes, amplitude, drift = (
        _unbatched(part) for part in (latents, classes, amplitude, drift)
    )
    count, height, width = amplitude.shape
    if latents.shape[0] != 4 * count + 2 or count != len(frequencies):
        raise ValueError(
            f"{latents.shape[0]} latent channels do not fit {count} frequencies; "
            f"{4 * len(frequencies) + 2} and {len(frequencies)} are expected"
        )
    if classes.shape[1:] != (height, width) or drift.shape[1:] != (height, width):
        raise ValueError(
            f"the maps differ in size: classes {classes.shape[1:]}, amplitude {(height, width)}, "
            f"drift {drift.shape[1:]}; all come from one run of the maps network"
        )
    sigma = _CELLS * height / latents.shape[1]
    grown = _resize(_blur(latents, _SOFTEN), height, width)

    sampled = grown[:-2].reshape(count, 4, height, width)
    local: Array = np.sqrt(_blur(np.square(sampled).sum(1) / 2, sigma))
    swing = sampled * (_GAIN * amplitude / (local + _FLOOR))[:, None]
    total = np.sqrt(np.square(swing).sum((0, 1)) / 2)
    swing *= np.minimum(1.0, cap / np.maximum(total, 1e-9)).astype(np.float32)

    heading = _blur(grown[-2:], sigma / 2)
    heading = heading / (np.sqrt(np.square(heading).sum(0)) + _FLOOR)
    fluid = np.clip(
        (classes[CLASSES.index("water")] + classes[CLASSES.index("sky")] - 0.3) / 0.4, 0.0, 1.0
    )
    return Spectrum(
        coefficients=np.ascontiguousarray(swing, np.float32),
        frequencies=np.asarray(frequencies, np.float32),
        drift=np.ascontiguousarray(heading * drift * fluid, np.float32),
    )


def _unbatched(part: Array) -> Array:
    if part.ndim == 4 and part.shape[0] == 1:
        part = part[0]
    if part.ndim != 3:
        raise ValueError(f"a map of shape {part.shape} has no form (channels, rows, columns)")
    return part.astype(np.float32)


def _resize(maps: Array, height: int, width: int) -> Array:
    import cv2

    grown = cv2.resize(
        np.ascontiguousarray(maps.transpose(1, 2, 0)),
        (width, height),
        interpolation=cv2.INTER_CUBIC,
    )
    return cast(Array, grown.transpose(2, 0, 1))


def _blur(maps: Array, sigma: float) -> Array:
    import cv2

    return np.stack([cv2.GaussianBlur(plane, (0, 0), sigma) for plane in maps]).astype(np.float32)
