"""From torch, or from another's file, to a graph."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from reverie.engines.engine import open_engine
from reverie.engines.errors import BundleError
from reverie.export import graph
from reverie.export.recipe import Free, Origin, ReadyRecipe, Recipe
from torch import Tensor, nn

ORIGIN = Origin(license="MIT", license_file="licences/tiny.txt", source="a test")


class Tiny(nn.Module):
    """A convolution at half size, attention over its places, and a part without dimensions."""

    def __init__(self) -> None:
        super().__init__()
        self.see = nn.Conv2d(3, 16, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(16)
        self.mix = nn.Linear(16, 48)

    def forward(self, image: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        x = torch.relu(self.norm(self.see(image))) * level[:, None, None, None]
        tokens = x.flatten(2).transpose(1, 2)
        q, k, v = self.mix(tokens)[:, None].chunk(3, -1)  # the exporter takes four axes only
        mixed = nn.functional.scaled_dot_product_attention(q, k, v)
        return mixed[:, 0].transpose(1, 2).reshape(x.shape), x.mean((2, 3))


def tiny_recipe() -> Recipe:
    torch.manual_seed(0)
    square = {2: Free("height", 8), 3: Free("width", 8)}
    return Recipe(
        name="tiny",
        module=Tiny().eval(),
        examples={"image": torch.rand(1, 3, 16, 24), "level": torch.tensor([0.5])},
        other_examples={"image": torch.rand(1, 3, 32, 16), "level": torch.tensor([0.1])},
        outputs={"mixed": (1, 16, "height/2", "width/2"), "mean": (1, 16)},
        free={"image": square},
        origin=ORIGIN,
    )


@pytest.fixture(scope="module")
def traced() -> ir.Model:
    return graph.trace(tiny_recipe())


def ready_file(path: Path, *, scale: float = 2.0, mode: str = "tf_half_pixel_for_nn") -> Path:
    """An old file: opset 11, IR 3 with weights among the inputs, a BatchNorm, a spare output."""
    rng = np.random.default_rng(0)
    weights = {
        "w": rng.standard_normal((4, 3, 3, 3)),
        "gain": rng.uniform(0.5, 2, 4),
        "bias": rng.standard_normal(4),
        "mean": rng.standard_normal(4),
        "spread": rng.uniform(0.5, 2, 4),
        "scales": np.array([1, 1, scale, scale]),
        "roi": np.zeros(0),
    }
    tensors = [numpy_helper.from_array(v.astype(np.float32), k) for k, v in weights.items()]
    size = int(8 * scale)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c", "gain", "bias", "mean", "spread"], ["n"]),
        helper.make_node("Relu", ["n"], ["r"]),
        helper.make_node(
            "Resize",
            ["r", "roi", "scales"],
            ["y"],
            mode="nearest",
            nearest_mode="floor",
            coordinate_transformation_mode=mode,
        ),
        helper.make_node("Sigmoid", ["c"], ["spare"]),
    ]
    value = helper.make_tensor_value_info
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "old",
            [
                value("x", TensorProto.FLOAT, [1, 3, 8, 8]),
                *(value(t.name, TensorProto.FLOAT, list(t.dims)) for t in tensors),
            ],
            [
                value("spare", TensorProto.FLOAT, [1, 4, 8, 8]),
                value("y", TensorProto.FLOAT, [1, 4, size, size]),
            ],
            tensors,
        ),
        opset_imports=[helper.make_opsetid("", 11)],
    )
    model.ir_version = 3
    onnx.save(model, str(path))
    return path


def ready_recipe(file: Path) -> ReadyRecipe:
    return ReadyRecipe(
        name="old",
        file=file,
        inputs={"x": "image"},
        outputs={"y": "map"},
        input_range=(-1.0, 1.0),
        precision="fp32",
        tolerance=1e-5,
        origin=ORIGIN,
    )


def test_a_traced_module_has_named_sizes_and_the_opset_promised(traced: ir.Model) -> None:
    model = traced
    assert graph.ports(list(model.graph.inputs)) == [
        {"name": "image", "dtype": "float32", "shape": [1, 3, "height", "width"]},
        {"name": "level", "dtype": "float32", "shape": [1]},
    ]
    assert graph.ports(list(model.graph.outputs)) == [
        {"name": "mixed", "dtype": "float32", "shape": [1, 16, "height/2", "width/2"]},
        {"name": "mean", "dtype": "float32", "shape": [1, 16]},
    ]
    assert dict(model.opset_imports) == {"": 21}
    assert model.ir_version == 10
    assert model.metadata_props["component"] == "tiny"


def test_a_traced_module_runs_at_sizes_it_was_not_traced_at(
    traced: ir.Model, tmp_path: Path
) -> None:
    recipe = tiny_recipe()
    ir.save(traced, tmp_path / "tiny.onnx")
    with open_engine(tmp_path / "tiny.onnx", device="cpu") as engine:
        for height, width in ((16, 24), (40, 16), (64, 64)):
            image, level = torch.rand(1, 3, height, width), torch.tensor([0.3])
            with torch.no_grad():
                expected = recipe.module(image, level)
            got = engine.run({"image": image.numpy(), "level": level.numpy()})
            np.testing.assert_allclose(got["mixed"], expected[0].numpy(), atol=1e-6)
            np.testing.assert_allclose(got["mean"], expected[1].numpy(), atol=1e-6)


def test_large_weights_are_not_folded(traced: ir.Model) -> None:
    small = {v.name for v in traced.graph.initializers.values()}
    model = graph.trace(tiny_recipe(), fold_below=10)
    names = {value.name for value in model.graph.initializers.values()}
    assert "mix.weight" in names
    assert "mix.weight" not in small
    assert any(node.op_type == "Transpose" for node in model.graph)


def test_a_wrong_number_of_outputs_is_told() -> None:
    recipe = Recipe(
        name="one",
        module=nn.ReLU(),
        examples={"input": torch.rand(1, 2)},
        outputs={"a": (1, 2), "b": (1, 2)},
        origin=ORIGIN,
    )
    with pytest.raises(BundleError, match="gives 1 outputs and its recipe names 2"):
        graph.trace(recipe)


def test_a_ready_network_is_brought_up_to_date(tmp_path: Path) -> None:
    recipe = ready_recipe(ready_file(tmp_path / "old.onnx"))
    model = graph.take_over(recipe)
    kinds = [node.op_type for node in model.graph]
    assert kinds == ["Conv", "Relu", "Resize"]
    assert [value.name for value in model.graph.inputs] == ["image"]
    assert [value.name for value in model.graph.outputs] == ["map"]
    assert dict(model.opset_imports) == {"": 21}
    mode = model.graph[-1].attributes["coordinate_transformation_mode"].as_string()
    assert mode == "asymmetric"


def test_a_resize_that_cannot_be_mended_is_told(tmp_path: Path) -> None:
    recipe = ready_recipe(ready_file(tmp_path / "old.onnx", scale=1.5))
    with pytest.raises(BundleError, match="by a fraction"):
        graph.take_over(recipe)


def test_a_name_that_is_not_there_is_told(tmp_path: Path) -> None:
    recipe = ready_recipe(ready_file(tmp_path / "old.onnx"))
    with pytest.raises(BundleError, match=r"old\.onnx has no output z; it has spare, y"):
        graph.take_over(replace(recipe, outputs={"z": "map"}))
    with pytest.raises(BundleError, match="has no input w"):
        graph.take_over(replace(recipe, inputs={"w": "image"}))
