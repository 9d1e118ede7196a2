from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest
from reverie.runtime.anchor import Band, ColourAnchor, statistics

rng = np.random.default_rng(2)
PICTURE = cv2.resize(rng.integers(40, 216, (7, 9, 3), np.uint8), (80, 60))


def tinted(amount: float) -> np.ndarray:
    """The picture, warmer, brighter and flatter by an amount in levels."""
    made = (PICTURE.astype(float) - 128) * (1 - amount / 200) + 128
    return np.clip(made + np.array([1.5, 0.5, -0.5]) * amount, 0, 255).astype(np.uint8)


def test_the_first_window_is_as_it_was() -> None:
    anchor = ColourAnchor()
    anchor.begin(0)
    frames = [tinted(index / 4) for index in range(20)]
    for frame in frames:
        assert anchor.hold(frame) is frame


@pytest.mark.parametrize("drift", [6.0, -6.0])
def test_drift_does_not_add_up(drift: float) -> None:
    """Twelve windows, each drifting from the picture it was given, as a model does."""
    anchor, given, made = ColourAnchor(), 0.0, []
    for window in range(12):
        anchor.begin(window)
        for index in range(24):
            tint = given + drift * index / 23
            held = anchor.hold(tinted(tint))
            made.append(held)
        # The next window starts from what was shown; how far that is tinted:
        lab = statistics(held)[0] - statistics(PICTURE)[0]
        full = statistics(tinted(drift))[0] - statistics(PICTURE)[0]
        given = drift * float(lab @ full / (full @ full))
    worst = max(np.abs(statistics(frame)[0] - statistics(PICTURE)[0]).max() for frame in made)
    of_one = np.abs(statistics(tinted(drift))[0] - statistics(PICTURE)[0]).max()
    unheld = np.abs(statistics(tinted(12 * drift))[0] - statistics(PICTURE)[0]).max()
    assert worst < 1.6 * of_one
    assert worst < 0.2 * unheld
    steps = [np.abs(statistics(b)[0] - statistics(a)[0]).max() for a, b in pairwise(made)]
    assert max(steps) < 0.35 * of_one, "and nothing jumps"


def test_what_the_first_window_showed_is_left_alone() -> None:
    """A light that comes and goes in the first window may do so in all."""
    anchor = ColourAnchor()
    swing = [tinted(8 * np.sin(index / 8)) for index in range(80)]
    anchor.begin(0)
    for frame in swing:
        anchor.hold(frame)
    anchor.begin(1)
    for frame in swing:
        np.testing.assert_array_equal(anchor.hold(frame), frame)


def test_detail_stays_where_it_is() -> None:
    anchor = ColourAnchor()
    anchor.begin(0)
    anchor.hold(PICTURE)
    anchor.begin(1)
    for _ in range(40):
        held = anchor.hold(tinted(12))
    assert np.abs(held.astype(float) - PICTURE).mean() < 2.5
    assert np.abs(tinted(12).astype(float) - PICTURE).mean() > 8
    black = np.zeros_like(PICTURE)
    assert anchor.hold(black).shape == black.shape  # nothing to stretch


def test_a_band_without_a_range_moves_nothing() -> None:
    band = Band(1.0)
    values = np.ones((2, 3))
    assert band.nearest(values) is values
    band.see(values)
    np.testing.assert_array_equal(band.nearest(values * 5), values * 2)
