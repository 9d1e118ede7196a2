"""A file of moving pictures and sound, encoded frame by frame by the first encoder that works."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..engines.encoder_rows import Row
from ..engines.errors import EngineError
from .choose_encoder import choose, reason, set_up
from .formats import Encoding
from .output import disk_errors, for_ffmpeg
from .sound.recording import RATE
from .soundtrack import Samples, Soundtrack

if TYPE_CHECKING:
    from av.container import OutputContainer

Frame = npt.NDArray[np.uint8]

_FULL, _BT709 = 2, 1  # AVCOL_RANGE_JPEG, and a code point of H.273
_APPLE_TAGS = {"hevc": "hvc1"}  # phones and QuickTime play H.265 under this name alone


class FilmFile:
    """A container at work; frames go in by `put`, `close` makes it whole.

    Args:
        part: the file to write, which is there already.
        target: the name it will have, for what is told.
        sound: blocks of 48 kHz stereo, None for a silent film.

    Raises:
        EngineError: no encoder works.
    """

    def __init__(
        self,
        part: Path,
        target: Path,
        encoding: Encoding,
        *,
        fps: int,
        width: int,
        height: int,
        frame_count: int,
        metadata: Mapping[str, str],
        sound: Iterable[Samples] | None,
    ) -> None:
        self._part, self._target, self._encoding = part, target, encoding
        self._size, self._fps, self._metadata = (width, height), fps, metadata
        self.kept = frame_count
        """Frames that the file will have."""
        self._samples = round(frame_count * RATE / fps)
        self._sound = sound
        rows, notes = choose(encoding, width, height, fps)
        self._rows, self.notes = list(rows), list(notes)
        self._container: OutputContainer | None = None
        self._open()

    @property
    def encoder(self) -> str:
        """FFmpeg's name of the encoder in use."""
        return self._row.name

    def put(self, frame: Frame, index: int) -> None:
        """Encode a frame, uint8 (height, width, 3), and the sound that goes with it.

        Raises:
            EngineError: the encoder fails, and no other can take over.
            OutputError: the disk refuses.
        """
        try:
            packets = self._encode(frame, index)
        except _encoding_errors() as error:
            if index or len(self._rows) < 2:
                raise self._failed(error, index) from error
            self._fall_back(error)
            return self.put(frame, index)
        self._mux(packets)
        if self._track is not None:
            drawn = self._track.draw(round((index + 1) * RATE / self._fps))
            with disk_errors(self._target):
                self._track.write(drawn)
        return None

    def close(self) -> None:
        """Bring everything out and write the index."""
        assert self._container is not None
        try:
            packets = self._stream.encode(None)
        except _encoding_errors() as error:
            raise self._failed(error, None) from error
        self._mux(packets)
        with disk_errors(self._target):
            if self._track is not None:
                self._track.flush()
            self._container.close()

    def abandon(self) -> None:
        """Let go of the file, whatever state it is in."""
        if self._container is not None:
            with contextlib.suppress(Exception):
                self._container.close()

    def _open(self) -> None:
        """Open the first encoder that does; all before the first frame is drawn."""
        while True:
            self._row: Row = self._rows[0]
            try:
                self._start()
                return
            except _encoding_errors() as error:
                if len(self._rows) < 2:
                    raise self._failed(error, 0) from error
                self._fall_back(error, again=False)

    def _start(self) -> None:
        import av

        muxer = self._encoding.container.muxer
        options = {"fflags": "+bitexact"}  # Matroska's random numbers would differ each time
        if muxer in ("mp4", "mov"):
            options = {"movflags": "+faststart"}
        with disk_errors(self._target):
            self._container = av.open(
                for_ffmpeg(self._part), "w", format=muxer, container_options=options
            )
        stream: Any = self._container.add_stream(self._row.name, rate=self._fps)
        set_up(stream.codec_context, self._row, self._encoding, *self._size, self._fps)
        tag = _APPLE_TAGS.get(self._encoding.codec)
        if tag and muxer in ("mp4", "mov"):
            stream.codec_context.codec_tag = tag
        self._stream = stream
        self._convert = _Converter(self._row, *self._size, self._fps)
        self._container.metadata.update(self._metadata)
        self._track: Soundtrack | None = None
        kind = self._encoding.sound
        if self._sound is not None and kind is not None:
            samples = self._samples
            if muxer in ("matroska", "webm"):  # the last 7 to 43 ms, or the film grew longer
                samples = max(0, samples // kind.packet * kind.packet - kind.lead_in)
            self._track = Soundtrack(self._container, kind, self._sound, samples)
        stream.codec_context.open(strict=False)

    def _encode(self, frame: Frame, index: int) -> list[Any]:
        return list(self._stream.encode(self._convert(frame, index)))

    def _mux(self, packets: Iterable[Any]) -> None:
        assert self._container is not None
        with disk_errors(self._target):
            for packet in packets:
                self._container.mux(packet)

    def _fall_back(self, error: Exception, again: bool = True) -> None:
        """Give the failing encoder up for the next; nothing has reached the file."""
        failed = self._rows.pop(0)
        self.notes.append(f"{failed.name} was left out: {reason(error)}")
        self.abandon()
        if again:
            self._open()

    def _failed(self, error: Exception, index: int | None) -> EngineError:
        where = "at the end" if index is None else f"at frame {index}"
        mend = "use --encoder software" if self._row.hardware else "try another --codec"
        return EngineError(
            f"the encoder {self._row.name} failed {where} ({reason(error)}): {mend}; nothing was "
            "written"
        )


class _Converter:
    """Turns uint8 sRGB into pictures an encoder takes: bt709, limited range, chroma at the left.

    The place of chroma is what players take H.264 and its heirs to mean; pictures sampled at the
    centre come out with their colours half a pixel aside.
    """

    def __init__(self, row: Row, width: int, height: int, fps: int) -> None:
        import av

        self._time_base = Fraction(1, fps)
        graph: Any = av.filter.Graph()
        self._graph = graph  # its ends do not keep it alive
        self._source = graph.add_buffer(
            width=width, height=height, format="rgb24", time_base=self._time_base
        )
        if row.codec == "ffv1":
            words = "out_range=full"
        else:
            words = "out_color_matrix=bt709:out_range=limited:out_chroma_loc=left"
        scale = graph.add("scale", f"flags=bicubic+accurate_rnd:in_range=full:{words}")
        self._sink = graph.add("buffersink")
        graph.link_nodes(
            self._source, scale, graph.add("format", row.pixels), self._sink
        ).configure()

    def __call__(self, frame: Frame, index: int) -> Any:
        import av

        rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        rgb.color_range, rgb.color_primaries, rgb.color_trc = _FULL, _BT709, _BT709
        rgb.pts, rgb.time_base = index, self._time_base
        self._source.push(rgb)
        picture: Any = self._sink.pull()
        picture.pts, picture.time_base = index, self._time_base
        return picture


def _encoding_errors() -> tuple[type[Exception], ...]:
    from av.error import FFmpegError

    return (FFmpegError, ValueError)
