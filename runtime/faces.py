"""Finds faces with YuNet, small ones and very large ones too.

The decoding follows the reference of OpenCV's FaceDetectorYN (Wu et al., "YuNet", 2023).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..engines.engine import Engine
from .crop import Box

_SIDE = 640
_STRIDES = (8, 16, 32)
_PARTS = ("cls", "obj", "bbox", "kps")
# Scores on real photos: faces of people 0.93 and up, of statues and dogs 0.75 to 0.91; flowers
# reach 0.73 in the whole picture, and embers 0.80 and foliage out of focus 0.82 when enlarged.
_SCORE_WHOLE, _SCORE_CLOSER, _SCORE_FARTHER = 0.75, 0.86, 0.86


@dataclass(frozen=True)
class Face:
    """A face found on a photo; all places are 0..1 of the photo's width and height."""

    box: Box
    score: float
    """0..1."""
    points: tuple[tuple[float, float], ...] = ()
    """Eyes, tip of the nose and corners of the mouth, each pair from the picture's left, as found;
    () where they were not asked for or the face was carried elsewhere."""


def find_faces(pixels: NDArray[np.uint8], engine: Engine) -> list[Face]:
    """Find the faces on a picture, uint8 (H, W, 3), the surest first.

    The whole picture is searched at two scales (a face that fills it is too large for the first),
    and a large picture once more in overlapping tiles, for faces too small for the first.
    """
    tall, wide = pixels.shape[:2]
    found = search(pixels, engine, _SIDE, _SCORE_WHOLE)
    found += [f for f in search(pixels, engine, _SIDE // 2, _SCORE_FARTHER) if _height(f) > 0.3]
    if max(tall, wide) > 1.25 * _SIDE:
        for x0, y0, side in _tiles(wide, tall):
            tile = pixels[y0 : y0 + side, x0 : x0 + side]
            across, down = tile.shape[1], tile.shape[0]
            for face in search(tile, engine, _SIDE, _SCORE_CLOSER):
                inner = Box(
                    0.0 if x0 == 0 else 0.02,
                    0.0 if y0 == 0 else 0.02,
                    1.0 if x0 + across >= wide else 0.98,
                    1.0 if y0 + down >= tall else 0.98,
                )
                if _height(face) < 0.4 and _is_inside(face.box, inner):
                    found.append(_moved(face, x0 / wide, y0 / tall, across / wide, down / tall))
    return distinct_faces(found)


def distinct_faces(found: list[Face]) -> list[Face]:
    """One of each group of faces that overlap, the surest first."""
    kept: list[Face] = []
    for face in sorted(found, key=lambda face: -face.score):
        if all(_overlap(face.box, other.box) < 0.4 for other in kept):
            kept.append(face)
    return kept


def searches(wide: int, tall: int) -> int:
    """Return how often `find_faces` runs its detector on a picture of a size."""
    return 2 + (sum(1 for _ in _tiles(wide, tall)) if max(tall, wide) > 1.25 * _SIDE else 0)


def _tiles(wide: int, tall: int) -> Iterator[tuple[int, int, int]]:
    """Left, top and side of overlapping squares that cover a picture, nine at most."""
    side = max(round(0.6 * min(wide, tall)), round(0.42 * max(wide, tall)))
    for y0 in _starts(tall, side):
        for x0 in _starts(wide, side):
            yield x0, y0, side


def _starts(length: int, side: int) -> list[int]:
    count = 1 if length <= side else 2 if length < 1.75 * side else 3
    return [round(start) for start in np.linspace(0, max(length - side, 0), count)]


def search(pixels: NDArray[np.uint8], engine: Engine, side: int, least: float) -> list[Face]:
    """Run the detector once on a picture scaled so that its longer side is `side`, 640 at most.

    Faces that score less than `least` are left out; those that overlap are all there.
    """
    import cv2

    tall, wide = pixels.shape[:2]
    scale = side / max(tall, wide)
    across, down = max(1, round(wide * scale)), max(1, round(tall * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    canvas = np.zeros((_SIDE, _SIDE, 3), np.float32)
    canvas[:down, :across] = cv2.resize(pixels, (across, down), interpolation=how)[..., ::-1]
    image = np.ascontiguousarray(canvas.transpose(2, 0, 1)[None])
    outputs = engine.run({engine.inputs[0].name: image})
    faces: list[Face] = []
    for stride in _STRIDES:
        cells = _SIDE // stride
        part = {k: outputs[f"{k}_{stride}"][0].astype(np.float32) for k in _PARTS}
        score = np.sqrt(np.clip(part["cls"], 0, 1) * np.clip(part["obj"], 0, 1))[:, 0]
        for i in np.flatnonzero(score >= least):
            row, column = divmod(int(i), cells)
            x, y = (column + part["bbox"][i, 0]) * stride, (row + part["bbox"][i, 1]) * stride
            w, h = np.exp(np.minimum(part["bbox"][i, 2:], 6)) * stride
            box = (x - w / 2) / across, (y - h / 2) / down, (x + w / 2) / across, (y + h / 2) / down
            clipped = [min(max(float(edge), 0.0), 1.0) for edge in box]
            at = (part["kps"][i].reshape(5, 2) + np.array((column, row))) * stride / (across, down)
            points = tuple((float(px), float(py)) for px, py in at)
            faces.append(Face(Box(*clipped), float(score[i]), points))
    return faces


def _moved(face: Face, x: float, y: float, across: float, down: float) -> Face:
    box = face.box
    return Face(
        Box(x + box.x0 * across, y + box.y0 * down, x + box.x1 * across, y + box.y1 * down),
        face.score,
        tuple((x + px * across, y + py * down) for px, py in face.points),
    )


def _height(face: Face) -> float:
    return face.box.y1 - face.box.y0


def _is_inside(box: Box, outer: Box) -> bool:
    return box.x0 >= outer.x0 and box.y0 >= outer.y0 and box.x1 <= outer.x1 and box.y1 <= outer.y1


def _overlap(a: Box, b: Box) -> float:
    """Shared area over the smaller box's area, so that a part of a face counts as that face."""
    across = min(a.x1, b.x1) - max(a.x0, b.x0)
    down = min(a.y1, b.y1) - max(a.y0, b.y0)
    if across <= 0 or down <= 0:
        return 0.0
    smaller = min((a.x1 - a.x0) * (a.y1 - a.y0), (b.x1 - b.x0) * (b.y1 - b.y0))
    return across * down / max(smaller, 1e-9)
