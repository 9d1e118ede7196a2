"""Where and how the networks of one render are to run: what a person may insist on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ..engines.architectures import PRECISIONS, Architecture
from ..engines.device import Device
from ..engines.errors import SettingsError
from ..engines.libraries import Kind
from .settings import shown

BACKENDS = ("auto", "onnxruntime", "onnxruntime-rtx", "tensorrt-rtx", "tensorrt")
"""ONNX Runtime's own providers, its TensorRT-RTX plug-in, TensorRT-RTX, classic TensorRT."""
LIBRARIES: Mapping[str, Kind] = {"tensorrt-rtx": "rtx", "tensorrt": "tensorrt"}
"""Backends that run engines which were built before -> the library behind each."""


def built_by(gpu: Architecture) -> str:
    """Return the backend whose library builds engines for a GPU."""
    return next(backend for backend, kind in LIBRARIES.items() if kind == gpu.library)


@dataclass(frozen=True)
class Placement:
    """What is asked of the machine; "auto" and None leave it to the plan."""

    device: Device | str = "auto"
    """"auto", "cpu", "cuda", "cuda:1"."""
    backend: str = "auto"
    """One of BACKENDS."""
    precision: str = "auto"
    """The precision to prefer wherever a component is there in it, "fp32" too."""
    memory: int | None = None
    """Bytes that the render may take on its device; None is what there is."""
    strict: bool = False
    """Whether to refuse, where it would otherwise go on in another way than planned."""

    def __post_init__(self) -> None:
        if isinstance(self.device, str) and not re.fullmatch(r"auto|cpu|cuda(:\d+)?", self.device):
            raise SettingsError(
                f"device {shown(self.device)} is not known: use auto, cpu, cuda or cuda:1"
            )
        if self.backend not in BACKENDS:
            raise SettingsError(
                f"backend {shown(self.backend)} is not known: use one of {', '.join(BACKENDS)}"
            )
        if self.precision not in ("auto", "fp32", *PRECISIONS):
            raise SettingsError(
                f"precision {shown(self.precision)} is not known: use one of auto, fp32, "
                f"{', '.join(PRECISIONS)}"
            )
        if self.memory is not None and self.memory < 1:
            raise SettingsError(f"memory {self.memory} cannot be used: give bytes above 0")
