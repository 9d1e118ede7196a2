"""The look of a film: camera, light, pacing, blur, irregularity and grain, settled into one value.

What is asked goes in this order: the settings' own camera, light and grain; the prompt's words; the
mood; what the family does by itself. Each goes before those after it, piece by piece, so that a
mood can be had with another camera, or none.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from .. import lexicon as lex
from ..settings import CameraIntent, LightIntent, Understanding
from .mood import MOODS, PAUSE, Irregularity, Recipe
from .pacing import Pacing

if TYPE_CHECKING:
    from ..settings import Settings

STUTTER = Irregularity(stutters=4.0, slips=1.0)
NO_CAMERA = CameraIntent("still", pace=0.0, strength=0.0)
NO_LIGHT = LightIntent("none")


@dataclass(frozen=True)
class Look(Recipe):
    """How a film looks, whatever moves in it."""

    layered: bool = False
    """Whether people may be drawn as a layer of their own, before what is behind them."""
    spares: bool = False
    """Whether grain is thinner on faces."""
    told: tuple[str, ...] = ()
    """A line for each thing that was settled, for people."""

    @property
    def moves(self) -> bool:
        """Whether there is a camera."""
        return self.camera.pace > 0.0 and self.camera.strength > 0.0

    @property
    def lights(self) -> bool:
        """Whether the light changes."""
        return self.light.kind != "none" and self.light.strength > 0.0

    @property
    def empty(self) -> bool:
        """Whether it leaves frames as they are."""
        rest = self.blur > 0.0 or self.light.grain > 0.0 or bool(self.irregular)
        return not (self.moves or self.lights or rest)

    def pacing(self, *, seconds: float, loop: bool = False, seed: int = 0) -> Pacing:
        """The curves of one film with this look."""
        return Pacing(
            self.score, peak=self.peak, slow=self.slow, seconds=seconds, loop=loop, seed=seed
        )


def resolve(
    settings: Settings,
    understanding: Understanding,
    *,
    drawn: bool = False,
) -> Look:
    """Settle the look of a film.

    drawn: the model draws whole frames, so that nothing is done unless it is asked for. What the
    prompt says of camera, light and mood is asked for, also where the model reads the prompt: it
    may do it or not, and is seldom steady.
    """
    name = settings.mood or understanding.mood
    mood = MOODS[name] if name is not None else None
    told = []
    look = Look(NO_CAMERA, NO_LIGHT) if drawn else Look()
    if mood is not None:
        told.append(f"mood: {name}: {mood.told}")
        if understanding.mood not in (None, name):
            told.append(f"the prompt's mood, {understanding.mood}, gave way")
        recipe = {part.name: getattr(mood, part.name) for part in fields(Recipe)}
        look = Look(**recipe, layered=True, spares=True)
    look = _as_worded(look, understanding, drawn)
    look, said = _as_set(look, settings)
    sideways = look.aside > 0.0 or look.camera.move not in (None, "push", "pull", "still")
    return replace(look, layered=look.layered and sideways, told=(*told, *said))


def _as_worded(look: Look, words: Understanding, drawn: bool) -> Look:
    """Lay the prompt's words over a look."""
    camera, light = words.camera, words.light
    plain = not (look.score or drawn)  # ember without a mood: the prompt's intents as they are
    if plain or camera.move is not None:
        look = replace(look, camera=camera)
    elif camera != CameraIntent() and look.moves:
        pace, strength = camera.pace * look.camera.pace, camera.strength * look.camera.strength
        look = replace(look, camera=CameraIntent(look.camera.move, min(pace, 2), min(strength, 2)))
    said = LightIntent(light.kind, light.strength)
    if plain:
        look = replace(look, light=light)
    elif light.kind is not None:
        look = replace(look, light=replace(said, grain=look.light.grain), swell=0.0)
    elif said != LightIntent() and look.lights:
        strength = min(light.strength * look.light.strength, 2.0)
        look = replace(look, light=replace(look.light, strength=strength))
    if words.grain is not None:
        look = replace(look, light=replace(look.light, grain=words.grain), spares=False)
    if words.blur is not None:
        look = replace(look, blur=words.blur)
    if words.pause and look.moves and not look.score:
        look = replace(look, score=PAUSE)
    if words.stutter is not None:
        look = replace(look, irregular=STUTTER if words.stutter else Irregularity())
    return look


def _as_set(look: Look, settings: Settings) -> tuple[Look, list[str]]:
    """Lay the settings' own camera, light and grain over a look; say so."""
    told = []
    if settings.camera == "off":
        look = replace(look, camera=NO_CAMERA, aside=0.0)
        told.append("camera: off")
    elif settings.camera is not None:
        pace = look.camera.pace if look.moves else 1.0
        strength = look.camera.strength if look.moves and look.score else 1.0
        look = replace(look, camera=CameraIntent(settings.camera, pace, strength), layered=True)
        told.append(f"camera: {lex.MOVE_NAMES[settings.camera]}")
    if settings.light == "none":
        look = replace(look, light=replace(NO_LIGHT, grain=look.light.grain), swell=0.0)
        told.append(f"light: {lex.LIGHT_NAMES['none']}")
    elif settings.light is not None:
        strength = look.light.strength if look.light.kind == settings.light else 1.0
        light = LightIntent(settings.light, strength, look.light.grain)
        look = replace(look, light=light, swell=0.0)
        told.append(f"light: {lex.LIGHT_NAMES[settings.light]}")
    if settings.grain is not None:
        look = replace(look, light=replace(look.light, grain=settings.grain), spares=False)
        told.append(f"film grain: {settings.grain:g}" if settings.grain else "no film grain")
    return look, told
