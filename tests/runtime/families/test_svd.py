"""Stable Video Diffusion bundles beside diffusers: same weights, photo and noise, same frames."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from reverie.engines.errors import (
    BundleError,
    DeviceMemoryError,
    EngineError,
    SettingsError,
)
from reverie.export import assemble
from reverie.export.schedule import schedule_section
from reverie.export.source import open_source
from reverie.runtime.bundle import Bundle, Component, DataFile, load_bundle
from reverie.runtime.families import svd
from reverie.runtime.model import Model
from reverie.runtime.noise import Noise
from reverie.runtime.stages import Stages

from . import svd_tiny as tiny
from .short_memory import short_of_memory

LEAST_PSNR = 55.0
"""dB; rounding to 8 bits alone costs 58.9."""


class Exported(dict[str, tuple[Any, Path]]):
    """Tiny pipelines, each with the folder of its bundle, exported when first asked for."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        super().__init__()
        self.factory = factory

    def __missing__(self, name: str) -> tuple[Any, Path]:
        folder = self.factory.mktemp(name)
        pipeline = tiny.build({"small": tiny.SMALL, "deep": tiny.DEEP}[name])
        source = open_source(tiny.save(pipeline, folder / "checkpoint"))
        assemble.export(source, folder / "bundle", precision="fp32")
        self[name] = pipeline, folder / "bundle"
        return self[name]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return Exported(tmp_path_factory)


def picture(height: int, width: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Smooth random colours with some grain, uint8 (height, width, 3)."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.float32)
    return np.clip(smooth + rng.normal(0, 8, smooth.shape), 0, 255).astype(np.uint8)


def noise_for(model: Model, **asked: Any) -> dict[str, Any]:
    rng = np.random.default_rng(7)
    shapes = model.noise_shapes(**asked)
    return {name: rng.standard_normal(shape, dtype=np.float32) for name, shape in shapes.items()}


def psnr(frames: Any, expected: Any) -> float:
    """dB of uint8 frames beside floats in 0..1."""
    error = np.mean((np.asarray(frames, np.float64) - np.asarray(expected, np.float64) * 255) ** 2)
    return float(10 * np.log10(255.0**2 / max(float(error), 1e-12)))


# pipeline, photo (height, width), what both are asked for
CASES: list[tuple[str, tuple[int, int], dict[str, Any]]] = [
    ("small", (32, 32), {"height": 32, "width": 32, "num_frames": 2, "steps": 2}),
    ("small", (70, 50), {"height": 40, "width": 24, "num_frames": 5, "steps": 4, "guidance": 1.0}),
    (
        "small",
        (24, 40),
        {"height": 24, "width": 40, "num_frames": 14, "steps": 1, "decode_chunk_size": 4},
    ),
    (
        "small",
        (300, 400),
        {
            "height": 24,
            "width": 32,
            "num_frames": 3,
            "steps": 25,
            "min_guidance_scale": 1.5,
            "max_guidance_scale": 4.0,
        },
    ),
    (
        "small",
        (32, 32),
        {
            "height": 32,
            "width": 32,
            "num_frames": 4,
            "steps": 3,
            "fps": 24,
            "motion_bucket_id": 30,
            "noise_aug_strength": 0.4,
            "decode_chunk_size": 3,
        },
    ),
    (
        "small",
        (32, 48),
        {"height": 32, "width": 48, "num_frames": 3, "sigmas": [90.0, 20.0, 3.0, 0.5, 0.0]},
    ),
    (
        "small",
        (32, 32),
        {"height": 32, "width": 32, "num_frames": 1, "steps": 3, "guidance": 1.0},
    ),
    ("deep", (64, 96), {"height": 64, "width": 96, "num_frames": 3, "steps": 3, "guidance": 2.5}),
    (
        "deep",
        (96, 96),
        {
            "height": 72,
            "width": 40,
            "num_frames": 7,
            "steps": 4,
            "guidance": 6.0,
            "decode_chunk_size": 2,
        },
    ),
    ("deep", (56, 104), {"height": 56, "width": 104, "num_frames": 2, "steps": 8, "guidance": 0.0}),
]


@pytest.mark.parametrize(("name", "size", "asked"), CASES)
def test_frames_are_those_of_diffusers(
    made: Exported, name: str, size: tuple[int, int], asked: dict[str, Any]
) -> None:
    pipeline, folder = made[name]
    model = Model(load_bundle(folder), svd, "cpu")
    photo = picture(*size)
    noise = noise_for(model, **asked)
    expected = tiny.run(pipeline, photo, noise, **asked)

    frames = list(model.frames(photo, noise=noise, **asked))

    assert np.asarray(frames).dtype == np.uint8
    assert np.asarray(frames).shape == expected.shape
    assert expected.std() > 0.05  # the comparison says something
    assert psnr(frames, expected) >= LEAST_PSNR


@pytest.mark.parametrize(
    "scheduler",
    [
        {"prediction_type": "epsilon", "timestep_type": "discrete", "sigma_max": 14.0},
        {"use_karras_sigmas": False, "timestep_type": "discrete", "timestep_spacing": "trailing"},
        {"sigma_min": None, "sigma_max": None, "timestep_spacing": "linspace"},
    ],
)
def test_frames_are_those_of_diffusers_with_other_schedules(
    made: Exported, scheduler: dict[str, Any]
) -> None:
    pipeline, folder = made["small"]
    old = pipeline.scheduler
    bundle = load_bundle(folder)
    asked = {"height": 32, "width": 32, "num_frames": 3, "steps": 5}
    try:
        pipeline.scheduler = type(old)(**{**tiny.SCHEDULER, **scheduler})
        section = schedule_section("EulerDiscreteScheduler", dict(pipeline.scheduler.config))
        manifest = {**bundle.manifest, "schedule": section}
        model = Model(replace(bundle, manifest=manifest), svd, "cpu")
        noise, photo = noise_for(model, **asked), picture(32, 32)
        expected = tiny.run(pipeline, photo, noise, **asked)
    finally:
        pipeline.scheduler = old
    assert psnr(list(model.frames(photo, noise=noise, **asked)), expected) >= LEAST_PSNR


@pytest.mark.parametrize("name", ["small", "deep"])
def test_each_component_is_its_pytorch_twin(made: Exported, name: str) -> None:
    pipeline, folder = made[name]
    bundle, rng = load_bundle(folder), np.random.default_rng(3)
    unet, vae, factor = pipeline.unet, pipeline.vae, pipeline.vae_scale_factor
    width = pipeline.image_encoder.config.projection_dim

    def check(component: str, twin: Any, *sets: dict[str, tuple[int, ...]]) -> None:
        with bundle.open(component, device="cpu") as engine, torch.no_grad():
            for shapes in sets:
                given = {
                    name: np.float32(100) * rng.random(shape, np.float32)
                    if name in ("timestep", "added_ids")
                    else rng.standard_normal(shape, dtype=np.float32)
                    for name, shape in shapes.items()
                }
                (found,) = engine.run(given).values()
                expected = twin(*(torch.from_numpy(value) for value in given.values())).numpy()
                assert found.shape == expected.shape
                distance = np.linalg.norm(found - expected) / np.linalg.norm(expected)
                assert distance <= 1e-5, (component, shapes, distance)

    check(
        "image_encoder",
        lambda image: pipeline.image_encoder(image).image_embeds,
        {"image": (1, 3, 224, 224)},
        {"image": (1, 3, 224, 224)},
    )
    check(
        "vae_encoder",
        lambda image: vae.encode(image).latent_dist.mode(),
        {"image": (1, 3, 4 * factor, 6 * factor)},
        {"image": (1, 3, 9 * factor, 5 * factor)},
    )
    check(
        "denoiser",
        lambda latents, timestep, embedding, ids: unet(latents, timestep, embedding, ids).sample,
        *(
            {
                "latents": (1, frames, unet.config.in_channels, rows, columns),
                "timestep": (1,),
                "embedding": (1, 1, width),
                "added_ids": (1, 3),
            }
            for frames, rows, columns in ((2, 8, 12), (5, 7, 9), (1, 10, 6))
        ),
    )
    check(
        "vae_decoder",
        lambda latents: vae.decode(latents, num_frames=len(latents)).sample,
        *(
            {"latents": (frames, vae.config.latent_channels, rows, columns)}
            for frames, rows, columns in ((3, 4, 6), (1, 5, 3), (6, 3, 3))
        ),
    )


def test_frames_stream_chunk_by_chunk(made: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model(load_bundle(made["small"][1]), svd, "cpu")
    chunks = []
    whole = svd._decode_chunk
    monkeypatch.setattr(
        svd,
        "_decode_chunk",
        lambda engine, latents: chunks.append(len(latents)) or whole(engine, latents),
    )
    asked = {"height": 16, "width": 24, "num_frames": 5, "steps": 1, "guidance": 1.0}
    drawn = model.frames(picture(16, 24), decode_chunk_size=2, **asked)
    next(drawn)
    assert chunks == [2]
    assert len(list(drawn)) == 4
    assert chunks == [2, 2, 1]


def test_a_decoder_short_of_memory_gets_smaller_chunks(made: Exported) -> None:
    bundle, notes = load_bundle(made["small"][1]), list[str]()
    asked = {"height": 32, "width": 32, "num_frames": 5, "steps": 1}
    chunked = list(Model(bundle, svd, "cpu").frames(picture(32, 32), **asked, decode_chunk_size=2))
    size = int(np.prod(Model(bundle, svd).noise_shapes(32, 32, 5)["latents"])) // 5
    short = short_of_memory(bundle, 2 * size, notes)
    frames = list(Model(short, svd, "cpu").frames(picture(32, 32), **asked))
    assert np.array_equal(frames, chunked)
    strict = Model(short_of_memory(bundle, 2 * size, notes, strict=True), svd, "cpu")
    with pytest.raises(DeviceMemoryError):
        list(strict.frames(picture(32, 32), **asked))
    with pytest.raises(DeviceMemoryError):
        list(Model(short_of_memory(bundle, 1, notes), svd, "cpu").frames(picture(32, 32), **asked))
    below = Model(short_of_memory(bundle, 1, notes, below=True), svd, "cpu")
    whole = list(Model(bundle, svd, "cpu").frames(picture(32, 32), **asked))
    assert np.array_equal(list(below.frames(picture(32, 32), **asked)), whole)
    assert notes == ["vae_decoder: out of memory; goes on as fp32 on cpu by onnxruntime"]


def test_a_seed_says_all_that_is_random(made: Exported) -> None:
    model = Model(load_bundle(made["small"][1]), svd, "cpu")
    asked = {"height": 16, "width": 16, "num_frames": 2, "steps": 2}
    one, same, other = (
        np.stack(list(model.frames(picture(16, 16), seed=seed, **asked))) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert np.abs(one.astype(int) - other).max() > 0


def test_the_manifest_is_that_of_the_checkpoint(made: Exported) -> None:
    manifest = json.loads((made["deep"][1] / "bundle.json").read_text())
    assert manifest["family"] == "svd"
    assert manifest["latents"]["channels"] == 6
    assert manifest["latents"]["spatial_factor"] == 8
    assert manifest["latents"]["scaling_factor"] == 0.4
    assert manifest["image"]["mean"] == [0.4, 0.5, 0.6]
    assert manifest["schedule"]["sigma_max"] == 80.0
    assert manifest["defaults"]["num_frames"] == 25
    assert list(manifest["components"]) == [
        "image_encoder",
        "vae_encoder",
        "denoiser",
        "vae_decoder",
    ]


# What follows is arithmetic: no network is there.


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """A bundle as the published 14-frame checkpoint gives it, without its networks."""
    file = DataFile("denoiser.onnx", 3_000_000_000, "")
    manifest = {
        "latents": {"channels": 4, "spatial_factor": 8, "scaling_factor": 0.18215},
        "image": {"size": 224, "mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2]},
        "schedule": schedule_section("EulerDiscreteScheduler", tiny.SCHEDULER),
        "limits": {
            "multiple": 8,
            "least_frames": 1,
            "most_frames": 56,
            "decoded_pixel_bytes": 3584,
            "denoised_cell_bytes": 51200,
        },
        "defaults": {
            "height": 576,
            "width": 1024,
            "num_frames": 14,
            "steps": 25,
            "min_guidance_scale": 1.0,
            "max_guidance_scale": 3.0,
            "fps": 7,
            "motion_bucket_id": 127,
            "noise_aug_strength": 0.02,
            "decode_chunk_size": None,
        },
    }
    return Bundle(tmp_path, "svd", "svd", "1", {"denoiser": Component("denoiser", file)}, manifest)


def test_a_plan_without_wishes_is_the_reference_call(bundle: Bundle) -> None:
    plan = svd.plan(bundle)
    assert (plan.height, plan.width, plan.num_frames, plan.steps) == (576, 1024, 14, 25)
    assert (plan.fps, plan.motion_bucket_id, plan.noise_aug_strength) == (7.0, 127.0, 0.02)
    np.testing.assert_allclose(plan.ramp, np.linspace(1.0, 3.0, 14), rtol=1e-6)
    assert plan.guided
    assert svd.noise_shapes(bundle, plan) == {
        "latents": (1, 14, 4, 72, 128),
        "image": (1, 3, 576, 1024),
    }


def test_what_the_model_cannot_do_is_brought_to_the_nearest(bundle: Bundle) -> None:
    plan = svd.plan(bundle, height=570, width=1, num_frames=99)
    assert (plan.height, plan.width, plan.num_frames) == (568, 8, 56)
    assert [note.split(" brought")[0] for note in plan.notes] == [
        "height 570",
        "width 1",
        "num_frames 99",
    ]
    assert svd.plan(bundle, height=576, width=1024, decode_chunk_size=8).notes == ()


def test_guidance_is_the_last_frames_guidance(bundle: Bundle) -> None:
    assert svd.plan(bundle, guidance=5.0).ramp[[0, -1]].tolist() == [1.0, 5.0]
    assert not svd.plan(bundle, guidance=1.0).guided
    assert not svd.plan(bundle, guidance=0.0).guided
    assert svd.plan(bundle, guidance=2.0, max_guidance_scale=2.0).guidance == 2.0
    with pytest.raises(SettingsError, match="two names of one setting"):
        svd.plan(bundle, guidance=2.0, max_guidance_scale=3.0)


def test_decoding_takes_no_more_memory_than_the_denoiser(bundle: Bundle) -> None:
    assert svd.plan(bundle, height=256, width=256).decode_chunk_size == 14
    large = svd.plan(bundle, height=512, width=512)
    assert large.decode_chunk_size == 6
    assert "decode_chunk_size 14" in large.notes[0]
    assert svd.plan(bundle, height=512, width=512, num_frames=2).decode_chunk_size == 2
    assert svd.plan(bundle, decode_chunk_size=14).decode_chunk_size == 14
    assert svd.plan(bundle, decode_chunk_size=99).decode_chunk_size == 14


def test_sigmas_say_how_many_steps_there_are(bundle: Bundle) -> None:
    plan = svd.plan(bundle, steps=9, sigmas=np.array([80.0, 4.0, 0.3, 0.0]))
    assert plan.steps == 3
    assert plan.sigmas == (80.0, 4.0, 0.3, 0.0)
    assert "steps 9 brought to 3" in plan.notes[0]


@pytest.mark.parametrize(
    "asked",
    [
        {"fps": 0},
        {"fps": True},
        {"fps": float("nan")},
        {"motion_bucket_id": -1},
        {"noise_aug_strength": -0.1},
        {"noise_aug_strength": "a lot"},
        {"decode_chunk_size": 0},
        {"decode_chunk_size": 2.5},
        {"min_guidance_scale": float("inf")},
        {"sigmas": [1.0]},
        {"sigmas": [1.0, 2.0]},
        {"sigmas": [[3.0, 1.0]]},
        {"sigmas": [3.0, float("nan")]},
        {"sigmas": "fast"},
    ],
)
def test_impossible_settings_are_refused_by_name(bundle: Bundle, asked: dict[str, Any]) -> None:
    (name,) = asked
    with pytest.raises(SettingsError, match=f"{name} .*cannot be used: give") as caught:
        svd.plan(bundle, **asked)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("section", "change"),
    [
        ("latents", {"channels": None}),
        ("latents", {"scaling_factor": 0}),
        ("image", {"mean": [0.5]}),
        ("limits", {"multiple": "8"}),
    ],
)
def test_a_broken_manifest_is_told(bundle: Bundle, section: str, change: dict[str, Any]) -> None:
    broken = {**bundle.manifest, section: {**bundle.manifest[section], **change}}
    if change == {"multiple": "8"}:
        del broken["limits"]["multiple"]
    with pytest.raises(BundleError, match="export the model again"):
        svd.plan(replace(bundle, manifest=broken))


def test_clip_sees_the_photo_before_it_is_resized(bundle: Bundle) -> None:
    photo = picture(100, 60)
    plan = svd.plan(bundle, height=64, width=32)
    pictures = svd.prepare(photo, plan)
    assert pictures.seen is photo
    lanczos = Image.fromarray(photo).resize((32, 64), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(pictures.begun, np.asarray(lanczos))
    fitting = picture(64, 32)
    assert svd.prepare(fitting, plan).begun is fitting


@pytest.mark.parametrize("broken", ["image_encoder", "vae_encoder", "denoiser", "vae_decoder"])
def test_nan_stops_the_render_and_names_the_component(
    bundle: Bundle, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = svd.plan(bundle, height=16, width=16, num_frames=2, steps=2)
    shapes = {
        "image_encoder": ("embedding", (1, 8)),
        "vae_encoder": ("latents", (1, 4, 2, 2)),
        "denoiser": ("prediction", (1, 2, 4, 2, 2)),
        "vae_decoder": ("frames", (2, 3, 16, 16)),
    }

    class Stub:
        def __init__(self, name: str) -> None:
            self.name = name

        def run(self, inputs: Any) -> dict[str, Any]:
            output, shape = shapes[self.name]
            return {output: np.full(shape, np.nan if self.name == broken else 0.1, np.float32)}

        def __enter__(self) -> Stub:
            return self

        def __exit__(self, *_: object) -> None:
            return None

    monkeypatch.setattr(Bundle, "open", lambda self, name, device: Stub(name))
    frames = svd.frames(bundle, picture(16, 16), plan, noise=Noise(0), stages=Stages())
    with pytest.raises(EngineError, match=broken):
        list(frames)
