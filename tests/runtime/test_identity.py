from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from reverie.runtime.alignment import TEMPLATE, aligned, fit, inverse
from reverie.runtime.bundle import load_bundle
from reverie.runtime.crop import Box
from reverie.runtime.faces import Face
from reverie.runtime.identity import SAME, Identity
from reverie.runtime.overlay import lay_face

from . import people_films as people


@pytest.fixture(scope="module")
def known() -> Iterator[Identity]:
    """The face of one portrait."""
    with Identity(people.photo("person-006-portrait")) as identity:
        yield identity


def fresh(identity: Identity) -> Identity:
    """The same face, expected where the photo has it again."""
    return identity.again()


def test_it_agrees_with_opencv(known: Identity) -> None:
    picture, points = people.photo("person-006-portrait"), known.known[0].points
    row = np.zeros((1, 15), np.float32)
    row[0, 4:14] = points.ravel()
    network = str(load_bundle("sface").path("identity", device="cpu"))
    reference = cv2.FaceRecognizerSF.create(network, "")
    face = reference.alignCrop(np.ascontiguousarray(picture[..., ::-1]), row)
    theirs = np.asarray(reference.feature(face), np.float64).ravel()
    mine = known.embed(aligned(picture, points, smooth=False))
    assert float(mine @ theirs / np.linalg.norm(theirs)) > 0.999


def test_the_photo_itself_is_the_photo(known: Identity) -> None:
    sighting = fresh(known).look(people.photo("person-006-portrait"))[0]
    assert sighting.state == "seen"
    assert sighting.cosine == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(
    "camera", [{"zoom": 1.08}, {"turn": 6.0}, {"zoom": 0.8}, {"shift": (40.0, -15.0)}]
)
def test_a_camera_does_not_change_who_it_is(known: Identity, camera: dict[str, float]) -> None:
    frame = people.seen(people.photo("person-006-portrait"), **camera)
    assert (fresh(known).cosines(frame)[0] or 0) > 0.97


def test_neither_size_nor_light_nor_noise_change_who_it_is(known: Identity) -> None:
    picture = people.photo("person-006-portrait")
    small = cv2.resize(picture, (160, 160), interpolation=cv2.INTER_AREA)
    assert (fresh(known).cosines(small)[0] or 0) > 0.93
    golden = np.clip(picture * np.array([0.9, 0.65, 0.4]), 0, 255).astype(np.uint8)
    assert (fresh(known).cosines(golden)[0] or 0) > 0.95
    noise = np.random.default_rng(1).normal(0, 4, picture.shape)
    noisy = np.clip(picture + noise, 0, 255).astype(np.uint8)
    assert (fresh(known).cosines(noisy)[0] or 0) > 0.93


def test_somebody_else_is_told(known: Identity) -> None:
    frame, other = people.photo("person-006-portrait"), people.photo("person-004-selfie")
    with Identity(other) as donor:
        theirs = inverse(fit(donor.known[0].points, TEMPLATE))
    way = fresh(known).look(frame)[0].way
    assert way is not None
    swapped = lay_face(frame, other, theirs, way, 1.0)
    sighting = fresh(known).look(swapped)[0]
    assert sighting.state == "seen"
    assert (sighting.cosine or 0) < 0.6
    assert (fresh(known).cosines(other)[0] or 0) < 0.6  # a whole other photo


def test_a_face_is_found_in_another_framing(known: Identity) -> None:
    picture = people.photo("person-006-portrait")
    wide = np.full((480, 900, 3), 120, np.uint8)
    wide[:, 400:880] = picture
    assert (fresh(known).cosines(wide)[0] or 0) > SAME


def test_a_face_that_the_camera_left_is_not_lost() -> None:
    picture = people.photo("astronaut")
    with Identity(picture) as identity:
        below = cv2.resize(picture[260:, 60:340], (480, 378), interpolation=cv2.INTER_LINEAR)
        assert identity.look(np.ascontiguousarray(below))[0].state == "out"


def test_a_face_that_vanished_is_lost(known: Identity) -> None:
    frame = people.photo("person-006-portrait")
    way = fresh(known).look(frame)[0].way
    assert way is not None
    blank = np.full((112, 112, 3), 128, np.uint8)
    empty = lay_face(frame, blank, np.eye(2, 3), way, 1.0)
    sighting = fresh(known).look(empty)[0]
    assert sighting.state == "lost" or (sighting.cosine or 0) < 0.5
    assert fresh(known).look(np.full_like(frame, 90))[0].state == "lost"


def test_tiny_faces_are_not_judged(known: Identity) -> None:
    frame = cv2.resize(people.photo("person-006-portrait"), (48, 48), interpolation=cv2.INTER_AREA)
    assert fresh(known).look(frame)[0].state == "small"


def test_several_faces_are_kept_apart() -> None:
    one, other = people.photo("person-001-selfie"), people.photo("person-004-selfie")
    both = np.concatenate([one, other], axis=1)
    with Identity(both) as identity:
        assert len(identity.known) == 2
        cosines = identity.cosines(people.seen(both, zoom=1.04))
        assert all((cosine or 0) > 0.95 for cosine in cosines)
    with Identity(both) as identity:
        changed = identity.cosines(np.concatenate([one, one], axis=1))
        assert sum((cosine or 0) > 0.95 for cosine in changed) == 1
        assert sum((cosine or 0) < 0.6 for cosine in changed) == 1


def test_faces_carried_to_the_frame_are_taken_as_they_are_given() -> None:
    picture = people.photo("person-006-selfie")
    with Identity(picture) as identity:
        box = identity.known[0].box
    with Identity(picture, [Face(box, 0.95)]) as identity:
        assert (identity.cosines(picture)[0] or 0) > 0.99
    with Identity(picture, [Face(Box(0.0, 0.0, 0.1, 0.1), 0.95)]) as identity:
        assert identity.known == []  # nobody is there


def test_without_faces_no_network_is_opened() -> None:
    identity = Identity(people.photo("coffee"), [])
    assert identity.look(people.photo("coffee")) == []
    assert not identity._networks.opened
