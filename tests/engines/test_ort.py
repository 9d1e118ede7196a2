from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from reverie.engines import device
from reverie.engines.device import Device, choose_device
from reverie.engines.engine import open_engine
from reverie.engines.errors import EngineError


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """y = 2x + 1 on a free number of rows of three."""
    nodes = [
        helper.make_node("Mul", ["x", "two"], ["m"]),
        helper.make_node("Add", ["m", "one"], ["y"]),
    ]
    made = helper.make_graph(
        nodes,
        "affine",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 3])],
        [
            helper.make_tensor("two", TensorProto.FLOAT, [], [2.0]),
            helper.make_tensor("one", TensorProto.FLOAT, [], [1.0]),
        ],
    )
    path = tmp_path / "affine.onnx"
    onnx.save(
        helper.make_model(made, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path
    )
    return path


def test_runs_a_graph_and_tells_its_ports(graph: Path) -> None:
    with open_engine(graph, device="cpu", threads=1) as engine:
        assert [(p.name, p.dtype, p.shape) for p in engine.inputs] == [
            ("x", np.float32, ("rows", 3))
        ]
        assert [p.name for p in engine.outputs] == ["y"]
        x = np.arange(6, dtype=np.float32).reshape(2, 3)
        np.testing.assert_array_equal(engine.run({"x": x})["y"], 2 * x + 1)
        assert engine.device == Device("cpu")


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "takes x"),
        ({"z": np.zeros((1, 3), np.float32)}, "takes x; given z"),
        (
            {"x": np.zeros((1, 4), np.float32)},
            r"float32 \['rows', 3\]; given float32 \[1, 4\]",
        ),
        ({"x": np.zeros((1, 3), np.float64)}, "given float64"),
        ({"x": np.zeros(3, np.float32)}, r"given float32 \[3\]"),
    ],
)
def test_refuses_inputs_that_do_not_fit(graph: Path, inputs: dict, message: str) -> None:
    with (
        open_engine(graph, device="cpu") as engine,
        pytest.raises(EngineError, match=message) as caught,
    ):
        engine.run(inputs)
    assert "\n" not in str(caught.value)


def test_a_closed_engine_says_so(graph: Path) -> None:
    engine = open_engine(graph, device="cpu")
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.run({"x": np.zeros((1, 3), np.float32)})


def test_a_damaged_graph_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"this is no graph")
    with pytest.raises(EngineError, match=r"broken\.onnx cannot be opened") as caught:
        open_engine(path, device="cpu")
    assert "\n" not in str(caught.value)


def test_unknown_devices_list_the_known_ones() -> None:
    with pytest.raises(EngineError, match="auto, cpu, cuda"):
        choose_device("tpu")


def test_auto_takes_the_gpu_only_where_there_is_one() -> None:
    kind = choose_device("auto").kind
    assert kind in ("cpu", "cuda")
    if kind == "cpu":
        with pytest.raises(EngineError, match="onnxruntime-gpu"):
            choose_device("cuda:0")


def test_a_cuda_provider_that_does_not_start_means_the_cpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class OnTheCpu:
        def __init__(self, *_: object, **__: object) -> None: ...

        def get_providers(self) -> list[str]:  # what a session does without a driver
            return ["CPUExecutionProvider"]

    ort = device.import_onnxruntime()
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(ort, "InferenceSession", OnTheCpu)
    monkeypatch.setattr(ort, "preload_dlls", lambda: None, raising=False)
    device._cuda_starts.cache_clear()
    try:
        assert choose_device("auto").kind == "cpu"
    finally:
        device._cuda_starts.cache_clear()


def test_runs_on_cuda_as_on_the_cpu(graph: Path) -> None:
    if choose_device("auto").kind != "cuda":
        pytest.skip("ONNX Runtime cannot start CUDA here")
    x = np.ones((4, 3), np.float32)
    with open_engine(graph, device="cuda") as engine:
        np.testing.assert_allclose(engine.run({"x": x})["y"], 2 * x + 1)
