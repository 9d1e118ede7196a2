"""Asking the machine without trusting it: each question in a process of its own, with a limit.

Drivers and their libraries hang, crash and print what they like; whoever asks here gets an answer
or a line that says why there is none, and never an exception.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Any, TypeVar

LIMIT = 6.0
"""Seconds that one question may take; questions are asked side by side."""

MARK = "@reverie "
"""Begins each line of a child that is meant for us; libraries print others."""

NOT_PUT = ("cannot be asked", "cannot be started")
"""How the problem begins of a question that could not even be put."""

_READ_LIMIT = 2**20
_CHILD = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); "
    "from importlib import import_module; "
    "import_module(sys.argv[2]).main(sys.argv[3:])"
)

T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    """What came of a question."""

    out: str = ""
    problem: str = ""
    """Why there is no answer, or not all of one: "did not answer within 6 seconds"."""

    @property
    def facts(self) -> list[dict[str, Any]]:
        """The objects that a child told, in their order."""
        found = []
        for line in self.out.splitlines():
            if line.startswith(MARK):
                with contextlib.suppress(ValueError):
                    fact = json.loads(line.removeprefix(MARK))
                    found += [fact] if isinstance(fact, dict) else []
        return found


class Probes:
    """The ways to ask this machine; a test puts recorded answers in its place."""

    def read(self, path: str) -> str | None:
        """Return the text of a small file of the system, None where there is none."""
        try:
            with Path(path).open("rb") as file:
                return file.read(_READ_LIMIT).decode("utf-8", "replace")
        except (OSError, ValueError):
            return None

    def names(self, folder: str) -> list[str]:
        """Return the names in a folder, none where there is no such folder."""
        try:
            return sorted(path.name for path in Path(folder).iterdir())
        except OSError:
            return []

    def run(self, words: Sequence[str], limit: float = LIMIT) -> Answer:
        """Run a program of the system and return what it printed."""
        return ask(words, limit)

    def child(self, module: str, *words: str, limit: float = LIMIT) -> Answer:
        """Run `main` of a module of this package in a fresh interpreter."""
        if not sys.executable or getattr(sys, "frozen", False):  # no interpreter of its own
            return Answer(problem="cannot be asked from this interpreter")
        name = f"{__package__}.{module}"
        return ask((sys.executable, "-c", _CHILD, json.dumps(sys.path), name, *words), limit)

    def system(self) -> tuple[str, str, str]:
        """Return the system's name, its release and the kind of processor."""
        return platform.system(), platform.release(), platform.machine()

    def memory(self) -> tuple[int, int]:
        """Return the bytes of memory there are and those to be had, zeros where nobody tells."""
        from .host_memory import available_memory, total_memory

        with contextlib.suppress(Exception):  # whatever psutil meets on an odd system
            total = total_memory()
            return total, min(available_memory(), total)
        return 0, 0

    def cores(self) -> int:
        """Return the processor's cores that this process may run on."""
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1

    def found(self, module: str) -> bool:
        """Whether a module could be imported; nothing but its parents is."""
        try:
            return util.find_spec(module) is not None
        except (ImportError, ValueError, AttributeError):
            return False

    def version(self, distribution: str) -> str | None:
        """Return the version of an installed package, None where it is not."""
        try:
            return metadata.version(distribution)
        except (metadata.PackageNotFoundError, ValueError, OSError):
            return None

    def requirements(self, distribution: str) -> list[str]:
        """Return what an installed package requires."""
        try:
            return list(metadata.requires(distribution) or ())
        except (metadata.PackageNotFoundError, ValueError, OSError):
            return []

    def variable(self, name: str) -> str | None:
        """Return an environment variable."""
        return os.environ.get(name)


def ask(words: Sequence[str], limit: float = LIMIT) -> Answer:
    """Run a program for at most `limit` seconds and return what it printed."""
    try:
        process = subprocess.Popen(
            list(words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            env=os.environ | {"LC_ALL": "C", "PYTHONIOENCODING": "utf-8"},
        )
    except FileNotFoundError:
        return Answer(problem="is not there")
    except (OSError, ValueError) as error:
        return Answer(problem=f"cannot be started ({error})")
    try:
        out, err = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired as late:
        _kill(process)
        try:
            out, _ = process.communicate(timeout=0.5)
        except (subprocess.TimeoutExpired, ValueError):  # not even a kill reaches it
            told = late.stdout or b""
            out = told.decode("utf-8", "replace") if isinstance(told, bytes) else told
        return Answer(out or "", f"did not answer within {limit:g} seconds")
    return Answer(out, _problem(process.returncode, err))


def _kill(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(OSError):
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def _problem(code: int, err: str) -> str:
    if code == 0:
        return ""
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"crashed ({signal.Signals(-code).name})"
    if code >= 0xC0000000:  # Windows' own exceptions
        return f"crashed ({code:#010x})"
    lines = [line.strip() for line in err.splitlines() if line.strip()]
    return f"failed ({lines[-1][:200]})" if lines else f"failed (exit code {code})"


def together(questions: Sequence[Callable[[], T]]) -> list[T]:
    """Ask side by side and return the answers in the order of the questions."""
    with ThreadPoolExecutor(max_workers=max(1, len(questions))) as pool:
        return [future.result() for future in [pool.submit(ask) for ask in questions]]


def tell(**fact: Any) -> None:
    """Print a fact from a child, at once: what was told before a crash is kept."""
    print(MARK + json.dumps(fact), flush=True)
