"""Temperatures, clocks and throttling of machines that are not here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reverie.benchmarks.bench.sensors import CPUS, HWMON, THERMAL, Reading, Sensors, heat_summary

HEAT = {
    f"{THERMAL}/thermal_zone0/type": "CPU-therm\n",
    f"{THERMAL}/thermal_zone0/temp": "45500\n",
    f"{THERMAL}/thermal_zone1/type": "CPU-therm\n",
    f"{THERMAL}/thermal_zone1/temp": "-256000\n",
    f"{THERMAL}/cooling_device0/type": "fan\n",
    f"{HWMON}/hwmon0/name": "coretemp\n",
    f"{HWMON}/hwmon0/temp1_input": "61000\n",
    f"{HWMON}/hwmon0/temp1_label": "Package id 0\n",
    f"{HWMON}/hwmon0/fan1_input": "900\n",
}
CORES = {
    f"{CPUS}/cpu{n}/{name}": value
    for n in (0, 1)
    for name, value in {
        "thermal_throttle/core_throttle_count": "2\n",
        "thermal_throttle/package_throttle_count": "0\n",
        "cpufreq/scaling_cur_freq": f"{2000000 + 1000000 * n}\n",
    }.items()
}


class Gpu:
    source, name = "nvml", "A GPU"
    reasons: tuple[str, ...] = ()

    def look(self) -> None: ...

    def celsius(self) -> float | None:
        return 70.0

    def megahertz(self) -> float | None:
        return 1500.0

    def held_back(self) -> list[str]:
        return list(self.reasons)


def test_temperatures_of_zones_and_chips(fake_probes: Callable[..., Any]) -> None:
    sensors = Sensors(fake_probes(HEAT))
    assert sensors.read(1.0).celsius == {"CPU-therm": 45.5, "coretemp Package id 0": 61.0}
    assert sensors.why_no_heat == ""
    assert "virtual machine" in Sensors(fake_probes()).why_no_heat


def test_a_sensor_that_goes_away_is_left_out(fake_probes: Callable[..., Any]) -> None:
    probes = fake_probes(HEAT)
    sensors = Sensors(probes)
    probes.files.clear()
    assert sensors.read(1.0) == Reading(1.0)


def test_counted_throttling_is_seen(fake_probes: Callable[..., Any]) -> None:
    probes = fake_probes(CORES)
    sensors = Sensors(probes)
    readings = [sensors.read(1.0)]
    assert readings[0].megahertz == 2500.0
    told = sensors.throttling(readings)
    assert told is not None
    assert (told["seen"], told["counted"]) == (False, {"core": 0, "package": 0})
    probes.files[f"{CPUS}/cpu1/thermal_throttle/core_throttle_count"] = "5"
    told = sensors.throttling(readings)
    assert told is not None
    assert (told["seen"], told["counted"]) == (True, {"core": 3, "package": 0})


def test_clocks_alone_prove_nothing(fake_probes: Callable[..., Any]) -> None:
    clocks = {path: text for path, text in CORES.items() if "cpufreq" in path}
    sensors = Sensors(fake_probes(clocks))
    readings = [Reading(n, megahertz=m) for n, m in enumerate([3000, 3000, 3000, 3000, 1500, 1500])]
    told = sensors.throttling(readings)
    assert told is not None
    assert (told["seen"], told["clock_share"]) == (None, 0.5)
    assert Sensors(fake_probes()).throttling([Reading(0.0)]) is None


def test_a_gpu_that_is_held_back_is_told(fake_probes: Callable[..., Any]) -> None:
    gpu = Gpu()
    sensors = Sensors(fake_probes(), gpu)  # type: ignore[arg-type]
    readings = [sensors.read(1.0)]
    gpu.reasons = ("power cap",)
    readings.append(sensors.read(2.0))
    assert readings[1].celsius == {"GPU": 70.0}
    told = sensors.throttling(readings)
    assert told is not None
    assert (told["seen"], told["gpu"]) == (True, {"power cap": 0.5})


def test_heat_is_summed_up_by_sensor() -> None:
    readings = [
        Reading(0, {"a": 40.0}),
        Reading(1, {"a": 55.0, "b": 30.0}),
        Reading(2, {"a": 50.0}),
    ]
    found = heat_summary(readings)
    assert found is not None
    assert found["highest"] == 55.0
    assert found["sensors"]["a"] == {"first": 40.0, "last": 50.0, "highest": 55.0}
    assert heat_summary([Reading(0)]) is None
