"""Watched graphs: the same results, and maxima and samples that numpy finds too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper
from reverie.engines.engine import open_engine
from reverie.export import watch

ROWS, SIDE = 7, 40


def network(folder: Path) -> Path:
    """Conv, MatMul and Gemm; one value that is read on two axes, one product of activations."""
    random = np.random.default_rng(0)

    def weight(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array(random.standard_normal(shape).astype(np.float32), name)

    nodes = [
        helper.make_node("Conv", ["image", "k1"], ["c1"], name="first", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"], name="relu"),
        helper.make_node("Conv", ["r1", "k2"], ["c2"], name="second", group=2),
        helper.make_node("MatMul", ["r1", "w1"], ["m1"], name="third"),
        helper.make_node("ReduceMean", ["c2", "axes"], ["pooled"], name="pool", keepdims=0),
        helper.make_node("Gemm", ["pooled", "w2"], ["g1"], name="fourth", transB=1),
        helper.make_node("Transpose", ["m1"], ["turned"], name="turn", perm=[0, 1, 3, 2]),
        helper.make_node("MatMul", ["turned", "m1"], ["scores"], name="scores"),
    ]
    graph = helper.make_graph(
        nodes,
        "watched",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, "h", SIDE])],
        [
            helper.make_tensor_value_info("g1", TensorProto.FLOAT, [1, 5]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 4, 6, 6]),
        ],
        [
            weight("k1", 4, 3, 3, 3),
            weight("k2", 8, 2, 1, 1),
            weight("w1", SIDE, 6),
            weight("w2", 5, 8),
            numpy_helper.from_array(np.array([2, 3]), "axes"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    path = folder / "network.onnx"
    onnx.save(model, path)
    return path


def run(model: ir.Model, path: Path, **inputs: np.ndarray) -> dict[str, np.ndarray]:
    path.write_bytes(ir.serde.serialize_model(model).SerializeToString())
    with open_engine(path, device="cpu") as engine:
        return engine.run(inputs)


def picture(height: int = 30) -> np.ndarray:
    drawn = np.random.default_rng(1).standard_normal((1, 3, height, SIDE))
    return (drawn * [[[[1]], [[-5]], [[0.1]]]]).astype(np.float32)


def exposed(path: Path, image: np.ndarray, *names: str) -> dict[str, np.ndarray]:
    """Values of the plain graph, as outputs of their own."""
    model = onnx.load(path)
    for name in names:
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    onnx.save(model, path.with_name("exposed.onnx"))
    with open_engine(path.with_name("exposed.onnx"), device="cpu") as engine:
        return engine.run({"image": image})


def test_points_are_what_weights_multiply(tmp_path: Path) -> None:
    points = watch.find_points(ir.load(network(tmp_path)).graph)
    assert list(points) == ["image", "r1", "pooled", "c1", "c2"]
    assert points["c2"] == watch.Point("c2", (), None, None)
    assert points["image"] == watch.Point("image", ("first",), 3, 4)
    assert points["r1"] == watch.Point("r1", ("second", "third"), None, None)
    assert points["pooled"] == watch.Point("pooled", ("fourth",), 8, None)


@pytest.mark.parametrize("height", [30, 200])
def test_maxima_and_samples_are_those_of_the_values(tmp_path: Path, height: int) -> None:
    path, image = network(tmp_path), picture(height)
    plain = exposed(path, image, "r1", "pooled", "c1", "c2")
    model = ir.load(path)
    points = list(watch.find_points(model.graph).values())
    assert watch.add_watch(model, points) == points
    offset = np.array([11], np.int64)
    found = run(model, tmp_path / "watched.onnx", image=image, **{watch.OFFSET: offset})
    for output in ("g1", "scores"):
        np.testing.assert_array_equal(found[output], plain[output])
    values = {**plain, "image": image}
    axes = {"image": (0, 2, 3), "r1": None, "pooled": (0,), "c1": None, "c2": None}
    for number, point in enumerate(points):
        value = values[point.name]
        largest = np.abs(value).max(axis=axes[point.name])
        np.testing.assert_array_equal(found[watch.channels_of(number)], np.atleast_1d(largest))
        sample = found[watch.sample_of(number)]
        assert sample.shape == (min(value.size, watch.SAMPLE),)
        if value.size <= watch.SAMPLE:  # seen whole
            np.testing.assert_array_equal(np.sort(sample), np.sort(value.reshape(-1)))
        else:
            assert np.isin(sample, value).all()
            assert abs(np.abs(sample).mean() / np.abs(value).mean() - 1) < 0.05


def test_samples_of_two_graphs_are_of_the_same_places(tmp_path: Path) -> None:
    path, image = network(tmp_path), picture(200)
    offset = np.array([5], np.int64)
    rows = []
    for factor in (1.0, 2.0):
        model = ir.load(path)
        weight = model.graph.initializers["k2"]
        assert weight.const_value is not None
        weight.const_value = ir.tensor(weight.const_value.numpy() * np.float32(factor), name="k2")
        assert watch.add_samples(model, ["c1", "not there", "c2", "g1"]) == ["c1", "c2", "g1"]
        rows.append(run(model, tmp_path / "s.onnx", image=image, **{watch.OFFSET: offset}))
    one, other = rows
    np.testing.assert_array_equal(one[watch.sample_of(0)], other[watch.sample_of(0)])
    np.testing.assert_allclose(one[watch.sample_of(1)] * 2, other[watch.sample_of(1)], rtol=1e-6)
    np.testing.assert_allclose(one["g1"] * 2, other["g1"], rtol=1e-5)


def test_weights_are_found_behind_casts(tmp_path: Path) -> None:
    from reverie.export.pack import store_fp16

    model = ir.load(network(tmp_path))
    weight = model.graph.initializers["k1"]
    weight.const_value = ir.tensor(np.ones((4, 3, 16, 16), np.float32), name="k1")
    assert store_fp16(model) == 1
    points = watch.find_points(model.graph)
    assert points["image"].channels == 3
