"""What machine this is: which devices ONNX Runtime can use here."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import Any

from .errors import EngineError, MissingPackageError

KINDS = ("auto", "cpu", "cuda")


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
    """Import ONNX Runtime, or say how to get it.

    Raises:
        MissingPackageError: it is not installed, or both of its builds are.
    """
    installed = [n for n in ("onnxruntime", "onnxruntime-gpu") if _is_installed(n)]
    if len(installed) == 2:
        raise MissingPackageError(
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other: "
            "keep one, with `pip uninstall onnxruntime onnxruntime-gpu` "
            "and `pip install 'reverie[cpu]'` or `pip install 'reverie[cuda]'`"
        )
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingPackageError(
            f"ONNX Runtime cannot be imported ({error}): install it with "
            "`pip install 'reverie[cpu]'`, or `pip install 'reverie[cuda]'` for an NVIDIA GPU"
        ) from error
    onnxruntime.set_default_logger_severity(3)  # errors come back as exceptions, not as log lines
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
    has_cuda = "CUDAExecutionProvider" in import_onnxruntime().get_available_providers()
    if has_cuda:
        return Device("cuda", int(index or 0))
    if kind == "cuda":
        raise EngineError(
            "ONNX Runtime has no CUDA provider here: install it with `pip install 'reverie[cuda]'`"
            " (after `pip uninstall onnxruntime`), or use the CPU"
        )
    return Device("cpu")


def _is_installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True
