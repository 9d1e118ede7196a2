from __future__ import annotations

import cv2
import numpy as np
import pytest
from reverie.runtime.alignment import (
    TEMPLATE,
    aligned,
    between,
    carry,
    chain,
    crop,
    find_view,
    fit,
    follow,
    inverse,
    size_of,
    turn_of,
)

from . import people_films


def made(turn: float, size: float, shift: tuple[float, float]) -> np.ndarray:
    angle = np.deg2rad(turn)
    cos, sin = size * np.cos(angle), size * np.sin(angle)
    return np.array([[cos, -sin, shift[0]], [sin, cos, shift[1]]])


def test_a_similarity_is_found_from_points_and_goes_back() -> None:
    way = made(12, 1.7, (30, -8))
    found = fit(TEMPLATE, carry(TEMPLATE, way))
    assert np.allclose(found, way)
    assert size_of(found) == pytest.approx(1.7)
    assert turn_of(found) == pytest.approx(12)
    assert np.allclose(carry(carry(TEMPLATE, way), inverse(way)), TEMPLATE)
    assert np.allclose(chain(way, inverse(way)), np.eye(2, 3), atol=1e-9)


def test_weights_leave_a_wrong_point_out() -> None:
    way, moved = made(5, 1.1, (3, 4)), carry(TEMPLATE, made(5, 1.1, (3, 4)))
    moved[4] += 40
    assert np.allclose(fit(TEMPLATE, moved, np.array([1, 1, 1, 1, 0])), way)


def test_halfway_is_halfway_in_turn_size_and_place() -> None:
    one, other = made(0, 1, (0, 0)), made(20, 4, (100, 40))
    half = between(one, other, 0.5)
    assert turn_of(half) == pytest.approx(10)
    assert size_of(half) == pytest.approx(2)
    middle = np.array([[56.0, 56.0]])
    assert np.allclose(carry(middle, half), (carry(middle, one) + carry(middle, other)) / 2)
    assert np.allclose(between(one, other, 1.0), other)


def test_a_crop_of_a_large_face_is_averaged() -> None:
    stripes = np.zeros((600, 600, 3), np.uint8)
    stripes[::2] = 255
    way = made(0, 4, (20, 20))
    picked, averaged = crop(stripes, way, smooth=False), crop(stripes, way)
    assert picked[10:-10, 10:-10].std() > 30 or abs(int(picked[50, 50, 0]) - 128) > 60
    assert np.abs(averaged[10:-10, 10:-10].astype(int) - 128).max() <= 3


def test_a_crop_lies_where_it_lies_at_any_size() -> None:
    y, x = np.mgrid[:500, :500].astype(np.float32)
    blob = 255 * np.exp(-((x - 260) ** 2 + (y - 240) ** 2) / 3000)
    picture = np.repeat(blob[..., None], 3, 2).astype(np.uint8)
    for side in (112, 56):
        face = crop(picture, made(0, 3.0, (100, 80)), side=side).astype(float)[..., 0]
        rows, columns = np.mgrid[:side, :side]
        centre = np.array([(face * columns).sum(), (face * rows).sum()]) / face.sum()
        wanted = (np.array([160, 160]) / 3 + 0.5) * side / 112 - 0.5
        assert np.abs(centre - wanted).max() < 0.6


def test_a_face_is_followed_to_where_it_moved() -> None:
    picture = people_films.photo("person-006-portrait")
    way = made(0, 2.2, (110, 60))
    known = crop(picture, way)
    camera = cv2.getRotationMatrix2D((240, 240), 3, 1.05)
    moved = people_films.seen(picture, zoom=1.05, turn=3)
    lit = np.clip(moved * np.array([0.8, 0.7, 0.6]) + 10, 0, 255).astype(np.uint8)
    found, apart = follow(known, lit, way)
    middle = np.array([[56.0, 64.0], [40.0, 50.0], [72.0, 90.0]])
    assert np.abs(carry(middle, found) - carry(middle, chain(way, camera))).max() < 1.0
    assert apart < 0.03


def test_a_bent_face_is_told_from_a_moved_one() -> None:
    picture = people_films.photo("person-006-portrait")
    way = made(0, 2.2, (110, 60))
    y, x = np.mgrid[:480, :480].astype(np.float32)
    bent = cv2.remap(
        picture,
        x + 7 * np.sin(y / 22, dtype=np.float32),
        y + 7 * np.sin(x / 20, dtype=np.float32),
        cv2.INTER_LINEAR,
    )
    straight = follow(crop(picture, way), people_films.seen(picture, zoom=1.03), way)[1]
    assert follow(crop(picture, way), bent, way)[1] > 3 * straight


def test_a_view_of_a_photo_is_found_in_a_frame() -> None:
    picture = people_films.photo("tea-gardens")
    frame = cv2.resize(picture[60:260, 100:400], (450, 300), interpolation=cv2.INTER_LINEAR)
    view = find_view(picture, frame)
    assert view is not None
    assert size_of(view) == pytest.approx(1.5, abs=0.03)
    assert np.abs(carry(np.array([[100, 60], [400, 260]]), view) - [[0, 0], [450, 300]]).max() < 6


def test_no_view_is_found_in_another_picture() -> None:
    picture = people_films.photo("tea-gardens")
    assert find_view(picture, people_films.photo("chelsea")) is None
    assert find_view(picture, np.full((200, 200, 3), 90, np.uint8)) is None


def test_alignment_agrees_with_opencv() -> None:
    from reverie.runtime.bundle import load_bundle

    picture = people_films.photo("person-001-selfie")
    points = np.array([(138, 127), (178, 125), (160, 148), (142, 170), (178, 168)], np.float32)
    row = np.zeros((1, 15), np.float32)
    row[0, 4:14] = points.ravel()
    network = str(load_bundle("sface").path("identity", device="cpu"))
    theirs = cv2.FaceRecognizerSF.create(network, "").alignCrop(
        np.ascontiguousarray(picture[..., ::-1]), row
    )
    mine = aligned(picture, points, smooth=False)[..., ::-1]
    assert np.abs(theirs.astype(int) - mine).max() <= 2
