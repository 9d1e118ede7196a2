"""How something grows: a constant, and a part that grows as a power, told apart by least squares.

y = a + b x^p with a and b not below 0, on logarithms, for noise multiplies. The interval of p holds
all powers whose sum of squares is not worse than the best one's by more than chance allows (the
profile of Bates and Watts, "Nonlinear Regression Analysis", 1988, chapter 6). With few points it is
wide, and says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

POWERS = np.round(np.arange(0.02, 4.001, 0.01), 2)
SHARES = np.concatenate([[0.0], np.geomspace(1e-5, 0.4, 24), np.linspace(0.45, 0.995, 16)])
"""Of a constant in the largest point: where the search for it begins."""
ROUNDS = 4
LEAST = 1e-6
"""Of the largest sample: what is below counts as this, for 0 has no logarithm."""
LEAST_RISE = 0.05
"""From the smallest point to the largest; below it, nothing is said to grow."""
FASTER = 1.05
"""A power that is above this for certain is faster than linear."""
_STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179)
"""Of 97.5%, with 1 .. 12 degrees of freedom; with more the last, which is a little too wide."""


@dataclass(frozen=True)
class Growth:
    """y = constant + factor x^power."""

    constant: float
    factor: float
    power: float
    """0 where nothing grows."""
    low: float
    high: float
    """Where the power lies, with 95%."""
    constant_share: float
    """How much of the largest point the constant is, 0 .. 1."""
    rise: float
    """The largest point over the smallest, as measured."""

    @property
    def grows(self) -> bool:
        """Whether there is anything to speak of."""
        return self.power > 0

    @property
    def faster_than_linear(self) -> bool:
        """Whether it is that for certain."""
        return self.grows and self.low > FASTER

    def told(self) -> str:
        """A few words for a person."""
        if not self.grows:
            seen = "does not grow" if self.rise < 1 + LEAST_RISE else "no growth beyond the noise"
            return f"{seen} ({self.rise:.2f}x from the smallest to the largest)"
        sure = f"[{self.low:.2f} .. {self.high:.2f}]"
        if self.high - self.low > 1.5:
            return f"grows, and how is not to be told from these points {sure}"
        return f"power {self.power:.2f} {sure}, {self.constant_share:.0%} of the largest constant"

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {**asdict(self), "faster_than_linear": self.faster_than_linear}


def fit(points: Sequence[float], samples: Sequence[Sequence[float]]) -> Growth:
    """Fit samples, any number at each of at least three points.

    points: above 0, of rising size. samples: from 0 up. Raises ValueError where there are too few
    points, or samples to judge them by: one more than three in all.
    """
    x = np.concatenate(
        [np.full(len(s), p, np.float64) for p, s in zip(points, samples, strict=True)]
    )
    y = np.concatenate([np.asarray(s, np.float64) for s in samples])
    if len(points) < 3 or len(y) < 4 or not all(map(len, samples)):
        raise ValueError("a fit needs three points, and four samples")
    medians = [float(np.median(s)) for s in samples]
    rise = medians[-1] / medians[0] if medians[0] > 0 else float("inf")
    logs = np.log(np.maximum(y, LEAST * y.max() or 1.0))
    shares, levels, squares = _best(x / x.max(), logs)
    best = int(squares.argmin())
    constant = float(shares[best] * levels[best])
    factor = float(levels[best]) - constant
    freedom = len(y) - 3
    worse = 1 + _STUDENT[min(freedom, len(_STUDENT)) - 1] ** 2 / freedom
    flat = float(((logs - logs.mean()) ** 2).sum())
    if rise < 1 + LEAST_RISE or factor <= 0 or flat <= squares[best] * worse:
        middle = float(np.median(y))
        return Growth(middle, 0.0, 0.0, 0.0, 0.0, 1.0, rise)
    likely = POWERS[squares <= squares[best] * worse + 1e-18]
    power = float(POWERS[best])
    return Growth(
        constant=constant,
        factor=factor / float(x.max()) ** power,
        power=power,
        low=float(likely.min()),
        high=float(likely.max()),
        constant_share=constant / (constant + factor),
        rise=rise,
    )


def _best(
    unit: NDArray[np.float64], logs: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """For each power the constant's best share of the largest point, that point, and the squares.

    unit: places, the largest 1. The share is searched for, finer each time; the level follows.
    """
    grown = unit ** POWERS[:, None, None]
    shares = np.tile(SHARES, (len(POWERS), 1))
    at = np.arange(len(POWERS))
    for _ in range(ROUNDS):
        errors = logs - np.log(shares[..., None] + (1 - shares[..., None]) * grown)
        level = errors.mean(axis=2)
        squares = ((errors - level[..., None]) ** 2).sum(axis=2)
        which = squares.argmin(axis=1)
        found = shares[at, which], np.exp(level[at, which]), squares[at, which]
        low = shares[at, np.maximum(which - 1, 0)]
        high = shares[at, np.minimum(which + 1, shares.shape[1] - 1)]
        shares = low[:, None] + (high - low)[:, None] * np.linspace(0, 1, 11)
    return found
