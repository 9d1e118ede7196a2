"""In which order the letters of a line stand, where scripts of both directions meet.

The Unicode bidirectional algorithm (UAX #9) without its explicit codes, which captions refuse:
weak and neutral types (W1-W7, N0-N2), implicit levels (I1-I2), resetting and reordering (L1-L2).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

_STRONG = {"L", "R", "AL"}
_NEUTRAL = {"B", "S", "WS", "ON"}
_OPEN, _CLOSE = (
    "([{\u2329\u3008\u300a\u300c\u300e\u3010\u3014\u3016\u3018\u301a\u27e8\u27ea",
    (")]}\u232a\u3009\u300b\u300d\u300f\u3011\u3015\u3017\u3019\u301b\u27e9\u27eb"),
)


def levels(text: str) -> list[int]:
    """Return the embedding level of each character of a paragraph: even left to right, odd right
    to left; the first strong character gives the paragraph's own (P2, P3)."""
    kinds = [unicodedata.bidirectional(character) or "L" for character in text]
    base = base_level(text)
    places = [place for place, kind in enumerate(kinds) if kind != "BN"]  # X9: invisible ones
    solved = _resolve([kinds[p] for p in places], [text[p] for p in places], base)
    result = [base] * len(text)
    for place, kind in zip(places, solved, strict=True):
        if base % 2 == 0:
            result[place] = base + {"L": 0, "R": 1}.get(kind, 2)
        else:
            result[place] = base + {"R": 0}.get(kind, 1)
    for place, kind in enumerate(kinds):
        if kind == "BN" and place:
            result[place] = result[place - 1]
    return result


def base_level(text: str) -> int:
    """Return 1 for a paragraph that runs from right to left, else 0."""
    for character in text:
        kind = unicodedata.bidirectional(character)
        if kind in _STRONG:
            return int(kind != "L")
    return 0


def visual_order(line_levels: Sequence[int]) -> list[int]:
    """Return the indices of a line's parts from left to right, by their levels (L2)."""
    order = list(range(len(line_levels)))
    lowest_odd = min((level for level in line_levels if level % 2), default=None)
    if lowest_odd is None:
        return order
    for level in range(max(line_levels), lowest_odd - 1, -1):
        start = 0
        while start < len(order):
            if line_levels[order[start]] < level:
                start += 1
                continue
            end = start
            while end < len(order) and line_levels[order[end]] >= level:
                end += 1
            order[start:end] = reversed(order[start:end])
            start = end
    return order


def _resolve(kinds: list[str], characters: list[str], base: int) -> list[str]:
    """Turn the kinds of a paragraph's characters into L, R, EN and AN (W1-W7, N0-N2)."""
    edge = "R" if base else "L"
    original = list(kinds)
    _weak(kinds, edge)
    _brackets(kinds, original, characters, edge)
    start = 0
    while start < len(kinds):  # N1, N2: what stands between two of one direction follows them
        if kinds[start] not in _NEUTRAL:
            start += 1
            continue
        end = start
        while end < len(kinds) and kinds[end] in _NEUTRAL:
            end += 1
        before = _direction(kinds[start - 1]) if start else edge
        after = _direction(kinds[end]) if end < len(kinds) else edge
        kinds[start:end] = [before if before == after else edge] * (end - start)
        start = end
    return kinds


def _weak(kinds: list[str], edge: str) -> None:
    before, strong = edge, edge
    for place, kind in enumerate(kinds):  # W1, W2, W3 (AL counts as R only afterwards)
        if kind == "NSM":
            kinds[place] = kind = before
        if kind in _STRONG:
            strong = kind
        if kind == "EN" and strong == "AL":
            kinds[place] = kind = "AN"
        before = kind
    kinds[:] = ["R" if kind == "AL" else kind for kind in kinds]
    for place in range(1, len(kinds) - 1):  # W4: one separator between two numbers
        one, other = kinds[place - 1], kinds[place + 1]
        if one == other and (
            (kinds[place] == "ES" and one == "EN") or (kinds[place] == "CS" and one in ("EN", "AN"))
        ):
            kinds[place] = one
    start = 0
    while start < len(kinds):  # W5: terminators beside a European number
        end = start
        while end < len(kinds) and kinds[end] == "ET":
            end += 1
        beside = (kinds[start - 1] if start else "", kinds[end] if end < len(kinds) else "")
        if end > start and "EN" in beside:
            kinds[start:end] = ["EN"] * (end - start)
        start = max(end, start + 1)
    strong = edge
    for place, kind in enumerate(kinds):  # W6, W7
        if kind in ("ES", "ET", "CS"):
            kinds[place] = "ON"
        elif kind in ("L", "R"):
            strong = kind
        elif kind == "EN" and strong == "L":
            kinds[place] = "L"


def _brackets(kinds: list[str], original: list[str], characters: list[str], edge: str) -> None:
    """A pair of brackets takes one direction, with the marks that sit on it (N0)."""
    pairs: list[tuple[int, int]] = []
    stack: list[tuple[str, int]] = []
    for place, character in enumerate(characters):
        if kinds[place] != "ON":
            continue
        if character in _OPEN:
            if len(stack) == 63:  # BD16 gives up here
                return
            stack.append((_CLOSE[_OPEN.index(character)], place))
        elif character in _CLOSE:
            for depth in range(len(stack) - 1, -1, -1):
                if stack[depth][0] == character:
                    pairs.append((stack[depth][1], place))
                    del stack[depth:]
                    break
    for first, last in sorted(pairs):
        inside = {_direction(kind) for kind in kinds[first + 1 : last] if kind not in _NEUTRAL}
        if not inside:
            continue
        chosen = edge
        if edge not in inside:
            before = next((k for k in reversed(kinds[:first]) if k not in _NEUTRAL), edge)
            other = "L" if edge == "R" else "R"
            chosen = other if _direction(before) == other else edge
        for place in (first, last):
            kinds[place] = chosen
            after = place + 1
            while after < len(kinds) and original[after] == "NSM":
                kinds[after] = chosen
                after += 1


def _direction(kind: str) -> str:
    return "L" if kind == "L" else "R"  # numbers count as R among neutrals
