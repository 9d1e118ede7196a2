from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from reverie.engines import device, ort_rtx
from reverie.engines.device import Device, choose_device
from reverie.engines.engine import Resident, open_engine
from reverie.engines.errors import DeviceMemoryError, EngineError, MissingPackageError
from reverie.engines.ort import OrtEngine
from reverie.engines.ort_bound import OrtBuffer


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
    device.cuda_starts.cache_clear()
    try:
        assert choose_device("auto").kind == "cpu"
    finally:
        device.cuda_starts.cache_clear()


def test_runs_on_cuda_as_on_the_cpu(graph: Path) -> None:
    if choose_device("auto").kind != "cuda":
        pytest.skip("ONNX Runtime cannot start CUDA here")
    x = np.ones((4, 3), np.float32)
    with open_engine(graph, device="cuda") as engine:
        np.testing.assert_allclose(engine.run({"x": x})["y"], 2 * x + 1)


def test_memory_that_is_not_there_has_an_error_of_its_own(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    float_, int_ = TensorProto.FLOAT, TensorProto.INT64
    graph = helper.make_graph(
        [helper.make_node("Expand", ["x", "sizes"], ["y"])],
        "large",
        [
            helper.make_tensor_value_info("x", float_, [1]),
            helper.make_tensor_value_info("sizes", int_, [2]),
        ],
        [helper.make_tensor_value_info("y", float_, ["a", "b"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.save(model, tmp_path / "large.onnx")
    sizes = np.array([1 << 22, 1 << 22])  # 64 TiB
    with (
        open_engine(tmp_path / "large.onnx", device="cpu") as engine,
        pytest.raises(DeviceMemoryError, match="not enough memory"),
    ):
        engine.run({"x": np.ones(1, np.float32), "sizes": sizes})
    assert capfd.readouterr() == ("", "")


def test_bound_tensors_stay_where_they_are(graph: Path) -> None:
    with open_engine(graph, device="cpu") as engine:
        assert isinstance(engine, Resident)
        x, y = (engine.allocate((2, 3), np.float32) for _ in range(2))
        assert (x.shape, x.dtype, x.nbytes) == ((2, 3), np.float32, 24)
        there, back = engine.bind({"x": x}, {"y": y}), engine.bind({"x": y}, {"y": x})
        start = np.arange(6, dtype=np.float32).reshape(2, 3)
        x.upload(start)
        places = [b.value.data_ptr() for b in (x, y)]
        for launch in (there, back, engine.capture(there)):
            launch()
        engine.synchronize()
        np.testing.assert_array_equal(x.download(), 4 * start + 3)
        np.testing.assert_array_equal(y.download(), 8 * start + 7)
        assert [b.value.data_ptr() for b in (x, y)] == places


def test_engines_beside_share_buffers(graph: Path) -> None:
    with open_engine(graph, device="cpu", threads=1) as engine:
        assert isinstance(engine, Resident)
        with engine.beside(graph, {"x": (1, 3)}) as other:
            assert isinstance(other, Resident)
            x, y, z = (engine.allocate((1, 3), np.float32) for _ in range(3))
            x.upload(np.ones((1, 3), np.float32))
            first, second = engine.bind({"x": x}, {"y": y}), other.bind({"x": y}, {"y": z})
            first()
            second()
            np.testing.assert_array_equal(z.download(), np.full((1, 3), 7, np.float32))


def test_buffers_that_do_not_fit_are_refused(graph: Path) -> None:
    with open_engine(graph, device="cpu") as engine:
        assert isinstance(engine, Resident)
        x = engine.allocate((2, 3), np.float32)
        with pytest.raises(EngineError, match="a buffer of float32"):
            x.upload(np.zeros((2, 3)))
        with pytest.raises(EngineError, match="takes x; given z"):
            engine.bind({"z": x}, {"y": x})
        with pytest.raises(EngineError, match="takes y as float32"):
            engine.bind({"x": x}, {"y": engine.allocate((2, 3), np.int64)})
        with pytest.raises(EngineError, match="memory of another library"):
            engine.bind({"x": x}, {"y": np.zeros((2, 3), np.float32)})  # type: ignore[dict-item]
        launch = engine.bind({"x": x}, {"y": engine.allocate((2, 3), np.float32)})
        x.free()
        x.free()
        with pytest.raises(EngineError, match="was freed"):
            x.download()
    with pytest.raises(EngineError, match="was closed"):
        launch()


class Recorder:
    """ONNX Runtime as far as opening a session goes; keeps what it was asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.real = device.import_onnxruntime()
        self.providers: Any = None
        self.options: Any = None
        monkeypatch.setattr(self.real, "InferenceSession", self.open)

    def open(self, path: str, options: Any, providers: Any) -> Any:
        self.options, self.providers = options, providers
        port = SimpleNamespace(name="x", type="tensor(float)", shape=[1])
        return SimpleNamespace(
            get_providers=lambda: ["CUDAExecutionProvider"],
            get_inputs=lambda: [port],
            get_outputs=lambda: [port],
            io_binding=lambda: SimpleNamespace(
                bind_ortvalue_input=lambda *_: None, bind_ortvalue_output=lambda *_: None
            ),
            run_with_iobinding=lambda binding, options: self.ran.append(options),
        )

    ran: ClassVar[list[Any]] = []


def test_what_the_cuda_provider_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    recorder = Recorder(monkeypatch)
    OrtEngine(tmp_path / "x.onnx", Device("cuda", 1), memory=5 * 2**30)
    (name, told), last = recorder.providers
    assert (name, last) == ("CUDAExecutionProvider", "CPUExecutionProvider")
    assert told == {
        "device_id": "1",
        "arena_extend_strategy": "kSameAsRequested",
        "cudnn_conv_algo_search": "HEURISTIC",
        "gpu_mem_limit": str(5 * 2**30),
    }


def test_recorded_sessions_run_bound_tensors_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recorder = Recorder(monkeypatch)
    engine = OrtEngine(tmp_path / "x.onnx", Device("cuda"), cuda_graph=True)
    assert recorder.providers[0][1]["enable_cuda_graph"] == "1"
    with pytest.raises(EngineError, match="bind its tensors"):
        engine.run({"x": np.zeros(1, np.float32)})
    here = OrtBuffer((1,), np.float32, Device("cpu"))
    launches = [engine.bind({"x": here}, {"x": here}) for _ in range(2)]
    for launch in launches:
        launch()
    graphs = [options.get_run_config_entry("gpu_graph_id") for options in recorder.ran]
    assert graphs == ["1", "2"]


def test_fp8_is_optimised_with_care(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    recorder = Recorder(monkeypatch)
    levels = {}
    for precision in ("fp16", "fp8"):
        OrtEngine(tmp_path / "x.onnx", Device("cpu"), precision=precision)
        levels[precision] = recorder.options.graph_optimization_level
    known = recorder.real.GraphOptimizationLevel
    assert levels == {"fp16": known.ORT_ENABLE_ALL, "fp8": known.ORT_ENABLE_BASIC}


@pytest.mark.parametrize("kind", [TensorProto.INT8, TensorProto.FLOAT8E4M3FN])
def test_quantised_graphs_run(tmp_path: Path, kind: int) -> None:
    """x and its weights through quantising and back, opset 21, signed and symmetric."""
    scale = 2.0**-6 if kind == TensorProto.INT8 else 2.0**-7
    rng = np.random.default_rng(0)
    weights = rng.uniform(-1, 1, (8, 8)).astype(np.float32)
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale"], ["xq"], output_dtype=kind),
        helper.make_node("DequantizeLinear", ["xq", "scale"], ["xd"]),
        helper.make_node("QuantizeLinear", ["w", "scale"], ["wq"], output_dtype=kind),
        helper.make_node("DequantizeLinear", ["wq", "scale"], ["wd"]),
        helper.make_node("MatMul", ["xd", "wd"], ["y"]),
    ]
    made = helper.make_graph(
        nodes,
        "quantised",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 8])],
        [
            helper.make_tensor("scale", TensorProto.FLOAT, [], [scale]),
            helper.make_tensor("w", TensorProto.FLOAT, [8, 8], weights.ravel()),
        ],
    )
    path = tmp_path / "q.onnx"
    onnx.save(
        helper.make_model(made, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path
    )
    x = rng.uniform(-1, 1, (4, 8)).astype(np.float32)
    precision = "int8" if kind == TensorProto.INT8 else "fp8"
    with open_engine(path, device="cpu", precision=precision) as engine:
        found = engine.run({"x": x})["y"]
    exact = x @ weights
    error = np.linalg.norm(found - exact) / np.linalg.norm(exact)
    assert 0 < error < (0.02 if precision == "int8" else 0.06)


class Plugin:
    """The plug-in's package, and ONNX Runtime's side of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, gpus: int) -> None:
        self.registered: list[tuple[str, str]] = []
        self.added: list[Any] = []
        ort = device.import_onnxruntime()
        package = ModuleType(ort_rtx.PACKAGE)
        package.get_ep_name = lambda: "NvTensorRTRTXExecutionProvider"  # type: ignore[attr-defined]
        package.get_library_path = lambda: "libplugin.so"  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, ort_rtx.PACKAGE, package)
        monkeypatch.setattr(
            ort,
            "register_execution_provider_library",
            lambda *told: self.registered.append(told),
        )
        devices = [
            SimpleNamespace(ep_name=name)
            for name in ("CPUExecutionProvider", *["NvTensorRTRTXExecutionProvider"] * gpus)
        ]
        monkeypatch.setattr(ort, "get_ep_devices", lambda: devices)
        self.options = SimpleNamespace(
            add_provider_for_devices=lambda devices, told: self.added.append((devices, told))
        )
        ort_rtx._register.cache_clear()


@pytest.fixture
def forgotten() -> Iterator[None]:
    ort_rtx._register.cache_clear()
    yield
    ort_rtx._register.cache_clear()


def test_the_plug_in_is_registered_once_and_given_one_gpu(
    monkeypatch: pytest.MonkeyPatch, forgotten: None
) -> None:
    plugin = Plugin(monkeypatch, gpus=2)
    told = ort_rtx.provider_options(cuda_graph=True, weight_budget=1, cache_folder=Path("kept"))
    assert told == {
        "enable_cuda_graph": "1",
        "nv_weight_streaming_budget": "1B",
        "nv_runtime_cache_path": "kept",
    }
    for index in (0, 1):
        ort_rtx.add_provider(plugin.options, Device("rtx", index), told)
    assert plugin.registered == [("NvTensorRTRTXExecutionProvider", "libplugin.so")]
    assert len(plugin.added) == 2
    assert [len(devices) for devices, _ in plugin.added] == [1, 1]
    assert plugin.added[0][0][0] is not plugin.added[1][0][0]
    with pytest.raises(EngineError, match="sees 2 GPUs here, so there is no rtx:2"):
        ort_rtx.add_provider(plugin.options, Device("rtx", 2), {})


def test_the_plug_in_without_a_gpu_is_one_line(
    monkeypatch: pytest.MonkeyPatch, forgotten: None
) -> None:
    plugin = Plugin(monkeypatch, gpus=0)
    with pytest.raises(EngineError, match="sees no GPU here") as caught:
        ort_rtx.add_provider(plugin.options, Device("rtx"), {})
    assert "\n" not in str(caught.value)


def test_the_plug_in_that_is_missing_is_a_pip_line(
    monkeypatch: pytest.MonkeyPatch, forgotten: None, graph: Path
) -> None:
    monkeypatch.setitem(sys.modules, ort_rtx.PACKAGE, None)
    with pytest.raises(MissingPackageError, match="pip install onnxruntime-ep-nv-tensorrt-rtx"):
        OrtEngine(graph, Device("rtx"))
