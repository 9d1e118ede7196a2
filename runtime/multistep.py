"""Samplers that look back: DPM-Solver++ (2M) and UniPC, each as a table.

Both are linear in what the network took the clean data to be at this step and earlier ones, and
that is linear in latents and output; so every row is a vector over both, and the solvers are
written here as arithmetic on such vectors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from .euler import check_levels, shift_of
from .levels import spread, training_levels_of, training_noise_levels
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


def dpmpp_2m(
    steps: int = 20,
    *,
    prediction: Literal["flow", "epsilon", "v"] = "flow",
    shift: float = 1.0,
    order: int = 2,
    solver: Literal["midpoint", "heun"] = "midpoint",
    lower_order_final: bool = True,
    euler_at_final: bool = False,
    final: Literal["zero", "sigma_min"] = "zero",
    count: int = 1000,
    beta_start: float = 0.00085,
    beta_end: float = 0.012,
    beta_schedule: str = "scaled_linear",
) -> Schedule:
    """DPM-Solver++ (2M) of Lu et al. (2022).

    "flow": velocity networks over shifted flow levels; "epsilon" and "v": networks trained on
    `count` levels of a beta schedule, evenly spaced. Timesteps are whole numbers below `count`.

    order: 2, or 1 for the plain solver. The last step is of first order where the level after it is
    zero, where euler_at_final says so, and in short schedules where lower_order_final does.
    final: the level after the last step: 0, or the lowest one of the beta schedule.

    Follows diffusers' DPMSolverMultistepScheduler.
    """
    check_steps(steps)
    check_positive(shift=shift, beta_start=beta_start, beta_end=beta_end)
    check_choice("order", order, (1, 2))
    check_choice("solver", solver, ("midpoint", "heun"))
    check_choice("final", final, ("zero", "sigma_min"))
    training = training_noise_levels(beta_start, beta_end, beta_schedule, count)
    if prediction == "flow":
        now = shifted(1.0 - np.linspace(1.0, 1.0 / count, steps + 1), shift)[:0:-1]
        timesteps = np.floor(now * count)
    else:
        timesteps = np.linspace(0.0, count - 1.0, steps + 1).round()[:0:-1]
        now = np.interp(timesteps, np.arange(count), training)
    levels = rounded(np.append(now, 0.0 if final == "zero" else training[0]))
    signal, noise = _signal_and_noise(levels, prediction)
    plain_end = euler_at_final or final == "zero" or (lower_order_final and steps < 15)

    rows = []
    for i in range(steps):
        history = _History(2, i, signal, noise, prediction)
        gain = signal[i + 1] - signal[i] * noise[i + 1] / noise[i]
        change = gain * history.data(0)
        if order == 2 and i > 0 and not (plain_end and i == steps - 1):
            h, h_before = _snr_step(signal, noise, i), _snr_step(signal, noise, i - 1)
            slope = (history.data(0) - history.data(1)) * (h / h_before)
            share = 0.5 * gain if solver == "midpoint" else signal[i + 1] - gain / h
            change = change + share * slope
        rows.append(noise[i + 1] / noise[i] * history.latents(0) + change)
    return _multistep(levels, timesteps, rows)


def unipc_flow(
    steps: int = 30,
    *,
    shift: float = 5.0,
    mu: float | None = None,
    dynamic_shift: Mapping[str, Any] | None = None,
    terminal: float | None = None,
    order: int = 2,
    solver: Literal["bh1", "bh2"] = "bh2",
    lower_order_final: bool = True,
    disable_corrector: Sequence[int] = (),
    final: Literal["zero", "sigma_min"] = "zero",
    levels: str = "even",
    sigma_min: float | None = None,
    sigma_max: float | None = None,
    trained: Mapping[str, Any] | None = None,
    count: int = 1000,
    sigmas: Sequence[float] | None = None,
) -> Schedule:
    """UniPC of Zhao et al. (2023) for velocity networks; Wan2.2's own sampler.

    shift, mu, dynamic_shift, terminal, sigmas: as for `euler.flow_euler`.
    order: 1, 2 or 3; the rows hold order + 1 columns. The corrector reuses the predictor's
        network output, so a step costs one call; it is left out after the steps (from 0 on) of
        disable_corrector.
    final: the level after the last step: 0, or that of the last step itself.
    levels: "even", or "karras" between sigma_max and sigma_min (None: the ends of the beta schedule
        `trained`), unshifted.

    Timesteps are whole numbers below `count`.
    Follows diffusers' UniPCMultistepScheduler (use_flow_sigmas).
    """
    check_positive(shift=shift)
    if order not in (1, 2, 3):
        raise ValueError(f"order is {order!r}; unipc_flow knows 1, 2 and 3")
    check_choice("solver", solver, ("bh1", "bh2"))
    check_choice("final", final, ("zero", "sigma_min"))
    check_choice("levels", levels, ("even", "karras"))
    if not lower_order_final and order > (1 if final == "zero" else 2):
        raise ValueError(f"order {order} to the end, without lower_order_final, is not defined")
    if sigmas is None:
        check_steps(steps)
    if levels == "karras":
        training = training_levels_of(trained or {})
        high = float(training[-1]) if sigma_max is None else sigma_max
        low = float(training[0]) if sigma_min is None else sigma_min
        now = spread("karras", high, low, steps)
        now = now / (now + 1.0)
    else:
        now = np.linspace(1.0, 1.0 / count, steps + 1)[:-1]
        now = now if sigmas is None else check_levels(sigmas)
        now = shifted(now, shift_of(shift, mu, dynamic_shift))
        now = stretched(now, terminal) if terminal else now
        if abs(now[0] - 1.0) < 1e-6:
            now[0] -= 1e-6  # at pure noise the signal-to-noise ratio has no logarithm
    after = rounded(np.append(now, 0.0 if final == "zero" else now[-1]))
    signal, noise = _signal_and_noise(after, "flow")
    count_of_steps = len(now)
    orders = [
        min(order, i + 1, count_of_steps - i if lower_order_final else order)
        for i in range(count_of_steps)
    ]

    rows = []
    for i in range(count_of_steps):
        history = _History(order + 1, i, signal, noise, "flow")
        corrected = history.latents(0)
        if i > 0 and i - 1 not in disable_corrector:
            # The predictor's part of the last step is taken back, the corrector's put in place.
            before = _unipc_weights(signal, noise, i - 1, orders[i - 1], solver, corrector=False)
            better = _unipc_weights(signal, noise, i - 1, orders[i - 1], solver, corrector=True)
            corrected = corrected - history.blend(before, 1) + history.blend(better, 0)
        ahead = _unipc_weights(signal, noise, i, orders[i], solver, corrector=False)
        rows.append(noise[i + 1] / noise[i] * corrected + history.blend(ahead, 0))
    return _multistep(after, np.floor(now * count), rows)


class _History:
    """Unit vectors over (latents[0], latents[-1], ..., output[0], output[-1], ...)."""

    def __init__(self, columns: int, i: int, signal: Table, noise: Table, prediction: str) -> None:
        self.unit = np.eye(2 * columns)
        self.columns, self.i, self.prediction = columns, i, prediction
        self.signal, self.noise = signal, noise

    def latents(self, back: int) -> Table:
        return np.asarray(self.unit[back])

    def data(self, back: int) -> Table:
        """What the network at that step took the clean data to be."""
        latents, output = self.unit[back], self.unit[self.columns + back]
        signal, noise = self.signal[self.i - back], self.noise[self.i - back]
        if self.prediction == "flow":
            return np.asarray(latents - noise * output)
        if self.prediction == "epsilon":
            return np.asarray((latents - noise * output) / signal)
        if self.prediction == "v":
            return np.asarray(signal * latents - noise * output)
        raise ValueError(f"prediction is {self.prediction!r}; known: flow, epsilon, v")

    def blend(self, weights: Table, back: int) -> Table:
        """Weighted data predictions, from `back` steps ago on."""
        return sum(
            (w * self.data(back + j) for j, w in enumerate(weights)), np.zeros(2 * self.columns)
        )


def _unipc_weights(
    signal: Table, noise: Table, i: int, order: int, solver: str, *, corrector: bool
) -> Table:
    """Weights of the data predictions in the step from level i to level i + 1, newest first.

    The predictor's begin at step i; the corrector's at step i + 1, and are one more.
    """
    shrink = noise[i + 1] / noise[i] * signal[i] / signal[i + 1] - 1.0  # exp(-h) - 1
    weights = np.zeros(order + 1)  # of steps i + 1, i, i - 1, ...
    weights[1] = -signal[i + 1] * shrink
    if (corrector or order > 1) and shrink != 0.0:  # at the same level there is nothing to add
        h = _snr_step(signal, noise, i)
        size = shrink if solver == "bh2" else -h  # B(h) in the paper
        ratios = [-_snr_span(signal, noise, i - j, i) / h for j in range(1, order)]
        offsets = np.array([*ratios, 1.0])
        moments, phi = [], shrink / -h - 1.0
        factorial = 1
        for k in range(1, order + 1):
            moments.append(phi * factorial / size)
            factorial *= k + 1
            phi = phi / -h - 1.0 / factorial
        powers = np.vander(offsets, order, increasing=True).T
        if corrector:
            rho = np.array([0.5]) if order == 1 else np.linalg.solve(powers, np.array(moments))
        elif order == 2:
            rho = np.array([0.5])
        else:
            rho = np.linalg.solve(powers[:-1, :-1], np.array(moments[:-1]))
        for j in range(1, order):
            difference = -signal[i + 1] * size * rho[j - 1] / ratios[j - 1]
            weights[j + 1] += difference
            weights[1] -= difference
        if corrector:
            difference = -signal[i + 1] * size * rho[-1]
            weights[0] += difference
            weights[1] -= difference
    return weights if corrector else weights[1:]


def _snr_span(signal: Table, noise: Table, start: int, end: int) -> float:
    """Growth of log(signal / noise) from one level to another: h in the solvers' papers."""
    return float(np.log(signal[end] / noise[end]) - np.log(signal[start] / noise[start]))


def _snr_step(signal: Table, noise: Table, i: int) -> float:
    return _snr_span(signal, noise, i, i + 1)


def _signal_and_noise(levels: Table, prediction: str) -> tuple[Table, Table]:
    if prediction == "flow":
        return 1.0 - levels, levels
    signal = 1.0 / np.sqrt(levels**2 + 1.0)
    return signal, levels * signal


def _multistep(levels: Table, timesteps: Table, rows: Sequence[Table]) -> Schedule:
    latents, outputs = np.split(np.stack(rows), 2, axis=1)
    return Schedule(
        timesteps=np.asarray(timesteps, dtype=np.float64),
        noise_levels=levels,
        latent_weights=latents,
        output_weights=outputs,
        noise_weights=np.zeros(len(timesteps)),
        input_scale=np.ones(len(timesteps)),
        initial_noise=1.0,
    )
