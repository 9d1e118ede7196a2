"""What a film can be written as: containers, codecs, and which of them go together."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from ..engines.encoder_rows import QUALITIES, ROWS, Quality, rows_for
from ..engines.errors import OutputError, SettingsError

AUTO, SOFTWARE = "auto", "software"


@dataclass(frozen=True)
class Container:
    """A kind of file."""

    muxer: str
    """FFmpeg's name of it."""
    mime: str
    codecs: tuple[str, ...]
    """What it may hold, its own default first."""


CONTAINERS = {
    ".mp4": Container("mp4", "video/mp4", ("h264", "hevc", "av1")),
    ".mov": Container("mov", "video/quicktime", ("h264", "hevc", "prores")),
    ".mkv": Container(
        "matroska", "video/x-matroska", ("h264", "hevc", "av1", "vp9", "ffv1", "prores")
    ),
    ".webm": Container("webm", "video/webm", ("vp9", "av1")),
    ".gif": Container("gif", "image/gif", ("gif",)),
}
"""By the ending of the name."""

FOLDER = Container("png", "image/png", ("png",))
"""A folder of numbered PNG frames."""

CODECS = {
    "h264": "H.264, plays everywhere",
    "hevc": "H.265, smaller; phones, televisions and Apple's players",
    "av1": "AV1, smallest; browsers and newer devices",
    "vp9": "VP9, for the web",
    "prores": "ProRes 422 HQ, 10 bit, for editing",
    "ffv1": "FFV1, lossless, for editing",
    "gif": "GIF, 256 colours, silent, loops",
    "png": "numbered PNG frames, silent",
}
"""Every codec, with a few words for a person."""


@dataclass(frozen=True)
class SoundCodec:
    """How sound is written beside a codec of pictures."""

    name: str
    """FFmpeg's encoder."""
    title: str
    bit_rate: int | None = None
    sample_format: str = "fltp"
    lead_in: int = 0
    """Samples an encoder puts before the first; Matroska counts them as length."""
    packet: int = 1
    """Samples in a packet."""


# At 192 kbit/s FFmpeg's AAC made noise 1.2 LU quieter and clicks' peaks 3 dB higher; at 320, 0.3
# and 1.1: a film's pictures are many times that size.
_AAC = SoundCodec("aac", "aac", 320_000, lead_in=1024, packet=1024)
_OPUS = SoundCodec("libopus", "opus", 160_000, "flt", lead_in=312, packet=960)
_PCM = SoundCodec("pcm_s24le", "pcm", None, "s32")


@dataclass(frozen=True)
class Encoding:
    """How a film is written; `encoding_for` makes it from a file's name."""

    container: Container = field(default_factory=lambda: CONTAINERS[".mp4"])
    codec: str = "h264"
    """One of `CODECS`."""
    encoder: str = AUTO
    """"auto" (hardware where it works), "software", or FFmpeg's name of one."""
    quality: Quality = "good"
    """"small", "good" or "best"; has no meaning for ffv1, gif and png."""

    @property
    def sound(self) -> SoundCodec | None:
        """How sound is written, None where the format is silent."""
        if self.codec in ("gif", "png"):
            return None
        if self.codec in ("prores", "ffv1"):
            return _PCM
        return _OPUS if self.container.muxer == "webm" else _AAC

    @property
    def mime(self) -> str:
        """The kind of file, as the web names it."""
        return self.container.mime

    @property
    def is_folder(self) -> bool:
        """True where frames are written as files of their own."""
        return self.codec == "png"

    def check_sound(self) -> None:
        """Raise where sound is asked for and the format is silent.

        Raises:
            SettingsError: it is.
        """
        if self.sound is None:
            raise SettingsError(
                f"{self.codec} is silent: leave music and voice out, or write .mp4, .mov, .mkv "
                "or .webm"
            )


def encoding_for(
    path: str | os.PathLike[str],
    codec: str | None = None,
    encoder: str = AUTO,
    quality: str | None = None,
) -> Encoding:
    """Return how the film at `path` is to be written.

    Args:
        path: ends in one of `CONTAINERS`, or in / for a folder of PNG frames.
        codec: one of `CODECS`; None means what the encoder makes, or else the container's own.
        encoder: "auto", "software", or FFmpeg's name of one ("h264_nvenc").
        quality: "small", "good" or "best"; None means "good".

    Raises:
        OutputError: the name ends in no known container.
        SettingsError: an unknown codec, encoder or quality, or a pair that does not go together.
    """
    if codec is not None and codec not in CODECS:
        raise SettingsError(f"codec {codec!r:.60} is unknown: use one of {', '.join(CODECS)}")
    if quality is not None and quality not in QUALITIES:
        raise SettingsError(
            f"quality {quality!r:.60} is unknown: use one of {', '.join(QUALITIES)}"
        )
    made = _made_by(encoder)
    if made and codec is not None and codec != made:
        raise SettingsError(
            f"the encoder {encoder} makes {made}, not {codec}: use {_encoders_of(codec)}"
        )
    codec = codec or made
    container = _container(path, codec)
    codec = codec or container.codecs[0]
    if codec not in container.codecs:
        raise SettingsError(_misfit(Path(path), codec, container))
    chosen: Quality = "good" if quality is None else quality
    return Encoding(container, codec, encoder, chosen)


def suffix_for(codec: str | None) -> str:
    """Return what a name ends in by default for a codec: ".mp4", ".webm", "/" for PNG frames."""
    if codec == "png":
        return "/"
    own = {"vp9": ".webm", "prores": ".mov"}
    fits = [suffix for suffix, kind in CONTAINERS.items() if codec in kind.codecs]
    return own.get(codec or "", fits[0] if fits else ".mp4")


def means_folder(path: str | os.PathLike[str]) -> bool:
    """Return whether a name ends in a slash, as a folder's does."""
    return os.fspath(path).endswith(tuple(filter(None, (os.sep, os.altsep, "/"))))


def _container(path: str | os.PathLike[str], codec: str | None) -> Container:
    if codec == "png" or (codec is None and means_folder(path)):
        suffix = Path(path).suffix.lower()
        if suffix in CONTAINERS and not means_folder(path):
            raise SettingsError(
                f"PNG frames do not go into one {suffix} file: name a folder, {Path(path).stem}/"
            )
        return FOLDER
    target = Path(path)
    if means_folder(path):
        raise SettingsError(
            f"{codec} does not go into a folder: name a file, "
            f"{target.with_suffix(suffix_for(codec))}"
        )
    found = CONTAINERS.get(target.suffix.lower())
    if found is None and target.is_dir():
        raise OutputError(is_a_folder(target))
    if found is None:
        better = target.with_suffix(suffix_for(codec)) if target.name else "clip.mp4"
        raise OutputError(
            f"{target}: a clip's name must end in {', '.join(CONTAINERS)}, or in / for PNG "
            f"frames: try {better}"
        )
    return found


def is_a_folder(target: Path) -> str:
    """Return what to say of a folder that is named where a file is meant."""
    return (
        f"{target} is a folder: name a file in it, {target / 'clip.mp4'}, or end the name with / "
        "for PNG frames"
    )


def _misfit(target: Path, codec: str, container: Container) -> str:
    endings = [suffix for suffix, kind in CONTAINERS.items() if codec in kind.codecs]
    return (
        f"{codec} does not go into {target.suffix.lower()}: "
        f"{target.suffix.lower()} takes {', '.join(container.codecs)}; "
        f"{codec} goes into {', '.join(endings)}"
    )


def _made_by(encoder: str) -> str | None:
    """Return the codec that a named encoder makes."""
    if encoder in (AUTO, SOFTWARE):
        return None
    if encoder not in ROWS:
        raise SettingsError(
            f"encoder {encoder!r:.60} is unknown: use auto, software or one of {', '.join(ROWS)}"
        )
    return ROWS[encoder].codec


def _encoders_of(codec: str) -> str:
    names = [row.name for row in rows_for(codec)]
    return ", ".join(["auto", *names])
