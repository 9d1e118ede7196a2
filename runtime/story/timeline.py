"""Where on the film every shot lies, in frames: cuts, changes, stillness; pure arithmetic.

Of a dissolve half lies before its cut and half behind it, so that each shot runs on through it.
A fade goes to black before its cut and comes from black behind it. Never are more than two shots
seen at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ...engines.errors import StoryError
from .plan import MOST_SECONDS, Change, StoryPlan, StoryShot
from .rhythm import change_seconds

EASE = 0.35
"""Seconds by which a cut may move towards a beat."""
_HANDLES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
# A shot is rendered for the next longer of these dissolves: another transition seldom costs it.
_DAWN = 3.0  # seconds of a shot in a light of its own that pass unseen, while the light comes
_SLACK = 2  # frames, for the rounding of cuts
_BRAKE = 1.0  # seconds in which a shot comes to a standstill


@dataclass(frozen=True)
class Span:
    """One shot on the film; all numbers are frames."""

    start: int
    """The first frame it is seen on."""
    stop: int
    """The first frame it is no longer seen on."""
    dissolve: int
    """How many frames it shares with the shot before it; 0 where none."""
    leave: int
    """How many frames it shares with the shot behind it; 0 where none."""
    rise: int
    """How many frames it takes to come out of black; 0 where it does not."""
    fall: int
    """How many frames it takes to go into black; 0 where it does not."""
    still: int
    """From which of its own frames on it stands still; `count` where it never does."""
    brake: int
    """Over how many frames before `still` it comes to rest."""
    skip: int = 0
    """How many rendered frames pass unseen before its first."""

    @property
    def count(self) -> int:
        """How many frames it is seen on."""
        return self.stop - self.start

    def source(self, index: int) -> float:
        """Which moment of the rendered shot is seen on the shot's frame `index`, in frames."""
        begin = self.still - self.brake
        if index <= begin or self.still >= self.count:
            return float(self.skip + index)
        slowed = min(index - begin, self.brake)
        return self.skip + begin + slowed - slowed * slowed / (2.0 * max(self.brake, 1))


@dataclass(frozen=True)
class Timeline:
    """Where every shot lies."""

    fps: int
    frames: int
    """Frames of the whole film."""
    spans: tuple[Span, ...]
    cuts: tuple[float, ...]
    """Seconds at which one shot gives way to the next, without the film's two ends."""


def planned_cuts(plan: StoryPlan) -> list[float]:
    """Return the seconds at which one shot gives way to the next, as the plan has them."""
    cuts, at = [], 0.0
    for shot in plan.shots[:-1]:
        at += shot.seconds or 0.0
        cuts.append(at)
    return cuts


def lay_out(plan: StoryPlan, cuts: Sequence[float] | None = None) -> Timeline:
    """Lay a complete plan out in frames; `cuts` are its cut points where music has moved them.

    Raises:
        StoryError: a shot would have no frame.
    """
    fps = plan.fps
    total = math.fsum(shot.seconds or 0.0 for shot in plan.shots)
    cuts = planned_cuts(plan) if cuts is None else list(cuts)
    edges = [0, *(round(cut * fps) for cut in cuts), round(total * fps)]
    for shot, (left, right) in zip(plan.shots, pairwise(edges), strict=True):
        if right <= left:
            raise shot.error(
                f"{shot.seconds:g} s at {fps} fps is not one frame: make the shot longer"
            )
    if edges[-1] < 2:
        raise StoryError(f"{total:g} s at {fps} fps is one frame: ask for more seconds")
    changes = [*(shot.change or Change("cut", 0.0) for shot in plan.shots), plan.end]
    lengths = _fitting([round(change_seconds(change) * fps) for change in changes], edges)
    spans = []
    for index, shot in enumerate(plan.shots):
        incoming, outgoing = changes[index], changes[index + 1]
        into, out = lengths[index], lengths[index + 1]
        dissolves = index > 0 and incoming is not None and incoming.kind == "dissolve"
        leaves = outgoing is not None and outgoing.kind == "dissolve"
        fades = outgoing is not None and outgoing.kind == "fade"
        start = edges[index] - (into // 2 if dissolves else 0)
        stop = edges[index + 1] + (out - out // 2 if leaves else 0)
        still = edges[index + 1] - start - round((shot.hold or 0.0) * fps)
        still = max(still, 0) if shot.hold else stop - start
        rise = 0 if dissolves or into == 0 else into if index == 0 else into - into // 2
        fall = 0
        if fades:
            fall = out if index == len(plan.shots) - 1 else out // 2
        brake = min(round(_BRAKE * fps), still // 2) if shot.hold else 0
        shared = into if dissolves else 0, out if leaves else 0
        skip = _unseen(plan, shot)
        spans.append(Span(start, stop, *shared, rise, fall, still, brake, skip))
    return Timeline(fps, edges[-1], tuple(spans), tuple(cuts))


def _fitting(lengths: list[int], edges: list[int]) -> list[int]:
    """Shorten changes by single frames until all fit between their neighbours."""
    last = len(lengths) - 1
    for index, (left, right) in enumerate(pairwise(edges)):
        while True:
            into, out = lengths[index], lengths[index + 1]
            behind = into if index == 0 else into - into // 2
            before = out if index + 1 == last else out // 2
            if behind + before <= right - left:
                break
            lengths[index if behind > before else index + 1] -= 1
    return lengths


def frames_to_render(plan: StoryPlan, index: int) -> int:
    """Return how many frames a shot is rendered with.

    They suffice for its own time, its dissolves and the cuts that music may move. What is said of
    other shots hardly changes the number: a kept shot is good until its own line changes.
    """
    shot = plan.shots[index]
    after = plan.shots[index + 1].change if index + 1 < len(plan.shots) else None
    lead = 0.5 * _handle(shot.change if index else None)
    tail = 0.5 * _handle(after)
    # Room for the beats even where no music is yet: adding some costs no shot.
    eased = EASE * ((index > 0) + (index + 1 < len(plan.shots)))
    seconds = lead + (shot.seconds or 0.0) + eased
    seconds += tail if not shot.hold else -min(shot.hold, shot.seconds or 0.0)
    frames = max(round(max(seconds, 0.5) * plan.fps) + _SLACK, 2) + _unseen(plan, shot)
    return min(frames, int(MOST_SECONDS * plan.fps))


def _unseen(plan: StoryPlan, shot: StoryShot) -> int:
    """Frames before a shot's first: every film begins as its photo, its light comes slowly."""
    lit = plan.settings(shot).get("light") not in (None, "none")
    seconds = shot.seconds or 0.0
    spare = max(MOST_SECONDS - seconds - 6.0, 0.0)  # what a shot of the greatest length leaves
    return round(min(_DAWN, 2.0 * seconds, spare) * plan.fps) if lit else 0


def _handle(change: Change | None) -> float:
    if change is None or change.kind != "dissolve":
        return 0.0
    return next(handle for handle in _HANDLES if handle >= change_seconds(change))
