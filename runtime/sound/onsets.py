"""How strongly something begins at each hundredth of a second: spectral flux, as sound streams."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .recording import RATE, Block

HOP = 480
"""Samples between two measures: a hundredth of a second at 48 kHz."""
FRAMES = RATE // HOP
"""Measures a second."""

_WINDOW = 1024
_BANDS = 36
_LATE = 0.005
"""Seconds by which a click's flux is highest after it, measured on clicks at many places."""

Curve = npt.NDArray[np.float32]


class Onsets:
    """Takes blocks of 48 kHz stereo and keeps one number a hundredth of a second.

    The measure is that of Böck and Widmer, "Maximum filter vibrato suppression for onset
    detection" (DAFx 2013): the rise of each band over the loudest of its neighbours a moment
    before, so that a gliding tone or a tremolo string counts for little. Magnitudes are compressed
    by a root rather than a logarithm: the curve's shape is then the same at any loudness.
    """

    def __init__(self) -> None:
        self._window = np.hanning(_WINDOW).astype(np.float32)
        self._bands = _bands()
        self._rest = np.zeros(_WINDOW // 2, np.float32)  # frame 0 has its middle on sample 0
        self._before = np.zeros((2, _BANDS), np.float32)
        self._curve: list[Curve] = []

    def hear(self, block: Block) -> None:
        """Count a block in."""
        samples = np.concatenate([self._rest, block.mean(axis=1, dtype=np.float32)])
        count = max((len(samples) - _WINDOW) // HOP + 1, 0)
        if count:
            frames = np.lib.stride_tricks.sliding_window_view(samples, _WINDOW)[::HOP][:count]
            spectrum = np.abs(np.fft.rfft(frames * self._window, axis=1)).astype(np.float32)
            levels = np.concatenate([self._before, np.cbrt(spectrum @ self._bands)])
            past = np.pad(levels[:-2], ((0, 0), (1, 1)), mode="edge")
            loudest = np.maximum(np.maximum(past[:, :-2], past[:, 1:-1]), past[:, 2:])
            rise = np.maximum(levels[2:] - loudest, 0).mean(axis=1)
            self._curve.append(rise.astype(np.float32))
            self._before = levels[-2:]
        self._rest = samples[count * HOP :]

    def curve(self) -> Curve:
        """Return all measures so far; `when` tells the time of the n-th."""
        return np.concatenate(self._curve) if self._curve else np.zeros(0, np.float32)


def when(frame: float) -> float:
    """Seconds from the start at which an onset lies whose curve is highest at `frame`."""
    return frame / FRAMES - _LATE


def _bands() -> npt.NDArray[np.float32]:
    """Weights (bins, bands): triangles evenly spaced in pitch from 40 Hz to 16 kHz."""
    pitch = np.fft.rfftfreq(_WINDOW, 1 / RATE)
    corners = np.maximum(np.geomspace(40, 16000, _BANDS + 2), 0)
    width = RATE / _WINDOW
    weights = np.zeros((len(pitch), _BANDS), np.float32)
    for band in range(_BANDS):
        low, middle, high = corners[band : band + 3]
        low, high = min(low, middle - width), max(high, middle + width)  # at least a bin each side
        up, down = (pitch - low) / (middle - low), (high - pitch) / (high - middle)
        weights[:, band] = np.clip(np.minimum(up, down), 0, None)
    return weights
