"""Tensors bound to ONNX Runtime sessions: memory of the session's device that stays where it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .device import Device, import_onnxruntime
from .engine import Array, Buffer, Shape
from .errors import DeviceMemoryError, EngineError
from .tensors import check_array

_NO_MEMORY = ("failed to allocate", "out of memory", "out_of_memory", "alloc_failed", "bad_alloc")


class OrtBuffer:
    """An OrtValue on a device; see `engine.Buffer`."""

    def __init__(
        self, shape: Shape, dtype: np.dtype[np.generic] | type[np.generic], device: Device
    ) -> None:
        self.shape = tuple(shape)
        self.dtype: np.dtype[np.generic] = np.dtype(dtype)
        self.nbytes = int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize
        ort = import_onnxruntime()
        try:
            self.value: Any = ort.OrtValue.ortvalue_from_shape_and_type(
                list(self.shape), self.dtype.type, device.kind, device.index
            )
        except Exception as error:  # ONNX Runtime raises many unrelated types
            what = f"{self.nbytes / 2**20:.0f} MiB cannot be had on {device}"
            raise library_error(what, error, "ask for a smaller clip, or use the CPU") from error

    def upload(self, array: Array) -> None:
        """Copy an array in."""
        check_array(self, array)
        self._kept().update_inplace(np.ascontiguousarray(array))

    def download(self) -> Array:
        """Copy it out."""
        found: Array = np.array(self._kept().numpy())
        return found

    def free(self) -> None:
        """Drop the value; sessions that are bound to it keep it until they are closed."""
        self.value = None

    def _kept(self) -> Any:
        if self.value is None:
            raise EngineError("this buffer was freed: allocate another")
        return self.value


class OrtBinding:
    """One set of bound inputs and outputs of a session; called, it runs."""

    def __init__(
        self,
        session: Any,
        name: str,
        device: Device,
        inputs: Mapping[str, Buffer],
        outputs: Mapping[str, Buffer],
        run_options: Any = None,
    ) -> None:
        self._session, self._name, self._device = session, name, device
        self._options = run_options
        self._binding: Any = session.io_binding()
        for given, bind in (
            (inputs, self._binding.bind_ortvalue_input),
            (outputs, self._binding.bind_ortvalue_output),
        ):
            for port, buffer in given.items():
                if not isinstance(buffer, OrtBuffer):
                    raise EngineError(
                        f"{name} was given {port} in memory of another library: allocate it on the"
                        " engine, or on one opened beside it"
                    )
                bind(port, buffer._kept())

    def __call__(self) -> None:
        if self._session is None:
            raise EngineError(f"{self._name} was closed: open it again before running it")
        try:
            self._session.run_with_iobinding(self._binding, self._options)
        except Exception as error:
            raise library_error(f"{self._name} failed on {self._device}", error) from error

    def close(self) -> None:
        """Let go of the session and the buffers."""
        self._session = self._binding = None


def library_error(what: str, error: Exception, why: str = "") -> EngineError:
    """Return what to raise after an error of ONNX Runtime's, which has many unrelated types."""
    line = first_line(error)
    if isinstance(error, MemoryError) or any(sign in line.lower() for sign in _NO_MEMORY):
        return DeviceMemoryError(f"{what}: there is not enough memory ({line})")
    return EngineError(f"{what} ({line})" + (f": {why}" if why else ""))


def first_line(error: Exception) -> str:
    """The first line of a library's error, for it may be a page."""
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
