"""Meters on machines that are not here: counters that wrap, rails, GPUs, and reasons for none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from reverie.benchmarks.bench.energy import (
    I2C,
    POWERCAP,
    Meters,
    find_meter,
    find_rails,
    spent,
)

PACKAGE = f"{POWERCAP}/intel-rapl:0"
RAPL = {
    f"{PACKAGE}/name": "package-0\n",
    f"{PACKAGE}/energy_uj": "1000000\n",
    f"{PACKAGE}/max_energy_range_uj": "5000000\n",
    f"{POWERCAP}/intel-rapl:0:0/name": "core\n",
    f"{POWERCAP}/intel-rapl:0:0/energy_uj": "77\n",
    f"{POWERCAP}/intel-rapl:0:1/name": "dram\n",
    f"{POWERCAP}/intel-rapl:0:1/energy_uj": "500000\n",
    f"{POWERCAP}/intel-rapl:1/name": "psys\n",
    f"{POWERCAP}/intel-rapl:1/energy_uj": "9\n",
}
MONITOR = f"{I2C}/ina3221/1-0040/hwmon/hwmon1"
RAILS = {
    f"{MONITOR}/in1_label": "VDD_IN\n",
    f"{MONITOR}/in1_input": "5000\n",
    f"{MONITOR}/curr1_input": "2000\n",
    f"{MONITOR}/in2_label": "VDD_CPU_GPU_CV\n",
    f"{MONITOR}/in2_input": "5000\n",
    f"{MONITOR}/curr2_input": "400\n",
    f"{MONITOR}/in3_label": "NC\n",
}


class Gpu:
    """A GPU that tells what a test says."""

    source, name = "nvml", "A GPU"

    def __init__(self, joules: float | None = None, watts: float | None = None) -> None:
        self.now, self.power = joules, watts

    def look(self) -> None: ...

    def joules(self) -> float | None:
        return self.now

    def watts(self) -> float | None:
        return self.power


def test_rapl_counts_packages_and_memory_and_wraps(fake_probes: Callable[..., Any]) -> None:
    probes = fake_probes(RAPL)
    meter, why = find_meter("cpu", probes)
    assert meter is not None
    assert (meter.source, meter.covers, why) == ("rapl", "package-0, dram", "")
    assert meter.joules() == 0
    probes.files[f"{PACKAGE}/energy_uj"] = "4000000"
    meter.sample()
    probes.files[f"{PACKAGE}/energy_uj"] = "500000"  # it began anew after 5 J
    probes.files[f"{POWERCAP}/intel-rapl:0:1/energy_uj"] = "750000"
    assert meter.joules() == pytest.approx(3.0 + 1.5 + 0.25)


def test_rapl_that_root_alone_may_read_is_a_reason(fake_probes: Callable[..., Any]) -> None:
    shut = {path: text for path, text in RAPL.items() if not path.startswith(f"{PACKAGE}/energy")}
    meter, why = find_meter("cpu", fake_probes(shut))
    assert meter is None
    assert "root alone" in why
    assert "chmod a+r" in why


def test_no_rapl_is_a_reason(fake_probes: Callable[..., Any]) -> None:
    assert find_meter("cpu", fake_probes()) == (
        None,
        f"no RAPL domain under {POWERCAP} (a virtual machine, or another processor)",
    )


def test_a_boards_rails_are_summed_over_time(fake_probes: Callable[..., Any], clock: Any) -> None:
    probes = fake_probes(RAILS | RAPL)
    assert [rail[0] for rail in find_rails(probes)] == ["VDD_IN", "VDD_CPU_GPU_CV"]
    meter, _ = find_meter("cuda", probes, clock=clock)
    assert meter is not None
    assert (meter.source, meter.covers) == ("jetson", "VDD_IN")  # the others are in it
    clock.now += 2.0
    assert meter.joules() == pytest.approx(20.0)
    probes.files[f"{MONITOR}/curr1_input"] = "4000"
    clock.now += 1.0
    assert meter.joules() == pytest.approx(20.0 + 15.0)  # half way between 10 and 20 W


def test_rails_without_one_for_the_board_are_added(
    fake_probes: Callable[..., Any], clock: Any
) -> None:
    rails = {path: text.replace("VDD_IN", "VDD_GPU_SOC") for path, text in RAILS.items()}
    meter, _ = find_meter("cpu", fake_probes(rails), clock=clock)
    assert meter is not None
    clock.now += 1.0
    assert meter.joules() == pytest.approx(12.0)


def test_a_gpus_own_counter_goes_before_its_power(
    fake_probes: Callable[..., Any], clock: Any
) -> None:
    gpu = Gpu(joules=500.0, watts=100.0)
    meter, _ = find_meter("cuda:0", fake_probes(RAPL), gpu, clock=clock)  # type: ignore[arg-type]
    assert meter is not None
    gpu.now = 730.0
    clock.now += 1.0
    assert meter.joules() == pytest.approx(230.0)
    assert "its counter" in meter.covers


def test_power_is_summed_where_a_gpu_has_no_counter(
    fake_probes: Callable[..., Any], clock: Any
) -> None:
    gpu = Gpu(watts=100.0)
    meter, _ = find_meter("cuda", fake_probes(), gpu, clock=clock)  # type: ignore[arg-type]
    assert meter is not None
    clock.now += 0.5
    gpu.power = 200.0
    meter.sample()
    gpu.power = None  # a question that failed
    clock.now += 0.5
    meter.sample()
    assert meter.joules() == pytest.approx(75.0)


def test_a_gpu_that_tells_nothing_is_a_reason(fake_probes: Callable[..., Any]) -> None:
    silent = Gpu()
    meter, why = find_meter("cuda", fake_probes(), silent)  # type: ignore[arg-type]
    assert (meter, why) == (None, "A GPU tells neither energy nor power")
    assert find_meter("cuda", fake_probes(), None, no_gpu="no driver") == (None, "no driver")


def test_processor_and_gpu_are_counted_apart(fake_probes: Callable[..., Any], clock: Any) -> None:
    probes, gpu = fake_probes(RAPL), Gpu(joules=5.0)
    meters = Meters(probes, gpu, clock=clock)  # type: ignore[arg-type]
    before = meters.joules()
    probes.files[f"{PACKAGE}/energy_uj"] = "3000000"
    gpu.now = 9.0
    assert spent(before, meters.joules()) == pytest.approx({"cpu": 2.0, "cuda": 4.0})
    assert [meters.of(device)[0].source for device in ("cpu", "cuda:1", "rtx")] == [  # type: ignore[union-attr]
        "rapl",
        "nvml",
        "nvml",
    ]
    none = Meters(fake_probes(), no_gpu="no driver")
    assert none.joules() == spent(none.joules(), none.joules()) == {"cpu": None, "cuda": None}
    assert none.of("cuda") == (None, "no driver")


def test_a_counter_that_goes_away_counts_no_further(fake_probes: Callable[..., Any]) -> None:
    probes = fake_probes(RAPL)
    meter, _ = find_meter("cpu", probes)
    assert meter is not None
    probes.files[f"{PACKAGE}/energy_uj"] = "2000000"
    assert meter.joules() == pytest.approx(1.0)
    probes.files.clear()
    assert meter.joules() == pytest.approx(1.0)
