"""The parts of a prompt: words with their meaning, gathered into one thought each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

CAMERA = {"camera", "camera-still", "camera-phrase", "move", "pause"}
LIGHT = {"light", "light-name", "tint"}
SUBJECT = {"subject", "worn", "people"}
MOTION = SUBJECT | {"wind", "all", "nothing"}
GRAIN = {"grain"}
MOOD = {"mood", "blur", "stutter"}
HEADS = CAMERA | LIGHT | GRAIN | MOOD | MOTION | {"stir"}


@dataclass(frozen=True)
class Degree:
    """How much (1 normal), how fast (1 normal), and what to call it."""

    much: float = 1.0
    fast: float = 1.0
    name: str = ""


@dataclass(frozen=True)
class Token:
    """A word or phrase of a prompt and what it means."""

    kind: str
    value: str = ""
    degree: Degree = Degree()
    text: str = ""
    place: int = -1


@dataclass
class Part:
    """One thought of a prompt: "slight leaf movement"."""

    opener: str
    tokens: list[Token] = field(default_factory=list)
    mention: bool = False
    """True when what it names is only where something is: "over the water"."""

    def of(self, kinds: Iterable[str]) -> list[Token]:
        return [token for token in self.tokens if token.kind in kinds]

    def has(self, *kinds: str) -> bool:
        return any(token.kind in kinds for token in self.tokens)

    @property
    def bare(self) -> bool:
        """True when it names subjects and says nothing about them."""
        return self.has(*SUBJECT) and not self.has(
            *(HEADS - SUBJECT), "degree", "not", "still", "direction"
        )


def degree_of(part: Part) -> tuple[Degree, bool]:
    """Return how much and how fast a part asks, and whether it says no.

    "very" carries a degree further from the middle; "not too fast" turns it round.
    """
    found: list[Degree] = []
    very = False
    refused = 0
    tokens = [token for token in part.tokens if token.kind not in ("filler", "unknown")]
    for at, token in enumerate(tokens):
        before = {other.kind for other in tokens[:at]}
        if token.kind == "very":
            very = True
        elif token.kind == "degree":
            degree = token.degree
            if very:
                degree = Degree(_further(degree.much), _further(degree.fast), f"very {degree.name}")
            direct = next((t.kind for t in reversed(tokens[:at]) if t.kind != "very"), "") == "not"
            if "not" in before and ("too" in before or (direct and degree.much > 1)):
                name = "less" if degree.name == "more" else f"not too {degree.name}"
                degree = Degree(1 / degree.much, 1 / degree.fast, name)
                refused += 1
            found.append(degree)
            very = False
    names = ", ".join(dict.fromkeys(degree.name for degree in found if degree.name))
    whole = Degree(_meet(d.much for d in found), _meet(d.fast for d in found), names)
    return whole, sum(token.kind == "not" for token in tokens) > min(refused, 1)


def _further(value: float) -> float:
    return value * 0.6 if value < 1 else min(2.0, value * 1.3) if value > 1 else 1.0


def _meet(values: Iterable[float]) -> float:
    """Return the most decided of several degrees, or their product when they disagree."""
    values = list(values) or [1.0]
    if max(values) <= 1:
        return min(values)
    if min(values) >= 1:
        return max(values)
    return max(values) * min(values)
