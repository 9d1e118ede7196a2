from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from reverie.benchmarks import identity
from reverie.benchmarks.identity import Faces, displacement, oval, rate, same_face

PHOTOS = Path(__file__).parents[1] / "data" / "photos"


@pytest.fixture(scope="module")
def faces() -> Faces:
    return Faces(identity.embedded_detector())


def photo(name: str) -> np.ndarray:
    with Image.open(PHOTOS / f"{name}.jpg") as picture:
        return np.asarray(picture.convert("RGB"))


def warped(frame: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The frame whose content moved by (x, y) pixels, roughly."""
    down, across = np.mgrid[: frame.shape[0], : frame.shape[1]].astype(np.float32)
    return cv2.remap(
        frame,
        (across - x).astype(np.float32),
        (down - y).astype(np.float32),
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )


def zoomed(frame: np.ndarray, scale: float) -> np.ndarray:
    middle = frame.shape[1] / 2, frame.shape[0] / 2
    camera = cv2.getRotationMatrix2D(middle, 1.0, scale)
    return cv2.warpAffine(frame, camera, frame.shape[1::-1], flags=cv2.INTER_CUBIC)


def jelly(frame: np.ndarray, size: float) -> np.ndarray:
    """The frame bent by waves of `size` pixels."""
    down, across = np.mgrid[: frame.shape[0], : frame.shape[1]]
    return warped(frame, size * np.sin(down / 12), size * np.sin(across / 12))


def test_the_camera_does_not_count_as_motion_in_a_face(faces: Faces) -> None:
    frame = photo("person-006-portrait")
    inside = oval(frame.shape, faces.find(frame)[0])
    still = displacement(frame, frame, inside)
    assert still.max() < 0.05
    pushed = displacement(frame, zoomed(frame, 1.06), inside)
    assert np.quantile(pushed, 0.95) < 0.2
    lit = np.clip(frame * 0.85 + 10, 0, 255).astype(np.uint8)
    assert np.quantile(displacement(frame, lit, inside), 0.95) < 0.1


@pytest.mark.parametrize("camera", [1.0, 1.05])
def test_jelly_counts_as_motion_in_a_face(faces: Faces, camera: float) -> None:
    frame = photo("person-006-portrait")
    inside = oval(frame.shape, faces.find(frame)[0])
    moved = displacement(frame, zoomed(jelly(frame, 1.5), camera), inside)
    assert 0.6 < np.sqrt((moved**2).mean()) < 2.5


def test_a_clip_that_keeps_a_person(faces: Faces) -> None:
    frame = photo("person-006-portrait")
    row = rate([(0, frame), (5, zoomed(frame, 1.02)), (9, zoomed(frame, 1.04))], faces, frame)
    assert row["faces"] == 1
    assert row["cosine"] > 0.95
    assert row["to_photo"] == pytest.approx(1, abs=1e-4)
    assert row["lost"] == 0
    assert identity.holds(row)


def test_a_clip_that_changes_a_person(faces: Faces) -> None:
    one, other = photo("person-006-portrait"), photo("person-006-selfie")
    row = rate([(0, one), (3, jelly(one, 6.0))], faces, None)
    assert row["motion_95"] > 2
    assert row["to_photo"] is None
    assert not identity.holds(row)
    someone = faces.find(photo("person-004-selfie"))[0]
    theirs = faces.embed(photo("person-004-selfie"), someone)
    same = faces.embed(other, faces.find(other)[0])
    own = faces.embed(one, faces.find(one)[0])
    assert identity.measure.cosine(own, same) > identity.measure.cosine(own, theirs) + 0.1
    assert identity.measure.cosine(own, theirs) < identity.LEAST_COSINE


def test_a_face_that_vanishes_is_lost(faces: Faces) -> None:
    frame = photo("person-006-portrait")
    row = rate([(0, frame), (4, np.full_like(frame, 90))], faces, None)
    assert row["lost"] == 1
    assert not identity.holds(row)


def test_no_face(faces: Faces) -> None:
    frame = photo("coffee")
    assert rate([(0, frame), (1, frame)], faces, None) == {"faces": 0}


def test_the_same_face_is_the_near_one() -> None:
    face = np.array([10, 10, 20, 20, *[0] * 10, 0.9])
    near, far = face + np.array([3, 0, *[0] * 13]), face + np.array([40, 0, *[0] * 13])
    assert same_face(face, [far, near]) is near
    assert same_face(face, [far]) is None
    assert same_face(face, []) is None
