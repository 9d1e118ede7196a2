"""Whether memory grows while frames come."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from itertools import islice
from typing import Any
from unittest import mock

from reverie.runtime import side_by_side


def growth(frames: Iterator[Any]) -> int:
    """Bytes that forty more frames leave held, once twenty have come.

    Drawn one at a time, for how much those at work beside hold is chance.
    """
    alone = mock.patch.object(side_by_side, "MOST", 1)
    alone.start()
    for _ in islice(frames, 10):
        pass
    tracemalloc.start()
    try:
        for _ in islice(frames, 10):
            pass
        before, _ = tracemalloc.get_traced_memory()
        for _ in islice(frames, 40):
            pass
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
        alone.stop()
