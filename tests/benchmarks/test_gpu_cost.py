from __future__ import annotations

import sys
from pathlib import Path

import pytest
from reverie.benchmarks import gpu_cost
from reverie.engines.errors import EngineError


def test_without_a_gpu_it_says_so_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def missing() -> None:
        raise EngineError("CUDA cannot be used here")

    monkeypatch.setattr(gpu_cost, "open_cuda", missing)
    monkeypatch.setattr(sys, "argv", ["gpu_cost", "svd", str(tmp_path), str(tmp_path)])
    with pytest.raises(SystemExit, match="needs an NVIDIA GPU: CUDA cannot be used here") as caught:
        gpu_cost.main()
    assert "\n" not in str(caught.value)


def test_memory_is_the_most_beyond_what_was_before() -> None:
    class Device:
        free = 70

        def memory(self) -> tuple[int, int]:
            return self.free, 100

    device = Device()
    memory = gpu_cost.Memory(device)  # type: ignore[arg-type]
    for device.free in (50, 10, 40):
        memory.look()
    assert memory.peak == 60
