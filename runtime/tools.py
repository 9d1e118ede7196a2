"""Opens the networks of tools, which work on frames and faces, by what the machine has.

A tool's sizes are known when it is first run: until then it costs nothing. On an NVIDIA GPU it runs
by ONNX Runtime where that starts CUDA, else as an engine of TensorRT for those very sizes, and on
the processor where neither works.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ..engines.closing import Closing
from ..engines.device import Device, choose_device, cuda_starts
from ..engines.engine import Array, Engine, Port, Shape
from ..engines.errors import EngineError
from .bundle import MANIFEST, Bundle
from .ladder import FALLS
from .stages import OnNote, Stages

if TYPE_CHECKING:
    from .gpu_engines import GpuEngines

Way: TypeAlias = Callable[[Mapping[str, Shape]], Engine]
"""Opens a network for inputs of some shapes."""


class ToolEngine(Closing):
    """A tool's network, opened when it is first run; see `engines.engine.Engine`.

    ways: how to open it, best first; where one fails, in opening or in running, the next is taken
    for good, which `on_note` is told.
    """

    def __init__(
        self,
        bundle: Bundle,
        name: str,
        ways: Iterator[tuple[Device, Way]],
        *,
        on_note: OnNote | None = None,
    ) -> None:
        self._bundle, self._name, self._ways, self._on_note = bundle, name, ways, on_note
        entry = bundle.manifest["components"][name]
        self.inputs, self.outputs = (
            tuple(_port(bundle, one) for one in entry[kind]) for kind in ("inputs", "outputs")
        )
        self.device, self._way = next(ways)
        self._engine: Engine | None = None
        self._shapes: dict[str, Shape] = {}

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run the network once; see `engine.Engine.run`.

        Raises:
            EngineError: no way of running it works.
            BundleError: its files are not whole.
        """
        shapes = {name: tuple(array.shape) for name, array in inputs.items()}
        while True:
            try:
                if self._engine is None or self._outgrown(shapes):
                    self.close()
                    self._engine, self._shapes = self._way(shapes), shapes
                return self._engine.run(inputs)
            except FALLS as error:
                self.close()
                below = next(self._ways, None)
                if below is None:
                    if isinstance(error, EngineError):
                        raise
                    raise EngineError(str(error)) from error
                self.device, self._way = below
                if self._on_note is not None:
                    self._on_note(f"{self._bundle.name} runs on {self.device} instead: {error}")

    def _outgrown(self, shapes: Mapping[str, Shape]) -> bool:
        """Whether the open engine was built for other sizes; ONNX Runtime's take any."""
        return shapes != self._shapes and bool(getattr(self._engine, "fixed", False))

    def close(self) -> None:
        """Free what the network holds; it opens again when it is run."""
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()


class _Built(Closing):
    """An engine of TensorRT with what it runs on, which is freed with it."""

    fixed = True

    def __init__(self, engine: Engine, gpu: GpuEngines) -> None:
        self._engine, self._gpu = engine, gpu
        self.inputs, self.outputs, self.device = engine.inputs, engine.outputs, engine.device
        self.run = engine.run

    def close(self) -> None:
        """Free the engine and its device's memory."""
        self._engine.close()
        self._gpu.close()


def open_tool(
    bundle: Bundle,
    name: str,
    *,
    device: Device | str = "auto",
    threads: int | None = None,
    on_note: OnNote | None = None,
) -> ToolEngine:
    """Open a component of a tool's bundle on a device, or what comes nearest to it.

    Raises:
        EngineError: the device's name is unknown, or it was asked for by name and is not there.
        BundleError: its files are not whole.
    """
    chosen = choose_device(device)
    bundle.path(name, device=chosen.kind)
    return ToolEngine(bundle, name, _ways(bundle, name, chosen, threads), on_note=on_note)


def _ways(
    bundle: Bundle, name: str, device: Device, threads: int | None
) -> Iterator[tuple[Device, Way]]:
    def plainly(on: Device) -> Way:
        return lambda shapes: bundle.open(name, device=on, threads=threads)

    if device.kind == "cuda" and bundle.opener is None and not cuda_starts():
        yield device, lambda shapes: _build(bundle, name, device, shapes)
    elif device.kind != "cpu":
        yield device, plainly(device)
    yield Device("cpu"), plainly(Device("cpu"))


def _build(bundle: Bundle, name: str, device: Device, shapes: Mapping[str, Shape]) -> _Built:
    """Open an engine of TensorRT for one set of sizes; built where the cache has none."""
    from ..engines.machine import describe_machine
    from .gpu_engines import GpuEngines
    from .ladder import Rung
    from .placement import built_by

    machine = describe_machine()
    gpu = machine.gpus[device.index].architecture if device.index < len(machine.gpus) else None
    if gpu is None:
        raise EngineError("no engine is built for this GPU: `reverie doctor` tells more")
    engines = GpuEngines(device.index, machine=machine)
    rung = Rung(built_by(gpu), device, bundle.component(name).precision)
    try:
        return _Built(engines.open(bundle, name, rung, [dict(shapes)], Stages()), engines)
    except BaseException:
        engines.close()
        raise


def _port(bundle: Bundle, entry: Mapping[str, Any]) -> Port:
    try:
        return Port(str(entry["name"]), np.dtype(entry["dtype"]), tuple(entry["shape"]))
    except (KeyError, TypeError) as error:
        from .bundle import manifest_error

        raise manifest_error(bundle.folder, error, f"{MANIFEST}: ports") from error
