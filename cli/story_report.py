"""A story in words for a person, and as plain data for --json."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .clip_report import clip_facts

if TYPE_CHECKING:
    from ..runtime.story.plan import StoryPlan
    from ..runtime.story.story import Told

_MOST_ROWS = 60  # shots told one by one before the rest is only counted


def in_words(plan: StoryPlan) -> list[str]:
    """Return the rhythm of a story for a person, a line a shot."""
    shots = plan.shots
    lines = [
        f"{len(shots)} shot{'s' * (len(shots) > 1)}, {plan.total:g} s at {plan.fps} fps, "
        f"{plan.aspect}, ends in a {plan.end}"
    ]
    wide = min(max((len(shot.name) for shot in shots), default=0), 32)
    for number, shot in enumerate(shots[:_MOST_ROWS], 1):
        words = plan.happens(shot)
        words += [f"stands still for {shot.hold:g} s"] if shot.hold else []
        words += (
            [f'"{" / ".join(shot.caption)}"'] if shot.caption and plan.captions is not False else []
        )
        name = shot.name if len(shot.name) <= wide else shot.name[: wide - 1] + "…"
        lines.append(
            f"{number:>3}  {name:<{wide}}  {shot.seconds or 0:>5.1f} s  {shot.change!s:<12}  "
            + ", ".join(words)
        )
    if len(shots) > _MOST_ROWS:
        lines.append(f"     and {len(shots) - _MOST_ROWS} more")
    return lines


def plan_facts(plan: StoryPlan) -> dict[str, Any]:
    """Return a plan as plain data for --json."""
    return {
        "seconds": plan.total,
        "fps": plan.fps,
        "height": plan.height,
        "aspect": plan.aspect,
        "shots": [
            {
                "photo": str(shot.photo) if isinstance(shot.photo, str | Path) else None,
                "seconds": shot.seconds,
                "transition": str(shot.change),
                "hold": shot.hold,
                "caption": list(shot.caption),
                **plan.settings(shot),
            }
            for shot in plan.shots
        ],
    }


def report(told: Told) -> dict[str, Any]:
    """Return a finished story as plain data for --json."""
    return {
        **clip_facts(told),
        "shots_rendered": told.rendered,
        "shots_kept": told.kept,
        "shots_folder": None if told.shots_folder is None else str(told.shots_folder.absolute()),
        "plan": None if told.plan is None else plan_facts(told.plan),
    }
