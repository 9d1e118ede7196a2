"""How long films come out of models that make a few seconds: over all families, lengths, rates."""

from __future__ import annotations

import pytest
from reverie.runtime.length import SLOWEST, Capabilities, LengthPlan, plan_length
from reverie.runtime.timing import Timing

FAMILIES: dict[str, tuple[Timing, Capabilities]] = {
    "svd-14": (Timing(7, 14, 14, "slow", 1, 0), Capabilities(6, picture=0)),
    "svd-25": (Timing(7, 25, 25, "slow", 1, 0), Capabilities(6, picture=0)),
    "svd-other-schedule": (Timing(7, 25, 25, "slow", 1, 0), Capabilities()),
    "ltx": (Timing(24, 161, 257, "native", 8, 1), Capabilities(2, 8, end=True)),
    "ltx-image": (Timing(25, 161, 257, "native", 8, 1), Capabilities(2, 8)),
    "wan": (Timing(24, 121, 121, "native", 4, 1), Capabilities(3, 4)),
    "toy": (Timing(12, 9, 33, "windows", 4, 1), Capabilities()),
    "short": (Timing(24, 9, 9, "native", 8, 1), Capabilities(2, 8)),
    "still": (Timing(24, 1, 1, "slow", 1, 0), Capabilities()),
}
SECONDS = (0.5, 1, 2, 3.3, 5, 7, 10, 10.75, 12, 15, 31, 60, 119.9, 120, 600)
RATES = (1, 7, 12, 24, 25, 30, 60, 120)


def plan(family: str, seconds: float, fps: int, loop: bool = False) -> LengthPlan:
    timing, can = FAMILIES[family]
    frames = max(round(seconds * fps), 2)
    return plan_length(timing.at(None, fps), frames=frames, fps=fps, loop=loop, can=can)


@pytest.mark.parametrize("loop", [False, True])
@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_length_comes_out(family: str, fps: int, loop: bool) -> None:
    timing, can = FAMILIES[family]
    for seconds in SECONDS:
        made = plan(family, seconds, fps, loop)
        assert made.count == max(round(seconds * fps), 2)
        last = made.count if made.loop == "end" else made.count - 1
        assert last * made.step <= made.own_frames - 1 + 1e-6
        assert made.window_frames <= timing.longest
        assert (made.window_frames - timing.offset) % timing.step == 0
        assert made.pace <= 1.06
        assert (made.windows > 1) == (made.way == "windows")
        if timing.longest > 1:
            assert made.pace >= 0.95 / SLOWEST[timing.rule] - 1e-6
        if made.windows > 1:
            shared, advance = made.overlap, made.window_frames - made.overlap
            assert shared == max(can.overlap(made.latents), 1)
            assert 3 * shared <= made.window_frames or made.latents == 0
            slowest = SLOWEST["slow"] if timing.rule == "slow" else 1.0
            needed = last * timing.at(None, fps).fps / fps / slowest
            assert needed > made.own_frames - 1 - advance, "a window less would do"
        if made.end is not None:
            assert made.overlap <= made.end < made.window_frames
        assert made.explanation
        assert not any("\n" in line or len(line) > 140 for line in made.explanation)


TABLE = [
    # family, seconds, fps, loop -> way, windows, frames each, shared, pace
    ("svd-14", 2, 24, False, "slower", 1, 14, 0, 0.948),
    ("svd-14", 3, 24, False, "slower", 1, 14, 0, 0.628),
    ("svd-14", 10, 24, False, "windows", 4, 14, 4, 0.617),
    ("svd-25", 1, 24, False, "one", 1, 25, 0, 1.0),
    ("svd-25", 6, 30, False, "slower", 1, 25, 0, 0.575),
    ("svd-25", 10, 24, False, "windows", 2, 25, 6, 0.617),
    ("svd-25", 15, 25, True, "windows", 3, 25, 6, 0.592),
    ("ltx", 5, 24, False, "one", 1, 121, 0, 1.0),
    ("ltx", 10, 24, False, "one", 1, 241, 0, 1.0),
    ("ltx", 10, 24, True, "one", 1, 241, 0, 1.0),
    ("ltx", 12, 24, False, "slower", 1, 257, 0, 0.892),
    ("ltx", 15, 24, False, "windows", 2, 193, 17, 1.0),
    ("ltx", 10, 60, False, "one", 1, 241, 0, 1.0),
    ("wan", 4, 25, False, "one", 1, 101, 0, 1.0417),
    ("wan", 5, 25, False, "slower", 1, 121, 0, 1.008),
    ("wan", 10, 24, False, "windows", 3, 89, 13, 1.0),
    ("wan", 120, 24, False, "windows", 27, 121, 13, 1.0),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row[0]}-{row[1]}s-{row[2]}fps")
def test_what_is_chosen(row: tuple[str, float, int, bool, str, int, int, int, float]) -> None:
    family, seconds, fps, loop, *expected, pace = row
    timing, can = FAMILIES[family]
    made = plan_length(
        timing.at(None, fps),
        frames=round(seconds * fps),
        fps=fps,
        loop=loop,
        can=can,
        meant=timing.fps,
    )
    assert [made.way, made.windows, made.window_frames, made.overlap] == expected
    assert made.pace == pytest.approx(pace, abs=1e-3)


def test_what_is_chosen_is_explained() -> None:
    timing, can = FAMILIES["svd-25"]
    said = plan_length(timing, frames=240, fps=24, loop=True, can=can, name="svd").explanation
    assert said == (
        "10 s at 24 fps are 240 frames: 2 windows of 25 frames are joined, for svd makes at most "
        "25 at once",
        "each goes on from the last latents of the one before, 6 frames dissolve into each other",
        "colours are held to those of the first window",
        "played 1.62 times slower than the model means it: it makes 44 frames at 7 fps",
        "frames in between are blended, 4.32 to 24 fps",
        "the end dissolves into the beginning run backwards, so that the film loops",
    )
    timing, can = FAMILIES["ltx"]
    said = plan_length(timing, frames=600, fps=60, loop=True, can=can, drawn=True).explanation
    assert said[1:] == (
        "frames in between are drawn by a network, 24 to 60 fps",
        "the last window is led back to the photo, so that the film loops",
    )


def test_the_photo_stands_at_the_end_of_a_loop_that_is_led() -> None:
    timing, can = FAMILIES["ltx"]
    made = plan_length(timing.at(25.0, 25), frames=250, fps=25, loop=True, can=can)
    assert (made.window_frames, made.end, made.step) == (257, 248, 1.0)
    made = plan_length(timing, frames=480, fps=24, loop=True, can=can)
    assert made.end is not None
    assert made.end % 8 == 0
    assert (made.windows - 1) * (made.window_frames - made.overlap) + made.end == 480


def test_a_number_of_frames_is_the_models_own() -> None:
    timing, can = FAMILIES["wan"]
    made = plan_length(timing, frames=50, fps=60, can=can, exact=True)
    assert (made.windows, made.window_frames, made.step) == (1, 50, 1.0)
    made = plan_length(timing, frames=500, fps=24, can=can, exact=True)
    assert (made.way, made.step, made.count) == ("windows", 1.0, 500)
    assert made.own_frames >= 500
    assert plan_length(*FAMILIES["still"][:1], frames=10, fps=24).step == 0
