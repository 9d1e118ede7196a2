"""Frames drawn in smaller pieces where the memory for larger ones turns out not to be there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..engines.engine import Engine
from ..engines.errors import DeviceMemoryError
from .ladder import Sturdy
from .stages import Stages

Pixels: TypeAlias = NDArray[np.uint8]
Cut = TypeVar("Cut")


def draw_in_pieces(
    cuts: Iterable[Cut],
    draw: Callable[[Cut], Iterator[Pixels]],
    engine: Engine,
    stages: Stages,
) -> Iterator[Pixels]:
    """Yield the frames that `draw` gives for the first cut; those left by the next one, if need be.

    cuts: ways to cut the same work, largest pieces first; equal neighbours count once. draw: cut ->
    all frames, from the first one. Where memory runs out at the smallest cut, a `Sturdy` engine
    steps down and the largest cut has its turn again; engines without a ladder do not shrink.

    Raises:
        DeviceMemoryError: the smallest pieces are too large on the last rung too.
    """
    ladder = [cut for cut, _ in groupby(cuts)]
    place, given = 0, 0
    while True:
        try:
            for number, frame in enumerate(draw(ladder[place])):
                if number == given:
                    given += 1
                    yield frame
            return
        except DeviceMemoryError as error:
            if not isinstance(engine, Sturdy) or engine.strict:
                raise
            if place + 1 < len(ladder):
                place += 1
                stages.note(f"{engine.name}: {error}; goes on in smaller pieces")
            else:
                engine.fall(error)
                place = 0
