"""Loudness measured and set by FFmpeg's own filters (ITU-R BS.1770, EBU R128), as sound streams."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from ...engines.errors import MissingPackageError
from .recording import RATE, Block, even

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

SILENT = -70.0
"""LUFS at which R128's absolute gate lies, and dBTP below which nothing is taken for sound."""


@dataclass(frozen=True)
class Loudness:
    """What R128 says of a stretch of sound."""

    lufs: float
    """Integrated loudness; SILENT where nothing of 0.4 s lies above R128's gate."""
    peak: float
    """True peak in dBTP; -inf for digital silence."""

    @property
    def silent(self) -> bool:
        """True where nothing can be heard, at any gain."""
        return self.peak < SILENT  # a click too short for a block of R128 is no silence


class Meter:
    """Takes blocks of 48 kHz stereo and tells their loudness so far, by the filter ebur128."""

    def __init__(self) -> None:
        import av

        if not hasattr(av.AudioFrame, "metadata"):
            raise MissingPackageError(
                f"loudness is read from PyAV 18.1 and newer, this is {av.__version__}: "
                'pip install --upgrade "av>=18.1"'
            )
        self._filters = Filters(("ebur128", "metadata=1:peak=true:framelog=quiet"))
        self._lufs, self._peak = SILENT, 0.0

    def hear(self, block: Block) -> None:
        """Count a block in."""
        self._note(self._filters.push(block))

    def read(self) -> Loudness:
        """End the measurement and return it."""
        # The filter looks at whole tenths of a second: silence fills the last one.
        self._note(self._filters.push(np.zeros((RATE // 10, 2), np.float32)))
        self._note(self._filters.push(None))
        peak = 20 * math.log10(self._peak) if self._peak > 0 else -math.inf
        return Loudness(self._lufs, peak)

    def _note(self, frames: Iterable[AudioFrame]) -> None:
        for frame in frames:
            facts = frame.metadata
            lufs = float(facts.get("lavfi.r128.I", "nan"))
            if math.isfinite(lufs):
                self._lufs = max(lufs, SILENT)
            self._peak = max(self._peak, float(facts.get("lavfi.r128.true_peak", "0")))


def measure(blocks: Iterable[Block]) -> Loudness:
    """Measure a whole stream; nothing of it is kept."""
    meter = Meter()
    for block in even(blocks):
        meter.hear(block)
    return meter.read()


def limited(blocks: Iterable[Block], gain: float, ceiling: float) -> Iterator[Block]:
    """Raise a stream by `gain` dB with true peaks held at `ceiling` dBTP; as many samples come out.

    The limiter works at 192 kHz, where peaks between the samples show, with 5 ms of sight ahead.
    """
    filters = Filters(
        ("volume", f"{gain:.4f}dB:precision=float"),
        ("aresample", "192000"),
        (
            "alimiter",
            f"limit={10 ** (ceiling / 20):.6f}:level=false:attack=5:release=60:latency=true",
        ),
        ("aresample", str(RATE)),
        ("aformat", "sample_fmts=flt:channel_layouts=stereo"),
    )
    due = 0

    def through(block: Block | None) -> Iterator[Block]:
        for frame in filters.push(block):
            yield frame.to_ndarray().reshape(-1, 2).astype(np.float32, copy=False)

    made = 0
    for block in even(blocks):
        due += len(block)
        for out in through(block):
            made += len(out)
            yield out
    for out in through(None):
        out = out[: due - made]  # a resampler may give a sample more than it was given
        made += len(out)
        if len(out):
            yield out
    if made < due:
        yield np.zeros((due - made, 2), np.float32)


class Filters:
    """A row of libavfilter's audio filters, fed with blocks of 48 kHz stereo."""

    def __init__(self, *filters: tuple[str, str]) -> None:
        from av.filter import Graph

        self._graph = Graph()
        node = self._graph.add_abuffer(
            sample_rate=RATE, format="flt", layout="stereo", time_base=Fraction(1, RATE)
        )
        for name, options in (*filters, ("abuffersink", "")):
            following = self._graph.add(name, options or None)
            node.link_to(following)
            node = following
        self._graph.configure()
        self._at = 0

    def push(self, block: Block | None) -> Iterator[AudioFrame]:
        """Feed a block, or None at the end, and yield the frames that are ready."""
        import av

        if block is None:
            self._graph.push(None)
        else:
            flat = np.ascontiguousarray(block, dtype=np.float32).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(flat, format="flt", layout="stereo")
            frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), self._at
            self._at += len(block)
            self._graph.push(frame)
        while True:
            try:
                ready = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            assert isinstance(ready, av.AudioFrame)
            yield ready
