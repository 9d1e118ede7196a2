"""Which encoders of video really work here: each is opened and given a frame."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from .encoder_rows import ROWS
from .probe import LIMIT, Answer, Probes, tell

Status = Literal["ok", "missing", "broken"]

ENCODERS = {row.name: row.title for row in ROWS.values()}
"""By FFmpeg's name."""

_SIZE = 256  # pixels on each side; the least that every one of them takes is below
_FORMATS = ("yuv420p", "nv12")


@dataclass(frozen=True)
class Encoder:
    """One encoder, as it was found."""

    name: str
    """FFmpeg's name."""
    title: str
    status: Status
    """"missing" without the hardware or its driver, "broken" where it crashes or hangs."""
    detail: str = ""
    """Why it does not work."""


def find_encoders(probes: Probes | None = None) -> tuple[Encoder, ...]:
    """Return how every encoder of `ENCODERS` is; raises nothing, takes a few seconds at most.

    They are tried one after the other in another process; one that crashes or hangs there is
    "broken", and the rest are tried in a new one.
    """
    probes = probes or Probes()
    found: dict[str, Encoder] = {}
    until = time.monotonic() + LIMIT
    while rest := [name for name in ENCODERS if name not in found]:
        left = until - time.monotonic()
        answer = (
            probes.child("encoders", *rest, limit=left)
            if left > 0
            else Answer(problem="was not tried: the others took too long")
        )
        _read(answer, rest, found)
    return tuple(found[name] for name in ENCODERS)


def _read(answer: Answer, rest: Sequence[str], found: dict[str, Encoder]) -> None:
    """Note what a child told, and whom it died of."""
    trying = ""
    for fact in answer.facts:
        name = str(fact.get("name"))
        if "status" in fact and name in ENCODERS:
            detail = str(fact.get("detail") or "")
            found[name] = Encoder(name, ENCODERS[name], _status(fact["status"]), detail)
        trying = name if "status" not in fact else ""
    if all(name in found for name in rest):
        return
    if trying in rest and trying not in found:
        found[trying] = Encoder(trying, ENCODERS[trying], "broken", answer.problem or "ended")
        return
    for name in rest:  # not even the first could be tried
        why = answer.problem or "could not be tried"
        found.setdefault(name, Encoder(name, ENCODERS[name], "broken", why))


def _status(told: object) -> Status:
    return "ok" if told == "ok" else "missing" if told == "missing" else "broken"


def main(words: Sequence[str]) -> None:
    """Try encoders by name and tell of each; run in a process of its own."""
    import av

    for name in words:
        if name not in av.codecs_available:
            tell(name=name, status="missing", detail="PyAV was built without it")
            continue
        tell(name=name)
        tell(name=name, **_try(av, name))


def _try(av: Any, name: str) -> dict[str, str]:
    """Encode a frame in the first format that is taken."""
    why = ""
    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)  # else it comes late, in the next one's log
    for pixels in (ROWS[name].pixels,) if name in ROWS else _FORMATS:
        with av.logging.Capture() as log:
            try:
                if _encode(av, name, pixels):
                    return {"status": "ok", "detail": ""}
                return {"status": "broken", "detail": "gave nothing"}
            except Exception as error:  # FFmpeg's errors are of many kinds
                why = said(error, [message for _, _, message in log])
                why = f"does not open ({why})" if why else "does not open"
    return {"status": "missing", "detail": why}


def _encode(av: Any, name: str, pixels: str) -> int:
    """Encode one frame and return how many packets came of it."""
    context = av.CodecContext.create(name, "w")
    context.width = context.height = _SIZE
    context.pix_fmt = pixels
    context.time_base, context.framerate = Fraction(1, 24), Fraction(24)
    frame = av.VideoFrame(_SIZE, _SIZE, pixels)
    for plane in frame.planes:
        plane.update(bytes(plane.buffer_size))
    frame.pts = 0
    return len(context.encode(frame)) + len(context.encode(None))


def said(error: Exception, log: Sequence[str] = ()) -> str:
    """Return what FFmpeg says of an error: the first line of its log, else the error's words."""
    words = [text.strip() for text in (*log, getattr(error, "strerror", ""), str(error)) if text]
    lines = [word.splitlines()[0] for word in words if word]
    return lines[0][:120] if lines else ""
