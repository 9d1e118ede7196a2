"""LTX's loop on a device: tokens that stand still, that begin to move later, that move."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..resident import LTX, Table, Walk
from .ltx_plan import TIMESTEP_SCALE, Plan
from .ltx_tokens import Tokens, parts

Array: TypeAlias = NDArray[np.float32]


def walk(
    tokens: Tokens,
    plan: Plan,
    coords: Array,
    texts: Sequence[tuple[Array, NDArray[np.int64]]],
    fresh_noise: Callable[[int], Array],
    held_noise: Callable[[int], Array] | None,
) -> Walk:
    """What `ltx_tokens.move` does, for `resident.walk_or`; see there.

    coords: (1, 3, N). texts: the prompt's embeddings and mask, and with guidance the other's.
    """
    schedule, start, count = plan.schedule, tokens.values, len(tokens.values)
    still = tokens.still
    begin = np.full((count, 1), schedule.steps, np.float32)
    starts, told, at = [], list[bool](), 0
    for part, active in parts(schedule, tokens.held, TIMESTEP_SCALE):
        begin[active] = np.minimum(begin[active], at)
        starts.append(at)
        told += [bool(active.any() and timestep) for timestep in part.timesteps]
        at += part.steps
    levels = (schedule.timesteps / TIMESTEP_SCALE).astype(np.float32)
    noisy, scale = bool(schedule.noise_weights.any()), plan.image_cond_noise_scale
    trembles = held_noise is not None and scale > 0
    guided = len(texts) > 1
    nothing = np.zeros_like(start)

    def fresh(step: int) -> Mapping[str, Array]:
        new: dict[str, Array] = {}
        if noisy:
            new["noise"] = fresh_noise(step)
        if trembles and held_noise is not None:
            new["held_noise"] = nothing.copy()
            new["held_noise"][still] = held_noise(step)
        return new

    runs: list[dict[str, NDArray[Any]]] = [
        {"coords": coords, "text": text, "text_mask": mask} for text, mask in texts
    ]
    table = Table.of(
        schedule,
        starts=starts,
        told=told,
        held_noise=(np.float32(scale) * levels**2).tolist() if trembles else None,
    )
    return Walk(
        LTX,
        start=start,
        table=table,
        fixed={
            "keep": table.keep,
            "anchor": start,
            "still": still.astype(np.float32)[:, None],
            "begin": begin,
            "most_timestep": ((1 - tokens.held) * np.float32(TIMESTEP_SCALE))[None],
            "held_noise": nothing,
            "noise": nothing,
            "guidance": np.full((count, 1), plan.guidance if guided else 1.0, np.float32),
            "rescale": np.array([plan.guidance_rescale if guided else 0.0], np.float32),
        },
        seen={"latents": (1, *start.shape), "timestep": (1, count)},
        runs=runs,
        output="velocity",
        fresh=fresh if noisy or trembles else None,
    )
