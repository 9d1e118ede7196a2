"""Which weights can be quantised, what they are called, and why others cannot."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from reverie.export.layers import find_layers


def test_every_kind_is_found(toys: ModuleType) -> None:
    layers, left = find_layers(toys.every_kind().model().graph)
    assert left == []
    assert {layer.name: (layer.kind, layer.inner, layer.shape) for layer in layers} == {
        "up": ("linear", 0, (64, 96)),
        "down": ("linear", 0, (96, 40)),
        "odd": ("linear", 1, (33, 65)),
        "plain": ("linear", 0, (33, 16)),
        "conv1": ("conv", 1, (10, 12, 3)),
        "conv2": ("conv", 1, (10, 12, 3, 3)),
        "conv3": ("conv", 1, (10, 12, 3, 3, 3)),
    }


def test_names_come_from_biases_of_ones_own(toys: ModuleType) -> None:
    toy = toys.Toy()
    x = toy.input("x", 1, "rows", 32)
    zeros = toy.weight("norm.bias", np.zeros(32))
    for number in (1, 2):
        x = toy.node("Add", [toy.node("MatMul", [x, toy.weight(f"val_{number}", (32, 32))]), zeros])
    own = toy.weight("network.blocks.0.to_q.bias", np.ones(32))
    x = toy.node("Add", [toy.node("MatMul", [x, toy.weight("val_9", (32, 32))]), own])
    x = toy.node("MatMul", [x, toy.weight("network.blocks.0.to_k.weight.turned", (32, 32))])
    toy.output(x)
    names = [layer.name for layer in find_layers(toy.model().graph)[0]]
    assert names == ["MatMul_1", "MatMul_3", "blocks.0.to_q", "blocks.0.to_k"]


def test_one_weight_twice_is_one_layer(toys: ModuleType) -> None:
    toy = toys.Toy()
    x, shared = toy.input("x", 1, "rows", 24), toy.weight("shared.weight", (24, 24))
    toy.output(toy.node("MatMul", [toy.node("Tanh", [toy.node("MatMul", [x, shared])]), shared]))
    (layer,), left = find_layers(toy.model().graph)
    assert left == []
    assert len(layer.nodes) == len(layer.activations) == 2


def test_stored_halves_behind_a_cast(toys: ModuleType) -> None:
    from reverie.export import pack

    model = toys.every_kind("fp32").model()
    assert pack.store_fp16(model) == 7
    layers, _ = find_layers(model.graph)
    assert [layer.name for layer in layers] == [
        "up",
        "down",
        "odd",
        "plain",
        *("conv1", "conv2", "conv3"),
    ]
    assert {str(layer.weight.dtype) for layer in layers} == {"FLOAT16"}


@pytest.mark.parametrize("case", ["table", "left", "both", "transposed", "batch", "small"])
def test_what_stays(case: str, toys: ModuleType) -> None:
    toy = toys.Toy()
    x = toy.input("x", "rows", 24)
    weight = toy.weight("w.weight", (2, 24, 24) if case == "batch" else (24, 24))
    y = toy.node("MatMul", [x, weight])
    if case == "table":
        y = toy.node("Add", [y, toy.node("ReduceMean", [weight], keepdims=0)])
    elif case == "left":
        y = toy.node("MatMul", [weight, toy.node("Transpose", [y], perm=[1, 0])])
    elif case == "both":
        y = toy.node("Gemm", [y, weight], transB=1)
    elif case == "transposed":
        y = toy.node("Gemm", [y, toy.weight("t.weight", (24, 24))], transA=1)
    elif case == "small":
        y = toy.node("MatMul", [y, toy.weight("s.weight", (24, 8))])
    toy.output(y)
    _, left = find_layers(toy.model().graph)
    reasons = {
        "table": "also used elsewhere, as a table or on the left of a product",
        "left": "also used elsewhere, as a table or on the left of a product",
        "both": "used in two forms",
        "transposed": "its input is transposed in the product",
        "batch": "a product of many matrices at once",
        "small": "small",
    }
    assert [one.reason for one in left] == [reasons[case]]


def test_transposed_convolutions_stay(toys: ModuleType) -> None:
    toy = toys.Toy()
    x = toy.input("x", 1, 16, 5, 5)
    toy.output(toy.node("ConvTranspose", [x, toy.weight("up.weight", (16, 4, 2, 2))]))
    layers, left = find_layers(toy.model().graph)
    assert (layers, [one.reason for one in left]) == ([], ["transposed convolution"])
