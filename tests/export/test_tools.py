"""Bundles of tools: how they are made, and those that ship."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from reverie.engines.errors import BundleError
from reverie.export import tools
from reverie.export.recipe import Origin, ReadyRecipe
from reverie.runtime.bundle import EMBEDDED, TOOLS, embedded_models, load_bundle
from reverie.runtime.take import find_family

LICENCES = {
    "restore": ("BSD-3-Clause", "Xintao Wang"),
    "rife": ("MIT", "hzwer"),
    "sface": ("Apache-2.0", "Apache License"),
    "span": ("Apache-2.0", "Apache License"),
}


@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_that_ships_is_whole_and_licensed(name: str) -> None:
    bundle = load_bundle(name)
    bundle.verify()
    licence, whose = LICENCES[name]
    assert bundle.manifest["license"] == licence
    for entry in bundle.manifest["components"].values():
        assert entry["license"] == licence
        assert len(entry["original"]["sha256"]) == 64
        assert whose in (bundle.folder / entry["license_file"]).read_text()
        for figures in entry["parity"]["outputs"].values():
            assert figures["relative_l2"] < 3e-3
    assert set(bundle.manifest["files"]) >= {"MODEL_CARD.md", entry["license_file"]}


def test_tools_are_no_models() -> None:
    assert not set(embedded_models()) & set(TOOLS)
    assert {tool.name for tool in tools.tools(Path())} == set(TOOLS)
    with pytest.raises(BundleError, match="'rife' makes no films"):
        find_family(load_bundle("rife"))


@pytest.mark.parametrize(
    ("name", "component", "factor"), [("span", "x2", 2), ("span", "x4", 4), ("restore", "photo", 4)]
)
def test_what_enlarges_takes_any_size(name: str, component: str, factor: int) -> None:
    image = np.full((1, 3, 17, 30), 0.5, np.float32)
    with load_bundle(name).open(component, device="cpu", threads=1) as engine:
        larger = engine.run({"image": image})["larger"]
    assert larger.shape == (1, 3, 17 * factor, 30 * factor)
    np.testing.assert_allclose(larger[..., 8:-8, 8:-8], 0.5, atol=0.02)


def toy(folder: Path) -> Path:
    """A network that sums what it is given, and one value on its way."""
    weight = np.random.default_rng(0).standard_normal((8, 3, 3, 3)).astype(np.float32)
    last = np.random.default_rng(1).standard_normal((4, 8)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["data", "w"], ["inner"], pads=[1, 1, 1, 1]),
        helper.make_node("GlobalAveragePool", ["inner"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("Gemm", ["flat", "last"], ["out"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("data", TensorProto.FLOAT, [1, 3, "h", "w"])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 4])],
        [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(last, "last")],
    )
    file = folder / "toy.onnx"
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16)], ir_version=8), file
    )
    return file


def toy_tool(file: Path) -> tools.Tool:
    def samples(run: int) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(run)
        return {"image": rng.random((1, 3, 8 + run, 12), np.float32)}

    recipe = ReadyRecipe(
        name="sum",
        file=file,
        inputs={"data": "image"},
        outputs={"inner": "seen", "out": "sum"},
        shapes={"image": (1, 3, "height", "width"), "seen": (1, 8, "height", "width")},
        samples=samples,
        convolve=True,
        tolerance=2e-3,
        origin=Origin(license="MIT", license_file="licences/rife.txt", source="made here"),
    )
    return tools.Tool("rife", "1", "A toy.", "MIT", (recipe,))


def test_the_same_file_gives_the_same_bundle(tmp_path: Path) -> None:
    tool = toy_tool(toy(tmp_path))
    first, second = (tools.export(tool, tmp_path / name) for name in ("one", "two"))
    bundle = load_bundle(first.parent)
    bundle.verify()
    for path in sorted(first.parent.rglob("*.*")):
        assert path.read_bytes() == (second.parent / path.relative_to(first.parent)).read_bytes()
    entry = bundle.manifest["components"]["sum"]
    assert [port["name"] for port in entry["outputs"]] == ["seen", "sum"]
    assert entry["inputs"][0]["shape"] == [1, 3, "height", "width"]
    kinds = {node.op_type for node in onnx.load(bundle.path("sum")).graph.node}
    assert "Gemm" not in kinds
    with bundle.open("sum", device="cpu", threads=1) as engine:
        assert engine.run({"image": np.zeros((1, 3, 9, 5), np.float32)})["seen"].shape[2:] == (9, 5)


def test_a_graph_that_disagrees_is_not_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = toy_tool(toy(tmp_path))
    monkeypatch.setattr("reverie.export.parity.check", _refuse)
    with pytest.raises(BundleError, match="wrong"):
        tools.export(tool, tmp_path / "out")
    assert not (tmp_path / "out" / "bundle.json").exists()


def _refuse(*given: object) -> None:
    raise BundleError("the export is wrong")


def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tools, "tools", lambda models: [toy_tool(models / "toy.onnx")])
    given = ["--models", str(tmp_path), "--out", str(tmp_path / "out")]
    assert tools.main([*given, "--only", "other"]) == 2
    assert "use one of rife" in capsys.readouterr().err
    assert tools.main(given) == 1
    assert "toy.onnx" in capsys.readouterr().err
    toy(tmp_path)
    assert tools.main(given) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "out" / "rife" / "bundle.json")


@pytest.mark.parametrize(
    ("name", "component", "ports"),
    [
        ("rife", "flow", {"before": 3, "after": 3, "share": 1}),
        ("span", "x2", {"image": 3}),
        ("sface", "identity", {}),
    ],
)
def test_tensorrt_rtx_builds_it_for_turing(
    name: str, component: str, ports: dict[str, int]
) -> None:
    trt = pytest.importorskip("tensorrt_rtx")
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    graph = EMBEDDED / name / load_bundle(name).component(component).graph.file
    assert parser.parse_from_file(str(graph)), parser.get_error(0).desc()
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM75, 0)
    if ports:
        profile = builder.create_optimization_profile()
        for port, channels in ports.items():
            sizes = ((1, channels, side, 2 * side) for side in (64, 384, 1088))
            profile.set_shape(port, *sizes)
        config.add_optimization_profile(profile)
    assert builder.build_serialized_network(network, config) is not None


def test_a_tool_is_a_package() -> None:
    for name in TOOLS:
        assert importlib.import_module(f"reverie.runtime.bundles.{name}").__doc__
