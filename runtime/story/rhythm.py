"""Finds the rhythm of a story in its pictures: how long, which move, which mood, what change.

A pure function from what was measured of each photo to a plan with nothing left unsaid; what a
person said stays, and the rest answers it. The rules, in words: the first and the last picture
stay longest, faces longer than things, wide views a little longer than near ones; a move is
answered by its counterpart (push and pull, left and right), near pictures hardly move; a picture
seen again comes in other light, slowly and shorter, and lets its stillness linger, and where it
comes twice in a row the light alone moves; changes between pictures of a like brightness are
long, between unlike ones short.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .measure import Measure
from .plan import LEAST_SHOT, MOST_SECONDS, Change, StoryPlan, StoryShot, check_length

USUAL_SHOT = 4.5
"""Seconds of an ordinary shot, where nobody says how long the film is."""

_ANSWERS = {"push": "pull", "pull": "push", "left": "right", "right": "left"}
_ANSWERS |= {"up": "down", "down": "up"}
_SHORTEST, _LONGEST = 0.3, 2.0  # seconds of a change that the rhythm chooses itself
_STEP = 0.1  # seconds; what a person would write


def find_rhythm(plan: StoryPlan, measures: Sequence[Measure]) -> StoryPlan:
    """Return the plan with every shot's seconds, camera, mood, change and hold said.

    plan: some of it may be said already. measures: one for each shot. The result's `seconds` is
    the sum of the shots. The plan's seed varies what could as well be otherwise.

    Raises:
        StoryError: what is said leaves the rest no time, or a change does not fit its shots.
    """
    check_length(plan)
    firsts = _first_seen(measures)
    shots = _timed(plan, measures, firsts)
    shots = _moved(plan, shots, measures, firsts)
    shots = _changed(plan, shots, measures, firsts)
    shots = _held(shots, measures, firsts)
    total = math.fsum(shot.seconds or 0.0 for shot in shots)
    end = plan.end or Change("fade" if total >= 8 else "cut")
    if end.kind == "cut":
        end = Change("cut", 0.0)
    elif end.seconds is None:
        end = replace(end, seconds=round(min(2.0, 0.4 * (shots[-1].seconds or 0)), 1))
    done = replace(plan, shots=tuple(shots), seconds=total, end=end)
    check_changes(done)
    return done


def check_changes(plan: StoryPlan) -> None:
    """Refuse changes that do not fit into their shots, so that never three are seen at once.

    Raises:
        StoryError: one does not fit; names its line.
    """
    for index, shot in enumerate(plan.shots):
        after = plan.shots[index + 1] if index + 1 < len(plan.shots) else None
        before = change_seconds(shot.change) * (1.0 if index == 0 else 0.5)
        behind = (
            change_seconds(after.change) * 0.5 if after is not None else change_seconds(plan.end)
        )
        if before + behind > (shot.seconds or 0.0) + 1e-6:
            raise shot.error(
                f"its changes take {before + behind:g} s of the {shot.seconds:g} s of the shot "
                f"(half of {shot.change} at its start and of what follows it): make it longer, "
                "or its transitions shorter",
                "transition",
            )


def change_seconds(change: Change | None) -> float:
    """Return how long a change takes, 0 where nothing is said of it."""
    return (change.seconds or 0.0) if change is not None else 0.0


def _first_seen(measures: Sequence[Measure]) -> list[int]:
    """For each picture, where the same one was seen first; itself where it is new."""
    firsts: list[int] = []
    for index, measure in enumerate(measures):
        same = (f for f in sorted(set(firsts)) if measures[f].shows_the_same_as(measure))
        firsts.append(next(same, index))
    return firsts


def _weight(index: int, count: int, measure: Measure, again: bool) -> float:
    weight = 1.0 + 0.5 * min(measure.face / 0.4, 1.0) + 0.15 * (1.0 - measure.close)
    if again:
        weight *= 0.75
    if index == 0:
        weight *= 1.2
    if index == count - 1:
        weight *= 1.4
    return weight


def _timed(plan: StoryPlan, measures: Sequence[Measure], firsts: list[int]) -> list[StoryShot]:
    count = len(plan.shots)
    weights = [_weight(i, count, measures[i], firsts[i] != i) for i in range(count)]
    varied = np.random.default_rng([plan.seed, 501]).uniform(0.92, 1.08, count)
    weights = [float(weight * share) for weight, share in zip(weights, varied, strict=True)]
    free = [i for i in range(count) if plan.shots[i].seconds is None]
    said = plan.total
    shots = list(plan.shots)
    if not free:
        if plan.seconds is None or math.isclose(plan.seconds, said, abs_tol=1e-9):
            return shots
        stretch = plan.seconds / said
        return [replace(shot, seconds=(shot.seconds or 0) * stretch) for shot in shots]
    if plan.seconds is None:
        room = min(USUAL_SHOT * math.fsum(weights[i] for i in free), MOST_SECONDS - said)
        room = round(room) if not said else round(room / _STEP) * _STEP
        room = max(room, 2.0 if not said else LEAST_SHOT * len(free))
    else:
        room = plan.seconds - said
    if room < LEAST_SHOT * len(free) - 1e-9:
        raise plan.error(
            "seconds",
            f"the shots that say their seconds take {said:g} of the film's {said + room:g}, which "
            f"leaves {max(room, 0):.3g} s for {len(free)} more: give the film more seconds",
        )
    for i, seconds in zip(free, _shared(room, [weights[i] for i in free]), strict=True):
        shots[i] = replace(shots[i], seconds=seconds)
    return shots


def _shared(room: float, weights: list[float]) -> list[float]:
    """Share seconds out by weight, none under LEAST_SHOT, in tenths but for the last."""
    left, order = room, sorted(range(len(weights)), key=lambda i: weights[i])
    shares = [0.0] * len(weights)
    heavy = math.fsum(weights)
    for i in order:  # the light ones first: what they need more is taken from the others
        shares[i] = max(LEAST_SHOT, left * weights[i] / heavy)
        left, heavy = left - shares[i], heavy - weights[i]
    rounded = [max(LEAST_SHOT, math.floor(share / _STEP + 1e-6) * _STEP) for share in shares]
    rest = room - math.fsum(rounded)
    if rest < -1e-9:  # no tenth to spare
        return [room / len(weights)] * len(weights)
    by_loss = sorted(range(len(weights)), key=lambda i: rounded[i] - shares[i])
    for i in by_loss[: int(rest / _STEP + 1e-6)]:
        rounded[i] += _STEP
    rounded = [round(share, 6) for share in rounded]
    most = max(range(len(weights)), key=lambda i: (rounded[i], i))
    rounded[most] += room - math.fsum(rounded)  # what is no whole tenth
    return [round(share, 9) for share in rounded]


def _moved(
    plan: StoryPlan, shots: list[StoryShot], measures: Sequence[Measure], firsts: list[int]
) -> list[StoryShot]:
    """Give each shot its camera, mood and, where its picture was seen before, another light."""
    rng = np.random.default_rng([plan.seed, 502])
    pairs = [("push", "pull"), ("left", "right")]
    lights: dict[int, list[str]] = {}
    done: list[StoryShot] = []
    before, owed, turn = "", "", int(rng.integers(2))
    for index, shot in enumerate(shots):
        measure, said = measures[index], plan.settings(shot)
        asks: dict[str, Any] = dict(shot.asks)
        if "camera" not in said:
            choice = int(rng.integers(2))
            asks["camera"] = _camera(measure, before, owed, pairs[turn][choice])
            if firsts[index] in (
                *firsts[max(index - 1, 0) : index],
                *firsts[index + 1 : index + 2],
            ):
                asks["camera"] = "still"  # one picture dissolves into itself: nothing doubles
            if not owed and asks["camera"] in _ANSWERS:
                turn = 1 - turn
        camera = str(asks.get("camera", said.get("camera")))
        owed = "" if camera == owed else _ANSWERS.get(camera, owed)
        before = camera
        if "mood" not in said:
            asks["mood"] = _mood(measure, index, len(shots), firsts[index] != index)
        seen = lights.setdefault(firsts[index], [])
        if "light" not in said and firsts[index] != index:
            asks["light"] = _light(measure, seen, int(rng.integers(2)))
        seen.append(str(asks.get("light", said.get("light"))))
        done.append(replace(shot, asks=asks))
    return done


def _camera(measure: Measure, before: str, owed: str, else_: str) -> str:
    """The move of a picture after `before`, with an answer `owed` to an earlier one."""
    if measure.shape > 2.2:
        return "left" if before == "right" else "right"
    if measure.shape < 0.5:
        return "down" if before == "up" else "up"
    if measure.close > 0.55:
        return "push" if before == "still" else "still"
    return owed if owed and owed != before else else_


def _mood(measure: Measure, index: int, count: int, again: bool) -> str:
    if again:
        return "wistful"
    if measure.face > 0.12:
        return "tender"
    if index == count - 1 and count > 1:
        return "still"
    if measure.brightness < 0.3:
        return "wistful"
    if measure.brightness > 0.45 and measure.warmth > 0.0:
        return "radiant"
    return "still" if measure.close > 0.5 else "tender"


def _light(measure: Measure, seen: list[str], choice: int) -> str:
    """A light that this picture has not been seen in, one that suits how bright it is."""
    if measure.brightness < 0.3:
        order = ("moon", "candle", "dusk", "overcast", "golden", "bright")
    elif measure.brightness < 0.5:
        order = ("golden", "dusk", "overcast", "moon", "bright", "candle")
    else:
        order = ("dusk", "golden", "moon", "overcast", "candle", "bright")
    fresh = [light for light in order if light not in seen] or [x for x in order if x != seen[-1]]
    return fresh[min(choice, len(fresh) - 1)]


def _changed(
    plan: StoryPlan, shots: list[StoryShot], measures: Sequence[Measure], firsts: list[int]
) -> list[StoryShot]:
    """Say how each shot comes in, and for how long."""
    done: list[StoryShot] = []
    for index, shot in enumerate(shots):
        change = shot.change or Change("cut" if index == 0 else "dissolve")
        if index == 0 and change.kind == "dissolve":
            change = Change("fade", change.seconds)  # from black: nothing is before it
        if change.kind == "cut":
            change = Change("cut", 0.0)
        elif change.seconds is None:
            shorter = min(shots[i].seconds or 0.0 for i in (max(index - 1, 0), index))
            room = min(_room(plan, shots, index), 0.4 * shorter)
            change = Change(change.kind, _change_length(measures, firsts, index, room))
        if change.seconds == 0.0:
            change = Change("cut", 0.0)
        done.append(replace(shot, change=change))
        shots[index] = done[-1]
    return done


def _room(plan: StoryPlan, shots: list[StoryShot], index: int) -> float:
    """Seconds that the change before a shot may take, so that its neighbours' fit too."""
    own = shots[index].seconds or 0.0
    after = shots[index + 1].change if index + 1 < len(shots) else plan.end
    left = own - change_seconds(after) * (0.5 if index + 1 < len(shots) else 1.0)
    if index == 0:
        return max(0.0, left)
    last = shots[index - 1]
    behind = change_seconds(last.change) * (1.0 if index == 1 else 0.5)
    return max(0.0, 2.0 * min(left, (last.seconds or 0.0) - behind))


def _change_length(
    measures: Sequence[Measure], firsts: list[int], index: int, room: float
) -> float:
    if index == 0:
        length = 1.0
    else:
        apart = abs(measures[index].brightness - measures[index - 1].brightness)
        length = 1.4 - 1.2 * min(apart / 0.4, 1.0) * 0.5
        if firsts[index] == firsts[index - 1]:
            length = _LONGEST  # one picture: the light alone changes
    length = math.floor(min(length, room, _LONGEST) / _STEP + 1e-6) * _STEP
    return round(length, 6) if length >= _SHORTEST else 0.0


def _held(
    shots: list[StoryShot], measures: Sequence[Measure], firsts: list[int]
) -> list[StoryShot]:
    """Let the last picture linger, those seen again, and now and then a near one."""
    done: list[StoryShot] = []
    since = 0
    for index, shot in enumerate(shots):
        seconds, hold, since = shot.seconds or 0.0, shot.hold, since + 1
        if hold is None:
            share = 0.0
            if index == len(shots) - 1:
                share = 0.3
            elif firsts[index] != index:
                share = 0.25
            elif measures[index].close > 0.55 and since > 3:
                share = 0.2
            hold = math.floor(min(share * seconds, 2.0) / _STEP + 1e-6) * _STEP
            hold = round(hold, 6) if hold >= 0.4 else 0.0
        since = 0 if hold else since
        if hold > seconds:
            raise shot.error(f"hold {hold:g} is longer than the shot's {seconds:g} s", "hold")
        done.append(replace(shot, hold=hold))
    return done
