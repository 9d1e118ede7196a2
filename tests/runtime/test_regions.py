"""What must hold still, found on real photos with the networks that ship."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest
from reverie.engines.engine import Engine
from reverie.runtime.bundle import load_bundle
from reverie.runtime.crop import Box
from reverie.runtime.faces import Face, find_faces
from reverie.runtime.letterbox import letterboxed
from reverie.runtime.people import PEOPLE as PARTS
from reverie.runtime.photo import load_photo
from reverie.runtime.regions import (
    Regions,
    face_boxes,
    face_map,
    find_regions,
    hold_maps,
    keep_map,
)

PHOTOS = Path(__file__).parents[1] / "data" / "photos"
PEOPLE = ("astronaut", "person-006-portrait", "person-006-selfie", "person-008-selfie")
NOBODY = ("blue-periwinkle", "cypress-field", "grass-cliff")
FACE_SKIN = PARTS.index("face skin")


@pytest.fixture(scope="module")
def engines() -> Iterator[Mapping[str, Engine]]:
    bundle = load_bundle("ember")
    names = ("faces", "people", "subject", "depth")
    opened = {name: bundle.open(name, threads=1) for name in names}
    yield opened
    for engine in opened.values():
        engine.close()


@pytest.fixture(scope="module")
def seen(engines: Mapping[str, Engine]) -> dict[str, Regions]:
    """What is found on each photo, looked at once."""
    return {
        name: find_regions(load_photo(PHOTOS / f"{name}.jpg").pixels, engines)
        for name in (*PEOPLE, *NOBODY, "perched-osprey")
    }


def _held(regions: Regions, **asked: bool) -> np.ndarray:
    """The stronger of the two holds."""
    hold = hold_maps(regions, **asked)
    return np.maximum(hold.person, hold.subject)


def _pixels(name: str) -> np.ndarray:
    return load_photo(PHOTOS / f"{name}.jpg").pixels


@pytest.mark.parametrize("name", PEOPLE)
def test_one_face_is_found_on_a_person(seen: dict[str, Regions], name: str) -> None:
    regions = seen[name]
    assert len(regions.faces) == 1
    face = regions.faces[0]
    assert face.score > 0.85
    skin = regions.people[..., FACE_SKIN]
    y, x = np.average(np.argwhere(skin > 0.6), axis=0) / skin.shape
    assert face.box.x0 < x < face.box.x1
    assert face.box.y0 < y < face.box.y1
    assert face_boxes(regions) == [face.box]


@pytest.mark.parametrize("name", PEOPLE)
def test_a_person_holds_still(seen: dict[str, Regions], name: str) -> None:
    regions = seen[name]
    held = _held(regions)
    assert held.shape == regions.people.shape[:2]
    assert held.dtype == np.float32
    assert 0 <= held.min() <= held.max() <= 1
    box = regions.faces[0].box
    high, wide = held.shape
    face = held[int(box.y0 * high) : int(box.y1 * high), int(box.x0 * wide) : int(box.x1 * wide)]
    assert face.min() > 0.75
    assert np.median(face) == 1
    inner = face[len(face) // 5 : -len(face) // 5, face.shape[1] // 5 : -face.shape[1] // 5]
    assert inner.min() == 1
    below = min(int((box.y1 + 0.8 * (box.y1 - box.y0)) * high), high - 2)
    assert held[below, int((box.x0 + box.x1) / 2 * wide)] > 0.85


@pytest.mark.parametrize("name", NOBODY)
def test_the_people_network_does_not_hold_foliage(seen: dict[str, Regions], name: str) -> None:
    regions = seen[name]
    assert regions.faces == []
    assert regions.people[..., 0].min() > 0.99
    assert hold_maps(regions).person.max() < 0.05


def test_asked_to_move_people_loosen_but_never_their_faces(seen: dict[str, Regions]) -> None:
    regions = seen["person-008-selfie"]
    still, loose = _held(regions), _held(regions, people_move=True, subject_moves=True)
    hair = (regions.people[..., 1] > 0.9) & (face_map(regions.faces, still.shape) < 0.05)
    clothes = regions.people[..., 4] > 0.9
    assert hair.sum() > 200
    assert still[hair].mean() > 0.8
    assert loose[hair].mean() < 0.5
    assert still[clothes].mean() > 0.85
    assert loose[clothes].mean() < 0.6
    face = face_map(regions.faces, still.shape) > 0.99
    assert loose[face].min() > 0.98
    skin = (regions.people[..., 2] > 0.9) | (regions.people[..., 3] > 0.9)
    assert loose[skin].mean() > 0.85
    # with people asked to move alone, the salient person does not hold its own hair
    assert _held(regions, people_move=True)[hair].mean() < 0.5


def test_the_subject_holds_apart_from_people(seen: dict[str, Regions]) -> None:
    regions = seen["perched-osprey"]
    hold = hold_maps(regions)
    assert hold.person.max() < 0.05
    assert hold.subject.max() == pytest.approx(1, abs=0.02)
    assert 0.02 < hold.subject.mean() < 0.2
    assert hold_maps(regions, subject_moves=True).subject.max() == 0
    y, x = np.average(np.argwhere(keep_map(regions) > 0.5), axis=0)
    assert 0.3 < x / hold.subject.shape[1] < 0.45
    assert 0.2 < y / hold.subject.shape[0] < 0.7


def test_people_are_near_and_depth_is_smooth(seen: dict[str, Regions]) -> None:
    for name in PEOPLE:
        regions = seen[name]
        person = regions.people[..., 0] < 0.1
        behind = regions.people[..., 0] > 0.9
        assert regions.depth[person].mean() > regions.depth[behind].mean() + 0.1, name
    for regions in seen.values():
        assert 0 <= regions.depth.min() <= regions.depth.max() <= 1
        assert np.abs(np.diff(regions.depth, axis=0)).max() < 0.15
        assert np.ptp(regions.depth) > 0.2


def test_maps_lie_over_the_photo_whatever_its_shape(engines: Mapping[str, Engine]) -> None:
    portrait = _pixels("person-001-selfie")
    for bars in ((0, 700), (700, 0)):
        framed = cv2.copyMakeBorder(portrait, *bars, 0, 0, cv2.BORDER_CONSTANT, value=(90, 90, 90))
        regions = find_regions(framed, engines)
        shares = {m.shape[0] / m.shape[1] for m in (regions.subject, regions.depth)}
        assert shares == {regions.people.shape[0] / regions.people.shape[1]}
        assert max(regions.subject.shape) == 384
        (face,) = regions.faces
        skin = regions.people[..., FACE_SKIN]
        y, x = np.average(np.argwhere(skin > 0.6), axis=0) / skin.shape
        assert face.box.x0 < x < face.box.x1
        assert face.box.y0 < y < face.box.y1


def test_small_faces_are_found_and_their_bodies_held(engines: Mapping[str, Engine]) -> None:
    field = cv2.resize(_pixels("cypress-field"), (1600, 1066), interpolation=cv2.INTER_CUBIC)
    person = cv2.resize(_pixels("person-001-selfie"), (134, 200), interpolation=cv2.INTER_AREA)
    field[700:900, 1200:1334] = person
    regions = find_regions(field, engines)
    (face,) = regions.faces
    assert 1200 / 1600 < face.box.x0 < face.box.x1 < 1334 / 1600
    assert 700 / 1066 < face.box.y0 < face.box.y1 < 900 / 1066
    held = hold_maps(regions).person
    assert held[int(860 / 1066 * held.shape[0]), int(1265 / 1600 * held.shape[1])] > 0.8
    assert held[:, : held.shape[1] // 2].max() < 0.05


def test_a_face_that_fills_the_photo_is_found(engines: Mapping[str, Engine]) -> None:
    portrait = _pixels("person-006-portrait")
    (face,) = find_faces(portrait, engines["faces"])
    high, wide = portrait.shape[:2]
    close = portrait[int(face.box.y0 * high) : int(face.box.y1 * high), int(0.15 * wide) : -70]
    close = cv2.resize(close, (1000, 900), interpolation=cv2.INTER_CUBIC)
    faces = find_faces(close, engines["faces"])
    assert len(faces) == 1
    assert faces[0].box.y1 - faces[0].box.y0 > 0.6


def test_every_face_of_a_group_is_found_once(engines: Mapping[str, Engine]) -> None:
    names = ("person-001-selfie", "person-004-selfie", "person-006-selfie", "person-008-selfie")
    row = [cv2.resize(_pixels(name), (322, 480)) for name in names]
    group = cv2.resize(np.hstack(row), (1932, 720), interpolation=cv2.INTER_CUBIC)
    faces = find_faces(group, engines["faces"])
    assert len(faces) == len(row)
    scores = [face.score for face in faces]
    assert scores == sorted(scores, reverse=True)


def _regions(people: np.ndarray) -> Regions:
    blank = np.zeros(people.shape[:2], np.float32)
    return Regions([], people.astype(np.float32), blank, blank)


def test_nothing_found_holds_nothing() -> None:
    people = np.zeros((40, 60, 6))
    people[..., 0] = 1
    assert _held(_regions(people)).max() == 0
    assert keep_map(_regions(people)).max() == 0


def test_a_person_at_the_rim_of_doubt_holds_as_the_middle_does() -> None:
    people = np.zeros((40, 60, 6))
    people[..., 0] = 1
    people[10:30, 20:40] = (0.4, 0, 0, 0, 0.6, 0)
    assert _held(_regions(people))[20, 30] == pytest.approx(0.9, abs=0.01)


def test_face_ovals_cover_the_box_and_fade() -> None:
    face = Face(Box(0.4, 0.3, 0.6, 0.7), 0.9)
    held = face_map([face], (100, 100))
    assert held[30:70, 50].min() == 1
    assert held[50, 40:60].min() == 1
    assert held[50, 5] == 0
    assert np.abs(np.diff(held, axis=1)).max() < 0.25
    assert face_map([], (10, 10)).max() == 0


def test_letterboxes_keep_the_shape() -> None:
    pixels = np.full((50, 200, 3), 51, np.uint8)
    square, inner = letterboxed(pixels, 128)
    assert square.shape == (128, 128, 3)
    assert square.dtype == np.float32
    assert square[inner].shape == (32, 128, 3)
    assert square == pytest.approx(0.2)
