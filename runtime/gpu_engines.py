"""TensorRT's engines on the GPU of this machine: found in the cache or built, then opened.

All engines of a render share the device's queue and one arena for activations, for no two of them
run at the same time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..engines.architectures import Architecture
from ..engines.build import BuildProgress, BuildRequest, build_engine
from ..engines.cache import EngineCache
from ..engines.cache_key import EngineKey
from ..engines.cuda import Cuda, open_cuda
from ..engines.cuda_memory import Arena
from ..engines.engine import Engine, Shape
from ..engines.errors import EngineError, OutputError
from ..engines.libraries import Kind, load_library, need_library
from ..engines.machine import Gpu, Machine, describe_machine
from ..engines.trt import TrtEngine
from .bundle import Bundle, hash_file
from .ladder import Rung
from .orders import EngineOrder, order_engine, own_place
from .placement import LIBRARIES
from .shapes import ShapeSet
from .stages import Stages

_ALL = 1 << 62  # bytes: more weights than any engine has


class GpuEngines:
    """Opens TensorRT's engines on one GPU; what is not given is found when it is needed."""

    def __init__(
        self,
        index: int = 0,
        *,
        cache: EngineCache | None = None,
        machine: Machine | None = None,
        open_device: Callable[[int], Cuda] = open_cuda,
        load: Callable[[str], Any] = load_library,
        build: Callable[..., Any] = build_engine,
    ) -> None:
        self._index, self._cache, self._machine = index, cache, machine
        self._alone: EngineCache | None = None
        """For this render alone, where the cache cannot be written in."""
        self._open_device, self._load, self._build = open_device, load, build
        self._cuda: Cuda | None = None
        self._arena: Arena | None = None
        self._free_at_first = 0
        self.peak = 0
        """Bytes of the device that were taken since the first engine, when it was looked at."""

    def open(
        self, bundle: Bundle, name: str, rung: Rung, shapes: Sequence[ShapeSet], stages: Stages
    ) -> Engine:
        """Open a component's engine for the shapes of a render; builds it where there is none.

        Raises:
            MissingPackageError: the library, or cuda-bindings, is not installed.
            EngineError: there is no GPU for it, the build is refused, or it cannot be opened.
            BundleError: the component is not there in that precision, or not whole.
        """
        kind = LIBRARIES[rung.backend]
        library = self._load(kind)
        gpu, architecture = self._gpu()
        order = order_engine(
            bundle,
            name,
            rung.precision,
            shapes,
            architecture,
            library=kind,
            weight_streaming=rung.streamed,
            in_place=own_place(kind, gpu),
        )
        path = self._find(order, stages)
        cuda, arena = self._device()

        def beside(graph: Path, sizes: Mapping[str, Shape]) -> Path:
            return self._find(_order_graph(graph, sizes, architecture, kind, gpu), stages)

        lender = next(c for c in (self._cache, self._alone) if c and c.folder == path.parent)
        with lender.using(path):
            engine = TrtEngine(
                path,
                library,
                cuda,
                weight_budget=None if rung.streamed else _ALL,
                arena=arena,
                jit_cache=path.with_name(f"{path.stem}.jit"),
                build=beside,
            )
        self._look(cuda)
        return engine

    def close(self) -> None:
        """Free what is shared on the device; a second call does nothing."""
        arena, cuda, self._arena, self._cuda = self._arena, self._cuda, None, None
        if arena is not None and cuda is not None:
            self._look(cuda)
            for part in (arena, cuda):
                with suppress(EngineError):  # a device that is gone holds nothing
                    part.close()

    def spare(self) -> None:
        """Give back the room for activations, which the next engine that runs takes again."""
        if self._arena is not None:
            with suppress(EngineError):
                self._arena.close()

    def _look(self, cuda: Cuda) -> None:
        """See how much of the device is taken; activations lie in the arena until it is closed."""
        with suppress(EngineError):
            free, _ = cuda.memory()
            self.peak = max(self.peak, self._free_at_first - free)

    def _gpu(self) -> tuple[Gpu, Architecture]:
        if self._machine is None:
            self._machine = describe_machine()
        if self._index >= len(self._machine.gpus):
            problem = self._machine.driver.problem or "there is no NVIDIA GPU in this machine"
            raise EngineError(f"{problem}: use another backend, or the CPU")
        gpu = self._machine.gpus[self._index]
        if gpu.architecture is None:
            major, minor = gpu.capability
            raise EngineError(
                f"no engine is built for {gpu.name} (compute capability {major}.{minor}): "
                "use ONNX Runtime, or update Reverie"
            )
        return gpu, gpu.architecture

    def _device(self) -> tuple[Cuda, Arena]:
        if self._cuda is None or self._arena is None:
            self._cuda = self._open_device(self._index)
            self._free_at_first, _ = self._cuda.memory()
            self._arena = Arena(self._cuda)
        return self._cuda, self._arena

    def _find(self, order: EngineOrder, stages: Stages) -> Path:
        """The engine from the cache, one whose sizes take in those of this render, or a new one."""
        try:
            cache = self._cache = self._cache or EngineCache()
            found = covering(cache, order.key, on_note=stages.note)
            if found is not None:
                return found
            if self._alone is None:
                return cache.get(order.key, self._builder(order, stages), on_note=stages.note)
        except OutputError as error:
            if self._alone is None:
                stages.note(f"{error}; the engine is built for this render alone")
                self._alone = EngineCache.temporary()
        return self._alone.get(order.key, self._builder(order, stages), on_note=stages.note)

    def _builder(self, order: EngineOrder, stages: Stages) -> Callable[[Path], None]:
        def told(progress: BuildProgress) -> None:
            stages.tell("build", progress.done, max(progress.total, 1))

        def build(path: Path) -> None:
            stages.note(f"{order.key}: built now, once for this GPU and these sizes")
            with stages.stage("build"):
                self._build(order.request, path, on_progress=told)

        return build


def covering(
    cache: EngineCache, key: EngineKey, *, on_note: Callable[[str], None] | None = None
) -> Path | None:
    """Return the engine of a key, or one for more sizes or GPUs, or one that can stream besides.

    on_note: told when one of them is not whole.
    """
    for entry in reversed(cache.entries()):
        held = entry.key
        if (
            held is not None
            and entry.problem is None
            and _but_for_sizes(held, key).digest() == key.digest()
            and set(key.device) <= set(held.device)
            and _takes_in(held, key)
            and (path := cache.find(held, on_note=on_note)) is not None
        ):
            return path
    return None


def _but_for_sizes(held: EngineKey, key: EngineKey) -> EngineKey:
    """A key with another's sizes and GPUs; one that may stream its weights need not."""
    options = dict(held.options)
    if options.get("weight_streaming"):
        options["weight_streaming"] = key.options.get("weight_streaming", False)
    return replace(held, profile=key.profile, device=key.device, options=options)


def _takes_in(held: EngineKey, wanted: EngineKey) -> bool:
    if held.profile.keys() != wanted.profile.keys():
        return False
    return all(
        low <= small and large <= high
        for name, (smallest, _, largest) in wanted.profile.items()
        for low, small, large, high in zip(
            held.profile[name][0], smallest, largest, held.profile[name][2], strict=True
        )
    )


def _order_graph(
    graph: Path, sizes: Mapping[str, Shape], architecture: Architecture, kind: Kind, gpu: Gpu
) -> EngineOrder:
    """The engine of a small graph that belongs to no bundle, for one size of each input."""
    request = BuildRequest(
        graph=graph,
        gpus=(architecture,),
        profile={name: (tuple(shape),) * 3 for name, shape in sizes.items()},
        library=kind,
        # They are float32, without the matrix products for which sm75 refuses that.
        precision="fp16",
        weight_bytes=0,
    )
    key = EngineKey(
        graph_sha256=hash_file(graph),
        data_sha256=(),
        precision="fp32",
        profile=request.profile,
        library=kind,
        library_version=need_library(kind),
        device=tuple(filter(None, (architecture.name, own_place(kind, gpu)))),
        options=request.options,
        name=graph.stem,
    )
    return EngineOrder(key, request)
