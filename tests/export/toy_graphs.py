"""Small graphs with every kind of product, and bundles of them, to quantise."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
from onnx import TensorProto, helper
from reverie.export import store
from reverie.runtime.bundle import MANIFEST, hash_file

TYPES = {
    "fp32": (TensorProto.FLOAT, np.dtype(np.float32)),
    "fp16": (TensorProto.FLOAT16, np.dtype(np.float16)),
    "bf16": (TensorProto.BFLOAT16, np.dtype(ml_dtypes.bfloat16)),
}


class Toy:
    """A graph that grows node by node; inputs and outputs are float32."""

    def __init__(self, precision: str = "fp16", seed: int = 0) -> None:
        self.kind, self.numpy = TYPES[precision]
        self.random = np.random.default_rng(seed)
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self.inputs: dict[str, list[int | str]] = {}
        self.outputs: list[str] = []

    def input(self, name: str, *shape: int | str) -> str:
        """Add an input; returns what it is inside."""
        self.inputs[name] = list(shape)
        return self.node("Cast", [name], to=self.kind)

    def weight(self, name: str, values: Any) -> str:
        """Add a weight, or one of normal numbers where a shape is given."""
        if isinstance(values, tuple):
            values = self.random.standard_normal(values) / np.sqrt(np.prod(values[1:]))
        stored = np.asarray(values, np.float32).astype(self.numpy)
        tensor = onnx.TensorProto(
            name=name, data_type=self.kind, dims=stored.shape, raw_data=stored.tobytes()
        )
        self.weights.append(tensor)
        return name

    def node(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        """Add a node; returns what it gives."""
        name = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [f"v{name}"], name, **attributes))
        return f"v{name}"

    def output(self, value: str) -> None:
        """Give a value out."""
        self.outputs.append(f"out{len(self.outputs)}")
        self.nodes.append(
            helper.make_node("Cast", [value], [self.outputs[-1]], to=TensorProto.FLOAT)
        )

    def model(self) -> ir.Model:
        """The graph, checked."""
        graph = helper.make_graph(
            self.nodes,
            "toy",
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
                for name, shape in self.inputs.items()
            ],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in self.outputs],
            self.weights,
        )
        proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
        proto.ir_version = 10
        inferred = onnx.shape_inference.infer_shapes(proto)
        return ir.serde.deserialize_model(inferred)


def every_kind(precision: str = "fp16", seed: int = 0) -> Toy:
    """MatMul, Gemm both ways, Conv in 1, 2 and 3 dimensions, odd and even sizes."""
    toy = Toy(precision, seed)
    x = toy.input("x", 1, "rows", 64)
    up = toy.node("MatMul", [x, toy.weight("up.weight", (64, 96))])
    up = toy.node("Add", [up, toy.weight("up.bias", np.linspace(-1, 1, 96))])
    down = toy.node("MatMul", [toy.node("Tanh", [up]), toy.weight("down.weight", (96, 40))])
    toy.output(down)
    flat = toy.input("flat", "rows", 65)
    gemm = toy.node(
        "Gemm",
        [flat, toy.weight("odd.weight", (33, 65)), toy.weight("odd.bias", np.ones(33))],
        transB=1,
    )
    gemm = toy.node("Gemm", [gemm, toy.weight("plain.weight", (33, 16))])
    toy.output(gemm)
    for number in (1, 2, 3):
        name = f"picture{number}"
        picture = toy.input(name, 1, 12, *(14 + k for k in range(number)))
        weight = toy.weight(f"conv{number}.weight", (10, 12, *[3] * number))
        bias = toy.weight(f"conv{number}.bias", np.zeros(10))
        toy.output(toy.node("Conv", [picture, weight, bias], pads=[1] * 2 * number))
    return toy


def feed(toy: Toy, rows: int = 5, seed: int = 1) -> dict[str, np.ndarray]:
    """Normal numbers for each input."""
    random = np.random.default_rng(seed)
    return {
        name: random.standard_normal(
            [rows if isinstance(size, str) else size for size in shape]
        ).astype(np.float32)
        for name, shape in toy.inputs.items()
    }


def write(model: ir.Model, path: Path) -> Path:
    """Write a graph with its weights beside it."""
    store.write(model, path.with_name(f"{path.name}.data"))
    store.write_graph(model, path)
    return path


def run(path: Path, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Run a graph on ONNX Runtime's CPU provider."""
    from reverie.engines.engine import open_engine

    with open_engine(path, device="cpu") as engine:
        return engine.run(inputs)


def relative(ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Relative L2 error of each output."""
    return {
        name: float(np.linalg.norm(ours[name] - theirs[name]) / np.linalg.norm(theirs[name]))
        for name in theirs
    }


def bundle(
    folder: Path, toys: Mapping[str, Toy], precision: str = "fp16", family: str = "toy"
) -> Path:
    """A bundle of such graphs."""
    from reverie.export import graph, widen

    folder.mkdir(parents=True)
    components = {}
    for name, toy in toys.items():
        model = toy.model()
        data = store.write(model, folder / f"{name}.onnx.data")
        entry: dict[str, Any] = store.write_graph(model, folder / f"{name}.onnx")
        if data is not None:
            entry["data"] = [data]
        entry["precision"] = precision
        entry["inputs"] = graph.ports(list(model.graph.inputs))
        entry["outputs"] = graph.ports(list(model.graph.outputs))
        if precision != "fp32":
            widen.widen(model)
            entry["cpu"] = store.write_graph(model, folder / f"{name}.cpu.onnx")
        components[name] = entry
    (folder / "LICENSE").write_text("Do as you like.\n")
    manifest = {
        "format": 1,
        "family": family,
        "name": "toy",
        "version": "1",
        "license": "MIT",
        "components": components,
        "files": {"LICENSE": hash_file(folder / "LICENSE")},
        "latents": {"channels": 4},
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
    return folder


def write_plainly(model: ir.Model, path: Path) -> Path:
    """Write a graph whose weights are in a file already."""
    store.write_graph(model, path)
    return path


def ranges(folder: Path, component: str) -> dict[str, Any]:
    """A range for every activation of a component."""
    from reverie.export.layers import find_layers
    from reverie.export.ranges import Range
    from reverie.runtime.bundle import load_bundle

    graph = ir.load(load_bundle(folder).path(component)).graph
    return {
        name: Range(5.0, 4.0, np.full(layer.shape[layer.inner], 4.0, np.float32))
        for layer in find_layers(graph)[0]
        for name in layer.activations
    }
