"""Films read back: their frames one at a time, and what a film is without decoding it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..engines.errors import OutputError
from .frame_folder import RATE_KEY, frame_files
from .output import for_ffmpeg

Frame = npt.NDArray[np.uint8]

_EXACT = 0x2000 | 0x4000 | 0x40000  # swscale: full chroma out and in, exact rounding
_FULL = 2  # FFmpeg's AVCOL_RANGE_JPEG


@dataclass(frozen=True)
class FilmFacts:
    """What a film is, as its container and its packets tell."""

    width: int
    """Of a frame, in pixels."""
    height: int
    fps: float
    """Frames a second."""
    frames: int
    seconds: float
    """Length of the pictures."""
    codec: str
    """FFmpeg's name: "h264", "hevc", "av1", "vp9", "prores", "ffv1", "gif", "png"."""
    pixels: str
    """The pixel format, "yuv420p"."""
    sound: str | None
    """The codec of the sound, None for a silent film."""
    sound_seconds: float
    """Length of the sound, 0 without any."""
    bytes: int
    """Size on disk."""


def read_frames(path: str | os.PathLike[str]) -> Iterator[Frame]:
    """Yield the frames of a film as uint8 (height, width, 3) sRGB, one at a time.

    The colours are converted with full chroma and exact rounding, so that a flat patch comes back
    within 2/255 of what was written; FFmpeg's quick default is a little further off.

    Args:
        path: a video file, or a folder of PNG frames.

    Raises:
        OutputError: it is missing or damaged.
    """
    if Path(path).is_dir():
        yield from _folder_frames(Path(path))
        return
    with _damage(Path(path)):
        yield from _film_frames(path)


def _film_frames(path: str | os.PathLike[str]) -> Iterator[Frame]:
    import av
    from av.video.reformatter import Interpolation, VideoReformatter

    exact = int(Interpolation.BICUBIC) | _EXACT
    convert = VideoReformatter()
    with av.open(for_ffmpeg(path)) as container:
        for frame in container.decode(video=0):
            rgb = convert.reformat(
                frame, format="rgb24", interpolation=exact, dst_color_range=_FULL
            )
            yield rgb.to_ndarray().astype(np.uint8, copy=False)


def film_facts(path: str | os.PathLike[str]) -> FilmFacts:
    """Return what the film at `path` is; its packets are counted, its frames are not decoded.

    Args:
        path: a video file, or a folder of PNG frames.

    Raises:
        OutputError: it is missing, cannot be read, or holds no moving pictures.
    """
    import av

    target = Path(path)
    with _damage(target):
        if target.is_dir():
            return _folder_facts(target)
        if not target.stat().st_size:
            raise OutputError(f"{target} is empty: render it again")
        with av.open(for_ffmpeg(target)) as container:
            return _facts(container, target)


@contextlib.contextmanager
def _damage(target: Path) -> Iterator[None]:
    """Turn what FFmpeg and the system say of a film into one line for a person."""
    import av.error

    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise OutputError(f"{target} does not exist: check the name") from error
    except PermissionError as error:
        raise OutputError(f"{target} may not be read: change its permissions") from error
    except (OSError, ValueError, av.error.FFmpegError) as error:
        words = (str(getattr(error, "strerror", "") or error).splitlines() or [""])[0]
        raise OutputError(
            f"{str(target)!r:.200} is no video that can be read ({words[:100]}): give an .mp4, "
            ".mov, .mkv, .webm or .gif"
        ) from error


def _facts(container: Any, target: Path) -> FilmFacts:
    stream = next((track for track in container.streams.video if moves(track)), None)
    if stream is None:
        raise OutputError(f"{target} holds no moving pictures: give a film")
    context = stream.codec_context
    heard = next((track for track in container.streams.audio if track.codec_context), None)
    spans: dict[int, list[Fraction]] = {}
    frames = 0
    for packet in container.demux([track for track in (stream, heard) if track is not None]):
        if not packet.size or packet.pts is None:
            continue
        frames += packet.stream is stream or packet.stream.index == stream.index
        start = packet.pts * packet.time_base
        span = spans.setdefault(packet.stream.index, [start, start])
        span[0] = min(span[0], start)
        span[1] = max(span[1], start + (packet.duration or 0) * packet.time_base)
    if not frames or context.format is None:
        raise OutputError(f"{target} holds no frame that can be read: render it again")
    if container.format.name in _STILLS or (context.name in _STILL_CODECS and frames == 1):
        raise OutputError(f"{target} is a picture, not a film: give an .mp4, .mov, .mkv or .webm")
    rate = stream.average_rate or stream.guessed_rate or Fraction(24)
    first, last = spans[stream.index]
    seconds = last - first if last > first else Fraction(frames) / rate
    if abs(seconds - Fraction(frames) / rate) < Fraction(2, 1000):
        seconds = Fraction(frames) / rate  # containers that count milliseconds round it
    sound = 0.0
    if heard is not None and heard.index in spans:
        begin, end = spans[heard.index]
        sound = float(end - max(begin, Fraction(0)))
    if container.format.name == "gif":  # its delays are of two lengths, the rate is theirs
        rate = Fraction(frames) / seconds
    return FilmFacts(
        width=context.width,
        height=context.height,
        fps=float(rate),
        frames=frames,
        seconds=float(seconds),
        codec=_name(context),
        pixels=context.format.name,
        sound=None if heard is None else _name(heard.codec_context),
        sound_seconds=sound,
        bytes=target.stat().st_size,
    )


_STILLS = {"image2", "png_pipe", "jpeg_pipe", "webp_pipe", "bmp_pipe", "tiff_pipe"}
_STILL_CODECS = {"png", "mjpeg", "webp", "bmp", "tiff"}


def moves(stream: Any) -> bool:
    """Whether a stream is more than the cover of an album."""
    from av.stream import Disposition

    return stream.codec_context is not None and not stream.disposition & Disposition.attached_pic


def _name(context: Any) -> str:
    return str(context.codec.canonical_name)


def _folder_frames(folder: Path) -> Iterator[Frame]:
    from PIL import Image

    for path in frame_files(folder):
        with _damage(path), Image.open(path) as picture:
            pixels = np.asarray(picture.convert("RGB"))
        yield pixels


def _folder_facts(folder: Path) -> FilmFacts:
    from PIL import Image

    files = frame_files(folder)
    if not files:
        raise OutputError(f"{folder} holds no frames (000001.png ...): give a film or its folder")
    with Image.open(files[0]) as picture:
        width, height = picture.size
        told = str(getattr(picture, "text", {}).get(RATE_KEY, ""))
    fps = int(told) if told.isdigit() and int(told) else 24
    return FilmFacts(
        width=width,
        height=height,
        fps=float(fps),
        frames=len(files),
        seconds=len(files) / fps,
        codec="png",
        pixels="rgb24",
        sound=None,
        sound_seconds=0.0,
        bytes=sum(path.stat().st_size for path in files),
    )
