from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from reverie.benchmarks import faults
from reverie.runtime.alignment import TEMPLATE, carry, crop, fit, inverse
from reverie.runtime.identity import SAME, Identity
from reverie.runtime.overlay import lay_face
from reverie.runtime.protect import DISSOLVE, protect

from . import people_films as people

FPS = 12
Pixels = people.Pixels


@pytest.fixture(scope="module")
def film() -> list[Pixels]:
    return people.push(people.photo("person-006-portrait", 240), 24)


@pytest.fixture(scope="module")
def other() -> Pixels:
    return people.photo("person-004-selfie")


def least(frames: list[Pixels], every: int = 3) -> float:
    """The least cosine of the face over some of the frames."""
    with Identity(frames[0]) as identity:
        return min(identity.cosines(frame)[0] or 0.0 for frame in frames[::every])


def kept(frames: list[Pixels], film: list[Pixels], notes: list[str]) -> list[Pixels]:
    calm = [np.clip(frame.astype(int) + 1, 0, 255).astype(np.uint8) for frame in film]
    return list(
        protect(
            iter(frames),
            film[0],
            None,
            fps=FPS,
            count=len(frames),
            fallback=lambda: iter(calm),
            on_note=notes.append,
        )
    )


def test_a_film_that_keeps_its_face_is_not_touched(film: list[Pixels]) -> None:
    notes: list[str] = []
    passed = kept(film, film, notes)
    assert all(one is frame for one, frame in zip(passed, film, strict=True))
    assert notes == []


def test_frames_without_faces_pass_at_once() -> None:
    frames = [people.photo("coffee", 160)] * 3
    passed = protect(
        iter(frames), frames[0], [], fps=24, count=3, fallback=lambda: pytest.fail("not needed")
    )
    assert next(passed) is frames[0]


def test_a_morphing_face_is_laid_over(film: list[Pixels], other: Pixels) -> None:
    with Identity(film[0]) as known:
        frames = list(faults.morphing(other, known)(film, len(film)))
    assert least(frames) < 0.6
    notes: list[str] = []
    passed = kept(frames, film, notes)
    assert len(passed) == len(film)
    assert np.array_equal(passed[0], film[0])
    assert least(passed) >= SAME
    assert len(notes) == 1
    assert "laid over" in notes[0]
    corner = (slice(0, 40), slice(0, 40))  # away from the face nothing is touched
    assert all(np.array_equal(a[corner], b[corner]) for a, b in zip(passed, frames, strict=True))


def test_a_face_that_vanishes_ends_in_the_other_film(film: list[Pixels]) -> None:
    with Identity(film[0]) as known:
        frames = list(faults.vanishing(known)(film, len(film)))
    notes: list[str] = []
    passed = kept(frames, film, notes)
    assert len(passed) == len(film)
    assert least(passed, 1) >= SAME  # no bad frame is shown
    assert len(notes) == 1
    assert "camera and light alone" in notes[0]
    # The last frames are the other film's; before the dissolve they are the model's own.
    assert np.abs(passed[-1].astype(int) - film[-1]).mean() == pytest.approx(1, abs=0.1)
    start = len(film) // 2 - round(DISSOLVE * FPS) - 3
    assert all(np.array_equal(a, b) for a, b in zip(passed[:start], frames, strict=False))


def test_a_model_that_draws_no_face_at_all(film: list[Pixels]) -> None:
    random = np.random.default_rng(5)
    noise = [random.integers(0, 255, film[0].shape).astype(np.uint8) for _ in film[1:]]
    notes: list[str] = []
    passed = kept([film[0], *noise], film, notes)
    assert np.array_equal(passed[0], film[0])
    for shown, calm in zip(passed[1:], film[1:], strict=True):
        assert np.abs(shown.astype(int) - calm).mean() < 1.1
    assert len(notes) == 1


def test_little_is_held_back(film: list[Pixels]) -> None:
    taken = 0

    def source() -> Iterator[Pixels]:
        nonlocal taken
        for frame in film * 4:
            taken += 1
            yield frame

    passed = protect(source(), film[0], None, fps=FPS, count=96, fallback=lambda: iter(film))
    for shown, _ in enumerate(passed, 1):
        assert taken - shown <= FPS + 1
    assert taken == 96


def test_a_face_moves_as_the_film_moves_it(film: list[Pixels], other: Pixels) -> None:
    """Somebody else's face, turned and shifted by the film: the photo's follows it closely."""
    start = film[0]
    with Identity(start) as known, Identity(other) as donor:
        home = inverse(fit(known.known[0].points, TEMPLATE))
        theirs = inverse(fit(donor.known[0].points, TEMPLATE))
    swapped = lay_face(start, other, theirs, home, 1.0)
    cameras = [(2.0 * np.sin(i / 3), 1.5 * np.sin(i / 4)) for i in range(24)]
    frames = [people.seen(swapped, turn=turn, shift=(8 * by, 0)) for turn, by in cameras]
    passed = kept([start, *frames[1:]], film, [])
    offsets = []
    with Identity(start) as known:
        for index in range(6, 20):
            turn, by = cameras[index]
            way = cv2.getRotationMatrix2D((120, 120), turn, 1.0)
            way[:, 2] += (8 * by, 0)
            sighting = known.look(passed[index])[0]
            assert sighting.way is not None
            here = carry(np.array([[56.0, 64.0]]), sighting.way)
            there = carry(carry(np.array([[56.0, 64.0]]), home), way)
            offsets.append((here - there)[0])
            assert (sighting.cosine or 0) >= SAME
    # Two people's faces are not alike in shape: where it lies may differ, but not how it moves.
    assert np.hypot(*np.mean(offsets, axis=0)) < 7  # of 240 pixels
    assert np.abs(np.diff(offsets, axis=0)).max() < 1.5


def test_a_face_laid_over_keeps_the_frames_light(film: list[Pixels]) -> None:
    start = film[0]
    with Identity(start) as known:
        way = inverse(fit(known.known[0].points, TEMPLATE))
    dim = np.clip(start * np.array([0.8, 0.6, 0.4]), 0, 255).astype(np.uint8)
    laid = lay_face(dim, start, way, way, 1.0)
    apart = crop(laid, way).astype(float).mean((0, 1)) - crop(dim, way).astype(float).mean((0, 1))
    assert np.abs(apart).max() < 4
    assert lay_face(dim, start, way, way, 0.0) is dim


def test_a_face_outside_the_frame_is_not_laid() -> None:
    frame = np.zeros((100, 100, 3), np.uint8)
    away = np.array([[1.0, 0, 500], [0, 1.0, 500]])
    assert lay_face(frame, frame, away, away, 1.0) is frame
