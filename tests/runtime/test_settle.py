from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest
from reverie.runtime.settle import settle

rng = np.random.default_rng(4)
COARSE = cv2.resize(rng.integers(30, 226, (9, 13, 3), np.uint8), (96, 64))
PHOTO = np.clip(COARSE + rng.normal(0, 12, (64, 96, 3)) + (6, -4, 2), 0, 255).astype(np.uint8)


def shifted(picture: np.ndarray, pixels: float) -> np.ndarray:
    matrix = np.array([[1, 0, pixels], [0, 1, 0]], np.float64)
    return cv2.warpAffine(picture, matrix, (96, 64), borderMode=cv2.BORDER_REPLICATE)


def away(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(float) - other)[8:-8, 16:-16].mean())


def test_the_first_frame_is_the_picture_and_the_rest_follow_without_a_jump() -> None:
    own = [COARSE] * 30
    made = list(settle(iter(own), PHOTO, 12))
    np.testing.assert_array_equal(made[0], PHOTO)
    np.testing.assert_array_equal(made[13:], own[13:])
    assert len(made) == 30
    jump = away(PHOTO, COARSE)
    steps = [away(a, b) for a, b in pairwise(made)]
    assert max(steps) < 0.2 * jump
    assert steps[0] < 0.06 * jump


def test_what_is_carried_moves_with_the_picture() -> None:
    """Detail of the photo stays on what it belongs to, else it would stand still on the screen."""
    own = [shifted(COARSE, 1.0 * index) for index in range(10)]
    made = list(settle(iter(own), PHOTO, 30))
    there = made[6].astype(float) - own[6]
    lack = PHOTO.astype(float) - COARSE
    inner = (slice(8, -8), slice(20, -20))

    def likeness(moved: np.ndarray) -> float:
        return float(np.corrcoef(moved[inner].ravel(), there[inner].ravel())[0, 1])

    assert likeness(shifted(lack, 6.0)) > 0.6
    assert abs(likeness(lack)) < 0.4


def test_in_a_loop_it_comes_back() -> None:
    own = [COARSE] * 40
    made = list(settle(iter(own), PHOTO, 10, loop=40))
    assert away(made[-1], made[0]) <= 1.2 * away(made[1], made[0])
    np.testing.assert_array_equal(made[20], own[20])


@pytest.mark.parametrize("size", [(64, 96), (8, 8), (2, 300)])
def test_any_size_and_nothing_to_carry(size: tuple[int, int]) -> None:
    own = [np.full((*size, 3), value, np.uint8) for value in (7, 8, 9)]
    np.testing.assert_array_equal(list(settle(iter(own), own[0], 5)), own)
    brighter = np.full((*size, 3), 17, np.uint8)
    made = [int(one.mean()) for one in settle(iter(own), brighter, 2)]
    assert made == [17, 15, 12]
    assert list(settle(iter([]), brighter, 2)) == []
