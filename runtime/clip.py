"""Frames and sound to a film as they come: written beside and renamed, never half a file."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from ..engines.errors import ReverieError
from .film_file import FilmFile
from .formats import Encoding, encoding_for
from .frame_folder import FrameFolder
from .gif_file import GifFile
from .output import check_output, disk_errors, for_ffmpeg, part_of, publish, reserve
from .settings import Understanding
from .soundtrack import Samples

__all__ = ["Clip", "Written", "check_output", "write_clip"]

Frame = npt.NDArray[np.uint8]

Finish = Callable[[Path, str], Path | None]
"""Is given the whole, still hidden file and its kind ("video/mp4") before it gets its name; may
change it in place (None), or return another file beside it to be used instead.
"""


@dataclass(frozen=True)
class Clip:
    """A finished clip on disk, and how it was made."""

    path: Path
    """The video file."""
    seconds: float
    """Its length."""
    frames: int
    """How many frames it has."""
    fps: int
    """Frames a second."""
    width: int
    """Width of a frame in pixels."""
    height: int
    """Height of a frame in pixels."""
    model: str
    """Name of the bundle that made it."""
    seed: int
    """The seed it was made with."""
    stages: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    """Seconds spent in each stage, in their order."""
    peak_memory: int = 0
    """Most memory the process held so far, in bytes; 0 where the system does not say."""
    understanding: Understanding = field(default_factory=Understanding)
    """What the prompt was understood as."""
    notes: tuple[str, ...] = ()
    """What a person should know about it: "turned upright", "first frame of an animation"."""
    bytes: int = 0
    """Size on disk, of all its frames where it is a folder."""


@dataclass(frozen=True)
class Written:
    """A film that has its name."""

    frames: int
    """Frames in the file: all that were given, but in a GIF of more than 50 a second."""
    seconds: float
    """Length of the film."""
    codec: str
    """One of `formats.CODECS`."""
    encoder: str
    """FFmpeg's name of the encoder that was used."""
    sound: bool
    """True when the film is heard."""
    bytes: int
    """Size on disk."""
    notes: tuple[str, ...] = ()
    """Encoders that were left out, and why."""


def write_clip(
    frames: Iterable[Frame],
    path: str | os.PathLike[str],
    *,
    fps: int,
    width: int,
    height: int,
    frame_count: int,
    force: bool = False,
    metadata: Mapping[str, str] | None = None,
    on_frame: Callable[[int], None] | None = None,
    encoding: Encoding | None = None,
    sound: Iterable[Samples] | None = None,
    finish: Finish | None = None,
) -> Written:
    """Encode `frames` as they come into the film `path`, and return what was written.

    A film has a constant frame rate, bt709 colours (converted and tagged), and its index at the
    front where the container knows one. It is made under a hidden name in the same folder and
    renamed once whole and on disk; whatever goes wrong, Ctrl-C too, nothing is left. Frames are
    not kept; of the sound, one block is.

    Args:
        frames: uint8 (height, width, 3) sRGB frames.
        fps: whole frames a second.
        width, height: even sizes in pixels.
        frame_count: how many frames there must be, no more, no fewer.
        force: True replaces a file that is there.
        metadata: title, comment and the like, kept in the file.
        on_frame: called with the number of frames done after each.
        encoding: how it is written; None means what the name says (`formats.encoding_for`).
        sound: float32 (n, 2) blocks at 48 kHz, -1 .. 1, drawn as the frames pass; silence follows
            where they end early, what is longer than the film is not drawn.
        finish: see `Finish`; not called for a folder of frames.

    Raises:
        OutputError: the film cannot be written (see `check_output`), or the disk is full.
        SettingsError: sound for a silent format.
        EngineError: the encoder does not work; said before the first frame is drawn where that
            can be known.
        ReverieError: there were fewer or more frames than `frame_count`.
        ValueError: an odd size, or a frame or sound of another shape or type.
    """
    if width % 2 or height % 2 or min(width, height) < 2:
        raise ValueError(f"{width}x{height}: a clip's sizes are even and positive")
    encoding = encoding or encoding_for(path)
    if sound is not None:
        encoding.check_sound()
    target = check_output(path, force, encoding)
    given = dict(metadata or {})
    pace = _Pace(fps, width, height, frame_count, on_frame)
    if encoding.is_folder:
        return _write_folder(frames, target, pace, given, force)
    part = part_of(target)
    file: FilmFile | GifFile | None = None
    try:
        with disk_errors(target):
            reserve(part)
        try:
            if encoding.codec == "gif":
                file = GifFile(part, target, **pace.shape)
            else:
                file = FilmFile(part, target, encoding, metadata=given, sound=sound, **pace.shape)
            pace.drive(frames, file)
            file.close()
        except BaseException:
            if file is not None:
                file.abandon()
            raise
        kept = file.kept
        with disk_errors(target):
            _check_whole(part, kept)
        if finish is not None:
            other = finish(part, encoding.mime)
            with disk_errors(target):
                if other is not None and other != part:
                    other.replace(part)
                _check_whole(part, kept)
        size = part.stat().st_size
        with disk_errors(target):
            publish(part, target, force)
    finally:
        with contextlib.suppress(OSError):
            part.unlink()
    return Written(
        frames=kept,
        seconds=frame_count / fps,
        codec=encoding.codec,
        encoder=file.encoder,
        sound=sound is not None,
        bytes=size,
        notes=tuple(file.notes),
    )


@dataclass(frozen=True)
class _Pace:
    """The frames that were promised."""

    fps: int
    width: int
    height: int
    frame_count: int
    on_frame: Callable[[int], None] | None

    @property
    def shape(self) -> dict[str, int]:
        return {
            "fps": self.fps,
            "width": self.width,
            "height": self.height,
            "frame_count": self.frame_count,
        }

    def drive(self, frames: Iterable[Frame], file: FilmFile | GifFile | FrameFolder) -> None:
        """Put every frame into `file`, and raise where they are not as promised."""
        done = 0
        for frame in frames:
            if done == self.frame_count:
                raise ReverieError(f"more than the {self.frame_count} frames promised came")
            if frame.shape != (self.height, self.width, 3) or frame.dtype != np.uint8:
                raise ValueError(
                    f"frame {done} is {frame.dtype} {frame.shape}, "
                    f"not uint8 {(self.height, self.width, 3)}"
                )
            file.put(frame, done)
            done += 1
            if self.on_frame is not None:
                self.on_frame(done)
        if done != self.frame_count:
            raise ReverieError(f"only {done} of the {self.frame_count} frames promised came")


def _write_folder(
    frames: Iterable[Frame], target: Path, pace: _Pace, metadata: Mapping[str, str], force: bool
) -> Written:
    """Write numbered PNG frames into a folder of their own."""
    folder = FrameFolder(target, fps=pace.fps, metadata=metadata, force=force)
    try:
        with disk_errors(target):
            folder.part.mkdir()
        pace.drive(frames, folder)
        folder.close()
        size = folder.size()
        folder.publish()
    except BaseException:
        folder.abandon()
        raise
    return Written(
        frames=pace.frame_count,
        seconds=pace.frame_count / pace.fps,
        codec="png",
        encoder=folder.encoder,
        sound=False,
        bytes=size,
    )


def _check_whole(part: Path, frame_count: int) -> None:
    """Bring the file safely to disk, and raise OSError unless every frame can be found in it."""
    import av

    with part.open("rb+") as file:
        os.fsync(file.fileno())
    with av.open(for_ffmpeg(part)) as container:
        found = sum(
            1 for packet in container.demux(video=0) if packet.size and not packet.is_corrupt
        )
    if found != frame_count:
        raise OSError(errno.EIO, f"{found} of {frame_count} frames reached the disk")
