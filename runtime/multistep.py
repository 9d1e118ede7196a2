"""Samplers that look back: DPM-Solver++ (2M) and UniPC, each as a table.

Both are linear in what the network took the clean data to be at this step and earlier ones, and
that is linear in latents and output; so every row is a vector over both, and the solvers are
written here as arithmetic on such vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from .table import (
    Schedule,
    Table,
    check_positive,
    check_steps,
    shifted,
    training_noise_levels,
)


def dpmpp_2m(
    steps: int = 20,
    *,
    prediction: Literal["flow", "epsilon", "v"] = "flow",
    shift: float = 1.0,
    beta_start: float = 0.00085,
    beta_end: float = 0.012,
    beta_schedule: Literal["linear", "scaled_linear"] = "scaled_linear",
) -> Schedule:
    """DPM-Solver++ (2M, midpoint) of Lu et al. (2022), first order at the last step.

    "flow": velocity networks over shifted flow levels; "epsilon" and "v": networks trained on
    1000 levels of a beta schedule, evenly spaced. Timesteps are whole numbers in 0..999.

    Follows diffusers' DPMSolverMultistepScheduler.
    """
    check_steps(steps)
    check_positive(shift=shift, beta_start=beta_start, beta_end=beta_end)
    if prediction == "flow":
        now = shifted(1.0 - np.linspace(1.0, 0.001, steps + 1), shift)[:0:-1]
        timesteps = np.floor(now * 1000.0)
    else:
        training = training_noise_levels(beta_start, beta_end, beta_schedule)
        timesteps = np.linspace(0.0, 999.0, steps + 1).round()[:0:-1]
        now = np.interp(timesteps, np.arange(len(training)), training)
    levels = _as_reference(np.append(now, 0.0))
    signal, noise = _signal_and_noise(levels, prediction)

    rows = []
    for i in range(steps):
        history = _History(2, i, signal, noise, prediction)
        gain = signal[i + 1] - signal[i] * noise[i + 1] / noise[i]
        if i == 0 or i == steps - 1:
            data = history.data(0)
        else:
            h, h_before = _snr_step(signal, noise, i), _snr_step(signal, noise, i - 1)
            slope = (history.data(0) - history.data(1)) * (h / h_before)
            data = history.data(0) + 0.5 * slope
        rows.append(noise[i + 1] / noise[i] * history.latents(0) + gain * data)
    return _multistep(levels, timesteps, rows)


def unipc_flow(steps: int = 30, *, shift: float = 5.0, order: int = 2) -> Schedule:
    """UniPC of Zhao et al. (2023), solver bh2, for velocity networks; Wan2.2's own sampler.

    order: 1, 2 or 3; the rows hold order + 1 columns. The corrector reuses the predictor's
    network output, so a step costs one call. Timesteps are whole numbers in 0..999.

    Follows diffusers' UniPCMultistepScheduler (use_flow_sigmas, lower_order_final).
    """
    check_steps(steps)
    check_positive(shift=shift)
    if order not in (1, 2, 3):
        raise ValueError(f"order is {order!r}; unipc_flow knows 1, 2 and 3")
    now = shifted(np.linspace(1.0, 0.001, steps + 1)[:-1], shift)
    now[0] -= 1e-6  # at pure noise the signal-to-noise ratio has no logarithm
    levels = _as_reference(np.append(now, 0.0))
    signal, noise = _signal_and_noise(levels, "flow")
    orders = [min(order, i + 1, steps - i) for i in range(steps)]

    rows = []
    for i in range(steps):
        history = _History(order + 1, i, signal, noise, "flow")
        corrected = history.latents(0)
        if i > 0:
            # The predictor's part of the last step is taken back, the corrector's put in place.
            before = _unipc_weights(signal, noise, i - 1, orders[i - 1], corrector=False)
            after = _unipc_weights(signal, noise, i - 1, orders[i - 1], corrector=True)
            corrected = corrected - history.blend(before, 1) + history.blend(after, 0)
        ahead = _unipc_weights(signal, noise, i, orders[i], corrector=False)
        rows.append(noise[i + 1] / noise[i] * corrected + history.blend(ahead, 0))
    return _multistep(levels, np.floor(now * 1000.0), rows)


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


def _unipc_weights(signal: Table, noise: Table, i: int, order: int, *, corrector: bool) -> Table:
    """Weights of the data predictions in the step from level i to level i + 1, newest first.

    The predictor's begin at step i; the corrector's at step i + 1, and are one more.
    """
    shrink = noise[i + 1] / noise[i] * signal[i] / signal[i + 1] - 1.0  # exp(-h) - 1
    weights = np.zeros(order + 1)  # of steps i + 1, i, i - 1, ...
    weights[1] = -signal[i + 1] * shrink
    if corrector or order > 1:
        h = _snr_step(signal, noise, i)
        ratios = [-_snr_span(signal, noise, i - j, i) / h for j in range(1, order)]
        offsets = np.array([*ratios, 1.0])
        moments, phi = [], shrink / -h - 1.0
        factorial = 1
        for k in range(1, order + 1):
            moments.append(phi * factorial / shrink)
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
            difference = -signal[i + 1] * shrink * rho[j - 1] / ratios[j - 1]
            weights[j + 1] += difference
            weights[1] -= difference
        if corrector:
            difference = -signal[i + 1] * shrink * rho[-1]
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


def _as_reference(levels: Table) -> Table:
    """Rounded to float32 once: the first solver steps near pure noise depend on that rounding."""
    return levels.astype(np.float32).astype(np.float64)


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
