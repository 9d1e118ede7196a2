"""Quantised graphs against the ones they were made from, on ONNX Runtime's CPU provider."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from reverie.export import half, qdq
from reverie.export import plans as planning
from reverie.export.layers import find_layers
from reverie.export.plans import make_plans
from reverie.export.processor import for_processor
from reverie.export.ranges import Range

LIMITS = {"int8": 0.012, "fp8": 0.05, "int4": 0.15, "nvfp4": 0.15}
"""Relative error of one or two products of normal numbers with weights so rounded."""


def ranges_of(path: Path, toy: Any, toys: ModuleType) -> dict[str, Range]:
    """What the activations of a toy reach, by looking at them."""
    import onnx

    proto = onnx.load(str(path))
    layers = find_layers(ir.load(path).graph)[0]
    names = {name: layer for layer in layers for name in layer.activations}
    del proto.graph.output[:]
    for node in list(proto.graph.node):
        for name in node.output:
            if name in names:
                proto.graph.node.append(onnx.helper.make_node("Cast", [name], [f"{name}!"], to=1))
                proto.graph.output.append(onnx.helper.make_tensor_value_info(f"{name}!", 1, None))
    watched = path.with_name("watched.onnx")
    onnx.save(proto, str(watched))
    found = {}
    for name, values in toys.run(watched, toys.feed(toy, rows=40)).items():
        layer = names[name.removesuffix("!")]
        axis = 1 if layer.kind == "conv" else values.ndim - 1
        others = tuple(k for k in range(values.ndim) if k != axis)
        size = np.abs(values)
        found[name.removesuffix("!")] = Range(
            1.2 * float(size.max()), 1.2 * float(size.max()), 1.2 * size.max(axis=others)
        )
    return found


def quantised(
    path: Path,
    precision: str,
    toys: ModuleType,
    ranges: dict[str, Range] | None = None,
    *,
    lean_from: int = 1 << 40,
) -> tuple[Path, Path, planning.Plans]:
    """The variant's main graph and the one for processors."""
    model = ir.load(path)
    plans = make_plans("toy", "net", find_layers(model.graph)[0], precision, ranges)
    qdq.quantise(model, plans.quantised)
    main = toys.write(model, path.with_name("main.onnx"))
    for_processor(model, lean_from=lean_from)
    return main, toys.write_plainly(model, path.with_name("main.cpu.onnx")), plans


@pytest.mark.parametrize("base", ["fp16", "bf16", "fp32"])
@pytest.mark.parametrize("precision", LIMITS)
def test_weights(precision: str, base: str, toys: ModuleType, tmp_path: Path) -> None:
    toy = toys.every_kind(base)
    path = toys.write(toy.model(), tmp_path / "net.onnx")
    plain = ir.load(path)
    for_processor(plain)
    wanted = toys.run(toys.write_plainly(plain, tmp_path / "plain.onnx"), toys.feed(toy))
    main, cpu, plans = quantised(path, precision, toys)
    errors = toys.relative(toys.run(cpu, toys.feed(toy)), wanted)
    assert all(0 < error < LIMITS[precision] for error in errors.values()), errors
    kinds = {plan.layer.name: plan.kind for plan in plans.quantised}
    if precision in ("int8", "fp8"):
        assert set(kinds.values()) == {precision}
    else:
        assert kinds == {
            "up": precision,
            "down": precision,
            **dict.fromkeys(("odd", "plain", "conv1", "conv2", "conv3"), "int8"),
        }
    opset = ir.load(main).graph.opset_imports[""]
    assert opset == (23 if precision == "nvfp4" else 21)
    numbers = [plan.stored.error.decibels for plan in plans.quantised]
    assert all(18 < decibels < 55 for decibels in numbers)


@pytest.mark.parametrize("precision", LIMITS)
def test_large_weights_are_widened_one_by_one(
    precision: str, toys: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reverie.export import widen

    monkeypatch.setattr(widen, "_LARGE", 1)
    toy = toys.every_kind("bf16")
    path = toys.write(toy.model(), tmp_path / "net.onnx")
    _, packed, _ = quantised(path, precision, toys)
    wanted = toys.run(packed, toys.feed(toy))
    _, lean, _ = quantised(path, precision, toys, lean_from=0)
    given = {str(value.name) for value in ir.load(lean).graph.inputs}
    assert sum("numbers" in name for name in given) == 7
    # Folded or fused weights may meet activations that were rounded to 8 bits on the way.
    assert max(toys.relative(toys.run(lean, toys.feed(toy)), wanted).values()) < 0.012


@pytest.mark.parametrize("base", ["fp16", "fp32"])
@pytest.mark.parametrize("precision", ["int8", "fp8"])
def test_weights_and_activations(
    precision: str, base: str, toys: ModuleType, tmp_path: Path
) -> None:
    toy = toys.every_kind(base)
    path = toys.write(toy.model(), tmp_path / "net.onnx")
    ranges = ranges_of(path, toy, toys)
    wanted = toys.run(path, toys.feed(toy))
    main, cpu, plans = quantised(path, precision, toys, ranges)
    assert all(plan.activations for plan in plans.quantised)
    errors = toys.relative(toys.run(cpu, toys.feed(toy)), wanted)
    limit = {"int8": 0.03, "fp8": 0.07}[precision]
    assert all(0 < error < limit for error in errors.values()), errors
    kinds = [node.op_type for node in ir.load(main).graph]
    assert kinds.count("QuantizeLinear") == 7
    assert kinds.count("DequantizeLinear") == 14
    for node in ir.load(main).graph:
        if node.op_type == "QuantizeLinear":
            assert not node.inputs[2].const_value.numpy().astype(np.float32).any()


def outlying(toys: ModuleType) -> Any:
    """Three products of one value, whose channel 5 is a hundred times as large as others."""
    toy = toys.Toy("fp16")
    x = toy.input("x", 1, "rows", 64)
    size = np.ones(64)
    size[5] = 100.0
    wide = toy.node("Mul", [x, toy.weight("size", size)])
    for name in ("to_q", "to_k", "to_v"):
        toy.output(toy.node("MatMul", [wide, toy.weight(f"{name}.weight", (64, 64))]))
    return toy


def test_smoothing_is_shared_and_helps(
    toys: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy = outlying(toys)
    path = toys.write(toy.model(), tmp_path / "net.onnx")
    ranges = ranges_of(path, toy, toys)
    wanted = toys.run(path, toys.feed(toy))
    main, cpu, plans = quantised(path, "int8", toys, ranges)
    smooth = [plan.smooth for plan in plans.quantised]
    assert all(one is smooth[0] for one in smooth)
    kinds = [node.op_type for node in ir.load(main).graph]
    assert (kinds.count("Mul"), kinds.count("QuantizeLinear")) == (2, 1)
    smoothed = toys.relative(toys.run(cpu, toys.feed(toy)), wanted)
    monkeypatch.setattr(planning, "SMOOTH_FROM", 1e9)
    _, cpu, plans = quantised(path, "int8", toys, ranges)
    assert all(plan.smooth is None for plan in plans.quantised)
    rough = toys.relative(toys.run(cpu, toys.feed(toy)), wanted)
    # Only the large channel is seen in the whole error: what is lost of it alone is compared.
    assert max(smoothed.values()) < 0.03
    assert sum(smoothed.values()) < 1.5 * sum(rough.values())
    feed = toys.feed(toy)
    feed["x"][..., 5] = 0
    quiet = toys.run(path, feed)
    rough = toys.relative(toys.run(cpu, feed), quiet)
    _, cpu, _ = (
        monkeypatch.setattr(planning, "SMOOTH_FROM", 3.0),
        *quantised(path, "int8", toys, ranges)[1:],
    )
    assert max(toys.relative(toys.run(cpu, feed), quiet).values()) < 0.5 * min(rough.values())


def test_convolutions_are_smoothed_too(toys: ModuleType, tmp_path: Path) -> None:
    toy = toys.Toy("fp16")
    x = toy.input("x", 1, 12, 8, 8)
    size = np.ones((12, 1, 1))
    size[3] = 80.0
    wide = toy.node("Mul", [x, toy.weight("size", size)])
    toy.output(toy.node("Conv", [wide, toy.weight("conv.weight", (8, 12, 3, 3))]))
    path = toys.write(toy.model(), tmp_path / "net.onnx")
    _, cpu, plans = quantised(path, "int8", toys, ranges_of(path, toy, toys))
    assert plans.quantised[0].smooth is not None
    wanted = toys.run(path, toys.feed(toy))
    assert max(toys.relative(toys.run(cpu, toys.feed(toy)), wanted).values()) < 0.03


def test_an_activation_without_a_range_stays(toys: ModuleType, tmp_path: Path) -> None:
    toy = toys.every_kind()
    path = toys.write(toy.model(), tmp_path / "net.onnx")
    ranges = ranges_of(path, toy, toys)
    name = find_layers(ir.load(path).graph)[0][0].activations[0]
    for spoilt in (None, Range(float("nan"), 1.0), Range(0.0, 0.0)):
        given = (
            {**ranges, name: spoilt} if spoilt else {k: v for k, v in ranges.items() if k != name}
        )
        _, cpu, plans = quantised(path, "int8", toys, given)
        assert [plan.activations for plan in plans.quantised].count(False) == 1
        toys.run(cpu, toys.feed(toy))


def test_one_weight_of_two_activations(toys: ModuleType, tmp_path: Path) -> None:
    toy = toys.Toy()
    x, shared = toy.input("x", 1, "rows", 32), toy.weight("shared.weight", (32, 32))
    once = toy.node("Tanh", [toy.node("MatMul", [x, shared])])
    toy.output(toy.node("MatMul", [once, shared]))
    path = toys.write(toy.model(), tmp_path / "net.onnx")
    main, cpu, plans = quantised(path, "int8", toys, ranges_of(path, toy, toys))
    assert plans.quantised[0].smooth is None
    kinds = [node.op_type for node in ir.load(main).graph]
    assert (kinds.count("QuantizeLinear"), kinds.count("DequantizeLinear")) == (2, 3)
    wanted = toys.run(path, toys.feed(toy))
    assert max(toys.relative(toys.run(cpu, toys.feed(toy)), wanted).values()) < 0.03


def test_four_bit_activations_are_an_option(toys: ModuleType, tmp_path: Path) -> None:
    toy = toys.every_kind()
    path = toys.write(toy.model(), tmp_path / "net.onnx")
    main, cpu, plans = quantised(path, "nvfp4", toys, ranges_of(path, toy, toys))
    assert {plan.layer.name for plan in plans.quantised if plan.activations} == {"up", "down"}
    graph = ir.load(main).graph
    assert [node.op_type for node in graph].count("TRT_FP4DynamicQuantize") == 2
    assert graph.opset_imports["trt"] == 1
    wanted = toys.run(path, toys.feed(toy))
    errors = toys.relative(toys.run(cpu, toys.feed(toy)), wanted)
    assert max(errors.values()) < LIMITS["nvfp4"]


def test_float32_layers_of_a_half_graph_stay_so(toys: ModuleType, tmp_path: Path) -> None:
    toy = toys.every_kind("fp32")
    path = toys.write(toy.model(), tmp_path / "net.onnx")
    model = ir.load(path)
    layers = find_layers(model.graph)[0]
    plans = make_plans("toy", "net", layers, "int8", None)
    half.to_half(model, ir.DataType.FLOAT16, layers[0].nodes)
    qdq.quantise(model, plans.quantised)
    wide = {layer.name: layer.nodes[0].inputs[1].dtype for layer in layers}
    assert wide == {
        name: ir.DataType.FLOAT if name == "up" else ir.DataType.FLOAT16 for name in wide
    }
