"""The comparison of a graph with its original, and that it bites."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from reverie.engines.errors import BundleError
from reverie.export import parity


@pytest.fixture
def doubling(tmp_path: Path) -> Path:
    value = helper.make_tensor_value_info
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("Add", ["x", "x"], ["y"])],
            "doubling",
            [value("x", TensorProto.FLOAT, ["n"])],
            [value("y", TensorProto.FLOAT, ["n"])],
        ),
        opset_imports=[helper.make_opsetid("", 21)],
        ir_version=10,
    )
    onnx.save(model, str(tmp_path / "doubling.onnx"))
    return tmp_path / "doubling.onnx"


INPUTS = [{"x": np.ones(4, np.float32)}, {"x": np.array([3.0, 4.0], np.float32)}]


def test_figures_are_the_worst_over_all_inputs(doubling: Path) -> None:
    figures = parity.compare(doubling, lambda given: {"y": given["x"] * 2.5}, INPUTS)
    assert figures["y"]["max_abs"] == pytest.approx(2.0)
    assert figures["y"]["relative_l2"] == pytest.approx(0.2)
    assert figures["y"]["range"] == pytest.approx(10.0)
    with pytest.raises(BundleError, match=r"doubling: y differs from its original by 0\.2"):
        parity.check("doubling", figures, 0.1)
    parity.check("doubling", figures, 0.3)


def test_the_same_is_the_same(doubling: Path) -> None:
    figures = parity.compare(doubling, lambda given: {"y": given["x"] * 2}, INPUTS)
    assert figures["y"]["max_abs"] == 0.0
    parity.check("doubling", figures, 0.0)


def test_another_shape_or_name_is_no_match(doubling: Path) -> None:
    with pytest.raises(BundleError, match="gives"):
        parity.compare(doubling, lambda given: {"y": given["x"][:1]}, INPUTS)
    with pytest.raises(BundleError, match="nothing"):
        parity.compare(doubling, lambda given: {"z": given["x"]}, INPUTS)


def test_not_a_number_is_never_a_match() -> None:
    figures = {"y": {"max_abs": float("nan"), "relative_l2": float("nan"), "range": 1.0}}
    with pytest.raises(BundleError, match="nan"):
        parity.check("broken", figures, 1.0)
