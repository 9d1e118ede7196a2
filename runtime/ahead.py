"""Frames drawn ahead: while one window is encoded, the next one is decoded.

Where the device that decodes is not the processor that encodes, both work at once. At most one
window is held beside those at work.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Generic, TypeVar

from ..engines.engine import Engine
from .stages import Stages

T = TypeVar("T")


def gains(engine: Engine) -> bool:
    """Whether to draw ahead on an engine: beside a GPU the processor is free to encode.

    On the processor itself both would share its cores, and that was measured to gain nothing.
    """
    device = getattr(engine, "device", None)  # stand-ins for engines may have none
    return device is not None and device.kind != "cpu"


def ahead(
    items: Iterator[T],
    most: int,
    *,
    around: Callable[[], AbstractContextManager[None]] = nullcontext,
    waited: Callable[[float], None] = lambda seconds: None,
) -> Iterator[T]:
    """Yield the same items, drawn by a thread of their own, up to `most` before they are asked for.

    around: what the thread is to be inside of. waited: told the seconds that the caller waited.
    Nothing is drawn before the first item is asked for. What drawing raises is raised here, after
    the items before it. Closing, and Ctrl-C, stop the thread once the item it is at is drawn, close
    `items` there, and wait for that.
    """
    line: _Line[T] = _Line(max(most, 1))
    thread = threading.Thread(target=_draw, args=(items, line, around), name="reverie-ahead")
    thread.start()
    try:
        while True:
            start = time.perf_counter()
            found = line.take()
            waited(time.perf_counter() - start)
            if found is None:
                break
            yield found[0]
        if line.error is not None:
            raise line.error
    finally:
        line.stop()
        thread.join()


def drawn_ahead(
    frames: Iterator[T], window: int, engine: Engine, stages: Stages, stage: str | None = None
) -> Iterator[T]:
    """Yield an engine's frames, up to a window of them drawn ahead where that gains something.

    stage: what the wait for them counts as; None leaves that to the caller.
    """
    if not gains(engine):
        return frames

    def waited(seconds: float) -> None:
        if stage is not None:
            stages.add(stage, seconds)

    return ahead(frames, window, around=stages.uncounted, waited=waited)


def _draw(
    items: Iterator[T], line: _Line[T], around: Callable[[], AbstractContextManager[None]]
) -> None:
    try:
        with around():
            try:
                for item in items:
                    if not line.put(item):
                        break
                    del item  # or the last window would live as long as the wait
            finally:
                with suppress(AttributeError):
                    items.close()  # type: ignore[attr-defined]
    except BaseException as error:
        line.error = error
    finally:
        line.end()


class _Line(Generic[T]):
    """Items between two threads, no more than a number of them."""

    def __init__(self, most: int) -> None:
        self._most, self._items = most, deque[T]()
        self._change = threading.Condition()
        self._stopped = self._ended = False
        self.error: BaseException | None = None

    def put(self, item: T) -> bool:
        """Add one, once there is room; False where no more are wanted."""
        with self._change:
            while len(self._items) >= self._most and not self._stopped:
                self._change.wait()
            if not self._stopped:
                self._items.append(item)
                self._change.notify_all()
            return not self._stopped

    def take(self) -> tuple[T] | None:
        """Take the next, once there is one; None after the last."""
        with self._change:
            while not self._items and not self._ended:
                self._change.wait(1.0)  # so that Ctrl-C comes through on every system
            if not self._items:
                return None
            self._change.notify_all()
            return (self._items.popleft(),)

    def stop(self) -> None:
        """Want no more."""
        with self._change:
            self._stopped = True
            self._items.clear()
            self._change.notify_all()

    def end(self) -> None:
        """Tell that no more will come."""
        with self._change:
            self._ended = True
            self._change.notify_all()
