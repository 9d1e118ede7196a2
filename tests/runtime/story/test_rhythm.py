from __future__ import annotations

import math
from dataclasses import replace

import pytest
from reverie.engines.errors import StoryError
from reverie.runtime.story.measure import Measure
from reverie.runtime.story.plan import Change, StoryPlan, StoryShot
from reverie.runtime.story.rhythm import find_rhythm
from reverie.runtime.story.timeline import lay_out

PRINTS = [0xA5A5_0000_FFFF_1234 * (k + 3) ** 5 % 2**128 for k in range(40)]


def measure(number: int = 0, **found: float) -> Measure:
    return Measure(1200, 800, print_=PRINTS[number], **found)  # type: ignore[arg-type]


WIDE = [measure(k, brightness=0.3 + 0.05 * (k % 5)) for k in range(12)]
FACE = measure(20, face=0.45, brightness=0.5)


def plan(count: int, **said: object) -> StoryPlan:
    shots = tuple(StoryShot(f"{k}.jpg") for k in range(count))
    return StoryPlan(shots, **said)  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 12])
@pytest.mark.parametrize("seconds", [10, 37, 60.0, 59.94])
@pytest.mark.parametrize("seed", [0, 5])
def test_the_shots_add_up_to_the_seconds_asked(count: int, seconds: float, seed: int) -> None:
    whole = find_rhythm(plan(count, seconds=seconds, seed=seed), WIDE[:count])
    assert math.fsum(shot.seconds or 0 for shot in whole.shots) == pytest.approx(seconds, abs=1e-9)
    assert all((shot.seconds or 0) >= 0.5 for shot in whole.shots)
    assert lay_out(whole).frames == round(seconds * 24)


def test_tight_stories_still_fit() -> None:
    whole = find_rhythm(plan(12, seconds=6), WIDE)
    assert [shot.seconds for shot in whole.shots] == [pytest.approx(0.5)] * 12
    with pytest.raises(StoryError, match=r"12 shots in 5\.9 s"):
        find_rhythm(plan(12, seconds=5.9), WIDE)


def test_without_seconds_a_photo_has_about_four_and_a_half() -> None:
    whole = find_rhythm(plan(10), WIDE[:10])
    assert 40 <= whole.total <= 60
    assert whole.total == round(whole.total)


def test_first_and_last_and_faces_stay_longer() -> None:
    measures = [*WIDE[:4], FACE, *WIDE[5:9]]
    for seed in range(5):
        times = [
            s.seconds or 0 for s in find_rhythm(plan(9, seconds=45, seed=seed), measures).shots
        ]
        middle = [times[k] for k in (1, 2, 3, 5, 6, 7)]
        assert times[4] > max(middle)
        assert times[-1] > max(middle)
        assert times[0] > sum(middle) / len(middle)


def test_moves_answer_each_other() -> None:
    answers = {"push": "pull", "pull": "push", "left": "right", "right": "left"}
    for seed in range(6):
        whole = find_rhythm(plan(12, seed=seed), WIDE)
        moves = [shot.asks["camera"] for shot in whole.shots]
        assert all(moves[k + 1] == answers[moves[k]] for k in range(0, 12, 2))
        assert len(set(moves)) == 4


def test_near_pictures_hardly_move() -> None:
    measures = [WIDE[0], FACE, replace(FACE, print_=PRINTS[21]), WIDE[3]]
    whole = find_rhythm(plan(4), measures)
    assert whole.shots[1].asks["camera"] in ("still", "push")
    assert whole.shots[1].asks["camera"] != whole.shots[2].asks["camera"]
    assert whole.shots[1].asks["mood"] == "tender"


def test_a_picture_seen_again_comes_in_other_light_and_lingers() -> None:
    again = replace(WIDE[0], print_=PRINTS[0] ^ 0b111, width=600, height=400)  # saved anew
    whole = find_rhythm(plan(4, seconds=20), [WIDE[0], WIDE[1], again, WIDE[0]])
    lights = [shot.asks.get("light") for shot in whole.shots]
    assert lights[0] is None
    assert lights[1] is None
    assert None not in lights[2:]
    assert lights[2] != lights[3]
    assert (whole.shots[2].hold or 0) > 0


def test_other_seeds_are_other_rhythms_and_the_same_is_the_same() -> None:
    def times(seed: int) -> list[float | None]:
        return [s.seconds for s in find_rhythm(plan(8, seconds=40, seed=seed), WIDE[:8]).shots]

    assert times(1) == times(1)
    assert times(1) != times(2)


def test_what_is_said_stays() -> None:
    said = plan(4, seconds=20)
    second = replace(
        said.shots[1], seconds=6.0, asks={"camera": "up", "mood": None}, change=Change("fade", 1.0)
    )
    said = replace(said, shots=(said.shots[0], second, *said.shots[2:]), asks={"light": "moon"})
    whole = find_rhythm(said, [WIDE[0], WIDE[1], WIDE[0], WIDE[3]])
    shot = whole.shots[1]
    assert (shot.seconds, shot.asks, shot.change) == (6.0, second.asks, Change("fade", 1.0))
    assert "light" not in whole.shots[2].asks
    assert whole.shots[2].asks["camera"] == "down"  # it answers
    assert whole.total == pytest.approx(20)
    again = find_rhythm(whole, [WIDE[0], WIDE[1], WIDE[0], WIDE[3]])
    for one, other in zip(again.shots, whole.shots, strict=True):
        assert (one.asks, one.change, one.hold) == (other.asks, other.change, other.hold)
        assert one.seconds == pytest.approx(other.seconds)


def test_shots_that_all_say_their_seconds_are_stretched_to_the_films() -> None:
    shots = tuple(StoryShot("a.jpg", seconds=k) for k in (2.0, 4.0, 2.0))
    whole = find_rhythm(StoryPlan(shots, seconds=16.0), WIDE[:3])
    assert [shot.seconds for shot in whole.shots] == [4.0, 8.0, 4.0]
    assert find_rhythm(StoryPlan(shots), WIDE[:3]).seconds == 8.0


def test_like_pictures_change_slowly() -> None:
    dark, bright = measure(1, brightness=0.1), measure(2, brightness=0.8)
    calm = find_rhythm(plan(3, seconds=18), [dark, replace(dark, print_=PRINTS[5]), bright])
    slow, quick = calm.shots[1].change, calm.shots[2].change
    assert slow is not None
    assert quick is not None
    assert (slow.seconds or 0) > (quick.seconds or 0) > 0


def test_changes_that_do_not_fit_are_told_with_their_line() -> None:
    shots = (
        StoryShot("a.jpg", seconds=3.0),
        StoryShot("b.jpg", seconds=1.0, change=Change("dissolve", 1.5), where="story.toml:7"),
        StoryShot("c.jpg", seconds=3.0, change=Change("dissolve", 1.5)),
    )
    with pytest.raises(StoryError, match=r"story\.toml:7: its changes take 1\.5 s of the 1 s"):
        find_rhythm(StoryPlan(shots), WIDE[:3])


def test_said_seconds_that_leave_nothing_are_told() -> None:
    shots = (StoryShot("a.jpg", seconds=9.8), StoryShot("b.jpg"))
    with pytest.raises(StoryError, match=r"leaves 0\.2 s for 1 more"):
        find_rhythm(StoryPlan(shots, seconds=10.0), WIDE[:2])


def test_a_picture_that_dissolves_into_itself_stands() -> None:
    whole = find_rhythm(plan(4, seconds=20), [WIDE[0], WIDE[1], WIDE[1], WIDE[3]])
    moves = [shot.asks["camera"] for shot in whole.shots]
    assert moves[1:3] == ["still", "still"]
    assert "still" not in (moves[0], moves[3])
    assert whole.shots[2].change is not None
    assert whole.shots[2].change.kind == "dissolve"
