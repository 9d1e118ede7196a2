"""A component steps down when its engine fails, and what was asked of it is not lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
from reverie.engines.build import Refused
from reverie.engines.device import Device
from reverie.engines.engine import Array, Port
from reverie.engines.errors import (
    BundleError,
    DeviceMemoryError,
    EngineError,
    MissingPackageError,
)
from reverie.runtime.ladder import Rung, Sturdy, Ways

CUDA, CPU = Device("cuda"), Device("cpu")
RTX = Rung("tensorrt-rtx", CUDA, "fp16")
STREAMED = Rung("tensorrt-rtx", CUDA, "fp16", streamed=True)
INT8 = Rung("tensorrt-rtx", CUDA, "int8")
ORT = Rung("onnxruntime", CUDA, "fp16")
LAST = Rung("onnxruntime", CPU, "fp16")
RUNGS = (RTX, STREAMED, INT8, ORT, LAST)


class Plain:
    """Adds one, or fails as its rung is told to."""

    inputs = outputs = (Port("x", np.dtype(np.float32), ("n",)),)

    def __init__(self, rung: Rung, fault: Exception | None) -> None:
        self.device, self._fault, self.closed = rung.device, fault, False

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        assert not self.closed
        if self._fault is not None:
            raise self._fault
        return {"x": inputs["x"] + 1}

    def close(self) -> None:
        self.closed = True

    def __enter__(self) -> Plain:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Machine:
    """Opens rungs; some cannot be opened, some fail when run."""

    def __init__(
        self,
        opening: Mapping[Rung, Exception] | None = None,
        running: Mapping[Rung, Exception] | None = None,
    ) -> None:
        self.opening, self.running = dict(opening or {}), dict(running or {})
        self.opened: list[Rung] = []
        self.engines: list[Plain] = []
        self.notes: list[str] = []

    def open(self, rung: Rung) -> Plain:
        self.opened.append(rung)
        if rung in self.opening:
            raise self.opening[rung]
        self.engines.append(Plain(rung, self.running.get(rung)))
        return self.engines[-1]

    def sturdy(
        self,
        ways: Ways | None = None,
        *,
        relieve: Callable[[], bool] = lambda: False,
        strict: bool = False,
        shrinks: bool = False,
    ) -> Sturdy:
        return Sturdy(
            "denoiser",
            RUNGS,
            self.open,
            on_note=self.notes.append,
            ways=ways or Ways(),
            relieve=relieve,
            strict=strict,
            shrinks=shrinks,
        )


def run(engine: Sturdy) -> float:
    return float(engine.run({"x": np.array([1.0], np.float32)})["x"][0])


def test_what_works_stays_where_it_is() -> None:
    machine = Machine()
    with machine.sturdy() as engine:
        assert run(engine) == 2
        assert engine.rung == RTX
        assert engine.device == CUDA
    assert machine.notes == []
    assert machine.engines[0].closed


def test_without_memory_it_goes_down_one_by_one_and_runs_the_same_inputs_again() -> None:
    short = DeviceMemoryError("out of memory")
    machine = Machine(running={RTX: short, STREAMED: short, INT8: short})
    engine = machine.sturdy()
    assert run(engine) == 2
    assert machine.opened == [RTX, STREAMED, INT8, ORT]
    assert [e.closed for e in machine.engines] == [True, True, True, False]
    assert machine.notes == [
        f"denoiser: out of memory; goes on as {rung}" for rung in (STREAMED, INT8, ORT)
    ]
    assert run(engine) == 2  # and stays there
    assert len(machine.opened) == 4


def test_a_refused_engine_goes_to_another_backend_at_once() -> None:
    machine = Machine(opening={RTX: EngineError("the engine is for another GPU")})
    engine = machine.sturdy()
    assert machine.opened == [RTX, ORT]
    assert engine.rung == ORT


def test_a_backend_that_is_not_there_is_asked_once_for_all_components() -> None:
    machine = Machine(opening={RTX: MissingPackageError("no library")})
    ways = Ways()
    machine.sturdy(ways)
    machine.sturdy(ways)
    assert machine.opened == [RTX, ORT, ORT]
    assert len(machine.notes) == 1


def test_what_was_kept_is_freed_before_a_rung_is_given_up() -> None:
    short = DeviceMemoryError("out of memory")
    machine = Machine(opening={RTX: short})
    freed = [True]

    def relieve() -> bool:
        machine.opening.clear()
        return freed.pop() if freed else False

    engine = machine.sturdy(relieve=relieve)
    assert machine.opened == [RTX, RTX]
    assert run(engine) == 2
    assert "freed what was kept" in machine.notes[0]


def test_who_can_shrink_is_asked_first_and_may_send_it_down() -> None:
    short = DeviceMemoryError("out of memory")
    machine = Machine(running={RTX: short})
    engine = machine.sturdy(shrinks=True)
    with pytest.raises(DeviceMemoryError):
        run(engine)
    assert engine.rung == RTX
    engine.fall(short)
    assert engine.rung == STREAMED
    assert run(engine) == 2


@pytest.mark.parametrize("where", ["opening", "running"])
def test_strict_refuses(where: str) -> None:
    fault = EngineError("the driver is too old")
    machine = Machine(**{where: {RTX: fault}})
    with pytest.raises(EngineError, match="too old"):
        run(machine.sturdy(strict=True))
    assert machine.opened == [RTX]
    assert machine.notes == []


def test_the_last_error_is_told_when_nothing_is_left() -> None:
    faults = {rung: EngineError(f"no {rung.backend} on {rung.device}") for rung in RUNGS}
    machine = Machine(running=faults)
    engine = machine.sturdy()
    with pytest.raises(EngineError, match="no onnxruntime on cpu"):
        run(engine)
    assert all(e.closed for e in machine.engines)
    with pytest.raises(EngineError, match="closed"):
        run(engine)


def test_a_broken_bundle_is_no_reason_to_try_elsewhere() -> None:
    machine = Machine(opening={RTX: BundleError("sha256 check")})
    with pytest.raises(BundleError):
        machine.sturdy()
    assert machine.opened == [RTX]


def test_a_device_that_cannot_even_give_back_is_left_too(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(running={RTX: EngineError("an illegal address was met")})
    engine = machine.sturdy()

    def gone() -> None:
        raise EngineError("the device is gone")

    monkeypatch.setattr(machine.engines[0], "close", gone)
    assert run(engine) == 2
    assert engine.rung == ORT
    assert engine.end()
    assert not engine.end()


def test_a_graph_that_is_not_built_is_tried_in_another_precision_first() -> None:
    machine = Machine(opening={RTX: Refused("fp16 cannot be built")})
    engine = machine.sturdy()
    assert machine.opened == [RTX, INT8]
    assert engine.rung == INT8
