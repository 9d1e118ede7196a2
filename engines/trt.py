"""Engines of TensorRT and TensorRT-RTX: one path, the library and the device passed in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from weakref import finalize

import numpy as np

from .closing import Closing
from .cuda import Cuda
from .cuda_memory import Arena, CudaBuffer
from .engine import Array, Buffer, Launch, Shape
from .errors import EngineError
from .tensors import check_tensors
from .trt_open import JitCache, failure, make_context, open_file
from .trt_ports import read_tensors

BuildBeside = Callable[[Path, Mapping[str, Shape]], Path]
"""Small ONNX graph and the one shape of each input -> the file of its engine for this device."""


class TrtEngine(Closing):
    """One engine file on one GPU; see `engine.Engine` and `engine.Resident`.

    path: an engine file that was verified. library: the module tensorrt_rtx or tensorrt. cuda: the
    device; all engines on it share its queue. weight_budget: see `trt_open.open_file`. arena: the
    room for activations that it shares with others; None is one of its own. jit_cache: where
    TensorRT-RTX keeps the kernels it compiled; None keeps none. build: makes engines of the small
    graphs that `beside` opens.
    """

    def __init__(
        self,
        path: Path,
        library: Any,
        cuda: Cuda,
        *,
        weight_budget: int | None = None,
        arena: Arena | None = None,
        jit_cache: Path | None = None,
        build: BuildBeside | None = None,
    ) -> None:
        self._path, self._library, self._cuda, self._build = path, library, cuda, build
        self.device = cuda.device
        self._buffers: set[CudaBuffer] = set()
        self._graphs: list[finalize[..., Any]] = []
        self._shapes: dict[str, Shape] = {}
        self._current: _Bound | None = None
        self._placed = -1
        self._needs = 0  # bytes of activations, for these shapes
        self._io: tuple[Mapping[str, Shape], dict[str, Buffer], Launch] | None = None
        self._held = ExitStack()
        self._arena = arena or Arena(cuda)
        with ExitStack() as held:
            if arena is None:
                held.callback(self._arena.close)
            cuda.memory()  # makes this device the thread's own
            opened = open_file(path, library, weight_budget)
            self._log, self._streams = opened.log, opened.streams_weights
            self._runtime, self._engine = opened.runtime, opened.engine
            self._tensors = read_tensors(path.name, library, self._engine)
            cache = JitCache(jit_cache)
            self._context: Any = make_context(library, self._engine, cache)
            if self._context is None:
                raise failure(f"{path.name} cannot be made ready", self._log, "use the CPU")
            held.callback(cache.save)
            self._held = held.pop_all()
        self.inputs = tuple(t.port for t in self._tensors if t.is_input)
        self.outputs = tuple(t.port for t in self._tensors if not t.is_input)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Copy inputs to the device, run, and copy outputs back; see `engine.Engine.run`."""
        self._alive()
        check_tensors(self._path.name, self.inputs, inputs)
        shapes = {name: tuple(array.shape) for name, array in inputs.items()}
        if self._io is None or self._io[0] != shapes:
            self._drop_io()
            self._io = (shapes, *self._make_io(shapes))
        _, buffers, launch = self._io
        for tensor in self._tensors:
            if tensor.is_input:
                buffers[tensor.name].upload(tensor.to_device(inputs[tensor.name]))
        launch()
        return {
            tensor.name: tensor.to_host(buffers[tensor.name].download())
            for tensor in self._tensors
            if not tensor.is_input
        }

    def allocate(self, shape: Shape, dtype: np.dtype[np.generic] | type[np.generic]) -> CudaBuffer:
        """Return memory of the device; see `engine.Resident.allocate`."""
        self._alive()
        buffer = CudaBuffer(self._cuda, shape, dtype, self._buffers.discard)
        self._buffers.add(buffer)
        return buffer

    def bind(self, inputs: Mapping[str, Buffer], outputs: Mapping[str, Buffer]) -> Launch:
        """Fix inputs and outputs; see `engine.Resident.bind`. bfloat16 is bound as its bits."""
        self._alive()
        given = {**inputs, **outputs}
        if set(given) != {tensor.name for tensor in self._tensors}:
            names = ", ".join(tensor.name for tensor in self._tensors)
            raise EngineError(f"{self._path.name} has {names}; given {', '.join(sorted(given))}")
        made = self._set_shapes({name: buffer.shape for name, buffer in inputs.items()})
        addresses = {}
        for tensor in self._tensors:
            buffer = given[tensor.name]
            if not isinstance(buffer, CudaBuffer):
                raise EngineError(
                    f"{self._path.name} was given {tensor.name} in memory of another library: "
                    "allocate it on the engine, or on one opened beside it"
                )
            shape = made.get(tensor.name, buffer.shape)
            if buffer.dtype != tensor.stored or buffer.shape != shape:
                raise EngineError(
                    f"{self._path.name} has {tensor.name} as {tensor.stored} {list(shape)}; "
                    f"given {buffer.dtype} {list(buffer.shape)}"
                )
            addresses[tensor.name] = buffer.address
        shapes = {name: buffer.shape for name, buffer in inputs.items()}
        return _Bound(self, addresses, shapes, tuple(given.values()))

    def capture(self, launch: Launch) -> Launch:
        """Record launches as a CUDA graph; see `engine.Resident.capture`.

        What streams its weights, or what the library or the device cannot record, stays as it is.
        """
        self._alive()
        if self._streams or not self._capturable():
            return launch
        try:
            return _Played(self, launch)
        except EngineError:
            return launch

    def synchronize(self) -> None:
        """Wait for the device; see `engine.Resident.synchronize`."""
        self._cuda.synchronize()

    def beside(self, graph: Path, inputs: Mapping[str, Shape]) -> TrtEngine:
        """Open an engine of another graph, which shares queue and arena; see `engine.Resident`."""
        if self._build is None:
            raise EngineError(
                f"{graph.name} cannot be built beside {self._path.name}: pass build= to TrtEngine"
            )
        file = self._build(graph, inputs)
        return TrtEngine(file, self._library, self._cuda, arena=self._arena, build=self._build)

    def close(self) -> None:
        """Free everything: buffers, recorded work, the context, the weights."""
        if self._context is None:
            return
        with ExitStack() as last:  # all of it, even where the device is gone; the last line first
            last.callback(self._forget)
            last.callback(self._cuda.synchronize)  # the device's pool gives back what is free
            last.callback(self._held.close)
            for buffer in list(self._buffers):
                last.callback(buffer.free)
            for graph in self._graphs:
                last.callback(graph)
            last.callback(self._cuda.synchronize)  # nothing may be in flight on what goes

    def _forget(self) -> None:
        """Let go of the library's objects: a context needs its engine, an engine its runtime."""
        self._io = self._current = None
        self._context = None
        self._engine = None
        self._runtime = None

    def _alive(self) -> None:
        if self._context is None:
            raise EngineError(f"{self._path.name} was closed: open it again before running it")

    def _capturable(self) -> bool:
        if not hasattr(self._context, "is_stream_capturable"):
            return True
        return bool(self._context.is_stream_capturable(self._cuda.stream))

    def _set_shapes(self, shapes: Mapping[str, Shape]) -> dict[str, Shape]:
        """Tell the context its inputs' shapes, make room for them; returns the outputs'."""
        for tensor in self._tensors:
            if tensor.is_input:
                tensor.check(self._path.name, shapes[tensor.name])
        if self._shapes != shapes:
            self._shapes = {}  # until all is settled
            for name, shape in shapes.items():
                if not self._context.set_input_shape(name, shape):
                    raise failure(f"{self._path.name} refused {name}", self._log, "use the CPU")
            self._current, self._placed = None, -1  # both are for the shapes before
            self._needs = int(self._context.update_device_memory_size_for_shapes())
            self._arena.reserve(self._needs)
            self._shapes = dict(shapes)
        made = {}
        for tensor in self._tensors:
            if not tensor.is_input:
                made[tensor.name] = tuple(self._context.get_tensor_shape(tensor.name))
                if min(made[tensor.name], default=0) < 0:
                    raise EngineError(
                        f"{self._path.name}: the size of {tensor.name} is known only once it has "
                        "run, which is not supported: run it on ONNX Runtime"
                    )
        return made

    def _launch(self, bound: _Bound) -> None:
        self._alive()
        if self._current is not bound:
            self._set_shapes(bound.shapes)
            for name, address in bound.addresses.items():
                if not self._context.set_tensor_address(name, address):
                    raise failure(f"{self._path.name} refused {name}", self._log, "use the CPU")
            self._current = bound
        if self._placed != self._arena.version:
            self._arena.reserve(self._needs)  # another may have given it back, or made it smaller
            if self._arena.nbytes:
                self._context.set_device_memory(self._arena.address, self._arena.nbytes)
            self._placed = self._arena.version
        if not self._context.execute_async_v3(self._cuda.stream):
            raise failure(
                f"{self._path.name} failed on {self.device}",
                self._log,
                "ask for a smaller or shorter clip, or use the CPU",
            )

    def _make_io(self, shapes: Mapping[str, Shape]) -> tuple[dict[str, Buffer], Launch]:
        made = self._set_shapes(shapes)
        inputs: dict[str, Buffer] = {}
        outputs: dict[str, Buffer] = {}
        with ExitStack() as held:  # given back where memory runs out half way
            for tensor in self._tensors:
                place, sizes = (inputs, shapes) if tensor.is_input else (outputs, made)
                buffer = self.allocate(sizes[tensor.name], tensor.stored)
                held.callback(buffer.free)
                place[tensor.name] = buffer
            launch = self.bind(inputs, outputs)
            held.pop_all()
        return {**inputs, **outputs}, launch

    def _drop_io(self) -> None:
        if self._io is not None:
            _, buffers, _ = self._io
            self._io = self._current = None
            for buffer in buffers.values():
                buffer.free()


class _Bound:
    """One set of addresses of an engine; called, it queues a run on them."""

    def __init__(
        self,
        engine: TrtEngine,
        addresses: Mapping[str, int],
        shapes: Mapping[str, Shape],
        buffers: tuple[Buffer, ...],
    ) -> None:
        self._engine, self.addresses, self.shapes = engine, addresses, shapes
        self._buffers = buffers  # not to be freed by themselves while this may run

    def __call__(self) -> None:
        self._engine._launch(self)


class _Played:
    """Recorded launches; called, it queues them all at once."""

    def __init__(self, engine: TrtEngine, launch: Launch) -> None:
        self._engine, self._launch = engine, launch
        self._record()

    def __call__(self) -> None:
        if self._version != self._engine._arena.version:
            self._drop()  # activations lie elsewhere now
            self._launch()
            self._record()
            return
        self._engine._cuda.play(self._graph)

    def _record(self) -> None:
        cuda = self._engine._cuda
        self._graph = cuda.capture(self._launch)
        self._version = self._engine._arena.version
        self._drop = finalize(self, cuda.drop, self._graph)
        self._drop.atexit = False
        self._engine._graphs.append(self._drop)
