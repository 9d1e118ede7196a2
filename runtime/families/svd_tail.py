"""SVD's frames that a window before has drawn: how its latents take part in denoising.

The network knows one noise level for all frames, so none can be told to be clean. But a step of
Euler is a straight line from the latents to an estimate of the clean ones; in the frames that two
windows share, that estimate is drawn to the latents that the window before ended with.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..schedule import Schedule

Array: TypeAlias = NDArray[np.float32]


def can_follow(schedule: Schedule) -> bool:
    """Whether latents can be drawn to others along a schedule: Euler's steps without new noise."""
    return schedule.order == 1 and not schedule.noise_weights.any()


def followed(count: int) -> Array:
    """How firmly each of some shared frames follows the window before, (count,): 1, then less."""
    return (1 - (np.arange(count) / max(count, 1)) ** 2).astype(np.float32)


def drawn_to(tail: Array, schedule: Schedule, number: int, seen: Array, output: Array) -> Array:
    """Return the network's output with that of the shared frames drawn to a tail.

    tail: (n, C, h, w) clean latents of the first n frames. number: the step, from 0. seen: latents
    (1, F, C, h, w) as the network sees them, scaled. output: the network's, of the same shape.

    A step is x' = a x + b output, and x' = x + (x - clean) (next level / level - 1) as well: so the
    clean latents follow from the output, and the output from the clean latents that are wanted.
    """
    count = len(tail)
    a, b = float(schedule.latent_weights[number, 0]), float(schedule.output_weights[number, 0])
    level, after = (float(value) for value in schedule.noise_levels[number : number + 2])
    slope = after / level - 1
    if not b or not slope:
        return output
    latents = seen[0, :count] / np.float32(schedule.input_scale[number])
    moved = np.float32(a - 1) * latents + np.float32(b) * output[0, :count]
    clean = latents - moved / np.float32(slope)
    firmly = followed(count).reshape(-1, 1, 1, 1)
    wanted = clean + firmly * (tail - clean)
    drawn = output.copy()
    drawn[0, :count] += (clean - wanted) * np.float32(slope / b)
    return drawn
