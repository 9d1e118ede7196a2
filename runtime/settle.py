"""A picture taken over by a model's frames without a jump: what differs fades out as they move.

A model's first frame is its own picture of the photo: a little softer, of slightly other colours.
What the photo has beside it is laid on the frames after it, moved along with what it belongs to,
and less of it from frame to frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from .blend import eased

Pixels: TypeAlias = NDArray[np.uint8]

SECONDS = 0.5
"""How long it takes, in a film."""
_FLOW_SIDE = 256  # pixels of the longer side at which motion is looked for
_LEAST_SIDE = 24


def settle(
    frames: Iterator[Pixels], first: Pixels, fade: int, *, loop: int | None = None
) -> Iterator[Pixels]:
    """Yield frames, uint8 (H, W, 3), the first of them exactly `first`, the rest led over to it.

    fade: frames after which they pass as they are. loop: how many there are, where the end leads
    into the beginning: then the difference comes back towards the end. Two pictures are held.
    """
    own = next(frames, None)
    if own is None:
        return
    yield first
    lack = first.astype(np.int16) - own
    if not lack.any():
        yield from frames
        return
    small = _small(own)
    for index, frame in enumerate(frames, 1):
        away = index if loop is None else min(index, loop - index)
        weight = 1 - eased(away / (fade + 1))
        yield _laid(lack, weight, frame, small) if weight > 0 else frame


def _laid(
    lack: NDArray[np.int16], weight: float, frame: Pixels, before: NDArray[np.uint8] | None
) -> Pixels:
    """A frame with a share of what it lacks, from where that lay before it moved."""
    if before is not None:
        lack = _moved(lack, before, frame)
    added = cv2.addWeighted(frame.astype(np.float32), 1.0, lack.astype(np.float32), weight, 0.0)
    return np.asarray(np.clip(np.rint(added), 0, 255), np.uint8)


def _moved(lack: NDArray[np.int16], before: NDArray[np.uint8], frame: Pixels) -> NDArray[np.int16]:
    """Take a picture's lack to where its places are in a frame, by dense optical flow."""
    after = _small(frame)
    if after is None or np.array_equal(after, before):
        return lack
    finder: Any = cv2.DISOpticalFlow.create(cv2.DISOpticalFlow_PRESET_FAST)
    flow = finder.calc(after, before, None)  # from each place of the frame to where it was
    height, width = frame.shape[:2]
    scale = np.array([width / flow.shape[1], height / flow.shape[0]], np.float32)
    flow = cv2.resize(flow, (width, height), interpolation=cv2.INTER_LINEAR) * scale
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    moved = cv2.remap(
        lack,
        columns + flow[..., 0],
        rows + flow[..., 1],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(moved, np.int16)


def _small(frame: Pixels) -> NDArray[np.uint8] | None:
    """A frame in grey for looking at motion; None where it is too small for that."""
    height, width = frame.shape[:2]
    shrink = min(1.0, _FLOW_SIDE / max(height, width))
    size = round(width * shrink), round(height * shrink)
    if min(size) < _LEAST_SIDE:
        return None
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)
