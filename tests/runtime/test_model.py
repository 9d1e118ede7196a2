"""The door to video models, with a toy behind it."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import reverie
from PIL import Image
from reverie.engines.errors import BundleError, EngineError, PhotoError, SettingsError
from reverie.runtime.model import Model, fitted, open_photo

PHOTO = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)


@pytest.fixture
def model(video_bundle: Path) -> Model:
    return reverie.load(video_bundle, device="cpu")


def test_frames_come_one_by_one_at_the_bundles_own_size(model: Model, toy_video: Any) -> None:
    toy_video.opened.clear()
    frames = model.frames(PHOTO)
    assert inspect.isgenerator(frames)
    assert toy_video.opened == []
    made = list(frames)
    assert toy_video.opened == ["denoiser"]
    assert len(made) == 9
    assert all(f.shape == (48, 64, 3) and f.dtype == np.uint8 for f in made)


def test_what_is_asked_is_made(model: Model) -> None:
    made = list(model.frames(PHOTO, "a cat", height=32, width=80, num_frames=5, steps=1))
    assert len(made) == 5
    assert made[0].shape == (32, 80, 3)


def test_the_nearest_that_can_be_done_is_in_the_plan(model: Model) -> None:
    plan = model.plan(height=50, width=70, num_frames=8)
    assert (plan.height, plan.width, plan.num_frames) == (48, 64, 9)
    assert plan.notes == ("70x50 became 64x48",)


def test_the_seed_and_given_noise_decide(model: Model) -> None:
    def first(**options: Any) -> np.ndarray:
        return next(iter(model.frames(PHOTO, steps=1, guidance=1.0, strength=0.1, **options)))

    shapes = model.noise_shapes(num_frames=5)
    assert shapes == {"latents": (1, 3, 5, 6, 8)}
    assert model.noise_shapes(height=32, steps=7) == {"latents": (1, 3, 9, 4, 8)}
    np.testing.assert_array_equal(first(seed=3), first(seed=3))
    own = reverie.runtime.noise.Noise(3).draw("latents", (1, 3, 9, 6, 8))
    np.testing.assert_array_equal(first(seed=3), first(seed=4, noise={"latents": own}))


def test_prompts_and_guidance_reach_the_family(model: Model) -> None:
    def mean(**options: Any) -> float:
        return float(np.mean([f.mean() for f in model.frames(PHOTO, num_frames=5, **options)]))

    plain = mean(prompt="sea", guidance=1.0)
    assert plain == mean(prompt="sea", guidance=1.0, negative_prompt="blurry")
    assert plain != mean(prompt="a cat in the wind", guidance=1.0)
    assert plain != mean(prompt="sea", guidance=5.0, negative_prompt="blurry")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"height": "tall"}, "height 'tall' cannot be used: give a whole number"),
        ({"height": 0}, "height 0"),
        ({"height": 48.0}, "height 48.0"),
        ({"width": True}, "width True"),
        ({"width": -16}, "width -16"),
        ({"num_frames": 0}, "num_frames 0"),
        ({"num_frames": 1e9}, "num_frames"),
        ({"steps": 0}, "steps 0"),
        ({"steps": 2.5}, "steps 2.5"),
        ({"guidance": "much"}, "guidance 'much' cannot be used: give a number"),
        ({"guidance": float("nan")}, "guidance nan"),
        ({"guidance": -1}, "guidance -1"),
        ({"seed": -1}, "seed -1"),
        ({"seed": 1.5}, "seed 1.5"),
        ({"prompt": 3}, "prompt 3"),
        ({"negative_prompt": ["a"]}, "negative_prompt ['a']"),
        ({"strength": 7}, "strength 7"),
        ({"colour": "blue"}, "no setting colour: use strength, fail, motion_bucket_id"),
        ({"noise": {"image": np.zeros(3)}}, "'image' is not drawn"),
        ({"noise": {"latents": np.zeros((1, 3, 9, 6, 6))}}, "(1, 3, 9, 6, 8)"),
        ({"noise": [np.zeros(3)]}, "noise of type list"),
    ],
)
def test_impossible_settings_are_told_at_once(
    model: Model, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        model.frames(PHOTO, **options)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_numbers_of_numpy_are_numbers(model: Model) -> None:
    plan = model.plan(height=np.int64(48), steps=np.uint8(4), guidance=np.float32(1.5))
    assert (plan.height, plan.steps, plan.guidance) == (48, 4, 1.5)
    assert type(plan.steps) is int


def test_what_is_not_finite_stops_at_its_step(model: Model) -> None:
    with pytest.raises(EngineError, match=r"denoiser gave NaN or infinity at step 2 of 3.*fp32"):
        list(model.frames(PHOTO, fail=True))


def test_a_photo_of_the_asked_size_is_taken_as_it_is(model: Model) -> None:
    assert fitted(PHOTO, model.plan()) is PHOTO
    seen: list[np.ndarray] = []

    class Family:
        def __getattr__(self, name: str) -> Any:
            return getattr(model.family, name)

        def prepare(self, pixels: np.ndarray, plan: Any) -> np.ndarray:
            seen.append(pixels)
            return fitted(pixels, plan)

    large = np.zeros((100, 90, 3), np.uint8)
    list(Model(model.bundle, Family(), "cpu").frames(large, num_frames=5))
    assert seen[0] is large


def test_another_size_is_resized_as_the_reference_does(model: Model) -> None:
    from diffusers.image_processor import VaeImageProcessor

    photo = np.random.default_rng(1).integers(0, 256, (77, 203, 3), dtype=np.uint8)
    theirs = VaeImageProcessor().preprocess(Image.fromarray(photo), height=48, width=64)
    mine = fitted(photo, model.plan()).astype(np.float32) / 255 * 2 - 1
    np.testing.assert_allclose(mine.transpose(2, 0, 1)[None], theirs.numpy(), atol=1e-6)


def test_photos_of_every_kind(tmp_path: Path) -> None:
    small = np.random.default_rng(2).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    assert open_photo(small) is small
    np.testing.assert_array_equal(open_photo(Image.fromarray(small)), small)
    path = tmp_path / "small.png"
    Image.fromarray(small).save(path)
    np.testing.assert_array_equal(open_photo(path), small)
    large = np.random.default_rng(2).integers(0, 256, (90, 70, 3), dtype=np.uint8)
    Image.fromarray(large).save(path)
    np.testing.assert_array_equal(open_photo(str(path)), large)
    grey = Image.fromarray(large[..., 0])
    assert open_photo(grey).shape == (90, 70, 3)


@pytest.mark.parametrize(
    "photo", [3, np.zeros((70, 70, 3), np.float32), np.zeros((0, 4, 3), np.uint8), "missing.jpg"]
)
def test_what_is_no_photo_is_refused(model: Model, photo: Any) -> None:
    with pytest.raises(PhotoError):
        model.frames(photo)


def test_models_that_cannot_be_loaded(tmp_path: Path, video_bundle: Path) -> None:
    with pytest.raises(SettingsError, match=r"reverie\.stream"):
        reverie.load("ember")
    with pytest.raises(BundleError, match="not known"):
        reverie.load(tmp_path / "nothing")
    path = video_bundle / "bundle.json"
    for family in ("opal", "../pipeline", "__init__"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "family": family}))
        with pytest.raises(BundleError, match=r"is not known here \(known: ember"):
            reverie.load(video_bundle)


def test_the_module_offers_it(toy_video: ModuleType) -> None:
    assert {"load", "Model"} <= set(reverie.__all__)
    assert reverie.Model is Model
