"""LTX's film as tokens: where each lies, how firmly it is held, and the steps they take together.

A token is one latent cell, (channels,). Those of a picture that is given are told to be (nearly)
free of noise and hold still; the others are carried from noise to data around them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..denoise import denoise
from ..schedule import Schedule

Array: TypeAlias = NDArray[np.float32]

HARD = 1.0 - 1e-6
"""Held more firmly than this, a token never moves."""


@dataclass(frozen=True)
class Tokens:
    """What the denoiser sees: a film's tokens, after those of a last picture."""

    values: Array
    """(N, channels) before the first step."""
    held: Array
    """(N,) how firmly each is held: 0 moves all the way, 1 stays."""
    coords: Array
    """(3, N) time in seconds, row and column in pixels."""
    extra: int = 0
    """How many at the front are not of the film itself."""

    @property
    def still(self) -> NDArray[np.bool_]:
        """(N,) which never move."""
        return self.held > HARD


def pack(latents: Array) -> Array:
    """(1, C, F, h, w) to tokens (F h w, C)."""
    return np.ascontiguousarray(latents[0].reshape(latents.shape[1], -1).T)


def unpack(tokens: Array, size: tuple[int, int, int]) -> Array:
    """Tokens (F h w, C) to (1, C, F, h, w)."""
    return np.ascontiguousarray(tokens.T).reshape(1, tokens.shape[1], *size)


def coordinates(
    size: tuple[int, int, int],
    time: int,
    space: int,
    frame_rate: float,
    *,
    causal: bool,
    first_frame: int = 0,
) -> Array:
    """Where the tokens of (frames, rows, columns) lie, (3, F h w); seconds and pixels.

    causal: count the first latent frame, which stands for one picture, as one, as
    LTXConditionPipeline does; LTXImageToVideoPipeline lays all latent frames `time` pictures apart.
    """
    frames, rows, columns = size
    seconds = np.arange(frames, dtype=np.float32) * np.float32(time)
    if causal:
        seconds = np.maximum(seconds + np.float32(1 - time), 0) + np.float32(first_frame)
    grid = np.meshgrid(
        seconds * np.float32(1.0 / frame_rate),
        np.arange(rows, dtype=np.float32) * np.float32(space),
        np.arange(columns, dtype=np.float32) * np.float32(space),
        indexing="ij",
    )
    return np.stack([axis.ravel() for axis in grid])


def lerp(start: Array, end: Array, share: float) -> Array:
    """From start (share 0) to end (share 1), exact at both."""
    if share < 0.5:
        return start + np.float32(share) * (end - start)
    return end - (end - start) * np.float32(1.0 - share)


def move(
    velocity: Callable[[Array, Array], Array],
    tokens: Tokens,
    schedule: Schedule,
    *,
    timestep_scale: float,
    fresh_noise: Callable[[int], Array],
    held_noise: Callable[[int], Array] | None = None,
    held_noise_scale: float = 0.0,
) -> Array:
    """Carry the tokens that are not held along a schedule; returns all of them, (N, channels).

    velocity: (tokens, their timesteps (N,)) -> their velocity, all (N, channels) float32.
    fresh_noise: step -> unit noise (N, channels), for schedules that add some.
    held_noise: step -> unit noise for the tokens that never move, added to them at each step anew,
        by held_noise_scale x noise level squared.

    A token begins to move at the first noise level below 1 - held. Follows the loops of
    LTXImageToVideoPipeline and LTXConditionPipeline.
    """
    values = tokens.values.copy()
    still = tokens.still
    number = -1  # of the step that is being made

    def step(moving: Array, timestep: float) -> Array:
        nonlocal number
        number += 1
        level = np.float32(timestep / timestep_scale)
        if held_noise is not None and held_noise_scale > 0:
            added = np.float32(held_noise_scale) * held_noise(number) * level**2
            values[still] = tokens.values[still] + added
        if not len(moving) or not timestep:
            return np.zeros_like(moving)
        values[active] = moving
        told = np.minimum(np.float32(timestep), (1 - tokens.held) * np.float32(timestep_scale))
        return velocity(values, told)[active]

    def noise() -> Array:
        return fresh_noise(number)[active]

    for part, active in parts(schedule, tokens.held, timestep_scale):
        values[active] = denoise(step, values[active], part, noise=noise)
    return values


def parts(
    schedule: Schedule, held: Array, timestep_scale: float
) -> Iterator[tuple[Schedule, NDArray[np.bool_]]]:
    """Stretches of a schedule over which the same tokens move, with a mask of those."""
    levels = (schedule.timesteps / timestep_scale).astype(np.float32)
    start = 0
    for stop in range(1, schedule.steps + 1):
        active = _active(levels[start], held)
        if stop == schedule.steps or not np.array_equal(active, _active(levels[stop], held)):
            yield _rows(schedule, start, stop), active
            start = stop


def _active(level: np.float32, held: Array) -> NDArray[np.bool_]:
    return np.asarray((level - np.float32(1e-6) < 1 - held) & (held <= HARD))


def _rows(schedule: Schedule, start: int, stop: int) -> Schedule:
    """Some rows of a schedule that looks at one step only."""
    if (start, stop) == (0, schedule.steps):
        return schedule
    rows = slice(start, stop)
    return replace(
        schedule,
        timesteps=schedule.timesteps[rows],
        noise_levels=schedule.noise_levels[start : stop + 1],
        latent_weights=schedule.latent_weights[rows],
        output_weights=schedule.output_weights[rows],
        noise_weights=schedule.noise_weights[rows],
        input_scale=schedule.input_scale[rows],
    )
