"""Engines on ONNX Runtime: the CPU, and NVIDIA GPUs through its CUDA provider."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from .device import Device, import_onnxruntime
from .engine import Array, Port
from .errors import EngineError

_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}
_MMAP_THRESHOLD = -3  # of mallopt(3)
_MAPPED_FROM = 512 * 2**20
"""Bytes of weights from which on they stay mapped from their file, to be dropped under pressure."""


class OrtEngine:
    """One ONNX graph in an ONNX Runtime session; see `engine.Engine`."""

    def __init__(
        self,
        path: Path,
        device: Device,
        threads: int | None = None,
        weight_bytes: int | None = None,
    ) -> None:
        ort = import_onnxruntime()
        options = ort.SessionOptions()
        options.log_severity_level = 3
        # The arena keeps every peak it ever saw; a render opens several networks in turn.
        options.enable_cpu_mem_arena = False
        # Waiting threads that spin take the cores from the encoder and the frames beside.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if (_weights_beside(path) if weight_bytes is None else weight_bytes) >= _MAPPED_FROM:
            # Packed copies are memory of one's own: 0.5 GiB of float32 matrices take 534 MiB of it
            # so, and 22 MiB when they stay mapped; opening takes no time, and runs are as fast.
            options.add_session_config_entry("session.disable_prepacking", "1")
            _give_back_at_once()
        if threads is not None:
            options.intra_op_num_threads = threads
        self._path = path
        self.device = device
        try:
            self._session: Any = ort.InferenceSession(
                str(path), options, providers=_providers(device)
            )
        except Exception as error:  # ONNX Runtime raises many unrelated types here
            raise EngineError(
                f"{path.name} cannot be opened on {device} ({_first_line(error)}): "
                "the file is damaged, or needs a newer ONNX Runtime"
            ) from error
        if device.kind == "cuda" and "CUDAExecutionProvider" not in self._session.get_providers():
            raise EngineError(
                f"{path.name} cannot run on {device}: the CUDA provider did not start "
                "(no NVIDIA driver, or other CUDA and cuDNN versions than it needs); use the CPU"
            )
        self.inputs = tuple(_port(p) for p in self._session.get_inputs())
        self.outputs = tuple(_port(p) for p in self._session.get_outputs())

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run the graph once; see `engine.Engine.run`."""
        if self._session is None:
            raise EngineError(f"{self._path.name} was closed: open it again before running it")
        _check(self._path.name, self.inputs, inputs)
        try:
            values = self._session.run(None, dict(inputs))
        except Exception as error:
            raise EngineError(
                f"{self._path.name} failed on {self.device} ({_first_line(error)})"
            ) from error
        return dict(zip((p.name for p in self.outputs), values, strict=True))

    def close(self) -> None:
        """Free the session."""
        self._session = None

    def __enter__(self) -> OrtEngine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _give_back_at_once() -> None:
    """Let glibc map each larger block of memory by itself, and unmap it when it is freed.

    By itself it learns to keep blocks of up to 32 MiB in heaps that stay as large as they ever
    were: a step of LTX-2B, its weights widened one by one, took 2.2 GiB beside them, 0.8 so.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, 2**20)


def _weights_beside(path: Path) -> int:
    """Bytes in the file of external weights beside a graph, 0 where there is none."""
    data = path.with_name(f"{path.name}.data")
    return data.stat().st_size if data.is_file() else 0


def _providers(device: Device) -> list[Any]:
    if device.kind == "cuda":
        return [("CUDAExecutionProvider", {"device_id": device.index}), "CPUExecutionProvider"]
    return ["CPUExecutionProvider"]


def _port(port: Any) -> Port:
    dtype = _DTYPES.get(port.type)
    if dtype is None:
        raise EngineError(f"{port.name} has the type {port.type}, which is not supported")
    shape = tuple(size if isinstance(size, int) else str(size) for size in port.shape)
    return Port(port.name, np.dtype(dtype), shape)


def _check(name: str, ports: tuple[Port, ...], inputs: Mapping[str, Array]) -> None:
    """Refuse inputs that the library would refuse with a page of text."""
    if set(inputs) != {p.name for p in ports}:
        raise EngineError(
            f"{name} takes {', '.join(p.name for p in ports)}; given {', '.join(sorted(inputs))}"
        )
    for port in ports:
        array = inputs[port.name]
        fits = len(array.shape) == len(port.shape) and all(
            not isinstance(size, int) or size == actual
            for size, actual in zip(port.shape, array.shape, strict=False)
        )
        if array.dtype != port.dtype or not fits:
            raise EngineError(
                f"{name} takes {port.name} as {port.dtype} {list(port.shape)}; "
                f"given {array.dtype} {list(array.shape)}"
            )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
