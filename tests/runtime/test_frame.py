"""Framing: sizes, what a crop keeps, continuation where it would lose too much, carried maps."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from reverie.engines.errors import SettingsError
from reverie.runtime.crop import Box, distinct
from reverie.runtime.extend import resample
from reverie.runtime.frame import Shot, frame_photo, frame_size
from reverie.runtime.photo import Photo


def _photo(width: int, height: int) -> Photo:
    """Smooth colours with fine detail on them."""
    rng = np.random.default_rng(3)
    coarse = rng.integers(40, 216, (4, 6, 3)).astype(np.uint8)
    pixels = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    detail = rng.integers(-20, 20, (height, width, 1))
    return Photo(np.clip(pixels.astype(int) + detail, 0, 255).astype(np.uint8))


@pytest.mark.parametrize(
    ("aspect", "height", "size", "expected"),
    [
        ("photo", 720, (1920, 1080), (1280, 720)),
        ("photo", 721, (1001, 1000), (720, 720)),
        ("16:9", 720, (100, 100), (1280, 720)),
        ("9:16", 720, (100, 100), (406, 720)),
        ("2.39:1", 540, (100, 100), (1290, 540)),
        ("photo", 720, (6400, 64), (2880, 720)),
        ("photo", 720, (64, 6400), (180, 720)),
        ("1:4", 64, (100, 100), (16, 64)),
    ],
)
def test_sizes_are_even(
    aspect: str, height: int, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert frame_size(aspect, height, size) == expected


@pytest.mark.parametrize("aspect", ["0:5", "5:0", "5:1", "1:5", "wide", "", "-1:2", "nan:1"])
def test_impossible_aspects_are_told(aspect: str) -> None:
    with pytest.raises(SettingsError, match="aspect") as error:
        frame_photo(_photo(100, 100), aspect=aspect, height=100)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("height", [0, -5, 63, 4321, 100_000])
def test_impossible_heights_are_told(height: int) -> None:
    with pytest.raises(SettingsError, match="64 to 4320"):
        frame_size("16:9", height, (100, 100))


def test_frames_too_wide_to_encode_are_told() -> None:
    with pytest.raises(SettingsError, match="smaller height"):
        frame_size("4:1", 4320, (100, 100))


def test_a_photo_of_the_frames_size_passes_untouched() -> None:
    photo = _photo(320, 180)
    shot = frame_photo(photo, aspect="photo", height=180)
    assert np.array_equal(shot.picture, photo.pixels)
    assert shot.crop == (0, 0, 320, 180)
    assert (shot.scale, shot.extended, shot.notes) == (1.0, None, ())


def test_its_own_shape_shows_the_whole_photo_averaged_by_area() -> None:
    photo = _photo(641, 481)
    shot = frame_photo(photo, aspect="photo", height=240)
    assert shot.crop == (0, 0, 641, 481)
    area = cv2.resize(photo.pixels, (shot.width, 240), interpolation=cv2.INTER_AREA)
    assert np.array_equal(shot.picture, area)
    assert shot.scale == pytest.approx(240 / 481)


def test_a_small_photo_is_enlarged_and_told() -> None:
    shot = frame_photo(_photo(64, 64), aspect="1:1", height=720)
    assert shot.picture.shape == (720, 720, 3)
    assert shot.scale == pytest.approx(11.25)
    assert shot.notes == ("enlarged 11.2 times",)


@pytest.mark.parametrize("centre", [0.15, 0.3, 0.5, 0.8, 0.9])
@pytest.mark.parametrize(("size", "aspect"), [((600, 400), "1:1"), ((400, 600), "4:3")])
def test_a_face_stays_in_sight_with_room_around_it(
    centre: float, size: tuple[int, int], aspect: str
) -> None:
    low, high = centre - 0.06, centre + 0.06
    box = (low, 0.4, high, 0.55) if aspect == "1:1" else (0.4, low, 0.55, high)
    shot = frame_photo(_photo(*size), aspect=aspect, height=200, boxes=[box])
    seen = shot.carry_box(Box(*box))
    assert min(seen) >= 0
    assert max(seen) <= 1
    if aspect == "4:3" and low > 0.2:
        assert seen.y0 > 0.1


def test_the_subject_stays_in_sight() -> None:
    keep = np.zeros((40, 60), np.float32)
    keep[15:30, 2:14] = 1
    shot = frame_photo(_photo(600, 400), aspect="1:1", height=200, keep=keep)
    assert shot.extended is None
    assert shot.carry(keep).sum() == pytest.approx(keep.sum(), rel=0.02)
    assert shot.crop[0] == 0


def test_faces_far_apart_are_both_shown_by_extending() -> None:
    boxes = [(0.05, 0.3, 0.15, 0.5), (0.85, 0.3, 0.95, 0.5)]
    shot = frame_photo(_photo(600, 400), aspect="3:4", height=400, boxes=boxes)
    assert shot.extended is not None
    assert "extended" in shot.notes[0]
    for box in boxes:
        seen = shot.carry_box(Box(*box))
        assert min(seen) > 0
        assert max(seen) < 1


def test_a_passer_by_far_smaller_than_the_face_may_go() -> None:
    boxes = [(0.2, 0.3, 0.4, 0.6), (0.95, 0.4, 0.97, 0.43)]
    shot = frame_photo(_photo(600, 400), aspect="1:1", height=200, boxes=boxes)
    assert shot.extended is None
    assert shot.crop[0] == 0


def test_a_crop_that_would_lose_too_much_is_extended() -> None:
    shot = frame_photo(_photo(640, 360), aspect="9:16", height=640)
    x0, y0, x1, y1 = shot.crop
    assert (x1 - x0) / 640 >= 0.54
    assert y0 < 0
    assert y1 > 360
    assert shot.extended is not None
    assert shot.extended.shape == (640, 360)
    assert shot.extended.dtype == np.float32
    assert shot.extended[0].min() == 1
    assert shot.extended[-1].min() == 1
    assert shot.extended[320].max() == 0


def test_continuation_is_soft_seamless_and_a_little_darker() -> None:
    photo = _photo(640, 360)
    shot = frame_photo(photo, aspect="9:16", height=640)
    assert shot.extended is not None
    rows = shot.picture.astype(float).mean(1)
    top = int((shot.extended[:, 0] == 1).argmin())
    assert top > 40
    # smooth along the continuation, and no step where it meets the photo
    assert np.abs(np.diff(shot.picture[: top - 10].astype(float), axis=0)).mean() < 1.5
    assert np.abs(np.diff(rows[top - 8 : top + 8], axis=0)).max() < 12
    assert rows[:4].mean() < rows[top - 4 : top].mean()
    # the photo itself is untouched inside
    inside = shot.extended[:, 0] == 0
    x0, y0, x1, y1 = shot.crop
    first, last = (round((y - y0) * 640 / (y1 - y0)) for y in (0, 360))
    plain = resample(photo.pixels[:, x0:x1], (360, last - first))
    rows_inside = np.flatnonzero(inside)
    assert np.array_equal(shot.picture[rows_inside], plain[rows_inside - first])


def test_continuation_shows_no_ghost_of_a_subject_in_the_middle() -> None:
    pixels = np.full((300, 300, 3), 90, np.uint8)
    pixels[60:300, 110:190] = 250
    keep = np.zeros((30, 30), np.float32)
    keep[6:, 11:19] = 1
    shot = frame_photo(Photo(pixels), aspect="4:1", height=150, keep=keep)
    assert shot.extended is not None
    beyond = shot.picture[shot.extended == 1]
    assert beyond.max() < 130


def test_maps_are_carried_to_the_frame_at_their_own_scale() -> None:
    y, x = np.mgrid[0:90, 0:160].astype(np.float32)
    place = np.stack([(x + 0.5) / 160, (y + 0.5) / 90], -1)
    shot = Shot(np.zeros((180, 180, 3), np.uint8), (460, 0, 1540, 1080), (1920, 1080))
    carried = shot.carry(place)
    assert carried.shape == (90, 90, 2)
    assert carried.dtype == np.float32
    assert carried[40, 30, 0] == pytest.approx((460 + 30.5 * 12) / 1920, abs=1e-4)
    assert carried[40, 30, 1] == pytest.approx(40.5 / 90, abs=1e-4)


def test_beyond_the_photo_maps_are_filled_or_continued() -> None:
    map_ = np.full((50, 100), 0.5, np.float32)
    map_[:, 0] = 0.25
    shot = Shot(np.zeros((200, 800, 3), np.uint8), (-50, 0, 150, 50), (100, 50))
    assert shot.carry(map_).shape == (50, 200)
    assert (shot.carry(map_)[:, :50] == 0).all()
    assert (shot.carry(map_, fill=0.9)[:, 150:] == np.float32(0.9)).all()
    assert (shot.carry(map_, fill=None)[:, :50] == 0.25).all()
    assert (shot.carry(map_)[:, 51:150] == 0.5).all()


@pytest.mark.parametrize("size", [(64, 64), (64, 6400), (6400, 64), (333, 777), (1919, 1081)])
@pytest.mark.parametrize("aspect", ["photo", "16:9", "9:16", "4:1", "1:4"])
def test_any_shape_into_any_shape(size: tuple[int, int], aspect: str) -> None:
    shot = frame_photo(_photo(*size), aspect=aspect, height=160, boxes=[(0.7, 0.1, 0.8, 0.3)])
    x0, y0, x1, y1 = shot.crop
    assert (shot.width, shot.height) == frame_size(aspect, 160, size)
    stretch = ((x1 - x0) / shot.width) / ((y1 - y0) / shot.height)
    assert stretch == pytest.approx(1, abs=0.025)
    assert min(x1, size[0]) - max(x0, 0) > 0
    assert min(y1, size[1]) - max(y0, 0) > 0


def test_what_differs_from_the_whole_is_distinct() -> None:
    pixels = np.full((200, 300, 3), (60, 110, 60), np.uint8)
    pixels[80:120, 220:260] = (255, 220, 120)
    map_ = distinct(pixels)
    assert map_.shape == (64, 96)
    assert 0 <= map_.min() <= map_.max() <= 1
    at = np.unravel_index(int(map_.argmax()), map_.shape)
    assert 25 <= at[0] <= 38
    assert 70 <= at[1] <= 83
