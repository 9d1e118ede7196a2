"""Opening engine files: whether one suits this GPU, its weights, how its kernels are made ready.

One path for TensorRT-RTX and TensorRT; what only one of them has is asked for with `hasattr`.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import DeviceMemoryError, EngineError
from .refusal import reason
from .trt_log import make_log

_AGAIN = "`reverie build` makes it again for this one"
_INVALID = {
    "VERSION_MISMATCH": f"another version of the library built it: {_AGAIN}",
    "UNSUPPORTED_CC": f"it was built for another GPU: {_AGAIN}",
    "OLD_CUDA_DRIVER": "the NVIDIA driver is too old for it: update the driver",
    "OLD_CUDA_RUNTIME": "CUDA is too old for it: update cuda-bindings and the NVIDIA driver",
    "INSUFFICIENT_GPU_MEMORY": "the GPU has too little memory: take a lower precision",
    "MALFORMED_ENGINE": f"the file is damaged, or no engine: {_AGAIN}",
    "CUDA_ERROR": "CUDA cannot be used here: install or update the NVIDIA driver",
}
"""By the name in EngineInvalidityDiagnostics: why an engine cannot run, and what to do."""


@dataclass
class Opened:
    """An engine file, deserialised."""

    log: Any
    """Keeps what the library says goes wrong, in `errors`."""
    runtime: Any
    engine: Any
    streams_weights: bool
    """Whether some of its weights stay in the host's memory."""


def open_file(path: Path, library: Any, weight_budget: int | None) -> Opened:
    """Deserialise an engine file.

    library: tensorrt_rtx or tensorrt. weight_budget: bytes of weights to keep on the device, for
    engines built so that they can stream them; None leaves it to the library, by what is free.

    Raises:
        EngineError: it cannot run here; says why and what to do, in one line.
        DeviceMemoryError: the device has not the memory.
    """
    log = make_log(library)
    runtime = library.Runtime(log)
    with _mapped(path) as data:
        _check(path, library, runtime, data, log)
        engine = runtime.deserialize_cuda_engine(data)
    if engine is None:
        raise failure(f"{path.name} cannot be opened", log, _AGAIN)
    streamable = int(getattr(engine, "streamable_weights_size", 0))
    budget = streamable
    if streamable:
        wanted = weight_budget
        if wanted is None:
            wanted = int(engine.get_weight_streaming_automatic_budget())
        budget = max(min(wanted, streamable), 0)
        engine.weight_streaming_budget_v2 = budget
    return Opened(log, runtime, engine, budget < streamable)


def failure(what: str, log: Any, mend: str) -> EngineError:
    """Return what to raise after something that the library logged."""
    why = reason(log.errors)
    log.errors.clear()
    short = "out of memory" in why.lower() or "outofmemory" in why.lower()
    kind = DeviceMemoryError if short else EngineError
    return kind(f"{what} ({why}): {mend}")


class JitCache:
    """Kernels that TensorRT-RTX compiled for this GPU, kept beside the engine between runs.

    The file begins with the sha256 of what follows; one that is not whole is not handed to the
    library. Classic TensorRT compiles when it builds and has none.
    """

    def __init__(self, path: Path | None) -> None:
        self._path, self._size = path, -1
        self._cache: Any = None

    def attach(self, config: Any) -> None:
        """Load what there is into a runtime configuration, where that takes one."""
        if self._path is None or not hasattr(config, "create_runtime_cache"):
            return
        self._cache = config.create_runtime_cache()
        with contextlib.suppress(OSError):  # none yet
            digest, kept = _split(self._path.read_bytes())
            whole = hashlib.sha256(kept).digest() == digest
            if whole and self._cache.deserialize(kept):  # which checks whether it suits this GPU
                self._size = len(kept)
        config.set_runtime_cache(self._cache)

    def save(self) -> None:
        """Write it where something was added; where that cannot be, it is made again next time."""
        cache, self._cache = self._cache, None
        if cache is None or self._path is None:
            return
        kept = cache.serialize()
        if kept is None:  # the library could not
            return
        data = bytes(memoryview(kept))
        if len(data) == self._size:
            return
        # Named like a part of the cache, which sweeps what a killed process leaves.
        part = self._path.with_name(f"{self._path.stem}.{secrets.token_hex(6)}.part")
        try:
            part.write_bytes(hashlib.sha256(data).digest() + data)
            part.replace(self._path)
        except OSError:
            with contextlib.suppress(OSError):
                part.unlink()


def _split(data: bytes) -> tuple[bytes, bytes]:
    size = hashlib.sha256().digest_size
    return data[:size], data[size:]


def make_context(library: Any, engine: Any, cache: JitCache) -> Any:
    """Return an execution context whose activations lie where they are put; None where it fails."""
    strategy = library.ExecutionContextAllocationStrategy.USER_MANAGED
    if not hasattr(engine, "create_runtime_config"):
        return engine.create_execution_context(strategy)
    config = engine.create_runtime_config()
    config.set_execution_context_allocation_strategy(strategy)
    if hasattr(config, "dynamic_shapes_kernel_specialization_strategy"):
        # Shapes are set once and run often: kernels for them at once, so that what is recorded are
        # these and not the general ones.
        eager = library.DynamicShapesKernelSpecializationStrategy.EAGER
        config.dynamic_shapes_kernel_specialization_strategy = eager
    if hasattr(config, "cuda_graph_strategy"):
        config.cuda_graph_strategy = library.CudaGraphStrategy.DISABLED  # recorded by us
    cache.attach(config)
    return engine.create_execution_context(config)


def _check(path: Path, library: Any, runtime: Any, data: Any, log: Any) -> None:
    """Refuse what the library knows cannot run here."""
    if not hasattr(runtime, "get_engine_validity"):
        return
    validity, diagnostics = runtime.get_engine_validity(data)
    if validity != library.EngineValidity.INVALID:
        return
    known = library.EngineInvalidityDiagnostics
    for name, why in _INVALID.items():
        flag = getattr(known, name, None)
        if flag is not None and int(diagnostics) & int(flag):
            kind = DeviceMemoryError if name == "INSUFFICIENT_GPU_MEMORY" else EngineError
            raise kind(f"{path.name} cannot run here: {why}")
    raise failure(f"{path.name} cannot run here", log, "check the NVIDIA driver, or use the CPU")


@contextlib.contextmanager
def _mapped(path: Path) -> Iterator[Any]:
    """A file's bytes, read as they are needed: an engine may be larger than what memory is free."""
    try:
        with path.open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:  # ValueError: it is empty
        raise EngineError(f"{path} cannot be read ({error}): {_AGAIN}") from error
    with data:
        yield data
