"""Whether one set of measurements is worse than another, said only where the noise allows it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .bench.record import summary
from .intervals import Interval, least_pairs, least_samples, paired, unpaired

ERROR = 0.05
"""Chance that any verdict of a group is wrong about two equal things, at most."""
THRESHOLD = 0.02
"""Differences up to this share are nobody's business."""
SLOWER, FASTER = "slower", "faster"
LARGER, SMALLER = "larger", "smaller"
ALIKE, NOISY = "no difference seen", "too noisy to tell"
WORSE = (SLOWER, LARGER)


@dataclass(frozen=True)
class Question:
    """The same quantity, measured before and after."""

    id: str
    """The row that it belongs to."""
    measure: str
    """"end to end", "memory", a phase, ..."""
    unit: str
    """"s", "bytes" or "J"; more is worse."""
    before: tuple[float, ...]
    after: tuple[float, ...]
    whole: bool = False
    """Whether it is of the whole run; a phase is not, and is judged in a group of its own."""
    in_turn: bool = False
    """Whether the samples are pairs."""


@dataclass(frozen=True)
class Answer:
    """What can be said of a question."""

    question: Question
    interval: Interval | None
    """None where no ratio can be made."""
    verdict: str
    reason: str = ""
    """Why it is too noisy to tell."""

    @property
    def worse(self) -> bool:
        """Whether something got slower or larger."""
        return self.verdict in WORSE

    def as_json(self) -> dict[str, Any]:
        """Plain data; an end that is not known is null."""
        asked, found = self.question, self.interval
        return {
            "id": asked.id,
            "measure": asked.measure,
            "unit": asked.unit,
            "group": "whole runs" if asked.whole else "parts",
            "before": summary(asked.before),
            "after": summary(asked.after),
            "ratio": None if found is None else found.ratio,
            "low": None if found is None or not found.known else found.low,
            "high": None if found is None or not found.known else found.high,
            "verdict": self.verdict,
            "reason": self.reason,
        }


def answer(
    questions: Sequence[Question], *, threshold: float = THRESHOLD, error: float = ERROR
) -> list[Answer]:
    """Answer questions, in two groups: those of whole runs, and the others.

    In each group the chance of a single wrong "slower", "faster", "larger" or "smaller" is at most
    `error`, however many questions it has: each gets its share of it (Bonferroni's way, which asks
    nothing of how they hang together). A verdict is what its whole interval says: beyond the
    threshold, or within it; an interval that has the threshold inside is too noisy to tell.
    """
    shares = {
        whole: error / max(1, sum(asked.whole == whole for asked in questions))
        for whole in (True, False)
    }
    return [_answer(asked, threshold, shares[asked.whole]) for asked in questions]


def over_all(answers: Sequence[Answer]) -> str:
    """The verdict on everything together: the worst thing seen."""
    seen = {found.verdict for found in answers}
    for verdict in (SLOWER, LARGER, FASTER, SMALLER, NOISY):
        if verdict in seen:
            return verdict
    return ALIKE


def _answer(asked: Question, threshold: float, error: float) -> Answer:
    measured: Callable[[Sequence[float], Sequence[float], float], Interval]
    measured = paired if asked.in_turn else unpaired
    if asked.before == asked.after and len(set(asked.before)) == 1:
        return Answer(asked, Interval(1.0, 1.0, 1.0), ALIKE)  # a constant, 0 too
    try:
        found = measured(asked.before, asked.after, error)
    except ValueError as fault:
        return Answer(asked, None, NOISY, str(fault))
    worse, better = (SLOWER, FASTER) if asked.unit == "s" else (LARGER, SMALLER)
    undecided = Answer(asked, found, NOISY)
    if not found.known:
        least = least_pairs(error) if asked.in_turn else least_samples(error)
        have = sorted({len(asked.before), len(asked.after)})
        return replace(
            undecided,
            reason=f"n is {' and '.join(map(str, have))}, and must be {least}"
            f"{' pairs' if asked.in_turn else ' on each side'} for this many questions",
        )
    if found.low > 1 + threshold:
        return replace(undecided, verdict=worse)
    if found.high < 1 / (1 + threshold):
        return replace(undecided, verdict=better)
    if 1 / (1 + threshold) <= found.low and found.high <= 1 + threshold:
        return replace(undecided, verdict=ALIKE)
    return replace(undecided, reason=f"a difference of {threshold:.1%} is within the noise")
