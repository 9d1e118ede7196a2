"""Every schedule beside diffusers' scheduler of the same name, step by step."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from diffusers.schedulers import (
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
)
from reverie.engines.errors import BundleError, SettingsError
from reverie.runtime.denoise import denoise
from reverie.runtime.levels import training_noise_levels
from reverie.runtime.schedule import (
    Schedule,
    dpmpp_2m,
    euler_karras,
    flow_euler,
    mu_for_size,
    mu_for_tokens,
    schedule_from_manifest,
    unipc_flow,
)

# diffusers hands torch tensors to np.array, which NumPy 2 remarks upon.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

STEPS = [1, 2, 4, 10, 30]
SHAPE = (1, 3, 4, 5)
TOLERANCE = 1e-5  # of the largest value met; the reference works in float32


def unit(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(SHAPE, dtype=np.float32)


def assert_same_path(schedule: Schedule, reference: object, *, scale: float = 1.0) -> None:
    """Both go from the same noise with the same random outputs; every state is compared."""
    reference = copy.deepcopy(reference)  # it counts its steps
    outputs = [unit(100 + i) for i in range(schedule.steps)]
    start = unit(1) * np.float32(schedule.initial_noise)

    theirs, inputs = torch.from_numpy(start), []
    states = []
    for i, timestep in enumerate(reference.timesteps):
        if hasattr(reference, "scale_model_input"):
            inputs.append(reference.scale_model_input(theirs, timestep).numpy())
        else:
            inputs.append(theirs.numpy())
        theirs = reference.step(torch.from_numpy(outputs[i]), timestep, theirs, return_dict=False)[
            0
        ]
        states.append(theirs.numpy())

    seen, told = [], []

    def step(latents: np.ndarray, timestep: float) -> np.ndarray:
        seen.append(latents)
        told.append(timestep)
        return outputs[len(told) - 1]

    ours = denoise(step, start, schedule)
    assert ours.dtype == np.float32
    assert len(told) == schedule.steps == len(reference.timesteps)
    told_scale = float(np.abs(reference.timesteps.numpy()).max()) or 1.0
    np.testing.assert_allclose(
        np.array(told) * scale, reference.timesteps.numpy(), atol=2e-6 * told_scale, rtol=0
    )
    befores, lost = [start, *states], 0.0
    for mine, its, before in zip(
        [*seen[1:], ours], [*inputs[1:], states[-1]], befores[:-1], strict=True
    ):
        # Beside the tolerance, what float32 loses where a state of 700 shrinks to 1 at once.
        lost += 2 * np.finfo(np.float32).eps * float(np.abs(before).max())
        limit = TOLERANCE * max(1.0, float(np.abs(its).max())) + lost
        np.testing.assert_allclose(mine, its, atol=limit, rtol=0)


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("shift", [1.0, 3.0, 5.0])
def test_flow_euler(steps: int, shift: float) -> None:
    reference = FlowMatchEulerDiscreteScheduler(shift=shift)
    sigmas = np.linspace(1.0, 1.0 / steps, steps)
    reference.set_timesteps(sigmas=sigmas)
    assert_same_path(flow_euler(steps, shift=shift, timestep_scale=1000.0), reference)
    assert_same_path(flow_euler(sigmas=sigmas, shift=shift), reference, scale=1000.0)


@pytest.mark.parametrize("steps", STEPS)
def test_flow_euler_of_stable_diffusion_3(steps: int) -> None:
    reference = FlowMatchEulerDiscreteScheduler(shift=3.0)
    reference.set_timesteps(steps)
    last = 3.0 * 0.001 / (1.0 + 2.0 * 0.001)
    assert_same_path(flow_euler(steps, shift=3.0, last=last, timestep_scale=1000.0), reference)


@pytest.mark.parametrize("steps", STEPS[1:])
def test_flow_euler_of_ltx(steps: int) -> None:
    reference = FlowMatchEulerDiscreteScheduler(
        use_dynamic_shifting=True, base_shift=0.95, max_shift=2.05, shift_terminal=0.1
    )
    mu = mu_for_tokens(2112)
    assert mu == pytest.approx(0.95 + (2112 - 1024) * 1.1 / 3072)
    reference.set_timesteps(sigmas=np.linspace(1.0, 1.0 / steps, steps), mu=mu)
    assert_same_path(flow_euler(steps, mu=mu, terminal=0.1, timestep_scale=1000.0), reference)


def test_flow_euler_with_fixed_levels() -> None:
    sigmas = [1.0, 0.9937, 0.9875, 0.9812, 0.975, 0.9094, 0.725, 0.4219]
    reference = FlowMatchEulerDiscreteScheduler()
    reference.set_timesteps(sigmas=sigmas)
    assert_same_path(flow_euler(sigmas=sigmas, timestep_scale=1000.0), reference)


def test_flow_euler_that_draws_fresh_noise() -> None:
    reference = FlowMatchEulerDiscreteScheduler(stochastic_sampling=True)
    reference.set_timesteps(sigmas=np.linspace(1.0, 0.25, 4))
    schedule = flow_euler(4, stochastic=True)
    generator = torch.Generator().manual_seed(3)
    theirs = torch.from_numpy(unit(1))
    for i, timestep in enumerate(reference.timesteps):
        theirs = reference.step(
            torch.from_numpy(unit(i)), timestep, theirs, generator=generator, return_dict=False
        )[0]

    generator = torch.Generator().manual_seed(3)
    outputs = (unit(i) for i in range(4))
    ours = denoise(
        lambda latents, timestep: next(outputs),
        unit(1),
        schedule,
        noise=lambda: torch.randn(SHAPE, generator=generator).numpy(),
    )
    np.testing.assert_allclose(ours, theirs.numpy(), atol=TOLERANCE)


@pytest.mark.parametrize("steps", [1, 2, 4, 10, 25, 30])
def test_euler_karras_of_svd(steps: int) -> None:
    reference = EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        interpolation_type="linear",
        use_karras_sigmas=True,
        sigma_min=0.002,
        sigma_max=700.0,
        steps_offset=1,
        timestep_spacing="leading",
        timestep_type="continuous",
    )
    reference.set_timesteps(steps)
    schedule = euler_karras(steps)
    assert schedule.initial_noise == pytest.approx(float(reference.init_noise_sigma))
    assert_same_path(schedule, reference)


@pytest.mark.parametrize("steps", STEPS)
def test_euler_karras_of_a_noise_predicting_network(steps: int) -> None:
    reference = EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        use_karras_sigmas=True,
        sigma_min=0.03,
        sigma_max=14.6,
        timestep_spacing="leading",
    )
    reference.set_timesteps(steps)
    schedule = euler_karras(steps, prediction="epsilon", sigma_min=0.03, sigma_max=14.6)
    assert_same_path(schedule, reference)


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("shift", [1.0, 5.0])
def test_dpmpp_2m_flow(steps: int, shift: float) -> None:
    reference = DPMSolverMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift
    )
    reference.set_timesteps(steps)
    assert_same_path(dpmpp_2m(steps, shift=shift), reference)


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize(("prediction", "name"), [("epsilon", "epsilon"), ("v", "v_prediction")])
def test_dpmpp_2m_beta_schedule(steps: int, prediction: str, name: str) -> None:
    reference = DPMSolverMultistepScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type=name
    )
    reference.set_timesteps(steps)
    assert_same_path(dpmpp_2m(steps, prediction=prediction), reference)


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("shift", [1.0, 5.0])
def test_unipc_flow_of_wan(steps: int, order: int, shift: float) -> None:
    reference = UniPCMultistepScheduler(
        prediction_type="flow_prediction",
        use_flow_sigmas=True,
        flow_shift=shift,
        solver_order=order,
    )
    reference.set_timesteps(steps)
    assert_same_path(unipc_flow(steps, shift=shift, order=order), reference)


def test_tables_are_float64_and_end_without_noise() -> None:
    for schedule in (flow_euler(4), euler_karras(4), dpmpp_2m(4), unipc_flow(4)):
        assert schedule.noise_levels[-1] == 0.0
        assert len(schedule.noise_levels) == schedule.steps + 1
        for table in (schedule.latent_weights, schedule.output_weights):
            assert table.dtype == np.float64
            assert table.shape == (schedule.steps, schedule.order)
            assert np.isfinite(table).all()


def test_training_noise_levels_match_the_reference() -> None:
    for kind in ("linear", "scaled_linear"):
        reference = DPMSolverMultistepScheduler(
            beta_start=0.0001, beta_end=0.02, beta_schedule=kind
        )
        theirs = reference.sigmas.numpy()
        np.testing.assert_allclose(training_noise_levels(0.0001, 0.02, kind), theirs, rtol=5e-4)
    with pytest.raises(ValueError, match="scaled_linear"):
        training_noise_levels(0.1, 0.2, "cosine")


def test_a_schedule_since_a_step() -> None:
    whole = flow_euler(5, shift=3.0)
    rest = whole.since(2)
    assert rest.steps == 3
    np.testing.assert_array_equal(rest.timesteps, whole.timesteps[2:])
    np.testing.assert_array_equal(rest.noise_levels, whole.noise_levels[2:])
    np.testing.assert_array_equal(rest.output_weights, whole.output_weights[2:])
    for schedule, first in ((whole, 5), (whole, -1), (unipc_flow(5), 1)):
        with pytest.raises(ValueError, match="cannot begin"):
            schedule.since(first)


def test_what_a_call_sets_takes_the_place_of_the_bundles() -> None:
    entry = {"type": "flow_euler", "sigmas": [1.0, 0.5], "shift": 2.0}
    asked = schedule_from_manifest(entry, sigmas=[1.0, 0.6, 0.2], shift=None)
    np.testing.assert_allclose(asked.noise_levels, [1.0, 0.75, 1 / 3, 0.0])
    assert schedule_from_manifest(entry, timesteps=[1.0, 0.5, 0.25]).steps == 3
    dynamic = {"type": "flow_euler", "dynamic_shift": {"type": "linear"}}
    assert schedule_from_manifest(dynamic, steps=2, mu=3.0).noise_levels[1] == pytest.approx(0.75)
    fixed = schedule_from_manifest({"type": "flow_euler"}, steps=2, mu=3.0)
    assert fixed.noise_levels[1] == 0.5  # mu counts only where the shift is dynamic
    with pytest.raises(BundleError, match="mu must be given"):
        schedule_from_manifest(dynamic, steps=2)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"sigmas": [0.5, 0.7]}, "fall"),
        ({"sigmas": [1.5, 0.7]}, "at most 1"),
        ({"sigmas": ["much"]}, "much"),
        ({"sigmas": [1.0, 0.5], "timesteps": [1.0]}, "2 sigmas and 1 timesteps"),
        ({"sigmas": [1.0, 0.5], "steps": 3}, "3 steps"),
        ({"colour": 1}, "has no colour"),
    ],
)
def test_impossible_levels_are_the_callers_mistake(asked: dict[str, object], said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        schedule_from_manifest({"type": "flow_euler", "shift": 3.0}, **asked)
    assert said in str(caught.value)


@pytest.mark.parametrize("section", [{}, {"base_tokens": 1, "max_tokens": 1}, {"base_tokens": "a"}])
def test_a_broken_dynamic_shift_is_told(section: dict[str, object]) -> None:
    with pytest.raises(BundleError, match="dynamic_shift needs base_tokens"):
        mu_for_size({"dynamic_shift": section}, 64)


def test_from_manifest() -> None:
    entry = {"type": "flow_euler", "steps": 10, "shift": 3.0}
    schedule = schedule_from_manifest(entry)
    assert schedule.steps == 10
    np.testing.assert_array_equal(schedule.timesteps, flow_euler(10, shift=3.0).timesteps)
    assert schedule_from_manifest(entry, steps=4).steps == 4
    assert schedule_from_manifest({"type": "unipc_flow", "steps": 6, "order": 3}).order == 4
    assert schedule_from_manifest({"type": "dpmpp_2m"}).steps == 20
    assert schedule_from_manifest({"type": "euler_karras"}).steps == 25
    assert entry == {"type": "flow_euler", "steps": 10, "shift": 3.0}


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"type": "ancestral"}, "dpmpp_2m, euler, euler_karras, flow_euler, unipc_flow"),
        ({}, "None"),
        ({"type": ["flow_euler"]}, "flow_euler"),
        ({"type": "flow_euler", "shfit": 3.0}, "'shfit'"),
        ({"type": "flow_euler", "steps": 0}, "1 to 1000"),
        ({"type": "flow_euler", "steps": True}, "1 to 1000"),
        ({"type": "flow_euler", "shift": "three"}, "bundle.json"),
        ({"type": "flow_euler", "shift": 0.0}, "shift"),
        ({"type": "flow_euler", "sigmas": [0.5, 0.7]}, "fall"),
        ({"type": "flow_euler", "sigmas": []}, "fall"),
        ({"type": "euler_karras", "prediction": "flow"}, "v, epsilon"),
        ({"type": "euler_karras", "sigma_min": 0.0}, "sigma_min"),
        ({"type": "dpmpp_2m", "prediction": "sample"}, "flow, epsilon, v"),
        ({"type": "unipc_flow", "order": 4}, "1, 2 and 3"),
    ],
)
def test_a_broken_manifest_is_told_in_one_line(entry: dict[str, object], says: str) -> None:
    with pytest.raises(BundleError) as caught:
        schedule_from_manifest(entry)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_impossible_steps_are_the_callers_mistake() -> None:
    with pytest.raises(SettingsError, match="from 1 to 1000"):
        schedule_from_manifest({"type": "flow_euler"}, steps=0)
    with pytest.raises(SettingsError, match="fixed"):
        schedule_from_manifest({"type": "flow_euler", "sigmas": [1.0, 0.5]}, steps=3)
    with pytest.raises(SettingsError):
        flow_euler(1001)
