"""Every mood, as a film: it begins as the photo, never leaps, leaves faces alone, and ends."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any, get_args

import cv2
import numpy as np
import pytest
from reverie.runtime.look.irregular import CATCH, SLIP
from reverie.runtime.look.look import Look, resolve
from reverie.runtime.look.mood import MOODS, Irregularity
from reverie.runtime.motion import render
from reverie.runtime.settings import LightIntent, MoodName, Settings, Understanding
from reverie.runtime.spectrum import FREQUENCIES, Spectrum

from ..flat_memory import growth

HEIGHT, WIDTH = 144, 192
FPS = 12
FACE = (slice(52, 80), slice(84, 108))


def picture(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.standard_normal((HEIGHT, WIDTH, 3)), (0, 0), 1.3)
    return np.clip(128 + 45 * noise / noise.std(), 0, 255).astype(np.uint8)


def oval(across: float, along: float, y: float = 66.0) -> np.ndarray:
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    away = np.hypot((columns - 96) / across, (rows - y) / along)
    return np.clip(3.0 * (1.2 - away), 0, 1).astype(np.float32)


def spectrum() -> Spectrum:
    rng = np.random.default_rng(5)
    swing = np.zeros((len(FREQUENCIES), 4, 36, 48), np.float32)
    for k in range(len(FREQUENCIES)):
        smooth = cv2.GaussianBlur(rng.standard_normal((36, 48)), (0, 0), 6)
        swing[k] = 0.004 / (k + 1) * smooth / smooth.std()
    return Spectrum(swing, np.array(FREQUENCIES, np.float32), np.zeros((2, 36, 48), np.float32))


def looked(mood: str | None, **more: Any) -> Look:
    look = resolve(Settings(mood=mood), Understanding())  # type: ignore[arg-type]
    return replace(look, **more)


def film(look: Look, seconds: float = 6.0, *, seed: int = 1, **more: Any) -> np.ndarray:
    gain = cv2.resize(1.0 - oval(40, 60), (48, 36), interpolation=cv2.INTER_AREA)
    options = {
        "depth": 0.8 * oval(40, 60) + 0.1,
        "people": oval(34, 54),
        "faces": oval(18, 21),
        "focus": (0.5, 0.45),
        **more,
    }
    frames = render(
        picture(), spectrum(), gain, seconds=seconds, fps=FPS, seed=seed, look=look, **options
    )
    return np.stack(list(frames))


@cache
def whole(mood: str, seed: int = 1) -> np.ndarray:
    return film(looked(mood), seed=seed)


def fine(frames: np.ndarray) -> float:
    """High-frequency energy of frames within the face, contrast taken out."""
    parts = [cv2.cvtColor(f, cv2.COLOR_RGB2GRAY)[FACE].astype(np.float32) for f in frames]
    return float(np.mean([cv2.Laplacian(p, cv2.CV_32F).var() / p.var() for p in parts]))


def test_every_mood_that_can_be_asked_for_has_a_recipe() -> None:
    assert set(get_args(MoodName)) == set(MOODS)


@pytest.mark.parametrize("mood", MOODS)
def test_the_first_frame_is_the_photo(mood: str) -> None:
    frames = whole(mood)
    assert len(frames) == 72
    assert np.array_equal(frames[0], picture())
    assert np.abs(frames[1].astype(int) - frames[0]).mean() < 2.5


@pytest.mark.parametrize("mood", MOODS)
def test_the_same_seed_gives_the_same_frames_and_another_others(mood: str) -> None:
    assert np.array_equal(film(looked(mood), 2.0), film(looked(mood), 2.0))
    assert not np.array_equal(film(looked(mood), 2.0), film(looked(mood), 2.0, seed=2))


@pytest.mark.parametrize("mood", MOODS)
def test_nothing_leaps(mood: str) -> None:
    calm = looked(mood, irregular=Irregularity(), light=LightIntent("none"), blur=0.0)
    steps = np.abs(np.diff(film(calm).astype(float), axis=0)).mean((1, 2, 3))
    assert steps.max() < 9.0  # texture of one pixel; a pixel a frame would be 30 and more
    assert np.abs(np.diff(steps)).max() < 3.0
    light = looked(mood).light
    lit = film(replace(calm, light=replace(light, grain=0.0)))
    assert np.abs(np.diff(lit.mean((1, 2, 3)))).max() < 2.0


@pytest.mark.parametrize("mood", [name for name, mood in MOODS.items() if mood.irregular])
def test_a_stutter_is_as_large_as_designed(mood: str) -> None:
    dark = {"light": LightIntent("none"), "blur": 0.0}
    uneven, even = film(looked(mood, **dark)), film(looked(mood, irregular=Irregularity(), **dark))
    apart = np.abs(uneven.astype(float) - even).mean((1, 2, 3))
    assert apart.max() > 0.3
    slope = np.abs(np.diff(picture().astype(float), axis=1)).mean()
    assert apart.max() < 1.5 * (CATCH + SLIP) * HEIGHT * slope
    assert apart[0] == apart[-1] == 0.0


@pytest.mark.parametrize("mood", MOODS)
def test_a_face_is_left_as_it_is(mood: str) -> None:
    dark = {"light": LightIntent("none")}
    full = film(looked(mood, **dark))[(slice(None), *FACE)].astype(int)
    bare = film(looked(mood, irregular=Irregularity(), blur=0.0, **dark))
    assert np.abs(full - bare[(slice(None), *FACE)]).max() <= 1
    # With light and grain on top it is as fine as through the same camera without.
    assert fine(whole(mood)[12:]) == pytest.approx(fine(bare[12:]), rel=0.08)


@pytest.mark.parametrize("mood", [name for name, mood in MOODS.items() if mood.blur > 0])
def test_blur_lies_in_the_middle_and_is_gone_at_the_end(mood: str) -> None:
    dark = {"light": LightIntent("none"), "irregular": Irregularity()}
    soft, sharp = film(looked(mood, **dark)), film(looked(mood, blur=0.0, **dark))
    apart = np.abs(soft.astype(float) - sharp)[:, :, :40].mean((1, 2, 3))
    assert apart[:12].max() == apart[-9:].max() == 0.0
    assert 0.3 < apart.argmax() / len(apart) < 0.8
    assert apart.max() > 2.0


@pytest.mark.parametrize("mood", MOODS)
@pytest.mark.parametrize("seconds", [2.0, 5.0])
def test_a_loop_closes(mood: str, seconds: float) -> None:
    quiet = looked(mood, light=replace(looked(mood).light, grain=0.0), irregular=Irregularity())
    frames = film(quiet, seconds, loop=True).astype(float)
    steps = np.abs(np.diff(frames, axis=0, append=frames[:1])).mean((1, 2, 3))
    assert steps[-1] <= 1.1 * max(steps[0], steps[-2], float(np.median(steps)))


def test_each_part_can_be_turned_off() -> None:
    off = Settings(mood="restless", camera="off", light="none", grain=0.0)
    look = replace(resolve(off, Understanding(blur=0.0, stutter=False)), layered=False)
    still = np.zeros((36, 48), np.float32)
    frames = render(picture(), spectrum(), still, seconds=2, fps=FPS, look=look)
    assert all(np.array_equal(frame, picture()) for frame in frames)


def test_the_end_of_a_film_is_almost_still() -> None:
    calm = film(looked("wistful", light=LightIntent("none"), irregular=Irregularity()))
    steps = np.abs(np.diff(calm.astype(float), axis=0)).mean((1, 2, 3))
    assert steps[-6:].mean() < 0.5 * steps[6:-12].mean()


def test_memory_stays_flat() -> None:
    frames = render(
        picture(),
        spectrum(),
        np.ones((36, 48), np.float32),
        seconds=600,
        fps=24,
        look=looked("restless"),
        people=oval(34, 54),
        faces=oval(18, 21),
        depth=0.8 * oval(40, 60),
    )
    assert growth(frames) < 100_000
