"""The swing of what moves: a motion spectrum in time, made smooth, calm and sharp at its edges.

Sums run on the spectrum's own small grid; the edges come from the picture, once a film. Swing in
frequencies follows Li et al., "Generative Image Dynamics" (2023).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from .look.camera import glide
from .spectrum import CAP
from .upsample import Floats, border_fade, extend, follow_edges, resize

if TYPE_CHECKING:
    from .spectrum import Spectrum

Bytes: TypeAlias = NDArray[np.uint8]

BORDER = 0.03  # of the shorter side, over which motion fades towards the picture's border
STRAIN = 0.14  # the most rms stretch between neighbours, pixels per pixel
FOLD = 0.22  # the same for edges and swing together
STEEP = 0.5  # the most stretch that an edge of what moves may cause at a strong swing
LEAVES = 0.35  # how much more the bright swings than the dark between
SETTLE = 3.0  # seconds over which the swing lets go of the photo's own pose
GUST = 0.22  # how far the wind's strength rises and falls


class Sway:
    """The swing of everything that moves in one film.

    spectrum, gain as in `render`; size: the grid that maps are made on.
    """

    def __init__(
        self,
        spectrum: Spectrum,
        gain: Floats,
        picture: Bytes,
        size: tuple[int, int],
        *,
        seconds: float,
        loop: bool,
        seed: int,
    ) -> None:
        shorter = min(picture.shape[:2])
        count, _, height, width = spectrum.coefficients.shape
        swing = np.moveaxis(spectrum.coefficients, (2, 3), (0, 1)).reshape(height, width, -1)
        swing = np.ascontiguousarray(swing, np.float32) * np.float32(shorter)
        swing *= np.minimum(1.0, CAP * shorter / np.maximum(_rms(swing), 1e-6))[..., None]
        self._seconds, self._loop = max(seconds, 1e-3), loop
        rng = np.random.default_rng([seed, 3])
        self.frequencies = self._fit(spectrum.frequencies, rng)
        # A swing made quicker to fit a short loop keeps its speed, not its size, or it would shake.
        swing *= np.repeat(self._calm(spectrum.frequencies, self.frequencies), 4)
        rms = _rms(swing)
        self.still = bool(rms.max() < 0.05)

        # What moves is a smooth swing times a sharp gain, never a sharp swing: edges come once.
        around = cv2.GaussianBlur(rms, (0, 0), max(2.0, height / 24.0))
        moving = np.clip(rms / np.maximum(0.6 * around, 1e-3), 0.0, 1.0).astype(np.float32)
        known = moving * np.clip(rms / max(0.25 * float(rms.max()), 1e-6), 0.0, 1.0)
        full = swing / np.maximum(moving, 0.15)[..., None]
        smooth = _calmed(extend(full, known.astype(np.float32)), shorter / min(height, width))
        strength = _rms(smooth)
        self._basis = np.ascontiguousarray(
            smooth.reshape(height, width, count, 2, 2).transpose(2, 4, 0, 1, 3)
        ).reshape(2 * count, -1)
        self._shape = height, width
        sharp = _sharp_gain(gain, moving, strength, picture, size)
        self.gain = _unfolded(sharp, smooth, picture.shape[0] / size[0])
        self._start = self._quietest() if not self.still else 0.0
        self._first = self._turn(0.0)
        angle = rng.uniform(0.0, 2.0 * math.pi)
        y, x = np.mgrid[0:height, 0:width].astype(np.float32) / np.float32(min(height, width))
        self._along = (math.cos(angle) * x + math.sin(angle) * y).astype(np.float32)[..., None]
        slow = np.array((0.07, 0.13), np.float32)
        quick = np.array([self._whole(float(f)) for f in slow], np.float32)
        self._gusts = list(
            zip(quick, rng.uniform(0, 6.28, 2), 0.5 * GUST * self._calm(slow, quick), strict=True)
        )

    def _whole(self, frequency: float) -> float:
        """The frequency itself; in a loop, the nearest of which a whole number of turns fits."""
        if not self._loop:
            return frequency
        return max(1, round(frequency * self._seconds)) / self._seconds

    def _fit(self, frequencies: Floats, rng: np.random.Generator) -> Floats:
        if self._loop:
            return np.array([self._whole(float(f)) for f in frequencies], np.float32)
        # Set a little off their common measure, the frequencies never repeat the same dance.
        return np.asarray(frequencies * rng.uniform(0.95, 1.05, len(frequencies)), np.float32)

    def _calm(self, wanted: Floats, fitted: Floats) -> Floats:
        """How much smaller each swing is to be, so that it is no faster than it was."""
        if not self._loop:
            return np.ones(len(wanted), np.float32)
        return np.asarray(np.minimum(1.0, wanted / fitted), np.float32)

    def _turn(self, time: float) -> Floats:
        angle = 2.0 * np.pi * self.frequencies.astype(np.float64) * (time + self._start)
        return np.stack([np.cos(angle), np.sin(angle)], -1).reshape(-1).astype(np.float32)

    def _quietest(self) -> float:
        """The moment of the first period at which the picture is nearest to its mean pose."""
        self._start = 0.0
        times = np.linspace(0.0, 1.0 / float(self.frequencies.min()), 96, endpoint=False)
        poses = np.stack([self._turn(float(t)) for t in times]) @ self._basis[:, :]
        poses = poses.reshape(len(times), -1, 2)
        weight = resize(self.gain, self._shape).reshape(-1)
        return float(times[(np.hypot(poses[..., 0], poses[..., 1]) * weight).mean(1).argmin()])

    def hold(self, time: float) -> float:
        """How much of the first pose is still taken away: 1 at the start, and at a loop's end."""
        over = min(SETTLE, self._seconds / 2.0)
        near = min(time, self._seconds - time) if self._loop else time
        return 1.0 - glide(near / over, 0.5, 0.5)

    def at(self, time: float) -> Floats:
        """Displacement (h, w, 2) in pixels at `time`, before the gain; at 0 none."""
        turn = self._turn(time) - np.float32(self.hold(time)) * self._first
        field = (turn @ self._basis).reshape(*self._shape, 2)
        gust = np.float32(1.0)
        for frequency, phase, share in self._gusts:
            wave = (
                np.float32(2.0 * math.pi * frequency * time + phase) - np.float32(2.2) * self._along
            )
            gust = gust + np.float32(share) * np.sin(wave)
        begun = 1.0 if self._loop else glide(time / 2.5, 0.6, 0.4)
        return np.asarray(field * (gust * np.float32(begun)), np.float32)


def _rms(swing: Floats) -> Floats:
    """Root mean square displacement over all time of coefficients (h, w, 4 K)."""
    return np.asarray(np.sqrt(np.square(swing).sum(-1) / 2.0), np.float32)


def _calmed(smooth: Floats, scale: float) -> Floats:
    """Weaken the swing where neighbours pull apart so far that things would look like jelly."""
    across = np.diff(smooth, axis=1, append=smooth[:, -1:])
    along = np.diff(smooth, axis=0, append=smooth[-1:])
    strain = np.sqrt((np.square(across) + np.square(along)).sum(-1) / 2.0) / scale
    limit = np.minimum(1.0, STRAIN / np.maximum(strain, 1e-6)).astype(np.float32)
    limit = cv2.erode(limit, np.ones((3, 3), np.uint8))
    limit = cv2.GaussianBlur(limit, (0, 0), 1.5)
    return np.asarray(smooth * limit[..., None], np.float32)


def _sharp_gain(
    gain: Floats, moving: Floats, strength: Floats, picture: Bytes, size: tuple[int, int]
) -> Floats:
    """The gain on the picture's edges, no steeper than the swing there can bear."""
    if gain.shape[0] >= size[0]:
        sharp = resize(gain, size) * follow_edges(moving, picture, size)
    else:
        finer = gain if gain.shape[0] >= moving.shape[0] else resize(gain, moving.shape[:2])
        sharp = follow_edges(finer * resize(moving, finer.shape[:2]), picture, size)
    allowed = sharp = sharp * _leaves(picture, size)
    scale = picture.shape[0] / size[0]
    peak = resize(strength, size) * np.float32(1.8)
    for radius in (2, 4, 8):
        down = cv2.Sobel(sharp, cv2.CV_32F, 0, 1, ksize=3, scale=0.125 / scale)
        across = cv2.Sobel(sharp, cv2.CV_32F, 1, 0, ksize=3, scale=0.125 / scale)
        steep = peak * np.hypot(down, across) / np.float32(STEEP)
        if float(steep.max()) <= 1.0:
            break
        near = cv2.dilate(np.clip(steep - 0.5, 0.0, 1.0), np.ones((3, 3), np.uint8))
        near = np.clip(3.0 * cv2.GaussianBlur(near, (0, 0), 1.5 * radius), 0.0, 1.0)
        # The slope is laid on the side that moves: what must hold still holds to its very edge.
        inner = cv2.erode(sharp, np.ones((2 * radius + 1, 2 * radius + 1), np.uint8))
        slope = cv2.GaussianBlur(inner, (0, 0), radius / 1.5)
        sharp = np.minimum(sharp, sharp + near * (slope - sharp))
    sharp = np.minimum(allowed, cv2.GaussianBlur(sharp, (0, 0), 1.2))
    return np.asarray(sharp * border_fade(size, BORDER), np.float32)


def _unfolded(gain: Floats, smooth: Floats, scale: float) -> Floats:
    """Weaken the gain where gain and swing together would stretch the picture too far."""
    size = gain.shape[0], gain.shape[1]
    energy = np.zeros(size, np.float32)
    for channel in range(smooth.shape[-1]):
        swing = resize(np.ascontiguousarray(smooth[..., channel]), size) * gain
        energy[:, 1:] += np.square(np.diff(swing, axis=1))
        energy[1:] += np.square(np.diff(swing, axis=0))
    stretch = np.sqrt(energy / 2.0) / scale
    limit = np.minimum(1.0, FOLD / np.maximum(stretch, 1e-6)).astype(np.float32)
    limit = cv2.GaussianBlur(cv2.erode(limit, np.ones((5, 5), np.uint8)), (0, 0), 1.5)
    return np.asarray(gain * limit, np.float32)


def _leaves(picture: Bytes, size: tuple[int, int]) -> Floats:
    """A little more swing for what is brighter than its surroundings, a little less for the gaps.

    Among leaves, blades and strands the bright ones are in front and the dark ones behind; moving
    them apart keeps the whole from swaying like jelly.
    """
    small = cv2.resize(picture, (size[1], size[0]), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32) / np.float32(255.0)
    fine = np.asarray(cv2.GaussianBlur(grey, (0, 0), 1.2), np.float32)
    reach = 0.03 * min(size)
    around = cv2.GaussianBlur(grey, (0, 0), reach)
    spread = np.sqrt(cv2.GaussianBlur(np.square(grey - around), (0, 0), reach)) + 0.03
    relief = np.clip((fine - around) / (1.5 * spread), -1.0, 1.0)
    return np.asarray(1.0 + LEAVES * relief, np.float32)
