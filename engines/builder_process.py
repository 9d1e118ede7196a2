"""The process that a build runs in: `python -m reverie.engines.builder_process`.

It reads one JSON object, the request, from its standard input, and tells what happens as JSON lines
on its standard output: {"phase", "step", "done", "total", "seconds", "bytes"}, at last {"built"} or
{"error", "kind", "refused", "log"}. It leaves, and takes its half-written file with it, when its
standard input ends, because whoever started it is gone then.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import re
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from .builder import Plan, Profile, Unbuildable, build
from .errors import EngineError, OutputError, ReverieError
from .host_memory import own_memory
from .libraries import load_library

_BEAT = 0.25
"""Seconds between two lines where nothing else is to tell."""
_DROP = 0.05
"""Seconds between two times that pages of weights are given back."""
_DONTNEED = 4  # of madvise(2), on Linux
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Teller:
    """Tells on the standard output where the build is; safe to use from several threads."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._begun = time.monotonic()
        self._last = 0.0
        self._now: dict[str, Any] = {"phase": "start", "step": "", "done": 0, "total": 0}

    def at(self, phase: str, step: str, done: int, total: int) -> None:
        """Note where the build is; each phase is told at once, steps ten times a second at most."""
        fresh = phase != self._now["phase"]
        self._now = {"phase": phase, "step": step, "done": done, "total": total}
        if fresh or time.monotonic() - self._last > 0.1:
            self.beat()

    def beat(self) -> None:
        """Tell it again, with the time and the memory that it took so far."""
        self._last = time.monotonic()
        self.tell({**self._now, "seconds": self._last - self._begun, "bytes": own_memory()[1]})

    def tell(self, line: dict[str, Any]) -> None:
        """Write one line."""
        with self._lock:
            print(json.dumps(line), file=self._stream, flush=True)


class PartFile:
    """The engine as far as it is written."""

    def __init__(self, path: Path, told: Teller, expected: int) -> None:
        self._path = path
        self._told = told
        self._expected = expected
        self.bytes = 0
        self._file = path.open("xb", buffering=0)

    def write(self, data: bytes) -> int:
        """Write all of a piece; returns its size."""
        view = memoryview(data).cast("B")
        while view:
            view = view[self._file.write(view) :]
        self.bytes += len(data)
        self._told.at("write", "", self.bytes, max(self._expected, self.bytes))
        return len(data)

    def finish(self) -> None:
        """Make sure that it is on the disk."""
        os.fsync(self._file.fileno())
        self._file.close()

    def remove(self) -> None:
        """Take it away."""
        with contextlib.suppress(OSError):
            self._path.unlink()


def main() -> int:
    """Build what is asked for and tell how it went; returns the exit code."""
    # Whatever a library prints must not come between our lines.
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    asked = json.loads(sys.stdin.readline())
    told = Teller(stream)
    part: list[PartFile] = []
    threading.Thread(target=_leave_with_parent, args=(part,), daemon=True).start()
    _be_the_first_to_go()
    try:
        told.tell({"built": _build(asked, told, part)})
    except BaseException as error:
        for file in part:
            file.remove()
        kind, line = _explain(error, asked)
        refused = isinstance(error, Unbuildable)
        notes = getattr(error, "__notes__", [])
        told.tell({"error": line, "kind": kind, "refused": refused, "log": notes})
        return 1
    return 0


def _build(asked: dict[str, Any], told: Teller, part: list[PartFile]) -> dict[str, Any]:
    begun = time.monotonic()
    plan = Plan(
        graph=Path(asked["graph"]),
        gpus=tuple(asked["gpus"]),
        profile=_shapes(asked["profile"]),
        ahead=asked["ahead"],
        weight_streaming=asked["weight_streaming"],
        values=_shapes(asked["values"]),
    )
    module = load_library(asked["library"])
    part.append(PartFile(Path(asked["part"]), told, asked["weight_bytes"]))
    with _beating(told, plan.graph.parent.resolve()):
        build(module, plan, part[0].write, told.at)
        part[0].finish()
    return {
        "seconds": time.monotonic() - begun,
        "peak_bytes": own_memory()[1],
        "engine_bytes": part[0].bytes,
        "library_version": str(module.__version__),
    }


def _shapes(profile: dict[str, Any]) -> Profile:
    return {
        name: (tuple(least), tuple(best), tuple(most))
        for name, (least, best, most) in profile.items()
    }


def _explain(error: BaseException, asked: dict[str, Any]) -> tuple[str, str]:
    """The kind of error to raise in the process that asked, and its line."""
    name = Path(asked["graph"]).name
    if isinstance(error, ReverieError):
        return type(error).__name__, str(error)
    if isinstance(error, MemoryError):
        return EngineError.__name__, f"there is not enough memory to build {name}"
    if isinstance(error, OSError):
        what = "the disk is full" if error.errno in _FULL else error.strerror or str(error)
        return (
            OutputError.__name__,
            f"the engine of {name} cannot be written to {Path(asked['out']).parent} ({what}): "
            "make room there, or choose another folder",
        )
    return EngineError.__name__, f"{name} cannot be built ({type(error).__name__}: {error})"


def _leave_with_parent(part: list[PartFile]) -> None:
    sys.stdin.read()  # ends when nobody holds the other end any more
    for file in part:
        file.remove()
    os._exit(1)


def _be_the_first_to_go() -> None:
    """Ask the system to end this process rather than its parent when memory runs out."""
    with contextlib.suppress(OSError):  # not Linux
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


@contextlib.contextmanager
def _beating(told: Teller, folder: Path) -> Iterator[None]:
    """Tell now and then, and keep little of the weights in memory, while inside."""
    stopped = threading.Event()

    def beat() -> None:
        told_at = 0.0
        while not stopped.wait(_DROP):
            _drop_weights(folder)
            if time.monotonic() - told_at > _BEAT:
                told.beat()
                told_at = time.monotonic()

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def _drop_weights(folder: Path) -> None:
    """Give back the pages of weights that were read from `folder`; they are read again if needed.

    Parsers map the weights' file, and every page ever touched counts as memory of this process: of
    1 GiB of weights 2.4 GiB were resident at most, and 1.7 GiB so. Only mappings that cannot be
    written are touched, so that nothing can be lost.
    """
    with contextlib.suppress(OSError, AttributeError):  # not Linux
        for row in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
            found = re.match(r"(\w+)-(\w+) r--p \S+ \S+ \S+\s+(/.*)$", row)
            if found and Path(found[3]).parent == folder:
                start, end = int(found[1], 16), int(found[2], 16)
                _libc().madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _DONTNEED)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)


if __name__ == "__main__":
    sys.exit(main())
