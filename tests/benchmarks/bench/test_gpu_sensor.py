"""GPUs through a made NVML and a made nvidia-smi."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from reverie.benchmarks.bench.gpu_sensor import open_gpu, reasons_of


class Nvml:
    """As pynvml has it; `broken` questions raise."""

    def __init__(self, *broken: str) -> None:
        self.broken, self.asked, self.used = broken, [], 1000
        self.rows = [SimpleNamespace(pid=7, usedGpuMemory=4096)]

    def __getattr__(self, name: str) -> Callable[..., Any]:
        answers: dict[str, Callable[..., Any]] = {
            "nvmlInit": lambda: None,
            "nvmlDeviceGetHandleByIndex": lambda index: self.asked.append(index) or "handle",
            "nvmlDeviceGetHandleByUUID": lambda uuid: self.asked.append(uuid) or "handle",
            "nvmlDeviceGetName": lambda gpu: b"A GPU",
            "nvmlDeviceGetMemoryInfo": lambda gpu: SimpleNamespace(used=self.used),
            "nvmlDeviceGetComputeRunningProcesses": lambda gpu: self.rows,
            "nvmlDeviceGetTotalEnergyConsumption": lambda gpu: 1500,
            "nvmlDeviceGetPowerUsage": lambda gpu: 250_000,
            "nvmlDeviceGetTemperature": lambda gpu, kind: 71,
            "nvmlDeviceGetClockInfo": lambda gpu, kind: 1980,
            "nvmlDeviceGetCurrentClocksEventReasons": lambda gpu: 0x4 | 0x1,
        }
        if name not in answers:
            raise AttributeError(name)

        def answer(*words: Any) -> Any:
            if name in self.broken:
                raise RuntimeError("not supported")
            return answers[name](*words)

        return answer


def test_nvml_is_asked_first(fake_probes: Callable[..., Any]) -> None:
    nvml = Nvml()
    gpu, why = open_gpu(0, fake_probes(), nvml)
    assert gpu is not None
    assert (gpu.name, gpu.source, why) == ("A GPU", "nvml", "")
    assert (gpu.joules(), gpu.watts(), gpu.celsius(), gpu.megahertz()) == (1.5, 250.0, 71.0, 1980.0)
    assert gpu.held_back() == ["power cap"]
    assert gpu.memory(7) == 4096


def test_memory_of_nobody_is_what_came(fake_probes: Callable[..., Any]) -> None:
    nvml = Nvml()
    gpu, _ = open_gpu(0, fake_probes(), nvml)
    assert gpu is not None
    nvml.used = 1600
    assert gpu.memory(8) == 600  # a container does not see its own processes there
    nvml.used = 900
    assert gpu.memory(8) == 0


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("joules", "nvmlDeviceGetTotalEnergyConsumption"),
        ("watts", "nvmlDeviceGetPowerUsage"),
        ("celsius", "nvmlDeviceGetTemperature"),
        ("megahertz", "nvmlDeviceGetClockInfo"),
    ],
)
def test_a_question_that_fails_is_none(
    fake_probes: Callable[..., Any], question: str, name: str
) -> None:
    gpu, _ = open_gpu(0, fake_probes(), Nvml(name))
    assert getattr(gpu, question)() is None


def test_the_gpu_that_cuda_sees_is_asked(
    fake_probes: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    nvml = Nvml()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-abc")
    open_gpu(0, fake_probes(), nvml)
    open_gpu(1, fake_probes(), nvml)
    assert nvml.asked == [3, "GPU-abc"]


def test_nvidia_smi_where_nvml_fails(fake_probes: Callable[..., Any]) -> None:
    probes = fake_probes(smi="1024, 55.5, 44, 1200, 0x0000000000000040\n")
    gpu, _ = open_gpu(0, probes, Nvml("nvmlInit"))
    assert gpu is not None
    assert (gpu.source, gpu.joules(), gpu.watts(), gpu.celsius()) == ("nvidia-smi", None, 55.5, 44)
    assert gpu.held_back() == ["temperature (hardware)"]
    probes.smi = "1030, [N/A], 44, 1200, [N/A]\n"
    gpu.look()
    assert (gpu.memory(1), gpu.watts(), gpu.held_back()) == (6 * 2**20, None, [])


def test_no_gpu_is_a_reason(
    fake_probes: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    gpu, why = open_gpu(0, fake_probes())
    assert gpu is None
    assert "nvidia-ml-py" in why
    assert "nvidia-smi is not there" in why
    assert "not supported" in open_gpu(0, fake_probes(), Nvml("nvmlInit"))[1]


def test_reasons_that_are_no_slowdown_are_left_out() -> None:
    assert reasons_of(0x1 | 0x2) == []
    assert reasons_of(0x8 | 0x20) == ["hardware slowdown", "temperature (software)"]
