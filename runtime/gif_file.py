"""A GIF with one palette for the whole film: kept losslessly beside while the colours are counted.

GIF counts time in hundredths of a second: each frame ends at the hundredth nearest to its true
end, so that the film's length is right to 5 ms. Players show delays under 2/100 s slowly, so that
above 50 frames a second every second or third frame is written.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .film_file import FilmFile
from .formats import CONTAINERS, SOFTWARE, Encoding
from .output import disk_errors, for_ffmpeg, reserve

Frame = npt.NDArray[np.uint8]

_MOST_RATE = 50  # frames a second
_SAMPLED = 48  # frames that the palette is made from
_LOSSLESS = Encoding(CONTAINERS[".mkv"], "ffv1", SOFTWARE)


def gif_step(fps: int) -> int:
    """Return which frames a GIF keeps: every n-th."""
    return -(-fps // _MOST_RATE)


class GifFile:
    """A GIF at work; frames go in by `put`, `close` writes it.

    Args:
        part: the file to write, which is there already.
        target: the name it will have, for what is told.
    """

    encoder = "gif"

    def __init__(
        self, part: Path, target: Path, *, fps: int, width: int, height: int, frame_count: int
    ) -> None:
        self._part, self._target = part, target
        self._fps, self._count, self._step = fps, frame_count, gif_step(fps)
        self._size = width, height
        self._spool = part.with_name(part.name.replace(".part", "f.part"))
        self.kept = kept = -(-frame_count // self._step)
        """Frames that the file will have."""
        self._sampled = {round(i) for i in np.linspace(0, kept - 1, min(kept, _SAMPLED))}
        self.notes: list[str] = []
        if self._step > 1:
            self.notes.append(
                f"a GIF shows {_MOST_RATE} frames a second at most: every "
                f"{('', '', 'second', 'third')[self._step]} of the {fps} was written"
            )
        self._film: FilmFile | None = None
        with disk_errors(target):
            reserve(self._spool)
        try:
            self._film = FilmFile(
                self._spool,
                target,
                _LOSSLESS,
                fps=fps,
                width=width,
                height=height,
                frame_count=kept,
                metadata={},
                sound=None,
            )
            self._counter = _palette_graph(width, height)
        except BaseException:
            self.abandon()
            raise

    def put(self, frame: Frame, index: int) -> None:
        """Keep a frame, uint8 (height, width, 3), and count its colours where it is sampled.

        Raises:
            OutputError: the disk refuses.
        """
        import av

        if index % self._step:
            return
        kept = index // self._step
        assert self._film is not None
        self._film.put(frame, kept)
        if kept in self._sampled:
            self._counter.source.push(
                av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            )

    def close(self) -> None:
        """Choose the palette and write every frame with it.

        Raises:
            OutputError: the disk refuses.
        """
        assert self._film is not None
        self._film.close()
        self._counter.source.push(None)
        palette = self._counter.sink.pull()
        with disk_errors(self._target):
            self._write(palette)
        self._clear()

    def _write(self, palette: Any) -> None:
        import av

        container = av.open(
            for_ffmpeg(self._part), "w", format="gif", container_options=self._ending()
        )
        with contextlib.closing(container):
            stream: Any = container.add_stream("gif", rate=self._fps)
            context = stream.codec_context
            context.width, context.height = self._size
            context.pix_fmt, context.time_base = "pal8", Fraction(1, 100)
            for index, picture in enumerate(self._mapped(palette)):
                picture.pts, picture.time_base = self._starts(index), Fraction(1, 100)
                for packet in stream.encode(picture):
                    container.mux(packet)
            for packet in stream.encode(None):
                container.mux(packet)

    def abandon(self) -> None:
        """Let go of both files, whatever state they are in."""
        if self._film is not None:
            self._film.abandon()
        self._clear()

    def _clear(self) -> None:
        with contextlib.suppress(OSError):
            self._spool.unlink()

    def _starts(self, index: int) -> int:
        """Return the hundredth of a second at which a kept frame begins."""
        return round(Fraction(100 * index * self._step, self._fps))

    def _ending(self) -> dict[str, str]:
        last = round(Fraction(100 * self._count, self._fps)) - self._starts(self.kept - 1)
        return {"loop": "0", "final_delay": str(last)}

    def _mapped(self, palette: Any) -> Iterator[Any]:
        """Yield the kept frames in the colours of the palette.

        Ordered dither stays in place from frame to frame; diffused errors would swim.
        """
        import av

        width, height = self._size
        graph: Any = av.filter.Graph()
        frames = graph.add_buffer(
            width=width, height=height, format="bgr0", time_base=Fraction(1, self._fps)
        )
        colours = graph.add_buffer(
            width=palette.width,
            height=palette.height,
            format=palette.format.name,
            time_base=Fraction(1, self._fps),
        )
        use = graph.add("paletteuse", "dither=bayer:bayer_scale=4:diff_mode=rectangle")
        sink = graph.add("buffersink")
        frames.link_to(use, 0, 0)
        colours.link_to(use, 0, 1)
        use.link_to(sink)
        graph.configure()
        palette.pts, palette.time_base = 0, Fraction(1, self._fps)
        colours.push(palette)
        colours.push(None)
        with av.open(for_ffmpeg(self._spool)) as spool:
            for index, frame in enumerate(spool.decode(video=0)):
                frame.pts, frame.time_base = index, Fraction(1, self._fps)
                frames.push(frame)
                yield from _drawn(sink)
        frames.push(None)
        yield from _drawn(sink)


def _drawn(sink: Any) -> Iterator[Any]:
    """Yield what a filter has ready."""
    import av

    while True:
        try:
            yield sink.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return


@dataclass(frozen=True)
class _Counter:
    """A filter that counts colours."""

    graph: Any
    """Held: its two ends do not keep it alive."""
    source: Any
    sink: Any


def _palette_graph(width: int, height: int) -> _Counter:
    import av

    graph: Any = av.filter.Graph()
    source = graph.add_buffer(width=width, height=height, format="rgb24", time_base=Fraction(1, 24))
    make = graph.add("palettegen", "stats_mode=full")
    sink = graph.add("buffersink")
    graph.link_nodes(source, make, sink).configure()
    return _Counter(graph, source, sink)
