"""How sure a ratio of two sets of measurements is: exact intervals by ranks, no assumed bell curve.

Both follow Hollander, Wolfe and Chicken, "Nonparametric Statistical Methods" (3rd ed., 2014), on
the logarithms of the samples, so that a shift is a ratio: of the medians, where the two
distributions differ by a factor. Nothing here is random, so that the same samples give the same
interval. With few samples a small error cannot be promised at all; the interval is then 0 to
infinity, which is the truth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

EXACT = 400
"""Pairs of samples up to which ranks are counted out; beyond, their sum is taken as normal."""


@dataclass(frozen=True)
class Interval:
    """A ratio after / before, and where it lies with the error that was allowed."""

    ratio: float
    """Hodges and Lehmann's estimate: the median of all ratios of pairs."""
    low: float
    high: float

    @property
    def known(self) -> bool:
        """Whether there were samples enough for an interval."""
        return self.low > 0.0 and math.isfinite(self.high)


def unpaired(before: Sequence[float], after: Sequence[float], error: float) -> Interval:
    """The ratio of two independent sets of positive samples, by Mann and Whitney's ranks.

    error: chance, 0..1, that the true ratio lies outside (section 4.3 of the book above; never more
    than this, ties or not, as its ends belong to it). Raises ValueError where a set is empty or
    a sample is not positive.
    """
    first, second = _logarithms(before), _logarithms(after)
    ratios = np.sort((second[None, :] - first[:, None]).ravel())
    return _cut(ratios, _rank_sum_cut(len(first), len(second), error))


def paired(before: Sequence[float], after: Sequence[float], error: float) -> Interval:
    """The ratio within pairs of positive samples, by Wilcoxon's signed ranks (section 3.3).

    before and after were measured in turn, so that what changes slowly is the same in both.
    """
    if len(before) != len(after):
        raise ValueError(f"{len(before)} and {len(after)} samples are no pairs")
    steps = _logarithms(after) - _logarithms(before)
    rows, columns = np.triu_indices(len(steps))
    averages = np.sort((steps[rows] + steps[columns]) / 2)
    return _cut(averages, _signed_rank_cut(len(steps), error))


def least_samples(error: float) -> int:
    """Samples on each of two sides from which on an interval with this error exists."""
    return next(n for n in range(1, 1 << 10) if 2 / math.comb(2 * n, n) <= error)


def least_pairs(error: float) -> int:
    """Pairs from which on an interval with this error exists."""
    return max(1, math.ceil(1 + math.log2(1 / error)))


def attained(first: int, second: int, error: float) -> float:
    """The error that `unpaired` really makes on samples without ties; 0 where it has no interval.

    Ranks come in whole numbers, so this is below what was allowed.
    """
    cut = _rank_sum_cut(first, second, error)
    return 2 * float(sum(_rank_sums(first, second)[:cut])) / math.comb(first + second, first)


def _logarithms(samples: Sequence[float]) -> NDArray[np.float64]:
    values = np.asarray(samples, np.float64)
    if not values.size or not np.isfinite(values).all() or (values <= 0).any():
        raise ValueError("a ratio needs samples, all of them above zero")
    return np.log(values)


def _cut(values: NDArray[np.float64], cut: int) -> Interval:
    """The interval that leaves out cut - 1 of the sorted values at each end; none for cut 0."""
    ratio = math.exp(float(np.median(values)))
    if cut == 0:
        return Interval(ratio, 0.0, math.inf)
    return Interval(ratio, math.exp(values[cut - 1]), math.exp(values[-cut]))


def _rank_sum_cut(first: int, second: int, error: float) -> int:
    """How many values of Mann and Whitney's U lie in half of the error, at the lower end."""
    if first * second > EXACT:
        mean = first * second / 2
        spread = math.sqrt(first * second * (first + second + 1) / 12)
        return max(0, math.floor(mean + NormalDist().inv_cdf(error / 2) * spread))
    return _within(_rank_sums(first, second), math.comb(first + second, first), error)


def _signed_rank_cut(pairs: int, error: float) -> int:
    if pairs > 64:
        mean = pairs * (pairs + 1) / 4
        spread = math.sqrt(pairs * (pairs + 1) * (2 * pairs + 1) / 24)
        return max(0, math.floor(mean + NormalDist().inv_cdf(error / 2) * spread))
    return _within(_signed_ranks(pairs), 2**pairs, error)


def _within(counts: Sequence[int], total: int, error: float) -> int:
    """How many of the first counts make up at most half of the error."""
    room, cut = error / 2 * total, 0
    for count in counts[: len(counts) // 2]:
        room -= count
        if room < 0:
            break
        cut += 1
    return cut


@cache
def _rank_sums(first: int, second: int) -> tuple[int, ...]:
    """Orders of two sets of samples by their U, 0 .. first x second (Mann and Whitney, 1947).

    The coefficients of a Gaussian binomial, multiplied and divided out in whole numbers.
    """
    size = first * second + 1
    counts = [1] + [0] * (size - 1)
    for i in range(1, second + 1):
        for at in range(size - 1, first + i - 1, -1):
            counts[at] -= counts[at - first - i]
        for at in range(i, size):
            counts[at] += counts[at - i]
    return tuple(counts)


@cache
def _signed_ranks(pairs: int) -> tuple[int, ...]:
    """Choices of signs by the sum of the ranks that are positive (Wilcoxon, 1945)."""
    counts = [1]
    for rank in range(1, pairs + 1):
        wider = counts + [0] * rank
        for at, count in enumerate(counts):
            wider[at + rank] += count
        counts = wider
    return tuple(counts)
