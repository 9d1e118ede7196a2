"""A GPU of numpy arrays, and a TensorRT that runs ONNX graphs on it: every call is really made.

An engine file is JSON: {"graph": path of an ONNX graph, "weights": bytes, "activations": bytes for
each number of its inputs, "profile": {input: [least, usual, most]}, ...}. Public names of the
classes here are those of tensorrt_rtx, and nothing else: a test compares them.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from weakref import finalize

import numpy as np
from reverie.engines.cuda import GpuFacts
from reverie.engines.device import Device
from reverie.engines.errors import DeviceMemoryError, EngineError


class FakeCuda:
    """`engines.cuda.Cuda` on numpy arrays; what is queued is done at once, or recorded."""

    def __init__(self, memory: int = 2**40) -> None:
        self.device, self.stream = Device("cuda", 0), 7
        self.limit, self.used, self.peak = memory, 0, 0
        self.blocks: dict[int, np.ndarray[Any, Any]] = {}
        self.graphs: dict[int, list[Callable[[], None]]] = {}
        self.calls: list[str] = []
        self.refuses_capture = False
        self._next = 4096
        self._recording: list[Callable[[], None]] | None = None

    def facts(self) -> GpuFacts:
        return GpuFacts("Fake GPU", (8, 6), self.limit, False)

    def memory(self) -> tuple[int, int]:
        return self.limit - self.used, self.limit

    def allocate(self, nbytes: int, real: bool = True) -> int:
        self.calls.append(f"allocate {nbytes}")
        if self.used + nbytes > self.limit:
            raise DeviceMemoryError("the fake GPU is out of memory")
        address, self._next = self._next, self._next + nbytes + 4096
        self.blocks[address] = np.full(nbytes if real else 0, 0xFF, np.uint8)  # NaN, as float32
        self.sizes = getattr(self, "sizes", {}) | {address: nbytes}
        self.used += nbytes
        self.peak = max(self.peak, self.used)
        return address

    def free(self, address: int) -> None:
        assert self._recording is None
        del self.blocks[address]
        self.used -= self.sizes.pop(address)

    def upload(self, address: int, array: np.ndarray[Any, Any]) -> None:
        assert self._recording is None, "a copy from the host was recorded"
        self.calls.append("upload")
        self.blocks[address][: array.nbytes] = array.reshape(-1).view(np.uint8)

    def download(self, array: np.ndarray[Any, Any], address: int) -> None:
        assert self._recording is None, "a copy to the host was recorded"
        self.calls.append("download")
        array.reshape(-1).view(np.uint8)[:] = self.blocks[address][: array.nbytes]

    def synchronize(self) -> None:
        assert self._recording is None, "a wait was recorded"
        self.calls.append("synchronize")

    def capture(self, launch: Callable[[], None]) -> int:
        self.calls.append("capture")
        if self.refuses_capture:
            raise EngineError("this cannot be captured")
        self._recording = []
        try:
            launch()
            number = len(self.calls)
            self.graphs[number] = self._recording
            return number
        finally:
            self._recording = None

    def play(self, graph: int) -> None:
        self.calls.append("play")
        for work in self.graphs[graph]:
            work()

    def drop(self, graph: int) -> None:
        del self.graphs[graph]

    def close(self) -> None: ...

    def queue(self, work: Callable[[], None]) -> None:
        """What a library does to put work on the stream."""
        if self._recording is None:
            work()
        else:
            self._recording.append(work)

    def view(self, address: int, shape: tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]:
        count = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return self.blocks[address][:count].view(dtype).reshape(shape)


class Validity(enum.Enum):
    VALID, SUBOPTIMAL, INVALID = range(3)


class Diagnostics(enum.IntEnum):
    VERSION_MISMATCH = 1
    UNSUPPORTED_CC = 2
    OLD_CUDA_DRIVER = 4
    OLD_CUDA_RUNTIME = 8
    INSUFFICIENT_GPU_MEMORY = 16
    MALFORMED_ENGINE = 32
    CUDA_ERROR = 64


class Strategy(enum.Enum):
    STATIC, ON_PROFILE_CHANGE, USER_MANAGED = range(3)


class Specialization(enum.Enum):
    LAZY, EAGER, NONE = range(3)


class Graphs(enum.Enum):
    DISABLED, WHOLE_GRAPH_CAPTURE = range(2)


class Mode(enum.Enum):
    NONE, INPUT, OUTPUT = range(3)


class Location(enum.Enum):
    DEVICE, HOST = range(2)


class DataType(enum.Enum):
    FLOAT, HALF, BF16, INT32, INT64, INT8, UINT8, BOOL, FP8 = range(9)


class Logger:
    ERROR, WARNING = 1, 2

    def log(self, severity: int, message: str) -> None: ...


class _Cuda:
    """What the library's objects share: the device, and a way to count them."""

    device: FakeCuda
    seen: list[str]


class Context:
    def __init__(self, engine: Engine, config: Any) -> None:
        self._engine = engine
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}
        self._memory = (0, 0)
        strategy = config if isinstance(config, Strategy) else config._strategy
        assert strategy is Strategy.USER_MANAGED
        spec, cuda = engine._spec, engine._cuda
        self._resident = cuda.allocate(engine._resident_weights(), real=False)
        finalize(self, cuda.free, self._resident)
        self._session = _session(spec["graph"])

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self._engine._seen.append(f"shape {name}")
        self._shapes[name] = tuple(shape)
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return _output_shapes(self._engine._spec, self._shapes, self._session)[name]

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._engine._seen.append(f"address {name}")
        self._addresses[name] = memory
        return True

    def update_device_memory_size_for_shapes(self) -> int:
        return self._needed()

    def set_device_memory(self, memory: int, size: int) -> None:
        self._engine._seen.append("memory")
        self._memory = (memory, size)

    def execute_async_v3(self, stream_handle: int) -> bool:
        engine, cuda = self._engine, self._engine._cuda
        assert stream_handle == cuda.stream
        engine._seen.append("run")
        if engine._spec.get("fails"):
            engine._log.log(1, engine._spec["fails"])
            return False
        address, size = self._memory
        assert size >= self._needed(), "the room for activations is too small"
        assert self._needed() == 0 or address in cuda.blocks, "the room was given back"
        where, shapes = dict(self._addresses), dict(self._shapes)
        made = _output_shapes(engine._spec, shapes, self._session)
        session, types = self._session, engine._types

        def work() -> None:
            inputs = {n: cuda.view(where[n], s, types[n]) for n, s in shapes.items()}
            inputs = {n: _widened(a, engine._spec, n) for n, a in inputs.items()}
            found = session.run(None, inputs)
            for port, array in zip(session.get_outputs(), found, strict=True):
                name = port.name
                cuda.view(where[name], made[name], types[name])[...] = _narrowed(
                    array, engine._spec, name
                )

        cuda.queue(work)
        return True

    def is_stream_capturable(self, stream: int) -> bool:
        return bool(self._engine._spec.get("capturable", True))

    def _needed(self) -> int:
        numbers = sum(int(np.prod(shape)) for shape in self._shapes.values())
        return int(self._engine._spec.get("activations", 0) * numbers)


class ClassicContext(Context):
    is_stream_capturable = property()  # hasattr is False


class Cache:
    def __init__(self) -> None:
        self._data = b""

    def deserialize(self, blob: Any) -> bool:
        self._data = bytes(blob)
        return self._data.startswith(b"kernels")

    def serialize(self) -> Any:
        return self._data if self._data.startswith(b"kernels") else b"kernels"


class Config:
    def __init__(self) -> None:
        self._strategy, self._cache = Strategy.STATIC, None
        self.cuda_graph_strategy = Graphs.WHOLE_GRAPH_CAPTURE
        self.dynamic_shapes_kernel_specialization_strategy = Specialization.LAZY

    def set_execution_context_allocation_strategy(self, strategy: Strategy) -> None:
        self._strategy = strategy

    def create_runtime_cache(self) -> Cache:
        return Cache()

    def set_runtime_cache(self, cache: Cache) -> bool:
        self._cache = cache
        return True


class Engine:
    def __init__(self, spec: dict[str, Any], cuda: FakeCuda, seen: list[str], log: Any) -> None:
        self._spec, self._cuda, self._seen, self._log = spec, cuda, seen, log
        session = _session(spec["graph"])
        self._inputs, self._outputs = session.get_inputs(), session.get_outputs()
        self._types = {}
        for port in [*self._inputs, *self._outputs]:
            stored = spec.get("types", {}).get(port.name)
            plain = {"tensor(float)": np.float32, "tensor(int64)": np.int64}[port.type]
            self._types[port.name] = {"BF16": np.uint16, "HALF": np.float16}.get(stored, plain)
        self.streamable_weights_size = spec.get("streamable", 0)
        self.weight_streaming_budget_v2 = self.streamable_weights_size
        self.num_io_tensors = len(self._types)

    def get_weight_streaming_automatic_budget(self) -> int:
        return int(self._spec.get("automatic", self.streamable_weights_size))

    def get_tensor_name(self, index: int) -> str:
        return [port.name for port in [*self._inputs, *self._outputs]][index]

    def get_tensor_dtype(self, name: str) -> DataType:
        known = {np.float32: "FLOAT", np.int64: "INT64", np.float16: "HALF", np.uint16: "BF16"}
        told = self._spec.get("types", {}).get(name)
        return DataType[told or known[self._types[name]]]

    def get_tensor_mode(self, name: str) -> Mode:
        return Mode.INPUT if name in {port.name for port in self._inputs} else Mode.OUTPUT

    def get_tensor_location(self, name: str) -> Location:
        return Location.HOST if name in self._spec.get("host", ()) else Location.DEVICE

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        port = next(p for p in [*self._inputs, *self._outputs] if p.name == name)
        return tuple(size if isinstance(size, int) else -1 for size in port.shape)

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[tuple[int, ...]]:
        assert profile_index == 0
        found = self._spec.get("profile", {}).get(name)
        if found is not None:
            return [tuple(shape) for shape in found]
        shape = self.get_tensor_shape(name)
        least = tuple(1 if size < 0 else size for size in shape)
        return [least, least, tuple(2**30 if size < 0 else size for size in shape)]

    def create_runtime_config(self) -> Config:
        return Config()

    def create_execution_context(self, config: Any) -> Context | None:
        if self._spec.get("no_context"):
            self._log.log(1, "no context for you")
            return None
        if isinstance(config, Config):
            assert config.cuda_graph_strategy is Graphs.DISABLED
            assert config.dynamic_shapes_kernel_specialization_strategy is Specialization.EAGER
            return Context(self, config)
        return ClassicContext(self, config)

    def _resident_weights(self) -> int:
        weights = int(self._spec.get("weights", 0))
        return weights - (self.streamable_weights_size - self.weight_streaming_budget_v2)


class ClassicEngine(Engine):
    create_runtime_config = property()


class Runtime:
    def __init__(self, logger: Any) -> None:
        self._log = logger

    def get_engine_validity(self, buffer: Any) -> tuple[Validity, int]:
        spec = _read(buffer)
        if spec is None:
            return Validity.INVALID, int(Diagnostics.MALFORMED_ENGINE)
        if "logged" in spec:
            self._log.log(1, spec["logged"])
        invalid = spec.get("invalid")
        return (Validity.VALID, 0) if invalid is None else (Validity.INVALID, invalid)

    def deserialize_cuda_engine(self, buffer: Any) -> Any:
        spec = _read(buffer)
        if spec is None:
            self._log.log(1, "magic tag failed")
            return None
        _Cuda.seen.append(f"open {spec.get('name', '')}")
        kind = ClassicEngine if isinstance(self, ClassicRuntime) else Engine
        return kind(spec, _Cuda.device, _Cuda.seen, self._log)


class ClassicRuntime(Runtime):
    get_engine_validity = property()


REAL = {
    Runtime: "Runtime",
    Engine: "ICudaEngine",
    Context: "IExecutionContext",
    Config: "IRuntimeConfig",
    Cache: "IRuntimeCache",
    Logger: "ILogger",
    Validity: "EngineValidity",
    Diagnostics: "EngineInvalidityDiagnostics",
    Strategy: "ExecutionContextAllocationStrategy",
    Specialization: "DynamicShapesKernelSpecializationStrategy",
    Graphs: "CudaGraphStrategy",
    Mode: "TensorIOMode",
    Location: "TensorLocation",
    DataType: "DataType",
}
"""What each class stands for."""
CLASSIC_LACKS = ("EngineValidity", "EngineInvalidityDiagnostics", "CudaGraphStrategy")


def library(cuda: FakeCuda, *, classic: bool = False) -> Any:
    """A module like tensorrt_rtx, or like tensorrt, whose engines run on a device."""
    _Cuda.device, _Cuda.seen = cuda, []
    names = {name: kind for kind, name in REAL.items()}
    if classic:
        names = {name: kind for name, kind in names.items() if name not in CLASSIC_LACKS}
        names["Runtime"] = ClassicRuntime
    return SimpleNamespace(**names, seen=_Cuda.seen)


def write_engine(path: Path, graph: Path, **spec: Any) -> Path:
    """Write an engine file."""
    path.write_text(json.dumps({"graph": str(graph), **spec}))
    return path


def _read(buffer: Any) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(bytes(buffer))
    except ValueError:
        return None
    return found


def _session(graph: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _output_shapes(
    spec: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], session: Any
) -> dict[str, tuple[int, ...]]:
    """What a library infers: here by running the graph on zeros, remembered by shapes."""
    known = _KNOWN.setdefault(spec["graph"], {})
    key = tuple(sorted(shapes.items()))
    if key not in known:
        kinds = {"tensor(float)": np.float32, "tensor(int64)": np.int64}
        zeros = {p.name: np.zeros(shapes[p.name], kinds[p.type]) for p in session.get_inputs()}
        names = [port.name for port in session.get_outputs()]
        found = session.run(None, zeros)
        known[key] = {n: tuple(a.shape) for n, a in zip(names, found, strict=True)}
    if "unknown" in spec:
        return {**known[key], spec["unknown"]: (-1,)}
    return known[key]


_KNOWN: dict[str, dict[Any, dict[str, tuple[int, ...]]]] = {}


def _widened(array: np.ndarray[Any, Any], spec: Mapping[str, Any], name: str) -> Any:
    kind = spec.get("types", {}).get(name)
    if kind == "BF16":
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype(np.float32) if kind == "HALF" else array


def _narrowed(array: np.ndarray[Any, Any], spec: Mapping[str, Any], name: str) -> Any:
    kind = spec.get("types", {}).get(name)
    if kind == "BF16":
        return (array.view(np.uint32) >> 16).astype(np.uint16)
    return array.astype(np.float16) if kind == "HALF" else array
