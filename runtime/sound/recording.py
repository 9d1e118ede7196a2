"""A file with sound in it, read as 48 kHz stereo from its start, a block at a time."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...engines.errors import SoundError
from ..output import for_ffmpeg

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer

RATE = 48000
"""Samples a second of everything that is heard here."""
BLOCK = 4800
"""Samples in an even block: a tenth of a second."""

Block = npt.NDArray[np.float32]
"""Samples (n, 2), left and right, 1.0 at full scale."""

_PLAYLISTS = {"hls", "dash", "concat", "sdp", "rtsp", "imf"}  # they open other files, or hosts
_TEXTS = {"tty", "srt", "ass", "webvtt", "lrc", "ffmetadata", "microdvd", "subviewer", "sami"}
_ESTIMATING = {"mp3", "aac", "ac3", "eac3", "dts", "adts"}  # their length may be only a guess
_LOCKED = {"drms", "enca", "aavd"}  # MP4's names for sound under copy protection
_KINDS = "MP3, M4A, FLAC, Ogg, Opus, WAV, or a video with sound"


@dataclass
class Damage:
    """What one reading of a recording met."""

    bad: int = 0
    """Packets that could not be decoded."""
    good: int = 0
    """Packets that could."""
    whole: bool = False
    """True once the reading came to the file's end."""


@dataclass(frozen=True)
class Recording:
    """A sound file that was opened once and found readable."""

    path: Path
    """The file."""
    use: str
    """What it is to the film: "music" or "voice"."""
    stream: int
    """Index of its sound among the file's streams."""
    stated: float | None
    """Seconds the file says it lasts, where it says so and does not guess."""
    scale: float = 1.0
    """What the samples are multiplied by; not 1 only for float files far beyond full scale."""

    @property
    def name(self) -> str:
        """The use and the quoted path, for a message."""
        return _named(self.use, self.path)

    def blocks(self, damage: Damage | None = None) -> Iterator[Block]:
        """Yield all that can be read, float32 (n, 2) at 48 kHz, n as the decoder gives it.

        Time stamps are ignored: what is there follows without gaps. A packet that cannot be
        decoded is left out and counted in `damage`.

        Raises:
            SoundError: the file was there before and is not to be opened now.
        """
        import av

        damage = Damage() if damage is None else damage
        with _opened(self.path, self.use) as container:
            stream = container.streams[self.stream]
            assert isinstance(stream, av.AudioStream)
            for block in _stereo(_decoded(container, stream, damage)):
                yield block if self.scale == 1 else block * np.float32(self.scale)


def open_recording(path: str | os.PathLike[str], use: str) -> Recording:
    """Open a file and find the sound in it; `use` ("music", "voice") is for the messages.

    Cover pictures and video streams are passed over; of several sounds the one FFmpeg holds for
    the best is taken.

    Raises:
        SoundError: there is no such file, or nothing in it can be heard.
    """
    if isinstance(path, str) and path.split("://", 1)[0].lower() in ("http", "https", "ftp"):
        raise SoundError(
            f'the {use} "{_printable(path)}" is an address: download it and give the file, '
            "nothing is fetched while a film is made"
        )
    place = Path(path)
    name = _named(use, place)
    _check_file(place, name)
    with _opened(place, use) as container:
        names = set(container.format.name.split(","))
        if names & _PLAYLISTS:
            raise SoundError(f"{name} is a playlist, not a sound: give one of the files it names")
        streams = list(container.streams.audio)
        if not streams:
            raise SoundError(f"{name} {_why_silent(container)}: give {_KINDS}")
        best = container.streams.best("audio")
        ready = [s for s in streams if s.codec_context is not None]
        chosen = best if best in ready else (ready[0] if ready else None)
        if chosen is None or chosen.codec_context.codec_tag in _LOCKED:
            raise SoundError(
                f"{name} holds sound in a form that cannot be decoded here (copy protection, or "
                f"an unknown codec): give {_KINDS}"
            )
        stated = None
        if not names & _ESTIMATING:
            if chosen.duration and chosen.time_base:
                stated = float(chosen.duration * chosen.time_base)
            elif container.duration and not container.streams.video:
                stated = container.duration / 1e6
        recording = Recording(place, use, chosen.index, stated)
        codec = chosen.codec_context.name
    damage = Damage()
    reading = recording.blocks(damage)
    try:
        heard = sum(len(block) for block, _ in zip(reading, range(50), strict=False))
    finally:
        reading.close()  # type: ignore[attr-defined]
    if not heard:
        raise SoundError(
            f"nothing in {name} can be decoded (it says it is {codec}): it is damaged, empty or "
            f"copy-protected; give {_KINDS}"
        )
    if damage.bad > 4 * max(damage.good, 1):
        raise SoundError(
            f"{name} is damaged nearly throughout, or no sound at all ({damage.bad} of the first "
            f"{damage.bad + damage.good} pieces cannot be decoded): give another copy"
        )
    return recording


def even(blocks: Iterable[Block], size: int = BLOCK) -> Iterator[Block]:
    """Cut blocks of any length into blocks of `size` samples; the last may be shorter."""
    waiting: list[Block] = []
    held = 0
    for block in blocks:
        while len(block):
            part = block[: size - held]
            block = block[len(part) :]
            waiting.append(part)
            held += len(part)
            if held == size:
                yield waiting[0] if len(waiting) == 1 else np.concatenate(waiting)
                waiting, held = [], 0
    if held:
        yield np.concatenate(waiting)


def between(blocks: Iterable[Block], first: int, last: int) -> Iterator[Block]:
    """Yield the samples from `first` up to `last` of a stream, and read no further."""
    at = 0
    for block in blocks:
        part = block[max(first - at, 0) : max(last - at, 0)]
        at += len(block)
        if len(part):
            yield part
        if at >= last:
            return


def _named(use: str, path: Path) -> str:
    return f'the {use} "{_printable(os.fspath(path))}"'


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)


def _check_file(path: Path, name: str) -> None:
    try:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            raise SoundError(f"{name} is a folder: give a sound file")
        if not stat.S_ISREG(found.st_mode):
            raise SoundError(f"{name} is not a plain file: give a sound file")
        if not found.st_size:
            raise SoundError(f"{name} is empty (0 bytes): give {_KINDS}")
        with path.open("rb"):
            pass
    except FileNotFoundError:
        raise SoundError(f"{name} is not there: check the path") from None
    except PermissionError:
        raise SoundError(f"{name} may not be read: change its permissions") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SoundError(f"{name} cannot be opened ({reason}): check the path") from None


def _opened(path: Path, use: str) -> InputContainer:
    import av

    name = _named(use, path)
    try:
        return av.open(
            for_ffmpeg(path),
            options={"protocol_whitelist": "file"},
            metadata_errors="replace",
        )
    except (av.FFmpegError, OSError, ValueError) as error:
        if not path.is_file():
            raise SoundError(f"{name} is not there any more: put it back") from None
        reason = getattr(error, "strerror", None) or str(error)
        raise SoundError(
            f"{name} is not a sound that can be read ({_one_line(reason)}): give {_KINDS}"
        ) from None


def _one_line(text: str) -> str:
    return " ".join(_printable(text).split())[:120]


def _why_silent(container: InputContainer) -> str:
    names = set(container.format.name.split(","))
    if names & _TEXTS or container.streams.subtitles:
        return "is text, not a sound"
    pictures = names & {"image2", "gif", "apng", "webp", "avif", "ico"}
    if pictures or any(name.endswith("_pipe") for name in names):
        return "is a picture, not a sound"
    if container.streams.video:
        return "is a video without sound"
    return "holds no sound"


def _decoded(
    container: InputContainer, stream: AudioStream, damage: Damage
) -> Iterator[AudioFrame]:
    import av

    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            damage.whole = True
            return
        except (av.FFmpegError, OSError):  # the file breaks off: what was read stands
            damage.bad += 1
            damage.whole = True
            return
        try:
            frames = packet.decode()
        except (av.FFmpegError, ValueError):
            damage.bad += 1
            continue
        damage.good += bool(frames)
        for frame in frames:
            if isinstance(frame, av.AudioFrame) and frame.samples:
                yield frame


def _stereo(frames: Iterable[AudioFrame]) -> Iterator[Block]:
    """Bring frames of any rate, layout and depth to 48 kHz stereo; what is no number is silence."""
    import av

    resampler: av.AudioResampler | None = None
    shape: tuple[object, ...] = ()
    for frame in frames:
        frame.pts = None
        now = (frame.format.name, frame.layout.name, frame.layout.nb_channels, frame.rate)
        if now != shape:  # chained files may change their rate or channels on the way
            if resampler is not None:
                yield from _arrays(resampler.resample(None))
            resampler = av.AudioResampler(format="flt", layout="stereo", rate=RATE)
            shape = now
        assert resampler is not None
        yield from _arrays(resampler.resample(frame))
    if resampler is not None:
        yield from _arrays(resampler.resample(None))


def _arrays(frames: Iterable[AudioFrame]) -> Iterator[Block]:
    for frame in frames:
        samples = frame.to_ndarray().reshape(-1, 2).astype(np.float32)
        yield np.nan_to_num(samples, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
