"""A bundle's networks made into engines for some GPUs: what is chosen, built, left out, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..engines.build import BuildProgress, Built, Refused, build_engine
from ..engines.cache import EngineCache
from ..engines.errors import EngineError, OutputError, SettingsError
from ..engines.libraries import find_library, need_library
from .bundle import Bundle
from .footprint import taken
from .orders import order_engine
from .precision import Choice, build_bytes, choose_precision, short_of_memory, usable_precisions
from .shapes import ShapeSet, component_shapes, plan_for
from .targets import Target

OnNote = Callable[[str], None]


@dataclass(frozen=True)
class Making:
    """What one call asks for."""

    bundle: Bundle
    targets: tuple[Target, ...]
    precision: str = "auto"
    components: tuple[str, ...] | None = None
    """None is all."""
    height: int | None = None
    """Of the clips that the engines are for; None is the default, here and below."""
    aspect: str | None = None
    """Shapes of the frame, "16:9,9:16": an engine of several takes in the sizes of each."""
    seconds: float | None = None
    memory: int | None = None
    """Bytes of the GPU's memory."""
    ram: int | None = None
    """Bytes that a build may take."""
    weight_streaming: bool = False

    def names(self) -> tuple[str, ...]:
        """Return the components to build, each once.

        Raises:
            SettingsError: one is not known.
        """
        there = tuple(self.bundle.components)
        for name in self.components or ():
            if name not in there:
                raise SettingsError(
                    f"{self.bundle.name} has no component {name!r}: use {', '.join(there)}"
                )
        return tuple(dict.fromkeys(self.components or there))

    def insists(self, component: str) -> bool:
        """Whether this very engine was asked for: then it is a failure that there can be none."""
        precisions = self.bundle.component(component).precisions
        return component in (self.components or ()) or self.precision in precisions


@dataclass(frozen=True)
class Made:
    """What came of one network for one GPU."""

    component: str
    gpu: str
    precision: str | None
    status: str
    """"built", "cached", "left" (to ONNX Runtime), "elsewhere" (built on the device), "refused"."""
    why: str
    seconds: float | None = None
    peak_bytes: int | None = None
    engine_bytes: int | None = None
    path: Path | None = None
    library: str = ""
    library_version: str = ""
    weight_streaming: bool = False

    def facts(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self) | {"path": None if self.path is None else str(self.path)}


@dataclass(frozen=True)
class Place:
    """Which of the engines of one call is at work."""

    number: int
    count: int
    component: str
    precision: str
    gpu: str


OnBuild = Callable[[Place, BuildProgress], None]


def make_engines(
    making: Making,
    cache: EngineCache,
    *,
    on_note: OnNote | None = None,
    on_build: OnBuild | None = None,
) -> Iterator[Made]:
    """Build every engine that is not in the cache, and yield what came of each as it is known.

    Raises:
        SettingsError: a size is impossible, a component is not known.
        BundleError: the bundle is broken, or no component is there in the precision.
        MissingPackageError: the library is not installed.
        OutputError: the cache cannot be written in.
    """
    bundle, names = making.bundle, making.names()
    shapes = _all_shapes(making)
    if making.precision != "auto" and not any(
        making.precision in bundle.component(name).precisions for name in names
    ):
        bundle.component(names[0], making.precision)  # raises, and says how to make it
    for target in making.targets:
        if target.here:
            need_library(target.architecture.library)
            cache.prepare()
    count = len(making.targets) * len(names)
    number = 0
    for target in making.targets:
        for name in names:
            number += 1
            place = Place(number, count, name, "", target.architecture.name)
            yield _Work(making, cache, place, target, on_note, on_build).make(shapes.get(name))


def _all_shapes(making: Making) -> dict[str, list[ShapeSet]]:
    """What each component is run with in films of every shape that was asked for."""
    found: dict[str, list[ShapeSet]] = {}
    for aspect in making.aspect.split(",") if making.aspect else (None,):
        plan = plan_for(
            making.bundle,
            height=making.height,
            aspect=None if aspect is None else aspect.strip(),
            seconds=making.seconds,
        )
        for name, sets in component_shapes(making.bundle, plan).items():
            found.setdefault(name, []).extend(sets)
    return found


@dataclass(frozen=True)
class _Work:
    """One network for one GPU."""

    making: Making
    cache: EngineCache
    place: Place
    target: Target
    on_note: OnNote | None
    on_build: OnBuild | None

    def make(self, sets: Sequence[ShapeSet] | None) -> Made:
        """Build it, or say why not; `sets` is what it is run with."""
        making, name, gpu = self.making, self.place.component, self.target.architecture
        row = Made(name, gpu.name, None, "left", "", library=gpu.library)
        if not self.target.here:
            title = find_library(gpu.library).title
            why = f"{title} builds it on the device itself ({gpu.cards})"
            return replace(row, status="elsewhere", why=why)
        if sets is None:
            return replace(row, why="no clip of this kind runs it")
        choice = self._choose(sets)
        row = replace(
            row, precision=choice.precision, why=choice.why, weight_streaming=choice.streamed
        )
        if choice.short and making.ram is not None:
            least = min(
                usable_precisions(making.bundle.component(name), gpu),
                key=lambda one: build_bytes(
                    making.bundle.component(name), one, making.bundle.folder
                ),
            )
            why = short_of_memory(making.bundle, name, gpu, least, making.ram)
            return replace(row, status="refused", why=why)
        if choice.precision is None:
            status = "refused" if making.insists(name) else "left"
            return replace(row, status=status)
        if making.ram is not None and (
            short := short_of_memory(making.bundle, name, gpu, choice.precision, making.ram)
        ):
            return replace(row, status="refused", why=short)
        return self._try(row, choice.precision, sets)

    def _choose(self, sets: Sequence[ShapeSet]) -> Choice:
        making, gpu = self.making, self.target.architecture
        component = making.bundle.component(self.place.component)
        if making.precision in component.precisions:
            usable = usable_precisions(component, gpu)
            if making.precision in usable:
                return Choice(making.precision, "as asked", making.weight_streaming)
            library = find_library(gpu.library)
            refused = library.refuses.get(gpu.name, {}).get(making.precision)
            why = f"{gpu.name} does not compute in {making.precision}"
            if refused:
                why = f"{library.title} refuses {refused} on {gpu.name}"
            return Choice(None, why + (f": use {' or '.join(usable)}" if usable else ""))
        choice = choose_precision(
            component,
            gpu,
            memory=making.memory,
            ram=making.ram,
            working_bytes=taken(making.bundle, component, sets, "fused", None).activations,
            folder=making.bundle.folder,
        )
        if making.precision != "auto":
            choice = replace(choice, why=f"it is not there in {making.precision}; {choice.why}")
        return replace(choice, streamed=choice.streamed or making.weight_streaming)

    def _try(self, row: Made, precision: str, sets: Sequence[ShapeSet]) -> Made:
        """Build in a precision; where the library refuses it, in the next that may be chosen."""
        making, gpu = self.making, self.target.architecture
        component = making.bundle.component(row.component)
        rest: tuple[str, ...] = ()
        if making.precision not in component.precisions:  # it is ours to choose
            usable = usable_precisions(component, gpu)
            rest = usable[usable.index(precision) + 1 :]
        refusal = ""
        for chosen in (precision, *rest):
            if (
                making.ram is not None
                and build_bytes(component, chosen, making.bundle.folder) > making.ram
            ):
                continue
            if refusal:
                row = replace(row, why=f"{row.precision} was refused: {refusal}")
            row = replace(row, precision=chosen)
            try:
                return self._build(row, chosen, sets)
            except Refused as error:
                refusal = str(error)
            except (EngineError, OutputError) as error:
                return replace(row, status="refused", why=str(error))
        status = "refused" if making.insists(row.component) else "left"
        return replace(row, status=status, why=refusal)

    def _build(self, row: Made, precision: str, sets: Sequence[ShapeSet]) -> Made:
        order = order_engine(
            self.making.bundle,
            row.component,
            precision,
            sets,
            self.target.architecture,
            weight_streaming=row.weight_streaming,
            in_place=self.target.in_place,
        )
        place = replace(self.place, precision=precision)
        done: list[Built] = []

        def told(progress: BuildProgress) -> None:
            if self.on_build is not None:
                self.on_build(place, progress)

        def build(path: Path) -> None:
            memory = self.making.ram
            done.append(build_engine(order.request, path, on_progress=told, memory=memory))

        path = self.cache.get(order.key, build, on_note=self.on_note)
        row = replace(
            row,
            status="built" if done else "cached",
            path=path,
            engine_bytes=path.stat().st_size,
            library_version=order.key.library_version,
        )
        if not done:
            return row
        return replace(row, seconds=done[0].seconds, peak_bytes=done[0].peak_bytes)
