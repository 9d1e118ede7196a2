"""What graphs compute and move: nodes counted by hand, real networks beside torch's own count."""

from __future__ import annotations

import importlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from reverie.export import cost
from reverie.export.liveness import score_groups
from reverie.export.polynomials import Walk
from reverie.export.source import open_source
from reverie.runtime.cost import KINDS
from reverie.runtime.figures import scaled, value
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

FLOAT, HALF, INT8, UINT8 = (
    TensorProto.FLOAT,
    TensorProto.FLOAT16,
    TensorProto.INT8,
    TensorProto.UINT8,
)
F4 = np.float32


def graph_of(nodes: list[Any], inputs: dict[str, tuple[Any, ...]], **weights: Any) -> Any:
    """A graph; inputs are name -> shape, float32, or with a type before the shape."""
    ports = []
    for name, shape in inputs.items():
        kind, size = shape if isinstance(shape[-1], list) else (FLOAT, list(shape))
        ports.append(helper.make_tensor_value_info(name, kind, size))
    last = [name for name in nodes[-1].output if name]
    graph = helper.make_graph(
        nodes,
        "graph",
        ports,
        [helper.make_tensor_value_info(name, FLOAT, None) for name in last],
        [onnx.numpy_helper.from_array(np.asarray(v), n) for n, v in weights.items()],
    )
    opsets = [helper.make_opsetid("", 23), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def counted(model: Any, *, fused: bool = False, on_cpu: bool = False) -> dict[str, Any]:
    """kind -> (nodes, flops, bytes) of a graph without free sizes."""
    walk = Walk(model, Path())
    known = walk.at({})
    counter = cost.Counter(model, known, on_cpu=on_cpu, fused=fused)
    rows = cost.sum_by_kind(counter.nodes(known))
    return {kind: tuple(row) for kind, row in zip(KINDS, rows.tolist(), strict=True) if row[0]}


def node(kind: str, inputs: str, output: str = "y", domain: str = "", **attributes: Any) -> Any:
    names = ["" if name == "-" else name for name in inputs.split()]
    return helper.make_node(kind, names, output.split(), domain=domain, **attributes)


def zeros(*shape: int, kind: Any = F4) -> Any:
    return np.zeros(shape, kind)


PRODUCTS = {
    # 2 x batch x rows x columns x inner
    "matmul": (node("MatMul", "x w"), {"x": (3, 5, 7)}, {"w": zeros(7, 11)}, 2 * 3 * 5 * 11 * 7),
    "batched": (node("MatMul", "x z"), {"x": (2, 4, 5, 7), "z": (4, 7, 3)}, {}, 2 * 8 * 5 * 3 * 7),
    "vector": (node("MatMul", "x z"), {"x": (7,), "z": (7, 3)}, {}, 2 * 3 * 7),
    "gemm": (
        node("Gemm", "x w b", transA=1, transB=1),
        {"x": (7, 5)},
        {"w": zeros(11, 7), "b": zeros(11)},
        2 * 5 * 11 * 7,
    ),
    "bits": (
        node(
            "MatMulNBits", "x w s", domain="com.microsoft", K=64, N=10, bits=4, block_size=32
        ),
        {"x": (2, 5, 64)},
        {"w": zeros(10, 2, 16, kind=np.uint8), "s": zeros(10, 2)},
        2 * 2 * 5 * 10 * 64,
    ),
    "integer": (
        node("MatMulInteger", "x w"),
        {"x": (UINT8, [5, 7])},
        {"w": zeros(7, 11, kind=np.int8)},
        2 * 5 * 11 * 7,
    ),
    "dynamic": (
        node("DynamicQuantizeMatMul", "x w s", domain="com.microsoft"),
        {"x": (2, 5, 7)},
        {"w": zeros(7, 11, kind=np.int8), "s": zeros(1)},
        2 * 2 * 5 * 11 * 7,
    ),
    "static": (
        node("QLinearMatMul", "x s z w s z s z"),
        {"x": (UINT8, [2, 5, 7])},
        {"w": zeros(7, 11, kind=np.uint8), "s": F4(1), "z": np.uint8(0)},
        2 * 2 * 5 * 11 * 7,
    ),
    "einsum": (node("Einsum", "x z", equation="bij,bkj->bik"), {"x": (2, 3, 4), "z": (2, 5, 4)},
               {}, 2 * 2 * 3 * 5 * 4),
}  # fmt: skip
CONVOLUTIONS = {
    # 2 x outputs x channels in of a group x kernel
    "1-d": (
        node("Conv", "x w", strides=[2], pads=[1, 1]),
        {"x": (1, 4, 20)},
        {"w": zeros(6, 4, 3)},
        2 * (6 * 10) * 4 * 3,
    ),
    "2-d": (
        node("Conv", "x w b", pads=[1, 1, 1, 1]),
        {"x": (2, 4, 9, 8)},
        {"w": zeros(6, 4, 3, 3), "b": zeros(6)},
        2 * (2 * 6 * 72) * 4 * 9,
    ),
    "3-d": (
        node("Conv", "x w", strides=[1, 2, 2]),
        {"x": (1, 4, 5, 9, 9)},
        {"w": zeros(6, 4, 3, 3, 3)},
        2 * (6 * 3 * 4 * 4) * 4 * 27,
    ),
    "groups": (
        node("Conv", "x w", group=4, dilations=[2, 2]),
        {"x": (1, 8, 9, 9)},
        {"w": zeros(12, 2, 3, 3)},
        2 * (12 * 5 * 5) * 2 * 9,
    ),
    "transposed": (
        # Each of its inputs goes to 6 / 2 channels by 4 x 4 places.
        node("ConvTranspose", "x w", group=2, strides=[2, 2]),
        {"x": (1, 4, 5, 7)},
        {"w": zeros(4, 3, 4, 4)},
        2 * (4 * 5 * 7) * 3 * 16,
    ),
    "integer": (
        node("ConvInteger", "x w"),
        {"x": (UINT8, [1, 4, 9, 9])},
        {"w": zeros(6, 4, 3, 3, kind=np.uint8)},
        2 * (6 * 49) * 4 * 9,
    ),
    "static": (
        node("QLinearConv", "x s z w s z s z"),
        {"x": (UINT8, [1, 4, 9, 9])},
        {"w": zeros(6, 4, 3, 3, kind=np.uint8), "s": F4(1), "z": np.uint8(0)},
        2 * (6 * 49) * 4 * 9,
    ),
}
ATTENTIONS = {
    # 2 x heads x queries x keys x (size of a key + size of a value)
    "three": (
        node("MultiHeadAttention", "q k v", domain="com.microsoft", num_heads=4),
        {"q": (2, 5, 32), "k": (2, 9, 32), "v": (2, 9, 16)},
        2 * 2 * 4 * 5 * 9 * (8 + 4),
    ),
    "by head": (
        node("MultiHeadAttention", "q k v", domain="com.microsoft", num_heads=4),
        {"q": (1, 5, 32), "k": (1, 4, 9, 8), "v": (1, 4, 9, 8)},
        2 * 4 * 5 * 9 * (8 + 8),
    ),
    "packed": (
        node("MultiHeadAttention", "q", domain="com.microsoft", num_heads=4),
        {"q": (2, 5, 4, 3, 8)},
        2 * 2 * 4 * 5 * 5 * (8 + 8),
    ),
    "of onnx, 4-d": (
        node("Attention", "q k v"),
        {"q": (2, 6, 5, 8), "k": (2, 2, 9, 8), "v": (2, 2, 9, 4)},
        2 * 2 * 6 * 5 * 9 * (8 + 4),
    ),
    "of onnx, 3-d": (
        node("Attention", "q k v", q_num_heads=6, kv_num_heads=2),
        {"q": (2, 5, 48), "k": (2, 9, 16), "v": (2, 9, 8)},
        2 * 2 * 6 * 5 * 9 * (8 + 4),
    ),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_matrix_products(name: str) -> None:
    one, inputs, weights, expected = PRODUCTS[name]
    assert counted(graph_of([one], inputs, **weights))["matmul"][:2] == (1, expected)


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions(name: str) -> None:
    one, inputs, weights, expected = CONVOLUTIONS[name]
    assert counted(graph_of([one], inputs, **weights))["convolution"][:2] == (1, expected)


@pytest.mark.parametrize("name", ATTENTIONS)
def test_attention(name: str) -> None:
    one, inputs, expected = ATTENTIONS[name]
    assert counted(graph_of([one], inputs))["attention"][:2] == (1, expected)


def test_attention_that_makes_its_own_query_key_and_value() -> None:
    one = node("Attention", "x w b", domain="com.microsoft", num_heads=4)
    model = graph_of([one], {"x": (2, 5, 32)}, w=zeros(32, 96), b=zeros(96))
    assert counted(model)["attention"][1] == 2 * 2 * 5 * 32 * 96 + 2 * 2 * 5 * 5 * 64


ELEMENTWISE = {
    # operations, bytes; x is 2 x 6 x 4 numbers of four bytes
    "add": (node("Add", "x z"), 48, 4 * (48 + 4 + 48)),
    "softmax": (node("Softmax", "x", axis=-1), 5 * 48, 4 * 96),
    "layer norm": (node("LayerNormalization", "x w"), 7 * 48, 4 * (96 + 4)),
    "sum": (node("ReduceSum", "x a", keepdims=0), 48, 4 * (48 + 8) + 8),
    "cast": (node("Cast", "x", to=HALF), 0, 48 * 6),
    "transpose": (node("Transpose", "x", perm=[2, 0, 1]), 0, 4 * 96),
    "concat": (node("Concat", "x x", axis=0), 0, 4 * (48 + 96)),
    "slice": (node("Slice", "x b e a"), 0, 4 * 2 * 16 + 3 * 8),  # of the rest nothing is read
    "reshape": (node("Reshape", "x s"), 0, 0),
    "pad": (node("Pad", "x p"), 0, 4 * (48 + 72) + 48),
    "resize": (node("Resize", "x - f", mode="linear"), 7 * 96, 4 * (48 + 96) + 12),
    "nearest": (node("Resize", "x - f", mode="nearest"), 0, 4 * (48 + 96) + 12),
}


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_the_rest(name: str) -> None:
    one, flops, moved = ELEMENTWISE[name]
    given = set(one.input)
    weights = {
        "w": zeros(4),
        "a": np.array([1]),
        "b": np.array([1]),
        "e": np.array([3]),
        "s": np.array([-1]),
        "p": np.array([0, 0, 0, 1, 0, 0]),
        "f": np.array([1, 1, 2], F4),
    }
    inputs = {"x": (2, 6, 4), "z": (4,)}
    model = graph_of(
        [one],
        {name: shape for name, shape in inputs.items() if name in given},
        **{name: held for name, held in weights.items() if name in given},
    )
    assert counted(model) == {"elementwise": (1, flops, moved)}


def test_what_widens_a_weight_is_part_of_reading_it() -> None:
    widened = [
        node("DequantizeLinear", "w s", "d", axis=1),
        node("Transpose", "d", "t", perm=[1, 0]),
        node("MatMul", "x t"),
    ]
    weights = {"w": zeros(11, 7, kind=np.int8), "s": zeros(7)}
    model = graph_of(widened, {"x": (5, 7)}, **weights)
    expected = (1, 2 * 5 * 11 * 7, 4 * 5 * 7 + (77 + 28) + 4 * 5 * 11)
    assert counted(model) == {"matmul": expected}
    # A processor runs both nodes each time; without the second one the product takes the first.
    assert {kind: row[0] for kind, row in counted(model, on_cpu=True).items()} == {
        "matmul": 1,
        "elementwise": 2,
    }
    plain = [node("DequantizeLinear", "w s", "d", axis=1), node("MatMul", "x d")]
    weights["w"] = weights["w"].T.copy()
    weights["s"] = zeros(11)
    model = graph_of(plain, {"x": (5, 7)}, **weights)
    expected = (1, 2 * 5 * 11 * 7, 4 * 5 * 7 + (77 + 44) + 4 * 5 * 11)
    assert counted(model) == counted(model, on_cpu=True) == {"matmul": expected}


def test_a_processor_widens_half_precision_each_time_unless_it_can_once() -> None:
    nodes = [node("Cast", "w", "d", to=FLOAT), node("MatMul", "x d")]
    model = graph_of(nodes, {"x": (5, 7)}, w=zeros(7, 11, kind=np.float16))
    rest = 4 * (35 + 55)
    assert counted(model)["matmul"][2] == rest + 2 * 77
    assert counted(model, on_cpu=True) == {"matmul": (1, 2 * 5 * 77, rest + 4 * 77)}
    # As large bundles have them, which must not lie in memory twice.
    model.graph.input.append(helper.make_tensor_value_info("w", HALF, [7, 11]))
    found = counted(model, on_cpu=True)
    assert found["matmul"][2] == rest + 4 * 77
    assert found["elementwise"] == (1, 0, 6 * 77)
    walk = Walk(model, Path())
    known = walk.at({})
    figures = {
        on_cpu: cost.Counter(model, known, on_cpu=on_cpu, fused=False).weight_bytes(known)
        for on_cpu in (False, True)
    }
    assert figures == {False: 2 * 77, True: 2 * 77}


def test_attention_in_pieces_is_attention_and_its_scores_are_not_moved_where_it_is_fused() -> None:
    nodes = [
        node("Transpose", "x", "t", perm=[0, 2, 1]),
        node("MatMul", "x t", "scores"),
        node("Mul", "scores scale", "scaled"),
        node("Softmax", "scaled", "shares", axis=-1),
        node("MatMul", "shares x"),
    ]
    model = graph_of(nodes, {"x": (2, 30, 8)}, scale=F4(0.3))
    small, scores = 4 * 2 * 30 * 8, 4 * 2 * 30 * 30
    found = counted(model)
    assert found["attention"] == (4, 4 * 2 * 30 * 30 * 8, 4 * small + 6 * scores + 4)
    assert found["elementwise"] == (1, 0, 2 * small)
    fused = counted(model, fused=True)
    assert fused["attention"] == (4, 4 * 2 * 30 * 30 * 8, 4 * small + 4)


def test_a_cast_to_its_own_type_is_left_out() -> None:
    nodes = [node("Cast", "x", "c", to=FLOAT), node("Add", "c z")]
    model = graph_of(nodes, {"x": (6,), "z": (6,)})
    assert counted(model) == counted(model, on_cpu=True) == {"elementwise": (1, 6, 4 * 18)}


def test_a_softmax_that_stands_alone_is_no_attention() -> None:
    nodes = [node("MatMul", "x w", "a"), node("Softmax", "a", axis=-1)]
    model = graph_of(nodes, {"x": (5, 7)}, w=zeros(7, 11))
    assert score_groups(model.graph, Walk(model, Path()).at({}))
    assert set(counted(model)) == {"matmul", "elementwise"}


CHECKPOINTS = ("svd", "ltx", "wan")


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_products_are_as_many_as_torch_counts(name: str, tiny_bundles: Any) -> None:
    folder = tiny_bundles[name]
    family = importlib.import_module(f"reverie.export.families.{name}")
    components = json.loads((folder / "bundle.json").read_text())["components"]
    recipes = {one.name: one for one in family.recipes(open_source(folder.parent / "checkpoint"))}
    assert set(components) <= set(recipes)
    for component, entry in components.items():
        recipe = recipes[component]
        examples = recipe.other_examples()
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            module = recipe.build().float().eval()
            with FlopCounterMode(display=False) as counter:
                module(**examples)
        shapes = {key: tuple(tensor.shape) for key, tensor in examples.items()}
        for graph in ("main", "cpu"):
            figures = entry["cost"].get(graph, entry["cost"]["main"])
            sizes = sizes_in(entry, shapes)
            at = [sizes[size] for size in figures["sizes"]]
            found = sum(
                value(work["flops"], at)
                for kind, work in figures["work"].items()
                if kind != "elementwise"
            )
            assert found == pytest.approx(counter.get_total_flops(), rel=1e-9), (component, graph)


def sizes_in(entry: dict[str, Any], shapes: dict[str, tuple[int, ...]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for port in entry["inputs"]:
        for size, actual in zip(port["shape"], shapes[port["name"]], strict=True):
            if isinstance(size, str):
                name, times = scaled(size)
                found[name] = actual // times
    return found


@pytest.mark.parametrize(
    ("name", "component", "sizes"),
    [
        ("wan", "denoiser", {"tokens": 300, "text_tokens": 7}),
        ("svd", "denoiser", {"frames": 5, "rows": 24, "columns": 40}),
        ("ltx", "vae_decoder", {"frames": 3, "rows": 5, "columns": 7}),
    ],
)
def test_figures_are_those_of_the_graph_at_sizes_they_were_not_made_from(
    name: str, component: str, sizes: dict[str, int], tiny_bundles: Any
) -> None:
    folder = tiny_bundles[name]
    entry = json.loads((folder / "bundle.json").read_text())["components"][component]
    model = onnx.load(folder / entry["file"], load_external_data=False)
    walk = Walk(model, folder)
    assert set(walk.names) == set(sizes)
    known = walk.at(sizes)
    for graph, fused in (("main", False), ("fused", True)):
        counter = cost.Counter(model, known, on_cpu=False, fused=fused)
        rows = cost.sum_by_kind(counter.nodes(known))
        figures = entry["cost"].get(graph, entry["cost"]["main"])
        at = [sizes[size] for size in figures["sizes"]]
        for kind, (count, flops, moved) in zip(KINDS, rows.tolist(), strict=True):
            work = figures["work"].get(kind, {"nodes": 0, "flops": [], "bytes": []})
            assert work["nodes"] == count
            assert value(work["flops"], at) == pytest.approx(flops, rel=1e-6)
            assert value(work["bytes"], at) == pytest.approx(moved, rel=1e-3)
        assert figures["weights"] == counter.weight_bytes(known)


def test_the_command_adds_them_to_an_older_bundle(tmp_path: Path, capsys: Any) -> None:
    toy = Path(__file__).resolve().parents[1] / "data" / "bundles" / "toy-ember"
    folder = Path(shutil.copytree(toy, tmp_path / "toy"))
    whole = json.loads((folder / "bundle.json").read_text())
    bare = json.loads((folder / "bundle.json").read_text())
    for entry in bare["components"].values():
        entry.pop("cost")
    (folder / "bundle.json").write_text(json.dumps(bare))
    assert cost.main([str(folder)]) == 0
    assert json.loads((folder / "bundle.json").read_text()) == whole
    assert cost.main([str(tmp_path)]) == 4
    assert "no bundle" in capsys.readouterr().err


def test_the_heaviest_nodes_are_printed(toy_bundle: Path, capsys: Any) -> None:
    at = ["--at", "height=64", "--at", "width=96"]
    assert cost.main([str(toy_bundle), "--nodes", "maps", *at, "--graph", "main"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].split()[1] == "nodes,"
    assert told[2].startswith("Softmax ")
    assert cost.main([str(toy_bundle), "--nodes", "maps"]) == 2
    assert "--at height=N --at width=N" in capsys.readouterr().err
    assert cost.main([str(toy_bundle), "--nodes", "nobody"]) == 2
    assert "no network nobody" in capsys.readouterr().err


def test_files_that_onnx_does_not_read_are_one_line(
    toy_bundle: Path, monkeypatch: Any, capsys: Any
) -> None:
    before = (toy_bundle / "bundle.json").read_bytes()

    def refused(folder: Path, entry: Any) -> Any:
        raise onnx.checker.ValidationError("it has multiple hard links\nand more")

    monkeypatch.setattr(cost, "component_cost", refused)
    assert cost.main([str(toy_bundle)]) == 4
    told = capsys.readouterr().err
    assert "multiple hard links" in told
    assert told.count("\n") == 1
    assert (toy_bundle / "bundle.json").read_bytes() == before
