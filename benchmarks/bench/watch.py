"""What is seen of a render from inside its process: stages, steps, opening of networks, peaks.

Nothing of the render is changed: its stages are noted as they are counted, and the time inside
networks on ONNX Runtime is taken beside.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...engines.engine import Array
from ...engines.ort import OrtEngine
from ...runtime.memory import peak_memory
from ...runtime.placing import Place
from ...runtime.stages import OnNote, OnProgress, Stages


@contextlib.contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Put something in place of an attribute while inside.

    As unittest.mock does, which would load a good part of the standard library beside.
    """
    plain = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, plain)


Step = tuple[float, float]
"""A moment on time.perf_counter, and the seconds inside networks up to it."""


class Engines:
    """Counts the seconds that this process spends opening and running networks."""

    def __init__(self, threads: int | None = None) -> None:
        """threads: those of ONNX Runtime's sessions that ask for none of their own."""
        self.threads = threads
        self.inside = 0.0
        self.opening = 0.0
        self.runs: list[tuple[float, float, float]] = []
        """(begin, end, seconds inside up to the end) of each run on ONNX Runtime."""
        self.devices: set[str] = set()

    @contextlib.contextmanager
    def watched(self) -> Iterator[Engines]:
        """Count while inside; how networks open and run is put back at the end."""
        plain_run, plain_open, plain_built = OrtEngine.run, OrtEngine.__init__, Place._open_built

        def run(engine: OrtEngine, inputs: Mapping[str, Array]) -> dict[str, Array]:
            start = time.perf_counter()
            try:
                return plain_run(engine, inputs)
            finally:
                end = time.perf_counter()
                self.inside += end - start
                self.runs.append((start, end, self.inside))

        def timed(plain: Any) -> Any:
            def opened(owner: Any, *words: Any, **options: Any) -> Any:
                if isinstance(owner, OrtEngine) and self.threads:
                    words = (*words[:2], self.threads, *words[3:])
                start = time.perf_counter()
                try:
                    return plain(owner, *words, **options)
                finally:
                    self.opening += time.perf_counter() - start
                    self.devices.add(str(getattr(owner, "device", "cuda")))

            return opened

        with (
            replaced(OrtEngine, "run", run),
            replaced(OrtEngine, "__init__", timed(plain_open)),
            replaced(Place, "_open_built", timed(plain_built)),
        ):
            yield self


@dataclass
class Denoising:
    """One pass through the denoising steps; a film of several windows has several."""

    begin: float
    end: float = float("inf")
    steps: list[Step] = field(default_factory=list)
    """Where each step ended, as the family told."""


class Watch(Stages):
    """The stages of one render, with every moment that was told or counted."""

    def __init__(
        self,
        on_progress: OnProgress | None = None,
        on_note: OnNote | None = None,
        *,
        engines: Engines | None = None,
        on_first_frame: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(on_progress, on_note)
        self._on_first_frame = on_first_frame
        self.engines = engines or Engines()
        self.first: dict[str, float] = {}
        """Stage -> when it was first counted."""
        self.pieces: dict[str, list[float]] = {}
        """Stage -> the seconds that were added to it, one by one; of "frames" a frame each."""
        self.marks: list[tuple[float, str]] = []
        """When another stage began to tell."""
        self.denoisings: list[Denoising] = []
        self._denoising = False

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what happens inside; see `Stages.stage`."""
        with super().stage(name):
            if name != "denoise":
                yield
                return
            self.denoisings.append(Denoising(time.perf_counter()))
            self._denoising = True
            try:
                yield
            finally:
                self._denoising = False
                self.denoisings[-1].end = time.perf_counter()

    def add(self, name: str, seconds: float) -> None:
        """Count seconds to a stage, and note them."""
        before = self.seconds.get(name)
        super().add(name, seconds)
        if self.seconds.get(name) != before:
            now = time.perf_counter()
            self.pieces.setdefault(name, []).append(seconds)
            begins = name not in self.first
            self.first.setdefault(name, now)
            if begins and name == "frames" and self._on_first_frame is not None:
                self._on_first_frame()

    def tell(self, name: str, done: int, total: int) -> None:
        """Note when a stage begins to tell, and where denoising steps end."""
        now = time.perf_counter()
        if not self.marks or self.marks[-1][1] != name:
            self.marks.append((now, name))
        if name == "denoise" and self._denoising:
            steps = self.denoisings[-1].steps
            if done <= len(steps):  # it began anew, another way
                steps.clear()
            if done:
                steps.append((now, self.engines.inside))
        super().tell(name, done, total)

    def step_times(self) -> tuple[list[float], list[float], list[float]]:
        """Return (first steps, the others, what of each other was outside networks), seconds.

        Steps are what the family told; where it told none, the runs of its network while it was
        denoising. A first step counts from the first run, without opening the network; there is
        none where that was not seen, as with engines of TensorRT.
        """
        first, others, outside = [], [], []
        for one in self.denoisings:
            runs = [run for run in self.engines.runs if one.begin <= run[0] and run[1] <= one.end]
            steps = one.steps or [(end, inside) for _, end, inside in runs]
            if steps and runs:
                first.append(steps[0][0] - runs[0][0])
            for before, after in itertools.pairwise(steps):
                whole = after[0] - before[0]
                if whole > 0:
                    others.append(whole)
                    outside.append(whole - (after[1] - before[1]))
        return first, others, outside

    @property
    def first_step(self) -> float | None:
        """When the first denoising step was done; None where there was none."""
        for one in self.denoisings:
            if one.steps:
                return one.steps[0][0]
            ends = [end for begin, end, _ in self.engines.runs if one.begin <= begin <= one.end]
            if ends:
                return ends[0]
        return None


class PeakWatch(Watch):
    """A watch that notes each stage's peak of resident memory too.

    It is known on Linux alone, where a process may set its own mark back; the mark then tells of
    the stage only, no more of the whole process.
    """

    def __init__(self, *, engines: Engines | None = None) -> None:
        super().__init__(engines=engines)
        self.peaks: dict[str, int] = {}
        """Peak resident bytes by stage."""

    def tell(self, name: str, done: int, total: int) -> None:
        """Note the peak before a stage, or of it."""
        if done == 0:
            self.peaks["before"] = max(self.peaks.get("before", 0), peak_memory())
            forget_peak()
        else:
            self.peaks[name] = max(self.peaks.get(name, 0), peak_memory())
        super().tell(name, done, total)


def forget_peak() -> bool:
    """Set this process's mark of peak memory back to what it holds; False where it cannot be."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True
