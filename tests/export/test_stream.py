"""Weights on their way: rounding, blocks, transpositions, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch
from reverie.engines.errors import BundleError
from reverie.export import store, stream
from reverie.export.weights import Weights
from safetensors.torch import save_file

TYPES = {
    "fp32": (torch.float32, ir.DataType.FLOAT),
    "fp16": (torch.float16, ir.DataType.FLOAT16),
    "bf16": (torch.bfloat16, ir.DataType.BFLOAT16),
}


def opened(folder: Path, **tensors: torch.Tensor) -> stream.Stream:
    save_file(tensors, folder / "w.safetensors")
    return stream.Stream("denoiser", Weights.open(folder / "w.safetensors"))


def values(streamed: stream.Streamed) -> np.ndarray[Any, Any]:
    pieces = list(streamed.stream.blocks(streamed))
    assert all(piece.size <= max(stream.BLOCK, streamed.shape[-1]) for piece in pieces)
    return np.concatenate(pieces).reshape(tuple(streamed.shape))


@pytest.mark.parametrize("wanted", TYPES)
@pytest.mark.parametrize("stored", [*TYPES, "fp8"])
def test_conversions_round_as_torch_does(stored: str, wanted: str, tmp_path: Path) -> None:
    dtype = torch.float8_e4m3fn if stored == "fp8" else TYPES[stored][0]
    torch.manual_seed(0)
    tensor = (torch.randn(50, 30) * torch.logspace(-9, 1.5, 30)).to(dtype)
    torch_type, onnx_type = TYPES[wanted]
    ours = values(stream.Streamed(opened(tmp_path, w=tensor), "w", onnx_type, (50, 30)))
    theirs = tensor.float().to(torch_type)
    assert ours.dtype == onnx_type.numpy()
    np.testing.assert_array_equal(ours.astype(np.float32), theirs.float().numpy())


@pytest.mark.parametrize("block", [7, 64, 1000, 1 << 23])
@pytest.mark.parametrize("wanted", ["fp16", "fp32"])
def test_blocks_say_the_same_whatever_their_size(
    block: int, wanted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "BLOCK", block)
    tensor = torch.randn(37, 53)
    weights = opened(tmp_path, w=tensor)
    whole = stream.Streamed(weights, "w", TYPES[wanted][1], (37, 53))
    exact = tensor.to(TYPES[wanted][0]).numpy()
    np.testing.assert_array_equal(values(whole), exact)
    turned = whole.transposed((1, 0))
    assert tuple(turned.shape) == (53, 37)
    np.testing.assert_array_equal(values(turned), exact.T)


def test_other_transpositions_and_whole_numbers(tmp_path: Path) -> None:
    weights = opened(tmp_path, w=torch.randn(3, 4, 5), n=torch.arange(6, dtype=torch.int32))
    turned = stream.Streamed(weights, "w", ir.DataType.FLOAT, (3, 4, 5)).transposed((2, 0, 1))
    np.testing.assert_array_equal(values(turned), weights.weights.read("w").transpose(2, 0, 1))
    numbers = values(stream.Streamed(weights, "n", ir.DataType.INT64, (6,)))
    assert numbers.dtype == np.int64
    assert numbers.tolist() == list(range(6))


class Added:
    """What stands for a LoRA: it adds one to every value."""

    def delta(self, name: str, shape: tuple[int, ...]) -> np.ndarray[Any, Any] | None:
        return np.ones(shape, np.float32) if name == "w" else None


def test_what_a_lora_adds_is_added_before_rounding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "BLOCK", 40)
    tensor = torch.randn(12, 10).half()
    weights = opened(tmp_path, w=tensor, v=tensor.clone())
    weights.loras = Added()  # type: ignore[assignment]
    exact = (tensor.float() + 1).half().numpy()
    changed = stream.Streamed(weights, "w", ir.DataType.FLOAT16, (12, 10))
    np.testing.assert_array_equal(values(changed), exact)
    np.testing.assert_array_equal(values(changed.transposed((1, 0))), exact.T)
    other = stream.Streamed(weights, "v", ir.DataType.FLOAT16, (12, 10))
    np.testing.assert_array_equal(values(other), tensor.numpy())


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("stored", TYPES)
@pytest.mark.parametrize("wanted", TYPES)
def test_what_is_not_a_number_is_refused(
    bad: float, stored: str, wanted: str, tmp_path: Path
) -> None:
    tensor = torch.zeros(9, 9).to(TYPES[stored][0])
    tensor[4, 5] = bad
    weights = opened(tmp_path, w=tensor)
    with pytest.raises(BundleError, match=r"^denoiser: tensor 'w' holds NaN or infinity"):
        values(stream.Streamed(weights, "w", TYPES[wanted][1], (9, 9)))


def test_a_lora_that_is_not_a_number_is_told_from_the_checkpoint(tmp_path: Path) -> None:
    class Broken:
        def delta(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
            return np.full(shape, np.nan, np.float32)

    weights = opened(tmp_path, w=torch.ones(3, 3))
    weights.loras = Broken()  # type: ignore[assignment]
    with pytest.raises(BundleError, match=r"^denoiser: tensor 'w' becomes NaN .* by a LoRA"):
        values(stream.Streamed(weights, "w", ir.DataType.FLOAT, (3, 3)))


@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16])
def test_what_float16_cannot_hold_is_refused(stored: torch.dtype, tmp_path: Path) -> None:
    weights = opened(tmp_path, w=torch.tensor([[1.0, -70000.0]]).to(stored))
    half = stream.Streamed(weights, "w", ir.DataType.FLOAT16, (1, 2))
    with pytest.raises(BundleError, match=r"'w' reaches 7(\.014)?e\+04, .*--precision bf16"):
        values(half)
    fitting = stream.Streamed(weights, "w", ir.DataType.BFLOAT16, (1, 2))
    assert float(values(fitting)[0, 1]) == pytest.approx(-70000, rel=4e-3)
    edge = opened(tmp_path, w=torch.tensor([65504.0]))
    assert values(stream.Streamed(edge, "w", ir.DataType.FLOAT16, (1,))) == [65504.0]


def test_names_and_shapes_are_checked(tmp_path: Path) -> None:
    weights = opened(tmp_path, w=torch.zeros(2, 3))
    weights.check("w", (2, 3))
    with pytest.raises(BundleError, match=r"^denoiser: the checkpoint has no tensor 'v'"):
        weights.check("v", (2, 3))
    with pytest.raises(BundleError, match=r"'w' has shape \[2, 3\] and .* \[3, 2\]"):
        weights.check("w", (3, 2))


def graph_of(weights: stream.Stream) -> ir.Model:
    """y = x @ w.T, with w once as it is too, and a constant that stays in the graph."""
    x = ir.Value(name="x", shape=ir.Shape([4, 300]), type=ir.TensorType(ir.DataType.FLOAT))
    w = ir.Value(name="w", shape=ir.Shape([700, 300]), type=ir.TensorType(ir.DataType.FLOAT))
    w.const_value = stream.Streamed(weights, "w", ir.DataType.FLOAT, (700, 300))
    small = ir.Value(name="small", shape=ir.Shape([2]), type=ir.TensorType(ir.DataType.FLOAT))
    small.const_value = ir.tensor(np.zeros(2, np.float32), name="small")
    turned = ir.node("Transpose", [w], {"perm": [1, 0]})
    again = ir.node("Transpose", [w], {"perm": [1, 0]})
    product = ir.node("MatMul", [x, turned.outputs[0]])
    other = ir.node("MatMul", [x, again.outputs[0]])
    back = ir.node("MatMul", [product.outputs[0], w])
    last = ir.node("Concat", [back.outputs[0], other.outputs[0], small], {"axis": 1})
    nodes = [turned, again, product, other, back, last]
    for index, node in enumerate(nodes):
        node.outputs[0].name = f"v{index}"
    made = ir.Graph([x], last.outputs, nodes=nodes, initializers=[w, small], opset_imports={"": 21})
    return ir.Model(made, ir_version=10)


def test_a_file_of_weights_is_what_the_graph_says(tmp_path: Path) -> None:
    tensor = torch.randn(700, 300)
    model = graph_of(opened(tmp_path, w=tensor))
    assert stream.fold_transposes(model) == 1
    assert [node.op_type for node in model.graph] == ["MatMul", "MatMul", "MatMul", "Concat"]
    told = []
    entry = store.write(model, tmp_path / "g.data", lambda done, total: told.append((done, total)))
    assert entry is not None
    assert entry["bytes"] == (tmp_path / "g.data").stat().st_size
    from reverie.runtime.bundle import hash_file

    assert entry["sha256"] == hash_file(tmp_path / "g.data")
    assert told[-1] == (2 * 700 * 300 * 4, 2 * 700 * 300 * 4)
    tensors = {name: value.const_value for name, value in model.graph.initializers.items()}
    assert isinstance(tensors["small"], ir.Tensor)
    np.testing.assert_array_equal(tensors["w"].numpy(), tensor.numpy())
    np.testing.assert_array_equal(tensors["w.turned"].numpy(), tensor.numpy().T)
    assert {tensors[name].offset % 64 for name in ("w", "w.turned")} == {0}


def test_weights_of_a_megabyte_begin_on_a_page(tmp_path: Path) -> None:
    weights = opened(tmp_path, v=torch.randn(3, 300), w=torch.randn(1000, 300))
    model = graph_of(weights)
    table = model.graph.initializers
    w = table.pop("w")
    w.const_value = stream.Streamed(weights, "w", ir.DataType.FLOAT, (1000, 300))
    first = ir.Value(name="v", shape=ir.Shape([3, 300]), type=ir.TensorType(ir.DataType.FLOAT))
    first.const_value = stream.Streamed(weights, "v", ir.DataType.FLOAT, (3, 300))
    table["v"], table["w"] = first, w
    store.write(model, tmp_path / "g.data")
    places = [table[name].const_value for name in ("v", "w")]
    assert all(isinstance(place, ir.ExternalTensor) for place in places)
    assert [place.offset for place in places] == [0, 4096]  # type: ignore[union-attr]
