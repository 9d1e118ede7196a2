"""What attention becomes for processors: the same numbers, and only where it pays."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from reverie.engines.engine import open_engine
from reverie.export import assemble, graph
from reverie.export.attention import DOMAIN, FEW, fuse_attention, keep_short_plain
from reverie.export.part import Part
from reverie.export.recipe import PartRecipe
from reverie.export.source import Source
from reverie.export.weights import Weights
from reverie.runtime.bundle import load_bundle
from safetensors.torch import save_file
from torch import Tensor, nn


class Heads(nn.Module):
    """Attention of (batch, tokens, heads x size) to itself or to others, with an optional mask."""

    def __init__(self, heads: int, scale: float | None = None) -> None:
        super().__init__()
        self.heads, self.scale = heads, scale

    def forward(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        q, k, v = (x.unflatten(2, (self.heads, -1)).transpose(1, 2) for x in (q, k, v))
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, mask, scale=self.scale)
        return mixed.transpose(1, 2).flatten(2)


class ByHand(nn.Module):
    """Attention as older networks write it, each head on its own axis of the batch."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        scores = q @ k.transpose(-1, -2) / 4.0
        return scores.softmax(-1) @ v


def given(batch: int, tokens: int, keys: int, width: int, seed: int = 0) -> dict[str, Tensor]:
    made = torch.Generator().manual_seed(seed)
    sizes = {"q": tokens, "k": keys, "v": keys}
    return {n: torch.randn(batch, size, width, generator=made) for n, size in sizes.items()}


def traced(module: nn.Module, examples: dict[str, Tensor], *, optimised: bool = True) -> ir.Model:
    free = torch.export.Dim.DYNAMIC
    with graph._quiet(), torch.no_grad():
        program = torch.onnx.export(
            module.eval(),
            kwargs=examples,
            dynamo=True,
            opset_version=graph.OPSET,
            optimize=False,
            verbose=False,
            dynamic_shapes={
                name: {0: free, 1: free} if value.dim() == 3 else {0: free, 2: free, 3: free}
                for name, value in examples.items()
            },
        )
    assert program is not None
    if optimised:
        graph._optimise(program.model, 1 << 16, rewrite=False)
    return program.model


def run(model: ir.Model, path: Path, inputs: dict[str, Tensor]) -> np.ndarray:
    path.write_bytes(ir.serde.serialize_model(model).SerializeToString())
    onnx.checker.check_model(str(path))
    with open_engine(path, device="cpu") as engine:
        (answer,) = engine.run({name: value.numpy() for name, value in inputs.items()}).values()
    return answer


def kinds(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


@pytest.mark.parametrize(
    ("heads", "size", "scale"),
    [(3, 8, None), (2, 12, None), (4, 16, 0.3), (5, 64, None), (2, 128, None), (1, 512, None)],
)
def test_fused_is_what_torch_says_at_every_size(
    heads: int, size: int, scale: float | None, small: SimpleNamespace, tmp_path: Path
) -> None:
    module = Heads(heads, scale)
    model = traced(module, given(3, 5, 7, heads * size))
    assert fuse_attention(model) == 1
    assert "Softmax" not in kinds(model)
    assert model.graph.opset_imports == {"": graph.OPSET, DOMAIN: 1}
    for batch, tokens, keys in ((3, 5, 7), (1, 300, 1), (2, 1, 40), (14, 33, 33), (1, 700, 900)):
        inputs = given(batch, tokens, keys, heads * size, seed=tokens)
        ours = run(model, tmp_path / "fused.onnx", inputs)
        assert small.relative(ours, module(**inputs).numpy()) < 2e-6


def test_a_graph_that_nobody_optimised_is_known_too(small: SimpleNamespace, tmp_path: Path) -> None:
    inputs = given(2, 9, 6, 24)
    model = traced(ByHand(), inputs, optimised=False)
    assert fuse_attention(model) == 1
    ours = run(model, tmp_path / "fused.onnx", inputs)
    assert small.relative(ours, ByHand()(**inputs).numpy()) < 2e-6


def test_a_guard_against_no_number_goes_with_the_scores(
    small: SimpleNamespace, tmp_path: Path
) -> None:
    class Guarded(nn.Module):
        def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            weights = (q @ k.transpose(-1, -2)).softmax(-1)
            return torch.where(torch.isnan(weights), 0.0, weights) @ v

    inputs = given(2, 9, 6, 16)
    model = traced(Guarded(), inputs)
    assert {"IsNaN", "Where"} < set(kinds(model))
    assert fuse_attention(model) == 1
    assert not {"IsNaN", "Where", "Softmax", "MatMul"} & set(kinds(model))
    ours = run(model, tmp_path / "fused.onnx", inputs)
    assert small.relative(ours, Guarded()(**inputs).numpy()) < 2e-6


def test_masked_attention_stays() -> None:
    inputs = given(2, 5, 7, 24) | {"mask": torch.zeros(2, 1, 5, 7)}
    model = traced(Heads(3), inputs)
    before = kinds(model)
    assert fuse_attention(model) == 0
    assert kinds(model) == before
    assert DOMAIN not in model.graph.opset_imports


@pytest.mark.parametrize("twist", ["masked after", "thresholded", "weights go out"])
def test_what_only_looks_like_attention_stays(twist: str) -> None:
    class Like(nn.Module):
        def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Any:
            weights = (q @ k.transpose(-1, -2)).softmax(-1)
            if twist == "masked after":
                weights = torch.where(weights > 0.1, weights, 0.0)
            if twist == "thresholded":
                weights = weights.relu()
            mixed = weights @ v
            return (mixed, weights * 2) if twist == "weights go out" else mixed

    assert fuse_attention(traced(Like(), given(2, 5, 7, 24))) == 0


class Folded(nn.Module):
    """(frames, channels, rows, columns): over each picture, over time at each place, to a token."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = Heads(2)
        self.project = nn.Linear(16, 16)

    def forward(self, x: Tensor, token: Tensor, latent: Tensor) -> Tensor:
        frames = x.shape[0]
        x = self.project(x.flatten(2).transpose(1, 2))
        x = x + self.heads(x, x, x)
        one = token.expand(frames, -1, -1)
        x = x + self.heads(x, one, one)
        x = x.transpose(0, 1)
        x = x + self.heads(x, x, x)
        y = latent + self.heads(latent, latent, latent)
        return x.transpose(0, 1).mean(1) + y.mean(1)


def folded_examples(frames: int, rows: int, columns: int) -> dict[str, Tensor]:
    made = torch.Generator().manual_seed(frames)
    return {
        "x": torch.randn(frames, 16, rows, columns, generator=made),
        "token": torch.randn(1, 1, 16, generator=made),
        "latent": torch.randn(1, rows * 3, 16, generator=made),
    }


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_many_short_sequences_and_few_keys_stay(
    precision: Any, small: SimpleNamespace, family: Any, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    network = Folded().eval()
    (tmp_path / "from").mkdir()
    save_file(network.project.state_dict(), tmp_path / "from" / "model.safetensors")
    weights = Weights.open(tmp_path / "from" / "model.safetensors")
    source = Source(
        "made", "small", "SmallPipeline", {"net": Part("net", "Folded", {}, weights, None)}
    )
    family.recipes = lambda source: [
        PartRecipe(
            name="net",
            part="net",
            build=Folded,
            examples=lambda: folded_examples(3, 4, 6),
            other_examples=lambda: folded_examples(5, 7, 3),
            outputs={"y": ("frames", 16)},
            free={"x": {0: "frames", 2: "rows", 3: "columns"}, "latent": {1: "tokens"}},
        )
    ]
    assemble.export(source, tmp_path / "to", precision=precision, verify=True)
    bundle = load_bundle(tmp_path / "to")
    bundle.verify()
    plain = onnx.load(bundle.path("net", device="cuda"), load_external_data=False)
    fused = onnx.load(bundle.path("net", device="cpu"), load_external_data=False)
    count = [[node.op_type for node in model.graph.node].count for model in (plain, fused)]
    assert [has("Softmax") for has in count] == [4, 2]
    assert [has("MultiHeadAttention") for has in count] == [0, 2]
    assert {entry.domain for entry in plain.opset_import} == {""}
    limit = {"fp32": 2e-6, "fp16": 2e-3, "bf16": 2e-2}[precision]
    inputs = folded_examples(6, 5, 9)
    with torch.no_grad():
        theirs = network(**inputs).numpy()
    with bundle.open("net", device="cpu") as engine:
        ours = engine.run({name: value.numpy() for name, value in inputs.items()})["y"]
    assert small.relative(ours, theirs) < limit
    figures = bundle.section("components")["net"]["parity"]["outputs"]
    assert figures["y"]["relative_l2"] < limit


@pytest.mark.parametrize(("keys", "expected"), [(FEW - 1, 0), (FEW, 1)])
def test_a_fixed_number_of_keys_decides(keys: int, expected: int) -> None:
    q = torch.randn(2, 5, 16)
    others = torch.randn(2, keys, 16)
    with graph._quiet(), torch.no_grad():
        program = torch.onnx.export(
            Heads(2).eval(),
            kwargs={"q": q, "k": others, "v": others},
            dynamo=True,
            opset_version=graph.OPSET,
            optimize=False,
            verbose=False,
        )
    assert program is not None
    keep_short_plain(program.model)
    graph._optimise(program.model, 1 << 16, rewrite=False)
    assert fuse_attention(program.model) == expected


def test_a_component_without_attention_keeps_one_graph(
    small: SimpleNamespace, family: Any, tmp_path: Path
) -> None:
    assemble.export(small.source(tmp_path / "from"), tmp_path / "to", precision="fp32")
    assert load_bundle(tmp_path / "to").component("net").cpu is None
