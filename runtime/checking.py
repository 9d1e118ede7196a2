"""Reads a film from a file and lets a Watch look at it, beside the photo it was made from."""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..engines.device import Device
from ..engines.errors import PhotoError
from .guard import Report, Watch
from .identity import Identity
from .output import for_ffmpeg
from .photo import load_photo
from .reading import moves
from .trackers import Pixels

if TYPE_CHECKING:
    from av.container import InputContainer

_FULL = 2  # AVCOL_RANGE_JPEG
_LISTS = ("hls", "concat", "dash", "webvtt", "sdp", "rtsp")
_TEXT = ("ansi", "xbin", "bintext", "idf")  # FFmpeg draws any text file as a film
_LOOKS = 2.0
_MOST_LOOKS = 60
_PHOTO = 1600  # pixels of the photo's shorter side that are read at least


@dataclass(frozen=True)
class FilmIn:
    """A film that is open for reading."""

    fps: float
    count: int | None
    """Frames as the file says; None where it does not."""
    width: int
    height: int
    frames: Iterator[Pixels]
    """uint8 RGB (height, width, 3), decoded when they are asked for."""
    comment: str = ""
    """What the file says of itself."""

    @property
    def lit(self) -> bool:
        """Whether the file says that Reverie made it with a mood or a light."""
        return self.comment.startswith("Reverie") and bool(
            re.search(r"\b(?:mood|light) (?!none\b)\w", self.comment)
        )


def check_film(
    film: str | Path,
    photo: str | Path | None = None,
    *,
    loop: bool = False,
    expected_light: bool = False,
    device: Device | str = "cpu",
    on_frame: Callable[[int, int | None], None] | None = None,
) -> Report:
    """Measure a film, and its faces against those of the photo it was made from.

    Memory does not grow with the film. The photo may be of any size and framing; its faces are
    known again by what they look like, not by where they are. A change of light is expected where
    that is said here, or by the file itself.

    Raises:
        PhotoError: the photo or the film cannot be read.
    """
    source = None if photo is None else load_photo(photo, target=_PHOTO).pixels
    with open_film(film) as opened:
        identity = None if source is None else Identity(source, device=device)
        try:
            watch = Watch(
                source,
                fps=opened.fps,
                count=opened.count,
                loop=loop,
                identity=identity,
                expected_light=expected_light or opened.lit,
                looks=_LOOKS,
                most_looks=_MOST_LOOKS,
            )
            done = 0
            for frame in opened.frames:
                watch.see(frame)
                done += 1
                if on_frame is not None:
                    on_frame(done, opened.count)
            if done < 2:
                what = "a single picture" if done else "nothing that can be seen"
                raise PhotoError(f"{_name(film)} holds {what}, no film: give a film")
            return watch.report()
        finally:
            if identity is not None:
                identity.close()


@contextmanager
def open_film(path: str | Path) -> Iterator[FilmIn]:
    """Open a film of any kind that FFmpeg reads; nothing but the file itself is opened.

    Raises:
        PhotoError: it is not there, no film, or (while its frames are read) damaged.
    """
    import av

    name = _name(path)
    _check_file(Path(path), name)
    try:
        container = av.open(for_ffmpeg(path), options={"protocol_whitelist": "file,crypto,data"})
    except (av.FFmpegError, OSError, ValueError) as error:
        raise PhotoError(
            f"{name} is not a film, or damaged ({_reason(error)}): give a film such as an .mp4"
        ) from error
    with container:
        if any(kind in container.format.name for kind in _LISTS):
            raise PhotoError(f"{name} is a playlist, not a film: give one of the files it names")
        streams = [s for s in container.streams.video if moves(s)]
        if not streams:
            what = "sound alone" if container.streams.audio else "no pictures"
            raise PhotoError(f"{name} holds {what}: give a film")
        stream = streams[0]
        if stream.codec_context.name in _TEXT:
            raise PhotoError(f"{name} is text, not a film: give a film such as an .mp4")
        rate = stream.average_rate or stream.guessed_rate or stream.base_rate
        fps = float(rate) if rate else 25.0
        fps = fps if 0.1 <= fps <= 1000 else 25.0
        size = stream.codec_context.width, stream.codec_context.height
        if min(size) < 2:
            raise PhotoError(f"{name} does not say how large its pictures are: copy it again")
        count = stream.frames or None
        comment = container.metadata.get("comment", "")
        yield FilmIn(fps, count, *size, _decoded(container, stream, size, name), comment)


def _decoded(
    container: InputContainer, stream: Any, size: tuple[int, int], name: str
) -> Iterator[Pixels]:
    import av
    from av.video.reformatter import VideoReformatter

    convert = VideoReformatter()
    done = 0
    stream.thread_type = "AUTO"
    try:
        for frame in container.decode(stream):
            rgb = convert.reformat(frame, size[0], size[1], format="rgb24", dst_color_range=_FULL)
            yield rgb.to_ndarray().astype(np.uint8, copy=False)
            done += 1
    except (av.FFmpegError, OSError, ValueError) as error:
        raise PhotoError(
            f"{name} is damaged after {done} frames ({_reason(error)}): copy it again, or make it "
            "again"
        ) from error


def _check_file(path: Path, name: str) -> None:
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise PhotoError(f"{name} is not there: check the path") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise PhotoError(f"{name} cannot be opened ({why}): check the path") from error
    if stat.S_ISDIR(found.st_mode):
        raise PhotoError(f"{name} is a folder: give one film in it")
    if not stat.S_ISREG(found.st_mode):
        raise PhotoError(f"{name} is a pipe or device, not a file: save the film to a file")
    if not found.st_size:
        raise PhotoError(f"{name} is empty (0 bytes): copy the film again from its source")
    try:
        path.open("rb").close()
    except OSError as error:
        raise PhotoError(f"{name} may not be read ({error.strerror}): allow reading it") from error


def _name(path: str | Path) -> str:
    return f'"{"".join(c if c.isprintable() else "?" for c in str(path))}"'


def _reason(error: Exception) -> str:
    return " ".join((getattr(error, "strerror", None) or str(error)).split())[:80]
