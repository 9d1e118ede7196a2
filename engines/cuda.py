"""What is needed of CUDA: memory, copies, one queue (a stream), and work that is played back.

Through cuda-bindings, imported when a device is opened. Everything above stands on the protocol
`Cuda`, so that a device of numpy arrays can take its place.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from .device import Device
from .errors import DeviceMemoryError, EngineError, MissingPackageError

PIP = (
    "`pip install 'reverie[rtx]'`, or `pip install cuda-bindings` of the CUDA that the driver knows"
)
_OUT_OF_MEMORY = 2
_NO_DRIVER = (35, 100)  # cudaErrorInsufficientDriver, cudaErrorNoDevice


@dataclass(frozen=True)
class GpuFacts:
    """What a GPU says of itself."""

    name: str
    capability: tuple[int, int]
    """(major, minor)."""
    memory_bytes: int
    unified: bool
    """Whether it shares the processor's memory."""


class Cuda(Protocol):
    """One GPU with one queue, which all engines on it share; addresses are plain numbers.

    Every method raises EngineError in one line where the device fails, DeviceMemoryError where its
    memory does not suffice.
    """

    @property
    def device(self) -> Device:
        """Which GPU."""

    @property
    def stream(self) -> int:
        """The queue's handle."""

    def facts(self) -> GpuFacts:
        """Say what GPU it is."""

    def memory(self) -> tuple[int, int]:
        """Return bytes that are free, and that there are."""

    def allocate(self, nbytes: int) -> int:
        """Return the address of new memory."""

    def free(self, address: int) -> None:
        """Give memory back, behind the work that is queued."""

    def upload(self, address: int, array: NDArray[Any]) -> None:
        """Queue a copy of a contiguous array, which must stay as it is until that is done."""

    def download(self, array: NDArray[Any], address: int) -> None:
        """Queue a copy into a contiguous array; it is there after `synchronize`."""

    def synchronize(self) -> None:
        """Wait for all that is queued."""

    def capture(self, launch: Callable[[], None]) -> int:
        """Record what `launch` queues, without doing it; `play` does it, `drop` gives it back."""

    def play(self, graph: int) -> None:
        """Queue recorded work."""

    def drop(self, graph: int) -> None:
        """Give recorded work back."""

    def close(self) -> None:
        """Give the queue back; a second call does nothing."""


def open_cuda(index: int = 0) -> CudaDevice:
    """Open a GPU.

    Raises:
        MissingPackageError: cuda-bindings is not installed.
        EngineError: there is no driver, or no such GPU.
    """
    try:
        from cuda.bindings import runtime
    except (ImportError, OSError) as error:
        raise MissingPackageError(
            f"cuda-bindings cannot be imported ({error}): install it with {PIP}"
        ) from error
    return CudaDevice(runtime, index)


class CudaDevice:
    """`Cuda` on cuda-bindings; runtime: its module cuda.bindings.runtime."""

    def __init__(self, runtime: Any, index: int = 0) -> None:
        self._cuda, self.device = runtime, Device("cuda", index)
        self._set = threading.local()
        count = int(self._call("cudaGetDeviceCount"))
        if index >= count:
            raise EngineError(f"there is no GPU {index}: CUDA sees {count} here, from 0 on")
        pools = runtime.cudaDeviceAttr.cudaDevAttrMemoryPoolsSupported
        self._pools = bool(self._on("cudaDeviceGetAttribute", pools, index))
        self._handle: Any = self._on("cudaStreamCreateWithFlags", runtime.cudaStreamNonBlocking)
        self._graphs: dict[int, Any] = {}

    @property
    def stream(self) -> int:
        """The stream's handle."""
        return int(self._handle)

    def facts(self) -> GpuFacts:
        """Ask for the device's properties."""
        found = self._on("cudaGetDeviceProperties", self.device.index)
        name = found.name.decode() if isinstance(found.name, bytes) else str(found.name)
        return GpuFacts(
            name.rstrip("\0"),
            (int(found.major), int(found.minor)),
            int(found.totalGlobalMem),
            bool(found.integrated),
        )

    def memory(self) -> tuple[int, int]:
        """Ask for free and total memory."""
        free, total = self._on("cudaMemGetInfo")
        return int(free), int(total)

    def allocate(self, nbytes: int) -> int:
        """Take memory from the device's pool, where it has one."""
        if self._pools:
            return int(self._on("cudaMallocAsync", nbytes, self._handle, needed=nbytes))
        return int(self._on("cudaMalloc", nbytes, needed=nbytes))

    def free(self, address: int) -> None:
        """Return memory to where it came from."""
        if self._pools:
            self._on("cudaFreeAsync", address, self._handle)
        else:
            self._on("cudaFree", address)

    def upload(self, address: int, array: NDArray[Any]) -> None:
        """Copy to the device."""
        self._copy(address, array.ctypes.data, array.nbytes, "cudaMemcpyHostToDevice")

    def download(self, array: NDArray[Any], address: int) -> None:
        """Copy from the device."""
        self._copy(array.ctypes.data, address, array.nbytes, "cudaMemcpyDeviceToHost")

    def synchronize(self) -> None:
        """Wait for the stream."""
        self._on("cudaStreamSynchronize", self._handle)

    def capture(self, launch: Callable[[], None]) -> int:
        """Capture the stream into a graph and make it ready."""
        mode = self._cuda.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._on("cudaStreamBeginCapture", self._handle, mode)
        try:
            launch()
        except BaseException:
            # What ends a capture that failed is an error too, and not the one to tell.
            self._cuda.cudaStreamEndCapture(self._handle)
            self._cuda.cudaGetLastError()
            raise
        graph = self._on("cudaStreamEndCapture", self._handle)
        try:
            ready = self._on("cudaGraphInstantiate", graph, 0)
        finally:
            self._on("cudaGraphDestroy", graph)
        self._graphs[int(ready)] = ready
        return int(ready)

    def play(self, graph: int) -> None:
        """Launch a graph."""
        self._on("cudaGraphLaunch", self._graphs[graph], self._handle)

    def drop(self, graph: int) -> None:
        """Destroy a graph."""
        self._on("cudaGraphExecDestroy", self._graphs.pop(graph))

    def close(self) -> None:
        """Destroy the stream, and what is left of graphs."""
        if self._handle is None:
            return
        for graph in list(self._graphs):
            self.drop(graph)
        self._on("cudaStreamDestroy", self._handle)
        self._handle = None

    def _copy(self, to: int, address: int, nbytes: int, kind: str) -> None:
        kinds = self._cuda.cudaMemcpyKind
        self._on("cudaMemcpyAsync", to, address, nbytes, getattr(kinds, kind), self._handle)

    def _on(self, name: str, *arguments: Any, needed: int | None = None) -> Any:
        """Call a function on this device, which each thread must choose for itself."""
        if not getattr(self._set, "done", False):
            self._call("cudaSetDevice", self.device.index)
            self._set.done = True
        return self._call(name, *arguments, needed=needed)

    def _call(self, name: str, *arguments: Any, needed: int | None = None) -> Any:
        """Call a function; returns what it gives beside its error code."""
        code, *found = getattr(self._cuda, name)(*arguments)
        if int(code) != 0:
            raise self._error(name, code, needed)
        return found[0] if len(found) == 1 else tuple(found)

    def _error(self, name: str, code: Any, needed: int | None) -> EngineError:
        _, told = self._cuda.cudaGetErrorString(code)
        text = told.decode() if isinstance(told, bytes) else str(told)
        if int(code) == _OUT_OF_MEMORY:
            what = "" if needed is None else f" {needed / 2**20:.0f} MiB more were asked for:"
            return DeviceMemoryError(
                f"{self.device} is out of memory ({text});{what} close what else uses the GPU, or "
                "ask for a smaller or shorter clip"
            )
        if int(code) in _NO_DRIVER:
            return EngineError(
                f"CUDA cannot be used here ({text}): install or update the NVIDIA driver, or use "
                "the CPU"
            )
        return EngineError(
            f"{self.device} failed at {name} ({text}, error {int(code)}): try again, and if it "
            "stays, use the CPU"
        )
