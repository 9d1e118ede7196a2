"""What one process did with a job: seconds and peak memory of its phases, and what came out.

A job is a JSON file: {"arrays": NPZ, "result": JSON, "outputs": NPZ, "started": seconds of the
system's steady clock when the process was started, ...settings}. Needs NumPy alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

STARTED = time.monotonic()
"""When this module was imported: for a process that nobody told when it was started."""


class Skipped(Exception):
    """A peer cannot do a job here; the message says why."""


class Recorder:
    """Times phases, notes marks and peaks, and writes the results of a job."""

    def __init__(self, job_file: str) -> None:
        import numpy as np

        self.job: dict[str, Any] = json.loads(Path(job_file).read_text(encoding="utf-8"))
        with np.load(self.job["arrays"], allow_pickle=False) as stored:
            self.arrays = {name: stored[name] for name in stored.files}
        self.seconds: dict[str, float] = {}
        self.marks: dict[str, float] = {}
        self.peaks: dict[str, int] = {}
        self.steps: list[float] = []
        self.step_processor: list[float] = []
        self.processor: dict[str, float] = {}
        """Seconds of all this process's threads, which other programs hardly change."""
        self.versions: dict[str, str] = {}
        self.precisions: dict[str, str] = {}
        """What each network was stored in, where the software chose."""
        self.notes: list[str] = []
        self.outputs: dict[str, Any] = {}
        self.again = False
        """Whether this was a preparation, and the job is yet to be done."""
        self._processor = self._step_processor = time.process_time()
        self._step = time.perf_counter()
        self._started = float(self.job.get("started", STARTED))
        self._most = 0

    def mark(self, name: str) -> None:
        """Note the seconds since the process was started; the first time counts."""
        self.marks.setdefault(name, time.monotonic() - self._started)

    def begin(self) -> float:
        """Set the peak back, and return the time."""
        self._most = max(self._most, peak_bytes())
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
        self._processor = time.process_time()
        return time.perf_counter()

    def end(self, name: str, start: float) -> None:
        """Add the time since a start to a phase, and take the phase's peak."""
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
        busy = time.process_time() - self._processor
        self.processor[name] = self.processor.get(name, 0.0) + busy
        self.peaks[name] = max(self.peaks.get(name, 0), peak_bytes())
        self._most = max(self._most, self.peaks[name])

    def step_begins(self) -> None:
        """Note that a denoising step begins."""
        self._step, self._step_processor = time.perf_counter(), time.process_time()

    def step_ends(self) -> None:
        """Note that it ended; the next one begins at once, or where `step_begins` says so."""
        self.steps.append(time.perf_counter() - self._step)
        self.step_processor.append(time.process_time() - self._step_processor)
        self.step_begins()

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time what happens inside, and its peak."""
        start = self.begin()
        yield
        self.end(name, start)

    def inside(self, name: str, function: Any) -> Any:
        """A function whose seconds count to a name, in whatever phase it is called."""

        def timed(*given: Any, **named: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*given, **named)
            finally:
                spent = time.perf_counter() - start
                self.seconds[name] = self.seconds.get(name, 0.0) + spent

        return timed

    def write(self, skipped: str | None = None) -> None:
        """Write the outputs, then the result."""
        import numpy as np

        if self.outputs:
            np.savez(self.job["outputs"], **self.outputs)
        found = {
            "skipped": skipped,
            "again": self.again,
            "seconds": self.seconds,
            "steps": self.steps,
            "processor": self.processor,
            "step_processor": self.step_processor,
            "marks": self.marks,
            "peaks": self.peaks,
            "peak_bytes": max(self._most, peak_bytes()),
            "peaks_set_back": Path("/proc/self/clear_refs").exists(),
            "versions": self.versions,
            "precisions": self.precisions,
            "notes": self.notes,
        }
        beside = Path(self.job["result"]).with_suffix(".part")
        beside.write_text(json.dumps(found) + "\n", encoding="utf-8")
        beside.replace(self.job["result"])


def peak_bytes() -> int:
    """Most resident memory of this process so far, or since it was set back."""
    try:
        text = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        text = ""
    found = re.search(r"^VmHWM:\s*(\d+) kB$", text, re.MULTILINE)
    if found:
        return int(found[1]) * 1024
    try:
        import resource
    except ImportError:
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def keep_to(threads: int) -> None:
    """Keep this process to as many cores as it may have threads, where the system knows how."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[:threads])


def work(run: Any) -> None:
    """Do the job that the command line names with `run(recorder)`; a reason is written, not raised.

    Anything but `Skipped` is told with its type: a peer that breaks down is a finding as well.
    """
    recorder = Recorder(sys.argv[1])
    keep_to(int(recorder.job["threads"]))
    skipped = None
    try:
        run(recorder)
    except Skipped as why:
        skipped = str(why)
    except MemoryError:
        skipped = "it ran out of memory"
    except Exception as error:
        said = " ".join(str(error).split()) or "no message"
        skipped = f"{type(error).__name__}: {said[:240]}"
    recorder.write(skipped)
