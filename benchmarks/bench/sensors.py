"""Temperatures, clocks, and signs of throttling: what the system and a GPU tell, and when.

Everything is asked through `Probes`, so that a test may put files in place of a machine. A sensor
that fails is a reason in the record, never an error.
"""

from __future__ import annotations

import re
import statistics
from dataclasses import dataclass, field
from typing import Any

from ...engines.probe import Probes
from .gpu_sensor import GpuSensor

THERMAL = "/sys/class/thermal"
HWMON = "/sys/class/hwmon"
CPUS = "/sys/devices/system/cpu"
_MOST_CPUS = 16  # whose clocks are read: each takes a moment


@dataclass(frozen=True)
class Reading:
    """What the machine told at one moment."""

    at: float
    """time.monotonic."""
    celsius: dict[str, float] = field(default_factory=dict)
    """Sensor -> temperature."""
    megahertz: float | None = None
    """Mean clock of the processor's cores."""
    gpu_megahertz: float | None = None
    held_back: tuple[str, ...] = ()
    """Why the GPU's clocks were held back."""


class Sensors:
    """The sensors of this machine, found once and read again and again."""

    def __init__(self, probes: Probes | None = None, gpu: GpuSensor | None = None) -> None:
        self._probes = probes or Probes()
        self.gpu = gpu
        self._heat = find_heat(self._probes)
        self._clocks = [
            path
            for name in self._probes.names(CPUS)
            if re.fullmatch(r"cpu\d+", name)
            and self._probes.read(path := f"{CPUS}/{name}/cpufreq/scaling_cur_freq")
        ][:_MOST_CPUS]
        self._counters = find_counters(self._probes)
        self._counted = self.throttle_counts()

    def read(self, now: float) -> Reading:
        """Return what the machine tells now; what fails is left out."""
        celsius = {
            name: value for name, path in self._heat.items() if (value := self._degrees(path))
        }
        clocks = [value for path in self._clocks if (value := self._number(path))]
        held: tuple[str, ...] = ()
        gpu_clock = None
        if self.gpu is not None:
            self.gpu.look()
            heat = self.gpu.celsius()
            if heat is not None:
                celsius["GPU"] = heat
            gpu_clock = self.gpu.megahertz()
            held = tuple(self.gpu.held_back())
        mean = statistics.fmean(clocks) / 1000 if clocks else None
        return Reading(now, celsius, mean, gpu_clock, held)

    def throttle_counts(self) -> dict[str, int]:
        """Return how often each kind of thermal throttling was counted by the processor."""
        return {
            name: sum(int(self._number(path) or 0) for path in paths)
            for name, paths in self._counters.items()
        }

    @property
    def why_no_heat(self) -> str:
        """Why there are no temperatures, "" where there are."""
        if self._heat or (self.gpu is not None and self.gpu.celsius() is not None):
            return ""
        return f"no sensor under {THERMAL} and {HWMON} (a virtual machine, or a container)"

    def throttling(self, readings: list[Reading]) -> dict[str, Any] | None:
        """Return signs of throttling since the sensors were found; None where nothing tells.

        seen: whether there was any; None where the clocks alone are known, which also fall when
        there is less to do. counted: thermal throttling that the processor counted. gpu: share of
        the readings in which each reason held its clocks back. clock_share, gpu_clock_share: mean
        clock of the last third of the readings over that of the fastest.
        """
        before = self._counted
        counted = {
            name: value - before.get(name, 0) for name, value in self.throttle_counts().items()
        }
        reasons = [reason for one in readings for reason in one.held_back]
        shares = {name: reasons.count(name) / len(readings) for name in sorted(set(reasons))}
        clock = _clock_share([one.megahertz for one in readings])
        gpu_clock = _clock_share([one.gpu_megahertz for one in readings])
        if not self._counters and self.gpu is None and clock is None:
            return None
        told = bool(self._counters) or self.gpu is not None
        return {
            "seen": any(counted.values()) or bool(shares) if told else None,
            "counted": counted or None,
            "gpu": shares if self.gpu is not None else None,
            "clock_share": clock,
            "gpu_clock_share": gpu_clock,
        }

    def _degrees(self, path: str) -> float | None:
        value = self._number(path)
        return value / 1000 if value is not None and 0 < value < 200_000 else None

    def _number(self, path: str) -> float | None:
        try:
            return float((self._probes.read(path) or "").strip())
        except ValueError:
            return None


def find_heat(probes: Probes) -> dict[str, str]:
    """Return name -> file of every temperature of the system: thermal zones, then hwmon."""
    found: dict[str, str] = {}
    for zone in probes.names(THERMAL):
        path = f"{THERMAL}/{zone}/temp"
        if zone.startswith("thermal_zone") and probes.read(path):
            kind = (probes.read(f"{THERMAL}/{zone}/type") or zone).strip()
            found[_fresh(kind, found)] = path
    for monitor in probes.names(HWMON):
        chip = (probes.read(f"{HWMON}/{monitor}/name") or monitor).strip()
        for name in probes.names(f"{HWMON}/{monitor}"):
            match = re.fullmatch(r"temp(\d+)_input", name)
            path = f"{HWMON}/{monitor}/{name}"
            if match and probes.read(path):
                label = probes.read(f"{HWMON}/{monitor}/temp{match[1]}_label") or f"{match[1]}"
                found[_fresh(f"{chip} {label.strip()}", found)] = path
    return found


def find_counters(probes: Probes) -> dict[str, list[str]]:
    """Return "core" and "package" -> the files in which the processor counts its throttling."""
    found: dict[str, list[str]] = {}
    for name in probes.names(CPUS):
        for kind in ("core", "package"):
            path = f"{CPUS}/{name}/thermal_throttle/{kind}_throttle_count"
            if re.fullmatch(r"cpu\d+", name) and probes.read(path):
                found.setdefault(kind, []).append(path)
    return found


def heat_summary(readings: list[Reading]) -> dict[str, Any] | None:
    """Return each sensor's first, last and highest temperature, °C; None where there is none."""
    names = sorted({name for one in readings for name in one.celsius})
    if not names:
        return None
    found = {}
    for name in names:
        values = [one.celsius[name] for one in readings if name in one.celsius]
        found[name] = {"first": values[0], "last": values[-1], "highest": max(values)}
    return {"unit": "C", "sensors": found, "highest": max(row["highest"] for row in found.values())}


def _clock_share(clocks: list[float | None]) -> float | None:
    known = [value for value in clocks if value]
    if len(known) < 3:
        return None
    return round(statistics.fmean(known[-max(len(known) // 3, 1) :]) / max(known), 3)


def _fresh(name: str, taken: dict[str, str]) -> str:
    """A name that is not taken, numbered where it is."""
    count = sum(one == name or one.startswith(f"{name} (") for one in taken)
    return f"{name} ({count + 1})" if count else name
