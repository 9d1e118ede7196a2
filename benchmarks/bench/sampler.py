"""Looks at a process from outside while it works: its memory, and the machine's sensors."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path
from typing import Any

from .energy import Meters
from .sensors import Reading, Sensors

INTERVAL = 0.1
"""Seconds between two looks at the memory."""
SLOW = 10
"""Looks at the memory for one at the sensors."""
_MOST = 1200

Row = tuple[float, int, int | None]
"""(time.monotonic, resident bytes, bytes of the GPU's memory or None)."""


class Timeline:
    """Memory over time in so many rows at most; neighbours are joined, the higher one stays."""

    def __init__(self, most: int = _MOST) -> None:
        self.rows: list[Row] = []
        self._most, self._every, self._waiting = most, 1, list[Row]()

    def add(self, row: Row) -> None:
        """Add a row."""
        self._waiting.append(row)
        if len(self._waiting) < self._every:
            return
        self.rows.append(_higher(self._waiting))
        self._waiting.clear()
        if len(self.rows) >= self._most:
            pairs = zip(self.rows[::2], self.rows[1::2], strict=False)
            self.rows = [_higher(pair) for pair in pairs]
            self._every *= 2

    def between(self, begin: float, end: float) -> list[list[Any]]:
        """Return the rows of a time, as [seconds since its begin, host bytes, device bytes]."""
        rows = [*self.rows, *self._waiting]
        return [[round(at - begin, 3), host, gpu] for at, host, gpu in rows if begin <= at <= end]


def _higher(rows: Any) -> Row:
    at = rows[-1][0]
    gpus = [gpu for _, _, gpu in rows if gpu is not None]
    return at, max(host for _, host, _ in rows), max(gpus) if gpus else None


class Sampler:
    """A thread that looks at a process until it is left; use it in a `with`."""

    def __init__(
        self, pid: int, sensors: Sensors, meters: Meters, *, interval: float = INTERVAL
    ) -> None:
        self.timeline = Timeline()
        self.readings: list[Reading] = []
        self._pid, self._sensors, self._meters = pid, sensors, meters
        self._interval = interval
        self._stop = threading.Event()
        self._helpers: list[int] = []
        self._thread = threading.Thread(target=self._watch, name="reverie-bench", daemon=True)

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def device_peak(self, begin: float, end: float) -> int | None:
        """Return the most of the GPU's memory that was seen in a time."""
        rows = self.timeline.between(begin, end)
        return max((row[2] for row in rows if row[2] is not None), default=None)

    def _watch(self) -> None:
        looks = 0
        while True:
            with contextlib.suppress(Exception):  # a sensor that fails costs its reading only
                self._look(slow=looks % SLOW == 0)
            looks += 1
            if self._stop.wait(self._interval):
                break

    def _look(self, *, slow: bool) -> None:
        now = time.monotonic()
        if slow:
            self.readings.append(self._sensors.read(now))
            self._helpers = children_of(self._pid)
            self._meters.sample()
        host = resident(self._pid)
        if host is None:
            return
        host += sum(resident(pid) or 0 for pid in self._helpers)
        gpu = self._sensors.gpu
        self.timeline.add((now, host, None if gpu is None else gpu.memory(self._pid)))


def resident(pid: int) -> int | None:
    """Return a process's resident bytes; None where it is gone, or nobody tells."""
    try:
        words = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()
        return int(words[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError, AttributeError):
        pass
    with contextlib.suppress(Exception):  # psutil's own kinds
        import psutil

        return int(psutil.Process(pid).memory_info().rss)
    return None


def children_of(pid: int) -> list[int]:
    """Return the processes that a process has started and that are there, such as a builder's."""
    with contextlib.suppress(Exception):
        import psutil

        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    return []
