"""What a prompt asks for: words to intents for camera, light and motion, by a lexicon.

The way of a prompt: words -> tokens (the longest phrase of the lexicon wins, small slips of the
keyboard are forgiven) -> parts (cut at commas, "and", "while", "over") -> what each part asks.
Nothing is guessed: a word that means nothing here is handed back as unused.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from itertools import pairwise

from . import lexicon as lex
from . import mood_words as moods
from .intents import Requests
from .parts import CAMERA, GRAIN, HEADS, LIGHT, MOOD, MOTION, SUBJECT, Degree, Part, Token
from .settings import Understanding
from .vocabulary import nearest, vocabulary

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?|[,.;:!?\n()|/]")
_CUTS = set(",.;:!?\n()|/")
_LONGEST_PROMPT = 10_000  # characters read; the rest would cost time and say no more
_LONGEST_PART = 40  # words without any comma or "and"
_MOST_SLIPS = 40  # unknown words compared with the whole lexicon


def understand(prompt: str | None) -> Understanding:
    """Return what a prompt asks for; any text will do, None and "" ask for nothing.

    A subject that is named ("slight leaf movement") moves alone: the classes not named are held,
    unless the prompt also speaks of wind or of everything. "No wind" and "keep the water still"
    hold what they name. No prompt is an error.
    """
    if not prompt:
        return Understanding()
    tokens, slips = _tokens(prompt[:_LONGEST_PROMPT])
    requests = Requests()
    for part in _settle(_cut(tokens)):
        requests.add(part)
    done = requests.understanding()
    unused = dict.fromkeys(
        token.text for token in tokens if token.place not in requests.used and not _silent(token)
    )
    return replace(done, understood=done.understood + tuple(slips), unused=tuple(unused))


# ---- words to tokens -----------------------------------------------------------------------------

_SILENT = {"cut", "filler", "and", "or", "but", "break", "place", "not", "very", "too"}


def _silent(token: Token) -> bool:
    """True for the small words that nobody needs to hear were not used."""
    return token.kind in _SILENT or token.text.lower() in lex.PLACES


def _tokens(prompt: str) -> tuple[list[Token], list[str]]:
    """Return the tokens of a prompt, and a line for every slip that was forgiven."""
    text = unicodedata.normalize("NFKC", prompt).replace("\u2019", "'")
    words = _WORD.findall(text)
    known = vocabulary()
    plain, slips = [], dict[str, str | None]()
    for word in map(_plain, words):
        if word not in known.words and word not in _CUTS and len(slips) < _MOST_SLIPS:
            slips.setdefault(word, nearest(word))
        plain.append(slips.get(word) or word)
    tokens: list[Token] = []
    at = 0
    while at < len(words):
        for size in range(min(known.longest, len(words) - at), 0, -1):
            token = known.phrases.get(" ".join(plain[at : at + size]))
            if token is not None:
                break
        else:
            token = Token("cut" if words[at] in _CUTS else "unknown")
        tokens.append(replace(token, text=" ".join(words[at : at + size]), place=at))
        at += size
    return tokens, [f'read "{word}" as "{near}"' for word, near in slips.items() if near]


def _plain(word: str) -> str:
    """Return a word in lower case and without accents."""
    letters = unicodedata.normalize("NFKD", word.casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


# ---- tokens to parts -----------------------------------------------------------------------------

_OPENERS = {"cut", "break", "but", "and", "or", "place"}


def _cut(tokens: list[Token]) -> list[Part]:
    """Cut a prompt into parts of one thought each; a part remembers what opened it."""
    parts = [Part("cut")]
    for at, token in enumerate(tokens):
        part = parts[-1]
        if token.kind == "direction" and not _directs(part, token):
            token = replace(token, kind="place" if token.text.lower() in lex.PLACES else "filler")
        elif token.kind == "grain":
            token = _grain(token, tokens[at + 1 : at + 6])
        elif token.kind == "mood":
            token = _mood(token, tokens[at + 1 : at + 6])
        elif token.kind in ("light", "tint"):
            token = _adjective(token, part, tokens[at + 1 : at + 6])
        if token.kind in _OPENERS:
            opener = "cut" if token.kind == "cut" or part.tokens else part.opener
            parts.append(Part(token.kind if part.tokens else max(token.kind, opener)))
            continue
        family = _family(token)
        if len(part.tokens) >= _LONGEST_PART:
            part = Part("cut")
            parts.append(part)
        if family and any(_family(other) not in (None, family) for other in part.tokens):
            part = _turn(part)
            parts.append(part)
        part.tokens.append(token)
    for part in parts:
        said = [token for token in part.tokens if token.kind != "filler"]
        if len(said) == 1 and said[0].kind == "degree":
            alone = moods.MOOD_ALONE.get(said[0].text.lower())
            if alone is not None:
                part.tokens = [replace(said[0], kind="mood", value=alone)]
    return [part for part in parts if part.tokens]


def _family(token: Token) -> str | None:
    for name, kinds in _FAMILIES:
        if token.kind in kinds:
            return name
    return None


_FAMILIES = (
    ("camera", CAMERA),
    ("light", LIGHT),
    ("grain", GRAIN),
    ("mood", MOOD),
    ("motion", MOTION),
)


def _turn(part: Part) -> Part:
    """Open the next part where the talk turns from the camera to leaves without a comma.

    Words since the last head go with what follows, but for adverbs ("moves slowly camera still").
    """
    last = max(at for at, token in enumerate(part.tokens) if token.kind in HEADS | {"direction"})
    while last + 1 < len(part.tokens) and part.tokens[last + 1].text.lower().endswith("ly"):
        last += 1
    following = Part("join", part.tokens[last + 1 :])
    del part.tokens[last + 1 :]
    return following


def _directs(part: Part, token: Token) -> bool:
    """True when a word such as "in" or "left" says where the camera or the wind goes."""
    if part.has("wind") or token.value not in ("in", "around"):
        return token.text.lower() not in lex.PLACES
    moves = part.has("move") or (part.has("camera") and part.has("stir", "degree"))
    return moves and not part.has("direction")


def _adjective(token: Token, part: Part, following: list[Token]) -> Token:
    """Return "light" before a subject as a degree, and a colour before one as no light at all."""
    after = next((other for other in following if other.kind not in ("filler", "degree")), None)
    if after is None:
        return token
    if token.kind == "tint":
        return replace(token, kind="unknown") if after.kind in SUBJECT | {"wind"} else token
    noun = after.kind == "stir" and after.text.lower() in lex.STIR_NOUNS
    led = part.tokens and part.tokens[-1].kind in ("degree", "tint", "light-name", "unknown")
    named = noun or after.kind in {*SUBJECT, *GRAIN, "wind", "move"}
    if named and not led and after is following[0]:
        return replace(token, kind="degree", degree=Degree(0.5, 0.8, "light"))
    return token


def _mood(token: Token, following: list[Token]) -> Token:
    """Return "restless" before a sea as how the sea moves."""
    after = next((other for other in following if other.kind not in ("filler", "degree")), None)
    stirs = moods.MOOD_STIRS.get(token.text.lower())
    if stirs is None or after is None or after.kind not in {"subject", "worn", "wind", "stir"}:
        return token
    return replace(token, kind="degree", degree=Degree(*stirs))


def _grain(token: Token, following: list[Token]) -> Token:
    """Return "vintage" before a thing as nothing known, and grain that sways as a plant."""
    after = next((other for other in following if other.kind not in ("filler", "degree")), None)
    if after is None:
        return token
    word = token.text.lower()
    if word in lex.GRAIN_ADJECTIVES and after.kind in {*SUBJECT, "unknown"}:
        return replace(token, kind="unknown")
    sways = after.kind in {"stir", "wind"} or after.text.lower() in ("field", "fields")
    if word in lex.CROP and sways:
        return replace(token, kind="subject", value="plant")
    return token


def _settle(parts: list[Part]) -> list[Part]:
    """Join parts that belong together, and let parts share what was said once for both."""
    parts = _join(parts)
    for before, part in zip(parts[-2::-1], parts[:0:-1], strict=True):  # from the end
        joined = part.opener in ("and", "or") or (part.opener == "cut" and part.has(*SUBJECT))
        if before.bare and joined and not before.mention and part.has(*SUBJECT):
            last = max(at for at, token in enumerate(part.tokens) if token.kind in SUBJECT)
            before.tokens += [t for t in part.tokens[last + 1 :] if t.kind in _SHARED]
    for before, part in pairwise(parts):
        named = part.opener == "place" and before.has(*HEADS)
        also = part.opener in ("and", "or") and before.mention
        if part.bare and (named or also):
            part.mention = True
        elif part.opener == "join" and part.bare and before.tokens[-1].kind == "direction":
            part.mention = True  # "push in toward the water"
        elif part.opener == "but" and part.bare:
            held = before.has("not", "nothing", "still")
            part.tokens.append(Token("stir" if held else "not"))
        elif part.has("grain") and part.opener == "and" and not before.has("grain"):
            pass  # "no zoom and film grain" wants the grain
        elif part.opener in ("and", "or") and not part.has("degree", "not", "still"):
            first = next((at for at, token in enumerate(before.tokens) if token.kind in HEADS), 0)
            if part.opener == "or" or not part.has("stir", "move"):
                part.tokens[:0] = [t for t in before.tokens[:first] if t.kind in _SHARED]
    return parts


_SHARED = {"degree", "very", "not", "still", "stir", "too"}


def _join(parts: list[Part]) -> list[Part]:
    """Give words without a head ("slow and gentle zoom") to the part they speak about."""
    joined: list[Part] = []
    waiting: Part | None = None
    for part in parts:
        before = joined[-1] if joined else None
        if waiting is not None:
            part = Part(waiting.opener, waiting.tokens + part.tokens)
            waiting = None
        if not part.has(*HEADS):
            adverb = any(t.kind == "degree" and t.text.lower().endswith("ly") for t in part.tokens)
            if before is not None and (part.opener not in ("cut", "break", "but") or adverb):
                before.tokens += part.tokens
            else:
                waiting = part
        elif before is not None and part.opener == "place" and _about(before, part):
            before.tokens += part.tokens
        else:
            joined.append(part)
    if waiting is not None:
        if joined and not waiting.has("not", "still"):
            joined[-1].tokens += waiting.tokens
        else:
            joined.append(waiting)
    return joined


def _about(before: Part, part: Part) -> bool:
    """True for "movement in the leaves" and "wind in the trees": one thought in two pieces."""
    moves = before.has("wind", "stir") and not before.has(*SUBJECT, *CAMERA, *LIGHT)
    return moves and part.has(*SUBJECT) and not part.has("stir", "degree", "not", "still")
