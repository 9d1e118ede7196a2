"""Which precision of a network to build or run, for a GPU architecture and an amount of memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..engines.architectures import Architecture
from ..engines.build_cost import estimate_build_bytes
from ..engines.libraries import find_library
from ..engines.sizes import size_text
from .bundle import Bundle, Component


@dataclass(frozen=True)
class Choice:
    """One network's precision, and why."""

    precision: str | None
    """None where no engine can be built of what there is."""
    why: str
    """Half a sentence for a person."""
    streamed: bool = False
    """Whether its weights have to stream, because even the smallest do not fit."""
    short: bool = False
    """Whether all that stops it is memory to build it with."""


def choose_precision(
    component: Component,
    architecture: Architecture,
    *,
    memory: int | None = None,
    ram: int | None = None,
    working_bytes: int = 0,
    folder: Path | None = None,
) -> Choice:
    """Choose the precision of least error that the architecture computes in and that fits.

    memory: bytes of the GPU's memory; None is no limit. ram: bytes that the build may take, the
    same. working_bytes: what a run takes of the GPU's memory beside the weights. folder: of the
    bundle, for closer bounds of what a build takes.
    """
    usable = usable_precisions(component, architecture)
    if not usable:
        return Choice(None, _why_none(component, architecture))
    held = [p for p in usable if memory is None or gpu_bytes(component, p, working_bytes) <= memory]
    buildable = [p for p in usable if ram is None or build_bytes(component, p, folder) <= ram]
    if not buildable:
        least = min(usable, key=lambda p: build_bytes(component, p, folder))
        return Choice(
            None,
            f"building it takes up to {size_text(build_bytes(component, least, folder))} even in "
            f"{least}, and there are {size_text(ram or 0)} of memory for that",
            short=True,
        )
    both = [p for p in held if p in buildable]
    if not both:
        least = min(buildable, key=lambda p: stored_bytes(component, p))
        return Choice(
            least,
            f"the smallest there is; its weights ({size_text(stored_bytes(component, least))}) "
            f"stream, for {size_text(memory or 0)} do not hold it",
            streamed=True,
        )
    best = both[0]
    return Choice(best, _why_best(component, architecture, usable, held, best, folder))


def usable_precisions(component: Component, architecture: Architecture) -> tuple[str, ...]:
    """Return what a component is there in and engines can be built of, the least error first."""
    refused = find_library(architecture.library).refuses.get(architecture.name, {})
    known = (*architecture.precisions, "fp32")  # what float32 gains over fp16 is not worth its size
    return tuple(p for p in known if p in component.precisions and p not in refused)


def build_bytes(component: Component, precision: str, folder: Path | None = None) -> int:
    """Return how much memory building a component in a precision takes at most.

    folder: of the bundle, for a closer bound.
    """
    there = _in(component, precision)
    weights = sum(data.bytes for data in there.data)
    graph = None if folder is None else folder / there.graph.file
    return estimate_build_bytes(there.graph.bytes, weights, precision, graph=graph)


def gpu_bytes(component: Component, precision: str, working_bytes: int = 0) -> int:
    """Return about how much of a GPU's memory a component takes when it runs."""
    return stored_bytes(component, precision) + working_bytes


def stored_bytes(component: Component, precision: str) -> int:
    """Return what a component takes on the disk in a precision."""
    return _in(component, precision).stored_bytes


def short_of_memory(
    bundle: Bundle, name: str, architecture: Architecture, precision: str, ram: int
) -> str:
    """Say why so much memory does not do for a build, and what would; "" where it does."""
    component = bundle.component(name)
    need = build_bytes(component, precision, bundle.folder)
    if need <= ram:
        return ""
    usable = usable_precisions(component, architecture)
    fitting = [one for one in usable if build_bytes(component, one, bundle.folder) <= ram]
    lacking = [one for one in ("int8", "int4") if one in architecture.precisions]
    if fitting:
        least = build_bytes(component, fitting[0], bundle.folder)
        mend = f"{fitting[0]} would fit ({size_text(least)})"
    elif smaller := [one for one in lacking if one not in usable]:
        command = f"reverie quantize {bundle.folder} --precision {smaller[-1]}"
        mend = f"`{command}` makes one that takes less"
    else:
        mend = "build it on a machine with more; the engine is the same"
    return (
        f"building it in {precision} takes up to {size_text(need)} of memory and there are "
        f"{size_text(ram)}: {mend}"
    )


def _in(component: Component, precision: str) -> Component:
    """As `Bundle.component` has it: a variant of its own precision's name goes before it."""
    return component.variants.get(precision, component)


def _why_best(
    component: Component,
    architecture: Architecture,
    usable: tuple[str, ...],
    held: list[str],
    best: str,
    folder: Path | None,
) -> str:
    larger = usable[: usable.index(best)]
    if too_large := [p for p in larger if p not in held]:
        size = size_text(stored_bytes(component, too_large[0]))
        return f"the least error that the GPU's memory holds: {too_large[0]} has {size} of weights"
    if larger:
        need = size_text(build_bytes(component, larger[0], folder))
        return f"the least error there is memory to build: {larger[0]} takes up to {need} for that"
    if len(usable) == 1:
        others = [p for p in component.precisions if p != best]
        if others:
            return f"the only one here that {architecture.name} computes in"
        return "the only one it is there in"
    return f"the least error of {', '.join(usable)}"


def _why_none(component: Component, architecture: Architecture) -> str:
    library = find_library(architecture.library)
    there = component.precisions
    if there == ("fp32",):
        refused = library.refuses.get(architecture.name, {}).get("fp32", "it")
        return (
            f"it is there in fp32 alone, and {library.title} refuses {refused} on "
            f"{architecture.name}: ONNX Runtime runs it"
        )
    return (
        f"it is there in {', '.join(there)}, and {architecture.name} computes in "
        f"{', '.join(architecture.precisions)}: quantise it to one, or ONNX Runtime runs it"
    )
