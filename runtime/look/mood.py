"""Moods: each a recipe of pacing, light, irregularity, blur and grain, written like a score.

To change a mood, change its lines here; a new one needs its name in `settings.MoodName` and words
in `runtime/mood_words.py`. Shares are of the film, `to` is how near the camera comes; nothing here
knows a face, and what a recipe does to a picture is kept away from faces where it is done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..settings import CameraIntent, LightIntent
from .pacing import Phrase, Score


@dataclass(frozen=True)
class Irregularity:
    """What is not smooth, as often as it would come in ten seconds."""

    stutters: float = 0.0
    """Times the picture catches, like film in a worn gate."""
    slips: float = 0.0
    """Times the background falls out of step with what is in front of it."""

    def __bool__(self) -> bool:
        return self.stutters > 0.0 or self.slips > 0.0


@dataclass(frozen=True)
class Recipe:
    """How a film is paced, lit and disturbed, whatever it shows."""

    camera: CameraIntent = field(default_factory=CameraIntent)
    """The move that the score is played on; of strength 0 where there is no camera."""
    light: LightIntent = field(default_factory=LightIntent)
    """The light, and the film grain that lies over it."""
    score: Score = ()
    """What the camera does, phrase by phrase; () is an even pace."""
    aside: float = 0.0
    """How far the camera leans to a side as it goes, 1 as far as a pan's parallax."""
    arrives: float = 5.0
    """Seconds over which the light becomes what it is."""
    wander: float = 1.0
    """How uneven the light is, 1 the light's own."""
    swell: float = 0.0
    """How much stronger the light is at the peak, as a share."""
    peak: float = 0.5
    """Where feeling is highest, as a share of the film."""
    blur: float = 0.0
    """How soft the picture is at the peak, 0 .. 1; sharp again as the peak resolves."""
    slow: float = 0.0
    """How much slower leaves, water and clouds go at the peak, 0 .. 0.8."""
    irregular: Irregularity = field(default_factory=Irregularity)
    """How often the picture catches and the background slips."""


@dataclass(frozen=True, kw_only=True)
class Mood(Recipe):
    """One mood."""

    told: str
    """What it does, for people."""


MOODS: Mapping[str, Mood] = {
    "tender": Mood(
        told="leans in, waits, comes nearer, holds its breath; warm light that breathes",
        score=(
            Phrase("leans in", 0.42, to=0.70),
            Phrase("waits", 0.13, to=0.70),
            Phrase("comes nearer", 0.25, to=1.00),
            Phrase("holds its breath", 0.20, to=1.00),
        ),
        camera=CameraIntent("push", strength=1.15),
        light=LightIntent("candle", strength=0.42, grain=0.10),
        aside=0.8,
        swell=0.25,
        peak=0.58,
        blur=0.45,
        slow=0.35,
    ),
    "wistful": Mood(
        told="leans in, waits, withdraws, holds its breath; dusk, and soft as a memory",
        score=(
            Phrase("leans in", 0.34, to=1.00),
            Phrase("waits", 0.16, to=1.00),
            Phrase("withdraws", 0.30, to=0.35),
            Phrase("holds its breath", 0.20, to=0.35),
        ),
        camera=CameraIntent("push", strength=1.35),
        light=LightIntent("dusk", strength=0.68, grain=0.40),
        aside=1.2,
        arrives=7.0,
        wander=1.4,
        peak=0.48,
        blur=0.75,
        slow=0.50,
        irregular=Irregularity(slips=1.0),
    ),
    "radiant": Mood(
        told="comes forward, pauses, rises into the light, rests; golden, swelling",
        score=(
            Phrase("comes forward", 0.40, to=0.60),
            Phrase("pauses", 0.08, to=0.60),
            Phrase("rises into the light", 0.34, to=1.00),
            Phrase("rests", 0.18, to=1.00),
        ),
        camera=CameraIntent("push", strength=1.3),
        light=LightIntent("golden", strength=0.70),
        aside=1.0,
        arrives=4.0,
        wander=1.3,
        swell=0.40,
        peak=0.66,
        blur=0.30,
        slow=0.15,
    ),
    "restless": Mood(
        told="starts, stops, turns back, starts again; uneven light, a picture that catches",
        score=(
            Phrase("starts", 0.17, to=0.60),
            Phrase("stops", 0.06, to=0.60),
            Phrase("turns back", 0.15, to=0.25),
            Phrase("starts again", 0.22, to=1.00),
            Phrase("stops", 0.06, to=1.00),
            Phrase("withdraws", 0.18, to=0.55),
            Phrase("holds its breath", 0.16, to=0.55),
        ),
        camera=CameraIntent("push", strength=1.0),
        light=LightIntent("overcast", strength=0.9, grain=0.50),
        aside=1.6,
        arrives=3.0,
        wander=1.8,
        peak=0.60,
        blur=0.25,
        irregular=Irregularity(stutters=5.0, slips=2.0),
    ),
    "still": Mood(
        told="hardly moves, and then not at all; the light alone goes on",
        score=(
            Phrase("breathes", 0.70, to=1.00),
            Phrase("holds its breath", 0.30, to=1.00),
        ),
        camera=CameraIntent("still"),
        light=LightIntent(None, strength=0.9),
        peak=0.55,
        slow=0.35,
    ),
}
"""The moods by name."""

PAUSE: Score = (
    Phrase("goes", 0.42, to=0.60),
    Phrase("pauses", 0.16, to=0.60),
    Phrase("goes on", 0.27, to=1.00),
    Phrase("rests", 0.15, to=1.00),
)
"""The pacing of a prompt that asks for a pause and names no mood."""
