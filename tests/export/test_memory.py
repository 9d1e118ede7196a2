"""Memory of activations: small graphs counted by hand, real ones beside what ONNX Runtime does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper
from reverie.export import memory
from reverie.export.liveness import Plan, order
from reverie.export.polynomials import bound
from reverie.export.sizes import follow, weights_of

FLOAT = TensorProto.FLOAT


def saved(
    folder: Path, nodes: list[Any], inputs: dict[str, list[Any]], outputs: list[str], **weights: Any
) -> Path:
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(n, FLOAT, shape) for n, shape in inputs.items()],
        [helper.make_tensor_value_info(n, FLOAT, None) for n in outputs],
        [onnx.numpy_helper.from_array(np.asarray(v), n) for n, v in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    path = folder / "graph.onnx"
    onnx.save(model, path)
    return path


def test_a_chain_holds_two_values_at_a_time(tmp_path: Path) -> None:
    # x is the caller's; a is 4 times, b 8 times, c as large as x.
    nodes = [
        helper.make_node("Concat", ["x"] * 4, ["a"], axis=0),
        helper.make_node("Concat", ["a"] * 2, ["b"], axis=0),
        helper.make_node("ReduceMax", ["b", "axes"], ["c"], keepdims=1),
    ]
    path = saved(tmp_path, nodes, {"x": [1, "rows", "columns"]}, ["c"], axes=np.array([0]))
    figures = memory.graph_memory(path)
    assert figures is not None
    assert figures["sizes"] == ["rows", "columns"]
    assert memory.evaluate(figures, {"rows": 10, "columns": 7}) == 4 * 70 * (1 + 4 + 8)
    assert figures["weights"] == 8
    assert figures["folded"] == 0


def test_what_is_worked_in_place_counts_once_where_that_is_known_ahead(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Concat", ["x", "x"], ["a"], axis=0),
        helper.make_node("Sigmoid", ["a"], ["b"]),
        helper.make_node("Reshape", ["b", "shape"], ["c"]),
        helper.make_node("Sigmoid", ["c"], ["d"]),
    ]
    path = saved(tmp_path, nodes, {"x": [1, 4, "n"]}, ["d"], shape=np.array([-1, 2]))
    figures = memory.graph_memory(path)
    assert figures is not None
    # b over a; c is b seen otherwise, but its size is not known before it runs: d beside it.
    assert memory.evaluate(figures, {"n": 100}) == 4 * 400 * (1 + 2 + 2)
    fused = memory.graph_memory(path, fused=True)
    assert fused is not None
    assert memory.evaluate(fused, {"n": 100}) == 4 * 400 * (1 + 2)


def test_whole_attention_scores_count_but_where_attention_is_fused(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["x", "t"], ["scores"]),
        helper.make_node("Mul", ["scores", "scale"], ["scaled"]),
        helper.make_node("Softmax", ["scaled"], ["shares"], axis=-1),
        helper.make_node("MatMul", ["shares", "x"], ["y"]),
    ]
    path = saved(tmp_path, nodes, {"x": [1, "n", 8]}, ["y"], scale=np.float32(0.3))
    whole, fused = memory.graph_memory(path), memory.graph_memory(path, fused=True)
    assert whole is not None
    assert fused is not None
    n = 1000
    assert memory.evaluate(whole, {"n": n}) >= 4 * n * n
    assert memory.evaluate(fused, {"n": n}) <= 4 * n * 8 * 4


def test_one_buffer_for_each_shape_of_widened_weights_stays(tmp_path: Path) -> None:
    shapes = {"w0": (64, 64), "v": (64, 32), "u": (32, 64), "w1": (64, 64)}
    names, value = tuple(shapes), "x"
    nodes = [helper.make_node("Cast", [name], [f"{name}.wide"], to=FLOAT) for name in names]
    for i, name in enumerate(names):
        nodes.append(helper.make_node("MatMul", [value, f"{name}.wide"], [f"y{i}"]))
        value = f"y{i}"
    path = saved(
        tmp_path,
        nodes,
        {"x": ["n", 64]},
        ["y3"],
        **{name: np.zeros(shape, np.float16) for name, shape in shapes.items()},
    )
    model = onnx.load(path)
    for tensor in model.graph.initializer:  # as large bundles have them: nothing is folded
        port = helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        model.graph.input.append(port)
    onnx.save(model, path)
    figures = memory.graph_memory(path)
    assert figures is not None
    assert figures["folded"] == 0
    wide = 4 * 64 * 64
    # At the second product: the buffer that waits for w1, one for v, x, y0 and y1.
    assert memory.evaluate(figures, {"n": 1}) == wide + wide // 2 + 4 * (64 + 64 + 32)


def test_nodes_run_in_the_order_in_which_onnx_runtime_runs_them(tmp_path: Path) -> None:
    # Of two branches that meet, the one that stands later in the file is worked out first.
    nodes = [
        helper.make_node("Sin", ["x"], ["short"], name="short"),
        helper.make_node("Cos", ["x"], ["long1"], name="long1"),
        helper.make_node("Exp", ["long1"], ["long2"], name="long2"),
        helper.make_node("Concat", ["short", "long2"], ["y"], name="join", axis=0),
    ]
    assert [nodes[i].name for i in order(nodes)] == ["long1", "long2", "short", "join"]
    path = saved(tmp_path, nodes, {"x": [4]}, ["y"])
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.enable_profiling = True
    options.profile_file_prefix = str(tmp_path / "profile")
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    session.run(None, {"x": np.ones(4, np.float32)})
    told = [
        e for e in json.loads(Path(session.end_profiling()).read_text()) if e.get("cat") == "Node"
    ]
    ran = [e["name"].removesuffix("_kernel_time") for e in sorted(told, key=lambda e: e["ts"])]
    assert [name for name in ran if name in {n.name for n in nodes}] == [
        "long1",
        "long2",
        "short",
        "join",
    ]


GRAPHS = [
    ("svd", "denoiser", {"frames": 3, "rows": 8, "columns": 12}),
    ("svd", "vae_decoder", {"frames": 2, "rows": 6, "columns": 5}),
    ("ltx", "denoiser", {"tokens": 24, "length": 11}),
    ("ltx", "text_encoder", {"length": 9}),
    ("ltx", "vae_encoder", {"height": 32, "width": 64}),
    ("wan", "denoiser", {"tokens": 18, "text_tokens": 7}),
    ("wan", "vae_decoder", {"latent_height": 3, "latent_width": 5}),
]


@pytest.mark.parametrize("case", GRAPHS, ids=lambda case: f"{case[0]}-{case[1]}")
def test_every_value_has_the_size_that_it_has_when_it_runs(case: Any, tiny_bundles: Any) -> None:
    name, component, sizes = case
    folder = tiny_bundles[name]
    entry = json.loads((folder / "bundle.json").read_text())["components"][component]
    path = folder / entry.get("cpu", entry)["file"]
    model = onnx.load(path, load_external_data=False)
    weights = weights_of(model, folder)
    ports = [port for port in model.graph.input if port.name not in weights]
    shapes = {port.name: bound(port, sizes) for port in ports}
    known = follow(model, weights, shapes)
    floats = [
        value
        for node in model.graph.node
        for value in node.output
        if value and known[value].kind == FLOAT and known[value].value is None
    ][:: max(len(model.graph.node) // 60, 1)]
    asked = [name for name in floats if name not in {p.name for p in model.graph.output}]
    for value in asked:
        model.graph.output.append(helper.make_tensor_value_info(value, FLOAT, None))
    onnx.save(model, folder / "asked.onnx")
    try:
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = ort.InferenceSession(
            folder / "asked.onnx", options, providers=["CPUExecutionProvider"]
        )
        random = np.random.default_rng(0)
        given = {
            port.name: random.random(shapes[port.name]).astype(np.float32)
            if port.type.tensor_type.elem_type == FLOAT
            else np.ones(shapes[port.name], np.int64)
            for port in ports
        }
        outputs = [port.name for port in session.get_outputs()]
        found = dict(zip(outputs, session.run(None, given), strict=True))
    finally:
        (folder / "asked.onnx").unlink()
    assert asked
    for value, array in found.items():
        assert known[value].shape == array.shape, value


def test_figures_are_those_of_the_graph_at_sizes_they_were_not_made_from(tiny_bundles: Any) -> None:
    folder = tiny_bundles["wan"]
    entry = json.loads((folder / "bundle.json").read_text())["components"]["denoiser"]
    path = folder / entry["file"]
    figures = memory.graph_memory(path)
    model = onnx.load(path, load_external_data=False)
    weights = weights_of(model, folder)
    ports = [port for port in model.graph.input if port.name not in weights]
    assert figures is not None
    for tokens, words in ((7, 512), (300, 3), (5000, 512)):
        sizes = {"tokens": tokens, "text_tokens": words}
        known = follow(model, weights, {p.name: bound(p, sizes) for p in ports})
        live = Plan(model, known).live_bytes(known).max()
        assert memory.evaluate(figures, sizes) == pytest.approx(live, rel=0.011)


def test_export_writes_figures_for_every_component(tiny_bundles: Any) -> None:
    for name in ("svd", "ltx", "wan"):
        components = json.loads((tiny_bundles[name] / "bundle.json").read_text())["components"]
        for entry in components.values():
            assert {"main"} <= set(entry["memory"]) <= {"main", "cpu", "fused"}
            assert len(json.dumps(entry["memory"])) < 6000


def test_the_command_adds_them_to_an_older_bundle(tmp_path: Path, capsys: Any) -> None:
    toy = Path(__file__).resolve().parents[1] / "data" / "bundles" / "toy-ember"
    folder = Path(shutil.copytree(toy, tmp_path / "toy"))
    before = json.loads((folder / "bundle.json").read_text())
    assert memory.main([str(folder)]) == 0
    after = json.loads((folder / "bundle.json").read_text())
    assert all("memory" in entry for entry in after["components"].values())
    for entry in after["components"].values():
        entry.pop("memory")
    for entry in before["components"].values():
        entry.pop("memory", None)
    assert after == before
    assert memory.main([str(tmp_path)]) == 4
    assert "no bundle" in capsys.readouterr().err


def test_a_graph_that_cannot_be_followed_is_left_out(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("NonZero", ["x"], ["where"]),
        helper.make_node("Shape", ["where"], ["shape"]),
        helper.make_node("ConstantOfShape", ["shape"], ["y"]),
    ]
    path = saved(tmp_path, nodes, {"x": ["n"]}, ["y"])
    entry = {"file": path.name, "bytes": path.stat().st_size}
    found = memory.component_memory(tmp_path, entry)
    assert all(
        set(figures) == {"sizes", "peaks", "weights", "folded"} for figures in found.values()
    )
