"""Wan bundles beside diffusers: same weights, same photo, same noise, same frames."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from reverie.engines.errors import EngineError, SettingsError
from reverie.export import assemble
from reverie.export.schedule import schedule_section
from reverie.export.source import open_source
from reverie.runtime.bundle import load_bundle
from reverie.runtime.causal_decode import decode_chunks, decode_tiles
from reverie.runtime.families import wan
from reverie.runtime.families.wan_plan import Traits
from reverie.runtime.families.wan_tokens import from_tokens, rotary_tables, to_tokens
from reverie.runtime.model import Model

from . import wan_tiny as tiny
from .short_memory import short_of_memory

PIPELINES = {
    "residual": lambda: tiny.build(tiny.RESIDUAL_VAE),
    "plain": lambda: tiny.build(
        tiny.PLAIN_VAE, layers=1, heads=3, head_size=20, cross_attn_norm=False
    ),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, Path]]:
    """Each pipeline with the folder of its bundle, exported when first asked for."""
    found: dict[str, tuple[Any, Path]] = {}
    for name, build in PIPELINES.items():
        folder = tmp_path_factory.mktemp(name)
        pipeline = build()
        source = open_source(tiny.save(pipeline, folder / "checkpoint"))
        assemble.export(source, folder / "bundle", precision="fp32")
        found[name] = pipeline, folder / "bundle"
    return found


def model_with(bundle: Path, scheduler: Any) -> Model:
    """A bundle's model, as if the checkpoint had come with this scheduler."""
    read = load_bundle(bundle)
    section = schedule_section(type(scheduler).__name__, dict(scheduler.config))
    return Model(replace(read, manifest={**read.manifest, "schedule": section}), wan, "cpu")


# pipeline, scheduler, (height, width), frames, steps, guidance, negative prompt
CASES: list[tuple[str, Any, tuple[int, int], int, int, float, str | None]] = [
    ("residual", tiny.unipc(5.0), (48, 64), 9, 4, 5.0, "blurry low quality"),
    ("residual", tiny.unipc(3.0, solver_order=3), (32, 80), 5, 8, 3.0, None),
    ("residual", tiny.unipc(1.0, solver_order=1), (64, 32), 5, 3, 1.0, None),
    ("residual", tiny.unipc(8.0), (32, 32), 13, 4, 1.0, "blurry"),
    ("residual", tiny.euler(5.0), (48, 48), 13, 4, 1.0, None),
    ("residual", tiny.euler(3.0), (32, 48), 1, 1, 6.0, "still"),
    ("plain", tiny.unipc(5.0), (32, 48), 13, 8, 4.0, "blurry"),
    ("plain", tiny.unipc(3.0, lower_order_final=True), (48, 32), 9, 1, 1.0, None),
    ("plain", tiny.euler(1.0), (64, 48), 9, 3, 1.5, "low quality"),
    ("plain", tiny.euler(8.0), (32, 32), 5, 8, 1.0, None),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[3]}f-{case[4]}s")
def test_frames_are_those_of_diffusers(made: Any, case: Any) -> None:
    name, scheduler, (height, width), frames, steps, guidance, negative = case
    pipeline, bundle = made[name]
    pipeline.scheduler = scheduler
    model = model_with(bundle, scheduler)
    size = {"height": height, "width": width, "num_frames": frames}
    shapes = model.noise_shapes(**size)
    assert list(shapes) == ["latents"]
    latents = tiny.noise(shapes["latents"])
    picture = tiny.photo(height, width)

    given = list(
        model.frames(
            picture,
            "A boat  walks on &amp; the sea",
            negative,
            steps=steps,
            guidance=guidance,
            noise={"latents": latents},
            max_sequence_length=12,
            **size,
        )
    )
    wanted = tiny.reference(
        pipeline,
        picture,
        latents,
        prompt="A boat  walks on &amp; the sea",
        negative_prompt=negative,
        num_inference_steps=steps,
        guidance_scale=guidance,
        max_sequence_length=12,
        **size,
    )

    assert len(given) == frames
    assert all(frame.dtype == np.uint8 and frame.shape == (height, width, 3) for frame in given)
    assert wanted.std() > 10  # a picture, not a plain
    assert tiny.psnr(np.stack(given), wanted) >= 55


def test_a_shift_takes_the_place_of_the_checkpoints(made: Any) -> None:
    pipeline, bundle = made["plain"]
    pipeline.scheduler = tiny.unipc(2.0)
    model = model_with(bundle, tiny.unipc(5.0))
    latents, picture = tiny.noise((1, 4, 2, 8, 8)), tiny.photo(32, 32)
    size = {"height": 32, "width": 32, "num_frames": 5}
    wanted = tiny.reference(
        pipeline, picture, latents, prompt="", num_inference_steps=3, guidance_scale=1.0, **size
    )
    for name in ("shift", "flow_shift"):
        given = model.frames(
            picture, steps=3, guidance=1.0, noise={"latents": latents}, **{name: 2.0}, **size
        )
        assert tiny.psnr(np.stack(list(given)), wanted) >= 55


@pytest.mark.parametrize("name", PIPELINES)
@pytest.mark.parametrize(("frames", "height", "width"), [(1, 4, 6), (5, 6, 3)])
def test_decoding_by_chunks_is_the_references(
    made: Any, name: str, frames: int, height: int, width: int
) -> None:
    pipeline, bundle = made[name]
    read = load_bundle(bundle)
    latents = tiny.noise((1, pipeline.vae.config.z_dim, frames, height, width))
    with torch.no_grad():
        wanted = pipeline.vae.decode(torch.from_numpy(latents)).sample.numpy()
    with read.open("vae_decoder", device="cpu") as engine:
        chunks = list(decode_chunks(engine, latents, Traits.of(read).caches))
    assert [chunk.shape[2] for chunk in chunks] == [1] + (frames - 1) * [
        pipeline.vae.config.scale_factor_temporal
    ]
    given = np.concatenate(chunks, axis=2).clip(-1, 1)
    assert np.linalg.norm(given - wanted) <= 1e-5 * np.linalg.norm(wanted)


@pytest.mark.parametrize("name", PIPELINES)
def test_decoding_by_tiles_is_the_references(made: Any, name: str) -> None:
    pipeline, bundle = made[name]
    read, vae = load_bundle(bundle), pipeline.vae
    latents = tiny.noise((1, vae.config.z_dim, 3, 11, 14))
    pixels = 8 * vae.config.scale_factor_spatial
    vae.enable_tiling(pixels, pixels, pixels * 3 // 4, pixels * 3 // 4)
    with torch.no_grad():
        video = vae.decode(torch.from_numpy(latents)).sample
    vae.disable_tiling()
    wanted = pipeline.video_processor.postprocess_video(video, "np")[0] * 255
    traits = Traits.of(read)
    with read.open("vae_decoder", device="cpu") as engine:
        frames = decode_tiles(engine, latents, traits.caches, tile=8, patch=traits.decoder_patch)
        given = np.stack(list(frames))
    assert np.abs(given - wanted).max() <= 0.51


def test_tiles_are_for_what_would_not_fit(made: Any) -> None:
    bundle = load_bundle(made["residual"][1])
    traits = Traits.of(bundle)
    plan = wan.plan(bundle)

    def tile(plan: Any, height: int, width: int) -> int | None:
        return wan.choose_tile(bundle, (1, 6, 5, height, width), plan, traits)

    assert tile(plan, 60, 90) is None
    assert tile(plan, 1000, 2000) == 256 // 8
    assert tile(replace(plan, decode_tile=64), 60, 90) == 64 // 8
    assert tile(replace(plan, decode_tile=64), 8, 8) is None


def test_tiled_frames_are_near_the_whole(made: Any) -> None:
    model = model_with(made["plain"][1], tiny.euler())
    size = {"height": 64, "width": 80, "num_frames": 5, "steps": 1, "guidance": 1.0}
    whole = np.stack(list(model.frames(tiny.photo(64, 80), **size)))
    tiled = np.stack(list(model.frames(tiny.photo(64, 80), decode_tile=48, **size)))
    assert tiny.psnr(whole, tiled) > 20


def test_a_decoder_short_of_memory_gets_tiles(made: Any) -> None:
    model, notes = model_with(made["plain"][1], tiny.euler()), list[str]()
    size = {"height": 128, "width": 160, "num_frames": 5, "steps": 1, "guidance": 1.0}
    photo = tiny.photo(128, 160)
    tiled = np.stack(list(model.frames(photo, decode_tile=64, **size)))
    traits = Traits.of(model.bundle)
    most = traits.channels * (64 // traits.space) ** 2
    short = Model(short_of_memory(model.bundle, most, notes), wan, "cpu")
    assert np.array_equal(np.stack(list(short.frames(photo, **size))), tiled)


def test_the_seed_says_which_frames(made: Any) -> None:
    model = model_with(made["plain"][1], tiny.euler())
    size = {"height": 32, "width": 32, "num_frames": 5, "steps": 2, "guidance": 1.0}
    first, again, other = (
        np.stack(list(model.frames(tiny.photo(32, 32), "waves", seed=seed, **size)))
        for seed in (3, 3, 4)
    )
    assert np.array_equal(first, again)
    assert tiny.psnr(first, other) < 25
    assert tiny.psnr(first[0], other[0]) > 50  # the picture


def test_a_stochastic_schedule_draws_noise_for_each_step(made: Any) -> None:
    scheduler = tiny.euler()
    scheduler.register_to_config(stochastic_sampling=True)
    model = model_with(made["plain"][1], scheduler)
    size = {"height": 32, "width": 32, "num_frames": 5, "steps": 3, "guidance": 1.0}
    assert model.noise_shapes(**size) == {"latents": (1, 4, 2, 8, 8), "steps": (3, 1, 4, 2, 8, 8)}
    brought = {"steps": np.zeros((3, 1, 4, 2, 8, 8), np.float32)}
    one = np.stack(list(model.frames(tiny.photo(32, 32), **size)))
    other = np.stack(list(model.frames(tiny.photo(32, 32), noise=brought, **size)))
    assert not np.array_equal(one, other)


def test_what_cannot_be_made_is_brought_to_the_nearest(made: Any) -> None:
    model = model_with(made["plain"][1], tiny.unipc())
    plan = model.plan(height=45, width=1, num_frames=11)
    assert (plan.height, plan.width, plan.num_frames) == (48, 8, 9)
    assert len(plan.notes) == 3
    assert "45" in plan.notes[0]
    assert "48" in plan.notes[0]
    plan = model.plan(height=100_0, width=32, num_frames=1000)
    assert plan.height == 64 * 8  # as far as the checkpoint's rotary tables go
    assert plan.num_frames == 63 * 4 + 1
    plan = model.plan()
    assert (plan.height, plan.width, plan.num_frames, plan.steps) == (480, 512, 81, 50)
    assert (plan.guidance, plan.fps, plan.max_sequence_length) == (5.0, 24.0, 512)


@pytest.mark.parametrize(
    ("setting", "word"),
    [
        ({"flow_shift": 3.0, "shift": 5.0}, "one setting"),
        ({"shift": -1.0}, "shift"),
        ({"max_sequence_length": 0}, "max_sequence_length"),
        ({"decode_tile": "yes"}, "decode_tile"),
        ({"sigmas": [0.5, 0.9]}, "sigmas"),
        ({"sigmas": [0.9, 0.5], "steps": 3}, "sigmas"),
        ({"last_image": None}, "last_image"),
    ],
)
def test_impossible_settings_are_named(made: Any, setting: Any, word: str) -> None:
    model = model_with(made["plain"][1], tiny.unipc())
    with pytest.raises(SettingsError, match=word):
        model.plan(**setting)


def test_sigmas_are_the_steps(made: Any) -> None:
    model = model_with(made["plain"][1], tiny.euler(5.0))
    plan = model.plan(sigmas=[1.0, 0.75, 0.5])
    scheduler = tiny.euler(5.0)
    scheduler.set_timesteps(sigmas=[1.0, 0.75, 0.5])
    assert plan.steps == 3
    assert plan.schedule.timesteps == pytest.approx(scheduler.timesteps.numpy(), rel=1e-6)


def test_tokens_there_and_back() -> None:
    latents = tiny.noise((1, 3, 2, 4, 6))
    tokens = to_tokens(latents, (1, 2, 2))
    assert tokens.shape == (1, 2 * 2 * 3, 3 * 4)
    weight = torch.from_numpy(tiny.noise((5, 3, 1, 2, 2), 1))
    convolved = torch.nn.functional.conv3d(torch.from_numpy(latents), weight, stride=(1, 2, 2))
    wanted = convolved.flatten(2).transpose(1, 2).numpy()
    assert np.allclose(tokens @ weight.flatten(1).T.numpy(), wanted, atol=1e-5)
    assert np.array_equal(from_tokens(tokens, latents.shape, (1, 2, 2)), latents)


@pytest.mark.parametrize("head_size", [12, 20, 128])
def test_rotary_tables_are_the_references(head_size: int) -> None:
    from diffusers.models.transformers.transformer_wan import WanRotaryPosEmbed

    rope = WanRotaryPosEmbed(head_size, (1, 2, 2), 32)
    cosine, sine = rope(torch.zeros(1, 1, 3, 8, 10))
    given = rotary_tables((3, 8, 10), (1, 2, 2), head_size, 10000.0)
    assert np.allclose(given[0], cosine[..., ::2].numpy(), atol=1e-6)
    assert np.allclose(given[1], sine[..., ::2].numpy(), atol=1e-6)


class BrokenDecoder:
    """Gives infinity at its second latent frame."""

    inputs = outputs = ()

    def __init__(self) -> None:
        self.calls = 0

    def run(self, inputs: Any) -> dict[str, Any]:
        self.calls += 1
        frames = np.zeros((1, 3, 2, 4, 4), np.float32)
        if self.calls == 2:
            frames[..., 0, :2] = np.inf, -np.inf
        return {"frames": frames}


def test_a_decoder_that_overflows_is_told() -> None:
    chunks = decode_chunks(BrokenDecoder(), np.zeros((1, 2, 3, 1, 1), np.float32), [])
    assert next(chunks).shape == (1, 3, 1, 4, 4)
    with pytest.raises(EngineError, match="latent frame 2"):
        next(chunks)
