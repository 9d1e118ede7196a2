"""Which ways there are to run a network, in which order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from reverie.engines.architectures import ARCHITECTURES
from reverie.engines.device import Device
from reverie.engines.errors import DeviceMemoryError
from reverie.runtime import opener
from reverie.runtime.bundle import Bundle, Component, DataFile
from reverie.runtime.ladder import Sturdy
from reverie.runtime.opener import Opener, below, preferred
from reverie.runtime.placement import Placement
from reverie.runtime.placing import Spot
from reverie.runtime.planner import Placed, RenderPlan
from reverie.runtime.stages import Stages

FILE = DataFile("denoiser.onnx", 1, "0" * 64)
INT8, INT4 = (Component("denoiser", FILE, precision=name) for name in ("int8", "int4"))
DENOISER = Component("denoiser", FILE, precision="fp16", variants={"int8": INT8, "int4": INT4})
BUNDLE = Bundle(Path(), "svd", "toy", "1", {"denoiser": DENOISER}, {})
GPU = Spot(Device("cuda"), "tensorrt-rtx", ARCHITECTURES["sm86"])


def planned(residency: Any, precision: str = "fp16", backend: str = "tensorrt-rtx") -> RenderPlan:
    row = Placed("denoiser", precision, residency, backend, "gpu", 1, 1)
    return RenderPlan((row,), (), True, "", "sm86", None, 0)


def ways(plan: RenderPlan | None, spot: Spot, placement: Placement | None = None) -> list[str]:
    made = Opener(BUNDLE, placement or Placement(), open_built=None)  # type: ignore[arg-type]
    made.begin(plan, spot, Stages())
    return [str(rung) for rung in made.rungs("denoiser", spot.device)]


def test_a_gpu_without_cuda_in_onnxruntime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opener, "cuda_starts", lambda: False)
    built = [
        f"{precision} on cuda:0 by tensorrt-rtx{streamed}"
        for precision in ("fp16", "int8", "int4")
        for streamed in ("", ", weights streamed")
    ]
    cpu = [f"{precision} on cpu by onnxruntime" for precision in ("fp16", "int8", "int4")]
    assert ways(planned("staged"), GPU) == built + cpu
    assert ways(planned("kept"), GPU) == built + cpu
    assert ways(planned("streamed"), GPU) == built[1:] + cpu
    # A lower precision than the bundle's own: the processor computes in that again.
    assert ways(planned("staged", "int8"), GPU) == [*built[2:], *cpu]


def test_onnxruntime_comes_before_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opener, "cuda_starts", lambda: True)
    found = ways(planned("staged"), GPU)
    plain = [f"{p} on cuda:0 by onnxruntime" for p in ("fp16", "int8", "int4")]
    assert found[6:9] == plain
    cuda = Spot(Device("cuda", 1), "onnxruntime", ARCHITECTURES["sm86"])
    assert ways(planned("staged", backend="onnxruntime"), cuda)[:3] == [
        way.replace("cuda:0", "cuda:1") for way in plain
    ]


def test_a_processor_alone_may_take_less_memory() -> None:
    spot = Spot(Device("cpu"), "onnxruntime")
    cpu = [f"{precision} on cpu by onnxruntime" for precision in ("fp16", "int8", "int4")]
    assert ways(None, spot) == cpu
    assert ways(None, spot, Placement(precision="int8")) == cpu[1:]
    assert ways(None, spot, Placement(precision="nvfp4")) == cpu


def test_the_order_of_precisions() -> None:
    assert below("fp32")[0] == "fp16"
    assert "bf16" not in below("fp16")
    assert below("int4") == ()
    assert preferred(DENOISER, "int4") == "int4"
    assert preferred(DENOISER, "fp8") == "fp16"


def test_what_is_kept_is_opened_once_and_freed_when_memory_is_short(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[str] = []

    class Plain:
        def __init__(self, name: str) -> None:
            opened.append(name)

        def close(self) -> None:
            opened.append("closed")

    made = Opener(BUNDLE, Placement(), open_built=lambda b, name, r, s: Plain(name))  # type: ignore[arg-type, return-value]
    stages = Stages()
    made.begin(planned("kept"), GPU, stages)
    first = made("denoiser", device="auto", threads=None)
    first.close()
    assert made("denoiser", device="auto", threads=None) is first
    assert opened == ["denoiser"]
    assert made.close()
    assert opened == ["denoiser", "closed"]
    assert not made.close()
    assert isinstance(first, Sturdy)
    assert isinstance(first.engine, Plain)  # it opens again where somebody still holds it
    assert opened == ["denoiser", "closed", "denoiser"]
    made.begin(planned("staged"), GPU, stages)
    second = made("denoiser", device="auto", threads=None)
    second.close()
    assert opened[3:] == ["denoiser", "closed"]


class Counted:
    """An engine that may be short of memory once."""

    def __init__(self, log: list[str], name: str) -> None:
        self.log, self.name = log, name
        log.append(f"open {name}")

    def run(self, inputs: Any) -> dict[str, Any]:
        if "short" in self.log:
            self.log.remove("short")
            raise DeviceMemoryError("out of memory")
        return {}

    def close(self) -> None:
        self.log.append(f"close {self.name}")


def two() -> Bundle:
    decoder = replace(DENOISER, name="vae_encoder")
    return replace(BUNDLE, components={"denoiser": DENOISER, "vae_encoder": decoder})


def both(plan: Any = None) -> RenderPlan:
    rows = [
        Placed(name, "fp16", "kept", "tensorrt-rtx", "gpu", 1, 1)
        for name in ("denoiser", "vae_encoder")
    ]
    return RenderPlan(tuple(rows), (), True, "", "sm86", None, 0, plan=plan)


def test_a_kept_engine_that_runs_out_of_memory_is_still_closed_at_the_end() -> None:
    log: list[str] = []
    made = Opener(
        two(),
        Placement(),
        open_built=lambda b, name, r, s: Counted(log, name),  # type: ignore[arg-type, return-value]
        spare=lambda: log.append("spare"),
    )
    made.begin(both(), GPU, Stages())
    engines = [made(name, device="auto", threads=None) for name in ("denoiser", "vae_encoder")]
    log[:] = ["short"]
    engines[0].run({})
    assert log == ["close denoiser", "close vae_encoder", "spare", "open denoiser"]
    assert made("denoiser", device="auto", threads=None) is engines[0]
    assert made("vae_encoder", device="auto", threads=None) is engines[1]
    engines[1].run({})
    assert made.close()
    assert sum(line.startswith("open") for line in log) == 2
    assert sum(line.startswith("close") for line in log) == 4


def test_nothing_else_kept_means_a_step_down() -> None:
    log: list[str] = []
    made = Opener(
        BUNDLE,
        Placement(),
        open_built=lambda b, name, r, s: Counted(log, str(r)),  # type: ignore[arg-type, return-value]
    )
    made.begin(planned("kept"), GPU, Stages())
    engine = made("denoiser", device="auto", threads=None)
    log[:] = ["short"]
    engine.run({})
    assert log[-1] == "open fp16 on cuda:0 by tensorrt-rtx, weights streamed"
    assert made.close()


def test_what_is_kept_does_not_serve_other_sizes_of_the_same_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(opener, "component_shapes", lambda bundle, plan: {"denoiser": [plan]})
    log: list[str] = []
    made = Opener(
        BUNDLE,
        Placement(),
        open_built=lambda b, name, r, s: Counted(log, name),  # type: ignore[arg-type, return-value]
    )
    wide, tall = (replace(planned("kept"), plan={"x": size}) for size in ((9, 16), (16, 9)))
    assert wide == tall
    made.begin(wide, GPU, Stages())
    made("denoiser", device="auto", threads=None)
    made.begin(wide, GPU, Stages())
    assert log == ["open denoiser"]
    made.begin(tall, GPU, Stages())
    assert log == ["open denoiser", "close denoiser"]


def test_engines_are_not_tried_in_what_the_gpu_does_not_compute_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(opener, "cuda_starts", lambda: False)
    fp8 = Component("denoiser", FILE, precision="fp8")
    more = replace(DENOISER, variants={"fp8": fp8, "int8": INT8, "int4": INT4})
    made = Opener(replace(BUNDLE, components={"denoiser": more}), Placement(), open_built=None)  # type: ignore[arg-type]
    for gpu, expected in (("sm86", ["fp16", "int8", "int4"]), ("sm75", ["fp16", "int8"])):
        made.begin(planned("staged"), replace(GPU, gpu=ARCHITECTURES[gpu]), Stages())
        rungs = made.rungs("denoiser", GPU.device)
        found = [r.precision for r in rungs if r.backend == "tensorrt-rtx" and not r.streamed]
        assert found == expected
