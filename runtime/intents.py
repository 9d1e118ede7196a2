"""From the parts of a prompt to intents: what each part asks of camera, light, mood and motion."""

from __future__ import annotations

from dataclasses import replace

from . import lexicon as lex
from .parts import CAMERA, GRAIN, LIGHT, MOOD, MOTION, SUBJECT, Degree, Part, Token, degree_of
from .settings import CLASSES, CameraIntent, LightIntent, MotionIntent, Understanding

_GRAIN = 0.5  # film grain where no degree is named, so that "strong" has room
_BLOWS = {"right": 0.0, "up": 90.0, "left": 180.0, "down": 270.0}


class Requests:
    """Gathers what the parts of a prompt ask."""

    def __init__(self) -> None:
        self.used: set[int] = set()
        self._understood: list[str] = []
        self._camera: CameraIntent | None = None
        self._light: LightIntent | None = None
        self._grain: float | None = None
        self._mood: str | None = None
        self._blur: float | None = None
        self._stutter: bool | None = None
        self._pause = False
        self._gains: dict[str, float] = {}
        self._named = False  # something was asked to move by its name
        self._general = False  # wind, or everything, was asked to move
        self._held = False  # everything was asked to hold still
        self._amount = 1.0
        self._wind: tuple[float | None, float] = (None, 1.0)
        self._people: bool | None = None

    def add(self, part: Part) -> None:
        """Take in what one part asks."""
        if part.mention:
            self._use(part)
        elif part.has(*CAMERA):
            self._add_camera(part)
        elif part.has(*GRAIN):
            self._add_grain(part)
        elif part.has(*MOOD):
            self._add_mood(part)
        elif part.has(*LIGHT) and not part.has(*MOTION):
            self._add_light(part)
        elif part.has(*MOTION, "stir", "degree", "still"):
            self._add_motion(part)

    def understanding(self) -> Understanding:
        """Return everything that was asked; `unused` is left empty."""
        gains = dict(self._gains)
        if self._named and (self._held or not self._general):
            gains = {name: gains.get(name, 0.0) for name in CLASSES if name != "static"}
        degrees, strength = self._wind
        return Understanding(
            self._camera or CameraIntent(),
            replace(self._light or LightIntent(), grain=self._grain or 0.0),
            MotionIntent(
                amount=0.0 if self._held and not self._named else self._amount,
                gains=gains,
                wind_degrees=degrees,
                wind=strength,
                people=bool(self._people),
            ),
            mood=self._mood,  # type: ignore[arg-type]
            grain=self._grain,
            blur=self._blur,
            pause=self._pause,
            stutter=self._stutter,
            understood=tuple(dict.fromkeys(self._understood)),
        )

    def _use(self, part: Part, *but: str) -> None:
        self.used |= {token.place for token in part.tokens if token.kind not in ("unknown", *but)}

    def _say(self, what: str, *words: str) -> None:
        said = ", ".join(word for word in words if word)
        self._understood.append(f"{what}: {said}" if said else what)

    # ---- camera ----------------------------------------------------------------------------------

    def _add_camera(self, part: Part) -> None:
        degree, negated = degree_of(part)
        if part.has("pause"):
            self._pause = not negated
            self._use(part, "move", "direction", "degree")
            self._say("camera", "no pause" if negated else "pauses on its way")
            if negated or not part.has("move", "camera-phrase"):
                return
        if part.has("camera-still") or part.has("still") or negated:
            move = "still"
        else:
            found = _camera_move(part)
            if found is None:
                return
            move = found
        if self._camera is not None and self._camera.move not in ("still", None):
            if move == "still":
                self._use(part)  # "pan left, no zoom"
            return  # one move a clip; another one stays unused
        self._use(part)
        if move == "still":
            self._camera = CameraIntent("still")
            self._say("camera", "still")
            return
        self._camera = CameraIntent(move or None, _bounded(degree.fast), _bounded(degree.much))  # type: ignore[arg-type]
        self._say("camera", lex.MOVE_NAMES[move], degree.name)

    # ---- light -----------------------------------------------------------------------------------

    def _add_light(self, part: Part) -> None:
        degree, negated = degree_of(part)
        names = part.of({"light-name"}) + part.of({"tint"})
        flickers = [t for t in part.of({"stir"}) if t.value == "flame"]
        if negated or part.has("still"):
            kind = "none"
        elif names:
            kind = names[0].value
        elif flickers:
            kind = "candle"
        elif degree.name:
            kind = ""
        else:
            return
        if self._light is not None and (kind == "none" or self._light.kind not in ("none", None)):
            if kind in ("none", "", self._light.kind):
                self._use(part)
            return
        self._use(part, "light-name", "tint")
        same = {token.place for token in names if token.value == kind or kind == "none"}
        self.used |= same
        self._light = LightIntent(kind or None, _bounded(degree.much))  # type: ignore[arg-type]
        self._say("light", lex.LIGHT_NAMES[kind], degree.name)

    def _add_grain(self, part: Part) -> None:
        degree, negated = degree_of(part)
        self._use(part)
        if self._grain is not None and not degree.name:
            return  # "film grain, vintage look"
        self._grain = 0.0 if negated else min(1.0, round(_GRAIN * degree.much, 3))
        self._say("light", "no film grain" if negated else "film grain", degree.name)

    def _add_mood(self, part: Part) -> None:
        degree, negated = degree_of(part)
        self._use(part, "mood", "degree")
        for token in part.of({"mood"}):
            if negated or self._mood not in (None, token.value):
                continue  # one mood a clip; another one, and "not sad", stay unused
            self.used.add(token.place)
            self._mood = token.value
            self._say("mood", token.value)
        for token in part.of({"blur"}):
            sharp = token.degree.much == 0 or negated
            self._use(part, "mood")
            self._blur = 0.0 if sharp else min(1.0, round(token.degree.much * degree.much, 3))
            self._say("focus", "sharp" if sharp else "soft as a memory", degree.name)
        if part.has("stutter"):
            self._stutter = not negated
            self._say("motion", "no stutter" if negated else "the picture catches")

    # ---- motion ----------------------------------------------------------------------------------

    def _add_motion(self, part: Part) -> None:
        degree, negated = degree_of(part)
        hold = negated or part.has("still", "nothing")
        self._use(part, "tint", "light", "light-name")
        winds, subjects = part.of({"wind"}), _subjects(part)
        if winds:
            self._add_wind(part, winds[0], degree, hold)
        if subjects:
            self._add_subjects(subjects, part, Degree() if winds else degree, hold)
        elif not winds:
            implied = [token for token in part.of({"stir"}) if token.value]
            if implied and not part.has("all", "nothing"):
                self._gain(implied[0].value, 0.0 if hold else degree.much)
                self._say("motion", implied[0].text, "still" if hold else degree.name)
            elif hold:
                self._held = True
                self._say("motion", "still")
            elif part.has("stir", "all", "degree"):
                self._general = self._general or part.has("stir", "all")
                self._amount = _bounded(degree.much)
                if degree.name or part.has("stir"):
                    self._say("motion", degree.name or "everything")

    def _add_wind(self, part: Part, wind: Token, degree: Degree, hold: bool) -> None:
        said = degree.name or wind.degree.much != 1 or self._wind[1] == 0
        strength = _bounded(wind.degree.much * degree.much) if said else self._wind[1]
        strength = 0.0 if hold else strength
        ways = [way for way in _ways(part) if way in _BLOWS]
        self._wind = (_BLOWS[ways[-1]] if ways else self._wind[0], strength)
        self._general = self._general or strength > 0
        if strength == 0:
            for name in ("plant", "cloth"):
                self._gains.setdefault(name, 0.0)
            self._say("wind", "none")
            return
        side = (
            f"to the {ways[-1]}" if ways and ways[-1] in ("left", "right") else "".join(ways[-1:])
        )
        self._say("wind", wind.text if wind.text.lower() != "wind" else "", degree.name, side)

    def _add_subjects(self, subjects: list[Token], part: Part, degree: Degree, hold: bool) -> None:
        people = [token for token in subjects if token.kind == "people"]
        things = [token for token in subjects if token.kind != "people"]
        if people and not things:
            if not hold and not part.has("stir", "wind"):
                return  # "portrait of a woman" asks for nothing
            self._people = False if hold else self._people is not False
            if not hold:
                self._gain("cloth", degree.much)
        for token in things:
            self._gain(token.value, 0.0 if hold else degree.much)
            if token.kind == "worn":
                self._people = not hold and self._people is not False
        names = " and ".join(dict.fromkeys(token.text for token in things or people))
        self._say("motion", names, "still" if hold else degree.name)

    def _gain(self, name: str, value: float) -> None:
        self._gains[name] = _bounded(value)
        self._named = self._named or value > 0


def _camera_move(part: Part) -> str | None:
    """Return the move a part names, "" for a camera that just moves, None for no move at all."""
    if phrases := part.of({"camera-phrase"}):
        return phrases[0].value
    ways = _ways(part)
    for verb in part.of({"move"}):
        table = lex.MOVES[verb.value]
        move = next((table[way] for way in reversed(ways) if way in table), table.get(""))
        if move is not None:
            return move
    if part.has("stir", "degree") or ways:
        return next((lex.CAMERA_TRAVEL[way] for way in ways), "")
    return None


def _subjects(part: Part) -> list[Token]:
    """Return what a part names, without words that only say how it moves ("grass waves")."""
    named = part.of(SUBJECT)
    firm = [token for token in named if token.text.lower() not in lex.ALSO_STIRS]
    return firm or named


def _ways(part: Part) -> list[str]:
    """Return the directions a part names; "from the left" is to the right."""
    turned = {"left": "right", "right": "left", "up": "down", "down": "up"}
    found = []
    for at, token in enumerate(part.tokens):
        if token.kind == "direction":
            led = [other.text.lower() for other in part.tokens[max(at - 2, 0) : at]]
            comes = "from" in led and "to" not in led
            found.append(turned.get(token.value, token.value) if comes else token.value)
    return found


def _bounded(value: float) -> float:
    return round(min(max(value, 0.0), 2.0), 3)
