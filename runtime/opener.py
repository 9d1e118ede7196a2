"""Opens a bundle's networks as a render's plan says, each on a ladder of ways to run it.

Every family opens its networks with `Bundle.open`; a bundle with an `Opener` asks it. Which rungs a
network has follows from the plan, from what the bundle holds and from what the machine offers: the
planned way, then less memory, then other backends, and the processor last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ..engines.architectures import LARGEST_FIRST
from ..engines.device import Device, choose_device, cuda_starts
from ..engines.engine import Engine
from ..engines.libraries import find_library
from .bundle import Bundle, Component
from .ladder import Rung, Sturdy, Ways
from .placement import LIBRARIES, Placement
from .shapes import ShapeSet, component_shapes
from .stages import Stages

if TYPE_CHECKING:
    from .placing import Spot
    from .planner import Placed, RenderPlan

OpenBuilt = Callable[[Bundle, str, Rung, Stages], Engine]
"""Opens a component's engine of TensorRT: bundle, name, rung, stages."""

PLAIN = "onnxruntime"
SHRINK = ("vae_decoder",)
"""Components whose caller asks for smaller pieces before another way is tried."""
_LOSSY = ("fp8", "int8", "nvfp4", "int4")


class Opener:
    """Opens components as a plan says; see `bundle.Opener`.

    One serves all renders of a model: what a plan keeps stays open until `close`, or until memory
    is short.
    """

    def __init__(
        self,
        bundle: Bundle,
        placement: Placement,
        *,
        open_built: OpenBuilt,
        spare: Callable[[], None] = lambda: None,
    ) -> None:
        self._bundle, self._placement, self._open_built = bundle, placement, open_built
        self._spare = spare
        """Gives back what engines of TensorRT take again when they run."""
        self._ways = Ways()
        self._kept: dict[str, Sturdy] = {}
        self._plan: RenderPlan | None = None
        self._sizes: dict[str, list[ShapeSet]] | None = None
        self._spot: Spot | None = None
        self._stages = Stages()

    def begin(self, plan: RenderPlan | None, spot: Spot, stages: Stages) -> None:
        """Follow a plan from now on, at a spot, and tell what happens to these stages."""
        told = plan is not None and plan.plan is not None
        sizes = component_shapes(self._bundle, plan.plan) if plan and told else None
        # Two films may take the same memory in other sizes: 16:9 and 9:16.
        if plan != self._plan or sizes != self._sizes:
            self.close()  # what is kept was opened for other sizes
        self._plan, self._sizes, self._spot, self._stages = plan, sizes, spot, stages

    def __call__(self, name: str, /, *, device: Device | str, threads: int | None) -> Engine:
        """Open a component.

        Raises:
            BundleError: it is not there, or not whole.
            EngineError: no way of running it works; under `strict`, the planned one does not.
        """
        if name in self._kept:
            return self._kept[name]
        placed = self._placed(name)
        kept = placed is not None and placed.residency == "kept"
        engine = Sturdy(
            name,
            list(self.rungs(name, self._spot.device if self._spot else choose_device(device))),
            lambda rung: self._open(name, rung, threads),
            on_note=self._note,
            ways=self._ways,
            relieve=lambda: self._relieve(name),
            strict=self._placement.strict,
            shrinks=name in SHRINK,
            kept=kept,
        )
        if kept:
            self._kept[name] = engine
        return engine

    def rungs(self, name: str, device: Device) -> Iterator[Rung]:
        """Yield the ways to run a component, best first, each once."""
        seen: set[Rung] = set()
        for rung in self._all_rungs(name, device):
            if rung not in seen:
                seen.add(rung)
                yield rung

    def close(self) -> bool:
        """Free what is kept open; returns whether there was any."""
        kept, self._kept = self._kept, {}
        for engine in kept.values():
            engine.end()
        return bool(kept)

    def _relieve(self, name: str) -> bool:
        """Free what others hold that are kept, which open again when they are run."""
        freed = [other.end() for key, other in self._kept.items() if key != name]
        self._spare()
        return any(freed)

    def _all_rungs(self, name: str, device: Device) -> Iterator[Rung]:
        component, placed = self._bundle.component(name), self._placed(name)
        first = placed.precision if placed else preferred(component, self._placement.precision)
        backend = placed.backend if placed else self._spot.backend if self._spot else PLAIN
        precisions = [first, *(p for p in below(first) if p in component.precisions)]
        buildable = [p for p in precisions if p == first or self._builds(backend, p)]
        streamed = placed is not None and placed.residency == "streamed"
        if backend in LIBRARIES:
            for precision in buildable:
                if precision != first or not streamed:
                    yield Rung(backend, device, precision)
                yield Rung(backend, device, precision, streamed=True)
        elif backend != PLAIN:
            yield from (Rung(backend, device, precision) for precision in precisions)
        if device.kind != "cpu":
            if backend == PLAIN or cuda_starts():
                cuda = Device("cuda", device.index)
                yield from (Rung(PLAIN, cuda, precision) for precision in precisions)
            yield Rung(PLAIN, Device("cpu"), component.precision)
        yield from (Rung(PLAIN, Device("cpu"), precision) for precision in precisions)

    def _builds(self, backend: str, precision: str) -> bool:
        """Whether engines in a precision can be built for the GPU; True where that is not known."""
        gpu = self._spot.gpu if self._spot else None
        if gpu is None or backend not in LIBRARIES:
            return True
        refused = find_library(LIBRARIES[backend]).refuses.get(gpu.name, {})
        return precision in gpu.precisions and precision not in refused

    def _placed(self, name: str) -> Placed | None:
        if self._plan is None:
            return None
        return next((row for row in self._plan.components if row.name == name), None)

    def _note(self, text: str) -> None:
        self._stages.note(text)

    def _open(self, name: str, rung: Rung, threads: int | None) -> Engine:
        if rung.backend in LIBRARIES:
            return self._open_built(self._bundle, name, rung, self._stages)
        return self._bundle.open_plainly(
            name, device=rung.device, threads=threads, precision=rung.precision
        )


def preferred(component: Component, asked: str) -> str:
    """The precision to run a component in: the one that was asked for where it is there."""
    return asked if asked in component.precisions else component.precision


def below(precision: str) -> tuple[str, ...]:
    """Precisions that take less memory than this one, largest first."""
    if precision == "fp32":
        return LARGEST_FIRST
    if precision in ("fp16", "bf16"):
        return _LOSSY
    return LARGEST_FIRST[LARGEST_FIRST.index(precision) + 1 :]
