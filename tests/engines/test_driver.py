"""The driver asked through ctypes, with a fake library in its place."""

from __future__ import annotations

import ctypes
import json
from typing import Any

import pytest
from reverie.engines import driver


class FakeCuda:
    """The CUDA driver API with two GPUs."""

    def __init__(self, code: int = 0, number: int = 13000) -> None:
        self.code, self.number = code, number

    def cuInit(self, flags: int) -> int:
        return self.code

    def cuDriverGetVersion(self, number: Any) -> int:
        number._obj.value = self.number
        return 0

    def cuDeviceGetCount(self, count: Any) -> int:
        count._obj.value = 2
        return 0

    def cuDeviceGet(self, handle: Any, index: int) -> int:
        handle._obj.value = 40 + index
        return 0

    def cuDeviceGetName(self, text: Any, size: int, handle: Any) -> int:
        text.value = b"NVIDIA GeForce RTX 4070" if handle.value == 40 else b"Orin"
        return 0

    def cuDeviceGetAttribute(self, value: Any, which: int, handle: Any) -> int:
        known = {75: (8, 8), 76: (9, 7), 18: (0, 1)}
        value._obj.value = known[which][handle.value - 40]
        return 0

    def cuDeviceTotalMem_v2(self, total: Any, handle: Any) -> int:
        total._obj.value = 12 * 2**30
        return 0

    def cuDeviceGetPCIBusId(self, text: Any, size: int, handle: Any) -> int:
        text.value = b"0000:01:00.0" if handle.value == 40 else b""
        return 0


class FakeManager:
    """NVML with the first of them."""

    def nvmlInit_v2(self) -> int:
        return 0

    def nvmlSystemGetDriverVersion(self, text: Any, size: int) -> int:
        text.value = b"580.95.05"
        return 0

    def nvmlDeviceGetHandleByPciBusId_v2(self, bus: bytes, handle: Any) -> int:
        handle._obj.value = 7
        return 0 if bus == b"0000:01:00.0" else 6

    def nvmlDeviceGetMemoryInfo(self, handle: Any, memory: Any) -> int:
        memory._obj.total, memory._obj.free = 12 * 2**30, 11 * 2**30
        return 0


def loader(cuda: Any, manager: Any) -> Any:
    def load(name: str) -> Any:
        found = manager if "nvidia-ml" in name or "nvml" in name else cuda
        if found is None:
            raise OSError(f"{name}: cannot open shared object file")
        return found

    return load


@pytest.mark.parametrize("system", ["linux", "win32"])
def test_the_driver_is_asked(system: str) -> None:
    facts = driver.ask_driver(loader(FakeCuda(), FakeManager()), system)
    json.dumps(facts)
    assert (facts["loaded"], facts["code"], facts["cuda"]) == (True, 0, 13000)
    assert facts["version"] == "580.95.05"
    assert facts["devices"] == [
        {
            "name": "NVIDIA GeForce RTX 4070",
            "major": 8,
            "minor": 9,
            "bytes": 12 * 2**30,
            "integrated": False,
            "free": 11 * 2**30,
        },
        {
            "name": "Orin",
            "major": 8,
            "minor": 7,
            "bytes": 12 * 2**30,
            "integrated": True,
            "free": None,
        },
    ]


def test_a_driver_that_does_not_start() -> None:
    facts = driver.ask_driver(loader(FakeCuda(code=803), None), "linux")
    assert (facts["code"], facts["devices"], facts["version"]) == (803, [], "")


@pytest.mark.parametrize("system", ["linux", "darwin"])
def test_no_driver(system: str) -> None:
    facts = driver.ask_driver(loader(None, None), system)
    assert (facts["loaded"], facts["code"], facts["devices"]) == (False, None, [])
    assert ("cannot open" in facts["why"]) == (system == "linux")


def test_the_structure_of_nvml_is_three_numbers_of_64_bits() -> None:
    assert ctypes.sizeof(driver._Memory) == 24
