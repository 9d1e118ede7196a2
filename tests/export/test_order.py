"""The order of nodes: what is near the inputs comes first, and the graph stays the same."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime
from reverie.export.order import shallow_first

FLOAT = ir.TensorType(ir.DataType.FLOAT)


def blocks(count: int) -> ir.Model:
    """Blocks x' = tanh(x) + (level + b), the sum written after the tanh, as modules are traced."""
    x, level = (ir.Value(name=name, shape=ir.Shape([1, 4]), type=FLOAT) for name in ("x", "level"))
    nodes: list[ir.Node] = []
    weights = []
    now = x
    for number in range(count):
        weight = ir.Value(name=f"b{number}", shape=ir.Shape([1, 4]), type=FLOAT)
        weight.const_value = ir.tensor(np.full((1, 4), 0.1 * number, np.float32), name=weight.name)
        weights.append(weight)
        bent = ir.node("Tanh", [now], name=f"tanh{number}")
        told = ir.node("Add", [level, weight], name=f"told{number}")
        both = ir.node("Add", [bent.outputs[0], told.outputs[0]], name=f"both{number}")
        nodes += [bent, told, both]
        now = both.outputs[0]
    now.shape, now.type = ir.Shape([1, 4]), FLOAT
    graph = ir.Graph(
        [x, level], [now], nodes=nodes, initializers=weights, opset_imports={"": 21}, name="blocks"
    )
    return ir.Model(graph, ir_version=10)


def answer(model: ir.Model) -> np.ndarray:
    session = onnxruntime.InferenceSession(ir.serde.serialize_model(model).SerializeToString())
    given = {"x": np.ones((1, 4), np.float32), "level": np.full((1, 4), 0.3, np.float32)}
    return session.run(None, given)[0]


def test_the_short_way_stands_before_the_long_one() -> None:
    model = blocks(5)
    before = answer(model)
    shallow_first(model)
    names = [node.name for node in model.graph]
    assert sorted(names[:6]) == ["tanh0", *(f"told{number}" for number in range(5))]
    assert names[6:] == [
        "both0", "tanh1", "both1", "tanh2", "both2", "tanh3", "both3", "tanh4", "both4",
    ]  # fmt: skip
    np.testing.assert_array_equal(answer(model), before)


def test_sorting_again_changes_nothing() -> None:
    model = blocks(3)
    shallow_first(model)
    names = [node.name for node in model.graph]
    shallow_first(model)
    assert [node.name for node in model.graph] == names
