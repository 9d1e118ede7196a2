"""The lexicon made ready: every phrase with its meaning, its forms, and its near misses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from . import lexicon as lex
from . import mood_words as moods
from .parts import Degree, Token

_NORMAL = Degree()


@dataclass(frozen=True)
class Vocabulary:
    """What is known."""

    phrases: Mapping[str, Token]
    """Words and phrases, in lower case and without accents, with their meaning."""
    words: frozenset[str]
    """Every word that occurs in them."""
    longest: int
    """Words in the longest phrase."""


@cache
def vocabulary() -> Vocabulary:
    """Return the lexicon, made ready once."""
    table: dict[str, Token] = {}
    inflected: dict[str, Token] = {}

    def add(kind: str, words: Iterable[str], value: str = "", degree: Degree = _NORMAL) -> None:
        for word in words:
            token = Token(kind, value, degree)
            table.setdefault(word, token)
            if kind in _INFLECTED:
                head, _, last = word.rpartition(" ")
                for form in lex.forms(last):
                    inflected.setdefault(f"{head} {form}".strip(), token)

    add("camera-still", lex.CAMERA_STILL)
    for phrase, move in lex.MOVE_PHRASES.items():
        add("camera-phrase", [phrase], move)
    add("camera", lex.CAMERA)
    for verb in lex.MOVES:
        add("move", [verb], verb)
    for name, kind in lex.LIGHTS.items():
        add("light-name", [name], kind)
    add("light", lex.LIGHT)
    for word, kind in lex.TINTS.items():
        add("tint", [word], kind)
    add("grain", lex.GRAIN)
    for word, mood in moods.MOOD_WORDS.items():
        add("mood", [word], mood)
    for word, much in moods.BLUR.items():
        add("blur", [word], degree=Degree(much, 1.0, ""))
    add("pause", moods.PAUSE)
    add("stutter", moods.STUTTER)
    for word, strength in lex.WIND.items():
        add("wind", [word], degree=Degree(strength, 1.0, ""))
    for name, subjects in lex.SUBJECTS.items():
        add("subject", subjects.split(), name)
    add("worn", lex.WORN, "cloth")
    add("people", lex.PEOPLE)
    for word in lex.STIRS:
        add("stir", [word], lex.STIR_OF.get(word, ""))
    add("all", lex.ALL)
    add("nothing", lex.NOTHING)
    for word, (much, fast, name) in lex.DEGREES.items():
        add("degree", [word], degree=Degree(much, fast, name))
    for word, way in lex.DIRECTIONS.items():
        add("direction", [word], way)
    for kind, others in (
        ("very", lex.VERY),
        ("too", lex.TOO),
        ("not", lex.NOT),
        ("still", lex.STILL),
        ("but", lex.BUT),
        ("break", lex.BREAKS),
        ("and", lex.AND),
        ("or", lex.OR),
        ("place", lex.PLACES),
        ("filler", lex.FILLER),
        ("unknown", lex.ORDINARY),
    ):
        add(kind, others)
    phrases = {**inflected, **table}
    words = frozenset(word for phrase in phrases for word in phrase.split())
    return Vocabulary(phrases, words, max(phrase.count(" ") + 1 for phrase in phrases))


_INFLECTED = {"camera", "move", "pause", "light", "light-name", "camera-phrase", "wind"} | {
    *("subject", "worn", "people", "stir", "stutter", "blur"),
}


def nearest(word: str) -> str | None:
    """Return the lexicon's word that `word` is one slip of the keyboard away from, if any."""
    if len(word) < 5 or len(word) > 20:
        return None
    near = (other for other in vocabulary().words if other[0] == word[0] and len(other) > 3)
    return min(
        (other for other in near if _one_slip(word, other)),
        key=lambda other: (abs(len(other) - len(word)), other),
        default=None,
    )


def _one_slip(word: str, other: str) -> bool:
    """True when one letter is missing, doubled, swapped with the next or, in long words, wrong."""
    if abs(len(word) - len(other)) > 1:
        return False
    same = 0
    for a, b in zip(word, other, strict=False):
        if a != b:
            break
        same += 1
    tail, rest = word[same:], other[same:]
    if len(word) > len(other):
        return tail[1:] == rest
    if len(word) < len(other):
        return tail == rest[1:]
    swapped = len(tail) > 1 and tail[1::-1] == rest[:2] and tail[2:] == rest[2:]
    return swapped or (len(word) >= 7 and tail[1:] == rest[1:])
