"""The light: a slow, uneven drift of brightness and warmth, and the light that was asked for.

The film begins in the photo's own light and leaves it over seconds. Everything is worked in
floats and rounded once through a fixed fine dither, so that a sky shows no bands.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from ..upsample import resize, smoothstep
from .camera import glide

if TYPE_CHECKING:
    from ..settings import LightIntent
    from .pacing import Pacing

Floats: TypeAlias = NDArray[np.float32]
Bytes: TypeAlias = NDArray[np.uint8]

STRIP = 80  # rows that are lit at a time, so that their floats stay in the processor's memory
GRID = 24  # cells along the shorter side of the field of light


@dataclass(frozen=True)
class Shine:
    """One kind of light: what it does to tones, where it comes from, how it lives."""

    exposure: float = 0.0
    """Change of brightness of the whole, in stops."""
    tint: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Change of red, green and blue over the whole, as shares."""
    grey: float = 0.0
    """Share of colour taken away."""
    beam: float = 0.0
    """Brightness that comes from one side, as a share."""
    glow: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Colour of the beam."""
    local: float = 0.0
    """0 the beam comes from a side of the picture, 1 from around the focus."""
    wander: float = 0.020
    """How far brightness drifts from place to place, as a share."""
    warmth: float = 0.007
    """How far warmth drifts, as a share."""
    flicker: float = 0.0
    """Unsteadiness of the beam, as a share of it; slow enough for any eye."""


SHINES: dict[str, Shine] = {
    "photo": Shine(),
    "none": Shine(wander=0.0, warmth=0.0),
    "golden": Shine(0.02, (0.045, 0.008, -0.06), 0.0, 0.15, (1.0, 0.72, 0.30), 0.0, 0.022, 0.012),
    "dusk": Shine(-0.32, (-0.02, -0.01, 0.060), 0.05, 0.05, (0.9, 0.5, 0.7), 0.0, 0.018, 0.010),
    "moon": Shine(-0.48, (-0.08, -0.012, 0.09), 0.22, 0.06, (0.7, 0.85, 1.0), 0.0, 0.020, 0.004),
    "candle": Shine(
        -0.30, (0.05, -0.005, -0.08), 0.0, 0.24, (1.0, 0.66, 0.30), 1.0, 0.012, 0.010, 0.22
    ),
    "overcast": Shine(-0.07, (-0.015, 0.0, 0.015), 0.14, 0.0, (1.0, 1.0, 1.0), 0.0, 0.034, 0.003),
    "bright": Shine(0.13, (0.010, 0.006, -0.008), 0.0, 0.05, (1.0, 0.97, 0.9), 0.0, 0.020, 0.006),
}
"""The kinds of light by name; "photo" is the photo's own light, alive; "none" leaves it alone."""


class Light:
    """The light of one film.

    intent: kind and strength, None for the photo's own light; seconds, loop, seed as in the
    settings; size: (height, width) of the frames; focus: (x, y) shares, where candlelight is;
    flame: (h, w) 0..1 where something burns, which flickers by itself unless kind is "none"; sun:
    -1 it stands on the left, 1 on the right (see `sunny_side`); arrives: seconds over which it
    becomes what it is; wander: how uneven it is, 1 its own; swell: how much stronger it is where
    the pacing's feeling is highest.
    """

    def __init__(
        self,
        intent: LightIntent | None,
        *,
        size: tuple[int, int],
        seconds: float,
        loop: bool = False,
        seed: int = 0,
        focus: tuple[float, float] = (0.5, 0.5),
        flame: Floats | None = None,
        sun: float = 1.0,
        arrives: float = 5.0,
        wander: float = 1.0,
        swell: float = 0.0,
        pacing: Pacing | None = None,
    ) -> None:
        kind = (intent.kind if intent is not None else None) or "photo"
        self._shine = SHINES[kind]
        self._strength = float(intent.strength) if intent is not None else 1.0
        self._seconds = max(seconds, 1e-3)
        self._arrives, self._wander = arrives, wander
        self._swell, self._pacing = swell if pacing is not None else 0.0, pacing
        self._loop = loop
        self._size = size
        height, width = size
        cells = GRID / min(height, width)
        grid = (max(2, round(height * cells)), max(2, round(width * cells)))
        rng = np.random.default_rng([seed, 7])
        self._waves = _Waves(rng, grid, self._fit)
        self._beam = _beam(self._shine, grid, focus, sun)
        self._flame: Floats | None = None
        if flame is not None:
            sure = smoothstep((resize(np.ascontiguousarray(flame, np.float32), grid) - 0.3) / 0.4)
            if float(sure.max()) > 0.1:
                around = cv2.GaussianBlur(sure, (0, 0), 0.12 * min(grid))
                self._flame = np.maximum(sure, around / max(float(around.max()), 0.2))
        if kind == "none":
            self._strength = 0.0
        starts = rng.uniform(0.0, 2.0 * math.pi, 3)
        self._pulse = [(self._fit(f), p) for f, p in zip((0.53, 0.97, 1.61), starts, strict=True)]
        self._dither = dither(size)

    def _fit(self, frequency: float) -> float:
        if not self._loop:
            return frequency
        return max(1, round(frequency * self._seconds)) / self._seconds

    def _begun(self, time: float, over: float) -> float:
        """How much of the light has arrived: 0 at the start, and at a loop's end again."""
        if self._loop:
            # A loop shorter than that goes only part of the way, so as not to flash.
            part = min(1.0, self._seconds / over)
            return part * (1.0 - math.cos(2.0 * math.pi * time / self._seconds)) / 2.0
        return glide(time / min(over, self._seconds), 0.5, 0.5)

    def _much(self, time: float) -> float:
        """How strong the light is, its own strength where feeling does not make it swell."""
        if self._pacing is None or not self._swell:
            return self._strength
        return self._strength * (1.0 + self._swell * self._pacing.feeling(time))

    def field(self, time: float) -> Floats:
        """What brightness is multiplied by at `time`, (grid height, grid width, 3) float32."""
        shine, strength = self._shine, self._much(time)
        here, warm = self._waves(time) - self._waves(0.0)
        begun = strength * self._begun(time, 3.0)
        bright = np.float32(begun * shine.wander * self._wander) * here
        shift = np.float32(begun * shine.warmth * self._wander) * warm
        field = np.stack([bright + shift, bright, bright - shift], -1)
        unsteady = sum(math.sin(2.0 * math.pi * f * time + p) for f, p in self._pulse) / 2.2
        if shine.beam:
            amount = shine.beam * strength * self._begun(time, self._arrives)
            amount *= 1.0 + shine.flicker * unsteady
            glow = np.array(shine.glow, np.float32)
            moving = self._beam * (1.0 + np.float32(0.10) * here)
            field += np.float32(amount) * moving[..., None] * glow
        if self._flame is not None:
            burning = np.float32(0.07 * strength * self._begun(time, 2.0) * unsteady)
            field += burning * self._flame[..., None] * np.array((1.0, 0.8, 0.5), np.float32)
        return np.asarray(1.0 + field, np.float32)

    def tones(self, time: float) -> Floats:
        """The level that each of 256 levels becomes, (256, 3) float32, before the field."""
        shine = self._shine
        begun = self._much(time) * self._begun(time, self._arrives)
        level = np.arange(256, dtype=np.float32)[:, None] / 255.0
        gain = 2.0 ** (shine.exposure * begun) * (1.0 + np.array(shine.tint, np.float32) * begun)
        lifted = level * gain.astype(np.float32)
        # A shoulder keeps highlights inside the range, also after the field has been laid on.
        top = 1.0 + (float(gain.max()) - 1.0 if gain.max() > 1.0 else 0.0)
        headroom = (shine.beam * 0.8 + 0.7 * shine.wander * self._wander) * begun + (top - 1.0)
        knee = 0.70
        over = np.maximum(lifted - knee, 0.0)
        span = 1.0 - knee
        bent = knee + over / (1.0 + over / span * np.float32(headroom / span))
        return np.asarray(255.0 * np.where(lifted > knee, bent, lifted), np.float32)

    def shine(self, frame: Bytes, time: float) -> Bytes:
        """The frame (h, w, 3) uint8 in the light at `time`; at 0 the frame itself."""
        if time <= 0.0 or self._strength <= 0.0:
            return frame
        tones = self.tones(time)[None]
        grey = self._shine.grey * self._much(time) * self._begun(time, self._arrives)
        keep = np.eye(3) * (1.0 - grey) + grey * np.array([[0.299, 0.587, 0.114]] * 3)
        wide = cv2.resize(
            self.field(time), (self._size[1], self._size[0]), interpolation=cv2.INTER_LINEAR
        )
        lit = np.empty(frame.shape, np.uint8)
        for top in range(0, len(frame), STRIP):
            rows = slice(top, top + STRIP)
            toned = cv2.LUT(frame[rows], tones)
            if grey > 0.0:
                toned = cv2.transform(toned, keep)
            cv2.multiply(toned, wide[rows], dst=toned)
            cv2.add(toned, self._dither[rows], dst=lit[rows], dtype=cv2.CV_8U)
        return lit


class _Waves:
    """Two smooth fields that drift, each a few crossing waves; called with a time."""

    def __init__(
        self, rng: np.random.Generator, grid: tuple[int, int], fit: Callable[[float], float]
    ) -> None:
        height, width = grid
        scale = 2.0 * math.pi / min(grid)
        y, x = np.mgrid[0:height, 0:width].astype(np.float32) * np.float32(scale)
        count = 5
        angle = rng.uniform(0.0, 2.0 * math.pi, (2, count))
        fine = rng.uniform(0.35, 0.95, (2, count))
        self._places = [
            [
                (fine[f, i] * (math.cos(angle[f, i]) * x + math.sin(angle[f, i]) * y)).astype(
                    np.float32
                )
                for i in range(count)
            ]
            for f in range(2)
        ]
        self._speeds = [[fit(float(s)) for s in rng.uniform(0.05, 0.13, count)] for _ in range(2)]
        self._starts = rng.uniform(0.0, 2.0 * math.pi, (2, count))

    def __call__(self, time: float) -> Floats:
        fields = []
        for places, speeds, starts in zip(self._places, self._speeds, self._starts, strict=True):
            total = np.zeros_like(places[0])
            for place, speed, start in zip(places, speeds, starts, strict=True):
                total += np.sin(place + np.float32(2.0 * math.pi * speed * time + start))
            fields.append(total / np.float32(math.sqrt(2.0 * len(speeds)) / 1.4))
        return np.stack(fields).astype(np.float32)


def sunny_side(picture: Bytes) -> float:
    """Which side of a picture (H, W, 3) the light comes from: -1 left, 1 right."""
    small = cv2.resize(picture, (32, 32), interpolation=cv2.INTER_AREA)
    bright = np.square(small[:20].astype(np.float32).mean(-1))  # the sky tells most, by highlights
    return -1.0 if float(bright[:, :16].sum()) > float(bright[:, 16:].sum()) else 1.0


def _beam(shine: Shine, grid: tuple[int, int], focus: tuple[float, float], sun: float) -> Floats:
    """Where the beam falls: from the sunny side, or around the focus; mean near 0, peak 1."""
    height, width = grid
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = (x + 0.5) / width, (y + 0.5) / height
    if shine.local > 0.5:
        away = np.hypot((x - focus[0]) * width, (y - focus[1]) * height) / (0.75 * min(grid))
        fall = np.exp(-0.5 * away * away)
        return np.asarray(1.35 * fall - 0.35, np.float32)
    side = x if sun > 0.0 else 1.0 - x
    fall = smoothstep((0.85 * side + 0.35 * (1.0 - y)).astype(np.float32))
    return np.asarray(1.15 * fall - 0.25, np.float32)


def dither(size: tuple[int, int]) -> Floats:
    """Fixed fine noise within half a level, after Jimenez's interleaved gradient noise (2014)."""
    height, width = size
    x, y = np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64)[:, None]
    noise = 0.06711056 * x + 0.00583715 * y
    noise -= np.floor(noise)  # as % 1.0, which takes five times as long
    noise *= 52.9829189
    noise -= np.floor(noise)
    return np.asarray(cv2.merge([(0.98 * (noise - 0.5)).astype(np.float32)] * 3), np.float32)
