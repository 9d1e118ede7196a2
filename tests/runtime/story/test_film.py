from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from reverie.engines.errors import ReverieError, StoryError
from reverie.runtime.letters.lettering import draw_text
from reverie.runtime.story.film import assemble
from reverie.runtime.story.plan import Change, StoryPlan, StoryShot
from reverie.runtime.story.timeline import frames_to_render, lay_out, planned_cuts

Frame = np.ndarray[Any, np.dtype[np.uint8]]


def plan(
    *shots: tuple[float, str], fps: int = 24, end: str = "cut", hold: float = 0.0
) -> StoryPlan:
    made = tuple(
        StoryShot(f"{k}.jpg", seconds=seconds, change=Change.parse(change), hold=hold)
        for k, (seconds, change) in enumerate(shots)
    )
    return StoryPlan(made, fps=fps, end=Change.parse(end))


THREE = ((2.0, "cut"), (3.0, "dissolve 1"), (2.5, "fade 1"))


class Reel:
    """Shots of flat grey that count their own frames in one corner, and who opened what when."""

    def __init__(self, plan: StoryPlan, levels: tuple[int, ...] = (40, 120, 200)) -> None:
        self.plan, self.levels = plan, levels
        self.open: set[int] = set()
        self.most = 0
        self.log: list[int] = []

    def __call__(self, index: int) -> Iterator[Frame]:
        self.open.add(index)
        self.most = max(self.most, len(self.open))
        self.log.append(index)
        try:
            for number in range(frames_to_render(self.plan, index)):
                frame = np.full((16, 32, 3), self.levels[index % len(self.levels)], np.uint8)
                frame[0, 0] = number % 256
                yield frame
        finally:
            self.open.discard(index)


@pytest.mark.parametrize("fps", [1, 7, 24, 25, 30, 60])
@pytest.mark.parametrize("seconds", [2.0, 3.3, 4.97])
@pytest.mark.parametrize("changes", [("cut", "cut"), ("dissolve 1.2", "fade 1"), ("fade 1",) * 2])
def test_exactly_the_frames_promised_come(
    fps: int, seconds: float, changes: tuple[str, str]
) -> None:
    story = plan(
        (seconds, "cut"), (seconds, changes[0]), (seconds, changes[1]), fps=fps, end="fade 0.5"
    )
    timeline = lay_out(story)
    reel = Reel(story)
    assert timeline.frames == round(3 * seconds * fps)
    assert sum(1 for _ in assemble(timeline, reel)) == timeline.frames
    assert reel.most <= 2
    assert reel.open == set()
    for index, span in enumerate(timeline.spans):  # every shot is rendered long enough
        assert span.source(span.count - 1) <= frames_to_render(story, index) - 1


def test_shots_go_on_moving_through_a_dissolve() -> None:
    timeline = lay_out(plan(*THREE))
    first, second, _ = timeline.spans
    assert (first.start, first.stop) == (0, 60)  # half of 24 frames beyond its cut at 48
    assert (second.start, second.dissolve) == (36, 24)
    frames = list(assemble(timeline, Reel(plan(*THREE))))
    levels = [int(frame[8, 8, 0]) for frame in frames[36:60]]
    assert all(b >= a for a, b in pairwise(levels))
    assert 40 <= levels[0] < 45
    assert abs(levels[12] - 80) < 6
    assert 115 < levels[-1] <= 120
    assert [int(f[0, 0, 0]) for f in frames[:36]] == list(range(36))
    assert [int(f[0, 0, 0]) for f in frames[60:80]] == list(range(24, 44))  # on from the overlap


def test_a_fade_goes_through_black_and_back() -> None:
    frames = list(assemble(lay_out(plan(*THREE, end="fade 1")), Reel(plan(*THREE))))
    cut = 120
    levels = [int(f[8, 8, 0]) for f in frames]
    assert levels[cut - 1] == 0
    assert levels[cut] == 0
    assert levels[cut - 13] == 120
    assert levels[cut + 12] == 200
    assert levels[-1] == 0
    assert levels[-25] == 200


def test_the_film_can_begin_in_black() -> None:
    story = plan((2.0, "fade 1"))
    levels = [int(f[8, 8, 0]) for f in assemble(lay_out(story), Reel(story))]
    assert levels[0] == 0
    assert levels[24] == 40
    assert all(b >= a for a, b in pairwise(levels[:25]))


def test_a_held_shot_comes_to_rest_and_stands_still() -> None:
    story = plan((4.0, "cut"), (2.0, "dissolve 1"), hold=1.5)
    timeline = lay_out(story)
    span = timeline.spans[0]
    steps = np.diff([span.source(k) for k in range(span.count)])
    assert span.still == 60
    assert (steps[:30] == 1.0).all()
    assert (np.diff(steps) <= 1e-9).all()  # it only slows down
    assert (steps[60:] == 0.0).all()
    assert span.source(span.count - 1) + 1 < frames_to_render(story, 0)
    frames = list(assemble(timeline, Reel(story)))
    assert all((frames[k] == frames[61]).all() for k in range(61, 84))


def test_shots_are_opened_in_turn_and_closed_whatever_happens() -> None:
    story = plan(*((1.0, "dissolve 0.5"),) * 12)
    reel = Reel(story)
    frames = assemble(lay_out(story), reel)
    for _ in range(30):
        next(frames)
    assert len(reel.open) <= 2
    frames.close()  # type: ignore[attr-defined]
    assert reel.open == set()
    assert reel.log == sorted(set(reel.log))


def test_eased_cuts_move_the_changes_and_not_the_length() -> None:
    story = plan(*THREE)
    cuts = planned_cuts(story)
    assert cuts == [2.0, 5.0]
    moved = lay_out(story, [2.25, 4.75])
    assert moved.frames == lay_out(story).frames
    assert moved.spans[0].stop == 54 + 12
    assert sum(1 for _ in assemble(moved, Reel(story))) == moved.frames


def test_another_transition_seldom_asks_for_another_rendering() -> None:
    one = frames_to_render(plan((2.0, "cut"), (3.0, "dissolve 0.6")), 0)
    two = frames_to_render(plan((2.0, "cut"), (3.0, "dissolve 1")), 0)
    assert one == two
    assert frames_to_render(plan((2.0, "cut"), (3.0, "dissolve 3")), 0) > one
    assert frames_to_render(plan((2.0, "cut"), (9.0, "dissolve 1")), 0) == one


def test_crowded_changes_are_shortened_by_frames_not_refused() -> None:
    story = plan((0.5, "cut"), (0.5, "dissolve 0.5"), (0.5, "dissolve 0.5"), fps=7)
    timeline = lay_out(story, [0.7, 0.9])
    assert sum(1 for _ in assemble(timeline, Reel(story))) == timeline.frames


def test_a_shot_of_no_frame_is_told() -> None:
    with pytest.raises(StoryError, match="not one frame"):
        lay_out(plan((0.5, "cut"), (0.5, "cut"), (0.5, "cut"), fps=1))


def test_a_shot_without_frames_is_told() -> None:
    with pytest.raises(ReverieError, match="has no frames"):
        list(assemble(lay_out(plan((1.0, "cut"))), lambda index: iter(())))


def test_captions_come_and_go_softly() -> None:
    story = plan((4.0, "cut"), (3.0, "cut"))
    letters = draw_text(["Ana"], size=(320, 180))

    def shots(index: int) -> Iterator[Frame]:
        while True:
            yield np.full((180, 320, 3), 90, np.uint8)

    def lettering(index: int, frame: Frame) -> Any:
        return letters if index == 0 else None

    rows = slice(letters.top, letters.top + letters.rgba.shape[0])
    frames = list(assemble(lay_out(story), shots, lettering))
    seen = [float(np.abs(f[rows].astype(int) - 90).mean()) for f in frames]
    assert seen[0] == 0.0
    assert seen[48] > 1.0
    assert seen[48] == max(seen)
    assert seen[18] < seen[48]
    assert seen[95] < 0.2
    assert max(seen[96:]) == 0.0
    above = frames[48][: letters.top]
    assert (above == 90).all()


def test_a_shot_in_a_light_of_its_own_begins_when_the_light_has_come() -> None:
    lit = StoryShot("0.jpg", seconds=4.0, asks={"light": "dusk"}, change=Change("cut", 0.0))
    story = StoryPlan((lit,), fps=24, end=Change("cut", 0.0))
    plain = StoryPlan((StoryShot("0.jpg", seconds=4.0, change=lit.change),), end=story.end)
    assert frames_to_render(story, 0) == frames_to_render(plain, 0) + 72
    frames = list(assemble(lay_out(story), Reel(story)))
    assert [int(f[0, 0, 0]) for f in frames] == list(range(72, 168))


@pytest.mark.parametrize("fps", [7, 24, 60])
def test_shots_suffice_however_music_moves_the_cuts(fps: int) -> None:
    shots = ((2.0, "cut"), (2.3, "dissolve 1"), (3.1, "dissolve 0.7"), (2.0, "fade 1"))
    story = plan(*shots, (2.5, "dissolve 1.4"), fps=fps)
    first, second, third, fourth = planned_cuts(story)
    for sign in (-0.35, 0.35):
        eased = [first + sign, second - sign, third + sign, fourth - sign]
        timeline = lay_out(story, eased)
        for index, span in enumerate(timeline.spans):
            assert span.source(span.count - 1) <= frames_to_render(story, index) - 1
        assert sum(1 for _ in assemble(timeline, Reel(story))) == timeline.frames
