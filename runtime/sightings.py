"""What is known of a photo's faces, and what became of them in a frame; where faces lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from .alignment import TEMPLATE, Pixels, Points, Similarity, carry, fit, size_of
from .crop import Box

SMALLEST = 24
"""Faces of fewer pixels across are too small to judge."""
CLEAR = 40
"""Faces of fewer pixels across are judged roughly: noise alone takes their cosine to 0.75."""
WIDE = 86.0
"""Template pixels across the box that the detector draws around a face."""

State = Literal["seen", "small", "out", "lost"]


@dataclass(frozen=True)
class Known:
    """A face of the photo."""

    box: Box
    """Where it is, 0..1 of the photo's width and height."""
    points: Points
    """(5, 2) pixels of the photo."""
    face: Pixels
    """It on the template, uint8 (112, 112, 3)."""
    size: float
    """Pixels of the photo for one of the template."""


@dataclass(frozen=True)
class Sighting:
    """What became of a face of the photo in a frame."""

    state: State
    """"seen"; "small": too small to judge; "out": not in the frame's part of the picture; "lost":
    it should be there and is not."""
    cosine: float | None = None
    """Of SFace's embeddings, -1..1; None where it was not seen."""
    way: Similarity | None = None
    """From the template to the frame, where it was seen."""
    points: Points | None = None
    """(5, 2) pixels of the frame, as the detector found them; None where it was not asked."""

    @property
    def across(self) -> float:
        """About how many pixels of the frame it is wide; 0 where it was not seen."""
        return 0.0 if self.way is None else WIDE * size_of(self.way)


def across(points: Points) -> float:
    """Roughly how wide a face with these points is, in pixels."""
    return WIDE / float(size_of(fit(points, TEMPLATE)) or 1e-9) if len(points) else 0.0


def box_at(way: Similarity) -> tuple[float, ...]:
    """About the box that YuNet finds around a face that lies on the template by `way`, pixels."""
    middle, half = carry(np.array([[56.0, 64.0]]), way)[0], size_of(way) * np.array([43.0, 56.0])
    return (*(middle - half), *(middle + half))


def shown(frame: Pixels, box: tuple[float, ...]) -> float:
    """The share of a box in pixels that lies in a frame."""
    tall, wide = frame.shape[:2]
    across = min(box[2], wide) - max(box[0], 0.0)
    down = min(box[3], tall) - max(box[1], 0.0)
    area = (box[2] - box[0]) * (box[3] - box[1])
    return float(max(across, 0.0) * max(down, 0.0) / area)


def away(one: Similarity, other: Similarity) -> float:
    """How far apart two places of a face are, in widths of a face."""
    middle = np.array([[56.0, 72.0]])
    apart = float(np.hypot(*(carry(middle, one) - carry(middle, other))[0]))
    return apart / (WIDE * max(size_of(one), size_of(other), 1e-9))
