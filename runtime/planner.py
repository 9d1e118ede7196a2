"""A render's plan: how each network runs on a device, what every phase takes, and whether it fits.

Pure arithmetic on a bundle's manifest and on numbers of a device, which need not be here. What was
measured and what is only estimated: the processor's figures follow ONNX Runtime closely (see
benchmarks/plan_check.py); those of GPUs are counted the same way and were not measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from ..engines.architectures import Architecture
from ..engines.machine import Gpu, Machine
from ..engines.plan import Choice, Chosen, Residency, Stretch, Weights, choose
from ..engines.sizes import size_text
from .bundle import Bundle
from .demand import BASE, ENCODER, ENCODER_PIXEL, Demand, Device
from .shapes import phases, smaller_plans, telling

_CUTS = 12


@dataclass(frozen=True)
class Placed:
    """How one component runs."""

    name: str
    precision: str
    residency: Residency
    """"kept" open, "staged" for its phase alone, or its weights "streamed" through the device."""
    backend: str
    """One of `placement.BACKENDS` but "auto"."""
    device: str
    """"cpu" or "gpu"."""
    weights_bytes: int
    """Of weights that are on the device while it is open."""
    activations_bytes: int
    """What a run takes beside, at the most."""
    reason: str = ""
    """Why so, in a few words."""


@dataclass(frozen=True)
class Phase:
    """One phase of the render, and the peak of it."""

    name: str
    components: tuple[str, ...]
    peak_bytes: int
    base_bytes: int
    weights_bytes: int
    activations_bytes: int
    held_bytes: int
    """Latents, embeddings, frames, the encoder."""


@dataclass(frozen=True)
class RenderPlan:
    """What a render will do with memory."""

    components: tuple[Placed, ...]
    phases: tuple[Phase, ...]
    fits: bool
    verdict: str
    """One line for a person."""
    device: str
    """"cpu", or the GPU's architecture."""
    budget_bytes: int | None
    """What there is; None where nobody said."""
    host_bytes: int
    """What the host takes beside a GPU with memory of its own; 0 where it is counted above."""
    settings: Mapping[str, int] = field(default_factory=dict)
    """The family's settings that cut the decoding, where it is cut more than by default."""
    rough: tuple[str, ...] = ()
    """Components whose bundle has no figures, so that theirs are rough."""
    plan: Any = field(default=None, repr=False, compare=False)
    """The family's plan with these settings in it, to be rendered."""

    @property
    def peak_bytes(self) -> int:
        """The most that any phase takes on the device."""
        return max((phase.peak_bytes for phase in self.phases), default=0)

    def placed(self, name: str) -> Placed:
        """How a component runs; KeyError where it is not in the plan."""
        return {row.name: row for row in self.components}[name]


def plan_render(
    bundle: Bundle,
    plan: Any,
    machine: Machine | None = None,
    *,
    memory: int | None = None,
    gpu: Architecture | None = None,
    backend: str = "auto",
    precision: str = "auto",
    keep: bool | None = None,
    film: tuple[int, int] | None = None,
) -> RenderPlan:
    """Plan a render of what a family planned.

    Args:
        plan: of the family; `shapes.plan_for` makes one.
        machine: this one, for the memory there is; None where another is planned for.
        memory: bytes it may take on its device; None takes the machine's, if that is the device.
        gpu: the architecture of the GPU; None is the processor.
        backend: one of `placement.BACKENDS`; "auto" is TensorRT of the kind that the GPU has.
        precision: what to prefer where it is there; "auto" is the best one that fits.
        keep: whether networks may stay open between phases; None is on a GPU alone.
        film: (width, height) of the film's frames, where it is encoded too.

    Raises:
        SettingsError: the backend is none for that device.
        BundleError: the manifest lacks what the family needs, or its figures are broken.
    """
    device = Device.of(gpu, backend)
    budget = memory if memory is not None else _memory_of(machine, gpu)
    wanted = Demand(bundle, device, precision, film)
    cut_plans = [plan, *islice(telling(bundle).cuts(bundle, plan), _CUTS)]
    stretches, options, found = wanted.numbers(cut_plans)
    keep = gpu is not None if keep is None else keep
    choice = choose(stretches, options, budget, base=device.base, keep=keep)
    cut = max((part.cut for part in choice.parts), default=0)
    chosen_plan = cut_plans[cut]
    rows = _rows(choice, stretches, device)
    rough = tuple(sorted({name for (name, _, _), one in found.items() if one.rough}))
    made = RenderPlan(
        components=_placed(bundle, choice, device, options, budget),
        phases=rows,
        fits=choice.fits,
        verdict="",
        device=device.name,
        budget_bytes=budget,
        host_bytes=0 if device.one_memory else _host(bundle, chosen_plan, film),
        settings=telling(bundle).settings(bundle, chosen_plan) if cut else {},
        rough=rough,
        plan=chosen_plan,
    )
    ways = () if made.fits else tuple(_ways_out(wanted, plan, choice, budget or 0))
    object.__setattr__(made, "verdict", verdict(made, options, ways))
    return made


def verdict(
    plan: RenderPlan, options: Mapping[str, tuple[Weights, ...]], ways: tuple[str, ...] = ()
) -> str:
    """Say in one line whether a plan fits, by what means, or what would make it fit."""
    highest = max(plan.phases, key=lambda phase: phase.peak_bytes)
    most = f"{size_text(highest.peak_bytes)} at most ({highest.name})"
    rough = f"; rough, for the bundle has no figures of {', '.join(plan.rough)}" * bool(plan.rough)
    if plan.budget_bytes is None:
        return f"takes {most}; say how much there is to know whether that fits{rough}"
    there = size_text(plan.budget_bytes)
    if not plan.fits:
        over = [phase for phase in plan.phases if phase.peak_bytes > plan.budget_bytes]
        what = " and ".join(f"{p.name} takes {size_text(p.peak_bytes)}" for p in over)
        return f"does not fit {there}: {what}; {' or '.join(ways)} would do{rough}"
    means = []
    for row in plan.components:
        if options[row.name][0].precision != row.precision:
            means.append(f"{row.name} in {row.precision}")
        if row.residency == "streamed":
            means.append(f"{row.name} streamed")
    means += [f"{name} {value}" for name, value in plan.settings.items()]
    start = f"fits {there} with {', '.join(means)}" if means else f"fits {there}"
    return f"{start}: {most}{rough}"


def _memory_of(machine: Machine | None, gpu: Architecture | None) -> int | None:
    """The memory that there is on this machine's device, None where it has no such device."""
    if machine is None:
        return None
    if gpu is None:
        return machine.available_bytes
    own = next((one for one in machine.gpus if one.architecture == gpu), None)
    return None if own is None else memory_of(machine, own)


def memory_of(machine: Machine, gpu: Gpu) -> int:
    """Return the memory that a GPU of a machine has for a render."""
    if gpu.unified:
        return machine.available_bytes
    return gpu.memory_bytes if gpu.free_bytes is None else gpu.free_bytes


def _host(bundle: Bundle, plan: Any, film: tuple[int, int] | None) -> int:
    encoder = 0 if film is None else ENCODER + ENCODER_PIXEL * film[0] * film[1]
    return BASE + encoder + max((phase.held for phase in phases(bundle, plan)), default=0)


def _rows(choice: Choice, stretches: tuple[Stretch, ...], device: Device) -> tuple[Phase, ...]:
    rows = []
    for part, stretch in zip(choice.parts, stretches, strict=True):
        held = stretch.cuts[min(part.cut, len(stretch.cuts) - 1)].held
        running = max(part.networks, key=lambda one: one.resident + one.activations, default=None)
        active = running.activations if running and not stretch.together else 0
        if stretch.together:
            active = max((one.activations for one in part.networks), default=0)
        rows.append(
            Phase(
                name=part.name,
                components=stretch.networks,
                peak_bytes=part.peak,
                base_bytes=device.base,
                weights_bytes=part.peak - device.base - held - active,
                activations_bytes=active,
                held_bytes=held,
            )
        )
    return tuple(rows)


def _placed(
    bundle: Bundle,
    choice: Choice,
    device: Device,
    options: Mapping[str, tuple[Weights, ...]],
    budget: int | None,
) -> tuple[Placed, ...]:
    rows: dict[str, Placed] = {}
    for part in choice.parts:
        for one in part.networks:
            rows[one.name] = Placed(
                name=one.name,
                precision=one.weights.precision,
                residency=one.residency,
                backend=device.backend_for(one.weights.precision),
                device="cpu" if device.gpu is None else "gpu",
                weights_bytes=one.resident,
                activations_bytes=one.activations,
                reason=_reason(bundle, one, options[one.name], budget),
            )
    return tuple(rows[name] for name in bundle.components if name in rows)


def _reason(bundle: Bundle, one: Chosen, options: tuple[Weights, ...], budget: int | None) -> str:
    best = options[0].precision
    words = []
    if one.weights.precision != best:
        words.append(f"{best} does not fit {size_text(budget or 0)}")
    elif len(options) > 1:
        words.append("the least error of those that the bundle has")
    else:
        words.append(
            "the only precision in the bundle"
            if len(bundle.component(one.name).precisions) == 1
            else "the only one that this device runs"
        )
    if one.residency == "streamed":
        words.append("its weights do not fit beside what it works on")
    return "; ".join(words)


def _ways_out(wanted: Demand, plan: Any, choice: Choice, budget: int) -> Iterator[str]:
    """What would make it fit: a smaller film, a shorter one, more memory."""
    for words, plans in smaller_plans(wanted.bundle, plan):
        for value, smaller in plans:
            cuts = [smaller, *islice(telling(wanted.bundle).cuts(wanted.bundle, smaller), _CUTS)]
            stretches, options, _ = wanted.numbers(cuts)
            if choose(stretches, options, budget, base=wanted.device.base).fits:
                yield words.format(value)
                break
    yield f"--memory {_enough(choice.peak)}"


def _enough(size: int) -> str:
    """An amount of memory as an option takes it, rounded up: "4.9GB", "460MB"."""
    if size >= 10**9:
        return f"{-(-size // 10**8) / 10:g}GB"
    return f"{-(-size // 10**7) * 10}MB"
