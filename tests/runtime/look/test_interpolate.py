from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import cv2
import numpy as np
import pytest
from PIL import Image
from reverie.engines.errors import EngineError
from reverie.runtime.blend import blend
from reverie.runtime.bundle import load_bundle
from reverie.runtime.look import interpolate
from reverie.runtime.look.interpolate import Interpolator, open_interpolator

PHOTOS = Path(__file__).parents[2] / "data" / "photos"


@pytest.fixture(scope="module")
def rife() -> Iterator[Interpolator]:
    with open_interpolator("cpu", threads=1) as between:
        assert isinstance(between, Interpolator)
        yield between


def photo(name: str) -> np.ndarray:
    with Image.open(PHOTOS / f"{name}.jpg") as picture:
        return np.asarray(picture.convert("RGB"))


def shifted(share: float, *, size: tuple[int, int] = (214, 150), by: float = 8.0) -> np.ndarray:
    """A view of a photo that glides and leans in a little."""
    zoom = 1 + 0.02 * share
    view = np.array([[zoom, 0, -60 - by * share], [0, zoom, -40 - by / 2 * share]], np.float32)
    return cv2.warpAffine(photo("tea-gardens"), view, size, flags=cv2.INTER_CUBIC)


def decibels(one: np.ndarray, other: np.ndarray) -> float:
    inner = slice(12, -12), slice(12, -12)
    error = np.square(one[inner].astype(float) - other[inner]).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


class Broken:
    """An engine that fails, or says nonsense."""

    def __init__(self, answer: float | None) -> None:
        self.answer, self.calls = answer, 0

    def run(self, given: Mapping[str, Any]) -> dict[str, Any]:
        self.calls += 1
        if self.answer is None:
            raise EngineError("out of memory: close other programs")
        shape = given["share"].shape
        return {
            "flow": np.full((1, 4, *shape[2:]), self.answer, np.float32),
            "mask": np.full(shape, 0.5, np.float32),
        }


@pytest.mark.parametrize("share", [0.5, 0.3])
def test_what_moves_is_drawn_where_it_is_and_not_twice(rife: Interpolator, share: float) -> None:
    before, after, truth = (shifted(at) for at in (0.0, 1.0, share))
    drawn = rife(before, after, share)
    assert drawn.dtype == np.uint8
    assert drawn.shape == before.shape
    assert decibels(drawn, truth) > decibels(blend(before, after, share), truth) + 8


def test_a_large_frame_is_drawn_by_a_small_look(rife: Interpolator) -> None:
    before, after, truth = (shifted(at, size=(320, 214)) for at in (0.0, 1.0, 0.5))
    with open_interpolator("cpu", threads=1, look=160 * 112) as small:
        drawn = small(before, after, 0.5)
    assert decibels(drawn, truth) > decibels(blend(before, after, 0.5), truth) + 3
    assert decibels(rife(before, after, 0.5), truth) > decibels(drawn, truth)


def test_rows_drawn_apart_fit_together(rife: Interpolator, monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = shifted(0.0), shifted(1.0)
    whole = rife(before, after, 0.5)
    monkeypatch.setattr(interpolate, "_ROWS", 32)
    np.testing.assert_array_equal(rife(before, after, 0.5), whole)


def test_shares_of_the_way_follow_each_other(rife: Interpolator) -> None:
    before, after = shifted(0.0), shifted(1.0)
    drawn = [rife(before, after, share) for share in (0.25, 0.5, 0.75)]
    near = [float(np.abs(one.astype(int) - before).mean()) for one in drawn]
    assert near == sorted(near)
    np.testing.assert_array_equal(drawn[1], rife(before.copy(), after.copy(), 0.5))


def test_equal_frames_are_given_back_and_ends_are_the_frames(rife: Interpolator) -> None:
    before, after = shifted(0.0), shifted(1.0)
    assert rife(before, before.copy(), 0.4) is before
    assert rife(before, after, 0.0) is before
    assert rife(before, after, 1.0) is after
    near = np.clip(before.astype(int) + 1, 0, 255).astype(np.uint8)
    np.testing.assert_array_equal(rife(before, near, 0.5), blend(before, near, 0.5))


def test_two_scenes_are_blended(rife: Interpolator) -> None:
    before = shifted(0.0)
    after = cv2.resize(photo("rocket"), before.shape[1::-1])
    np.testing.assert_array_equal(rife(before, after, 0.5), blend(before, after, 0.5))


def test_nonsense_is_not_shown() -> None:
    before, after = shifted(0.0), shifted(1.0)
    between = Interpolator(Broken(float("nan")))  # type: ignore[arg-type]
    np.testing.assert_array_equal(between(before, after, 0.3), blend(before, after, 0.3))


def test_a_device_that_fails_is_told_once_and_asked_no_more() -> None:
    before, after, told = shifted(0.0), shifted(1.0), []
    engine = Broken(None)
    between = Interpolator(engine, on_note=told.append)  # type: ignore[arg-type]
    for share in (0.3, 0.6):
        np.testing.assert_array_equal(between(before, after, share), blend(before, after, share))
    assert engine.calls == 1
    assert len(told) == 1
    assert "out of memory" in told[0]


def test_a_network_that_does_not_open_leaves_blending() -> None:
    def closed(*given: object, **named: object) -> NoReturn:
        raise EngineError("no driver: use the CPU")

    told: list[str] = []
    bundle = replace(load_bundle("rife"), opener=closed)
    before, after = shifted(0.0), shifted(1.0)
    with open_interpolator("cpu", bundle=bundle, on_note=told.append) as between:
        for _ in range(2):
            np.testing.assert_array_equal(between(before, after, 0.4), blend(before, after, 0.4))
    assert told == ["frames between frames are blended: no driver: use the CPU"]
