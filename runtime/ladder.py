"""A way down when a network cannot run as planned, so that a render is not lost.

A component has rungs, best first. A `Sturdy` engine stands on one of them; when that fails, it says
so, steps down, and runs the same inputs again. What lies below depends on the failure: out of
memory, then less memory may do; a graph that the library does not build, then another precision;
anything else (no driver, an engine that does not open), then another backend.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from ..engines.build import Refused
from ..engines.closing import Closing
from ..engines.device import Device
from ..engines.engine import Array, Engine, Port
from ..engines.errors import DeviceMemoryError, EngineError, MissingPackageError, OutputError

OnNote = Callable[[str], None]

FALLS = (EngineError, MissingPackageError, OutputError)
"""What sends a component down; a bundle or a setting that is wrong stays wrong on every rung."""


@dataclass(frozen=True)
class Rung:
    """One way to run a component."""

    backend: str
    """One of `placement.BACKENDS`, but for "auto"."""
    device: Device
    precision: str
    streamed: bool = False
    """Whether weights stay in the host's memory and pass through the device's."""

    @property
    def way(self) -> tuple[str, str]:
        """What must work for it at all: the backend on the kind of device."""
        return self.backend, self.device.kind

    def __str__(self) -> str:
        streamed = ", weights streamed" if self.streamed else ""
        return f"{self.precision} on {self.device} by {self.backend}{streamed}"


class Ways:
    """Which ways of running turned out not to work in this process's render."""

    def __init__(self) -> None:
        self._broken: set[tuple[str, str]] = set()

    def give_up(self, rung: Rung, error: Exception) -> None:
        """Remember that a way is not there, when that is what the error says."""
        if isinstance(error, MissingPackageError):
            self._broken.add(rung.way)

    def works(self, rung: Rung) -> bool:
        """Whether nothing is known against it."""
        return rung.way not in self._broken


class Sturdy(Closing):
    """An engine that steps down a ladder; see `engines.engine.Engine`.

    rungs: at least one, best first. open_rung: opens the component as a rung says. on_note: takes a
    line for each step down. relieve: frees what the device could do without, before the first
    rung is given up for lack of memory; returns whether it freed anything. strict: no steps.
    shrinks: whether whoever runs it can ask for smaller pieces, and then calls `fall` when there
    are none; memory errors of `run` are passed to them. kept: whether `close` leaves it open for
    the next who asks; `end` closes it, and it opens again when it is run.
    """

    def __init__(
        self,
        name: str,
        rungs: Sequence[Rung],
        open_rung: Callable[[Rung], Engine],
        *,
        on_note: OnNote,
        ways: Ways,
        relieve: Callable[[], bool] = lambda: False,
        strict: bool = False,
        shrinks: bool = False,
        kept: bool = False,
    ) -> None:
        self.name, self._rungs, self._open_rung = name, list(rungs), open_rung
        self._on_note, self._ways, self._relieve = on_note, ways, relieve
        self.strict, self._shrinks, self._kept = strict, shrinks, kept
        self._place = next((i for i, r in enumerate(self._rungs) if ways.works(r)), 0)
        self._engine: Engine | None = None
        self._open()

    @property
    def rung(self) -> Rung:
        """Where it stands."""
        return self._rungs[self._place]

    @property
    def engine(self) -> Engine:
        """The engine it stands on, changed by each step down."""
        if self._engine is None:
            if not self._kept:
                raise EngineError(f"{self.name} was closed: open it again before running it")
            return self._open()
        return self._engine

    @property
    def inputs(self) -> tuple[Port, ...]:
        """The inputs `run` needs."""
        return self.engine.inputs

    @property
    def outputs(self) -> tuple[Port, ...]:
        """The outputs `run` gives."""
        return self.engine.outputs

    @property
    def device(self) -> Device:
        """Where the network runs now."""
        return self.engine.device

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run the network once, on a lower rung where this one fails.

        Raises:
            EngineError: it failed on the last rung too, or may not step down.
            DeviceMemoryError: smaller pieces may do; see `shrinks`.
        """
        while True:
            try:
                return self.engine.run(inputs)
            except EngineError as error:
                if self._shrinks and isinstance(error, DeviceMemoryError):
                    raise
                self.fall(error)

    def fall(self, error: Exception) -> None:
        """Step down because of an error; raises it where nothing is below, or may not be used."""
        self.end()
        if not self._step(error):
            raise error
        self._open()

    def close(self) -> None:
        """Free what the network holds, unless it is kept; a second call does nothing."""
        if not self._kept:
            self.end()

    def end(self) -> bool:
        """Free what the network holds, kept or not; returns whether it held anything.

        What a device says that is gone, when its memory is given back, stops no way down.
        """
        engine, self._engine = self._engine, None
        if engine is not None:
            with suppress(EngineError):
                engine.close()
        return engine is not None

    def _open(self) -> Engine:
        while True:
            try:
                self._engine = self._open_rung(self.rung)
                return self._engine
            except FALLS as error:
                if not self._step(error):
                    raise

    def _step(self, error: Exception) -> bool:
        """Choose the next rung; False where there is none."""
        if self.strict:
            return False
        now, short = self.rung, isinstance(error, DeviceMemoryError)
        self._ways.give_up(now, error)
        if short and self._relieve():
            self._on_note(f"{self.name}: {error}; freed what was kept, and tries again")
            return True
        for place in range(self._place + 1, len(self._rungs)):
            below = self._rungs[place]
            other = isinstance(error, Refused) and below.precision != now.precision
            if self._ways.works(below) and (short or other or below.way != now.way):
                self._place = place
                self._on_note(f"{self.name}: {error}; goes on as {below}")
                return True
        return False
