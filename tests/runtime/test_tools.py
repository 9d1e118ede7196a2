from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from reverie.engines.device import Device
from reverie.engines.errors import EngineError, MissingPackageError
from reverie.runtime import tools
from reverie.runtime.bundle import load_bundle
from reverie.runtime.tools import ToolEngine, open_tool

GPU = Device("cuda", 0)


class Built:
    """What an engine of TensorRT is like: for one set of sizes."""

    fixed = True

    def __init__(self, shapes: Mapping[str, Any]) -> None:
        self.shapes, self.closed = dict(shapes), False

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        if {name: array.shape for name, array in inputs.items()} != self.shapes:
            raise EngineError("built for other sizes")
        return {"larger": inputs["image"]}

    def close(self) -> None:
        self.closed = True


def image(side: int) -> dict[str, np.ndarray]:
    return {"image": np.full((1, 3, side, side), 0.5, np.float32)}


def test_nothing_is_opened_before_it_is_run() -> None:
    def opened(*given: object, **named: object) -> Any:
        raise AssertionError("opened")

    with open_tool(replace(load_bundle("span"), opener=opened), "x2", device="cpu") as engine:
        assert [port.name for port in engine.inputs] == ["image"]
        assert engine.inputs[0].shape == (1, 3, "height", "width")
        assert engine.outputs[0].dtype == np.float32


def test_it_opens_again_after_it_was_closed() -> None:
    with open_tool(load_bundle("span"), "x2", device="cpu", threads=1) as engine:
        assert engine.run(image(16))["larger"].shape == (1, 3, 32, 32)
        engine.close()
        assert engine.run(image(20))["larger"].shape == (1, 3, 40, 40)


def test_an_engine_for_one_size_is_opened_anew_for_another() -> None:
    made: list[Built] = []

    def build(shapes: Mapping[str, Any]) -> Any:
        made.append(Built(shapes))
        return made[-1]

    engine = ToolEngine(load_bundle("span"), "x2", iter([(GPU, build)]))
    for side in (16, 16, 24):
        assert engine.run(image(side))["larger"].shape[2] == side
    assert len(made) == 2
    assert made[0].closed
    assert not made[1].closed
    engine.close()
    assert made[1].closed


@pytest.mark.parametrize(
    "error", [EngineError("out of memory"), MissingPackageError("tensorrt is not installed")]
)
def test_where_one_way_fails_the_next_is_taken_for_good(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[tuple[Any, ...]] = []

    def fail(*given: Any) -> Any:
        tries.append(given)
        raise error

    monkeypatch.setattr(tools, "_build", fail)
    monkeypatch.setattr(tools, "cuda_starts", lambda: False)
    told: list[str] = []
    with open_tool(load_bundle("span"), "x2", device=GPU, threads=1, on_note=told.append) as engine:
        assert engine.device == GPU
        for _ in range(2):
            assert engine.run(image(16))["larger"].shape == (1, 3, 32, 32)
        assert engine.device == Device("cpu")
    assert len(tries) == 1
    assert told == [f"span runs on cpu instead: {error}"]


def test_where_nothing_works_the_last_says_why() -> None:
    def fail(shapes: Mapping[str, Any]) -> Any:
        raise MissingPackageError("onnxruntime is not installed")

    engine = ToolEngine(load_bundle("span"), "x2", iter([(Device("cpu"), fail)]))
    with pytest.raises(EngineError, match="not installed"):
        engine.run(image(16))


def test_a_gpu_that_is_asked_for_by_name_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reverie.engines.device.cuda_starts", lambda: False)
    with pytest.raises(EngineError):
        open_tool(load_bundle("span"), "x2", device="cuda")


def test_a_gpu_that_is_gone_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = SimpleNamespace(gpus=())
    monkeypatch.setattr(tools, "cuda_starts", lambda: False)
    monkeypatch.setattr("reverie.engines.machine.describe_machine", lambda: nowhere)
    told: list[str] = []
    with open_tool(load_bundle("span"), "x2", device=GPU, threads=1, on_note=told.append) as engine:
        assert engine.run(image(16))["larger"].shape == (1, 3, 32, 32)
    assert len(told) == 1
    assert "no engine is built" in told[0]
