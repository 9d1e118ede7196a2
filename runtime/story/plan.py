"""What a story asks for: shots in their order, how long each lasts, how each comes in.

None means "not said": the rhythm (`rhythm.py`) fills it in. A shot's `seconds` are its own
time on the film, from the middle of the change before it to the middle of the change after it, so
that they add up to the film's length whatever the changes are.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...engines.errors import SettingsError, StoryError
from ..bundle import hash_file
from ..settings import SECONDS_RANGE, Settings, shown

PhotoSource = str | Path | Image.Image | NDArray[np.uint8]
ChangeKind = Literal["cut", "dissolve", "fade"]

MOST_SHOTS = 500
MOST_SECONDS = SECONDS_RANGE[1]
LEAST_SHOT = 0.5
CHANGE_RANGE = (0.1, 10.0)
SHOT_SETTINGS = (
    "mood",
    "light",
    "camera",
    "motion",
    "prompt",
    "negative_prompt",
    "grain",
    "restore",
    "faces",
    "seed",
    "steps",
    "guidance",
)
"""Fields of Settings that a shot may have of its own."""


@dataclass(frozen=True)
class Change:
    """How a shot comes in, from the one before it or from black."""

    kind: ChangeKind = "dissolve"
    seconds: float | None = None
    """From its first to its last frame; None leaves it to the rhythm, a cut has 0."""

    @classmethod
    def parse(cls, text: object) -> Change:
        """Read "cut", "dissolve", "dissolve 1.2" or "fade 2".

        Raises:
            SettingsError: it is none of them.
        """
        found = None
        if isinstance(text, str):
            found = re.fullmatch(r"\s*(cut|dissolve|fade)(?:\s+(\d+(?:\.\d+)?)\s*s?)?\s*", text)
        if found is None:
            raise SettingsError(
                f"transition {shown(text)} is not known: write "
                '"cut", "dissolve 1.2" or "fade 2" (seconds; a fade goes through black)'
            )
        kind: ChangeKind = found[1]  # type: ignore[assignment]
        seconds = found[2]
        if kind == "cut":
            if seconds is not None and float(seconds) > 0:
                raise SettingsError(f"transition {shown(text)}: a cut takes no time, leave it out")
            return cls("cut", 0.0)
        if seconds is None:
            return cls(kind, None)
        low, high = CHANGE_RANGE
        if not low <= float(seconds) <= high:
            raise SettingsError(
                f"transition {shown(text)}: it may take from {low:g} to {high:g} seconds"
            )
        return cls(kind, float(seconds))

    def __str__(self) -> str:
        if self.kind == "cut" or self.seconds is None:
            return self.kind
        return f"{self.kind} {self.seconds:g}"


@dataclass(frozen=True, eq=False)
class StoryShot:
    """One shot of a story."""

    photo: PhotoSource
    """A file, a PIL image, or uint8 RGB (H, W, 3)."""
    seconds: float | None = None
    """Its own time on the film."""
    asks: Mapping[str, Any] = field(default_factory=dict)
    """Fields of Settings for this shot alone, of SHOT_SETTINGS; what is not here is not said."""
    caption: tuple[str, ...] = ()
    """Lines of text, the first the largest."""
    change: Change | None = None
    """How it comes in; None leaves it to the rhythm."""
    hold: float | None = None
    """Seconds at its end for which the picture stands still."""
    where: str = ""
    """Where a person wrote it: "story.toml:12", or nothing."""
    places: Mapping[str, str] = field(default_factory=dict)
    """The same for its entries: "hold" is at "story.toml:15"."""

    @property
    def name(self) -> str:
        """The photo's file name, or what it is instead."""
        return Path(self.photo).name if isinstance(self.photo, str | Path) else "a picture"

    def error(self, why: str, entry: str = "") -> StoryError:
        """Return an error about this shot or an entry of it, with the place where it is written."""
        return StoryError(f"{self.places.get(entry, self.where) or self.name}: {why}")


@dataclass(frozen=True, eq=False)
class StoryPlan:
    """A whole story."""

    shots: tuple[StoryShot, ...]
    seconds: float | None = None
    """Length of the film; None is the sum of the shots, or what the rhythm finds."""
    fps: int = 24
    height: int = 720
    aspect: str | None = None
    """One shape for all shots: W:H, "photo" for the first photo's, None for what most have."""
    seed: int = 0
    music: Path | None = None
    voice: Path | None = None
    captions: bool | None = None
    """Whether captions are shown; None where there are any."""
    font: Path | None = None
    label: str | None = None
    """A small caption burnt into every frame; None is none."""
    end: Change | None = None
    """How the last shot goes: a fade or a cut."""
    asks: Mapping[str, Any] = field(default_factory=dict)
    """Fields of Settings for every shot that does not say otherwise."""
    source: Path | None = None
    """The file it was read from."""
    lines: Mapping[str, int] = field(default_factory=dict)
    """In which line of that file the top-level entries stand."""

    def error(self, key: str, why: str) -> StoryError:
        """Return an error about a top-level entry, with its place where it has one."""
        if self.source is None or key not in self.lines:
            return StoryError(why)
        return StoryError(f"{self.source}:{self.lines[key]}: {why}")

    @property
    def total(self) -> float:
        """Seconds of all shots; those that say none count nothing."""
        return math.fsum(shot.seconds or 0.0 for shot in self.shots)

    def settings(self, shot: StoryShot) -> dict[str, Any]:
        """Return what a shot asks for, its own words before the story's."""
        return {**self.asks, **shot.asks}

    def happens(self, shot: StoryShot) -> list[str]:
        """Return what happens in a shot, in words: its camera, its mood, its light."""
        asks = self.settings(shot)
        words = [str(asks[key]) for key in ("camera", "mood") if asks.get(key) is not None]
        if asks.get("light") not in (None, "none"):
            words.append(f"{asks['light']} light")
        return words


def check_asks(asks: Mapping[str, Any]) -> dict[str, Any]:
    """Return a shot's settings made plain; "none" as a mood is None.

    Raises:
        SettingsError: one is unknown or impossible.
    """
    for name in asks:
        if name not in SHOT_SETTINGS:
            raise SettingsError(f"{name} is no setting of a shot: use {', '.join(SHOT_SETTINGS)}")
    plain: dict[str, Any] = {
        name: None if (name, value) == ("mood", "none") else value for name, value in asks.items()
    }
    checked = Settings(**plain)
    return {name: getattr(checked, name) for name in plain}


def plan_of(photos: Sequence[PhotoSource], **fields: Any) -> StoryPlan:
    """Return the plan of photos in their order, with nothing said of them.

    Raises:
        StoryError: there are none, or too many.
    """
    check_count(len(photos))
    return StoryPlan(shots=tuple(StoryShot(photo) for photo in photos), **fields)


def check_count(count: int, where: str = "") -> None:
    """Refuse a story of nothing, and one that nobody could sit through.

    Raises:
        StoryError: there are none, or too many shots.
    """
    if count == 0:
        raise StoryError(f"{where}a story needs at least one photo: name some, or write a plan")
    if count > MOST_SHOTS:
        raise StoryError(
            f"{where}{count:,} shots are more than the {MOST_SHOTS} of one story: "
            "choose among the photos, or make several films"
        )


def check_length(plan: StoryPlan) -> StoryPlan:
    """Return the plan when its lengths are possible; see LEAST_SHOT and MOST_SECONDS.

    Raises:
        StoryError: the film or a shot is too short or too long.
    """
    low, high = LEAST_SHOT, MOST_SECONDS
    if plan.seconds is not None and not low <= plan.seconds <= high:
        raise plan.error(
            "seconds",
            f"a story of {plan.seconds:g} seconds cannot be made: give {low:g} to {high:g} seconds",
        )
    for shot in plan.shots:
        if shot.seconds is not None and not low <= shot.seconds <= high:
            raise shot.error(
                f"a shot of {shot.seconds:g} seconds cannot be made: give {low:g} to {high:g}",
                "seconds",
            )
        if shot.hold is not None and not 0 <= shot.hold <= high:
            raise shot.error(f"hold {shot.hold:g} cannot be used: give 0 to {high:g}", "hold")
    least = LEAST_SHOT * len(plan.shots)
    if plan.seconds is not None and plan.seconds < least - 1e-9:
        raise plan.error(
            "seconds",
            f"{len(plan.shots)} shots in {plan.seconds:g} s leave "
            f"{plan.seconds / len(plan.shots):.2g} s each, and a shot needs {LEAST_SHOT:g}: "
            f"ask for {least:g} seconds or more, or choose among the photos",
        )
    if plan.seconds is None and plan.total > high:
        raise StoryError(
            f"{plan.source or 'the story'}: the shots last {plan.total:g} s together and a story "
            f"may last {high:g}: shorten some, or make several films"
        )
    return plan


def content_of(photo: PhotoSource) -> str:
    """Return the sha256 of a photo's file, or of its pixels where it is none.

    Raises:
        OSError: the file cannot be read.
    """
    if isinstance(photo, str | Path):
        return hash_file(Path(photo))
    pixels = np.ascontiguousarray(np.asarray(photo))
    return hashlib.sha256(str(pixels.shape).encode() + pixels.tobytes()).hexdigest()


def with_seconds(plan: StoryPlan, seconds: float | None) -> StoryPlan:
    """Return the plan with another length asked for; None leaves its own."""
    if seconds is None:
        return plan
    lines = {key: line for key, line in plan.lines.items() if key != "seconds"}
    return replace(plan, seconds=seconds, lines=lines)
