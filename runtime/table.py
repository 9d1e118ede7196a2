"""What a schedule is: a table of coefficients, one row a step, computed ahead in float64.

    latents' = sum_j latent_weights[j] * latents[-j]
             + sum_j output_weights[j] * output[-j]
             + noise_weight * noise

where [-0] is this step, [-1] the one before. Euler needs one column, DPM-Solver++ (2M) two,
UniPC of order n needs n + 1: a corrector is folded into the row that follows it.
"noise level" is sigma in Karras et al. (2022) and in flow matching.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..engines.errors import SettingsError

Table: TypeAlias = NDArray[np.float64]
MAX_STEPS = 1000


class Row(NamedTuple):
    """One step of a schedule, as Python floats: they leave a float32 array float32."""

    timestep: float
    input_scale: float
    latent_weights: tuple[float, ...]
    output_weights: tuple[float, ...]
    noise_weight: float


@dataclass(frozen=True, eq=False)
class Schedule:
    """A sampler as a table of N steps with a history of K columns, all float64."""

    timesteps: Table
    """(N,) what the network is told at each step, in its own units."""
    noise_levels: Table
    """(N + 1,) noise level before each step, and after the last."""
    latent_weights: Table
    """(N, K) weights of this step's latents and of earlier ones."""
    output_weights: Table
    """(N, K) weights of this step's network output and of earlier ones."""
    noise_weights: Table
    """(N,) weight of fresh noise; zero in all but stochastic schedules."""
    input_scale: Table
    """(N,) the network sees its latents times this."""
    initial_noise: float
    """The first latents are unit noise times this."""

    @property
    def steps(self) -> int:
        """Number of calls of the network."""
        return len(self.timesteps)

    @property
    def order(self) -> int:
        """How many steps, this one among them, a row looks at."""
        return int(self.latent_weights.shape[1])

    def since(self, first: int) -> Schedule:
        """The rows from `first` on: a render that begins with latents that are not all noise.

        Raises ValueError for samplers that look back, and where no row would be left.
        """
        if self.order > 1 or not 0 <= first < self.steps:
            raise ValueError(f"a schedule of {self.steps} steps cannot begin at {first}")
        return replace(
            self,
            timesteps=self.timesteps[first:],
            noise_levels=self.noise_levels[first:],
            latent_weights=self.latent_weights[first:],
            output_weights=self.output_weights[first:],
            noise_weights=self.noise_weights[first:],
            input_scale=self.input_scale[first:],
        )

    def rows(self) -> Iterator[Row]:
        """The table row by row."""
        for timestep, scale, latents, outputs, noise in zip(
            self.timesteps.tolist(),
            self.input_scale.tolist(),
            self.latent_weights.tolist(),
            self.output_weights.tolist(),
            self.noise_weights.tolist(),
            strict=True,
        ):
            yield Row(timestep, scale, tuple(latents), tuple(outputs), noise)


def check_steps(steps: int) -> None:
    """Raise SettingsError unless steps is a whole number from 1 to MAX_STEPS."""
    if isinstance(steps, bool) or not isinstance(steps, int) or not 1 <= steps <= MAX_STEPS:
        raise SettingsError(
            f"steps is {steps!r} and cannot be used; give a whole number from 1 to {MAX_STEPS}"
        )


def shifted(levels: Table, shift: float) -> Table:
    """Flow noise levels moved towards 1 for shift > 1 (Esser et al., 2024)."""
    return shift * levels / (1.0 + (shift - 1.0) * levels)


def stretched(levels: Table, terminal: float) -> Table:
    """Flow noise levels stretched so that the last one is `terminal`; a lone level of 1 stays."""
    if levels[-1] >= 1.0:
        return levels
    below = 1.0 - levels
    return np.asarray(1.0 - below / (below[-1] / (1.0 - terminal)))


def rounded(levels: Table) -> Table:
    """Rounded to float32 once, as references do before they take differences and logarithms."""
    return np.asarray(levels, np.float32).astype(np.float64)


def check_choice(name: str, value: object, known: Sequence[object]) -> None:
    """Raise ValueError, listing the known, for a value that is none of them."""
    if value not in known:
        raise ValueError(f"{name} is {value!r}; known: {', '.join(map(str, known))}")


def check_positive(**values: float) -> None:
    """Raise ValueError, naming the first value that is not a finite number above zero."""
    for name, value in values.items():
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not 0 < value < float("inf"):
            raise ValueError(f"{name} is {value!r} and must be a number above 0")
