"""Powers of growth: found again in made figures, and not claimed where there are none."""

from __future__ import annotations

import numpy as np
import pytest
from reverie.benchmarks.growth import Growth, fit

X = (1.0, 2.0, 4.0, 8.0)


def made(constant: float, factor: float, power: float, spread: float, seed: int) -> Growth:
    rng = np.random.default_rng(seed)
    return fit(X, [(constant + factor * x**power) * rng.lognormal(0, spread, 3) for x in X])


@pytest.mark.parametrize("power", [0.5, 1.0, 1.5, 2.0])
@pytest.mark.parametrize("constant", [0.0, 1.0, 5.0])
def test_a_power_is_found_beside_a_constant(constant: float, power: float) -> None:
    found = made(constant, 1.0, power, 0.0, 0)
    assert found.power == pytest.approx(power, abs=0.02)
    assert found.constant == pytest.approx(constant, abs=0.05)
    assert found.factor == pytest.approx(1.0, abs=0.05)
    assert found.constant_share == pytest.approx(constant / (constant + 8**power), abs=0.02)
    assert found.faster_than_linear is (power > 1.1)


@pytest.mark.parametrize(("constant", "power"), [(1.0, 1.0), (0.0, 1.0), (1.0, 2.0), (3.0, 1.5)])
def test_the_interval_holds_the_power_as_often_as_it_says(constant: float, power: float) -> None:
    found = [made(constant, 1.0, power, 0.02, seed) for seed in range(150)]
    held = sum(one.low <= power <= one.high for one in found)
    # Four binomial deviations below 95%; the constant cannot be negative, so it may hold more.
    assert held >= 0.95 * 150 - 4 * (150 * 0.95 * 0.05) ** 0.5
    accused = sum(one.faster_than_linear for one in found)
    assert accused >= 140 if power > 1 else accused <= 0.05 * 150


def test_what_does_not_grow_is_not_said_to() -> None:
    flat = made(1.0, 0.0, 1.0, 0.01, 0)
    assert (flat.power, flat.grows, flat.faster_than_linear) == (0.0, False, False)
    assert "does not grow" in flat.told()
    rng = np.random.default_rng(1)
    wild = fit(X, [rng.lognormal(0, 1, 3) for _ in X])
    assert not wild.faster_than_linear


def test_growth_is_seen_through_noise_of_a_factor_of_two() -> None:
    rng = np.random.default_rng(3)
    found = fit((1, 4, 16, 36), [x**1.5 * rng.lognormal(0, 0.4, 2) for x in (1, 4, 16, 36)])
    assert found.grows
    assert found.rise > 50


def test_falling_and_zero_figures_do_no_harm() -> None:
    assert not fit(X, [[8.0, 8.0], [4.0, 4.0], [2.0, 2.0], [1.0, 1.0]]).grows
    assert not fit(X, [[0.0, 0.0]] * 4).faster_than_linear
    assert fit(X, [[0.0], [0.0], [1.0], [2.0]]).rise == float("inf")


def test_too_little_is_refused() -> None:
    with pytest.raises(ValueError, match="three points"):
        fit((1, 2), [[1.0, 1.0], [2.0, 2.0]])
    with pytest.raises(ValueError, match="four samples"):
        fit((1, 2, 3), [[1.0], [2.0], [3.0]])
