from __future__ import annotations

import weakref
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from reverie.runtime.close_loop import close_loop


class Frame(np.ndarray):
    """An array that can be counted."""


def walking(count: int, *, pace: float = 1.5, size: tuple[int, int] = (40, 64)) -> Iterator[Frame]:
    """A soft, textured picture that moves steadily, and never comes back."""
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]]
    for index in range(count):
        at = columns + pace * index
        wave = 70 * np.sin(at / 5) + 40 * np.sin(rows / 4 + at / 11) + 128
        frame = np.repeat(np.clip(wave, 0, 255)[..., None], 3, axis=2).astype(np.uint8)
        yield frame.view(Frame)


def steps(frames: list[np.ndarray]) -> list[float]:
    """Mean change from each frame to the next, the last one to the first."""
    return [float(np.abs(b.astype(float) - a).mean()) for a, b in pairwise([*frames, frames[0]])]


@pytest.mark.parametrize("count", [2, 3, 4, 12, 48, 240])
@pytest.mark.parametrize("pace", [0.3, 1.5])
def test_the_end_leads_into_the_beginning(count: int, pace: float) -> None:
    own = list(walking(count, pace=pace))
    made = list(close_loop(iter(own), count, held=24))
    assert len(made) == count
    np.testing.assert_array_equal(made[0], own[0])
    seam, inside = steps(made)[-1], steps(made)[:-1]
    if count > 3:
        assert seam <= np.median(inside)
        assert steps(own)[-1] > seam
    kept = count - min(24, (count - 1) // 2)
    np.testing.assert_array_equal(made[:kept], own[:kept])


def test_a_film_that_stands_still_stays_as_it_is() -> None:
    frame = next(walking(1))
    assert all((made == frame).all() for made in close_loop(iter([frame] * 30), 30, held=8))


@pytest.mark.parametrize("count", [60, 600])
def test_few_frames_are_held_and_fewer_big_ones(count: int) -> None:
    live: list[weakref.ref[Frame]] = []

    def counted() -> Iterator[Frame]:
        for frame in walking(count):
            live.append(weakref.ref(frame))
            yield frame

    def most(most_bytes: int) -> int:
        live.clear()
        found = 0
        for _ in close_loop(counted(), count, held=20, most_bytes=most_bytes):
            found = max(found, sum(one() is not None for one in live))
        return found

    assert 20 <= most(10**9) <= 23
    assert most(6 * 40 * 64 * 3) <= 8
