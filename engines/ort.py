"""Engines on ONNX Runtime: the CPU, and NVIDIA GPUs through its CUDA provider or a plug-in's."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import platform
import re
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from weakref import WeakSet

import numpy as np

from .closing import Closing
from .device import Device, import_onnxruntime
from .engine import Array, Buffer, Launch, Port, Shape
from .errors import EngineError
from .ort_bound import OrtBinding, OrtBuffer, library_error
from .tensors import check_tensors

_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}
_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1  # of mallopt(3)
_MAPPED_BLOCK = 128 * 2**10  # where glibc begins, before it learns
_MAPPED_FROM = 512 * 2**20
"""Bytes of weights from which on they stay mapped from their file, to be dropped under pressure."""
PACKED = ("int8",)
"""Precisions whose weights are packed all the same, when they are opened: products of whole numbers
are 1.5 times as fast so, convolutions three times, and what was packed is let go of in its file."""


_ARENA = {
    "max_mem": 0,
    "arena_extend_strategy": 1,  # as much as is asked for; the other is powers of two
    "initial_chunk_size_bytes": 2**20,
    "max_dead_bytes_per_chunk": 2**20,
}
_arena, _arena_lock = False, threading.Lock()


class OrtEngine(Closing):
    """One ONNX graph in an ONNX Runtime session; see `engine.Engine` and `engine.Resident`.

    A device of kind "rtx" is a GPU through the TensorRT-RTX plug-in (see `ort_rtx`), which takes
    plain runs only.
    """

    def __init__(
        self,
        path: Path,
        device: Device,
        threads: int | None = None,
        weight_bytes: int | None = None,
        *,
        precision: str | None = None,
        memory: int | None = None,
        cuda_graph: bool = False,
    ) -> None:
        ort = import_onnxruntime()
        options = ort.SessionOptions()
        options.log_severity_level = 4  # errors come back as exceptions
        if device.kind == "cpu":
            _share_arena(ort, options)
        else:
            options.enable_cpu_mem_arena = False  # it would keep every peak it ever saw
        # Waiting threads that spin take the cores from the encoder and the frames beside.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Signed int8 graphs of opset 21 fail without; versions that do not know it pass it over.
        options.add_session_config_entry("session.qdqisint8allowed", "1")
        if precision == "int8" and _adds_in_16_bits():
            options.add_session_config_entry("session.x64quantprecision", "1")
        if precision == "fp8":  # what fuses further makes nodes that have no fp8 kernel
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        if (_weights_beside(path) if weight_bytes is None else weight_bytes) >= _MAPPED_FROM:
            if precision not in PACKED:
                # Packed copies are memory of one's own: 0.5 GiB of float32 matrices take 534 MiB
                # of it so, 22 MiB when they stay mapped; opening takes no time, runs are as fast.
                options.add_session_config_entry("session.disable_prepacking", "1")
            _give_back_at_once()
        if threads is not None:
            options.intra_op_num_threads = threads
        self._path = path
        self.device = device
        self._threads = threads
        self._cuda_graph = cuda_graph and device.kind == "cuda"
        # Whoever holds a binding keeps it, and with it its buffers.
        self._bindings: WeakSet[OrtBinding] = WeakSet()
        self._bound = 0
        providers: list[Any] | None = _providers(device, memory, self._cuda_graph)
        if device.kind == "rtx":
            from .ort_rtx import add_provider, provider_options

            told = provider_options(cuda_graph=cuda_graph, weight_budget=memory, cache_folder=None)
            add_provider(options, device, told)
            providers = None  # those of the options
        try:
            self._session: Any = ort.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # ONNX Runtime raises many unrelated types here
            why = "the file is damaged, or needs a newer ONNX Runtime"
            raise library_error(f"{path.name} cannot be opened on {device}", error, why) from error
        if device.kind == "cuda" and "CUDAExecutionProvider" not in self._session.get_providers():
            raise EngineError(
                f"{path.name} cannot run on {device}: the CUDA provider did not start "
                "(no NVIDIA driver, or other CUDA and cuDNN versions than it needs); use the CPU"
            )
        self._run_options: Any = None
        if device.kind == "cpu":
            self._run_options = ort.RunOptions()
            self._run_options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        self.inputs = tuple(_port(p) for p in self._session.get_inputs())
        self.outputs = tuple(_port(p) for p in self._session.get_outputs())

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run the graph once; see `engine.Engine.run`."""
        if self._session is None:
            raise EngineError(f"{self._path.name} was closed: open it again before running it")
        check_tensors(self._path.name, self.inputs, inputs)
        if self._cuda_graph:
            raise EngineError(
                f"{self._path.name} was opened to be played back from fixed memory: bind its "
                "tensors, or open it without cuda_graph"
            )
        try:
            with _giving_back() if self.device.kind == "cpu" else contextlib.nullcontext():
                values = self._session.run(None, dict(inputs), self._run_options)
        except Exception as error:
            raise library_error(f"{self._path.name} failed on {self.device}", error) from error
        return dict(zip((p.name for p in self.outputs), values, strict=True))

    def allocate(self, shape: Shape, dtype: np.dtype[np.generic] | type[np.generic]) -> OrtBuffer:
        """Return memory of the device; see `engine.Resident.allocate`."""
        return OrtBuffer(shape, dtype, self.device)

    def bind(self, inputs: Mapping[str, Buffer], outputs: Mapping[str, Buffer]) -> Launch:
        """Fix inputs and outputs; see `engine.Resident.bind`."""
        if self._session is None:
            raise EngineError(f"{self._path.name} was closed: open it again before running it")
        check_tensors(self._path.name, self.inputs, inputs)
        check_tensors(self._path.name, self.outputs, outputs)
        options = None
        if self._cuda_graph:
            options = import_onnxruntime().RunOptions()
            # Each set of addresses is recorded as a graph of its own.
            self._bound += 1
            options.add_run_config_entry("gpu_graph_id", str(self._bound))
        binding = OrtBinding(self._session, self._path.name, self.device, inputs, outputs, options)
        self._bindings.add(binding)
        return binding

    def capture(self, launch: Launch) -> Launch:
        """Return `launch` itself: sessions record what they run by themselves, each its own."""
        return launch

    def synchronize(self) -> None:
        """Return at once: a launch has waited for its session's work."""

    def beside(self, graph: Path, inputs: Mapping[str, Shape]) -> OrtEngine:
        """Open another graph on the same device; see `engine.Resident.beside`."""
        return OrtEngine(graph, self.device, self._threads)

    def close(self) -> None:
        """Free the session and what is bound to it."""
        for binding in list(self._bindings):
            binding.close()
        self._bindings.clear()
        if self._session is not None:
            self._session = None
            _give_back_heap()


@functools.cache
def _adds_in_16_bits() -> bool:
    """Whether this processor adds pairs of uint8 x int8 in 16 bits, and clips: x86 without VNNI.

    Exact sums take three times as long where they are asked for, so that they are not asked for
    where VNNI is known to be there.
    """
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:  # another system: who knows
        return True
    return not re.search(r"\bavx(512)?_vnni\b", flags)


def _share_arena(ort: Any, options: Any) -> None:
    """Let a session take its values from one arena of the process, which each run empties again.

    Without one, every value is mapped, cleared and unmapped by itself: decoding nine frames of
    704x512 by LTX's VAE touched 4.2 million pages instead of 0.2, 17 s instead of 12 on two cores
    of a virtual machine; a first step of SVD took 22 s instead of 13. Sessions that plan which
    value takes over which buffer gain nothing beside it, and plan for seconds: 3.3 s of opening
    LTX-2B's denoiser, 0.6 without.
    """
    global _arena
    with _arena_lock:
        if not _arena:
            memory = ort.OrtMemoryInfo(
                "Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT
            )
            ort.create_and_register_allocator(memory, ort.OrtArenaCfg(dict(_ARENA)))
            _arena = True
    options.enable_mem_reuse = False
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.use_env_allocators", "1")
    # Weights stay as long as their session: among values they would keep the arena from shrinking.
    options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")


@contextlib.contextmanager
def _giving_back() -> Iterator[None]:
    """Let glibc map each larger block of memory by itself while a network runs, then as it learns.

    Else what the arena lets go of lies between blocks in use, and under the next run: ember's six
    looks left 150 MB behind. Drawing frames wants the opposite, for it asks for the same large
    blocks over and over.
    """
    try:
        library = ctypes.CDLL(None) if sys.platform == "linux" else None
        library.mallopt(_MMAP_THRESHOLD, _MAPPED_BLOCK)  # type: ignore[union-attr]
    except (OSError, AttributeError):  # another system, another C library
        yield
        return
    assert library is not None
    try:
        yield
    finally:
        library.mallopt(_MMAP_THRESHOLD, 32 * 2**20)
        library.mallopt(_TRIM_THRESHOLD, 64 * 2**20)
        library.malloc_trim(0)


def _give_back_heap() -> None:
    """Return what glibc keeps of freed blocks to the system."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL(None).malloc_trim(0)


def _give_back_at_once() -> None:
    """Let glibc map each larger block of memory by itself, and unmap it when it is freed.

    By itself it learns to keep blocks of up to 32 MiB in heaps that stay as large as they ever
    were: a step of LTX-2B, its weights widened one by one, took 2.2 GiB beside them, 0.8 so.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, 2**20)


def _weights_beside(path: Path) -> int:
    """Bytes in the file of external weights beside a graph, 0 where there is none."""
    data = path.with_name(f"{path.name}.data")
    return data.stat().st_size if data.is_file() else 0


def _providers(device: Device, memory: int | None, cuda_graph: bool) -> list[Any]:
    if device.kind != "cuda":
        return ["CPUExecutionProvider"]
    options: dict[str, str] = {
        "device_id": str(device.index),
        # Powers of two would take up to twice what is asked for, and keep it.
        "arena_extend_strategy": "kSameAsRequested",
        # Trying every algorithm takes minutes and workspace at each new shape.
        "cudnn_conv_algo_search": "HEURISTIC",
    }
    if memory is not None:
        options["gpu_mem_limit"] = str(memory)
    if cuda_graph:
        options["enable_cuda_graph"] = "1"
    return [("CUDAExecutionProvider", options), "CPUExecutionProvider"]


def _port(port: Any) -> Port:
    dtype = _DTYPES.get(port.type)
    if dtype is None:
        raise EngineError(f"{port.name} has the type {port.type}, which is not supported")
    shape = tuple(size if isinstance(size, int) else str(size) for size in port.shape)
    return Port(port.name, np.dtype(dtype), shape)
