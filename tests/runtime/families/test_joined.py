"""Windows of the real families, joined, on tiny bundles of random weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import pytest
from reverie.runtime import resident
from reverie.runtime.bundle import load_bundle
from reverie.runtime.families import svd_tail
from reverie.runtime.film import capabilities_of, latent_film, plan_film
from reverie.runtime.model import Model
from reverie.runtime.noise import Noise
from reverie.runtime.photo import load_photo
from reverie.runtime.placement import Placement
from reverie.runtime.placing import Place
from reverie.runtime.schedule import dpmpp_2m, euler_karras
from reverie.runtime.settings import Settings
from reverie.runtime.shapes import component_shapes, plan_for
from reverie.runtime.stages import Stages
from reverie.runtime.take import find_family
from reverie.runtime.windows import Link

COARSE = np.random.default_rng(3).integers(0, 256, (4, 4, 3), np.uint8)
PHOTO = cv2.resize(COARSE, (64, 64), interpolation=cv2.INTER_CUBIC)
NAMES = ("svd", "ltx", "ltx-told", "wan")


def model_of(folder: Any, **timing: Any) -> Model:
    bundle = load_bundle(folder)
    manifest = dict(bundle.manifest)
    manifest["timing"] = {**manifest["timing"], **timing}
    bundle = replace(bundle, manifest=manifest)
    return Model(bundle, find_family(bundle), "cpu")


def film(model: Model, side: int = 64, **asked: Any) -> tuple[list[np.ndarray], Any]:
    manifest = dict(model.bundle.manifest)
    manifest["limits"] = {**manifest["limits"], "area": side * side}
    model.bundle = replace(model.bundle, manifest=manifest)
    take = latent_film(
        model.family,
        model.bundle,
        load_photo(PHOTO),
        Settings(height=64, steps=1, guidance=1.0, **asked),
        place=Place(model.bundle, Placement("cpu")),
        stages=Stages(),
    )
    return list(take.frames), take


def window(model: Model, link: Link | None, picture: np.ndarray, **asked: Any) -> list[np.ndarray]:
    side = 32 if model.bundle.family == "svd" else 64  # a latent of this one is 2 x 2 pixels
    steps = 2 if model.bundle.family == "svd" else 4
    plan = model.plan(height=side, width=side, steps=steps, guidance=1.0, **asked)
    return list(
        model.render(
            cv2.resize(picture, (side, side)),
            plan,
            prompt=None,
            negative_prompt=None,
            noise=Noise(1),
            stages=Stages(),
            link=link,
        )
    )


class Recording(Link):
    """A link that remembers all latents it was given."""

    def __init__(self, latents: int) -> None:
        super().__init__(latents)
        self.seen: list[np.ndarray] = []

    def keep(self, latents: np.ndarray) -> None:
        self.seen.append(latents.copy())
        super().keep(latents)


def distance(one: Any, other: Any) -> float:
    return float(np.abs(np.asarray(one, np.float64) - np.asarray(other)).mean())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("seconds", "fps", "loop"), [(1, 24, True), (4, 12, False)])
def test_films_have_all_their_frames(
    tiny_bundles: Any, name: str, seconds: float, fps: int, loop: bool
) -> None:
    model = model_of(tiny_bundles[name], most_frames=33, frames=9)
    side = 32 if name == "svd" else 64
    frames, take = film(model, side, seconds=seconds, fps=fps, loop=loop)
    assert len(frames) == take.frame_count == seconds * fps
    np.testing.assert_array_equal(frames[0], PHOTO)
    said = " | ".join(take.notes)
    if seconds == 4:
        assert "windows of" in said
        assert "goes on from the last latents" in said
    steps = [distance(a, b) for a, b in pairwise([*frames, frames[0]])]
    if loop:
        assert "so that the film loops" in said
        assert steps[-1] <= max(np.median(steps[:-1]), 0.5)


@pytest.mark.parametrize("name", NAMES)
def test_a_tail_conditions_the_next_window(tiny_bundles: Any, name: str) -> None:
    """Frames that both windows draw are nearer to each other than with a picture alone.

    By how much in latents; decoders of random weights make much of what came before a latent.
    """
    model = model_of(tiny_bundles[name])
    can = capabilities_of(model.family, model.bundle)
    latents, frames = (2, 6) if name == "svd" else (can.latents, 33)
    overlap = can.overlap(latents)
    link = Recording(latents)
    first = window(model, link, PHOTO, num_frames=frames)
    assert link.held is not None
    assert len(link.held) == latents
    begun, tail = first[-overlap], first[-overlap:]
    held, at = link.held, can.picture
    joined = window(model, link, begun, num_frames=frames)
    shown = link.seen[1][at : at + latents]
    alone = window(model, free := Recording(latents), begun, num_frames=frames)
    assert len(joined) == len(alone) == frames
    if name == "svd":
        assert distance(shown, held) < 0.3 * distance(free.seen[0][:latents], held)
    else:
        np.testing.assert_allclose(shown, held, atol=1e-6)
    assert distance(joined[1:overlap], tail[1:]) < 0.9 * distance(alone[1:overlap], tail[1:])
    # What was handed on steers what follows, too.
    after = at + latents
    assert distance(link.seen[1][after:], free.seen[0][after:]) > 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_a_window_by_itself_is_as_without_a_link(tiny_bundles: Any, name: str) -> None:
    model = model_of(tiny_bundles[name])
    linked = window(model, Link(2), PHOTO, num_frames=9)
    np.testing.assert_array_equal(linked, window(model, None, PHOTO, num_frames=9))


@pytest.mark.parametrize("name", NAMES)
def test_a_device_takes_a_tail_as_the_host_does(
    tiny_bundles: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LTX's and Wan's loops on a device hold any tokens; SVD's window falls to the host's."""
    model = model_of(tiny_bundles[name])
    found = []
    for on_cpu in (False, True):
        monkeypatch.setattr(resident, "ON_CPU", on_cpu)
        link = Link(2)
        window(model, link, PHOTO, num_frames=17 if name != "svd" else 6)
        found.append(window(model, link, PHOTO, num_frames=17 if name != "svd" else 6))
    assert np.abs(np.subtract(*found, dtype=np.int16)).max() <= 1


def test_the_photo_stands_at_a_frame_of_the_end(tiny_bundles: Any) -> None:
    model = model_of(tiny_bundles["ltx"])
    asked = {"num_frames": 17, "last_image": 255 - PHOTO}
    found = [
        window(model, None, PHOTO, **asked, **at)
        for at in ({}, {"last_image_frame": 16}, {"last_image_frame": 9})
    ]
    np.testing.assert_array_equal(found[0], found[1])
    assert distance(found[0], found[2]) > 0.05
    with pytest.raises(Exception, match="last_image_frame says where"):
        model.plan(last_image_frame=3)
    with pytest.raises(Exception, match="from 1 to 16"):
        model.plan(**asked, last_image_frame=17)


def test_only_the_last_window_of_a_loop_is_led(
    tiny_bundles: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = model_of(tiny_bundles["ltx"], most_frames=33)
    plans, frames = [], model.family.frames

    def spied(bundle: Any, picture: Any, plan: Any, **more: Any) -> Iterator[Any]:
        plans.append(plan)
        return frames(bundle, picture, plan, **more)

    monkeypatch.setattr(model.family, "frames", spied)
    made, _ = film(model, seconds=3, fps=24, loop=True)
    assert len(made) == 72
    led = [plan.last_image_frame for plan in plans]
    planned = plan_film(model, Settings(height=64, seconds=3, fps=24, loop=True), (64, 64))
    assert led == [None] * (planned.length.windows - 1) + [planned.length.end]
    assert planned.length.windows > 1
    assert [plan.num_frames for plan in plans] == [planned.length.window_frames] * len(plans)


@pytest.mark.parametrize("name", NAMES)
def test_memory_is_planned_for_one_window(tiny_bundles: Any, name: str) -> None:
    bundle = load_bundle(tiny_bundles[name])
    two, ten = (plan_for(bundle, seconds=seconds, height=64) for seconds in (60, 600))
    most = int(bundle.section("timing")["most_frames"])
    assert two.num_frames <= most
    assert ten.num_frames <= most
    assert component_shapes(bundle, ten)


@pytest.mark.parametrize("prediction", ["v", "epsilon"])
def test_latents_are_drawn_to_a_tail(prediction: Any) -> None:
    """Whatever the network says, fully held frames end as the tail, the others as they would."""
    rng = np.random.default_rng(0)
    schedule = euler_karras(6, prediction=prediction)
    tail = rng.standard_normal((3, 4, 5, 5)).astype(np.float32)
    start = rng.standard_normal((1, 7, 4, 5, 5)).astype(np.float32)

    def run(held: bool) -> Any:
        latents = start * np.float32(schedule.initial_noise)
        for number, row in enumerate(schedule.rows()):
            seen = row.input_scale * latents
            output = np.sin(seen).astype(np.float32)
            if held:
                output = svd_tail.drawn_to(tail, schedule, number, seen, output)
            latents = row.latent_weights[0] * latents + row.output_weights[0] * output
        return latents[0]

    free, drawn = run(False), run(True)
    np.testing.assert_allclose(drawn[0], tail[0], atol=2e-3)
    np.testing.assert_allclose(drawn[3:], free[3:], atol=1e-6)
    aways = [distance(drawn[i], tail[i]) / distance(free[i], tail[i]) for i in range(3)]
    assert aways[0] < aways[1] < aways[2] < 0.9
    assert svd_tail.can_follow(schedule)
    assert not svd_tail.can_follow(dpmpp_2m(5))
