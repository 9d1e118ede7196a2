"""The hardware and the versions that a measured figure belongs to."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from ..engines.machine import describe_machine as ask_machine
from ..engines.probe import Probes

PACKAGES = (
    "reverie",
    "onnxruntime",
    "onnxruntime-gpu",
    "tensorrt-rtx",
    "tensorrt",
    "numpy",
    "opencv-python-headless",
    "av",
)
_CPU = "/sys/devices/system/cpu"


def describe_machine(probes: Probes | None = None) -> dict[str, Any]:
    """Return processor, cores, memory, GPUs, limits, system, Python and package versions.

    Takes a second or so, for drivers are asked in processes of their own; raises nothing.
    probes: what is asked in place of this machine. None is what nobody tells.
    """
    probes = probes or Probes()
    asked = ask_machine(probes)
    jetson = asked.jetson
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "usable_cores": asked.cores,
        "threads_per_core": _threads_per_core(probes),
        "governor": _line(probes, f"{_CPU}/cpu0/cpufreq/scaling_governor"),
        "highest_megahertz": _megahertz(probes),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        if hasattr(os, "sysconf")
        else None,
        "usable_memory_bytes": asked.memory_bytes or None,
        "cgroup": {
            "cpu_max": _line(probes, "/sys/fs/cgroup/cpu.max"),
            "memory_max": _line(probes, "/sys/fs/cgroup/memory.max"),
        },
        "gpus": [
            {
                "name": gpu.name,
                "architecture": None if gpu.architecture is None else gpu.architecture.name,
                "memory_bytes": gpu.memory_bytes,
                "driver": gpu.driver,
                "cuda": gpu.cuda,
            }
            for gpu in asked.gpus
        ],
        "gpu_problem": asked.driver.problem or None,
        "jetson": None
        if jetson is None
        else {"model": jetson.model, "l4t": jetson.l4t, "power_mode": jetson.power_mode},
        "virtual": _virtual(probes),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "environment": {
            name: value
            for name in ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "OPENBLAS_NUM_THREADS")
            if (value := os.environ.get(name)) is not None
        },
    }


def machine_line(machine: dict[str, Any]) -> str:
    """Return a machine in one line, for a table's or a picture's caption."""
    words = [str(machine.get("processor") or "unknown processor")]
    cores = machine.get("usable_cores") or machine.get("cores")
    words.append(f"{cores} cores")
    memory = machine.get("usable_memory_bytes") or machine.get("memory_bytes")
    words += [f"{memory / 2**30:.1f} GiB"] if memory else []
    words += [gpu["name"] for gpu in machine.get("gpus") or ()]
    words += [machine["jetson"]["model"]] if machine.get("jetson") else []
    return ", ".join(words)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _line(probes: Probes, path: str) -> str | None:
    return (probes.read(path) or "").strip() or None


def _megahertz(probes: Probes) -> float | None:
    text = _line(probes, f"{_CPU}/cpu0/cpufreq/cpuinfo_max_freq")
    return int(text) / 1000 if text and text.isdecimal() else None


def _threads_per_core(probes: Probes) -> int | None:
    """Hardware threads of the first core, of "0,4" or "0-1"."""
    text = _line(probes, f"{_CPU}/cpu0/topology/thread_siblings_list")
    if not text:
        return None
    count = 0
    for piece in text.split(","):
        first, _, last = piece.partition("-")
        if not (first.isdecimal() and (last or first).isdecimal()):
            return None
        count += int(last or first) - int(first) + 1
    return count


def _virtual(probes: Probes) -> bool | None:
    """Whether the processor says that it is a virtual machine's; None where it says nothing."""
    info = probes.read("/proc/cpuinfo")
    flags = [line for line in (info or "").splitlines() if line.startswith("flags")]
    return " hypervisor" in flags[0] if flags else None
