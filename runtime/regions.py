"""Says what in a photo must hold still: faces, people, the subject; and how near each place is.

Four small networks look at the photo once: YuNet (faces), MediaPipe's multiclass selfie
segmentation (people), U2-Net-p (the salient subject) and FastDepth (depth).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..engines.engine import Engine
from .crop import Box
from .faces import Face, find_faces
from .letterbox import Map, disc, fitted, letterboxed, map_size, run_one, shrunk
from .people import PEOPLE, find_people
from .upsample import smoothstep

if TYPE_CHECKING:
    from .frame import Shot

__all__ = [
    "LOOK",
    "PEOPLE",
    "Face",
    "Hold",
    "Regions",
    "carried",
    "face_boxes",
    "face_map",
    "find_regions",
    "hold_maps",
    "keep_map",
]


LOOK = 1600
"""Pixels of the longer side at which a photo is looked at."""
# How firmly each part of a person holds, and when the prompt asks people to move.
_FIRM = np.array([0, 0.85, 1, 1, 0.9, 0.9], np.float32)
_LOOSE = np.array([0, 0.25, 0.9, 1, 0.4, 0.5], np.float32)
_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)


@dataclass(frozen=True)
class Regions:
    """What was found on a photo; the maps lie over the whole of it, longer side 384 cells."""

    faces: list[Face]
    """The surest first."""
    people: Map
    """(h, w, 6) probabilities in the order of PEOPLE; background alone where nobody is."""
    subject: Map
    """(h, w) salience, 0 .. 1."""
    depth: Map
    """(h, w) 0 far .. 1 near."""


@dataclass(frozen=True)
class Hold:
    """What must hold still, apart, so that a subject can give way where it is a plant or water."""

    person: Map
    """(h, w) 1 for faces and skin, a little less for clothes and hair, 0 where nobody is."""
    subject: Map
    """(h, w) 1 on the salient subject, whatever it is."""


def find_regions(pixels: NDArray[np.uint8], engines: Mapping[str, Engine]) -> Regions:
    """Look at a photo, uint8 (H, W, 3), with the engines "faces", "people", "subject", "depth".

    Raises:
        EngineError: the device failed.
    """
    look = shrunk(pixels, LOOK)
    faces = find_faces(look, engines["faces"])
    size = map_size(look)
    people = find_people(look, engines["people"], faces, size)
    subject = find_subject(look, engines["subject"], size)
    depth = _find_depth(look, engines["depth"], people, size)
    return Regions(faces, people, subject, depth)


def carried(regions: Regions, shot: Shot) -> Regions:
    """Take what was found on the photo to its frame; nobody is beyond the photo."""
    people = shot.carry(regions.people)
    people[..., 0] += 1.0 - people.sum(axis=-1)
    return replace(
        regions,
        faces=[
            replace(f, box=shot.carry_box(f.box), points=shot.carry_points(f.points))
            for f in regions.faces
        ],
        people=people,
        subject=shot.carry(regions.subject),
        depth=shot.carry(regions.depth, fill=None),
    )


def hold_maps(regions: Regions, *, people_move: bool = False, subject_moves: bool = False) -> Hold:
    """Say how firmly each place must hold still.

    `people_move` loosens hair and clothes (never faces), `subject_moves` lets the subject go.
    """
    share = _LOOSE if people_move else _FIRM
    there = 1 - regions.people[..., 0]
    firm = (regions.people * share).sum(-1) / np.maximum(there, 1e-3)
    # The half-sure rim of a person holds as the sure middle does.
    person = _softened(smoothstep((there - 0.15) / 0.35) * np.clip(firm, 0, 1))
    person = np.maximum(person, face_map(regions.faces, person.shape))
    subject = np.zeros_like(regions.subject)
    if not subject_moves:
        subject = _softened(np.clip((regions.subject - 0.15) / 0.6, 0, 1))
        if people_move:
            subject *= 1 - smoothstep((there - 0.15) / 0.35)
    return Hold(_unit(person), _unit(subject))


def keep_map(regions: Regions) -> Map:
    """What a frame should keep in sight: float32 (h, w) 0 .. 1, people before other subjects."""
    return _unit(np.maximum(1 - regions.people[..., 0], 0.8 * regions.subject))


def face_boxes(regions: Regions) -> list[Box]:
    """The boxes of the faces, 0 .. 1 of the photo's width and height."""
    return [face.box for face in regions.faces]


def face_map(faces: list[Face], shape: tuple[int, ...]) -> Map:
    """Full ovals over faces, ear to ear: float32 (h, w), 1 inside, falling to 0 around them."""
    high, wide = shape[:2]
    y, x = np.mgrid[0:high, 0:wide].astype(np.float32)
    held = np.zeros((high, wide), np.float32)
    for face in faces:
        x0, x1 = face.box.x0 * wide, face.box.x1 * wide
        y0, y1 = face.box.y0 * high, face.box.y1 * high
        across, down = max((x1 - x0) * 0.6, 1.5), max((y1 - y0) * 0.62, 1.5)
        beside = np.abs(x + 0.5 - (x0 + x1) / 2) / across
        above = np.abs(y + 0.5 - (y0 + y1) / 2) / down
        away = np.cbrt(beside**3 + above**3)
        # Two cells beyond the oval at least, so that tiny faces are covered whole.
        rim = 0.35 + 2 / min(across, down)
        held = np.maximum(held, smoothstep((1 + rim - away) / rim))
    return held


def find_subject(look: NDArray[np.uint8], engine: Engine, size: tuple[int, int]) -> Map:
    """Where the subject of a picture, uint8 RGB, is: (h, w) salience 0 .. 1; size (w, h)."""
    image, inner = letterboxed(look, 320)
    normal = ((image - _MEAN) / _DEVIATION).transpose(2, 0, 1)
    salience = run_one(engine, np.ascontiguousarray(normal[None]))[0, 0]
    return _unit(fitted(salience[inner], size))


def _find_depth(look: NDArray[np.uint8], engine: Engine, people: Map, size: tuple[int, int]) -> Map:
    """Nearness from FastDepth's metres, with people as the flat, near shapes they are.

    On plain backgrounds the network hollows faces out; a camera moving past such depth would bend
    them, so that a person is given one depth, their own upper middle.
    """
    import cv2

    image, inner = letterboxed(look, 224)
    metres = run_one(engine, np.ascontiguousarray(image.transpose(2, 0, 1)[None]))[0, 0][inner]
    low, high = np.percentile(metres, [2, 98])
    if high - low < 0.02 * max(abs(float(high)), 1e-3):
        near = np.full(metres.shape, 0.5, np.float32)
    else:
        near = np.clip((high - metres) / (high - low), 0, 1)
    near = cv2.GaussianBlur(near.astype(np.float32), (0, 0), 2.0)
    near = fitted(np.asarray(near, np.float32), size)
    person = np.clip((1 - people[..., 0] - 0.2) / 0.6, 0, 1)
    if float(person.mean()) > 0.01:
        level = max(float(np.percentile(near[person > 0.5], 70)), 0.75) if person.max() > 0.5 else 0
        person = cv2.GaussianBlur(person, (0, 0), 2.0)
        behind = np.minimum(near, level - 0.15 + 0.15 * near)
        near = behind * (1 - person) + person * (0.85 * level + 0.15 * near)
    return _unit(near)


def _softened(map_: Map) -> Map:
    """Grow what is held by two cells and soften its rim."""
    import cv2

    grown = cv2.dilate(np.asarray(map_, np.float32), disc(2))
    return np.asarray(cv2.GaussianBlur(grown, (0, 0), 1.5), np.float32)


def _unit(map_: Map) -> Map:
    return np.clip(map_, 0, 1).astype(np.float32)
