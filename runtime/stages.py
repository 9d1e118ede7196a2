"""Where the time goes: the stages of a render, timed, and told to whoever watches."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

OnProgress = Callable[[str, int, int], None]
"""Called with the stage's name, what is done and the total of it; by the thread that does it, which
for decoding beside a GPU is not the caller's."""
OnNote = Callable[[str], None]
"""Called with a line that a person should know."""


class Stages:
    """The stages of one render, in seconds.

    A stage entered again adds to its time; stages do not overlap, so that their sum is the whole.
    """

    def __init__(
        self, on_progress: OnProgress | None = None, on_note: OnNote | None = None
    ) -> None:
        self.seconds: dict[str, float] = {}
        self.notes: list[str] = []
        """What happened otherwise than planned, in the order in which it did."""
        self._on_progress, self._on_note = on_progress, on_note
        self._thread = threading.local()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what happens inside, but for what stages inside of it count."""
        self.tell(name, 0, 1)
        start, others = time.perf_counter(), self.total
        try:
            yield
        finally:
            self.add(name, time.perf_counter() - start - (self.total - others))
        self.tell(name, 1, 1)

    @property
    def total(self) -> float:
        """Seconds of all stages so far."""
        return sum(self.seconds.values())

    @contextmanager
    def uncounted(self) -> Iterator[None]:
        """Count nothing of what this thread does inside, for another one counts its waiting."""
        self._thread.uncounted = True
        try:
            yield
        finally:
            self._thread.uncounted = False

    def add(self, name: str, seconds: float) -> None:
        """Count seconds to a stage."""
        if getattr(self._thread, "uncounted", False):
            return
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    def tell(self, name: str, done: int, total: int) -> None:
        """Tell how far a stage is."""
        if self._on_progress is not None:
            self._on_progress(name, done, total)

    def note(self, text: str) -> None:
        """Keep a line that a person should know, and tell it."""
        self.notes.append(text)
        if self._on_note is not None:
            self._on_note(text)
