"""From graphs to a bundle that the runtime reads."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
import torch
from reverie.engines.engine import open_engine
from reverie.engines.errors import BundleError
from reverie.export import graph, pack
from reverie.export.recipe import Free, Origin, ReadyRecipe, Recipe
from reverie.runtime.bundle import load_bundle
from torch import Tensor, nn

ORIGIN = Origin(license="MIT", license_file="licences/tiny.txt", source="a test")


class Layers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(32, 64)
        self.second = nn.Linear(64, 32)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(torch.relu(self.first(x)))


def recipe() -> Recipe:
    torch.manual_seed(0)
    return Recipe(
        name="layers",
        module=Layers().eval(),
        examples={"x": torch.randn(1, 6, 32)},
        other_examples={"x": torch.randn(1, 9, 32)},
        outputs={"y": (1, "places", 32)},
        free={"x": {1: Free("places")}},
        precision="fp16",
        tolerance=1e-3,
        origin=ORIGIN,
    )


@pytest.fixture(scope="module")
def traced_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("traced") / "layers.onnx"
    pack.write_graph(graph.trace(recipe()), path)
    return path


@pytest.fixture
def traced(traced_file: Path) -> ir.Model:
    """The layers as a graph of one's own; tracing takes seconds, reading does not."""
    return ir.load(traced_file)


def write(folder: Path, entry: dict[str, object]) -> None:
    (folder / "licences").mkdir(exist_ok=True)
    (folder / ORIGIN.license_file).write_text("Do as you like.\n")
    pack.write_manifest(
        folder,
        family="ember",
        name="tiny",
        version="0.1",
        description="",
        license="MIT",
        components={"layers": entry},
        files=[ORIGIN.license_file],
        schedule={"type": "flow_euler", "steps": 2},
    )


def test_half_weights_compute_in_float32(traced: ir.Model, tmp_path: Path) -> None:
    model = traced
    assert pack.store_fp16(model) == 2
    assert [node.op_type for node in model.graph][:2] == ["Cast", "Cast"]
    kinds = {v.name: v.dtype for v in model.graph.initializers.values()}
    assert sum(kind == ir.DataType.FLOAT16 for kind in kinds.values()) == 2
    assert all(port["dtype"] == "float32" for port in graph.ports(list(model.graph.outputs)))

    pack.write_graph(model, tmp_path / "layers.onnx")
    x = torch.randn(1, 5, 32)
    halved = Layers()
    halved.load_state_dict(recipe().module.state_dict())
    for layer in (halved.first, halved.second):
        layer.weight.data = layer.weight.half().float()
    with torch.no_grad(), open_engine(tmp_path / "layers.onnx", device="cpu") as engine:
        np.testing.assert_allclose(engine.run({"x": x.numpy()})["y"], halved(x).numpy(), atol=1e-5)


def test_weights_beyond_the_range_of_halves_stay_whole(traced: ir.Model) -> None:
    weights = next(v for v in traced.graph.initializers.values() if len(v.const_value.shape) == 2)
    weights.const_value = ir.tensor(weights.const_value.numpy() * np.float32(1e7))
    assert pack.store_fp16(traced) == 1


def test_a_component_is_written_compared_and_described(tmp_path: Path) -> None:
    entry = pack.write_component(recipe(), tmp_path)
    assert entry["file"] == "layers.onnx"
    assert entry["precision"] == "fp16"
    assert entry["inputs"] == [{"name": "x", "dtype": "float32", "shape": [1, "places", 32]}]
    assert entry["license_file"] == ORIGIN.license_file
    assert 0 < entry["parity"]["outputs"]["y"]["relative_l2"] < 1e-3
    assert [size["x"][1] for size in entry["parity"]["sizes"]] == [6, 9]

    write(tmp_path, entry)
    bundle = load_bundle(tmp_path)
    bundle.verify()
    assert bundle.component("layers").license == "MIT"
    with bundle.open("layers", device="cpu") as engine:
        assert engine.run({"x": np.zeros((1, 3, 32), np.float32)})["y"].shape == (1, 3, 32)


def test_the_same_export_gives_the_same_bytes(tmp_path: Path) -> None:
    first = pack.write_component(recipe(), tmp_path / "a")
    second = pack.write_component(recipe(), tmp_path / "b")
    assert first["sha256"] == second["sha256"]


def test_a_graph_that_disagrees_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="layers: y differs"):
        pack.write_component(replace(recipe(), tolerance=1e-9), tmp_path)


def test_many_weights_lie_in_a_file_beside(traced: ir.Model, tmp_path: Path) -> None:
    files = pack.write_graph(traced, tmp_path / "layers.onnx", external_above=1000)
    assert [file["file"] for file in files] == ["layers.onnx", "layers.onnx.data"]
    assert files[0]["bytes"] < 8000 < files[1]["bytes"]
    write(tmp_path, {**files[0], "data": files[1:], "license": "MIT", "source": ""})
    bundle = load_bundle(tmp_path)
    with bundle.open("layers", device="cpu") as engine:
        assert engine.run({"x": np.zeros((1, 3, 32), np.float32)})["y"].shape == (1, 3, 32)
    with (tmp_path / "layers.onnx.data").open("r+b") as file:
        file.seek(64)
        file.write(b"\xff")
    with pytest.raises(BundleError, match=r"layers\.onnx\.data"):
        load_bundle(tmp_path).path("layers")


def test_a_ready_network_goes_the_same_road(traced: ir.Model, tmp_path: Path) -> None:
    traced.ir_version = 9
    traced.graph.inputs[0].shape = ir.Shape([1, 4, 32])
    traced.graph.outputs[0].shape = ir.Shape([1, 4, 32])
    pack.write_graph(traced, tmp_path / "theirs.onnx")
    taken = ReadyRecipe(
        name="ours",
        file=tmp_path / "theirs.onnx",
        inputs={"x": "given"},
        outputs={"y": "made"},
        origin=ORIGIN,
    )
    entry = pack.write_component(taken, tmp_path / "out")
    assert entry["parity"]["against"] == "theirs.onnx"
    assert 0 < entry["parity"]["outputs"]["made"]["relative_l2"] < 1e-3
    assert entry["bytes"] < (tmp_path / "theirs.onnx").stat().st_size * 0.7


def test_the_manifest_is_whole_or_not_there(tmp_path: Path) -> None:
    write(tmp_path, {})
    before = (tmp_path / "bundle.json").read_text()
    assert json.loads(before)["schedule"] == {"type": "flow_euler", "steps": 2}
    with pytest.raises(TypeError):
        write(tmp_path, {"bytes": object()})
    assert (tmp_path / "bundle.json").read_text() == before
