"""Scheduler configurations, translated and run, beside the schedulers themselves."""

from __future__ import annotations

from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from reverie.engines.errors import BundleError
from reverie.export.schedule import schedule_section
from reverie.runtime.denoise import denoise
from reverie.runtime.schedule import Schedule, mu_for_size, schedule_from_manifest

# diffusers hands torch tensors to np.array, which NumPy 2 remarks upon.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

FLOW = "FlowMatchEulerDiscreteScheduler"
EULER = "EulerDiscreteScheduler"
UNIPC = "UniPCMultistepScheduler"
DPM = "DPMSolverMultistepScheduler"

STEPS = [1, 3, 4, 8, 25, 50]
TOLERANCE = 1e-5

SVD = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "interpolation_type": "linear",
    "prediction_type": "v_prediction",
    "sigma_max": 700.0,
    "sigma_min": 0.002,
    "steps_offset": 1,
    "timestep_spacing": "leading",
    "timestep_type": "continuous",
    "use_karras_sigmas": True,
}
ENDS = {"sigma_max": 14.0, "sigma_min": 0.03}
LATENT = {k: SVD[k] for k in ("beta_start", "beta_end", "beta_schedule")}
WAN = {"prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": 5.0}
# With bh1, diffusers' own last step down to zero is infinity times zero.
BH1 = WAN | {"solver_type": "bh1", "final_sigmas_type": "sigma_min"}
LTX = {
    "use_dynamic_shifting": True,
    "base_shift": 0.95,
    "max_shift": 2.05,
    "base_image_seq_len": 1024,
    "shift_terminal": 0.1,
}

CASES = [
    (FLOW, {}),
    (FLOW, {"shift": 3.0}),
    (FLOW, {"shift": 5.0, "num_train_timesteps": 500}),
    (FLOW, {"use_karras_sigmas": True, "shift": 2.0}),
    (FLOW, {"use_exponential_sigmas": True}),
    (FLOW, {"use_beta_sigmas": True, "shift": 3.0}),
    (EULER, SVD),
    (EULER, SVD | {"use_karras_sigmas": False}),
    (EULER, SVD | {"use_karras_sigmas": False, "use_exponential_sigmas": True}),
    (EULER, SVD | {"use_karras_sigmas": False, "use_beta_sigmas": True}),
    (EULER, SVD | {"timestep_spacing": "trailing", "sigma_max": None, "sigma_min": None}),
    (EULER, SVD | {"timestep_type": "discrete", "timestep_spacing": "linspace"} | ENDS),
    (EULER, SVD | {"final_sigmas_type": "sigma_min", "use_karras_sigmas": False}),
    (EULER, LATENT | {"timestep_spacing": "linspace"}),
    (EULER, LATENT | {"timestep_spacing": "trailing", "prediction_type": "v_prediction"}),
    (EULER, LATENT | {"timestep_spacing": "leading", "use_karras_sigmas": True}),
    (EULER, LATENT | {"interpolation_type": "log_linear"}),
    (EULER, LATENT | {"interpolation_type": "log_linear", "use_karras_sigmas": True}),
    (EULER, LATENT | {"prediction_type": "sample", "steps_offset": 1}),
    (EULER, {"beta_schedule": "squaredcos_cap_v2"}),
    (EULER, {"trained_betas": np.linspace(0.001, 0.02, 600).tolist(), "num_train_timesteps": 600}),
    (UNIPC, WAN),
    (UNIPC, WAN | {"flow_shift": 3.0, "solver_order": 1}),
    (UNIPC, WAN | {"flow_shift": 8.0, "solver_order": 3}),
    (UNIPC, BH1),
    (UNIPC, BH1 | {"solver_order": 3, "flow_shift": 1.0}),
    (UNIPC, WAN | {"disable_corrector": [0, 1, 2]}),
    (UNIPC, WAN | {"final_sigmas_type": "sigma_min"}),
    (UNIPC, WAN | {"final_sigmas_type": "sigma_min", "lower_order_final": False}),
    (UNIPC, WAN | {"solver_order": 1, "lower_order_final": False}),
    (UNIPC, WAN | {"shift_terminal": 0.1}),
    (UNIPC, WAN | {"use_karras_sigmas": True}),
    (UNIPC, WAN | {"use_karras_sigmas": True, "sigma_max": 80.0, "sigma_min": 0.02}),
    (DPM, WAN),
    (DPM, WAN | {"flow_shift": 1.0, "solver_type": "heun"}),
    (DPM, WAN | {"solver_order": 1}),
    (DPM, WAN | {"euler_at_final": True, "final_sigmas_type": "sigma_min"}),
    (DPM, LATENT),
    (DPM, LATENT | {"prediction_type": "v_prediction", "lower_order_final": False}),
    (DPM, LATENT | {"final_sigmas_type": "sigma_min"}),
]


def unit(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((1, 3, 4, 5), dtype=np.float32)


def assert_same_path(schedule: Schedule, reference: Any) -> None:
    """Both go from the same noise with the same outputs; every state and timestep is compared."""
    outputs = [unit(100 + i) for i in range(schedule.steps)]
    start = unit(1) * np.float32(schedule.initial_noise)
    theirs, states, inputs = torch.from_numpy(start), [start], []
    assert schedule.steps == len(reference.timesteps)
    for output, timestep in zip(outputs, reference.timesteps, strict=True):
        scale = getattr(reference, "scale_model_input", lambda latents, timestep: latents)
        inputs.append(scale(theirs, timestep).numpy())
        theirs = reference.step(torch.from_numpy(output), timestep, theirs, return_dict=False)[0]
        theirs = theirs.float()
        states.append(theirs.numpy())

    seen, told, source = [], [], iter(outputs)

    def step(latents: np.ndarray, timestep: float) -> np.ndarray:
        seen.append(latents)
        told.append(timestep)
        return next(source)

    ours = denoise(step, start, schedule)
    largest = float(np.abs(reference.timesteps.numpy()).max()) or 1.0
    np.testing.assert_allclose(told, reference.timesteps.numpy(), atol=2e-6 * largest, rtol=0)
    lost = 0.0
    for mine, its, before in zip(
        [*seen[1:], ours], [*inputs[1:], states[-1]], states[:-1], strict=True
    ):
        # Beside the tolerance, what float32 loses where a state of 700 shrinks to 1 at once.
        lost += 2 * np.finfo(np.float32).eps * float(np.abs(before).max())
        limit = TOLERANCE * max(1.0, float(np.abs(its).max())) + lost
        np.testing.assert_allclose(mine, its, atol=limit, rtol=0)


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize(("name", "config"), CASES)
def test_a_translated_scheduler_goes_the_same_way(
    name: str, config: dict[str, Any], steps: int
) -> None:
    if steps == 1 and "shift_terminal" in config:
        pytest.skip("diffusers divides zero by zero")
    section = schedule_section(name, config)
    schedule = schedule_from_manifest(section, steps=steps)
    reference = getattr(diffusers, name)(**config)
    reference.set_timesteps(steps)
    if config.get("solver_order") == 3:  # its float32 solving loses 7e-5; what is meant is compared
        reference.sigmas = reference.sigmas.double()
    if name != FLOW:
        # Some are a tensor of one float.
        first = float(torch.as_tensor(reference.init_noise_sigma))
        assert schedule.initial_noise == pytest.approx(first, rel=1e-6)
    assert_same_path(schedule, reference)


@pytest.mark.parametrize("steps", STEPS[1:])
@pytest.mark.parametrize("kind", ["exponential", "linear"])
@pytest.mark.parametrize("tokens", [64, 2112, 9000])
def test_a_shift_that_depends_on_the_size(kind: str, tokens: int, steps: int) -> None:
    config = LTX | {"time_shift_type": kind}
    section = schedule_section(FLOW, config, own_levels=True)
    assert "last" not in section
    mu = mu_for_size(section, tokens)
    assert mu == pytest.approx(0.95 + (tokens - 1024) * 1.1 / 3072)
    reference = getattr(diffusers, FLOW)(**config)
    reference.set_timesteps(sigmas=np.linspace(1.0, 1.0 / steps, steps), mu=mu)
    assert_same_path(schedule_from_manifest(section, steps=steps, mu=mu), reference)


def test_levels_and_timesteps_of_the_call() -> None:
    section = schedule_section(FLOW, {"shift": 2.0})
    sigmas = [1.0, 0.99, 0.9, 0.5, 0.1]
    reference = getattr(diffusers, FLOW)(shift=2.0)
    reference.set_timesteps(sigmas=sigmas)
    assert_same_path(schedule_from_manifest(section, sigmas=sigmas), reference)
    timesteps = [1000, 993, 909, 725, 421, 0.03]
    reference.set_timesteps(timesteps=timesteps)
    assert_same_path(schedule_from_manifest(section, timesteps=timesteps), reference)
    reference.set_timesteps(timesteps=timesteps[:5], sigmas=sigmas)
    both = schedule_from_manifest(section, timesteps=timesteps[:5], sigmas=sigmas)
    assert_same_path(both, reference)
    section = schedule_section(UNIPC, WAN)
    reference = getattr(diffusers, UNIPC)(**WAN)
    reference.set_timesteps(sigmas=np.array(sigmas))
    assert_same_path(schedule_from_manifest(section, sigmas=sigmas), reference)
    section = schedule_section(EULER, LATENT)
    reference = getattr(diffusers, EULER)(**LATENT)
    reference.set_timesteps(sigmas=[14.0, 3.0, 1.0, 0.0])
    assert_same_path(schedule_from_manifest(section, sigmas=[14.0, 3.0, 1.0, 0.0]), reference)
    reference.set_timesteps(timesteps=[900, 500, 30])
    assert_same_path(schedule_from_manifest(section, timesteps=[900, 500, 30]), reference)


def test_fresh_noise_at_each_step() -> None:
    reference = getattr(diffusers, FLOW)(stochastic_sampling=True, shift=2.0)
    reference.set_timesteps(6)
    section = schedule_section(FLOW, {"stochastic_sampling": True, "shift": 2.0})
    generator = torch.Generator().manual_seed(3)
    theirs = torch.from_numpy(unit(1))
    for i, timestep in enumerate(reference.timesteps):
        theirs = reference.step(
            torch.from_numpy(unit(i)), timestep, theirs, generator=generator, return_dict=False
        )[0]
    generator = torch.Generator().manual_seed(3)
    outputs = (unit(i) for i in range(6))
    ours = denoise(
        lambda latents, timestep: next(outputs),
        unit(1),
        schedule_from_manifest(section, steps=6),
        noise=lambda: torch.randn(unit(0).shape, generator=generator).numpy(),
    )
    np.testing.assert_allclose(ours, theirs.numpy(), atol=TOLERANCE)


def test_options_the_class_does_not_know_are_left_aside() -> None:
    config = {"_class_name": FLOW, "_diffusers_version": "0.33.0", "skip_prk_steps": True}
    assert schedule_section(FLOW, config) == schedule_section(FLOW, {})


@pytest.mark.parametrize(
    ("name", "config", "says"),
    [
        ("DDIMScheduler", {}, FLOW),
        (FLOW, {"invert_sigmas": True}, "invert_sigmas = True"),
        (FLOW, {"time_shift_type": "cubic"}, "'exponential', 'linear'"),
        (FLOW, {"use_karras_sigmas": True, "use_beta_sigmas": True}, "excludes"),
        (EULER, {"prediction_type": "flow"}, "'v_prediction'"),
        (EULER, {"beta_schedule": "sigmoid"}, "'scaled_linear'"),
        (UNIPC, {}, "'flow_prediction'"),
        (UNIPC, {"prediction_type": "flow_prediction"}, "use_flow_sigmas = False"),
        (UNIPC, WAN | {"thresholding": True}, "thresholding"),
        (UNIPC, WAN | {"predict_x0": False}, "predict_x0"),
        (UNIPC, WAN | {"solver_order": 4}, "1, 2, 3"),
        (UNIPC, WAN | {"use_exponential_sigmas": True}, "use_exponential_sigmas"),
        (UNIPC, WAN | {"lower_order_final": False}, "NaN"),
        (DPM, WAN | {"algorithm_type": "sde-dpmsolver++"}, "dpmsolver++"),
        (DPM, WAN | {"solver_order": 3}, "1, 2"),
        (DPM, WAN | {"use_lu_lambdas": True}, "use_lu_lambdas"),
        (DPM, {"prediction_type": "flow_prediction"}, "use_flow_sigmas = False"),
        (DPM, LATENT | {"timestep_spacing": "trailing"}, "linspace"),
    ],
)
def test_what_cannot_be_done_is_refused(name: str, config: dict[str, Any], says: str) -> None:
    with pytest.raises(BundleError) as caught:
        schedule_section(name, config)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
