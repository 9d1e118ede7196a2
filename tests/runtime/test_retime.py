from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from reverie.engines.errors import BundleError
from reverie.runtime.retime import retime


def ramp(count: int, step: int = 10) -> Iterator[np.ndarray]:
    for index in range(count):
        yield np.full((2, 3, 3), index * step, np.uint8)


def values(frames: Iterator[np.ndarray]) -> list[int]:
    return [int(frame[0, 0, 0]) for frame in frames]


def test_the_same_rate_passes_frames_on() -> None:
    assert values(retime(ramp(5), 1.0, 5)) == [0, 10, 20, 30, 40]


def test_between_frames_the_two_are_blended() -> None:
    assert values(retime(ramp(3), 0.5, 5)) == [0, 5, 10, 15, 20]
    assert values(retime(ramp(5), 4 / 9, 10)) == [0, 4, 9, 13, 18, 22, 27, 31, 36, 40]


def test_faster_leaves_frames_out_and_after_the_last_it_stands_still() -> None:
    assert values(retime(ramp(9), 2.0, 5)) == [0, 20, 40, 60, 80]
    assert values(retime(ramp(2), 1.0, 4)) == [0, 10, 10, 10]
    assert values(retime(ramp(1), 0.0, 3)) == [0, 0, 0]


@pytest.mark.parametrize(("made", "count"), [(14, 240), (121, 240), (97, 96), (25, 1000)])
def test_both_ends_are_met(made: int, count: int) -> None:
    seen = values(retime(ramp(made, 2), (made - 1) / (count - 1), count))
    assert len(seen) == count
    assert (seen[0], seen[-1]) == (0, 2 * (made - 1))
    assert seen == sorted(seen)


def test_frames_are_asked_for_as_they_are_needed() -> None:
    asked = 0

    def counted() -> Iterator[np.ndarray]:
        nonlocal asked
        for frame in ramp(50, 2):
            asked += 1
            yield frame

    frames = retime(counted(), 0.25, 200)
    for _ in range(8):
        next(frames)
    assert asked <= 3


def test_a_model_without_frames_is_told() -> None:
    with pytest.raises(BundleError, match="fewer frames"):
        list(retime(iter([]), 0.5, 4))
