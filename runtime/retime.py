"""Frames of one rate to frames of another: as they are where they meet, else drawn or blended."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from ..engines.errors import BundleError
from .blend import blend

Pixels = NDArray[np.uint8]

NO_FRAMES = "the model gave fewer frames than it said: export it again"
_SAME = 1e-6  # of a frame


def retime(
    frames: Iterator[Pixels],
    step: float,
    count: int,
    between: Callable[[Pixels, Pixels, float], Pixels] | None = None,
) -> Iterator[Pixels]:
    """Yield `count` frames, uint8 of one shape, taken `step` frames apart from the first on.

    between: (before, after, share 0..1) -> the frame there; None blends the two in proportion.
    After the last frame it stands still. Three frames at most are held. A step above 1 is faster,
    below 1 slower; 1 passes frames on as they are.
    """
    before = next(frames, None)
    if before is None:
        raise BundleError(NO_FRAMES)
    after = next(frames, before)
    held = 0  # index of `before`
    for index in range(count):
        place = index * step
        whole = int(place + _SAME)
        while held < whole:
            before, after = after, next(frames, after)
            held += 1
        share = place - whole
        if share <= _SAME or after is before:
            yield before
        else:
            yield (between or blend)(before, after, share)
