"""LTX films against diffusers' pipelines: tiny ones, random weights, the same noise for both."""

from __future__ import annotations

import importlib.util
import logging
import shutil
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from diffusers import FlowMatchEulerDiscreteScheduler
from diffusers.pipelines.ltx.pipeline_ltx_condition import (
    LTXVideoCondition,
    linear_quadratic_schedule,
)
from diffusers.pipelines.ltx.pipeline_ltx_image2video import calculate_shift
from PIL import Image
from reverie.engines.errors import BundleError, SettingsError
from reverie.export import assemble
from reverie.export.schedule import schedule_section
from reverie.export.source import open_source
from reverie.runtime.bundle import Bundle
from reverie.runtime.families import ltx
from reverie.runtime.families.ltx_plan import linear_quadratic, make_schedule
from reverie.runtime.model import Model, load

from .short_memory import short_of_memory

NOISE_LEVELS = {"base_shift": 0.95, "max_shift": 2.05, "base_image_seq_len": 1024}
LEANING = {"use_dynamic_shifting": True, "shift_terminal": 0.1, **NOISE_LEVELS}
PROMPTS = {"prompt": "the sea, slow waves", "negative_prompt": "blurry"}
SMALL = {"height": 64, "width": 96, "num_frames": 9, "steps": 3}


def _load_tiny() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "ltx_tiny", Path(__file__).with_name("ltx_tiny.py")
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tiny = _load_tiny()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Model, Any]]:
    """Bundles, and the pipelines they were made from."""
    folder = tmp_path_factory.mktemp("ltx")
    made = {}
    logging.disable(logging.CRITICAL)  # torch tells its tracing at length to whoever collects logs
    try:
        for name, pipeline in tiny.checkpoints(folder).items():
            bundle = folder / f"{name}-bundle"
            if name != "new":
                shutil.copytree(folder / "new-bundle", bundle)
            assemble.export(open_source(folder / name), bundle, precision="fp32", verify=True)
            made[name] = load(bundle, device="cpu"), pipeline
    finally:
        logging.disable(logging.NOTSET)
    return made


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A soft picture, uint8 (height, width, 3)."""
    drawn = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    soft = Image.fromarray(drawn).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(soft)


def scheduled(model: Model, config: Mapping[str, Any]) -> Model:
    """The same model with another scheduler."""
    old = model.bundle.manifest["pipeline"] == "LTXImageToVideoPipeline"
    section = schedule_section("FlowMatchEulerDiscreteScheduler", config, own_levels=old)
    bundle = replace(model.bundle, manifest={**model.bundle.manifest, "schedule": section})
    return Model(bundle, ltx, "cpu")


def ours(model: Model, noise: Mapping[str, np.ndarray], settings: Mapping[str, Any]) -> np.ndarray:
    photo = picture(settings["height"], settings["width"])
    return np.stack(list(model.frames(photo, **PROMPTS, noise=noise, **settings)))


def theirs(
    pipeline: Any, draws: Iterator[np.ndarray], settings: dict[str, Any], config: dict[str, Any]
) -> np.ndarray:
    """Frames of diffusers' pipeline, asked for the same."""
    asked = dict(settings)
    names = {"steps": "num_inference_steps", "guidance": "guidance_scale"}
    asked = {names.get(name, name): value for name, value in asked.items()}
    photo = Image.fromarray(picture(asked["height"], asked["width"]))
    if "ConditionPipeline" in type(pipeline).__name__:
        strength, last = asked.pop("strength", 1.0), asked.pop("last_image", None)
        both = strength if isinstance(strength, tuple) else (strength, strength)
        asked["conditions"] = [LTXVideoCondition(image=photo, frame_index=0, strength=both[0])]
        if last is not None:
            at, end = asked["num_frames"] - 1, Image.fromarray(last)
            asked["conditions"].append(LTXVideoCondition(None, None, at, both[1]))
            asked["conditions"][-1].image = end
    else:
        asked["image"] = photo
    pipeline.scheduler = FlowMatchEulerDiscreteScheduler(**config)
    with tiny.drawing(draws), warnings.catch_warnings():
        # The scheduler hands a tensor to numpy in a way that numpy 2 will not take for ever.
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        film = pipeline(**PROMPTS, output_type="pil", **asked).frames[0]
    return np.stack([np.asarray(frame) for frame in film])


CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("new", {}, {}),
    ("new", {}, {"guidance": 1.0, "num_frames": 17}),
    ("new", {}, {"height": 96, "width": 64, "guidance": 4.5, "num_frames": 25}),
    ("new", {}, {"guidance_rescale": 0.7, "frame_rate": 12, "num_frames": 5}),
    ("new", {}, {"num_frames": 1}),
    ("new", {}, {"steps": 1, "decode_timestep": 0.05, "decode_noise_scale": 0.3}),
    ("new", {}, {"decode_timestep": 0.1, "image_cond_noise_scale": 0.0}),
    ("new", {}, {"strength": 0.6, "steps": 8}),
    ("new", {}, {"last_image": picture(64, 96, 7)}),
    ("new", {}, {"last_image": picture(64, 96, 7), "strength": (1.0, 0.4), "steps": 6}),
    ("new", {}, {"timesteps": [1000, 993, 987, 909, 725, 0.03], "guidance": 1.0}),
    ("new", {}, {"timesteps": [1000, 909, 725, 421, 0], "guidance": 1.0}),
    ("new", {"shift": 3.0}, {"steps": 4}),
    ("new", {"stochastic_sampling": True}, {"steps": 2, "guidance": 1.0}),
    ("new", {"stochastic_sampling": True}, {"steps": 5, "strength": 0.7, "guidance": 1.0}),
    ("old", {}, {}),
    ("old", {}, {"num_frames": 1}),
    ("old", {"shift": 2.5}, {"guidance": 1.0, "num_frames": 17}),
    ("old", LEANING, {"num_frames": 25, "frame_rate": 12.5, "max_sequence_length": 20}),
    ("old", LEANING | {"stochastic_sampling": True}, {"guidance": 2.0}),
    ("old", LEANING | {"use_karras_sigmas": True}, {"guidance_rescale": 0.5}),
    ("old", LEANING | {"time_shift_type": "linear"}, {"height": 128, "width": 32}),
    ("told", {}, {"decode_timestep": 0.05, "decode_noise_scale": 0.025}),
    ("told", LEANING, {"num_frames": 17, "decode_timestep": 0.2}),
]


@pytest.mark.parametrize(("name", "config", "asked"), CASES)
def test_frames_are_those_of_diffusers(
    models: dict[str, tuple[Model, Any]], name: str, config: dict[str, Any], asked: dict[str, Any]
) -> None:
    model, pipeline = models[name]
    model, settings = scheduled(model, config), SMALL | asked
    shapes = model.noise_shapes(**settings)
    drawn = np.random.default_rng(3)
    noise = {n: drawn.standard_normal(shape, np.float32) for n, shape in shapes.items()}
    draws = iter(tiny.in_order(shapes, noise))
    expected = theirs(pipeline, draws, settings, config)
    assert not list(draws)  # the reference drew as often as noise_shapes says
    found = ours(model, noise, settings)
    assert found.shape == expected.shape
    assert found.dtype == np.uint8
    assert expected.std() > 20  # no flat film
    assert tiny.psnr(found, expected) >= 70


@pytest.mark.parametrize(
    "change",
    [
        {"guidance": 1.0},
        {"guidance_rescale": 0.7},
        {"frame_rate": 12},
        {"strength": 0.6},
        {"image_cond_noise_scale": 0.0},
        {"last_image": picture(64, 96, 7)},
        {"steps": 2},
        {"decode_timestep": 0.1},
        {"decode_noise_scale": 0.1},
        {"seed": 1},
        {"prompt": "leaves"},
    ],
)
def test_settings_change_frames_by_more_than_parity_lets_through(
    models: dict[str, tuple[Model, Any]], change: dict[str, Any]
) -> None:
    model, _ = models["new"]
    photo = picture(64, 96)
    plain = np.stack(list(model.frames(photo, **(PROMPTS | SMALL))))
    changed = np.stack(list(model.frames(photo, **(PROMPTS | SMALL | change))))
    assert tiny.psnr(plain, changed) < 65


@pytest.mark.parametrize("name", ["new", "old", "told"])
def test_components_are_torch_to_1e_5_at_two_shapes(
    models: dict[str, tuple[Model, Any]], name: str
) -> None:
    components = models[name][0].bundle.manifest["components"]
    assert set(components) == {"text_encoder", "vae_encoder", "denoiser", "vae_decoder"}
    for entry in components.values():
        figures = entry["parity"]
        assert len(figures["sizes"]) == 2
        assert all(figure["relative_l2"] <= 1e-5 for figure in figures["outputs"].values())


@pytest.mark.parametrize("name", ["new", "told"])
def test_windows_are_the_whole_where_they_share_enough(
    models: dict[str, tuple[Model, Any]], name: str
) -> None:
    model, _ = models[name]
    reach = model.bundle.section("decode")["reach_frames"]
    settings = SMALL | {"width": 64, "num_frames": 4 * (3 * reach + 3) + 1, "steps": 1}
    photo = picture(64, 64)
    whole = np.stack(list(model.frames(photo, **settings)))
    cut = np.stack(list(model.frames(photo, **settings, decode_window=2 * (2 * reach + 1))))
    assert tiny.psnr(whole, cut) >= 60


def test_tiles_are_the_whole_where_they_share_enough(
    models: dict[str, tuple[Model, Any]],
) -> None:
    model, _ = models["new"]
    reach = model.bundle.section("decode")["reach_cells"]
    side = 2 * (2 * reach + 1) * 8
    settings = SMALL | {"height": 64, "width": side + 96, "num_frames": 5, "steps": 1}
    settings["width"] -= settings["width"] % 32
    photo = picture(64, settings["width"])
    whole = np.stack(list(model.frames(photo, **settings)))
    cut = np.stack(list(model.frames(photo, **settings, decode_tile=side)))
    assert tiny.psnr(whole, cut) >= 60


def test_small_pieces_stay_near_the_whole(models: dict[str, tuple[Model, Any]]) -> None:
    """Less than the decoder looks around is shared: not exact, and random weights look far."""
    model, _ = models["new"]
    settings = SMALL | {"height": 96, "num_frames": 49, "steps": 1}
    photo = picture(96, 96)
    whole = np.stack(list(model.frames(photo, **settings)))
    cut = np.stack(list(model.frames(photo, **settings, decode_window=8, decode_tile=64)))
    assert whole.shape == cut.shape
    assert tiny.psnr(whole, cut) >= 22


def test_a_decoder_short_of_memory_gets_smaller_pieces(
    models: dict[str, tuple[Model, Any]],
) -> None:
    model, _ = models["new"]
    settings = SMALL | {"height": 96, "num_frames": 49, "steps": 1}
    photo, notes = picture(96, 96), list[str]()
    whole = np.stack(list(model.frames(photo, **settings)))
    shape = model.noise_shapes(96, 96, 49)["latents"]
    bundle = short_of_memory(model.bundle, int(np.prod(shape)) // 2, notes)
    cut = np.stack(list(Model(bundle, model.family, "cpu").frames(photo, **settings)))
    assert whole.shape == cut.shape
    assert tiny.psnr(whole, cut) >= 22
    below = short_of_memory(model.bundle, 1, notes, below=True)
    fallen = np.stack(list(Model(below, model.family, "cpu").frames(photo, **settings)))
    assert np.array_equal(fallen, whole)


def test_noise_of_a_seed_is_repeated(models: dict[str, tuple[Model, Any]]) -> None:
    model, _ = models["old"]
    photo = picture(64, 96)
    one, two = (np.stack(list(model.frames(photo, **SMALL, seed=5))) for _ in range(2))
    assert np.array_equal(one, two)


@pytest.mark.parametrize(
    ("asked", "made", "word"),
    [
        ({"height": 70, "width": 100}, (64, 96, 9), "multiples of 32"),
        ({"num_frames": 12}, (64, 96, 13), "12 frames became 13"),
        ({"num_frames": 3}, (64, 96, 5), "3 frames became 5"),
    ],
)
def test_sizes_become_the_nearest_possible(
    models: dict[str, tuple[Model, Any]],
    asked: dict[str, int],
    made: tuple[int, int, int],
    word: str,
) -> None:
    plan = models["new"][0].plan(**(SMALL | asked))
    assert (plan.height, plan.width, plan.num_frames) == made
    assert word in " ".join(plan.notes)


@pytest.mark.parametrize(
    ("name", "asked", "words"),
    [
        ("new", {"strength": 1.5}, "strength 1.5"),
        ("new", {"frame_rate": 0}, "frame_rate"),
        ("new", {"timesteps": [1, 2]}, "timesteps"),
        ("new", {"timesteps": "fast"}, "there are no timesteps 'fast'"),
        ("new", {"sigmas": [2.0, 1.0]}, "sigmas"),
        ("new", {"sigmas": [1.0], "timesteps": [1000]}, "both given"),
        ("new", {"num_frames": 1, "last_image": picture(64, 96)}, "last_image"),
        ("new", {"decode_noise_scale": "much"}, "decode_noise_scale"),
        ("old", {"last_image": picture(64, 96)}, "has no last_image"),
        ("old", {"strength": 0.5}, "has no strength"),
    ],
)
def test_impossible_settings_are_one_line(
    models: dict[str, tuple[Model, Any]], name: str, asked: dict[str, Any], words: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        models[name][0].plan(**(SMALL | asked))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_broken_manifests_are_told(models: dict[str, tuple[Model, Any]]) -> None:
    bundle = models["new"][0].bundle
    for change in (
        {"pipeline": "LTXPipeline"},
        {"latents": {}},
        {"latents": bundle.section("latents") | {"std": [1.0]}},
        {"decode": bundle.section("decode") | {"noise_maps": "none"}},
    ):
        with pytest.raises(BundleError, match="export the model again"):
            ltx.plan(replace(bundle, manifest={**bundle.manifest, **change}))


def test_presets_take_the_place_of_steps(models: dict[str, tuple[Model, Any]]) -> None:
    bundle = models["new"][0].bundle
    presets = {"distilled": [1000.0, 909.4, 421.9], "second_pass": [909.4, 421.9]}
    defaults = bundle.section("defaults") | {"timesteps": "distilled", "guidance": 1.0}
    bundle = replace(bundle, manifest={**bundle.manifest, "presets": presets, "defaults": defaults})
    plan = ltx.plan(bundle)
    assert plan.schedule.timesteps == pytest.approx(presets["distilled"])
    assert plan.schedule.noise_levels[:-1] == pytest.approx([1.0, 0.9094, 0.4219])
    assert ltx.plan(bundle, timesteps="second_pass").steps == 2
    assert ltx.plan(bundle, steps=4).schedule.timesteps == pytest.approx(
        1000 * linear_quadratic_schedule(4).numpy()
    )


@pytest.mark.parametrize("steps", [1, 2, 3, 8, 25, 50])
def test_levels_of_the_condition_pipeline(steps: int) -> None:
    expected = linear_quadratic_schedule(steps).numpy()
    np.testing.assert_allclose(linear_quadratic(steps), expected, rtol=1e-6)


@pytest.mark.parametrize("given", ["sigmas", "timesteps"])
@pytest.mark.parametrize("config", [{}, {"shift": 3.0}, LEANING])
def test_given_levels_are_the_schedulers(
    models: dict[str, tuple[Model, Any]], given: str, config: dict[str, Any]
) -> None:
    bundle: Bundle = scheduled(models["old"][0], config).bundle
    values = [1.0, 0.9, 0.5, 0.2] if given == "sigmas" else [1000.0, 900.0, 500.0, 200.0]
    reference = FlowMatchEulerDiscreteScheduler(**config)
    names = ("base_image_seq_len", "max_image_seq_len", "base_shift", "max_shift")
    mu = calculate_shift(3000, *(reference.config[name] for name in names))
    reference.set_timesteps(**{given: values}, mu=mu)
    both = {"sigmas": None, "timesteps": None} | {given: values}
    made = make_schedule(bundle, False, 3000, None, **both, notes=[])
    np.testing.assert_allclose(made.noise_levels, reference.sigmas.numpy(), atol=1e-6)
    np.testing.assert_allclose(made.timesteps, reference.timesteps.numpy(), rtol=1e-6)
