"""The loop beside the same sum written out, and what it promises."""

from __future__ import annotations

import numpy as np
import pytest
from reverie.engines.errors import EngineError, SettingsError
from reverie.runtime.denoise import denoise
from reverie.runtime.schedule import Schedule, dpmpp_2m, euler_karras, flow_euler, unipc_flow


def network(latents: np.ndarray, timestep: float) -> np.ndarray:
    return np.tanh(latents + np.float32(timestep * 1e-3)) * np.float32(0.5)


def written_out(schedule: Schedule, latents: np.ndarray, noises: list[np.ndarray]) -> np.ndarray:
    """The table's sum in float64, indices and all."""
    xs, outs = [latents.astype(np.float64)], []
    for i in range(schedule.steps):
        outs.append(network(xs[i] * schedule.input_scale[i], schedule.timesteps[i]))
        total = schedule.noise_weights[i] * noises[i]
        for j in range(min(i + 1, schedule.order)):
            total = total + schedule.latent_weights[i, j] * xs[i - j]
            total = total + schedule.output_weights[i, j] * outs[i - j]
        xs.append(total)
    return xs[-1]


@pytest.mark.parametrize(
    "schedule",
    [
        flow_euler(10),
        flow_euler(1),
        flow_euler(6, stochastic=True),
        euler_karras(7),
        dpmpp_2m(8),
        dpmpp_2m(5, prediction="epsilon"),
        unipc_flow(9),
        unipc_flow(9, order=3),
    ],
)
def test_the_loop_is_the_sum_of_the_table(schedule: Schedule) -> None:
    rng = np.random.default_rng(0)
    start = rng.standard_normal((1, 4, 6, 5), dtype=np.float32)
    start *= np.float32(schedule.initial_noise)
    noises = [rng.standard_normal(start.shape, dtype=np.float32) for _ in range(schedule.steps)]
    before, source = start.copy(), iter(noises)

    result = denoise(network, start, schedule, noise=lambda: next(source))

    assert result.dtype == np.float32
    assert result.shape == start.shape
    np.testing.assert_array_equal(start, before)
    np.testing.assert_allclose(result, written_out(schedule, start, noises), atol=2e-5)


def test_a_perfect_network_is_followed_to_its_data() -> None:
    """A velocity network that knows the data lands on it, whatever the sampler."""
    rng = np.random.default_rng(1)
    data = rng.standard_normal((2, 8), dtype=np.float32)
    start = rng.standard_normal((2, 8), dtype=np.float32)
    for schedule in (flow_euler(3), flow_euler(10, shift=5.0), unipc_flow(10), dpmpp_2m(10)):
        levels = iter(schedule.noise_levels.tolist())
        result = denoise(lambda x, t, lv=levels: (x - data) / next(lv), start, schedule)
        np.testing.assert_allclose(result, data, atol=1e-4)


def test_the_same_start_gives_the_same_result() -> None:
    start = np.random.default_rng(2).standard_normal((1, 34, 3, 3), dtype=np.float32)
    first, second = (denoise(network, start, unipc_flow(8)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_only_as_much_history_is_kept_as_the_table_has_columns() -> None:
    import weakref

    alive: list[weakref.ref[np.ndarray]] = []
    most = 0

    def step(latents: np.ndarray, timestep: float) -> np.ndarray:
        nonlocal most
        output = latents.copy()
        alive.append(weakref.ref(output))
        most = max(most, sum(ref() is not None for ref in alive))
        return output

    denoise(step, np.ones((2, 2), np.float32), dpmpp_2m(12))
    assert most <= 3


def test_missing_noise_is_said() -> None:
    with pytest.raises(SettingsError, match="noise="):
        denoise(network, np.zeros((1, 1), np.float32), flow_euler(3, stochastic=True))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("schedule", [flow_euler(5), unipc_flow(5), euler_karras(5)])
def test_what_is_not_finite_stops_at_its_step(schedule: Schedule, bad: float) -> None:
    calls = 0

    def step(latents: np.ndarray, timestep: float) -> np.ndarray:
        nonlocal calls
        calls += 1
        output = network(latents, timestep)
        if calls == 3:
            output[0, 0, 1] = bad
            output[0, 1, 2] = -bad
        return output

    start = np.ones((1, 3, 4), np.float32)
    with pytest.raises(EngineError) as caught:
        denoise(step, start, schedule)
    assert calls == 3
    assert "the denoiser gave NaN or infinity at step 3 of 5" in str(caught.value)
    assert "--precision bf16 or fp32" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_large_finite_numbers_pass() -> None:
    start = np.full((2, 50), 1e30, np.float32)
    assert np.isfinite(denoise(lambda x, t: x * np.float32(0.1), start, flow_euler(4))).all()
