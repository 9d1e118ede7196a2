"""What machine this is: which devices ONNX Runtime can use here."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import Any

from .errors import EngineError, MissingPackageError

KINDS = ("auto", "cpu", "cuda")

_PROBE = bytes.fromhex(
    "08083a370a100a017812017922084964656e746974791201675a0f0a0178120a0a08080112040a02"
    "0801620f0a0179120a0a08080112040a02080142040a00100d"
)
"""The smallest ONNX graph: y = x, one float (IR 8, opset 13)."""


@dataclass(frozen=True)
class Device:
    """A place where networks run."""

    kind: str
    """"cpu" or "cuda"."""
    index: int = 0
    """Which one, where there are several."""

    def __str__(self) -> str:
        return self.kind if self.kind == "cpu" else f"{self.kind}:{self.index}"


@cache
def import_onnxruntime() -> Any:
    """Import ONNX Runtime, its telemetry off, or say how to get it.

    Raises:
        MissingPackageError: it is not installed, or both of its builds are.
    """
    installed = [n for n in ("onnxruntime", "onnxruntime-gpu") if _is_installed(n)]
    if len(installed) == 2:
        raise MissingPackageError(
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other: "
            "run `pip uninstall onnxruntime onnxruntime-gpu`, then "
            "`pip install onnxruntime`, or `pip install onnxruntime-gpu` for an NVIDIA GPU"
        )
    # Its builds may send usage to their maker, and keep an id and a queue in the home folder.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingPackageError(
            f"ONNX Runtime cannot be imported ({error}): install it with "
            "`pip install onnxruntime`, or `pip install onnxruntime-gpu` for an NVIDIA GPU"
        ) from error
    onnxruntime.set_default_logger_severity(4)  # errors come back as exceptions
    if hasattr(onnxruntime, "disable_telemetry_events"):
        onnxruntime.disable_telemetry_events()
    return onnxruntime


def choose_device(wanted: Device | str = "auto") -> Device:
    """Resolve "auto", "cpu", "cuda" or "cuda:1" to a device that is there.

    Raises:
        EngineError: the name is unknown, or ONNX Runtime here has no such device.
    """
    if isinstance(wanted, Device):
        return wanted
    kind, _, index = wanted.partition(":")
    if kind not in KINDS or (index and not index.isdecimal()):
        raise EngineError(f"device {wanted!r} is not known: use one of {', '.join(KINDS)}")
    if kind == "cpu":
        return Device("cpu")
    if cuda_starts():
        return Device("cuda", int(index or 0))
    if kind == "cuda":
        raise EngineError(
            "ONNX Runtime cannot start CUDA here (its CPU build is installed, or the NVIDIA driver,"
            " CUDA or cuDNN is missing): `pip uninstall onnxruntime`, then"
            " `pip install 'onnxruntime-gpu[cuda,cudnn]'`, or use the CPU"
        )
    return Device("cpu")


@cache
def cuda_starts() -> bool:
    """Whether a session really runs on CUDA: being compiled in is not enough."""
    ort = import_onnxruntime()
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        return False
    if hasattr(ort, "preload_dlls"):
        ort.preload_dlls()  # CUDA and cuDNN from their own wheels, where those are installed
    try:
        session = ort.InferenceSession(_PROBE, providers=["CUDAExecutionProvider"])
    except Exception:  # no driver, no device, or libraries of another version
        return False
    return "CUDAExecutionProvider" in session.get_providers()


def _is_installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True
