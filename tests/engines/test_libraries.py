"""The table of the two libraries, and one path driven with both: the real one, and a fake."""

from __future__ import annotations

import ast
import inspect
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tensorrt_rtx
from reverie.engines import builder, trt_log
from reverie.engines.architectures import ARCHITECTURES
from reverie.engines.build import BuildRequest, Refused, build_engine
from reverie.engines.builder import Plan, build
from reverie.engines.errors import EngineError, MissingPackageError, SettingsError
from reverie.engines.libraries import (
    LIBRARIES,
    find_library,
    library_version,
    load_library,
    need_library,
)

from .graphs import profile, write_graph

FAKE = '''
"""Classic TensorRT as far as a build asks for it: what it was asked for becomes the engine."""
import json

__version__ = "10.16.0.1"
asked = {}

class ILogger:
    ERROR, WARNING = 1, 2
    def __init__(self): pass

class NetworkDefinitionCreationFlag:
    STRONGLY_TYPED = 1

class BuilderFlag:
    WEIGHT_STREAMING = "WEIGHT_STREAMING"

class IProgressMonitor:
    def __init__(self): pass

class IStreamWriter:
    def __init__(self): pass

class Tensor:
    name, shape, is_shape_tensor = "x", (1, -1, 16), False

class Network:
    num_inputs = num_outputs = 1
    def get_input(self, place): return Tensor()

class Profile:
    def set_shape(self, name, *shapes): asked["profile"] = {name: shapes}

class Config:
    def set_flag(self, flag): asked.setdefault("flags", []).append(flag)
    def add_optimization_profile(self, profile): pass

class Builder:
    def __init__(self, log): self.log = log
    def create_network(self, flags):
        asked["flags of the network"] = flags
        return Network()
    def create_builder_config(self):
        self.config = Config()
        return self.config
    def create_optimization_profile(self): return Profile()
    def build_serialized_network_to_stream(self, network, config, writer):
        config.progress_monitor.phase_start("Building engine", None, 2)
        for step in range(2):
            if not config.progress_monitor.step_complete("Building engine", step):
                return False
        config.progress_monitor.phase_finish("Building engine")
        if "refuse" in asked["file"]:
            self.log.log(ILogger.WARNING, "never mind")
            self.log.log(ILogger.ERROR, "IBuilder::build: Error Code 4: API (No luck. In f at g:1)")
            return False
        pieces = [json.dumps(asked).encode(), b"!"]
        return all(writer.write(piece) == len(piece) for piece in pieces)

class OnnxParser:
    num_errors = 0
    def __init__(self, network, log): pass
    def parse_from_file(self, path):
        asked["file"] = path.rsplit("/", 1)[-1]
        return True
'''


@pytest.fixture
def classic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A package `tensorrt` that this process and those that it starts find."""
    place = tmp_path / "packages"
    (place / "tensorrt-10.16.0.1.dist-info").mkdir(parents=True)
    (place / "tensorrt-10.16.0.1.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: tensorrt\nVersion: 10.16.0.1\n"
    )
    (place / "tensorrt.py").write_text(FAKE)
    before = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(place), before))))
    monkeypatch.syspath_prepend(str(place))
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    yield
    sys.modules.pop("tensorrt", None)


def request(graph: Path, *gpus: str, **changes: Any) -> BuildRequest:
    names = gpus or ("sm87",)
    rows = tuple(ARCHITECTURES[name] for name in names)
    return BuildRequest(graph, rows, profile(), "tensorrt", **changes)


def test_every_architecture_has_its_library() -> None:
    assert {row.library for row in ARCHITECTURES.values()} == set(LIBRARIES)
    for library in LIBRARIES.values():
        assert set(library.refuses) <= set(ARCHITECTURES)
        assert "pip install" in library.pip


def test_an_unknown_library() -> None:
    with pytest.raises(SettingsError, match="'openvino' is not known: use one of rtx, tensorrt"):
        find_library("openvino")


def test_the_version_is_that_of_the_package() -> None:
    assert library_version("rtx") == tensorrt_rtx.__version__
    assert load_library("rtx") is tensorrt_rtx


def test_a_library_that_is_not_there() -> None:
    assert library_version("tensorrt") is None
    for missing in (need_library, load_library):
        with pytest.raises(MissingPackageError, match=r"pip install 'reverie\[tensorrt\]'"):
            missing("tensorrt")


def test_a_library_whose_own_libraries_are_not_there(classic: None, tmp_path: Path) -> None:
    (tmp_path / "packages" / "tensorrt.py").write_text("raise OSError('libnvinfer.so.10: no')")
    with pytest.raises(MissingPackageError, match=r"\(libnvinfer.so.10: no\): install it with"):
        load_library("tensorrt")
    graph = write_graph(tmp_path / "net.onnx")
    with pytest.raises(MissingPackageError, match="libnvinfer"):
        build_engine(request(graph), tmp_path / "net.engine")


def test_the_same_code_drives_the_classic_library(classic: None, tmp_path: Path) -> None:
    out = tmp_path / "net.engine"
    graph = write_graph(tmp_path / "net.onnx")
    steps = []
    asked = request(graph, weight_streaming=True)
    built = build_engine(asked, out, on_progress=lambda p: steps.append((p.phase, p.step)))
    assert built.library_version == "10.16.0.1" == library_version("tensorrt")
    assert out.read_bytes() == (
        b'{"flags of the network": 2, "file": "net.onnx", "flags": ["WEIGHT_STREAMING"], '
        b'"profile": {"x": [[1, 1, 16], [1, 8, 16], [1, 16, 16]]}}!'
    )
    assert ("compile", "") in steps


def test_the_classic_library_refuses(classic: None, tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "refuse.onnx")
    with pytest.raises(Refused, match=r"refuse\.onnx cannot be built for sm87: No luck"):
        build_engine(request(graph), tmp_path / "net.engine")
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_file()) == [
        "refuse.onnx",
        "refuse.onnx.data",
    ]


def test_the_classic_library_builds_for_one_gpu(classic: None, tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "net.onnx")
    with pytest.raises(EngineError, match="TensorRT builds for the one GPU that is in the machine"):
        build_engine(request(graph, "sm87", "sm90"), tmp_path / "net.engine")


def test_an_older_library_without_streams_or_monitors(classic: None, tmp_path: Path) -> None:
    module: Any = load_library("tensorrt")
    made: list[bytes] = []
    del module.IProgressMonitor, module.IStreamWriter
    del module.Builder.build_serialized_network_to_stream
    module.Builder.build_serialized_network = lambda builder, network, config: b"whole"
    told: list[str] = []
    plan = Plan(write_graph(tmp_path / "net.onnx"), ("sm87",), profile(), ahead=False)
    build(
        module, plan, lambda piece: made.append(piece) or len(piece), lambda *t: told.append(t[0])
    )
    assert (made, told) == ([b"whole"], ["read", "compile"])


def test_what_is_asked_of_the_module_is_there() -> None:
    """Every attribute that the code takes from the module, and from what the module makes."""
    text, log = (ast.parse(inspect.getsource(source)) for source in (builder, trt_log))
    asked = {
        node.attr
        for node in (*ast.walk(text), *ast.walk(log))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "module"
    }
    assert {"Builder", "OnnxParser", "ILogger", "IStreamWriter", "IProgressMonitor"} <= asked
    for name in asked - {"__name__", "__version__"}:
        assert hasattr(tensorrt_rtx, name), name
    kinds = {
        "builder": tensorrt_rtx.Builder,
        "network": tensorrt_rtx.INetworkDefinition,
        "parser": tensorrt_rtx.OnnxParser,
        "config": tensorrt_rtx.IBuilderConfig,
        "profile": tensorrt_rtx.IOptimizationProfile,
        "tensor": tensorrt_rtx.ITensor,
    }
    used = {
        (node.value.id, node.attr)
        for node in ast.walk(text)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in kinds
    }
    assert {name for name, _ in used} == set(kinds)
    for name, attribute in used:
        assert hasattr(kinds[name], attribute), (name, attribute)
    for row in ARCHITECTURES.values():
        there = hasattr(tensorrt_rtx.ComputeCapability, row.name.upper())
        assert there == (row.library == "rtx"), row.name


def test_inputs_that_are_shapes_need_their_values(classic: None, tmp_path: Path) -> None:
    module: Any = load_library("tensorrt")
    module.Tensor.is_shape_tensor = True
    given: dict[str, Any] = {}
    module.Profile.set_shape_input = lambda profile, name, *values: given.update({name: values})
    graph = write_graph(tmp_path / "net.onnx")
    plan = Plan(graph, ("sm87",), profile(), ahead=False)
    with pytest.raises(EngineError, match="values of its input 'x' set shapes"):
        build(module, plan, len, lambda *told: None)
    values = {"x": ((1,), (8,), (16,))}
    build(module, replace(plan, values=values), len, lambda *told: None)
    assert given == values
    assert request(graph, values=values).options["values"] == values
