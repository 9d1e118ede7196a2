"""From photos or a plan to a plan with nothing left unsaid; looks at the pictures, renders none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ...engines.errors import SettingsError, StoryError
from ..frame import frame_size
from ..letters.lettering import check_text
from ..settings import Settings, parse_aspect
from .caption import check_captions, with_captions
from .measure import Measure, measure_all
from .plan import (
    LEAST_SHOT,
    MOST_SECONDS,
    PhotoSource,
    StoryPlan,
    StoryShot,
    check_asks,
    check_length,
    plan_of,
    with_seconds,
)
from .plan_file import read_plan
from .rhythm import check_changes, find_rhythm

_SQUARE = 1.15  # width over height up to which a photo counts as square
_OWN = ("fps", "height", "seed", "aspect", "music", "voice", "font", "label")


def draft_story(
    photos: Sequence[PhotoSource] = (),
    plan: str | Path | StoryPlan | None = None,
    *,
    seconds: float | None = None,
    captions: bool | None = None,
    asks: Mapping[str, Any] | None = None,
    **fields: Any,
) -> StoryPlan:
    """Return what a person asked for: photos in their order, or a plan with options on top of it.

    fields: fps, height, seed, aspect, music, voice, font, label; None leaves the plan's own. asks:
    fields of Settings for every shot that does not say otherwise.

    Raises:
        StoryError: the plan cannot be used, there are no photos or far too many.
        SettingsError: an option is impossible, or both photos and a plan were given.
    """
    if isinstance(photos, str | Path | Image.Image | np.ndarray):
        photos = [photos]  # one is a story too
    if plan is not None and len(photos):
        raise SettingsError("give photos or a plan, not both: the plan names its own photos")
    given = {name: value for name, value in fields.items() if value is not None}
    unknown = given.keys() - set(_OWN)
    if unknown:
        raise SettingsError(f"{', '.join(sorted(unknown))}: no option of a story")
    Settings(**{name: given[name] for name in ("fps", "height", "seed") if name in given})
    if "label" in given:
        check_text(given["label"], given.get("font"))
    if "aspect" in given:
        parse_aspect(given["aspect"])
    for name in ("music", "voice", "font"):
        if name in given:
            given[name] = Path(given[name])
    if plan is None:
        draft = plan_of(photos)
    else:
        draft = plan if isinstance(plan, StoryPlan) else read_plan(plan)
    draft = with_seconds(replace(draft, **given), _length(seconds))
    if captions is not None:
        draft = replace(draft, captions=captions)
    return check_length(replace(draft, asks={**draft.asks, **check_asks(asks or {})}))


def _length(seconds: object) -> float | None:
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise SettingsError(f"seconds {seconds!r:.40} cannot be used: give a number")
    if not LEAST_SHOT <= seconds <= MOST_SECONDS:  # nan neither
        raise SettingsError(
            f"a story of {seconds:g} seconds cannot be made: "
            f"give {LEAST_SHOT:g} to {MOST_SECONDS:g} seconds"
        )
    return float(seconds)


def prepare_story(
    draft: StoryPlan,
    *,
    look: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[StoryPlan, list[Measure]]:
    """Return the whole plan, every photo looked at, and what was found on each.

    Photos that cannot be used are told here, before anything is rendered. Networks look for faces
    and subjects only where the plan leaves something open, or with `look`.

    Raises:
        StoryError: a photo of a plan cannot be used (with its line), or times do not fit.
        PhotoError: a photo given without a plan cannot be used.
    """
    count = len(draft.shots)
    open_ = not all(_is_said(draft, shot) for shot in draft.shots) or draft.end is None
    measures = measure_all(
        [(shot.photo, _teller(shot)) for shot in draft.shots],
        networks=open_ or look,
        on_done=None if on_progress is None else lambda done: on_progress(done, count),
    )
    plan = replace(draft, aspect=choose_aspect(draft.aspect, measures))
    plan = find_rhythm(plan, measures)
    check_changes(plan)
    if plan.captions and not any(shot.caption for shot in plan.shots):
        plan = with_captions(plan)
    check_captions(plan, frame_size(plan.aspect or "16:9", plan.height, (16, 9)))
    return plan, measures


def choose_aspect(asked: str | None, measures: Sequence[Measure]) -> str:
    """Return one shape for all shots as W:H: as asked, else what suits most of the photos."""
    if asked == "photo":
        shape = min(max(measures[0].shape, 0.25), 4.0)
        return f"{shape:.4f}:1"
    if asked is not None:
        return asked
    kinds = Counter(
        "16:9" if one.shape > _SQUARE else "9:16" if one.shape < 1 / _SQUARE else "1:1"
        for one in measures
    )
    most = max(kinds.values())
    return next(kind for kind in ("16:9", "9:16", "1:1") if kinds[kind] == most)


def _is_said(plan: StoryPlan, shot: StoryShot) -> bool:
    said = plan.settings(shot)
    times = shot.seconds, shot.hold, shot.change, getattr(shot.change, "seconds", None)
    return None not in times and "camera" in said and "mood" in said


def _teller(shot: StoryShot) -> Callable[[Exception], Exception]:
    if not shot.where:
        return lambda error: error
    return lambda error: StoryError(f"{shot.where}: {error}")
