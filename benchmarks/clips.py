"""Reads clips and measures how far their pixels move; shared by the benchmarks of clips."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..runtime.reading import read_frames
from .measure import fit_similarity

MOST_PLACES = 20_000
"""Pixels that a camera is fitted to."""

Frame = NDArray[np.uint8]
Flow = NDArray[np.float32]


def sampled(path: Path, count: int) -> list[tuple[int, Frame]]:
    """At most `count` frames of a clip with their indices, evenly spread, first and last included.

    Raises ValueError for a clip without frames.
    """
    total = sum(1 for _ in read_frames(path))
    if not total:
        raise ValueError(f"{path} holds no frames")
    wanted = {round(i) for i in np.linspace(0, total - 1, min(count, total))}
    return [(i, frame) for i, frame in enumerate(read_frames(path)) if i in wanted]


def grey8(frame: Frame) -> Frame:
    """Brightness of an RGB frame, uint8 (h, w)."""
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY))


class FlowMeter:
    """Dense inverse search optical flow (Kroeger et al., 2016), as OpenCV has it."""

    def __init__(self) -> None:
        self._dis: Any = cv2.DISOpticalFlow.create(cv2.DISOpticalFlow_PRESET_MEDIUM)

    def __call__(self, first: Frame, second: Frame) -> Flow:
        """Where each pixel of `first` went in `second`: (h, w, 2) x and y in pixels."""
        return np.asarray(self._dis.calc(first, second, None))


def without_camera(first: Frame, later: Frame, inside: NDArray[np.bool_] | None = None) -> Frame:
    """A later frame with the camera's way since the first one undone.

    The camera is the turn, zoom and shift that best explain the flow `inside`, or everywhere.
    Frames are uint8 RGB (h, w, 3).
    """
    flow = FlowMeter()(grey8(first), grey8(later))
    inside = np.ones(flow.shape[:2], bool) if inside is None else inside
    places = np.argwhere(inside)[:: 1 + inside.sum() // MOST_PLACES, ::-1]
    moved = places + flow[places[:, 1], places[:, 0]]
    matrix, shift = fit_similarity(places, moved)
    return np.asarray(
        cv2.warpAffine(
            later,
            np.column_stack([matrix, shift]),
            later.shape[1::-1],
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
    )


def flow_variance(frames: Iterable[Frame]) -> NDArray[np.float64]:
    """Variance over time of the flow between neighbouring frames, (h, w) in square pixels.

    Frames are uint8 RGB (h, w, 3) of a camera that stands still. Raises ValueError for fewer than
    three frames.
    """
    meter, before, count = FlowMeter(), None, 0
    mean = squares = np.zeros(1)
    for frame in frames:
        now = grey8(frame)
        if before is not None:
            flow = meter(before, now).astype(np.float64)
            mean, squares, count = mean + flow, squares + flow**2, count + 1
        before = now
    if count < 2:
        raise ValueError("flow has a variance from three frames on")
    return np.asarray((squares / count - (mean / count) ** 2).sum(axis=-1))
