"""Frames of a moving picture from its motion spectrum: one map of coordinates, one reading a frame.

Every place of the frame is asked where it looks: first through the camera, then back along the
swing of what is there, then back along its drift. Swing follows Li et al., "Generative Image
Dynamics" (2023). Sums run on the spectrum's own small grid; its edges come from the picture once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from .drift import Drift
from .look.camera import Camera, Lens, calm_depth, glide
from .look.grain import Grain, add_grain
from .look.light import Light, relight
from .settings import CLASSES
from .upsample import Floats, border_fade, extend, follow_edges, resize
from .warp import Warp, choose_warp

if TYPE_CHECKING:
    from ..engines.device import Device
    from .settings import CameraIntent, LightIntent
    from .spectrum import Spectrum

Bytes: TypeAlias = NDArray[np.uint8]

BORDER = 0.03  # of the shorter side, over which motion fades towards the picture's border
CAP = 0.015  # the most rms displacement, in shorter sides
STRAIN = 0.16  # the most rms stretch between neighbours, pixels per pixel
STEEP = 0.5  # the most stretch that an edge of what moves may cause at a strong swing
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
        rms = np.sqrt(np.square(swing).sum(-1) / 2.0)
        swing *= np.minimum(1.0, CAP * shorter / np.maximum(rms, 1e-6))[..., None]
        rms = np.minimum(rms, np.float32(CAP * shorter))
        self._seconds, self._loop = max(seconds, 1e-3), loop
        self.still = bool(rms.max() < 0.05)
        rng = np.random.default_rng([seed, 3])
        self._frequencies = self._fit(spectrum.frequencies, rng)

        # What moves is a smooth swing times a sharp gain, never a sharp swing: edges come once.
        around = cv2.GaussianBlur(rms, (0, 0), max(2.0, height / 24.0))
        moving = np.clip(rms / np.maximum(0.6 * around, 1e-3), 0.0, 1.0).astype(np.float32)
        known = moving * np.clip(rms / max(0.25 * float(rms.max()), 1e-6), 0.0, 1.0)
        full = swing / np.maximum(moving, 0.15)[..., None]
        smooth = _calmed(extend(full, known.astype(np.float32)), shorter / min(height, width))
        strength = np.sqrt(np.square(smooth).sum(-1) / 2.0)
        self._basis = np.ascontiguousarray(
            smooth.reshape(height, width, count, 2, 2).transpose(2, 4, 0, 1, 3)
        ).reshape(2 * count, -1)
        self._shape = height, width
        self.gain = _sharp_gain(gain, moving, strength, picture, size)
        self._start = self._quietest() if not self.still else 0.0
        self._first = self._turn(0.0)
        angle = rng.uniform(0.0, 2.0 * math.pi)
        y, x = np.mgrid[0:height, 0:width].astype(np.float32) / np.float32(min(height, width))
        self._along = (math.cos(angle) * x + math.sin(angle) * y).astype(np.float32)[..., None]
        self._gusts = [(self._whole(f), p) for f, p in zip((0.07, 0.13), rng.uniform(0, 6.28, 2), strict=True)]

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

    def _turn(self, time: float) -> Floats:
        angle = 2.0 * np.pi * self._frequencies.astype(np.float64) * (time + self._start)
        return np.stack([np.cos(angle), np.sin(angle)], -1).reshape(-1).astype(np.float32)

    def _quietest(self) -> float:
        """The moment of the first period at which the picture is nearest to its mean pose."""
        self._start = 0.0
        times = np.linspace(0.0, 1.0 / float(self._frequencies.min()), 96, endpoint=False)
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
        for frequency, phase in self._gusts:
            wave = np.float32(2.0 * math.pi * frequency * time + phase) - np.float32(2.2) * self._along
            gust = gust + np.float32(GUST / 2.0) * np.sin(wave)
        begun = 1.0 if self._loop else glide(time / 2.5, 0.6, 0.4)
        return np.asarray(field * (gust * np.float32(begun)), np.float32)


def _calmed(smooth: Floats, scale: float) -> Floats:
    """Weaken the swing where neighbours pull apart so far that the picture would look like jelly."""
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
    scale = picture.shape[0] / size[0]
    peak = resize(strength, size) * np.float32(1.8)
    for radius in (1.5, 3.0, 6.0):
        down = cv2.Sobel(sharp, cv2.CV_32F, 0, 1, ksize=3, scale=0.125 / scale)
        across = cv2.Sobel(sharp, cv2.CV_32F, 1, 0, ksize=3, scale=0.125 / scale)
        steep = peak * np.hypot(down, across) / np.float32(STEEP)
        if float(steep.max()) <= 1.0:
            break
        share = cv2.GaussianBlur(cv2.dilate(np.clip(steep - 0.5, 0, 1), None), (0, 0), radius)
        share = np.clip(2.0 * share, 0.0, 1.0)
        sharp = sharp + share * (cv2.GaussianBlur(sharp, (0, 0), radius) - sharp)
    return np.asarray(sharp * border_fade(size, BORDER), np.float32)


def render(
    picture: Bytes,
    spectrum: Spectrum,
    gain: Floats,
    *,
    seconds: float,
    fps: float,
    loop: bool = False,
    seed: int = 0,
    camera: CameraIntent | None = None,
    light: LightIntent | None = None,
    depth: Floats | None = None,
    people: Floats | None = None,
    classes: Floats | None = None,
    focus: tuple[float, float] = (0.5, 0.5),
    grain: float = 0.0,
    device: Device | str = "cpu",
) -> Iterator[Bytes]:
    """Draw the film of a picture, frame by frame; memory does not grow with its length.

    picture (H, W, 3) uint8, H and W even; gain, depth, people (h, w) float32 0..1, each on any
    grid over the whole picture: where things may move, what is near (1) and far (0), who must not
    be bent; classes (6, h, w) probabilities in the order of settings.CLASSES. seconds x fps frames, rounded, come out, (H, W, 3) uint8, the first of them the
    picture itself. loop: the frame after the last would be the first. focus: shares of width and
    height that the camera goes towards and candlelight falls on. grain 0..1. The same arguments
    give the same frames.
    """
    size = picture.shape[0], picture.shape[1]
    if size[0] % 2 or size[1] % 2:
        raise ValueError(f"a picture of {size[1]}x{size[0]} cannot be filmed: both must be even")
    frames = _draw(
        picture,
        spectrum,
        gain,
        Camera(camera, seconds=seconds, loop=loop, focus=focus),
        count=max(1, round(seconds * fps)),
        fps=fps,
        seconds=seconds,
        loop=loop,
        seed=seed,
        depth=depth,
        people=people,
        water=_class(classes, "water"),
        device=device,
    )
    shining = Light(
        light, size=size, seconds=seconds, loop=loop, seed=seed, focus=focus, flame=_class(classes, "flame")
    )
    frames = relight(frames, shining, fps=fps)
    if grain > 0.0:
        frames = add_grain(frames, Grain(size, grain, seed), fps=fps)
    return frames


def _draw(
    picture: Bytes,
    spectrum: Spectrum,
    gain: Floats,
    camera: Camera,
    *,
    count: int,
    fps: float,
    seconds: float,
    loop: bool,
    seed: int,
    depth: Floats | None,
    people: Floats | None,
    water: Floats | None,
    device: Device | str,
) -> Iterator[Bytes]:
    yield picture.copy()
    if count == 1:
        return
    tall, wide = picture.shape[:2]
    half = tall // 2, wide // 2
    quarter = (tall + 3) // 4, (wide + 3) // 4
    warp = choose_warp(picture, device)
    sway = Sway(spectrum, gain, picture, half, seconds=seconds, loop=loop, seed=seed)
    drift = _drift(
        spectrum, gain, water, picture, quarter, seconds=seconds, loop=loop, seed=seed
    )
    calm = calm_depth(depth, people, quarter) if depth is not None else None
    lens = Lens(calm, quarter, (tall, wide))
    own_x, own_y = _grid(half, (tall, wide))
    full = (tall, wide)
    full_x, full_y = _grid(full, full)
    cells = spectrum.coefficients.shape[2:]
    for index in range(1, count):
        time = index / fps
        across, along = (resize(o, half) for o in lens.offsets(camera.view(time)))
        at_x, at_y = own_x + across, own_y + along  # where the frame looks, in picture pixels
        seen_x, seen_y = _cells(at_x, at_y, (tall, wide), half)
        seen_gain = cv2.remap(sway.gain, seen_x, seen_y, cv2.INTER_LINEAR)
        if not sway.still:
            low_x, low_y = _cells(at_x, at_y, (tall, wide), (cells[0], cells[1]))
            swing = cv2.remap(
                sway.at(time), low_x, low_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            )
            across -= swing[..., 0] * seen_gain
            along -= swing[..., 1] * seen_gain
        if drift.active:
            moment = drift.at(time)
            places = own_x + across, own_y + along
            seen = _cells(at_x, at_y, full, drift.grid)
            back = cv2.remap(
                moment.shifts[0], *seen, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            )
            across -= back[..., 0]
            along -= back[..., 1]
        frame = warp.warp(full_x + resize(across, full), full_y + resize(along, full))
        if drift.twice:
            drift.blend(frame, warp, moment, seen, places)
        yield frame


def _drift(
    spectrum: Spectrum,
    gain: Floats,
    water: Floats | None,
    picture: Bytes,
    size: tuple[int, int],
    *,
    seconds: float,
    loop: bool,
    seed: int,
) -> Drift:
    velocity = np.ascontiguousarray(np.moveaxis(spectrum.drift, 0, -1), np.float32)
    velocity = velocity * np.float32(min(picture.shape[:2]))
    speed = np.hypot(velocity[..., 0], velocity[..., 1])
    drifting = np.clip(speed / max(0.25 * float(speed.max()), 1e-6), 0.0, 1.0).astype(np.float32)
    allowed = drifting * resize(np.ascontiguousarray(gain, np.float32), drifting.shape[:2])
    return Drift(
        resize(extend(velocity, drifting), size),
        follow_edges(allowed, picture, size),
        resize(water, size) if water is not None else np.zeros(size, np.float32),
        picture,
        seconds=seconds,
        loop=loop,
        seed=seed,
    )


def _class(classes: Floats | None, name: str) -> Floats | None:
    if classes is None:
        return None
    return np.ascontiguousarray(classes[CLASSES.index(name)], np.float32)


def _grid(size: tuple[int, int], picture: tuple[int, int]) -> tuple[Floats, Floats]:
    """Pixel coordinates, in the picture, of the centres of a grid's cells; (1, w) and (h, 1)."""
    x = (np.arange(size[1], dtype=np.float64) + 0.5) * picture[1] / size[1] - 0.5
    y = (np.arange(size[0], dtype=np.float64) + 0.5) * picture[0] / size[0] - 0.5
    return x.astype(np.float32)[None], y.astype(np.float32)[:, None]


def _cells(
    x: Floats, y: Floats, picture: tuple[int, int], grid: tuple[int, int]
) -> tuple[Floats, Floats]:
    """Pixel coordinates of the picture -> coordinates on a grid laid over it."""
    sx, sy = grid[1] / picture[1], grid[0] / picture[0]
    return (
        x * np.float32(sx) + np.float32(0.5 * sx - 0.5),
        y * np.float32(sy) + np.float32(0.5 * sy - 0.5),
    )
