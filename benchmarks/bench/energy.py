"""Energy meters: RAPL of processors, the rails of Jetson boards, NVIDIA GPUs.

A meter counts up from where it was made. Where a machine has none, or it may not be read, there is
a line that says why, and how to mend it where that is known.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from ...engines.probe import Probes
from .gpu_sensor import GpuSensor

POWERCAP = "/sys/class/powercap"
I2C = "/sys/bus/i2c/drivers"
_RAIL_DRIVERS = ("ina3221", "ina3221x")


class Meter(Protocol):
    """Something that counts energy."""

    source: str
    """"rapl", "jetson" or "nvml"."""
    covers: str
    """What of the machine it counts."""

    def sample(self) -> None:
        """Look again; to be called at least once a second by whoever measures."""

    def joules(self) -> float | None:
        """Energy since the meter was made; None where it tells none any more."""


@dataclass
class _Zone:
    """A domain of RAPL."""

    path: str
    name: str
    most: int
    last: int | None = None
    total: int = 0


class RaplMeter:
    """Processor packages, and memory where it has a domain of its own; by Linux's powercap."""

    source = "rapl"

    def __init__(self, probes: Probes, zones: list[_Zone]) -> None:
        self._probes, self._zones = probes, zones
        self.covers = ", ".join(zone.name for zone in zones)
        self.sample()

    def sample(self) -> None:
        """Add what each domain counted since it was last looked at; counters wrap."""
        for zone in self._zones:
            value = _whole(self._probes.read(f"{zone.path}/energy_uj"))
            if value is None:
                continue
            if zone.last is not None:
                step = value - zone.last
                zone.total += step if step >= 0 else step + zone.most
            zone.last = value

    def joules(self) -> float | None:
        """Energy of all domains since the meter was made."""
        self.sample()
        if any(zone.last is None for zone in self._zones):
            return None
        return sum(zone.total for zone in self._zones) / 1e6


@dataclass
class _Power:
    """Power that is looked at, and summed to energy by the trapezoid rule."""

    watts: Callable[[], float | None]
    clock: Callable[[], float] = time.monotonic
    total: float = 0.0
    last: tuple[float, float] | None = field(default=None)

    def sample(self) -> None:
        power, now = self.watts(), self.clock()
        if power is None:
            return
        if self.last is not None:
            self.total += (now - self.last[0]) * (power + self.last[1]) / 2
        self.last = now, power


class RailMeter:
    """Rails of a Jetson board, by its INA3221: the whole board where a rail is that."""

    source = "jetson"

    def __init__(
        self, probes: Probes, rails: list[tuple[str, str, int]], clock: Callable[[], float]
    ) -> None:
        whole = [rail for rail in rails if rail[0] in ("VDD_IN", "POM_5V_IN")]
        self._rails = whole or rails
        self._probes = probes
        self.covers = ", ".join(name for name, _, _ in self._rails)
        self._power = _Power(self.watts, clock)
        self.sample()

    def watts(self) -> float | None:
        """Power now: millivolts times milliamperes of each rail."""
        total = 0.0
        for _, folder, number in self._rails:
            volts = _whole(self._probes.read(f"{folder}/in{number}_input"))
            amperes = _whole(self._probes.read(f"{folder}/curr{number}_input"))
            if volts is None or amperes is None:
                return None
            total += volts * amperes / 1e6
        return total

    def sample(self) -> None:
        """Look at the power once more."""
        self._power.sample()

    def joules(self) -> float | None:
        """Energy since the meter was made."""
        self.sample()
        return self._power.total if self._power.last else None


class GpuMeter:
    """A GPU's own counter, or its power summed up."""

    source = "nvml"

    def __init__(self, gpu: GpuSensor, clock: Callable[[], float]) -> None:
        self._gpu = gpu
        self._begun = gpu.joules()
        self._power = _Power(gpu.watts, clock)
        how = "its counter" if self._begun is not None else f"its power, summed ({gpu.source})"
        self.covers = f"{gpu.name}, {how}"
        self.sample()

    def sample(self) -> None:
        """Look at the power once more, where there is no counter."""
        if self._begun is None:
            self._power.sample()

    def joules(self) -> float | None:
        """Energy since the meter was made."""
        if self._begun is None:
            self.sample()
            return self._power.total if self._power.last else None
        now = self._gpu.joules()
        return None if now is None else now - self._begun


class Meters:
    """What counts the energy of this machine, of the processor and of a GPU, each by itself.

    Where a render went is known once it is done; then `of` says whose count is its.
    """

    def __init__(
        self,
        probes: Probes | None = None,
        gpu: GpuSensor | None = None,
        *,
        no_gpu: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._found = {
            kind: find_meter(kind, probes, gpu, no_gpu=no_gpu, clock=clock)
            for kind in ("cpu", "cuda")
        }

    def sample(self) -> None:
        """Look again; see `Meter.sample`."""
        for meter, _ in self._found.values():
            if meter is not None:
                meter.sample()

    def joules(self) -> Joules:
        """Energy so far by kind of device, None where nothing counts it."""
        return {
            kind: None if meter is None else meter.joules()
            for kind, (meter, _) in self._found.items()
        }

    def of(self, device: str) -> tuple[Meter | None, str]:
        """Return what counts the energy of work on a device, or None and why nothing does."""
        return self._found[kind_of(device)]


Joules: TypeAlias = dict[str, float | None]


def kind_of(device: str) -> str:
    """Return "cpu" or "cuda" of a device such as "cuda:1"; other kinds are GPUs too."""
    return "cpu" if device == "cpu" else "cuda"


def spent(before: Joules, after: Joules) -> Joules:
    """Return the energy between two counts."""
    return {
        kind: None if value is None or before[kind] is None else value - (before[kind] or 0.0)
        for kind, value in after.items()
    }


def find_meter(
    device: str,
    probes: Probes | None = None,
    gpu: GpuSensor | None = None,
    *,
    no_gpu: str = "",
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Meter | None, str]:
    """Return what counts the energy of work on a device, or None and why there is nothing.

    device: "cpu" or "cuda". The rails of a Jetson board go before all, for they count both; work on
    a GPU is then counted by the GPU, any other by the processor. no_gpu: why `gpu` is None.
    """
    probes = probes or Probes()
    rails = find_rails(probes)
    if rails:
        meter = RailMeter(probes, rails, clock)
        if meter.joules() is not None:
            return meter, ""
    if device.startswith("cuda"):
        if gpu is None:
            return None, no_gpu or "no GPU was found"
        counter = GpuMeter(gpu, clock)
        if counter.joules() is not None:
            return counter, ""
        return None, f"{gpu.name} tells neither energy nor power"
    return _rapl(probes)


def find_rails(probes: Probes) -> list[tuple[str, str, int]]:
    """Return (label, folder, number) of each rail that an INA3221 measures."""
    found = []
    for driver in _RAIL_DRIVERS:
        for chip in probes.names(f"{I2C}/{driver}"):
            for monitor in probes.names(f"{I2C}/{driver}/{chip}/hwmon"):
                folder = f"{I2C}/{driver}/{chip}/hwmon/{monitor}"
                for number in (1, 2, 3):
                    label = (probes.read(f"{folder}/in{number}_label") or "").strip()
                    if label and label != "NC" and probes.read(f"{folder}/curr{number}_input"):
                        found.append((label, folder, number))
    return found


def _rapl(probes: Probes) -> tuple[Meter | None, str]:
    names = [n for n in probes.names(POWERCAP) if re.fullmatch(r"intel-rapl:\d+(:\d+)?", n)]
    if not names:
        system = probes.system()[0]
        if system != "Linux":
            return None, f"energy of the processor is not read on {system}"
        return None, f"no RAPL domain under {POWERCAP} (a virtual machine, or another processor)"
    zones, shut = [], ""
    for name in names:
        path = f"{POWERCAP}/{name}"
        label = (probes.read(f"{path}/name") or "").strip()
        if not (label.startswith("package") or label == "dram"):
            continue  # cores and graphics are in their package, psys is all of them once more
        if _whole(probes.read(f"{path}/energy_uj")) is None:
            shut = path
            continue
        most = _whole(probes.read(f"{path}/max_energy_range_uj")) or 2**32
        zones.append(_Zone(path, label, most))
    if shut:
        return None, (
            f"{shut}/energy_uj may be read by root alone: "
            f"sudo chmod a+r {POWERCAP}/intel-rapl:*/energy_uj, until the next start"
        )
    if not zones:
        return None, f"no RAPL domain of a package under {POWERCAP}"
    return RaplMeter(probes, zones), ""


def _whole(text: str | None) -> int | None:
    try:
        return int((text or "").strip())
    except ValueError:
        return None
