"""Irregularity: small, brief, away from faces and borders, and never at a film's ends."""

from __future__ import annotations

import numpy as np
import pytest
from reverie.runtime.look.irregular import CATCH, SLIP, Unrest
from reverie.runtime.look.mood import Irregularity

GRID, PICTURE = (72, 96), (288, 384)


def disc(radius: float) -> np.ndarray:
    y, x = np.mgrid[0 : GRID[0], 0 : GRID[1]]
    return (np.hypot(x - 48, y - 36) < radius).astype(np.float32)


def unrest(asked: Irregularity | None, *, seed: int = 0, seconds: float = 10.0) -> Unrest:
    return Unrest(
        asked,
        size=GRID,
        picture=PICTURE,
        seconds=seconds,
        seed=seed,
        faces=disc(8),
        people=disc(16),
    )


def path(found: Unrest, seconds: float = 10.0) -> np.ndarray:
    """Offsets (frames, 2, h, w) at 24 frames a second."""
    none = np.zeros((2, *GRID), np.float32)
    times = np.arange(int(seconds * 24)) / 24
    return np.stack(
        [none if (o := found.offsets(float(t))) is None else np.stack(o) for t in times]
    )


@pytest.mark.parametrize("asked", [None, Irregularity()])
def test_nothing_asked_is_nothing(asked: Irregularity | None) -> None:
    assert not unrest(asked).active
    assert unrest(asked).offsets(5.0) is None


@pytest.mark.parametrize("asked", [Irregularity(stutters=5), Irregularity(slips=2)])
def test_faces_and_borders_never_take_part(asked: Irregularity) -> None:
    moved = path(unrest(asked))
    far = np.hypot(moved[:, 0], moved[:, 1]).max(0)
    assert far.max() > 0.3
    assert far[disc(9) > 0].max() < 1e-3
    assert max(far[0].max(), far[-1].max(), far[:, 0].max(), far[:, -1].max()) < 0.05 * far.max()
    # It never looks further than a place lies from the border.
    y = (np.arange(GRID[0]) + 0.5) * 4
    assert (far <= np.minimum(y, y[::-1])[:, None]).all()
    # And never tears: neighbours are four pixels apart.
    assert np.abs(np.diff(moved, axis=2)).max() < 1.0
    assert np.abs(np.diff(moved, axis=3)).max() < 1.0


def test_a_stutter_is_a_jump_and_a_slip_is_none() -> None:
    jumps = np.abs(np.diff(path(unrest(Irregularity(stutters=5))), axis=0)).max((1, 2, 3))
    assert np.count_nonzero(jumps > 0.3 * CATCH * PICTURE[0]) in range(4, 7)
    assert jumps.max() <= CATCH * PICTURE[0] * 1.01
    slips = np.abs(np.diff(path(unrest(Irregularity(slips=2))), axis=0)).max((1, 2, 3))
    assert slips.max() < 0.12 * SLIP * PICTURE[0]


def test_it_leaves_the_ends_alone_and_the_seed_moves_it() -> None:
    both = Irregularity(stutters=5, slips=2)
    moved = path(unrest(both))
    assert not moved[:24].any()
    assert not moved[-2:].any()
    assert np.array_equal(moved, path(unrest(both)))
    assert not np.array_equal(moved, path(unrest(both, seed=1)))
    assert np.abs(np.diff(moved, axis=0)).max() <= 1.01 * (CATCH + SLIP) * PICTURE[0]


def test_the_background_slips_and_people_do_not() -> None:
    moved = np.abs(path(unrest(Irregularity(slips=2)))).max((0, 1))
    assert moved[disc(15) > 0].max() < 0.05 * moved.max()
