"""Euler samplers as tables: along straight lines (flow matching), and down noise levels (EDM)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from .levels import spread, timestep_of, training_levels_of
from .table import (
    Schedule,
    Table,
    check_choice,
    check_positive,
    check_steps,
    rounded,
    shifted,
    stretched,
)

TRAINED_BY_SVD = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def flow_euler(
    steps: int = 10,
    *,
    shift: float = 1.0,
    mu: float | None = None,
    dynamic_shift: Mapping[str, Any] | None = None,
    terminal: float | None = None,
    last: float | None = None,
    levels: str = "even",
    sigmas: Sequence[float] | None = None,
    timesteps: Sequence[float] | None = None,
    timestep_scale: float = 1.0,
    stochastic: bool = False,
) -> Schedule:
    """Flow matching with Euler steps, for networks that predict velocity = noise - data.

    shift: 1 is even spacing; larger spends more steps near noise (Stable Diffusion 3).
    mu: shift by exp(mu) instead, as LTX and Flux do by size (see `schedule.mu_for_tokens`).
    dynamic_shift: how mu follows from the size; where a bundle has it, mu must be given. Only its
        "type" is looked at here: "exponential" (the default), or "linear", which shifts by mu.
    terminal: stretch so that the last step starts at this noise level (LTX: 0.1).
    last: noise level of the last step before shifting; 1 / steps where None.
    levels: "even", or how the shifted levels are spread anew between the first and the last
        ("karras", "exponential", "beta").
    sigmas: the noise levels before shifting, falling within 1..0; replaces steps and last.
    timesteps: what the network is told, 0..timestep_scale; where sigmas are not given, the noise
        levels before shifting are these divided by timestep_scale.
    timestep_scale: the network is told noise level times this (1 for ember, 1000 elsewhere).
    stochastic: draw fresh noise after each step instead of following the straight line.

    Follows diffusers' FlowMatchEulerDiscreteScheduler.
    """
    check_positive(shift=shift, timestep_scale=timestep_scale)
    told = None if timesteps is None else np.asarray(timesteps, np.float32).astype(np.float64)
    if sigmas is None and told is not None:
        now = check_levels(told / timestep_scale)
    elif sigmas is not None:
        now = check_levels(sigmas)
    else:
        check_steps(steps)
        now = np.linspace(1.0, 1.0 / steps if last is None else last, steps)
    now = shifted(now, shift_of(shift, mu, dynamic_shift))
    if terminal:
        now = stretched(now, terminal)
    if levels != "even":
        now = spread(levels, float(now[0]), float(now[-1]), len(now))
    if told is None:
        told = now * timestep_scale
    elif len(told) != len(now):
        raise ValueError(f"there are {len(now)} sigmas and {len(told)} timesteps")
    all_levels = np.append(now, 0.0)
    after = all_levels[1:]
    if stochastic:
        return single(all_levels, told, 1 - after, -(1 - after) * now, noise=after)
    return single(all_levels, told, np.ones_like(now), after - now)


def euler(
    steps: int = 25,
    *,
    levels: str = "karras",
    spacing: Literal["leading", "linspace", "trailing"] = "leading",
    steps_offset: int = 0,
    told: Literal["continuous", "discrete"] = "continuous",
    interpolation: Literal["linear", "log_linear"] = "linear",
    final: Literal["zero", "sigma_min"] = "zero",
    sigma_min: float | None = None,
    sigma_max: float | None = None,
    rho: float = 7.0,
    prediction: Literal["v", "epsilon", "sample"] = "v",
    trained: Mapping[str, Any] = TRAINED_BY_SVD,
    sigmas: Sequence[float] | None = None,
    timesteps: Sequence[float] | None = None,
) -> Schedule:
    """Euler steps down the noise levels of a network trained on a beta schedule; SVD's sampler.

    levels: "karras", "exponential" or "beta" spread them between sigma_max and sigma_min; "even"
        takes those of evenly spaced timesteps. Where sigma_max or sigma_min is None, the ends of
        the latter are taken.
    spacing, steps_offset: which timesteps those are; "leading" also begins with the noise level
        sqrt(highest^2 + 1) instead of the highest.
    told: with "continuous" and "v" the network is told log(noise level) / 4 as in EDM, else the
        place of its level among those of training.
    interpolation: "log_linear" lays even levels evenly in their logarithm.
    final: the level after the last step: 0, or the lowest one of training.
    trained: the beta schedule (see `levels.training_noise_levels`).
    sigmas: the levels themselves, with the one after the last step.
    timesteps: the timesteps themselves, for levels "even".

    The network sees latents / sqrt(noise level^2 + 1).
    Follows diffusers' EulerDiscreteScheduler.
    """
    check_choice("spacing", spacing, ("leading", "linspace", "trailing"))
    check_choice("told", told, ("continuous", "discrete"))
    check_choice("interpolation", interpolation, ("linear", "log_linear"))
    check_choice("final", final, ("zero", "sigma_min"))
    check_choice("prediction", prediction, ("v", "epsilon", "sample"))
    for name, value in (("sigma_min", sigma_min), ("sigma_max", sigma_max), ("rho", rho)):
        if value is not None:
            check_positive(**{name: value})
    training = training_levels_of(trained)
    continuous = told == "continuous" and prediction == "v"
    if sigmas is not None:
        all_levels = check_levels(sigmas, highest=np.inf)
        now = all_levels[:-1]
        places = timestep_of(now, training)
    else:
        if timesteps is not None:
            if levels != "even" or continuous:
                raise ValueError("timesteps can be given only to discrete, even levels")
            places = np.asarray(timesteps, np.float64)
        else:
            check_steps(steps)
            places = spaced_timesteps(steps, spacing, steps_offset, len(training))
        now = np.interp(places, np.arange(len(training)), training)
        after_last = 0.0 if final == "zero" else float(training[0])
        if interpolation == "log_linear":
            highest, lowest = np.log(training[[-1, 0]])
            now = np.exp(np.linspace(highest, lowest, len(places) + 1))
            if levels == "even":  # the reference stops at the lowest level, whatever `final` says
                now, after_last = now[:-1], float(now[-1])
        if levels != "even":
            high = float(now[0]) if sigma_max is None else sigma_max
            low = float(now[-1]) if sigma_min is None else sigma_min
            now = spread(levels, high, low, len(places), rho)
            places = timestep_of(now, training)
        all_levels = np.append(now, after_last)
    now = rounded(all_levels)[:-1]
    change = np.diff(rounded(all_levels))
    scale = 1.0 / np.sqrt(now**2 + 1.0)
    if prediction == "v":
        latent_weights, output_weights = 1.0 + change * now * scale**2, change * scale
    elif prediction == "epsilon":
        latent_weights, output_weights = np.ones_like(now), change
    else:
        latent_weights, output_weights = 1.0 + change / now, -change / now
    highest = float(now.max())
    return single(
        rounded(all_levels),
        0.25 * np.log(now) if continuous else places,
        latent_weights,
        output_weights,
        input_scale=scale,
        initial_noise=float(np.sqrt(highest**2 + 1.0)) if spacing == "leading" else highest,
    )


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
    """Euler steps between the noise levels of Karras et al. (2022), with SVD's own values."""
    check_choice("prediction", prediction, ("v", "epsilon"))
    return euler(
        steps,
        sigma_min=sigma_min,
        sigma_max=sigma_max,
        rho=rho,
        prediction=prediction,
        trained={**TRAINED_BY_SVD, "beta_start": beta_start, "beta_end": beta_end},
    )


def spaced_timesteps(steps: int, spacing: str, offset: int, count: int) -> Table:
    """Timesteps of a training schedule of `count`, falling, spaced as in Lin et al. (2023)."""
    if spacing == "linspace":
        return np.linspace(0, count - 1, steps)[::-1]
    if spacing == "leading":
        return np.arange(steps, dtype=np.float64)[::-1] * (count // steps) + offset
    return np.arange(count, 0, -count / steps).round() - 1.0


def shift_of(shift: float, mu: float | None, dynamic: Mapping[str, Any] | None) -> float:
    """The factor by which flow levels are shifted; mu's where one is given."""
    if mu is None:
        if dynamic is not None:
            raise ValueError("its shift depends on the size: mu must be given (see mu_for_tokens)")
        return shift
    kind = (dynamic or {}).get("type", "exponential")
    check_choice("dynamic_shift.type", kind, ("exponential", "linear"))
    if kind == "linear":
        check_positive(mu=mu)
        return mu
    return float(np.exp(mu))


def check_levels(sigmas: Sequence[float] | Table, highest: float = 1.0) -> Table:
    """Return noise levels as float64; raise ValueError unless they fall within highest..0."""
    levels = np.asarray(sigmas, dtype=np.float64)
    falling = levels.ndim == 1 and levels.size > 0 and bool(np.all(np.diff(levels) < 0))
    if not falling or not 0.0 <= levels[-1] <= levels[0] <= highest or levels[0] == 0.0:
        raise ValueError(f"sigmas must fall strictly, from at most {highest:g} to 0 or more")
    return levels


def single(
    levels: Table,
    timesteps: Table,
    latent_weights: Table,
    output_weights: Table,
    *,
    noise: Table | None = None,
    input_scale: Table | None = None,
    initial_noise: float = 1.0,
) -> Schedule:
    """A schedule that looks at one step only, from its columns."""
    return Schedule(
        timesteps=np.asarray(timesteps, dtype=np.float64),
        noise_levels=levels,
        latent_weights=np.asarray(latent_weights)[:, None],
        output_weights=np.asarray(output_weights)[:, None],
        noise_weights=np.zeros(len(timesteps)) if noise is None else noise,
        input_scale=np.ones(len(timesteps)) if input_scale is None else input_scale,
        initial_noise=initial_noise,
    )
