"""SVD's loop on a device: the picture's latents beside those of every frame, and beside none."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..resident import SVD, Table, Walk
from ..schedule import Schedule

Array: TypeAlias = NDArray[np.float32]


def walk(
    unit: Array,
    image: Array,
    embedding: Array,
    added: Array,
    ramp: Array | None,
    schedule: Schedule,
) -> Walk:
    """What `svd.sample` does, for `resident.walk_or`.

    unit: noise (1, F, C, h, w). image: the picture's latents (1, C, h, w). embedding: the photo's,
    (1, 1, D). added: (1, 3) what the network is told beside. ramp: guidance of each frame (F,),
    None for none.
    """
    frames, channels, *size = unit.shape[1:]
    beside = np.repeat(image, frames, axis=0)
    shape = (1, frames, channels + image.shape[1], *size)
    embeddings = [embedding]
    if ramp is not None:
        embeddings.append(np.zeros_like(embedding))
    guidance = np.ones(frames, np.float32) if ramp is None else ramp
    return Walk(
        SVD,
        start=unit[0] * np.float32(schedule.initial_noise),
        table=Table.of(schedule),
        fixed={"beside": beside, "guidance": guidance.reshape(-1, 1, 1, 1)},
        seen={"latents": shape, "latents_free": shape, "timestep": (1,)},
        runs=[{"embedding": one, "added_ids": added} for one in embeddings],
        output="prediction",
    )
