"""Music and a voice added up over the length of a film, with their fades, before any loudness."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .bed import Bed
from .ducking import Curve, gains
from .recording import BLOCK, RATE, Block, Recording, between, even

_FADE_IN, _VOICE_FADE = 0.1, 0.3  # seconds


@dataclass(frozen=True)
class Mix:
    """What goes into the mix, each part with its gain; the film's fades are in it."""

    samples: int
    """Length of the film."""
    music: Bed | None
    voice: Recording | None
    music_gain: float
    """In dB."""
    voice_gain: float
    """In dB."""
    voice_start: int
    """Sample at which the voice begins."""
    duck: Curve | None
    """Gain of the music in dB, a hundredth of a second apart; None where nobody speaks."""
    fade_out: int
    """Sample at which the music begins to fade."""

    def blocks(self) -> Iterator[Block]:
        """Yield the mix, float32 (n, 2), exactly `samples` in all, at no particular loudness."""
        music = even(self.music.blocks(self.samples)) if self.music else None
        voice = self._voice() if self.voice else None
        at = 0
        while at < self.samples:
            size = min(BLOCK, self.samples - at)
            mixed = np.zeros((size, 2), np.float32)
            if music is not None:
                mixed += next(music)[:size] * self._music_gains(at, size)
            if voice is not None:
                mixed += next(voice)[:size]
            yield mixed
            at += size

    def _music_gains(self, at: int, size: int) -> Block:
        places = at + np.arange(size, dtype=np.float64)
        rising = np.clip(places / max(min(_FADE_IN * RATE, self.samples / 8), 1), 0, 1)
        falling = (self.samples - 1 - places) / max(self.samples - 1 - self.fade_out, 1)
        share = np.sin(rising * np.pi / 2) ** 2 * np.sin(np.clip(falling, 0, 1) * np.pi / 2) ** 2
        result: Block = (share * 10 ** (self.music_gain / 20)).astype(np.float32)[:, None]
        return result if self.duck is None else result * gains(self.duck, at, size)

    def _voice(self) -> Iterator[Block]:
        assert self.voice is not None

        def padded() -> Iterator[Block]:
            assert self.voice is not None
            yield np.zeros((self.voice_start, 2), np.float32)
            yield from self.voice.blocks()
            while True:
                yield np.zeros((BLOCK, 2), np.float32)

        gain = 10 ** (self.voice_gain / 20)
        fade = min(_VOICE_FADE * RATE, self.samples / 4)
        at = 0
        for block in even(between(padded(), 0, self.samples)):
            left = (self.samples - 1 - at - np.arange(len(block))) / fade
            at += len(block)
            yield block * (gain * np.clip(left, 0, 1)).astype(np.float32)[:, None]
