"""Starts the processes that are measured, hears what they tell, and ends them whatever happens."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, TypeAlias

from ...engines import errors
from ...engines.errors import EngineError, OutputError, ReverieError
from .cases import Case, Plans
from .energy import Joules, Meters, spent
from .sampler import Sampler
from .sensors import Sensors

OnRun = Callable[[str, int], None]
"""Called with what kind of render was done, and how many of the kind its process did."""


@dataclass
class Told:
    """What one process told, and what was seen of it from outside."""

    spawned: float
    """time.monotonic when it was started, and when it was gone."""
    ended: float = 0.0
    ready: dict[str, Any] = field(default_factory=dict)
    runs: list[dict[str, Any]] = field(default_factory=list)
    """What `measuring.Measuring.render` returns, with "kind", and "joules" of that render."""
    joules: Joules = field(default_factory=dict)
    """Energy of the whole process, by kind of device."""
    sampler: Sampler | None = None
    error: ReverieError | None = None


Hear: TypeAlias = Callable[[IO[str], Told], None]


@dataclass(frozen=True)
class Runner:
    """Starts the processes of one case, and watches them with these sensors."""

    case: Case
    plans: Plans
    sensors: Sensors
    meters: Meters
    on_run: OnRun
    debug: bool = False

    def film(self) -> Told:
        """Render a film by `reverie animate`, in a new process, as a user does.

        Where something must be laid on it, made embeddings or a number of cores, by the worker.
        Raises ReverieError where the render did.
        """
        if self.case.made_prompt or self.case.threads:
            return self._worker("film", self._hear)
        return self._process(lambda out: ["reverie", *self.case.words(out)], self._hear_film)

    def start(self) -> Told:
        """Render up to the first frame in a new process; see `film`."""
        return self._worker("start", self._hear)

    def warm(self) -> Told:
        """Render again and again in one new process; see `film`."""
        return self._worker("warm", self._hear)

    def _worker(self, mode: str, hear: Hear) -> Told:
        job = {
            "mode": mode,
            "warmup": self.plans.warmup,
            "repeat": self.plans.repeat,
            "minutes": self.plans.minutes,
            "threads": self.case.threads,
            "made_prompt": self.case.made_prompt,
            "debug": self.debug,
        }

        def words(out: str) -> list[str]:
            return [f"{__package__}.worker", json.dumps(job | {"words": self.case.words(out)})]

        return self._process(words, hear)

    def _process(self, words: Callable[[str], list[str]], hear: Hear) -> Told:
        meters = self.meters
        with _folder() as folder:
            command = [sys.executable, "-m", *words(str(Path(folder) / "clip.mp4"))]
            complaints = Path(folder) / "stderr.txt"
            begun = meters.joules()
            told = Told(time.monotonic())
            with (
                complaints.open("wb") as stderr,
                _started(command, stderr) as process,
                Sampler(process.pid, self.sensors, meters) as told.sampler,
            ):
                assert process.stdout is not None
                hear(process.stdout, told)
                process.wait()
                told.ended = time.monotonic()
            told.joules = spent(begun, meters.joules())
            said = complaints.read_text(encoding="utf-8", errors="replace")
        if self.debug and said:
            print(said, file=sys.stderr, end="")
        if told.error is not None:
            raise told.error
        if process.returncode or not told.runs:
            raise _died(process.returncode, said)
        return told

    def _hear_film(self, lines: IO[str], told: Told) -> None:
        """Take what `reverie animate --json` prints at its end."""
        text = lines.read()
        with contextlib.suppress(ValueError, AttributeError):
            fact = json.loads(text)
            if "error" in fact:
                told.error = _raised(fact["error"], fact["exit_code"])
                return
            peaks = fact["peak_memory_bytes"], fact["device_memory_bytes"]
            told.runs.append({"kind": "film", "peak": peaks[0] or None, "device_peak": peaks[1]})
            self.on_run("film", 1)

    def _hear(self, lines: IO[str], told: Told) -> None:
        """Take the lines that the worker tells, until it tells no more."""
        counts: dict[str, int] = {}
        before = self.meters.joules()
        for line in lines:
            try:
                fact = json.loads(line)
                event = fact.pop("event")
            except (ValueError, AttributeError, KeyError):  # no line of ours
                continue
            if event == "ready":
                told.ready.update(fact)
            elif event == "begin":
                before = self.meters.joules()
            elif event == "error":
                told.error = _raised(fact["error"], fact["exit_code"])
            elif event == "run":
                fact["joules"] = spent(before, self.meters.joules())
                told.runs.append(fact)
                counts[fact["kind"]] = counts.get(fact["kind"], 0) + 1
                self.on_run(fact["kind"], counts[fact["kind"]])


@contextlib.contextmanager
def _folder() -> Iterator[str]:
    """A folder for a clip, gone when left."""
    try:
        place = tempfile.TemporaryDirectory(prefix="reverie-bench-", ignore_cleanup_errors=True)
    except OSError as error:
        raise OutputError(
            f"no folder for the clips can be made ({error.strerror or error}): free some space, or "
            "name another place with the environment variable TMPDIR"
        ) from error
    with place as folder:
        yield folder


@contextlib.contextmanager
def _started(command: list[str], stderr: Any) -> Iterator[subprocess.Popen[str]]:
    """A process in a session of its own, so that Ctrl-C comes here alone; killed when left."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(OSError):
            if os.name == "posix":
                os.killpg(process.pid, signal.SIGKILL)  # what it started too
            else:
                process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _raised(line: str, code: int) -> ReverieError:
    """The error that a process told, of the kind that has its exit code."""
    kinds = [one for one in vars(errors).values() if isinstance(one, type)]
    for kind in kinds:
        if issubclass(kind, ReverieError) and kind.exit_code == code:
            return kind(line)
    return ReverieError(line)


def _died(code: int, said: str) -> EngineError:
    """What to raise for a process that told nothing before it was gone."""
    why = f"exit code {code}"
    if code < 0:
        with contextlib.suppress(ValueError):
            why = signal.Signals(-code).name
            why += ", perhaps for want of memory" if -code == 9 else ""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    last = f" ({lines[-1][:200]})" if lines else ""
    return EngineError(
        f"the process that was measured ended by itself, {why}{last}: try a smaller --size, or the "
        "same render with `reverie animate`"
    )
