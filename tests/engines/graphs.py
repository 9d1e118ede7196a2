"""Small graphs with external weights, as bundles have them."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
from onnx import TensorProto, helper

TYPES = {
    "fp32": (TensorProto.FLOAT, np.float32),
    "fp16": (TensorProto.FLOAT16, np.float16),
    "bf16": (TensorProto.BFLOAT16, ml_dtypes.bfloat16),
}


def write_graph(
    path: Path,
    precision: str = "fp16",
    *,
    width: int = 16,
    layers: int = 2,
    strange: bool = False,
) -> Path:
    """Write a chain of matrix products, float32 x (1, n, width) to float32 y of that shape.

    strange: with a node that no library knows in between. Weights lie in `<path>.data`.
    """
    kind, dtype = TYPES[precision]
    rng = np.random.default_rng(0)
    nodes = [helper.make_node("Cast", ["x"], ["h0"], to=kind)]
    tensors = []
    with path.with_name(f"{path.name}.data").open("wb") as data:
        for i in range(layers):
            values = (rng.standard_normal((width, width)) / width**0.5).astype(dtype)
            tensor = TensorProto(name=f"w{i}", data_type=kind, dims=values.shape)
            tensor.data_location = TensorProto.EXTERNAL
            where = {
                "location": f"{path.name}.data",
                "offset": str(data.tell()),
                "length": str(values.nbytes),
            }
            for key, value in where.items():
                tensor.external_data.add(key=key, value=value)
            data.write(values.tobytes())
            tensors.append(tensor)
            nodes.append(helper.make_node("MatMul", [f"h{i}", f"w{i}"], [f"h{i + 1}"], f"layer{i}"))
    last = f"h{layers}"
    if strange:
        nodes.append(helper.make_node("Unheard", [last], ["odd"], "oddity", domain="nowhere"))
        last = "odd"
    nodes.append(helper.make_node("Cast", [last], ["y"], to=TensorProto.FLOAT))
    shape = [1, "n", width]
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        tensors,
    )
    sets = [helper.make_opsetid("", 21), helper.make_opsetid("nowhere", 1)]
    model = helper.make_model(graph, opset_imports=sets, ir_version=10)
    path.write_bytes(model.SerializeToString())
    return path


def profile(width: int = 16) -> dict[str, tuple[tuple[int, ...], ...]]:
    """The sizes to build it for."""
    return {"x": ((1, 1, width), (1, 8, width), (1, 16, width))}
