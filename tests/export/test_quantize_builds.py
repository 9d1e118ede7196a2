"""Variants further on: TensorRT-RTX builds them, another export keeps them, memory stays small."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from reverie.export import quantize
from reverie.export.quantize import quantize as make
from reverie.runtime.bundle import load_bundle


def test_another_export_keeps_variants(
    small: SimpleNamespace, family: ModuleType, tmp_path: Path
) -> None:
    from reverie.export import assemble

    source, out = small.source(tmp_path / "from", "net", "other"), tmp_path / "to"
    assemble.export(source, out, precision="fp16", components=["net"])
    make(out, "int8", weights_only=True)
    assemble.export(source, out, precision="fp16", components=["other"])
    bundle = load_bundle(out)
    bundle.verify()
    assert bundle.component("net").precisions == ("fp16", "int8")
    assert bundle.component("other").precisions == ("fp16",)
    assert (
        small.relative(
            small.run(bundle.path("net", device="cpu", precision="int8")),
            small.run(bundle.path("net", device="cpu")),
        )
        < 0.03
    )
    # One that is made anew has none, and nothing of them is left.
    assemble.export(source, out, precision="bf16", components=["net"])
    bundle = load_bundle(out)
    bundle.verify()
    assert bundle.component("net").precisions == ("bf16",)
    assert not list(out.glob("*int8*"))


@pytest.mark.parametrize("precision", ["int8", "int4", "nvfp4", "bf16"])
def test_memory_does_not_grow_with_the_network(
    precision: str, toys: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its estimate lets ONNX Runtime rewrite a graph whose weights are not many.
    monkeypatch.setattr(quantize.memory, "component_memory", lambda folder, entry: {})
    monkeypatch.setattr(quantize.cost, "component_cost", lambda folder, entry: {})
    toy = toys.Toy("fp16")
    x = toy.input("x", 1, "rows", 2048)
    for number in range(3):
        weight = np.tile(np.linspace(-0.1, 0.1, 2048, dtype=np.float16), (2048, 1))
        x = toy.node("MatMul", [x, toy.weight(f"w{number}.weight", weight)])
    toy.output(x)
    folder = toys.bundle(tmp_path / "bundle", {"denoiser": toy})
    del toy
    tracemalloc.start()
    try:
        make(folder, precision, weights_only=True)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (folder / "denoiser.onnx.data").stat().st_size >= 24 * 2**20
    assert peak < 12 * 2**20  # one weight in float32 is 16


FORMS = {
    "int8": ("SM75", "SM86", "SM120"),
    "fp8": ("SM89", "SM120"),
    "int4": ("SM86", "SM120"),
    "nvfp4": ("SM120",),
    "fp16": ("SM75",),
    "bf16": ("SM86",),
}


@pytest.mark.parametrize("precision", FORMS)
def test_tensorrt_rtx_builds_it(precision: str, toys: ModuleType, tmp_path: Path) -> None:
    trt = pytest.importorskip("tensorrt_rtx")
    toy = toys.every_kind("fp32")
    folder = toys.bundle(tmp_path / "bundle", {"denoiser": toy}, "fp32")
    calibration = {"denoiser": toys.ranges(folder, "denoiser")}
    make(folder, precision, calibration=calibration, activations=precision == "nvfp4")
    graph = load_bundle(folder).path("denoiser", precision=precision)
    logger = trt.Logger(trt.Logger.ERROR)
    for target in FORMS[precision]:
        builder = trt.Builder(logger)
        network = builder.create_network(0)
        parser = trt.OnnxParser(network, logger)
        assert parser.parse_from_file(str(graph)), parser.get_error(0).desc()
        config = builder.create_builder_config()
        config.num_compute_capabilities = 1
        config.set_compute_capability(getattr(trt.ComputeCapability, target), 0)
        profile = builder.create_optimization_profile()
        for name, values in toys.feed(toy, rows=16).items():
            profile.set_shape(name, values.shape, values.shape, values.shape)
        config.add_optimization_profile(profile)
        assert builder.build_serialized_network(network, config) is not None, target
