"""The shapes that are told beside those that a render really runs its networks with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reverie.engines.device import Device
from reverie.engines.engine import Array, Engine
from reverie.engines.errors import BundleError, SettingsError
from reverie.runtime import pipeline
from reverie.runtime.bundle import Bundle, load_bundle
from reverie.runtime.model import Model
from reverie.runtime.settings import Settings
from reverie.runtime.shapes import component_shapes, plan_for, profile_of
from reverie.runtime.take import find_family

PHOTO = np.random.default_rng(0).integers(0, 256, (80, 70, 3), np.uint8)
TOY = Path(__file__).resolve().parents[1] / "data" / "bundles" / "toy-ember"


class Recorder:
    """Opens a bundle's networks and writes down the shapes they are run with."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self.seen: dict[str, list[dict[str, tuple[int, ...]]]] = {}

    def __call__(self, name: str, /, *, device: Device | str, threads: int | None) -> Engine:
        engine = self._bundle.open_plainly(name, device="cpu", threads=threads)
        run, seen = engine.run, self.seen.setdefault(name, [])

        def recorded(inputs: Mapping[str, Array]) -> dict[str, Array]:
            shapes = {key: tuple(value.shape) for key, value in inputs.items()}
            if shapes not in seen:
                seen.append(shapes)
            return run(inputs)

        engine.run = recorded  # type: ignore[method-assign]
        return engine


CASES: list[tuple[str, dict[str, Any]]] = [
    ("svd", {"height": 32, "width": 32, "num_frames": 2}),
    ("svd", {"height": 40, "width": 24, "num_frames": 14, "decode_chunk_size": 4, "guidance": 1.0}),
    ("svd-deep", {"height": 64, "width": 96, "num_frames": 5, "decode_chunk_size": 3}),
    ("ltx", {"height": 64, "width": 96, "num_frames": 9}),
    ("ltx", {"height": 32, "width": 32, "num_frames": 5, "guidance": 1.0}),
    ("ltx", {"height": 96, "width": 40, "num_frames": 33, "decode_window": 4}),
    ("ltx", {"height": 96, "width": 200, "num_frames": 17, "decode_tile": 64}),
    ("ltx", {"height": 64, "width": 64, "num_frames": 9, "last_image": PHOTO}),
    ("ltx-told", {"height": 64, "width": 96, "num_frames": 13, "decode_window": 3}),
    ("ltx-told", {"height": 160, "width": 96, "num_frames": 5, "decode_tile": 97, "guidance": 1}),
    ("wan", {"height": 48, "width": 64, "num_frames": 9}),
    ("wan", {"height": 48, "width": 80, "num_frames": 3, "decode_tile": 32, "guidance": 1.0}),
    ("wan", {"height": 32, "width": 32, "num_frames": 1, "decode_tile": 8}),
    ("wan-plain", {"height": 32, "width": 48, "num_frames": 5, "max_sequence_length": 7}),
    ("wan-plain", {"height": 40, "width": 24, "num_frames": 5, "decode_tile": 20}),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[1]['num_frames']}")
def test_what_is_told_is_what_runs(case: Any, tiny_bundles: Any) -> None:
    name, asked = case
    bundle = load_bundle(tiny_bundles[name])
    recorder = Recorder(bundle)
    model = Model(replace(bundle, opener=recorder), find_family(bundle), "cpu")
    asked = {"steps": 1} | asked
    told = component_shapes(bundle, model.plan(**asked))
    for _ in model.frames(PHOTO, "the sea", "blurry", **asked):
        pass
    assert told == recorder.seen
    assert list(told) == list(bundle.components)


EMBER_CASES = [
    (TOY, (300, 200), 96, "photo"),
    ("ember", (300, 500), 180, "16:9"),
    ("ember", (200, 300), 128, "9:16"),
    (TOY, (200, 640), 65, "4:1"),
]


@pytest.mark.parametrize("case", EMBER_CASES, ids=lambda case: f"{case[2]}-{case[3]}")
def test_what_ember_is_told_to_run_is_what_runs(case: Any, monkeypatch: Any) -> None:
    model, (tall, wide), height, aspect = case
    bundle = load_bundle(model)
    recorder = Recorder(bundle)
    monkeypatch.setattr(pipeline, "load_bundle", lambda _: replace(bundle, opener=recorder))
    photo = np.random.default_rng(0).integers(0, 256, (tall, wide, 3), np.uint8)
    settings = Settings(seconds=0.5, height=height, aspect=aspect, steps=1)
    film = pipeline.stream(photo, settings, model=model, device="cpu")
    next(iter(film))
    plan = plan_for(bundle, settings=settings, photo=(wide, tall))
    assert (plan.width, plan.height) == (film.width, film.height)
    assert component_shapes(bundle, plan) == recorder.seen


def test_the_plan_is_that_of_the_film(tiny_bundles: Any) -> None:
    bundle = load_bundle(tiny_bundles["ltx"])
    plan = plan_for(bundle, height=100, aspect="4:3", seconds=1.0, fps=24, guidance=1.0)
    film = pipeline.stream(
        PHOTO, model=bundle.folder, height=100, aspect="4:3", seconds=1.0, fps=24, guidance=1.0
    )
    assert any(f"made at {plan.width}x{plan.height}" in note for note in film.notes)
    assert plan.guidance == 1.0
    assert plan_for(bundle, num_frames=9).num_frames == 9
    assert plan_for(bundle, decode_tile=64).decode_tile is not None
    with pytest.raises(SettingsError, match="no setting decode_tail"):
        plan_for(bundle, decode_tail=64)
    with pytest.raises(SettingsError, match="no setting decode_tile"):
        plan_for(load_bundle("ember"), decode_tile=64)


def test_a_profile_spans_all_shapes_and_takes_the_largest_set_for_the_usual() -> None:
    sets = [{"a": (1, 9), "b": (4,)}, {"a": (3, 4), "b": (5,)}, {"a": (2, 2), "b": (9,)}]
    assert profile_of(sets) == {
        "a": ((1, 2), (3, 4), (3, 9)),
        "b": ((4,), (5,), (9,)),
    }
    assert profile_of(sets[:1])["a"] == ((1, 9),) * 3


def test_a_bundle_that_cannot_be_told_says_so(tiny_bundles: Any, video_bundle: Path) -> None:
    bundle = load_bundle(tiny_bundles["svd"])
    manifest = dict(bundle.manifest)
    entry = {**manifest["components"]["denoiser"], "inputs": [{"name": "latents", "shape": [1]}]}
    broken = {**manifest, "components": {**manifest["components"], "denoiser": entry}}
    with pytest.raises(BundleError, match="inputs of denoiser"):
        component_shapes(replace(bundle, manifest=broken), plan_for(bundle))
    toy = load_bundle(video_bundle)
    with pytest.raises(BundleError, match="can be rendered, and not planned"):
        component_shapes(toy, None)
