"""Intervals of ratios, against other people's and against the errors that they promise."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from reverie.benchmarks.intervals import (
    attained,
    least_pairs,
    least_samples,
    paired,
    unpaired,
)


def within(wrong: int, tries: int, chance: float) -> bool:
    """Whether so many errors are what a chance gives, four binomial deviations either way."""
    return abs(wrong - tries * chance) <= 4 * math.sqrt(tries * chance * (1 - chance))


@pytest.mark.parametrize(("first", "second"), [(5, 5), (4, 7), (9, 8), (25, 24)])
@pytest.mark.parametrize("error", [0.05, 0.01])
def test_unpaired_is_what_the_test_does_not_reject(first: int, second: int, error: float) -> None:
    """An interval holds the ratios that Mann and Whitney's own test lets stand."""
    from scipy.stats import mannwhitneyu

    rng = np.random.default_rng(first)
    before, after = rng.gamma(3, 1, first), 1.4 * rng.gamma(3, 1, second)
    found = unpaired(before, after, error)
    way = "exact" if first * second <= 400 else "asymptotic"
    if not found.known:
        assert 2 / math.comb(first + second, first) > error
        return
    for inside, ratio in (
        (True, found.low * 1.0001),
        (True, found.high * 0.9999),
        (False, found.low * 0.9999),
        (False, found.high * 1.0001),
    ):
        chance = mannwhitneyu(after / ratio, before, method=way).pvalue
        slack = 0.0 if way == "exact" else 0.05 * error
        assert chance > error - slack if inside else chance <= error + slack


@pytest.mark.parametrize("pairs", [6, 10, 15])
def test_paired_is_what_the_test_does_not_reject(pairs: int) -> None:
    from scipy.stats import wilcoxon

    rng = np.random.default_rng(pairs)
    before = rng.gamma(3, 1, pairs)
    after = before * rng.lognormal(0.2, 0.1, pairs)
    found = paired(before, after, 0.05)
    steps = np.log(after / before)
    for inside, ratio in ((True, found.low * 1.0001), (False, found.low * 0.9999)):
        chance = wilcoxon(steps - math.log(ratio), method="exact").pvalue
        assert bool(chance > 0.05) is inside


def test_the_ratio_is_the_median_of_all_ratios() -> None:
    before, after = (1.0, 2.0, 4.0), (3.0, 5.0)
    ratios = [b / a for a, b in itertools.product(before, after)]
    found = unpaired(before, after, 0.2)
    assert found.ratio == pytest.approx(math.exp(np.median(np.log(ratios))))


@pytest.mark.parametrize(("error", "samples"), [(0.05, 4), (0.01, 5), (0.001, 7)])
def test_few_samples_promise_nothing(error: float, samples: int) -> None:
    assert least_samples(error) == samples
    side = np.arange(1.0, samples + 1)
    assert unpaired(side, 9 * side, error).known
    assert not unpaired(side[1:], 9 * side[1:], error).known
    pairs = least_pairs(error)
    side = np.arange(1.0, pairs + 1)
    assert paired(side, side * side, error).known
    assert not paired(side[1:], (side * side)[1:], error).known


@pytest.mark.parametrize(("first", "second", "error"), [(8, 8, 0.05), (5, 5, 0.05), (10, 6, 0.02)])
def test_equal_things_are_accused_as_often_as_promised(
    first: int, second: int, error: float
) -> None:
    rng, tries = np.random.default_rng(0), 3000
    wrong = 0
    for _ in range(tries):
        found = unpaired(rng.gamma(2, 1, first), rng.gamma(2, 1, second), error)
        wrong += found.low > 1 or found.high < 1
    assert attained(first, second, error) <= error
    assert within(wrong, tries, attained(first, second, error))


def test_equal_pairs_are_accused_as_often_as_promised() -> None:
    rng, tries = np.random.default_rng(1), 3000
    wrong = 0
    for _ in range(tries):
        mood = rng.gamma(2, 1, 10)  # what both of a pair share
        found = paired(mood * rng.gamma(5, 1, 10), mood * rng.gamma(5, 1, 10), 0.05)
        wrong += found.low > 1 or found.high < 1
    assert within(wrong, tries, 2 * 25 / 2**10)  # 25 sums of 10 ranks are below 9


def test_ties_only_widen() -> None:
    rng, wrong = np.random.default_rng(2), 0
    for _ in range(1000):
        found = unpaired(rng.integers(5, 8, 8), rng.integers(5, 8, 8), 0.05)
        wrong += found.low > 1 or found.high < 1
    assert wrong <= 0.05 * 1000


@pytest.mark.parametrize("bad", [(), (1.0, 0.0), (1.0, -2.0), (math.nan,)])
def test_what_has_no_ratio_is_refused(bad: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="above zero"):
        unpaired(bad, (1.0, 2.0), 0.05)
    with pytest.raises(ValueError, match=r"above zero|no pairs"):
        paired((1.0, 2.0)[: len(bad)], bad, 0.05)
