"""What a model is tried on where a call brings nothing: a few free photos, a few prompts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

PROMPTS = (
    "waves roll onto the shore, slow push in",
    "leaves and grass sway in a light breeze, the camera is still",
    "a person turns and smiles, hair moving in the wind",
    "clouds drift over a city at dusk, lights come on",
)
_FOLDER = Path(__file__).with_name("photos")


def sample_photos() -> list[Any]:
    """The photos that come with Reverie, files; drawn pictures where they were left out."""
    found = sorted(_FOLDER.glob("*.jpg"))
    return list(found) if found else [drawn_picture(seed) for seed in range(6)]


def drawn_picture(seed: int, size: tuple[int, int] = (320, 480)) -> NDArray[np.uint8]:
    """A picture uint8 (H, W, 3) with the spectrum of photographs, 1 / f, and a few hard edges."""
    random, (height, width) = np.random.default_rng(seed), size
    picture = np.zeros((height, width, 3), np.float32)
    for octave in range(1, 8):
        grid = 2**octave
        noise = random.standard_normal((grid, grid * width // height + 1, 3), np.float32)
        picture += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC) / grid * 4
    for _ in range(6):
        top, left = random.integers(0, height), random.integers(0, width)
        piece = picture[top : top + height // 4, left : left + width // 4]
        piece += random.standard_normal(3).astype(np.float32)
    levels = (picture - picture.mean()) / picture.std() * 55 + 118
    return np.asarray(np.clip(levels, 0, 255), np.uint8)
