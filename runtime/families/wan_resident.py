"""Wan's loop on a device: the first frame's tokens are the picture's wherever the network looks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..resident import WAN, Table, Walk
from ..schedule import Schedule

Array: TypeAlias = NDArray[np.float32]


def walk(
    tokens: Array,
    held: Array,
    fixed: Mapping[str, NDArray[Any]],
    texts: Sequence[Array],
    guidance: float,
    schedule: Schedule,
    fresh: Callable[[int], Array] | None,
) -> Walk:
    """What `wan.sample` does, for `resident.walk_or`.

    tokens: noise (1, N, P). held: the picture's tokens (1, first, P). fixed: what the network takes
    at every step. texts: one embedding, or two with guidance. fresh: step -> noise (1, N, P).
    """
    start, first = tokens[0], held.shape[1]
    anchor, still = np.zeros_like(start), np.zeros((len(start), 1), np.float32)
    anchor[:first], still[:first] = held[0], 1
    scale = guidance if len(texts) > 1 else 1.0
    return Walk(
        WAN,
        start=start,
        table=Table.of(schedule),
        fixed={
            "anchor": anchor,
            "still": still,
            "begin": np.zeros_like(still),
            "guidance": np.full_like(still, scale),
            "rescale": np.zeros(1, np.float32),
            "noise": np.zeros_like(start),
        },
        seen={"latents": tokens.shape, "timesteps": (2,)},
        runs=[{**fixed, "text": text} for text in texts],
        output="velocity",
        fresh=None if fresh is None else lambda step: {"noise": fresh(step)[0]},
    )
