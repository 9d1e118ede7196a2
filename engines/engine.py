"""What an engine is: one network made ready for one device, behind one method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .device import Device, choose_device

Array = NDArray[np.generic]


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


def open_engine(
    path: Path | str,
    *,
    device: Device | str = "auto",
    threads: int | None = None,
    weight_bytes: int | None = None,
) -> Engine:
    """Open an ONNX graph on a device.

    Args:
        path: the `.onnx` file; external weights lie beside it.
        device: "auto" (the GPU when ONNX Runtime has its CUDA provider, else the CPU), "cpu",
            "cuda", or a Device.
        threads: CPU threads; None leaves the choice to the library.
        weight_bytes: size of the external weights, for engines that treat large ones with care;
            None takes that of the file beside the graph.

    Raises:
        EngineError: the file is no graph this device can run, or the device is not there.
        MissingPackageError: ONNX Runtime is not installed.
    """
    from .ort import OrtEngine

    return OrtEngine(Path(path), choose_device(device), threads, weight_bytes)
