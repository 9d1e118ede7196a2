"""int8 products in whole numbers against the same products of rounded floats."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from reverie.export import integers, plans, qdq, widen
from reverie.export.layers import find_layers
from reverie.export.plans import make_plans
from reverie.export.ranges import Range


def quantised(
    toy: Any, toys: ModuleType, tmp_path: Path, results: float | None = 6.0
) -> tuple[Path, Path, ir.Model]:
    """A toy in int8, its activations rounded as floats, and the same in whole numbers."""
    path = toys.write(toy.model(), tmp_path / "net.onnx")
    model = ir.load(path)
    layers = find_layers(model.graph)[0]
    ranges = {
        name: Range(4.5, 4.5) for layer in layers for name in (*layer.activations, *layer.results)
    }
    made = make_plans("toy", "net", layers, "int8", ranges)
    for plan in made.quantised:
        plan.results = results or 0.0
    qdq.quantise(model, made.quantised)
    toys.write(model, tmp_path / "main.onnx")
    widen.widen(model)
    floats = toys.write_plainly(model, tmp_path / "floats.onnx")
    integers.multiply_integers(model)
    return floats, toys.write_plainly(model, tmp_path / "whole.onnx"), model


def kinds(model: ir.Model) -> Counter[str]:
    return Counter(node.op_type for node in model.graph)


@pytest.mark.parametrize("base", ["fp16", "bf16", "fp32"])
def test_results_are_those_of_the_rounded_floats(
    base: str, toys: ModuleType, tmp_path: Path
) -> None:
    toy = toys.every_kind(base)
    floats, whole, model = quantised(toy, toys, tmp_path)
    found = kinds(model)
    # One of the two Gemm has its weights turned, the other is no MatMul: both stay as they were.
    assert (found["MatMulIntegerToFloat"], found["QLinearConv"]) == (2, 3)
    assert (found["MatMul"], found["Conv"], found["Gemm"]) == (0, 0, 2)
    given, wanted = toys.run(whole, toys.feed(toy)), toys.run(floats, toys.feed(toy))
    for name, values in wanted.items():
        step = 6.0 / 127 if values.ndim > 3 or name == "out2" else 0.0
        # A convolution's results are rounded to a step; the rest differs as floats added up do.
        np.testing.assert_allclose(given[name], values, atol=0.51 * step + 2e-2, rtol=1e-3)
        assert toys.relative({name: given[name]}, {name: values})[name] < (0.02 if step else 4e-3)


def test_a_bias_becomes_part_of_the_product(toys: ModuleType, tmp_path: Path) -> None:
    _, _, model = quantised(toys.every_kind("fp32"), toys, tmp_path)
    products = [node for node in model.graph if node.op_type == "MatMulIntegerToFloat"]
    assert [len(node.inputs) for node in products] == [7, 5]
    assert kinds(model)["Add"] == 0


def test_products_of_one_value_share_its_numbers(toys: ModuleType, tmp_path: Path) -> None:
    toy = toys.Toy("fp16")
    x = toy.input("x", 2, "rows", 64)
    for name in ("to_q", "to_k", "to_v"):
        toy.output(toy.node("MatMul", [x, toy.weight(f"{name}.weight", (64, 48))]))
    floats, whole, model = quantised(toy, toys, tmp_path)
    assert kinds(model)["QuantizeLinear"] == 1
    given, wanted = toys.run(whole, toys.feed(toy)), toys.run(floats, toys.feed(toy))
    assert max(toys.relative(given, wanted).values()) < 1e-5


def test_weights_that_products_read_may_be_packed(
    toys: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(widen, "_LARGE", 1)
    monkeypatch.setattr(widen, "LEAN_FROM", 0)
    monkeypatch.setattr(widen.widen, "__kwdefaults__", {"lean_from": 0})
    _, _, model = quantised(toys.every_kind("fp16"), toys, tmp_path)
    left = [
        str(value.name) for value in model.graph.inputs if value.name in model.graph.initializers
    ]
    # The two Gemm read theirs through DequantizeLinear, which must not be folded.
    assert sum("numbers" in name for name in left) == 2


def test_a_convolution_of_unknown_results_stays(toys: ModuleType, tmp_path: Path) -> None:
    floats, whole, model = quantised(toys.every_kind("fp32"), toys, tmp_path, results=None)
    assert (kinds(model)["Conv"], kinds(model)["QLinearConv"]) == (3, 0)
    toy = toys.every_kind("fp32")
    given, wanted = toys.run(whole, toys.feed(toy)), toys.run(floats, toys.feed(toy))
    assert max(toys.relative(given, wanted).values()) < 4e-3


def test_strides_pads_and_biases_of_convolutions(toys: ModuleType, tmp_path: Path) -> None:
    toy = toys.Toy("fp32")
    picture = toy.input("picture", 1, 12, "rows", 17)
    weight = toy.weight("conv.weight", (9, 12, 3, 3))
    bias = toy.weight("conv.bias", np.linspace(-2, 2, 9))
    toy.output(toy.node("Conv", [picture, weight, bias], pads=[1, 0, 1, 2], strides=[2, 2]))
    floats, whole, model = quantised(toy, toys, tmp_path)
    assert kinds(model)["QLinearConv"] == 1
    feed = toys.feed(toy, rows=21)
    given, wanted = toys.run(whole, feed), toys.run(floats, feed)
    np.testing.assert_allclose(given["out0"], wanted["out0"], atol=0.51 * 6 / 127)


@pytest.mark.parametrize(
    ("pads", "strides", "dilations"),
    [
        ([0, 1, 1, 0, 1, 1], [1, 1, 1], [1, 1, 1]),
        ([2, 1, 0, 1, 2, 1], [2, 1, 2], [1, 1, 1]),
        ([0, 2, 2, 0, 2, 2], [1, 1, 1], [2, 2, 2]),
    ],
)
@pytest.mark.parametrize("batch", [1, 2])
def test_convolutions_over_frames(
    pads: list[int],
    strides: list[int],
    dilations: list[int],
    batch: int,
    toys: ModuleType,
    tmp_path: Path,
) -> None:
    toy = toys.Toy("fp32")
    film = toy.input("film", batch, 6, "rows", 9, 8)
    weight = toy.weight("conv.weight", (7, 6, 3, 3, 3))
    bias = toy.weight("conv.bias", np.linspace(-2, 2, 7))
    toy.output(
        toy.node("Conv", [film, weight, bias], pads=pads, strides=strides, dilations=dilations)
    )
    floats, whole, model = quantised(toy, toys, tmp_path)
    assert (kinds(model)["QLinearConv"], kinds(model)["Conv"]) == (1, 0)
    for rows in (5, 8):
        given, wanted = (toys.run(path, toys.feed(toy, rows=rows)) for path in (whole, floats))
        np.testing.assert_allclose(given["out0"], wanted["out0"], atol=0.51 * 6 / 127)


def test_frames_of_a_second_weight_of_time_alone(toys: ModuleType, tmp_path: Path) -> None:
    toy = toys.Toy("fp32")
    film = toy.input("film", 1, 12, "rows", 5, 4)
    weight = toy.weight("conv.weight", (12, 12, 3, 1, 1))
    toy.output(toy.node("Conv", [film, weight], pads=[1, 0, 0, 1, 0, 0]))
    floats, whole, model = quantised(toy, toys, tmp_path)
    assert kinds(model)["QLinearConv"] == 1
    given, wanted = (toys.run(path, toys.feed(toy)) for path in (whole, floats))
    np.testing.assert_allclose(given["out0"], wanted["out0"], atol=0.51 * 6 / 127)


def test_results_beyond_their_range_are_cut(toys: ModuleType, tmp_path: Path) -> None:
    toy = toys.Toy("fp32")
    picture = toy.input("picture", 1, 12, 9, 9)
    toy.output(toy.node("Conv", [picture, toy.weight("conv.weight", (9, 12, 3, 3))]))
    floats, whole, _ = quantised(toy, toys, tmp_path, results=0.5)
    given, wanted = toys.run(whole, toys.feed(toy)), toys.run(floats, toys.feed(toy))
    assert np.abs(wanted["out0"]).max() > 1
    np.testing.assert_allclose(
        given["out0"], wanted["out0"].clip(-0.504, 0.5), atol=0.51 * 0.5 / 127
    )


def test_results_are_planned_from_what_was_met(toys: ModuleType) -> None:
    toy = toys.every_kind("fp32")
    layers = find_layers(toy.model().graph)[0]
    names = {layer.name: layer.results[0] for layer in layers}
    ranges = {name: Range(3.0, 3.0) for layer in layers for name in layer.activations}
    ranges[names["conv2"]] = Range(8.0, 2.5)
    made = make_plans("toy", "net", layers, "int8", ranges)
    found = {plan.layer.name: plan.results for plan in made.quantised}
    assert found["conv2"] == 2.5 * plans.CLIPPED["conv"]
    assert found["conv3"] == 0.0
    assert replace(ranges[names["conv2"]]).absmax == 8.0
