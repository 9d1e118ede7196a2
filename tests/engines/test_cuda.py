"""CUDA through cuda-bindings: each call's error in one line, on a module of recorded calls."""

from __future__ import annotations

import builtins
import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from reverie.engines.cuda import CudaDevice, GpuFacts, open_cuda
from reverie.engines.cuda_memory import CudaBuffer
from reverie.engines.errors import DeviceMemoryError, EngineError, MissingPackageError

TEXTS = {
    1: b"invalid argument",
    2: b"out of memory",
    35: b"CUDA driver version is insufficient for CUDA runtime version",
    700: b"an illegal memory access was encountered",
}


class Runtime:
    """cuda.bindings.runtime, as far as it is used: functions return (code, results...)."""

    cudaDeviceAttr = SimpleNamespace(cudaDevAttrMemoryPoolsSupported="pools")
    cudaStreamCaptureMode = SimpleNamespace(cudaStreamCaptureModeThreadLocal="of this thread")
    cudaMemcpyKind = SimpleNamespace(cudaMemcpyHostToDevice="in", cudaMemcpyDeviceToHost="out")
    cudaStreamNonBlocking = 1

    def __init__(self, *, devices: int = 2, pools: bool = True, fails: Any = None) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.threads: list[int] = []
        self.fails = dict(fails or {})
        self.gives: dict[str, tuple[Any, ...]] = {
            "cudaGetDeviceCount": (devices,),
            "cudaDeviceGetAttribute": (int(pools),),
            "cudaStreamCreateWithFlags": (77,),
            "cudaMallocAsync": (4096,),
            "cudaMalloc": (8192,),
            "cudaMemGetInfo": (3, 8),
            "cudaGraphInstantiate": (99,),
            "cudaStreamEndCapture": (98,),
            "cudaGetDeviceProperties": (
                SimpleNamespace(
                    name=b"GeForce\0\0", major=8, minor=9, totalGlobalMem=5, integrated=0
                ),
            ),
        }

    def cudaGetErrorString(self, code: int) -> tuple[int, bytes]:
        return 0, TEXTS[code]

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("cuda"):
            raise AttributeError(name)

        def call(*arguments: Any) -> tuple[Any, ...]:
            self.calls.append((name, *arguments))
            if name == "cudaSetDevice":
                self.threads.append(threading.get_ident())
            code = self.fails.get(name, 0)
            return (code, *self.gives.get(name, ()))

        return call

    def names(self) -> list[str]:
        return [call[0] for call in self.calls]


def test_a_device_is_chosen_and_has_one_queue() -> None:
    runtime = Runtime()
    cuda = CudaDevice(runtime, 1)
    assert str(cuda.device) == "cuda:1"
    assert cuda.stream == 77
    assert ("cudaSetDevice", 1) in runtime.calls
    assert cuda.facts() == GpuFacts("GeForce", (8, 9), 5, False)
    assert cuda.memory() == (3, 8)
    cuda.close()
    cuda.close()
    assert runtime.names().count("cudaStreamDestroy") == 1


def test_every_thread_chooses_the_device_for_itself() -> None:
    runtime = Runtime()
    cuda = CudaDevice(runtime, 1)
    cuda.synchronize()
    worker = threading.Thread(target=cuda.synchronize)
    worker.start()
    worker.join()
    assert len(runtime.threads) == 2
    assert len(set(runtime.threads)) == 2


@pytest.mark.parametrize("pools", [True, False])
def test_memory_comes_from_the_pool_where_there_is_one(pools: bool) -> None:
    runtime = Runtime(pools=pools)
    cuda = CudaDevice(runtime)
    buffer = CudaBuffer(cuda, (2, 3), np.float32)
    assert buffer.nbytes == 24
    assert buffer.address == (4096 if pools else 8192)
    buffer.free()
    buffer.free()
    expected = ["cudaMallocAsync", "cudaFreeAsync"] if pools else ["cudaMalloc", "cudaFree"]
    assert [name for name in runtime.names() if "alloc" in name or "Free" in name] == expected


def test_copies_go_on_the_queue() -> None:
    runtime = Runtime()
    cuda = CudaDevice(runtime)
    buffer = CudaBuffer(cuda, (4,), np.int64)
    sent = np.arange(4)
    buffer.upload(sent)
    found = buffer.download()
    up, down = (call for call in runtime.calls if call[0] == "cudaMemcpyAsync")
    assert up[1:] == (4096, sent.ctypes.data, 32, "in", 77)
    assert down[1:] == (found.ctypes.data, 4096, 32, "out", 77)
    assert runtime.names()[-1] == "cudaStreamSynchronize"


def test_recorded_work_is_made_ready_played_and_dropped() -> None:
    runtime = Runtime()
    cuda = CudaDevice(runtime)
    graph = cuda.capture(lambda: runtime.cudaWork())
    cuda.play(graph)
    cuda.play(graph)
    cuda.drop(graph)
    names = runtime.names()
    start = names.index("cudaStreamBeginCapture")
    assert names[start:] == [
        "cudaStreamBeginCapture",
        "cudaWork",
        "cudaStreamEndCapture",
        "cudaGraphInstantiate",
        "cudaGraphDestroy",
        "cudaGraphLaunch",
        "cudaGraphLaunch",
        "cudaGraphExecDestroy",
    ]
    assert runtime.calls[start][1:] == (77, "of this thread")


def test_a_capture_that_fails_is_ended() -> None:
    runtime = Runtime()
    cuda = CudaDevice(runtime)

    def launch() -> None:
        raise EngineError("no")

    with pytest.raises(EngineError, match="no"):
        cuda.capture(launch)
    assert "cudaStreamEndCapture" in runtime.names()
    assert "cudaGraphInstantiate" not in runtime.names()

    runtime.fails["cudaGraphInstantiate"] = 1
    with pytest.raises(EngineError, match="invalid argument"):
        cuda.capture(lambda: None)
    assert runtime.names()[-1] == "cudaGraphDestroy"


def test_closing_drops_what_is_recorded() -> None:
    runtime = Runtime()
    cuda = CudaDevice(runtime)
    cuda.capture(lambda: None)
    cuda.close()
    assert runtime.names()[-2:] == ["cudaGraphExecDestroy", "cudaStreamDestroy"]


@pytest.mark.parametrize(
    ("name", "code", "kind", "says"),
    [
        ("cudaMallocAsync", 2, DeviceMemoryError, r"cuda:0 is out of memory \(out of memory\); 5"),
        ("cudaMallocAsync", 700, EngineError, "illegal memory access was encountered, error 700"),
        ("cudaMallocAsync", 35, EngineError, "install or update the NVIDIA driver"),
    ],
)
def test_errors_are_one_line(name: str, code: int, kind: type[Exception], says: str) -> None:
    cuda = CudaDevice(Runtime(fails={name: code}))
    with pytest.raises(kind, match=says) as caught:
        cuda.allocate(5 * 2**20)
    assert "\n" not in str(caught.value)
    assert type(caught.value) is kind


def test_gpus_that_are_not_there_are_refused() -> None:
    with pytest.raises(EngineError, match="there is no GPU 2: CUDA sees 2"):
        CudaDevice(Runtime(), 2)
    with pytest.raises(EngineError, match=r"driver version is insufficient.*NVIDIA driver"):
        CudaDevice(Runtime(fails={"cudaGetDeviceCount": 35}))


def test_without_the_package_there_is_a_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: Any) -> Any:
        if name.startswith("cuda"):
            raise ImportError(f"No module named {name!r}")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(MissingPackageError, match=r"pip install 'reverie\[rtx\]'"):
        open_cuda()


def test_names_are_those_of_the_real_bindings() -> None:
    real = pytest.importorskip("cuda.bindings.runtime")
    runtime = Runtime()
    cuda = CudaDevice(runtime)
    plain = CudaDevice(Runtime(pools=False))
    for device in (cuda, plain):
        buffer = CudaBuffer(device, (1,), np.float32)
        buffer.upload(np.zeros(1, np.float32))
        buffer.download()
        buffer.free()
        device.play(device.capture(lambda: None))
        device.facts()
        device.memory()
        device.close()
    used = set(runtime.names()) | set(plain._cuda.names())
    for name in used | {"cudaGetErrorString", "cudaGetLastError", "cudaStreamNonBlocking"}:
        assert hasattr(real, name), name
    for kind in ("cudaDeviceAttr", "cudaStreamCaptureMode", "cudaMemcpyKind"):
        for name in vars(getattr(Runtime, kind)):
            assert hasattr(getattr(real, kind), name), name
    properties = dir(real.cudaDeviceProp())
    assert {"name", "major", "minor", "totalGlobalMem", "integrated"} <= set(properties)


def test_the_real_bindings_without_a_gpu_say_so_in_one_line() -> None:
    real = pytest.importorskip("cuda.bindings.runtime")
    if int(real.cudaGetDeviceCount()[0]) == 0:
        pytest.skip("there is a GPU here")
    with pytest.raises(EngineError, match="CUDA cannot be used here") as caught:
        open_cuda()
    assert "\n" not in str(caught.value)
