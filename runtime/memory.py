"""How much memory this process took at most."""

from __future__ import annotations

import re
import sys
from pathlib import Path


def peak_memory() -> int:
    """Return the peak resident memory of this process in bytes, 0 where the system does not tell.

    Linux: VmHWM of proc(5), because what `getrusage` tells there is handed down from the process
    that started this one; macOS: `getrusage`; Windows: `GetProcessMemoryInfo`.
    """
    if sys.platform == "win32":
        return _peak_working_set()
    if (high := _high_water()) is not None:
        return high
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, Linux KiB


def _high_water() -> int | None:
    """Return VmHWM in bytes, or None where there is no such line."""
    try:
        text = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    found = re.search(r"^VmHWM:\s*(\d+) kB$", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def _peak_working_set() -> int:
    import ctypes

    class Counters(ctypes.Structure):
        _fields_ = (
            ("cb", ctypes.c_ulong),
            ("page_fault_count", ctypes.c_ulong),
            ("peak_working_set_size", ctypes.c_size_t),
            *((f"unused_{i}", ctypes.c_size_t) for i in range(7)),
        )

    counters = Counters()
    counters.cb = ctypes.sizeof(counters)
    windll = ctypes.windll  # type: ignore[attr-defined]
    windll.kernel32.GetCurrentProcess.restype = ctypes.c_void_p
    done = windll.psapi.GetProcessMemoryInfo(
        ctypes.c_void_p(windll.kernel32.GetCurrentProcess()), ctypes.byref(counters), counters.cb
    )
    return int(counters.peak_working_set_size) if done else 0
