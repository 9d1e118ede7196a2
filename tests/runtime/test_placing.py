"""Where a render runs: which GPU, and what that one has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from reverie.engines import machine
from reverie.engines.architectures import ARCHITECTURES
from reverie.engines.device import Device
from reverie.engines.errors import EngineError
from reverie.engines.gpus import Gpu
from reverie.engines.machine import Machine
from reverie.runtime import planner
from reverie.runtime.bundle import Bundle, load_bundle
from reverie.runtime.placement import Placement
from reverie.runtime.placing import Place, Spot, find_spot
from reverie.runtime.shapes import plan_for
from reverie.runtime.stages import Stages

SM86 = ARCHITECTURES["sm86"]
FULL = Gpu(0, "RTX 3060", SM86, (8, 6), 12 * 10**9, 10**9, False, "581.0", "13.0")
FREE = replace(FULL, index=1, free_bytes=11 * 10**9)
OLD = replace(FULL, architecture=None, name="GTX 980", capability=(5, 2))
TWO = Machine("Linux", "x86", 8, 32 * 10**9, 30 * 10**9, (FULL, FREE))


@pytest.mark.parametrize(("index", "free"), [(0, 10**9), (1, 11 * 10**9)])
def test_the_memory_is_that_of_the_gpu_that_is_used(
    monkeypatch: pytest.MonkeyPatch, index: int, free: int
) -> None:
    def plan(*_: Any, memory: int, **__: Any) -> Any:
        return SimpleNamespace(memory=memory)

    monkeypatch.setattr(planner, "plan_render", plan)
    bundle = Bundle(Path(), "svd", "toy", "1", {}, {})
    spot = Spot(Device("cuda", index), "tensorrt-rtx", SM86, TWO)
    found: Any = Place(bundle, Placement(), spot=spot).plan(None)
    assert found.memory == free
    found = Place(bundle, Placement(memory=5), spot=spot).plan(None)
    assert found.memory == 5


@pytest.mark.parametrize("backend", ["tensorrt-rtx", "tensorrt", "onnxruntime-rtx"])
def test_a_gpu_without_engines_is_told(monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    monkeypatch.setattr(machine, "describe_machine", lambda: replace(TWO, gpus=(OLD,)))
    with pytest.raises(EngineError, match="no engine is built for GTX 980"):
        find_spot(Placement(backend=backend))


def test_a_precision_that_no_network_has_is_told() -> None:
    bundle, stages = load_bundle("ember"), Stages()
    plan = plan_for(bundle, height=128, seconds=1.0)
    words = "ember has no network in int8, only in fp16, fp32"
    Place(bundle, Placement("cpu", precision="int8")).follow(plan, stages)
    assert [note for note in stages.notes if words in note]
    with pytest.raises(EngineError, match=words):
        Place(bundle, Placement("cpu", precision="int8", strict=True)).follow(plan, Stages())
    for there in ("auto", "fp16", "fp32"):
        stages = Stages()
        Place(bundle, Placement("cpu", precision=there, strict=True)).follow(plan, stages)
        assert not any("no network" in note for note in stages.notes)
