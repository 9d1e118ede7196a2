"""What one call asks for: the settings of a clip, and what its prompt means.

What the model *is* lives in its bundle's manifest (`bundle.py`); None here means "the bundle's own
default". Every value is checked when the object is made, so that Python and the command line refuse
the same things with the same words.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Literal, get_args

import numpy as np

from ..engines.errors import SettingsError

SECONDS_RANGE = (0.5, 600.0)
FPS_RANGE = (1, 120)
FRAMES_RANGE = (2, 72_000)
HEIGHT_RANGE = (64, 4320)
STEPS_RANGE = (1, 1000)
GUIDANCE_RANGE = (0.0, 100.0)
ASPECT_RANGE = (1 / 4, 4.0)
NAMED_ASPECTS = ("photo", "16:9", "9:16", "1:1", "4:3", "3:4")

CameraMove = Literal["push", "pull", "left", "right", "up", "down", "orbit", "still"]
LightKind = Literal["none", "golden", "dusk", "moon", "candle", "overcast", "bright"]
MoodName = Literal["tender", "wistful", "radiant", "restless", "still"]
Restore = Literal["off", "gentle"]
Faces = Literal["protect", "free"]
CLASSES = ("static", "plant", "water", "sky", "cloth", "flame")
"""What a place in a picture can be, in the order of ember's `classes` output."""


def _choices(kind: object) -> str:
    return ", ".join(get_args(kind))


def parse_aspect(aspect: str) -> float | None:
    """Return width / height of an aspect such as "16:9", or None for "photo".

    Raises:
        SettingsError: the text is no ratio of two positive numbers within 1:4 .. 4:1.
    """
    if not isinstance(aspect, str):
        raise _bad_aspect(aspect)
    if aspect == "photo":
        return None
    match = re.fullmatch(r"\s*(\d{1,5}(?:\.\d{1,4})?)\s*[:/x]\s*(\d{1,5}(?:\.\d{1,4})?)\s*", aspect)
    low, high = ASPECT_RANGE
    if match:
        width, height = float(match[1]), float(match[2])
        if width > 0 and height > 0 and low <= width / height <= high:
            return width / height
    raise _bad_aspect(aspect)


def _bad_aspect(aspect: object) -> SettingsError:
    return SettingsError(
        f"aspect {shown(aspect)} cannot be used: give one of {', '.join(NAMED_ASPECTS)}, "
        "or W:H with a ratio from 1:4 to 4:1"
    )


@dataclass(frozen=True)
class CameraIntent:
    """How the camera moves."""

    move: CameraMove | None = None
    """The move asked for; None leaves the choice to the bundle's default (a slow push)."""
    pace: float = 1.0
    """Speed of the move, 0 .. 2; 1 is the default pace."""
    strength: float = 1.0
    """How far the move goes, 0 .. 2; 1 is the default distance."""

    def __post_init__(self) -> None:
        if self.move is not None and self.move not in get_args(CameraMove):
            raise SettingsError(
                f"camera move {self.move!r} is not known: use one of {_choices(CameraMove)}"
            )
        _number(self, "pace", 0.0, 2.0, "camera pace")
        _number(self, "strength", 0.0, 2.0, "camera strength")


@dataclass(frozen=True)
class LightIntent:
    """What the light does."""

    kind: LightKind | None = None
    """The kind of light asked for; None leaves a slow, faint drift of the photo's own light."""
    strength: float = 1.0
    """How strongly it shows, 0 .. 2; 1 is the default strength."""
    grain: float = 0.0
    """Film grain, 0 .. 1, over whatever light there is; 0 is none."""

    def __post_init__(self) -> None:
        if self.kind is not None and self.kind not in get_args(LightKind):
            raise SettingsError(
                f"light {self.kind!r} is not known: use one of {_choices(LightKind)}"
            )
        _number(self, "strength", 0.0, 2.0, "light strength")
        _number(self, "grain", 0.0, 1.0, "film grain")


@dataclass(frozen=True)
class MotionIntent:
    """What stirs, and how much."""

    amount: float = 1.0
    """Multiplier on all motion, 0 .. 2; 1 is the model's own."""
    gains: Mapping[str, float] = field(default_factory=dict)
    """Multiplier for each class of CLASSES; a class not named here has 1."""
    wind_degrees: float | None = None
    """Where the wind blows to, in degrees, 0 right, 90 up; None leaves it to the seed."""
    wind: float = 1.0
    """Strength of the wind, 0 .. 2; 1 is the model's own."""
    people: bool = False
    """True when the prompt asks that a person's hair or clothes, or the subject itself, move."""

    def __post_init__(self) -> None:
        unknown = set(self.gains) - set(CLASSES)
        if unknown:
            raise SettingsError(
                f"motion of {', '.join(sorted(unknown))} is not known: use {', '.join(CLASSES)}"
            )
        _number(self, "amount", 0.0, 2.0, "motion amount")
        _number(self, "wind", 0.0, 2.0, "wind")


@dataclass(frozen=True)
class Understanding:
    """What a prompt was understood as."""

    camera: CameraIntent = field(default_factory=CameraIntent)
    light: LightIntent = field(default_factory=LightIntent)
    motion: MotionIntent = field(default_factory=MotionIntent)
    mood: MoodName | None = None
    """A mood that is named; None is none."""
    grain: float | None = None
    """Film grain, where it is spoken of; 0 is "no grain"."""
    blur: float | None = None
    """How soft the picture goes in the middle of the film, 0 .. 1; 0 is "sharp"."""
    pause: bool = False
    """True when the camera is to pause on its way."""
    stutter: bool | None = None
    """Whether the picture is to catch now and then; False is "no stutter", None says nothing."""
    understood: tuple[str, ...] = ()
    """One line for each thing understood, for people: "camera: push in, slow"."""
    unused: tuple[str, ...] = ()
    """The words that could not be used, in their order."""


@dataclass(frozen=True)
class Settings:
    """What one clip asks for.

    Raises:
        SettingsError: a value is impossible; the message names the option and its range.
    """

    seconds: float = 10.0
    """Length of the clip; the clip has exactly round(seconds x fps) frames."""
    fps: int = 24
    """Frames a second, 1 .. 120."""
    height: int = 720
    """Height of the frame in pixels, 64 .. 4320; odd heights become even."""
    aspect: str = "photo"
    """Shape of the frame: "photo", or W:H from 1:4 to 4:1."""
    motion: float | None = None
    """How much stirs, 0 .. 1; None means the bundle's own default."""
    seed: int = 0
    """Which of the possible winds blows; the same seed gives the same frames."""
    prompt: str | None = None
    """What should happen, in words."""
    loop: bool = False
    """True makes the last frame lead back into the first."""
    steps: int | None = None
    """Denoising steps, 1 .. 1000; None means the bundle's own default."""
    num_frames: int | None = None
    """Frames to make, 2 .. 72000, instead of seconds: exactly as many where the model can do any
    number, else the nearest it can do. None leaves it to seconds."""
    guidance: float | None = None
    """How closely the model holds to the prompt or picture, 0 .. 100; 1 and below is not at all
    (classifier-free guidance). None means the bundle's own default."""
    negative_prompt: str | None = None
    """What should not be seen, in words, for models that read them."""
    mood: MoodName | None = None
    """A recipe of pacing, light and irregularity; None is none. The prompt's own words go before
    it, `camera`, `light` and `grain` before both."""
    camera: CameraMove | Literal["off"] | None = None
    """How the camera moves; "off" is no camera at all, None leaves it to prompt, mood and model."""
    light: LightKind | None = None
    """The light; "none" leaves the photo's own alone, None leaves it to prompt, mood and model."""
    grain: float | None = None
    """Film grain, 0 .. 1; None leaves it to prompt and mood."""
    restore: Restore = "off"
    """"gentle" cleans an old or small photo before it is filmed; faces are not touched."""
    faces: Faces = "protect"
    """"protect" keeps faces what they are in the photo; "free" leaves them to the model."""
    interpolation: Literal["auto", "blend"] = "auto"
    """Frames between a model's own: "auto" draws them by a network, "blend" mixes neighbours."""
    upscaling: Literal["auto", "plain"] = "auto"
    """Frames larger than a model's own: "auto" enlarges by a network, "plain" by resampling."""
    label: str | None = None
    """A small caption burnt into every frame; None is none."""

    def __post_init__(self) -> None:
        _number(self, "seconds", *SECONDS_RANGE)
        _whole(self, "fps", *FPS_RANGE)
        _whole(self, "height", *HEIGHT_RANGE)
        _whole(self, "seed", 0, 2**63 - 1)
        if self.steps is not None:
            _whole(self, "steps", *STEPS_RANGE)
        if self.num_frames is not None:
            _whole(self, "num_frames", *FRAMES_RANGE)
        if self.guidance is not None:
            _number(self, "guidance", *GUIDANCE_RANGE)
        if self.motion is not None:
            _number(self, "motion", 0.0, 1.0)
        for name in ("prompt", "negative_prompt", "label"):
            text = getattr(self, name)
            if text is not None and not isinstance(text, str):
                raise SettingsError(f"{name} {shown(text)} cannot be used: give a text")
        for name, known in _CHOICES.items():
            value = getattr(self, name)
            if value is not None and value not in known:
                raise SettingsError(
                    f"{name} {shown(value)} is not known: use one of {', '.join(known)}"
                )
        if self.grain is not None:
            _number(self, "grain", 0.0, 1.0)
        if not isinstance(self.loop, bool | np.bool_):
            raise SettingsError(f"loop {shown(self.loop)} cannot be used: give True or False")
        object.__setattr__(self, "loop", bool(self.loop))
        if self.frames < 2:
            raise SettingsError(
                f"{self.seconds:g} seconds at {self.fps} fps is {self.frames} frame: "
                "ask for more seconds or a higher fps"
            )
        parse_aspect(self.aspect)

    @property
    def frames(self) -> int:
        """Frames in the clip."""
        return round(self.seconds * self.fps) if self.num_frames is None else self.num_frames


_CHOICES: Mapping[str, tuple[str, ...]] = {
    "mood": get_args(MoodName),
    "camera": (*get_args(CameraMove), "off"),
    "light": get_args(LightKind),
    "restore": get_args(Restore),
    "faces": get_args(Faces),
    "interpolation": ("auto", "blend"),
    "upscaling": ("auto", "plain"),
}


def _whole(owner: object, field_name: str, low: int, high: int) -> None:
    """Make a field a plain int, NumPy's too; refuse what is none, 96.0 and True included."""
    value = getattr(owner, field_name)
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool | np.bool_) or not low <= number <= high:
        raise SettingsError(
            f"{field_name} {shown(value)} cannot be used: give a whole number from {low} to {high}"
        )
    object.__setattr__(owner, field_name, number)


def _number(owner: object, field_name: str, low: float, high: float, called: str = "") -> None:
    """Make a field a plain float, NumPy's too; refuse what is none, text and True included."""
    value = getattr(owner, field_name)
    known = isinstance(value, Real) and not isinstance(value, bool)
    if not (known and low <= value <= high):  # nan fails too
        raise SettingsError(
            f"{called or field_name} {shown(value)} cannot be used: "
            f"give a number from {low:g} to {high:g}"
        )
    object.__setattr__(owner, field_name, float(value))


def shown(value: object) -> str:
    """Return a value for a message, short, whatever it is."""
    if isinstance(value, float):
        return repr(float(value))  # NumPy's too
    try:
        text = repr(value)
    except Exception:  # an int of thousands of digits has none
        text = f"of type {type(value).__name__}"
    return " ".join(text.split())[:60]
