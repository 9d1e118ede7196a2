"""The encoders of video that Reverie knows, the best of each codec first; a new one is a row here.

Options are FFmpeg's own, as `ffmpeg -h encoder=NAME` lists them.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

Quality = Literal["small", "good", "best"]
QUALITIES: tuple[Quality, ...] = get_args(Quality)

_INTEL, _AMD = "0x8086", "0x1002"  # PCI vendors
_SYSTEM = Path(os.environ.get("SYSTEMROOT", r"C:\Windows")) / "System32"


@dataclass(frozen=True)
class Row:
    """One encoder: what it makes, how it is set, and whether it may be tried here."""

    name: str
    """FFmpeg's name."""
    title: str
    """What a person reads."""
    codec: str
    """The codec it makes: "h264", "hevc", "av1", "vp9", "prores", "ffv1"."""
    pixels: str
    """The pixel format it is given."""
    options: Mapping[str, str] = field(default_factory=dict)
    """FFmpeg options whatever the quality."""
    rate: tuple[str, str, str, str] | None = None
    """The option that steers quality, and its values for small, good and best."""
    bits: tuple[float, float, float] | None = None
    """Bits a pixel for small, good and best, where only a bit rate can be asked for."""
    b_frames: int | None = None
    """Frames between two that look ahead as well; None leaves the encoder's own number."""
    hardware: bool = False
    may_work: Callable[[], bool] = lambda: True
    """A look at the machine that costs nothing: False where trying would be in vain."""

    def settings(self, quality: Quality) -> dict[str, str]:
        """Return every option for `quality`."""
        options = dict(self.options)
        if self.rate is not None:
            name, *values = self.rate
            options[name] = values[QUALITIES.index(quality)]
        return options

    def bit_rate(self, quality: Quality, pixels_a_second: float) -> int | None:
        """Return bits a second where the encoder has no other measure of quality."""
        if self.bits is None:
            return None
        return round(self.bits[QUALITIES.index(quality)] * pixels_a_second)


def _nvidia() -> bool:
    if sys.platform == "win32":
        return (_SYSTEM / "nvEncodeAPI64.dll").exists()
    return Path("/dev/nvidiactl").exists() or Path("/dev/dxg").exists()


def _vendor(number: str) -> bool:
    for node in Path("/sys/class/drm").glob("renderD*/device/vendor"):
        try:
            if node.read_text().strip() == number:
                return True
        except OSError:
            continue
    return False


def _intel() -> bool:
    return sys.platform == "win32" or _vendor(_INTEL)


def _amd() -> bool:
    if sys.platform == "win32":
        return (_SYSTEM / "amfrt64.dll").exists()
    return _vendor(_AMD)


def _apple() -> bool:
    return sys.platform == "darwin"


def _board() -> bool:
    """Whether a board (a Jetson, a Raspberry Pi) shows devices of its own for video."""
    if sys.platform != "linux" or platform.machine() not in ("aarch64", "armv7l"):
        return False
    return any(Path("/dev").glob("video[0-9]*")) or Path("/dev/v4l2-nvenc").exists()


_NVENC = {"preset": "p5", "tune": "hq", "rc": "vbr", "spatial-aq": "1"}
_AMF = {"usage": "transcoding", "quality": "quality", "rc": "cqp"}

_ROWS = (
    Row(
        "libx264",
        "H.264 on the processor",
        "h264",
        "yuv420p",
        {"preset": "veryfast", "profile": "high"},
        ("crf", "23", "17", "14"),
    ),
    Row(
        "libx265",
        "H.265 on the processor",
        "hevc",
        "yuv420p",
        {"preset": "superfast", "x265-params": "log-level=error:cbqpoffs=-3:crqpoffs=-3"},
        ("crf", "25", "19", "15"),
    ),
    Row(
        "libsvtav1",
        "AV1 on the processor",
        "av1",
        "yuv420p10le",  # part of AV1's first profile; no bands in skies, and smaller
        {"preset": "9"},
        ("crf", "42", "28", "18"),
    ),
    Row(
        "libvpx-vp9",
        "VP9 on the processor",
        "vp9",
        "yuv420p",
        {"deadline": "good", "cpu-used": "5", "row-mt": "1", "tile-columns": "2"},
        ("crf", "38", "26", "18"),
    ),
    Row(
        "prores_ks",
        "ProRes on the processor",
        "prores",
        "yuv422p10le",
        {"vendor": "apl0"},
        ("profile", "lt", "hq", "hq"),
    ),
    Row(
        "ffv1",
        "FFV1 (lossless) on the processor",
        "ffv1",
        "bgr0",
        {"level": "3", "slicecrc": "1", "slices": "4", "g": "1"},
    ),
    Row(
        "h264_nvenc",
        "H.264 on an NVIDIA GPU",
        "h264",
        "yuv420p",
        {**_NVENC, "profile": "high"},
        ("cq", "26", "19", "16"),
        b_frames=2,
        hardware=True,
        may_work=_nvidia,
    ),
    Row(
        "hevc_nvenc",
        "H.265 on an NVIDIA GPU",
        "hevc",
        "yuv420p",
        _NVENC,
        ("cq", "28", "21", "17"),
        b_frames=0,  # generations before Turing know none in H.265
        hardware=True,
        may_work=_nvidia,
    ),
    Row(
        "av1_nvenc",
        "AV1 on an NVIDIA GPU",
        "av1",
        "yuv420p",
        _NVENC,
        ("cq", "40", "28", "20"),
        hardware=True,
        may_work=_nvidia,
    ),
    Row(
        "h264_v4l2m2m",
        "H.264 on a board's own encoder",
        "h264",
        "yuv420p",
        {},
        bits=(0.1, 0.2, 0.35),
        b_frames=0,
        hardware=True,
        may_work=_board,
    ),
    Row(
        "hevc_v4l2m2m",
        "H.265 on a board's own encoder",
        "hevc",
        "yuv420p",
        {},
        bits=(0.07, 0.14, 0.25),
        b_frames=0,
        hardware=True,
        may_work=_board,
    ),
    Row(
        "h264_videotoolbox",
        "H.264 on Apple hardware",
        "h264",
        "nv12",
        {"profile": "high"},
        bits=(0.1, 0.2, 0.35),
        hardware=True,
        may_work=_apple,
    ),
    Row(
        "hevc_videotoolbox",
        "H.265 on Apple hardware",
        "hevc",
        "nv12",
        {},
        bits=(0.07, 0.14, 0.25),
        hardware=True,
        may_work=_apple,
    ),
    Row(
        "h264_qsv",
        "H.264 on an Intel GPU",
        "h264",
        "nv12",
        {"preset": "medium", "profile": "high"},
        ("global_quality", "26", "19", "16"),
        hardware=True,
        may_work=_intel,
    ),
    Row(
        "hevc_qsv",
        "H.265 on an Intel GPU",
        "hevc",
        "nv12",
        {"preset": "medium"},
        ("global_quality", "28", "21", "17"),
        hardware=True,
        may_work=_intel,
    ),
    Row(
        "av1_qsv",
        "AV1 on an Intel GPU",
        "av1",
        "nv12",
        {"preset": "medium"},
        ("global_quality", "38", "28", "20"),
        hardware=True,
        may_work=_intel,
    ),
    Row(
        "h264_amf",
        "H.264 on an AMD GPU",
        "h264",
        "nv12",
        {**_AMF, "qp_b": "22", "qp_i": "18"},
        ("qp_p", "26", "20", "17"),
        hardware=True,
        may_work=_amd,
    ),
    Row(
        "hevc_amf",
        "H.265 on an AMD GPU",
        "hevc",
        "nv12",
        {**_AMF, "qp_i": "20"},
        ("qp_p", "28", "22", "18"),
        hardware=True,
        may_work=_amd,
    ),
)

ROWS: dict[str, Row] = {row.name: row for row in _ROWS}
"""By FFmpeg's name."""


def rows_for(codec: str) -> tuple[Row, ...]:
    """Return the encoders of a codec in the order they are to be tried: hardware first."""
    rows = [row for row in ROWS.values() if row.codec == codec]
    return tuple(sorted(rows, key=lambda row: not row.hardware))
