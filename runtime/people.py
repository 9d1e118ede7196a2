"""Finds people and their parts with MediaPipe's multiclass selfie segmentation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..engines.engine import Engine
from .faces import Face
from .letterbox import Map, disc, fitted, letterboxed, run_one

PEOPLE = ("background", "hair", "body skin", "face skin", "clothes", "other")
_BACKGROUND, _HAIR, _SKIN, _FACE, _CLOTHES, _OTHER = range(6)
_CLOSE_LOOKS = 4


def find_people(
    look: NDArray[np.uint8], engine: Engine, faces: list[Face], size: tuple[int, int]
) -> Map:
    """Find people: float32 (h, w, 6), probabilities in the order of PEOPLE, `size` is (w, h).

    A small face's body is looked at once more from near. Background alone where nobody is.
    """
    people = _people_at(look, engine, size)
    tall, wide = look.shape[:2]
    closer = [f for f in faces if (f.box.y1 - f.box.y0) * tall < 0.13 * max(tall, wide)]
    for face in closer[:_CLOSE_LOOKS]:
        x0, y0, x1, y1 = _body(face, wide, tall)
        part = look[y0:y1, x0:x1]
        left, right = (round(edge * size[0] / wide) for edge in (x0, x1))
        top, bottom = (round(edge * size[1] / tall) for edge in (y0, y1))
        if right - left < 4 or bottom - top < 4:
            continue
        near = _people_at(part, engine, (right - left, bottom - top))
        here = people[top:bottom, left:right]
        here[...] = np.where(near[..., :1] < here[..., :1], near, here)
    sure = _person_places(people, faces)[..., None]
    people *= sure
    people[..., :1] += 1 - sure
    return people


def _body(face: Face, wide: int, tall: int) -> tuple[int, int, int, int]:
    """The square in which the body of a small face lies, in pixels of the picture."""
    x = (face.box.x0 + face.box.x1) / 2 * wide
    y0, y1 = face.box.y0 * tall, face.box.y1 * tall
    half = 3.5 * (y1 - y0)
    top = y0 - 1.5 * (y1 - y0)
    return (
        max(int(x - half), 0),
        max(int(top), 0),
        min(int(x + half), wide),
        min(int(top + 2 * half), tall),
    )


def _people_at(pixels: NDArray[np.uint8], engine: Engine, size: tuple[int, int]) -> Map:
    image, inner = letterboxed(pixels, 256)
    logits = run_one(engine, image[None])[0]
    odds = np.exp(logits - logits.max(-1, keepdims=True))
    return fitted((odds / odds.sum(-1, keepdims=True))[inner], size)


def _person_places(people: Map, faces: list[Face]) -> Map:
    """Where the people network is to be believed: float32 (h, w), 0 or 1, soft at the rim.

    It sees clothes and hair in foliage and flowers. A patch counts when a face is on it or its
    body would reach it, or when it is built like a person seen from behind: hair above clothes.
    """
    import cv2

    high, wide = people.shape[:2]
    found = (people[..., 0] < 0.5).astype(np.uint8)
    count, labels = cv2.connectedComponents(found, connectivity=8)
    sure = np.zeros((high, wide), np.uint8)
    face_box, body_box = np.zeros_like(sure), np.zeros_like(sure)
    for face in faces:
        x0, x1 = face.box.x0 * wide, face.box.x1 * wide
        y0, y1 = face.box.y0 * high, face.box.y1 * high
        w, h = x1 - x0, y1 - y0
        face_box[int(y0) : int(y1) + 1, int(x0) : int(x1) + 1] = 1
        body_box[
            max(int(y0 - h), 0) : int(y1 + 6 * h) + 1, max(int(x0 - 3 * w), 0) : int(x1 + 3 * w) + 1
        ] = 1
    for label in range(1, count):
        patch = labels == label
        on_body = body_box[patch].mean() > 0.5 and people[patch][:, _BACKGROUND].mean() < 0.2
        if face_box[patch].any() or on_body or _from_behind(people, patch):
            sure[patch] = 1
    grown = cv2.dilate(sure, disc(3)).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(grown, (0, 0), 1.5), np.float32)


def _from_behind(people: Map, patch: NDArray[np.bool_]) -> bool:
    """Whether a patch without a face is built like a person: hair over clothes, little doubt."""
    cells = people[patch]
    if len(cells) < 0.004 * patch.size or cells[:, 0].mean() > 0.1:
        return False
    share = cells.mean(0)
    if share[_HAIR] < 0.06 or share[_CLOTHES] + share[_SKIN] < 0.3 or share[_OTHER] > 0.15:
        return False
    rows = np.nonzero(patch)[0]
    hair = np.average(rows, weights=cells[:, _HAIR] + 1e-6)
    clothes = np.average(rows, weights=cells[:, _CLOTHES] + cells[:, _SKIN] + 1e-6)
    return bool(hair < clothes)
