"""What an engine is: one network made ready for one device, behind one method."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from .device import Device, choose_device

Array = NDArray[np.generic]
Shape = tuple[int, ...]
Launch = Callable[[], None]
"""Puts a network's work, whose inputs and outputs are bound, on its device's queue."""


@dataclass(frozen=True)
class Port:
    """One input or output of a network."""

    name: str
    dtype: np.dtype[np.generic]
    shape: tuple[int | str, ...]
    """A number is a fixed size, a name a free one."""


class Engine(Protocol):
    """One network on one device.

    An engine is a context manager and may be run again and again; it is not safe to run from two
    threads at once.
    """

    @property
    def inputs(self) -> tuple[Port, ...]:
        """The inputs `run` needs."""

    @property
    def outputs(self) -> tuple[Port, ...]:
        """The outputs `run` gives."""

    @property
    def device(self) -> Device:
        """Where the network runs."""

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run the network once.

        Raises:
            EngineError: an input is missing, unknown, or of the wrong type or shape, or the device
                failed (out of memory).
        """

    def close(self) -> None:
        """Free what the network holds; a second call does nothing."""

    def __enter__(self) -> Engine: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...


class Buffer(Protocol):
    """Memory of an engine's device that holds one tensor; its engine frees it at the latest."""

    @property
    def shape(self) -> Shape:
        """Its sizes, all known."""

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """What its numbers are."""

    @property
    def nbytes(self) -> int:
        """What it takes."""

    def upload(self, array: Array) -> None:
        """Fill it from an array of its shape and type, behind what was launched before.

        Raises:
            EngineError: the array does not fit, or the device failed.
        """

    def download(self) -> Array:
        """Return what it holds, once all that was launched is done.

        Raises:
            EngineError: the device failed.
        """

    def free(self) -> None:
        """Give the memory back; a second call does nothing."""


@runtime_checkable
class Resident(Engine, Protocol):
    """An engine whose inputs and outputs can stay on its device from one run to the next.

    Engines opened with `beside` share the device's queue with this one: what is launched on one of
    them runs after what was launched before on any.
    """

    def allocate(self, shape: Shape, dtype: np.dtype[np.generic] | type[np.generic]) -> Buffer:
        """Return memory for a tensor; what it holds is not known before it is filled.

        Raises:
            EngineError: the device has no room.
        """

    def bind(self, inputs: Mapping[str, Buffer], outputs: Mapping[str, Buffer]) -> Launch:
        """Fix every input and output, once; returns what runs the network on them.

        A launch may come back before the work is done. Several bindings may be kept side by side.

        Raises:
            EngineError: a buffer is missing, or of another shape or type than the network's.
        """

    def capture(self, launch: Launch) -> Launch:
        """Return launches that do the same as one submission, or `launch` where that cannot be.

        launch: binds nothing and copies nothing; it may launch engines opened with `beside` too. It
            has run once before.
        """

    def synchronize(self) -> None:
        """Wait until all that was launched is done.

        Raises:
            EngineError: something of it failed.
        """

    def beside(self, graph: Path, inputs: Mapping[str, Shape]) -> Resident:
        """Open another, small ONNX graph on the same device and queue, for inputs of one shape.

        Raises:
            EngineError: it cannot be opened there.
        """


def open_engine(
    path: Path | str,
    *,
    device: Device | str = "auto",
    threads: int | None = None,
    weight_bytes: int | None = None,
    precision: str | None = None,
    memory: int | None = None,
    cuda_graph: bool = False,
) -> Engine:
    """Open an ONNX graph on a device.

    Args:
        path: the `.onnx` file; external weights lie beside it.
        device: "auto" (the GPU when ONNX Runtime has its CUDA provider, else the CPU), "cpu",
            "cuda", or a Device.
        threads: CPU threads; None leaves the choice to the library.
        weight_bytes: size of the external weights, for engines that treat large ones with care;
            None takes that of the file beside the graph.
        precision: what the graph computes in, where it is known; "fp8" is optimised with care.
        memory: bytes of GPU memory that the engine's own allocations may take; None is no limit.
        cuda_graph: whether runs on a GPU are recorded and played back; such an engine is only for
            tensors that are bound (see Resident).

    Raises:
        EngineError: the file is no graph this device can run, or the device is not there.
        MissingPackageError: ONNX Runtime is not installed.
    """
    from .ort import OrtEngine

    return OrtEngine(
        Path(path),
        choose_device(device),
        threads,
        weight_bytes,
        precision=precision,
        memory=memory,
        cuda_graph=cuda_graph,
    )
