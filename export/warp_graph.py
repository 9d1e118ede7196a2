"""Make runtime/graphs/warp.onnx: a picture drawn through maps of coordinates, as one small graph.

    python -m reverie.export.warp_graph

It samples as OpenCV's remap does: linear, mirrored about the outer pixels, rounded half to even.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 18
OUT = Path(__file__).parent.parent / "runtime" / "graphs" / "warp.onnx"


def warp_graph() -> onnx.ModelProto:
    """picture (H, W, 3) uint8, map_x and map_y (h, w) float32 pixels -> frame (h, w, 3) uint8."""

    def constant(name: str, value: object, dtype: type) -> onnx.TensorProto:
        return numpy_helper.from_array(np.array(value, dtype), name)

    nodes = [
        ("Shape", ["picture"], ["shape"], {}),
        ("Cast", ["shape"], ["sizes"], {"to": TensorProto.FLOAT}),
        ("Gather", ["sizes", "first"], ["tall"], {"axis": 0}),
        ("Gather", ["sizes", "second"], ["wide"], {"axis": 0}),
        # Pixel 0 is -1 and the last pixel is 1: align_corners.
        ("Sub", ["wide", "one"], ["last_x"], {}),
        ("Sub", ["tall", "one"], ["last_y"], {}),
        ("Mul", ["map_x", "two"], ["twice_x"], {}),
        ("Mul", ["map_y", "two"], ["twice_y"], {}),
        ("Div", ["twice_x", "last_x"], ["share_x"], {}),
        ("Div", ["twice_y", "last_y"], ["share_y"], {}),
        ("Sub", ["share_x", "one"], ["grid_x"], {}),
        ("Sub", ["share_y", "one"], ["grid_y"], {}),
        ("Unsqueeze", ["grid_x", "ends"], ["column_x"], {}),
        ("Unsqueeze", ["grid_y", "ends"], ["column_y"], {}),
        ("Concat", ["column_x", "column_y"], ["grid"], {"axis": -1}),
        ("Cast", ["picture"], ["levels"], {"to": TensorProto.FLOAT}),
        ("Transpose", ["levels"], ["planes"], {"perm": [2, 0, 1]}),
        ("Unsqueeze", ["planes", "batch"], ["source"], {}),
        (
            "GridSample",
            ["source", "grid"],
            ["sampled"],
            {"mode": "bilinear", "padding_mode": "reflection", "align_corners": 1},
        ),
        ("Squeeze", ["sampled", "batch"], ["drawn"], {}),
        ("Round", ["drawn"], ["rounded"], {}),
        ("Clip", ["rounded", "black", "white"], ["kept"], {}),
        ("Cast", ["kept"], ["bytes"], {"to": TensorProto.UINT8}),
        ("Transpose", ["bytes"], ["frame"], {"perm": [1, 2, 0]}),
    ]
    constants = [
        constant("first", 0, np.int64),
        constant("second", 1, np.int64),
        constant("one", 1.0, np.float32),
        constant("two", 2.0, np.float32),
        constant("black", 0.0, np.float32),
        constant("white", 255.0, np.float32),
        constant("ends", [0, 3], np.int64),
        constant("batch", [0], np.int64),
    ]
    graph = helper.make_graph(
        [helper.make_node(kind, takes, gives, **more) for kind, takes, gives, more in nodes],
        "warp",
        [
            helper.make_tensor_value_info("picture", TensorProto.UINT8, ["H", "W", 3]),
            helper.make_tensor_value_info("map_x", TensorProto.FLOAT, ["h", "w"]),
            helper.make_tensor_value_info("map_y", TensorProto.FLOAT, ["h", "w"]),
        ],
        [helper.make_tensor_value_info("frame", TensorProto.UINT8, ["h", "w", 3])],
        constants,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9, producer_name="reverie"
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def main() -> None:
    """Write the graph where the runtime looks for it."""
    OUT.parent.mkdir(exist_ok=True)
    onnx.save(warp_graph(), OUT)


if __name__ == "__main__":
    main()
