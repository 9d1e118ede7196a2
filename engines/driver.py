"""What NVIDIA's driver says of itself and its GPUs, asked through ctypes; nothing to install.

`main` is run in a process of its own (see `probe.Probes.child`): a broken driver may crash it. The
functions are those of the CUDA driver API and of NVML, by their C names.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Sequence
from typing import Any

from .probe import tell

_CUDA = {
    "linux": ("libcuda.so.1", "/usr/lib/wsl/lib/libcuda.so.1"),
    "win32": ("nvcuda.dll",),
}
_NVML = {
    "linux": ("libnvidia-ml.so.1", "/usr/lib/wsl/lib/libnvidia-ml.so.1"),
    "win32": ("nvml.dll", r"C:\Program Files\NVIDIA Corporation\NVSMI\nvml.dll"),
}
_MAJOR, _MINOR, _INTEGRATED = 75, 76, 18  # of CUdevice_attribute
_TEXT = 256  # bytes that a name may take

Load = Callable[[str], Any]


class _Memory(ctypes.Structure):
    """nvmlMemory_t, in bytes."""

    _fields_ = (
        ("total", ctypes.c_ulonglong),
        ("free", ctypes.c_ulonglong),
        ("used", ctypes.c_ulonglong),
    )


def main(words: Sequence[str]) -> None:
    """Tell what the driver says."""
    load: Load = getattr(ctypes, "WinDLL", ctypes.CDLL)
    tell(**ask_driver(load, sys.platform))


def ask_driver(load: Load, system: str) -> dict[str, Any]:
    """Return what the driver library says.

    `loaded` is whether there is one; `why` its own words where it cannot be loaded; `code` what
    cuInit returned; `cuda` 13000 for 13.0; `devices` [{name, major, minor, bytes, integrated,
    free}]; `version` the driver's, by NVML.
    """
    facts: dict[str, Any] = {"loaded": False, "why": "", "code": None, "cuda": 0, "devices": []}
    library, facts["why"] = _open(load, _CUDA.get(system, ()))
    manager = _Manager(load, system)
    facts["version"] = manager.version
    if library is None:
        return facts
    facts["loaded"] = True
    number = ctypes.c_int(0)
    if library.cuDriverGetVersion(ctypes.byref(number)) == 0:
        facts["cuda"] = number.value
    facts["code"] = library.cuInit(0)
    if facts["code"] == 0:
        count = ctypes.c_int(0)
        facts["code"] = library.cuDeviceGetCount(ctypes.byref(count))
        facts["devices"] = [_device(library, manager, index) for index in range(count.value)]
    return facts


def _open(load: Load, names: Sequence[str]) -> tuple[Any, str]:
    """Load the first library there is; else return what the loader said of the first."""
    why = ""
    for name in names:
        try:
            return load(name), ""
        except OSError as error:
            why = why or str(error)
    return None, why


def _device(library: Any, manager: _Manager, index: int) -> dict[str, Any]:
    handle = ctypes.c_int(0)
    library.cuDeviceGet(ctypes.byref(handle), index)

    def attribute(which: int) -> int:
        value = ctypes.c_int(0)
        library.cuDeviceGetAttribute(ctypes.byref(value), which, handle)
        return value.value

    name = ctypes.create_string_buffer(_TEXT)
    library.cuDeviceGetName(name, _TEXT, handle)
    total = ctypes.c_size_t(0)
    library.cuDeviceTotalMem_v2(ctypes.byref(total), handle)
    bus = ctypes.create_string_buffer(_TEXT)
    library.cuDeviceGetPCIBusId(bus, _TEXT, handle)
    return {
        "name": name.value.decode("utf-8", "replace"),
        "major": attribute(_MAJOR),
        "minor": attribute(_MINOR),
        "bytes": total.value,
        "integrated": bool(attribute(_INTEGRATED)),
        "free": manager.free(bus.value),
    }


class _Manager:
    """NVML, as far as it is there and works: the driver's version, and free memory."""

    def __init__(self, load: Load, system: str) -> None:
        self._library, _ = _open(load, _NVML.get(system, ()))
        self.version = ""
        if self._library is None or self._library.nvmlInit_v2() != 0:
            self._library = None
            return
        text = ctypes.create_string_buffer(_TEXT)
        if self._library.nvmlSystemGetDriverVersion(text, _TEXT) == 0:
            self.version = text.value.decode("ascii", "replace")

    def free(self, bus: bytes) -> int | None:
        """Return the free bytes of the GPU on a PCI bus, None where NVML does not know them."""
        handle, memory = ctypes.c_void_p(0), _Memory()
        library = self._library
        if library is None or not bus:
            return None
        if library.nvmlDeviceGetHandleByPciBusId_v2(bus, ctypes.byref(handle)) != 0:
            return None
        if library.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory)) != 0:
            return None
        return int(memory.free)
