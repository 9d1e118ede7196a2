"""The hardware that a figure belongs to, of this machine and of ones that are not here."""

from __future__ import annotations

import json

from reverie.benchmarks.machine import describe_machine, machine_line
from reverie.engines.probe import Answer, Probes

FILES = {
    "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "powersave\n",
    "/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq": "3400000\n",
    "/sys/devices/system/cpu/cpu0/topology/thread_siblings_list": "0,4\n",
    "/sys/fs/cgroup/cpu.max": "150000 100000\n",
    "/sys/fs/cgroup/memory.max": "max\n",
    "/proc/cpuinfo": "flags\t\t: fpu vme hypervisor\n",
    "/proc/device-tree/model": "NVIDIA Jetson Orin Nano Developer Kit\0",
}


class Board(Probes):
    """A machine made of files."""

    def read(self, path: str) -> str | None:
        return FILES.get(path)

    def run(self, words: object, limit: float = 6.0) -> Answer:
        return Answer(problem="is not there")

    def child(self, module: str, *words: str, limit: float = 6.0) -> Answer:
        return Answer(problem="is not there")

    def cores(self) -> int:
        return 6

    def memory(self) -> tuple[int, int]:
        return 8 * 2**30, 6 * 2**30


def test_limits_and_clocks_are_told() -> None:
    told = describe_machine(Board())
    assert (told["governor"], told["highest_megahertz"]) == ("powersave", 3400.0)
    assert (told["usable_cores"], told["threads_per_core"]) == (2, 2)
    assert told["cgroup"] == {"cpu_max": "150000 100000", "memory_max": "max"}
    assert told["usable_memory_bytes"] == 8 * 2**30
    assert told["virtual"] is True
    assert told["jetson"]["model"] == "NVIDIA Jetson Orin Nano Developer Kit"
    assert "Orin Nano" in machine_line(told)
    assert "2 cores, 8.0 GiB" in machine_line(told)


def test_this_machine_can_be_written() -> None:
    told = describe_machine()
    assert json.loads(json.dumps(told)) == told
    assert {"reverie", "numpy"} <= told["packages"].keys()
    assert told["cores"] >= 1
