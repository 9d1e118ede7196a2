"""Which encoders to write a film with, in their order: those that really work at its size."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Any

from ..engines.encoder_rows import ROWS, Row, rows_for
from ..engines.errors import EngineError
from .formats import AUTO, SOFTWARE, Encoding

_BT709, _RGB, _LIMITED, _FULL = 1, 0, 1, 2  # H.273 code points; AVCOL_RANGE_MPEG and _JPEG
_TRIAL = 4  # frames
_USUAL = 1280, 720, 24  # a size and rate that every encoder takes
_log = threading.Lock()


def choose(
    encoding: Encoding, width: int, height: int, fps: int
) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    """Return the encoders to try in their order, and why those before them are left out.

    Hardware is tried with a few frames of the film's size first: drivers open encoders that then
    give nothing. Where no hardware shows, nothing is tried, and it takes no time.

    Raises:
        EngineError: none is in this build of FFmpeg, or the one that was named does not work.
    """
    import av

    named = encoding.encoder not in (AUTO, SOFTWARE)
    rows = (ROWS[encoding.encoder],) if named else rows_for(encoding.codec)
    if encoding.encoder == SOFTWARE:
        rows = tuple(row for row in rows if not row.hardware)
    built = [row for row in rows if row.name in av.codecs_available]
    if not built:
        raise EngineError(_lacking(av.codecs_available, encoding, rows))
    found: list[Row] = []
    notes: list[str] = []
    for row in built:
        if row.hardware and not (named or row.may_work()):
            continue
        why = try_encoder(row, encoding, width, height, fps) if row.hardware else ""
        if not why:
            found.append(row)
        elif named:
            raise EngineError(
                f"the encoder {row.name} does not work here at {width}x{height} ({why}): leave "
                "--encoder out, or use --encoder software; `reverie doctor` lists what works"
            )
        else:
            notes.append(f"{row.name} was left out: {why}")
    if not found:
        raise EngineError(
            f"no encoder of {encoding.codec} works here ({'; '.join(notes) or 'no hardware'}): "
            f"write another codec, {_others(av.codecs_available)}"
        )
    return tuple(found), tuple(notes)


def check_encoder(encoding: Encoding) -> None:
    """Raise where no encoder can write this here; takes no time, so ask before rendering.

    Raises:
        EngineError: as `choose`.
    """
    if encoding.codec not in ("gif", "png"):
        choose(encoding, *_USUAL)


def set_up(context: Any, row: Row, encoding: Encoding, width: int, height: int, fps: int) -> None:
    """Set size, rate, quality and the tags of colour on a codec context that is not open yet."""
    if row.name == "libsvtav1":  # it writes to the terminal, past FFmpeg's own log
        os.environ.setdefault("SVT_LOG", "0")
    context.width, context.height, context.pix_fmt = width, height, row.pixels
    context.time_base, context.framerate = Fraction(1, fps), Fraction(fps)  # frame n: n / fps
    context.options = row.settings(encoding.quality)
    context.bit_rate = row.bit_rate(encoding.quality, width * height * fps) or 0
    if row.b_frames is not None:
        context.max_b_frames = row.b_frames
    lossless = row.codec == "ffv1"
    context.color_range = _FULL if lossless else _LIMITED
    context.colorspace = _RGB if lossless else _BT709
    context.color_primaries = context.color_trc = _BT709
    if not lossless:
        context.options = {**context.options, "chroma_sample_location": "left"}


def try_encoder(row: Row, encoding: Encoding, width: int, height: int, fps: int) -> str:
    """Encode a few black frames and return why it does not work, "" where it does."""
    import av

    with _log, _told() as log:
        try:
            context: Any = av.CodecContext.create(row.name, "w")
            set_up(context, row, encoding, width, height, fps)
            packets = 0
            for index in range(_TRIAL):
                frame = av.VideoFrame(width, height, row.pixels)
                for plane in frame.planes:
                    plane.update(bytes(plane.buffer_size))
                frame.pts = index
                packets += len(context.encode(frame))
            packets += len(context.encode(None))
        except Exception as error:  # FFmpeg's errors are of many kinds
            return reason(error, log())
    return "" if packets == _TRIAL else f"it gave {packets} packets for {_TRIAL} frames"


@contextlib.contextmanager
def _told() -> Iterator[Callable[[], list[str]]]:
    """Give what FFmpeg has said so far, which it keeps to itself by default."""
    import av

    level, skip = av.logging.get_level(), av.logging.get_skip_repeated()
    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)  # else a line comes late, in the next one's log
    try:
        with av.logging.Capture() as log:
            yield lambda: [message for _, _, message in log]
    finally:
        av.logging.set_level(level)
        av.logging.set_skip_repeated(skip)


def reason(error: Exception, log: Sequence[str] = ()) -> str:
    """Return what FFmpeg says of an error, in a line; see `encoders.said`."""
    from ..engines.encoders import said

    return said(error, log) or "it does not open"


def _lacking(there: set[str], encoding: Encoding, rows: Sequence[Row]) -> str:
    wanted = " or ".join(row.name for row in rows) or encoding.encoder
    return (
        f"this build of FFmpeg (in the package av) has no {wanted}: write another codec, "
        f"{_others(there)}"
    )


def _others(there: set[str]) -> str:
    codecs = dict.fromkeys(row.codec for row in ROWS.values() if row.name in there)
    return ", ".join([*codecs, "gif", "png"])
