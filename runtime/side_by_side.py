"""Frames drawn side by side: each by one thread, as many at once as there are cores.

OpenCV can share one call among cores, but most of a frame is short calls that gain little from it,
and numpy's gain nothing: two whole frames at once keep two cores busy, and the encoder beside them
gets what is left over.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

import cv2

T = TypeVar("T")

MOST = 4
"""Frames at work at once; each takes the memory of a few."""

_lock = threading.RLock()  # a film that is forgotten may end while another one begins
_films = 0  # that are drawn now
_threads = 1  # that OpenCV had before the first of them


def side_by_side(draw: Callable[[int], T], numbers: Iterable[int]) -> Iterator[T]:
    """Yield draw(number) of every number in their order, drawn by threads, a few ahead.

    draw: gives the same for a number whichever thread calls it, and in whatever order. No more are
    at work, or done and not asked for, than OpenCV has threads, MOST at most; where it has one, all
    is done in the caller's. What drawing raises is raised here, after what came before it. Closing,
    and Ctrl-C, begin no more and wait for those at work.
    """
    with _one_thread_a_call() as workers:
        if workers < 2:
            yield from map(draw, numbers)
            return
        line: deque[Future[T]] = deque()
        with ThreadPoolExecutor(workers, "reverie-draw") as pool:
            try:
                for number in numbers:
                    line.append(pool.submit(draw, number))
                    if len(line) > workers:
                        yield _result(line.popleft())
                while line:
                    yield _result(line.popleft())
            finally:
                for waiting in line:
                    waiting.cancel()


def _result(drawn: Future[T]) -> T:
    while not wait((drawn,), 1.0).done:  # so that Ctrl-C comes through on every system
        pass
    return drawn.result()


@contextmanager
def _one_thread_a_call() -> Iterator[int]:
    """Give how many to draw at once; until the last film is drawn OpenCV shares no call."""
    global _films, _threads
    with _lock:
        if _films == 0:
            _threads = cv2.getNumThreads()
            cv2.setNumThreads(1)
        _films += 1
    try:
        yield min(_threads, MOST)
    finally:
        with _lock:
            _films -= 1
            if _films == 0 and cv2.getNumThreads() == 1:  # as it was left
                cv2.setNumThreads(_threads)
