"""Float32 graphs in half precision: what runs in it, what stays, what is refused."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from reverie.engines.errors import BundleError
from reverie.export import half, turing
from reverie.export.layers import find_layers

HALVES = {"fp16": ir.DataType.FLOAT16, "bf16": ir.DataType.BFLOAT16}


def types(model: ir.Model, kind: str) -> list[ir.DataType | None]:
    return [node.outputs[0].dtype for node in model.graph if node.op_type == kind]


def normed(toys: ModuleType) -> Any:
    """A norm made of small nodes around two products, one of them scaled up out of float16."""
    toy = toys.Toy("fp32")
    x = toy.input("x", 1, "rows", 32)
    x = toy.node("MatMul", [x, toy.weight("first.weight", 600 * np.eye(32))])
    squares = toy.node("Mul", [x, x])
    mean = toy.node("ReduceMean", [squares], keepdims=1)
    root = toy.node("Sqrt", [toy.node("Add", [mean, toy.weight("epsilon", np.float32(1e-6))])])
    x = toy.node("Div", [x, root])
    x = toy.node("Relu", [toy.node("MatMul", [x, toy.weight("second.weight", (32, 32))])])
    toy.output(toy.node("Softmax", [x]))
    return toy


def test_norms_and_softmax_stay(toys: ModuleType, tmp_path: Path) -> None:
    toy = normed(toys)
    path = toys.write(toy.model(), tmp_path / "net.onnx")
    model = ir.load(path)
    assert half.to_half(model, HALVES["fp16"]) == []
    assert types(model, "MatMul") == [HALVES["fp16"]] * 2
    assert types(model, "Relu") == [HALVES["fp16"]]
    for kind in ("Mul", "ReduceMean", "Add", "Sqrt", "Div", "Softmax"):
        assert HALVES["fp16"] not in types(model, kind), kind
    assert [value.dtype for value in model.graph.outputs] == [ir.DataType.FLOAT]
    ours = toys.run(toys.write(model, tmp_path / "half.onnx"), toys.feed(toy))
    theirs = toys.run(path, toys.feed(toy))  # its squares reach far beyond 65504
    assert max(toys.relative(ours, theirs).values()) < 3e-3


@pytest.mark.parametrize("precision", HALVES)
def test_every_kind(precision: str, toys: ModuleType, tmp_path: Path) -> None:
    toy = toys.every_kind("fp32")
    path = toys.write(toy.model(), tmp_path / "net.onnx")
    model = ir.load(path)
    assert not half.computes_half(model)
    half.to_half(model, HALVES[precision])
    assert half.computes_half(model)
    written = toys.write(model, tmp_path / "half.onnx")
    assert (tmp_path / "half.onnx.data").stat().st_size < 0.6 * (
        tmp_path / "net.onnx.data"
    ).stat().st_size
    if precision == "fp16":  # there are no kernels for the other one
        errors = toys.relative(toys.run(written, toys.feed(toy)), toys.run(path, toys.feed(toy)))
        assert all(0 < error < 2e-3 for error in errors.values())


def test_what_is_kept_or_too_large_stays(toys: ModuleType, tmp_path: Path) -> None:
    toy = toys.Toy("fp32")
    x = toy.input("x", 1, "rows", 32)
    for name, scale in (("large", 1e5), ("kept", 1.0), ("plain", 1e-5)):
        x = toy.node("MatMul", [x, toy.weight(f"{name}.weight", scale * np.eye(32))])
    toy.output(x)
    path = toys.write(toy.model(), tmp_path / "net.onnx")
    model = ir.load(path)
    kept = [layer for layer in find_layers(model.graph)[0] if layer.name == "kept"]
    assert half.to_half(model, HALVES["fp16"], kept[0].nodes) == ["MatMul_1"]
    assert types(model, "MatMul").count(HALVES["fp16"]) == 1
    toys.write(model, tmp_path / "half.onnx")


def test_the_other_half(toys: ModuleType, tmp_path: Path) -> None:
    toy = toys.every_kind("bf16")
    path = toys.write(toy.model(), tmp_path / "net.onnx")
    model = ir.load(path)
    half.swap_half(model, HALVES["fp16"])
    written = toys.write(model, tmp_path / "half.onnx")
    wanted = {
        value.name: value.const_value.numpy().astype(np.float32)
        for value in ir.load(path).graph.initializers.values()
    }
    for name, value in ir.load(written).graph.initializers.items():
        assert value.dtype == HALVES["fp16"]
        np.testing.assert_allclose(value.const_value.numpy(), wanted[name], atol=1e-7)
    assert toys.run(written, toys.feed(toy))


def test_bfloat16_beyond_float16_is_refused(toys: ModuleType, tmp_path: Path) -> None:
    toy = toys.Toy("bf16")
    weight = toy.weight("big.weight", 1e6 * np.eye(32))
    toy.output(toy.node("MatMul", [toy.input("x", 1, "rows", 32), weight]))
    model = ir.load(toys.write(toy.model(), tmp_path / "net.onnx"))
    half.swap_half(model, HALVES["fp16"])
    with pytest.raises(BundleError, match=r"^weight big.weight is beyond what float16 holds"):
        toys.write(model, tmp_path / "half.onnx")


@pytest.mark.parametrize("rank", [2, 3, 4])
def test_float32_products_as_convolutions(rank: int, toys: ModuleType, tmp_path: Path) -> None:
    toy = toys.Toy("fp32")
    x = toy.input("x", *[2] * (rank - 2), "rows", 32)
    x = toy.node("MatMul", [x, toy.weight("first.weight", (32, 40))])
    if rank == 2:
        bias = toy.weight("bias", np.linspace(-1, 1, 24))
        x = toy.node("Gemm", [x, toy.weight("second.weight", (24, 40)), bias], transB=1)
        x = toy.node(
            "Gemm", [x, toy.weight("third.weight", (24, 16)), toy.weight("b", np.ones(16))]
        )
        x = toy.node("Gemm", [x, toy.weight("scaled.weight", (16, 16))], alpha=0.5)
    toy.output(x)
    path = toys.write(toy.model(), tmp_path / "net.onnx")
    model = ir.load(path)
    assert turing.as_convolutions(model) == (3 if rank == 2 else 1)
    kinds = [node.op_type for node in model.graph]
    assert kinds.count("MatMul") + kinds.count("Gemm") == (1 if rank == 2 else 0)
    ours = toys.run(toys.write_plainly(model, tmp_path / "conv.onnx"), toys.feed(toy))
    assert max(toys.relative(ours, toys.run(path, toys.feed(toy))).values()) < 1e-5
