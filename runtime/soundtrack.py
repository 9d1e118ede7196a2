"""Sound beside the pictures: encoded as frames come, and exactly as long as the film."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..engines.errors import SoundError
from .formats import SoundCodec
from .sound.recording import RATE

if TYPE_CHECKING:
    from av.container import OutputContainer

_BLOCK = 1024  # samples; what is pulled and encoded at a time

Samples = npt.NDArray[np.float32]


class Soundtrack:
    """A stream of sound in a container, fed up to where the pictures are.

    Sound shorter than the film is followed by silence, longer sound is cut; at most one block of
    what `blocks` gives is held.

    Args:
        blocks: float32 (n, 2), 48 kHz stereo, -1 .. 1, any n.
        total: samples in the film.
    """

    def __init__(
        self,
        container: OutputContainer,
        codec: SoundCodec,
        blocks: Iterable[Samples],
        total: int,
    ) -> None:
        stream: Any = container.add_stream(codec.name, rate=RATE)
        context = stream.codec_context
        context.layout = "stereo"
        context.format = codec.sample_format
        context.time_base = Fraction(1, RATE)
        if codec.bit_rate is not None:
            context.bit_rate = codec.bit_rate
        self._container, self._stream = container, stream
        self._blocks: Iterator[Samples] = iter(blocks)
        self._rest = np.zeros((0, 2), np.float32)
        self._total, self._done = total, 0

    def draw(self, until: int) -> list[Samples]:
        """Return blocks of sound that reach at least to sample `until` of the film."""
        drawn = []
        until = min(until, self._total)
        while self._done < until:
            count = min(_BLOCK, self._total - self._done)
            drawn.append(self._take(count))
            self._done += count
        return drawn

    def write(self, drawn: Iterable[Samples]) -> None:
        """Encode blocks that were drawn, in their order."""
        import av

        for samples in drawn:
            planes = np.ascontiguousarray(samples.T)
            frame = av.AudioFrame.from_ndarray(planes, format="fltp", layout="stereo")
            frame.sample_rate = RATE
            frame.time_base = Fraction(1, RATE)
            frame.pts = self._sent
            self._sent += len(samples)
            for packet in self._stream.encode(frame):
                self._container.mux(packet)

    _sent = 0

    def flush(self) -> None:
        """Bring out what the encoder still holds."""
        for packet in self._stream.encode(None):
            self._container.mux(packet)

    def _take(self, count: int) -> Samples:
        while len(self._rest) < count:
            block = next(self._blocks, None)
            if block is None:
                missing = np.zeros((count - len(self._rest), 2), np.float32)
                self._rest = np.concatenate([self._rest, missing])
                break
            self._rest = np.concatenate([self._rest, _checked(block)])
        taken, self._rest = self._rest[:count], self._rest[count:]
        return taken


def _checked(block: Any) -> Samples:
    if not isinstance(block, np.ndarray) or block.ndim != 2 or block.shape[1] != 2:
        raise ValueError(f"sound comes in float32 (n, 2), not {getattr(block, 'shape', block)!r}")
    if not np.isfinite(block).all():
        raise SoundError("the sound holds values that are no numbers: use another file")
    return np.clip(block, -1.0, 1.0).astype(np.float32, copy=False)
