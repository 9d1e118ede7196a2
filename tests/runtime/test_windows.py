"""Windows joined: a toy model whose pattern drifts, and that knows from a tail how fast it did."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from reverie.runtime.anchor import statistics
from reverie.runtime.length import Capabilities, LengthPlan, plan_length
from reverie.runtime.noise import Noise
from reverie.runtime.timing import Timing
from reverie.runtime.windows import Link, WindowNoise, join

TIMING = Timing(24, 33, 33, "native", 4, 1)
SIZE = 24, 64
COLUMNS = np.arange(SIZE[1]) * 2 * np.pi / SIZE[1]
PICTURE_ALONE, LATENTS = Capabilities(), Capabilities(2, 4)


class Frame(np.ndarray):
    """An array that can be counted."""


class Toy:
    """Frames of a wave that moves at a pace of its own, or on as its tail did.

    Its latents are the wave's sine and cosine; `tint` is how far colours run away in a window.
    """

    def __init__(self, length: LengthPlan, *, tint: float = 0.0) -> None:
        self.count, self.tint, self.latent_frames = length.window_frames, tint, 4
        self.made: list[weakref.ref[Frame]] = []
        self.begun: list[np.ndarray] = []

    def __call__(self, window: int, picture: np.ndarray, link: Link) -> Iterator[Frame]:
        self.begun.append(picture)
        tint, place = picture.mean() - 128, phase_of(picture[0, :, 1].astype(float) - 128)
        pace = WindowNoise(5, window).draw("pace", (1,))[0] * 0.05 + 0.15
        pace *= (-1) ** window  # the worst: each window sets out the other way
        if link.held is not None:
            ends = np.unwrap([phase_of(cells) for cells in link.held[:, 0, 0]])
            pace = (ends[-1] - ends[0]) / (len(ends) - 1) / self.latent_frames
        count = self.count
        places = place + pace * np.arange(count)
        kept = np.concatenate([places[:1], places[self.latent_frames :: self.latent_frames]])
        link.keep(np.stack([[waves(p)] for p in kept]).astype(np.float32)[:, 0][:, :, None])
        for index, at in enumerate(places):
            wave = 128 + 60 * waves(at)[0] + tint + self.tint * index / (count - 1)
            frame = np.broadcast_to(wave[None, :, None], (*SIZE, 3))
            made = np.rint(np.clip(frame, 0, 255)).astype(np.uint8).view(Frame)
            self.made.append(weakref.ref(made))
            yield made


def waves(place: float) -> np.ndarray:
    return np.stack([np.sin(COLUMNS + place), np.cos(COLUMNS + place)])


def phase_of(cells: np.ndarray) -> float:
    """Where a wave sin(x + place) stands."""
    cells = cells.astype(float) - cells.mean()
    return float(np.arctan2((cells * np.cos(COLUMNS)).sum(), (cells * np.sin(COLUMNS)).sum()))


PICTURE = np.broadcast_to((128 + 60 * waves(0.3)[0])[None, :, None], (*SIZE, 3)).astype(np.uint8)


def long(seconds: float, can: Capabilities, loop: bool = False) -> LengthPlan:
    return plan_length(TIMING, frames=round(24 * seconds), fps=24, can=can, loop=loop)


def steps(frames: list[np.ndarray]) -> np.ndarray:
    return np.array([np.abs(b.astype(float) - a).mean() for a, b in pairwise(frames)])


@pytest.mark.parametrize("can", [PICTURE_ALONE, LATENTS])
@pytest.mark.parametrize("seconds", [2, 10, 15, 60, 120])
def test_all_frames_are_there(seconds: int, can: Capabilities) -> None:
    length = long(seconds, can)
    toy = Toy(length)
    count = sum(1 for _ in join(length, PICTURE, toy))
    assert count == length.own_frames >= 24 * seconds
    assert len(toy.begun) == length.windows > 1


def test_a_tail_carries_the_motion_on() -> None:
    """No seam is larger than a usual step, and the wave goes on the way it went."""
    length = long(15, LATENTS)
    frames = list(join(length, PICTURE, Toy(length)))
    taken = steps(frames)
    assert taken.max() <= 1.15 * np.median(taken)
    places = np.unwrap([phase_of(f[0, :, 1]) for f in frames])
    paces = np.diff(places)
    assert paces.min() > 0.5 * np.median(paces) > 0


def test_without_a_tail_it_turns_round_but_does_not_jump() -> None:
    length = long(15, PICTURE_ALONE)
    frames = list(join(length, PICTURE, Toy(length)))
    paces = np.diff(np.unwrap([phase_of(f[0, :, 1]) for f in frames]))
    assert (paces > 0.05).any()
    assert (paces < -0.05).any()
    taken = steps(frames)
    assert taken.max() <= 2 * np.median(taken)


@pytest.mark.parametrize("can", [PICTURE_ALONE, LATENTS])
@pytest.mark.parametrize("tint", [7.0, -7.0])
def test_colours_do_not_drift_over_twelve_windows(can: Capabilities, tint: float) -> None:
    seconds = (33 + 11 * (33 - (1 if can is PICTURE_ALONE else 9))) / 24
    length = long(seconds, can)
    assert length.windows == 12
    frames = list(join(length, PICTURE, Toy(length, tint=tint)))
    light = np.array([statistics(frame)[0, 0] for frame in frames])
    of_one = abs(light[32 - length.overlap] - light[0])
    assert of_one > 1
    assert np.abs(light - light[0]).max() < 2 * of_one
    last = light[-33:].mean() - light[:33].mean()
    assert abs(last) < 1.2 * of_one, "11 windows later"


@pytest.mark.parametrize("can", [PICTURE_ALONE, LATENTS])
def test_only_a_tail_is_held(can: Capabilities) -> None:
    def most(seconds: int) -> int:
        length, found = long(seconds, can), 0
        toy = Toy(length)
        for _ in join(length, PICTURE, toy):
            found = max(found, sum(one() is not None for one in toy.made[-60:]))
        return found

    assert most(60) == most(5) <= 14


def test_the_next_window_begins_with_what_was_shown() -> None:
    length = long(3, LATENTS)
    toy = Toy(length, tint=9.0)
    frames = list(join(length, PICTURE, toy))
    at = length.window_frames - length.overlap
    for window, begun in enumerate(toy.begun[1:], 1):
        np.testing.assert_array_equal(begun, frames[window * at])


def test_noise_is_of_the_seed_and_the_window() -> None:
    first = WindowNoise(3, 0).draw("latents", (4,))
    np.testing.assert_array_equal(first, Noise(3).draw("latents", (4,)))
    draws = [
        WindowNoise(seed, window).draw("latents", (4,)) for seed in (3, 4) for window in (1, 2)
    ]
    assert len({draw.tobytes() for draw in [first, *draws]}) == 5
    np.testing.assert_array_equal(draws[0], WindowNoise(3, 1).draw("latents", (4,)))


def test_latents_are_held_to_the_first_windows() -> None:
    """What a window's latents shift by is taken from its tail: it would add up otherwise."""
    link, rng = Link(3), np.random.default_rng(1)
    base = rng.normal(0, 1, (8, 5, 6, 6)).astype(np.float32)
    for window in range(10):
        start = 0.0 if link.held is None else float(link.held.mean())
        link.keep(base + start + np.linspace(0, 0.3, 8, dtype=np.float32)[:, None, None, None])
        assert link.held is not None
        assert link.held.shape == (3, 5, 6, 6), window
    assert abs(float(link.held.mean())) < 0.45
    nothing = Link(0)
    nothing.keep(base)
    assert nothing.held is None


def test_what_is_made_once_is_made_once() -> None:
    made: list[Any] = []
    link = Link(1)
    assert [link.once("texts", lambda: made.append(1) or len(made)) for _ in range(3)] == [1, 1, 1]
