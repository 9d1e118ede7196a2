"""Schedules as tables of coefficients: the Euler family, and the way from a bundle to a table.

A schedule says how far each step goes; see `table` for its form, `multistep` for the samplers
that look back, and `denoise` for the loop that runs it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from ..engines.errors import BundleError, SettingsError
from .multistep import dpmpp_2m, unipc_flow
from .table import (
    Row,
    Schedule,
    Table,
    check_positive,
    check_steps,
    shifted,
    training_noise_levels,
)

__all__ = [
    "BUILDERS",
    "Row",
    "Schedule",
    "dpmpp_2m",
    "euler_karras",
    "flow_euler",
    "mu_for_tokens",
    "schedule_from_manifest",
    "unipc_flow",
]


def flow_euler(
    steps: int = 10,
    *,
    shift: float = 1.0,
    mu: float | None = None,
    terminal: float | None = None,
    last: float | None = None,
    sigmas: Sequence[float] | None = None,
    timestep_scale: float = 1.0,
    stochastic: bool = False,
) -> Schedule:
    """Flow matching with Euler steps, for networks that predict velocity = noise - data.

    shift: 1 is even spacing; larger spends more steps near noise (Stable Diffusion 3).
    mu: shift by exp(mu) instead, as LTX and Flux do by size (see `mu_for_tokens`).
    terminal: stretch so that the last step starts at this noise level (LTX: 0.1).
    last: noise level of the last step before shifting; 1 / steps where None.
    sigmas: the noise levels before shifting, falling within 1..0; replaces steps and last.
    timestep_scale: the network is told noise level times this (1 for ember, 1000 elsewhere).
    stochastic: draw fresh noise after each step instead of following the straight line.

    Follows diffusers' FlowMatchEulerDiscreteScheduler.
    """
    check_positive(shift=shift, timestep_scale=timestep_scale)
    if sigmas is None:
        check_steps(steps)
        levels = np.linspace(1.0, 1.0 / steps if last is None else last, steps)
    else:
        levels = _check_levels(sigmas)
    levels = shifted(levels, shift if mu is None else float(np.exp(mu)))
    if terminal and levels[-1] < 1.0:
        levels = 1.0 - (1.0 - levels) * (1.0 - terminal) / (1.0 - levels[-1])
    levels = np.append(levels, 0.0)
    now, after = levels[:-1], levels[1:]
    if stochastic:
        return _single(levels, now * timestep_scale, 1 - after, -(1 - after) * now, noise=after)
    return _single(levels, now * timestep_scale, np.ones_like(now), after - now)


def euler_karras(
    steps: int = 25,
    *,
    sigma_min: float = 0.002,
    sigma_max: float = 700.0,
    rho: float = 7.0,
    prediction: Literal["v", "epsilon"] = "v",
    beta_start: float = 0.00085,
    beta_end: float = 0.012,
) -> Schedule:
    """Euler steps between the noise levels of Karras et al. (2022); v is what SVD uses.

    The network sees latents / sqrt(noise level^2 + 1). With "v" it is told log(noise level) / 4,
    as in EDM; with "epsilon" the place among the 1000 scaled-linear training levels that
    `beta_start` and `beta_end` describe.

    Follows diffusers' EulerDiscreteScheduler (Karras levels, zero at the end).
    """
    check_steps(steps)
    check_positive(sigma_min=sigma_min, sigma_max=sigma_max, rho=rho)
    root = np.linspace(sigma_max ** (1 / rho), sigma_min ** (1 / rho), steps)
    now = root**rho
    levels = np.append(now, 0.0)
    change = levels[1:] - now
    scale = 1.0 / np.sqrt(now**2 + 1.0)
    if prediction == "v":
        timesteps = 0.25 * np.log(now)
        latent_weights, output_weights = 1.0 + change * now * scale**2, change * scale
    elif prediction == "epsilon":
        training = np.log(training_noise_levels(beta_start, beta_end, "scaled_linear"))
        timesteps = np.interp(np.log(now), training, np.arange(len(training)))
        latent_weights, output_weights = np.ones_like(now), change
    else:
        raise ValueError(f"prediction is {prediction!r}; euler_karras knows v and epsilon")
    return _single(
        levels,
        timesteps,
        latent_weights,
        output_weights,
        input_scale=scale,
        initial_noise=float(np.sqrt(sigma_max**2 + 1.0)),
    )


def mu_for_tokens(
    tokens: int,
    *,
    base_tokens: int = 1024,
    max_tokens: int = 4096,
    base_shift: float = 0.95,
    max_shift: float = 2.05,
) -> float:
    """The mu of `flow_euler` for a number of latent tokens, on a straight line; LTX's values."""
    slope = (max_shift - base_shift) / (max_tokens - base_tokens)
    return base_shift + slope * (tokens - base_tokens)


BUILDERS: dict[str, Callable[..., Schedule]] = {
    "dpmpp_2m": dpmpp_2m,
    "euler_karras": euler_karras,
    "flow_euler": flow_euler,
    "unipc_flow": unipc_flow,
}


def schedule_from_manifest(entry: Mapping[str, Any], *, steps: int | None = None) -> Schedule:
    """The schedule a bundle names: {"type": "flow_euler", "steps": 10, "shift": 1.0, ...}.

    steps: what one call asks for instead of the bundle's own number; None keeps the latter.
    Raises BundleError for an unknown type or a field that type does not have or cannot use,
    SettingsError when the steps asked for are impossible.
    """
    fields = dict(entry)
    kind = fields.pop("type", None)
    if not isinstance(kind, str) or kind not in BUILDERS:
        raise BundleError(
            f"the bundle asks for a schedule of type {kind!r}, which is not known here;"
            f" use one of: {', '.join(BUILDERS)}"
        )
    builder = BUILDERS[kind]
    known = list(inspect.signature(builder).parameters)
    for name in fields:
        if name not in known:
            raise BundleError(
                f"the bundle's schedule has a field {name!r} that {kind} does not know;"
                f" use some of: {', '.join(known)}"
            )
    if steps is not None:
        check_steps(steps)
        fixed = fields.get("sigmas")
        if fixed is not None and len(fixed) != steps:
            raise SettingsError(
                f"{steps} steps were asked for and this model has {len(fixed)} fixed ones;"
                " leave steps out"
            )
        fields["steps"] = steps
    try:
        return builder(**fields)
    except (TypeError, ValueError, SettingsError) as error:
        raise BundleError(
            f"the bundle's schedule cannot be used: {error}; mend 'schedule' in bundle.json"
        ) from error


def _check_levels(sigmas: Sequence[float]) -> Table:
    levels = np.asarray(sigmas, dtype=np.float64)
    falling = levels.ndim == 1 and levels.size > 0 and bool(np.all(np.diff(levels) < 0))
    if not falling or not 0.0 < levels[-1] <= levels[0] <= 1.0:
        raise ValueError("sigmas must fall strictly, from at most 1 to more than 0")
    return levels


def _single(
    levels: Table,
    timesteps: Table,
    latent_weights: Table,
    output_weights: Table,
    *,
    noise: Table | None = None,
    input_scale: Table | None = None,
    initial_noise: float = 1.0,
) -> Schedule:
    return Schedule(
        timesteps=np.asarray(timesteps, dtype=np.float64),
        noise_levels=levels,
        latent_weights=np.asarray(latent_weights)[:, None],
        output_weights=np.asarray(output_weights)[:, None],
        noise_weights=np.zeros(len(timesteps)) if noise is None else noise,
        input_scale=np.ones(len(timesteps)) if input_scale is None else input_scale,
        initial_noise=initial_noise,
    )
