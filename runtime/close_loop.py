"""A film whose last frame leads into its first: the end dissolves into the beginning run backwards.

Time slows to a halt at the seam: run backwards, the beginning arrives at the first frame, from
which it sets out again. So a frame on either side of the seam is nearer to the first frame than a
usual step, and all else that is seen is a dissolve within the film.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..engines.errors import BundleError
from .blend import blend, eased
from .retime import NO_FRAMES

Pixels: TypeAlias = NDArray[np.uint8]

SECONDS = 1.0
"""How long the dissolve takes at most."""
LED_SECONDS = 0.25
"""The same where the model itself leads its end to the photo."""
MOST_BYTES = 96 * 2**20
"""What the frames of the beginning that are held may take."""


def close_loop(
    frames: Iterator[Pixels], count: int, *, held: int, most_bytes: int = MOST_BYTES
) -> Iterator[Pixels]:
    """Yield `count` frames, uint8 of one shape, the last of which leads into the first.

    held: frames of the beginning to hold, and of the end to dissolve; fewer where the film is short
    or they take more than most_bytes. The first frame, and all up to the dissolve, are as they are.
    """
    beginning: list[Pixels] = []
    length = 0
    for index in range(count):
        frame = next(frames, None)
        if frame is None:
            raise BundleError(NO_FRAMES)
        if index == 0:
            fits = max(most_bytes // max(frame.nbytes, 1) - 1, 1)
            length = max(min(held, fits, (count - 1) // 2), 0)
        if index <= length:
            beginning.append(frame)
        left = count - index  # frames until the first one comes round
        if left > length:
            yield frame
            continue
        back = _at(beginning, left * left / (left + 1))
        del beginning[left + 1 :]
        yield blend(frame, back, eased((length - left + 1) / length))


def _at(frames: list[Pixels], place: float) -> Pixels:
    """The picture at a place between two frames."""
    whole = int(place)
    share = place - whole
    if share <= 0 or whole + 1 >= len(frames):
        return frames[whole]
    return blend(frames[whole], frames[whole + 1], share)
