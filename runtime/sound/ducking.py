"""Music lowered under speech: where a voice speaks, and the gain that makes room for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .recording import RATE, Block
from .survey import STEP, Levels

AHEAD, HOLD, RISE = 0.30, 0.60, 0.90
"""Seconds: the music is down when speech begins, having taken `AHEAD` for it; it stays down for
`HOLD` after, which bridges the gaps between words, and takes `RISE` to come back."""

_BELOW, _LEAST_BELOW, _ABOVE = 20.0, 8.0, 6.0
"""dB under the voice's usual peaks at which speech ends and breath and room begin; in a noisy room
`_ABOVE` dB over the noise, and `_LEAST_BELOW` under the peaks at least."""

Curve = npt.NDArray[np.floating[Any]]


def duck_curve(levels: Levels, start: float, seconds: float, depth: float) -> Curve:
    """Return the music's gain in dB at each hundredth of a second of a film, 0 to -`depth`.

    Args:
        levels: the voice's peak in each hundredth of a second (see Survey), 1.0 at full scale.
        start: seconds into the film at which the voice begins.
        seconds: the film's length.
        depth: dB under speech, positive.

    The ramps are straight in dB. 400 bytes a second of film are kept.
    """
    steps = int(np.ceil(seconds * RATE / STEP)) + 1
    speaking = np.zeros(steps, bool)
    voiced = speech(levels)
    first = round(start * RATE / STEP)
    voiced = voiced[: max(steps - first, 0)]
    speaking[first : first + len(voiced)] = voiced
    held = speaking.copy()
    for stop in np.flatnonzero(speaking[:-1] & ~speaking[1:]):
        held[stop : stop + 1 + round(HOLD * RATE / STEP)] = True
    since, until = _distance(held), _distance(held[::-1])[::-1]
    second = STEP / RATE
    down = np.maximum(1 - since * second / RISE, 1 - until * second / AHEAD)
    return (-depth * np.clip(down, 0, 1)).astype(np.float32)


def _distance(held: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Return how many steps ago `held` was last True, at each step; very many before the first."""
    places = np.arange(len(held))
    last = np.maximum.accumulate(np.where(held, places, -(1 << 40)))
    return (places - last).astype(np.float64)


def speech(levels: Levels) -> npt.NDArray[np.bool_]:
    """Return where the voice speaks, bool, for its peaks a hundredth of a second apart."""
    if not len(levels):
        return np.zeros(0, bool)
    # The loudest in 50 ms: between two pitch periods a voice does not stop.
    wide = np.pad(np.asarray(levels, np.float64), 2, mode="edge")
    wide = np.lib.stride_tricks.sliding_window_view(wide, 5).max(axis=1)
    usual, room = (float(v) for v in np.percentile(wide, (95, 10)))
    # In a noisy room the pauses are not as far down: what is clearly above the noise is speech.
    above = min(room * 10 ** (_ABOVE / 20), usual * 10 ** (-_LEAST_BELOW / 20))
    found: npt.NDArray[np.bool_] = wide > max(usual * 10 ** (-_BELOW / 20), above, 1e-4)
    return found


def gains(curve: Curve, at: int, samples: int) -> Block:
    """Return linear gains (samples, 1) of a curve in dB from sample `at` of the film on."""
    places = (at + np.arange(samples)) / STEP
    decibels = np.interp(places, np.arange(len(curve)), curve)
    linear: Block = (10 ** (decibels / 20)).astype(np.float32)[:, None]
    return linear
