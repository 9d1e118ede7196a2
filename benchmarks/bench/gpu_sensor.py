"""What an NVIDIA GPU tells of itself: memory, energy, temperature, clocks held back and why.

Through NVML where the package pynvml (nvidia-ml-py) is installed, else through nvidia-smi. A
question that fails is None, and the first failure of each kind is kept as a reason.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from ...engines.probe import Probes

T = TypeVar("T")

REASONS: Mapping[int, str] = {
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x20: "temperature (software)",
    0x40: "temperature (hardware)",
    0x80: "power brake",
}
"""Bits of NVML's clock reasons that slow a GPU down; idle and set clocks are none of them."""

_FIELDS = (
    "memory.used",
    "power.draw",
    "temperature.gpu",
    "clocks.sm",
    "clocks_throttle_reasons.active",
)


class GpuSensor(Protocol):
    """One GPU, asked again and again; None is what it does not tell."""

    source: str
    name: str

    def look(self) -> None:
        """Take a new reading, where readings are taken together."""

    def memory(self, pid: int) -> int | None:
        """Bytes of its memory that a process has, or all that are used where nobody tells whose."""

    def joules(self) -> float | None:
        """Energy since the driver was loaded."""

    def watts(self) -> float | None:
        """Power now."""

    def celsius(self) -> float | None:
        """Temperature of the chip."""

    def megahertz(self) -> float | None:
        """Clock of its multiprocessors."""

    def held_back(self) -> list[str]:
        """Why its clocks are lower than they could be, of REASONS."""


def open_gpu(
    index: int = 0, probes: Probes | None = None, nvml: Any = None
) -> tuple[GpuSensor | None, str]:
    """Return a GPU's sensor, or None and why there is none.

    index: as CUDA counts, after CUDA_VISIBLE_DEVICES. nvml: a module in place of pynvml.
    """
    probes = probes or Probes()
    why = "pynvml is not installed (pip install nvidia-ml-py)"
    if nvml is None:
        try:
            nvml = importlib.import_module("pynvml")
        except ImportError:
            nvml = None
    if nvml is not None:
        try:
            return NvmlSensor(nvml, index), ""
        except Exception as error:  # NVML raises kinds of its own, for want of a driver too
            why = f"NVML: {error}"
    sensor = SmiSensor(probes, index)
    sensor.look()
    if sensor.reading:
        return sensor, ""
    return None, f"{why}; nvidia-smi {sensor.problem or 'tells nothing'}"


class NvmlSensor:
    """A GPU through NVML."""

    source = "nvml"

    def __init__(self, nvml: Any, index: int) -> None:
        """Raise whatever NVML raises where there is no such GPU."""
        self._nvml = nvml
        nvml.nvmlInit()
        visible = [word.strip() for word in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")]
        chosen = visible[index] if index < len(visible) else ""
        if chosen.startswith("GPU-"):
            self._gpu = nvml.nvmlDeviceGetHandleByUUID(chosen)
        else:
            number = int(chosen) if chosen.isdecimal() else index
            self._gpu = nvml.nvmlDeviceGetHandleByIndex(number)
        name = nvml.nvmlDeviceGetName(self._gpu)
        self.name = name.decode() if isinstance(name, bytes) else str(name)
        self.before = self._used() or 0

    def look(self) -> None:
        """Do nothing: each question is its own reading."""

    def memory(self, pid: int) -> int | None:
        """Bytes of its memory that a process has.

        In a container NVML does not tell whose they are: then all that came since the sensor was
        opened.
        """
        rows = self._ask(lambda: self._nvml.nvmlDeviceGetComputeRunningProcesses(self._gpu))
        for row in rows or ():
            if row.pid == pid and row.usedGpuMemory:
                return int(row.usedGpuMemory)
        used = self._used()
        return None if used is None else max(0, used - self.before)

    def joules(self) -> float | None:
        """Energy since the driver was loaded; GPUs before Volta do not tell."""
        found = self._ask(lambda: self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._gpu))
        return None if found is None else found / 1000

    def watts(self) -> float | None:
        """Power now."""
        found = self._ask(lambda: self._nvml.nvmlDeviceGetPowerUsage(self._gpu))
        return None if found is None else found / 1000

    def celsius(self) -> float | None:
        """Temperature of the chip."""
        return self._ask(lambda: float(self._nvml.nvmlDeviceGetTemperature(self._gpu, 0)))

    def megahertz(self) -> float | None:
        """Clock of its multiprocessors."""
        return self._ask(lambda: float(self._nvml.nvmlDeviceGetClockInfo(self._gpu, 1)))

    def held_back(self) -> list[str]:
        """Why its clocks are lower than they could be."""
        ask = getattr(self._nvml, "nvmlDeviceGetCurrentClocksEventReasons", None)
        ask = ask or getattr(self._nvml, "nvmlDeviceGetCurrentClocksThrottleReasons", None)
        bits = self._ask(lambda: int(ask(self._gpu))) if ask else None
        return reasons_of(bits or 0)

    def _used(self) -> int | None:
        return self._ask(lambda: int(self._nvml.nvmlDeviceGetMemoryInfo(self._gpu).used))

    def _ask(self, question: Callable[[], T]) -> T | None:
        try:
            return question()
        except Exception:  # not supported here, lost, no permission: each a kind of its own
            return None


class SmiSensor:
    """A GPU through nvidia-smi, a process for each reading."""

    source = "nvidia-smi"

    def __init__(self, probes: Probes, index: int) -> None:
        self._probes, self._index = probes, index
        self.name, self.problem = "NVIDIA GPU", ""
        self.reading: dict[str, str] = {}
        self.before: int | None = None

    def look(self) -> None:
        """Take a new reading; one that fails leaves none."""
        words = ("nvidia-smi", f"--id={self._index}", f"--query-gpu={','.join(_FIELDS)}")
        answer = self._probes.run((*words, "--format=csv,noheader,nounits"))
        self.problem = answer.problem
        values = [word.strip() for word in answer.out.partition("\n")[0].split(",")]
        whole = not answer.problem and len(values) == len(_FIELDS)
        self.reading = dict(zip(_FIELDS, values, strict=True)) if whole else {}
        if self.before is None:
            self.before = self._bytes()

    def memory(self, pid: int) -> int | None:
        """Bytes of its memory that came since the sensor was opened."""
        used = self._bytes()
        return None if used is None else max(0, used - (self.before or 0))

    def joules(self) -> float | None:
        """None: it tells power only."""
        return None

    def watts(self) -> float | None:
        """Power at the last reading."""
        return self._number("power.draw")

    def celsius(self) -> float | None:
        """Temperature at the last reading."""
        return self._number("temperature.gpu")

    def megahertz(self) -> float | None:
        """Clock at the last reading."""
        return self._number("clocks.sm")

    def held_back(self) -> list[str]:
        """Why its clocks were lower than they could be."""
        try:
            return reasons_of(int(self.reading.get(_FIELDS[-1], "0"), 16))
        except ValueError:
            return []

    def _bytes(self) -> int | None:
        found = self._number("memory.used")
        return None if found is None else int(found * 2**20)

    def _number(self, name: str) -> float | None:
        try:
            return float(self.reading[name])
        except (KeyError, ValueError):  # "[N/A]"
            return None


def reasons_of(bits: int) -> list[str]:
    """Return the names of the reasons that are set."""
    return [name for bit, name in REASONS.items() if bits & bit]
