"""From a graph to an engine file: checked beforehand, built in a process of its own, told about.

Whatever happens to that process (a fault in the library, the system out of memory, Ctrl-C) is one
line here, and no half of an engine is left.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from . import errors
from .architectures import Architecture
from .build_cost import estimate_build_bytes
from .builder import Profile
from .errors import EngineError, OutputError, ReverieError
from .host_memory import available_memory
from .libraries import Kind, find_library, need_library
from .sizes import size_text

__all__ = [
    "BuildProgress",
    "BuildRequest",
    "Built",
    "Refused",
    "build_engine",
    "estimate_build_bytes",
]


@dataclass(frozen=True)
class BuildRequest:
    """One engine to build."""

    graph: Path
    """The `.onnx` file; external weights lie beside it."""
    gpus: tuple[Architecture, ...]
    """What it is to run on; several where the library can."""
    profile: Profile
    """Input -> least, best and largest shape."""
    library: Kind = "rtx"
    weight_streaming: bool = False
    """Whether its weights may stay in the processor's memory and stream when it runs."""
    precision: str = "fp16"
    """What the graph's weights are stored in; the need of memory depends on it."""
    weight_bytes: int | None = None
    """Size of the external weights; None takes that of the file beside the graph."""
    values: Profile = field(default_factory=dict)
    """Least, best and largest values of inputs that are shapes themselves."""

    @property
    def options(self) -> dict[str, Any]:
        """What changes the engine beside graph, shapes, library and GPUs."""
        options: dict[str, Any] = {"weight_streaming": self.weight_streaming}
        return options | ({"values": self.values} if self.values else {})


class Refused(EngineError):
    """The library builds no engine of this graph for these GPUs; another precision may do."""


@dataclass(frozen=True)
class Built:
    """What a build took and gave."""

    seconds: float
    peak_bytes: int
    """Resident memory of the process that built it, at most."""
    engine_bytes: int
    library_version: str


@dataclass(frozen=True)
class BuildProgress:
    """Where a build is."""

    phase: str
    """"start", "read", "compile" or "write", in this order."""
    step: str
    """What the library calls its step, empty where it says nothing."""
    done: int
    total: int
    """Steps of it, bytes of "write"; 0 where it is not known."""
    seconds: float
    """Since the build began."""
    seconds_left: float | None
    """None where it cannot be known: compiling tells steps that take no like time."""
    peak_bytes: int


OnProgress = Callable[[BuildProgress], None]


def build_engine(
    request: BuildRequest,
    out: Path,
    *,
    on_progress: OnProgress | None = None,
    memory: int | None = None,
) -> Built:
    """Build an engine into the file `out`, which is there whole or not at all.

    Args:
        request: what to build.
        out: written beside and renamed.
        on_progress: called several times a second.
        memory: bytes that the build may take; None is what is free.

    Raises:
        Refused: the library builds no engine of it.
        EngineError: the graph or the shapes are wrong, memory would not do, or the process was
            killed.
        OutputError: `out` cannot be written, or the disk is full.
        MissingPackageError: the library is not installed.
    """
    library = find_library(request.library)
    need_library(request.library)
    _check(request)
    weights = _weight_bytes(request)
    _check_memory(request, weights, memory)
    part = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}.part")
    asked = {
        "graph": str(request.graph.absolute()),
        "gpus": [gpu.name for gpu in request.gpus],
        "profile": _plain(request.profile),
        "library": request.library,
        "ahead": library.ahead,
        "weight_streaming": request.weight_streaming,
        "weight_bytes": weights,
        "values": _plain(request.values),
        "part": str(part.absolute()),
        "out": str(out.absolute()),
    }
    _check_place(request, out, weights)
    try:
        built = _run(asked, request, on_progress)
        try:
            part.replace(out)
        except OSError as error:
            raise _cannot_write(request, out, error.strerror or str(error)) from error
        return built
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def _check(request: BuildRequest) -> None:
    library = find_library(request.library)
    name = request.graph.name
    if not request.gpus:
        raise EngineError(f"{name}: no GPU was named to build an engine for")
    if not request.graph.is_file():
        raise EngineError(f"{request.graph} is missing: copy or export the bundle again")
    if len(request.gpus) > 1 and not library.ahead:
        raise EngineError(
            f"{name}: {library.title} builds for the one GPU that is in the machine, "
            f"not for {len(request.gpus)} at once"
        )


def _weight_bytes(request: BuildRequest) -> int:
    if request.weight_bytes is not None:
        return request.weight_bytes
    beside = request.graph.with_name(f"{request.graph.name}.data")
    return beside.stat().st_size if beside.is_file() else 0


def _check_memory(request: BuildRequest, weights: int, memory: int | None) -> None:
    graph = request.graph.stat().st_size
    need = estimate_build_bytes(graph, weights, request.precision, graph=request.graph)
    there = available_memory() if memory is None else memory
    if need > there:
        raise EngineError(
            f"building {request.graph.name} takes up to {size_text(need)} of memory and "
            f"{size_text(there)} {'are free' if memory is None else 'are allowed'}: "
            "build a smaller precision, close other programs, or build on a larger machine"
        )


def _check_place(request: BuildRequest, out: Path, weights: int) -> None:
    try:
        free = shutil.disk_usage(out.parent).free
    except OSError as error:
        raise _cannot_write(request, out, error.strerror or str(error)) from error
    if free < weights:
        raise _cannot_write(
            request, out, f"the disk is full: {size_text(free)} are free of {size_text(weights)}"
        )


def _cannot_write(request: BuildRequest, out: Path, why: str) -> OutputError:
    return OutputError(
        f"the engine of {request.graph.name} cannot be written to {out.parent} ({why}): "
        "make room there, or choose another folder"
    )


def _plain(profile: Profile) -> dict[str, list[list[int]]]:
    return {name: [list(map(int, s)) for s in shapes] for name, shapes in profile.items()}


def _run(asked: dict[str, Any], request: BuildRequest, on_progress: OnProgress | None) -> Built:
    """Start the process, pass on what it tells, and return what it made."""
    last: dict[str, Any] = {}
    with tempfile.TemporaryFile() as said, _started(said) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(f"{json.dumps(asked)}\n".encode())
            process.stdin.flush()
        clock = _Clock()
        for line in process.stdout:
            told = json.loads(line)
            if "built" in told:
                return Built(**told["built"])
            if "error" in told:
                raise _error(told)
            last = told
            if on_progress is not None:
                on_progress(clock.progress(told))
        code = process.wait()
        said.seek(0)
        raise _ended(request, code, last, said.read()[-2000:].decode(errors="replace"))


@contextlib.contextmanager
def _started(said: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """The process, which is gone when this is left.

    It has a session of its own: Ctrl-C comes to this process alone, which then ends the other.
    """
    with subprocess.Popen(
        [sys.executable, "-P", "-m", f"{__package__}.builder_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=said,
        start_new_session=os.name == "posix",
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
    ) as process:
        try:
            yield process
        finally:
            process.kill()


class _Clock:
    """Tells the time that is left, where bytes tell it."""

    def __init__(self) -> None:
        self._writing: tuple[float, int] | None = None

    def progress(self, told: Mapping[str, Any]) -> BuildProgress:
        left = None
        now = time.monotonic()
        if told["phase"] == "write":
            begun, first = self._writing = self._writing or (now, told["done"])
            if told["done"] > first:
                left = (now - begun) * (told["total"] - told["done"]) / (told["done"] - first)
        return BuildProgress(
            phase=told["phase"],
            step=told["step"],
            done=told["done"],
            total=told["total"],
            seconds=told["seconds"],
            seconds_left=left,
            peak_bytes=told["bytes"],
        )


def _error(told: Mapping[str, Any]) -> ReverieError:
    kind = Refused if told["refused"] else getattr(errors, told["kind"], EngineError)
    error: ReverieError = kind(told["error"])
    for line in told["log"]:
        error.add_note(line)  # seen with --debug
    return error


def _ended(request: BuildRequest, code: int, last: Mapping[str, Any], said: str) -> EngineError:
    """What to raise where the process left without a word."""
    name, taken = request.graph.name, size_text(int(last.get("bytes", 0)))
    where = last.get("phase", "start")
    if code == -getattr(signal, "SIGKILL", 9):
        line = (
            f"the process that built {name} was killed at {where}, when it had taken {taken} of "
            "memory: most likely there was no more; close other programs, or build a smaller "
            "precision"
        )
    else:
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        line = (
            f"the process that built {name} broke down at {where} ({how}): this is a fault in the "
            "library; update it, or let ONNX Runtime run this network"
        )
    error = EngineError(line)
    if said.strip():
        error.add_note(said.strip())
    return error
