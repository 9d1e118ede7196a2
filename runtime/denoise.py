"""The loop: noise in, a few steps of a network, a result out; every family runs through this page.

A network enters as `step`, a function of two arguments. What it predicts (noise, velocity, v) is
settled by the family at the border, how large each step is by the schedule's table, so the loop
itself never asks. The update is the linear multistep form that Euler, DPM-Solver++ and UniPC share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..engines.errors import EngineError, SettingsError
from .schedule import Schedule

Array: TypeAlias = NDArray[np.float32]


def denoise(
    step: Callable[[Array, float], Array],
    latents: Array,
    schedule: Schedule,
    *,
    noise: Callable[[], Array] | None = None,
) -> Array:
    """Carry latents from noise to data along a schedule, calling the network once a row.

    step: (latents scaled for the network, timestep) -> the network's output, same shape as the
        latents; a fresh array each time, for multistep rows look back at earlier ones.
    latents: any shape, float32; unit noise times `schedule.initial_noise`.
    noise: () -> unit noise of the latents' shape, asked for only by rows that add noise.

    Returns the latents after the last row; the ones passed in are left as they were. Pure: the
    same arguments give the same result. Raises SettingsError when a row adds noise and none
    is offered, EngineError at the first step after which the latents are not finite.
    """
    past_latents: tuple[Array, ...] = ()
    past_outputs: tuple[Array, ...] = ()
    for number, row in enumerate(schedule.rows(), start=1):
        output = step(row.input_scale * latents, row.timestep)
        past_latents = (latents, *past_latents)[: schedule.order]
        past_outputs = (output, *past_outputs)[: schedule.order]
        with np.errstate(over="ignore", invalid="ignore"):  # told below, not as a warning
            latents = _blend(
                (
                    *row.latent_weights[: len(past_latents)],
                    *row.output_weights[: len(past_outputs)],
                ),
                (*past_latents, *past_outputs),
            )
            finite = np.isfinite(latents.sum())  # a sum keeps NaN and infinity, and is cheap
        if not finite:
            raise not_finite(number, schedule.steps)
        if row.noise_weight:
            if noise is None:
                raise SettingsError(
                    "this schedule adds noise at each step and no source of noise was given;"
                    " pass noise= to denoise()"
                )
            latents = latents + row.noise_weight * noise()
    return latents


def not_finite(number: int, steps: int) -> EngineError:
    """Return what to raise where the latents are not finite after a step, counted from 1."""
    return EngineError(
        f"the denoiser gave NaN or infinity at step {number} of {steps}: its "
        "numbers outgrew its precision; export the model with --precision bf16 or fp32"
    )


def _blend(weights: Sequence[float], arrays: Sequence[Array]) -> Array:
    """Sum of weight x array, leaving out weights of zero."""
    terms = [w * array for w, array in zip(weights, arrays, strict=True) if w]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total
