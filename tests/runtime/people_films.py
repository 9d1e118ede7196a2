"""Photos of people and cameras over them, for tests of what looks at faces."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]

PHOTOS = Path(__file__).parents[1] / "data" / "photos"


def photo(name: str, height: int | None = None) -> Pixels:
    """A photo of tests/data/photos, of its own or of another height (even sizes)."""
    with Image.open(PHOTOS / f"{name}.jpg") as picture:
        picture = picture.convert("RGB")
        if height is not None:
            width = round(picture.width * height / picture.height / 2) * 2
            picture = picture.resize((width, height), Image.Resampling.LANCZOS)
        return np.asarray(picture).copy()


def seen(
    picture: Pixels,
    *,
    zoom: float = 1.0,
    turn: float = 0.0,
    shift: tuple[float, float] = (0.0, 0.0),
) -> Pixels:
    """A picture through a camera, of the same size: turned by degrees, moved by pixels."""
    tall, wide = picture.shape[:2]
    way = cv2.getRotationMatrix2D((wide / 2, tall / 2), turn, zoom)
    way[:, 2] += shift
    moved = cv2.warpAffine(
        picture, way, (wide, tall), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(moved, np.uint8)


def push(picture: Pixels, count: int, most: float = 1.06) -> list[Pixels]:
    """A film of a camera that slowly goes into a picture; the first frame is the picture."""
    return [seen(picture, zoom=most ** (i / max(count - 1, 1))) for i in range(count)]
