"""Noise levels: those a network was trained on, and ways to spread a few of them for a render.

"Noise level" is sigma in Karras et al. (2022) and in flow matching. All tables are float64, falling
where they are for a render, rising where they are a training schedule.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .table import Table

SPREADS = ("even", "karras", "exponential", "beta")
"""Ways to lay a render's noise levels between the highest and the lowest; "even" leaves them."""
_KARRAS_RHO = 7.0
_BETA_SHAPE = 0.6


def spread(kind: str, highest: float, lowest: float, steps: int, rho: float = _KARRAS_RHO) -> Table:
    """Lay noise levels between two, falling.

    "karras": even in the 1/rho-th power (Karras et al., 2022); "exponential": even in the
    logarithm; "beta": at the quantiles of a beta distribution (Lee et al., 2024).
    """
    share = np.linspace(0.0, 1.0, steps)
    if kind == "karras":
        high, low = highest ** (1 / rho), lowest ** (1 / rho)
        return np.asarray((high + share * (low - high)) ** rho)
    if kind == "exponential":
        if lowest <= 0:
            raise ValueError("an exponential spread needs a lowest noise level above 0")
        return np.asarray(np.exp(np.linspace(math.log(highest), math.log(lowest), steps)))
    if kind == "beta":
        quantiles = np.array([_beta_quantile(1.0 - x, _BETA_SHAPE) for x in share.tolist()])
        return np.asarray(lowest + quantiles * (highest - lowest))
    raise ValueError(f"levels are spread {kind!r}; known: {', '.join(SPREADS)}")


def training_noise_levels(
    beta_start: float,
    beta_end: float,
    beta_schedule: str,
    count: int = 1000,
    *,
    betas: Sequence[float] | None = None,
    zero_snr: bool = False,
) -> Table:
    """Noise level (noise / signal) at each timestep of a beta schedule, (count,) rising.

    betas: the schedule itself, in place of one by name. zero_snr: rescaled so that the last level
    is (nearly) pure noise (Lin et al., 2023). Rounded to float32 where the reference rounds.

    Follows the constructors of diffusers' schedulers.
    """
    if betas is not None:
        steps = np.asarray(betas, np.float32)
    elif beta_schedule == "scaled_linear":
        steps = np.linspace(beta_start**0.5, beta_end**0.5, count).astype(np.float32) ** 2
    elif beta_schedule == "linear":
        steps = np.linspace(beta_start, beta_end, count).astype(np.float32)
    elif beta_schedule == "squaredcos_cap_v2":
        kept = np.cos((np.arange(count + 1) / count + 0.008) / 1.008 * np.pi / 2) ** 2
        steps = np.minimum(1.0 - kept[1:] / kept[:-1], 0.999).astype(np.float32)
    else:
        raise ValueError(
            f"beta_schedule is {beta_schedule!r}; known: linear, scaled_linear, squaredcos_cap_v2"
        )
    if steps.ndim != 1 or steps.size < 2 or not np.all((steps > 0) & (steps < 1)):
        raise ValueError("betas must be a list of numbers between 0 and 1")
    if zero_snr:
        steps = _rescaled_to_zero_snr(steps)
    kept = np.cumprod(np.float32(1.0) - steps, dtype=np.float64).astype(np.float32)
    if zero_snr:
        kept[-1] = 2**-24
    return np.asarray(np.sqrt((np.float32(1.0) - kept) / kept), np.float64)


def training_levels_of(section: Mapping[str, Any]) -> Table:
    """Read a manifest's {"beta_start", "beta_end", "beta_schedule", "count", ...}."""
    fields = {"beta_start": 0.0001, "beta_end": 0.02, "beta_schedule": "linear", **section}
    return training_noise_levels(**fields)


def timestep_of(levels: Table, training: Table) -> Table:
    """Place of noise levels among the rising levels of a training schedule, in its timesteps."""
    places = np.arange(len(training), dtype=np.float64)
    return np.interp(np.log(np.maximum(levels, 1e-10)), np.log(training), places)


def _rescaled_to_zero_snr(betas: Any) -> Any:
    root = np.sqrt(np.cumprod(np.float32(1.0) - betas, dtype=np.float64).astype(np.float32))
    first, last = root[0], root[-1]
    root = (root - last) * (first / (first - last))
    kept = root**2
    alphas = np.concatenate([kept[:1], kept[1:] / kept[:-1]])
    return np.float32(1.0) - alphas


def _beta_quantile(share: float, shape: float) -> float:
    """Quantile of the symmetric beta distribution, by halving the interval it lies in."""
    if share in (0.0, 1.0):
        return share
    if share > 0.5:
        return 1.0 - _beta_quantile(1.0 - share, shape)
    low, high = 0.0, 0.5
    for _ in range(80):
        middle = (low + high) / 2
        if _beta_share(middle, shape) < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _beta_share(x: float, shape: float) -> float:
    """Share of the symmetric beta distribution below x <= 1/2: the series of the incomplete beta.

    x^a (1 - x)^a / (a B(a, a)) * sum_n B(a + 1, n + 1) / B(2 a, n + 1) x^(n + 1), as a running sum.
    """
    if x <= 0.0:
        return 0.0
    whole = 2 * math.lgamma(shape) - math.lgamma(2 * shape)
    front = math.exp(shape * (math.log(x) + math.log1p(-x)) - whole) / shape
    term = total = 1.0
    for n in range(200):
        term *= x * (2 * shape + n) / (shape + 1 + n)
        total += term
        if term < 1e-17 * total:
            break
    return front * total
