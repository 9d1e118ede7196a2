"""Looks over frames that a model drew, and the film of a photo in which nothing moves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import cv2
import numpy as np
import pytest
from reverie.runtime.crop import Box
from reverie.runtime.faces import Face
from reverie.runtime.look.apply import Scene, apply_look, still_film
from reverie.runtime.look.look import NO_CAMERA, NO_LIGHT, Look, resolve
from reverie.runtime.look.mood import MOODS
from reverie.runtime.regions import Regions
from reverie.runtime.settings import CameraIntent, Settings, Understanding

from ..flat_memory import growth

HEIGHT, WIDTH, FPS = 96, 128, 12


def picture(seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal((HEIGHT, WIDTH, 3))
    noise = cv2.GaussianBlur(noise, (0, 0), 1.4)
    return np.clip(128 + 45 * noise / noise.std(), 0, 255).astype(np.uint8)


def moving(count: int) -> Iterator[np.ndarray]:
    """A texture that drifts a pixel every three frames."""
    for index in range(count):
        yield np.roll(picture(), index // 3, axis=1)


def regions() -> Regions:
    people = np.zeros((48, 64, 6), np.float32)
    y, x = np.mgrid[0:48, 0:64]
    there = np.hypot((x - 32) / 14, (y - 26) / 22) < 1
    people[..., 3] = there
    people[..., 0] = 1 - there
    depth = np.where(there, 0.9, 0.2).astype(np.float32)
    face = Face(Box(0.42, 0.3, 0.58, 0.55), 0.95)
    return Regions([face], people, there.astype(np.float32), depth)


def look(mood: str, *, drawn: bool = True) -> Look:
    return resolve(Settings(mood=mood), Understanding(), drawn=drawn)  # type: ignore[arg-type]


def test_a_look_that_asks_for_nothing_passes_frames_through() -> None:
    frames = moving(5)
    assert apply_look(frames, Look(NO_CAMERA, NO_LIGHT), fps=FPS, count=5) is frames


@pytest.mark.parametrize("mood", MOODS)
@pytest.mark.parametrize("found", [None, regions()])
def test_every_mood_over_moving_frames(mood: str, found: Regions | None) -> None:
    count = 60
    drawn = list(apply_look(moving(count), look(mood), fps=FPS, count=count, seed=1, regions=found))
    again = list(apply_look(moving(count), look(mood), fps=FPS, count=count, seed=1, regions=found))
    assert len(drawn) == count
    assert np.array_equal(drawn[0], picture())
    assert all(np.array_equal(a, b) for a, b in zip(drawn, again, strict=True))
    assert np.abs(drawn[30].astype(int) - np.roll(picture(), 10, axis=1)).mean() > 0.5


def test_nothing_is_drawn_before_it_is_asked_for() -> None:
    asked = []

    def frames() -> Iterator[np.ndarray]:
        for index in range(3):
            asked.append(index)
            yield picture()

    drawn = apply_look(frames(), look("tender"), fps=FPS, count=3)
    assert asked == []
    next(drawn)
    assert asked == [0]
    assert len(list(drawn)) == 2


def test_closing_reaches_the_model() -> None:
    closed = []

    def frames() -> Iterator[np.ndarray]:
        try:
            while True:
                yield picture()
        finally:
            closed.append(True)

    drawn = apply_look(frames(), look("wistful"), fps=FPS, count=100)
    assert len(list(islice(drawn, 4))) == 4
    drawn.close()  # type: ignore[attr-defined]
    assert closed == [True]


def test_a_flat_zoom_stays_inside_and_sharp() -> None:
    push = Look(CameraIntent("push", strength=2.0), NO_LIGHT)
    still = (picture() for _ in range(48))
    last = list(apply_look(still, push, fps=FPS, count=48))[-1]
    sharp = [cv2.Laplacian(frame, cv2.CV_32F).std() for frame in (picture(), last)]
    assert sharp[1] > 0.75 * sharp[0]
    assert not np.array_equal(last, picture())


def test_an_empty_stream_is_an_empty_film() -> None:
    assert list(apply_look(iter(()), look("still"), fps=FPS, count=1)) == []


def test_memory_stays_flat() -> None:
    frames = apply_look(moving(10**6), look("restless"), fps=24, count=2400, regions=regions())
    assert growth(frames) < 100_000


def test_a_still_film_moves_by_camera_and_light_alone() -> None:
    frames = list(still_film(picture(), seconds=3, fps=FPS, regions=regions()))
    assert len(frames) == 36
    assert np.array_equal(frames[0], picture())
    assert np.abs(frames[-1].astype(int) - picture()).mean() > 2.0
    bare = still_film(picture(), Look(NO_CAMERA, NO_LIGHT), seconds=1, fps=FPS)
    assert all(np.array_equal(frame, picture()) for frame in bare)


def test_a_still_film_takes_a_mood_and_loops() -> None:
    quiet = replace(look("tender", drawn=False), light=NO_LIGHT)
    frames = np.stack(
        list(still_film(picture(), quiet, seconds=4, fps=FPS, loop=True, regions=regions()))
    ).astype(float)
    steps = np.abs(np.diff(frames, axis=0, append=frames[:1])).mean((1, 2, 3))
    assert steps[-1] <= 1.1 * max(steps[0], steps[-2], float(np.median(steps)))


def test_depth_is_believed_where_people_or_classes_speak_for_it() -> None:
    empty = regions()
    empty.people[...] = np.array([1, 0, 0, 0, 0, 0])
    classes = np.zeros((6, 48, 64), np.float32)
    classes[0] = 1.0
    assert Scene.of(regions()).depth is not None
    assert Scene.of(empty).depth is None
    assert Scene.of(empty, classes).depth is not None
    assert Scene.of(None) == Scene()
