"""Frames drawn side by side: the same ones in their order, a bounded number, and nothing left."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import cv2
import pytest
from reverie.engines.errors import EngineError
from reverie.runtime.side_by_side import MOST, side_by_side


@pytest.fixture(autouse=True)
def two_threads_of_opencv() -> Iterator[None]:
    before = cv2.getNumThreads()
    cv2.setNumThreads(2)
    try:
        yield
        assert cv2.getNumThreads() == 2
        assert not [t for t in threading.enumerate() if t.name.startswith("reverie-draw")]
    finally:
        cv2.setNumThreads(before)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 50])
def test_items_come_in_their_order(count: int) -> None:
    assert list(side_by_side(lambda number: number * number, range(count))) == [
        number * number for number in range(count)
    ]


def test_two_are_at_work_at_once() -> None:
    """Drawn one after the other, the first would wait for ever."""
    both = threading.Barrier(2, timeout=30)
    assert list(side_by_side(lambda number: both.wait() * 0 + number, range(6))) == list(range(6))


def test_no_more_are_begun_than_are_wanted() -> None:
    begun = []
    reached = threading.Semaphore(0)

    def draw(number: int) -> int:
        begun.append(number)
        reached.release()
        return number

    items = side_by_side(draw, range(20))
    assert begun == []
    assert next(items) == 0
    for _ in range(3):  # the one taken, and one for each thread
        assert reached.acquire(timeout=30)
    assert not reached.acquire(timeout=0.05)
    assert sorted(begun) == [0, 1, 2]
    assert list(items) == list(range(1, 20))


def test_however_many_cores_there_are() -> None:
    cv2.setNumThreads(64)
    most, lock, working = [0], threading.Lock(), [0]

    def draw(number: int) -> int:
        with lock:
            working[0] += 1
            most[0] = max(most[0], working[0])
        threading.Event().wait(0.002)
        with lock:
            working[0] -= 1
        return number

    assert list(side_by_side(draw, range(40))) == list(range(40))
    assert 1 < most[0] <= MOST
    assert cv2.getNumThreads() == 64
    cv2.setNumThreads(2)


def test_what_drawing_raises_comes_after_what_it_gave() -> None:
    def draw(number: int) -> int:
        if number == 3:
            raise EngineError("the warp failed")
        return number

    items = side_by_side(draw, range(10))
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(EngineError, match="the warp failed"):
        next(items)


@pytest.mark.parametrize("how", ["close", "interrupt"])
def test_stopping_early_begins_no_more(how: str) -> None:
    begun: list[int] = []
    items: Any = side_by_side(lambda number: begun.append(number), range(1000))
    next(items)
    if how == "close":
        items.close()
    else:
        with pytest.raises(KeyboardInterrupt):
            items.throw(KeyboardInterrupt)
    assert len(begun) <= 3


def test_opencv_shares_no_call_until_the_last_film_is_drawn() -> None:
    one, other = (side_by_side(lambda _: cv2.getNumThreads(), range(4)) for _ in range(2))
    assert next(one) == next(other) == 1
    assert list(one) == [1, 1, 1]
    assert cv2.getNumThreads() == 1
    assert list(other) == [1, 1, 1]
    assert cv2.getNumThreads() == 2


def test_with_one_thread_the_caller_draws() -> None:
    cv2.setNumThreads(1)
    names = set(side_by_side(lambda _: threading.current_thread().name, range(4)))
    assert names == {threading.current_thread().name}
    assert cv2.getNumThreads() == 1
    cv2.setNumThreads(2)
