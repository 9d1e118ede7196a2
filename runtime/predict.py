"""How long a render would take on a device that need not be here: pure arithmetic.

What networks do is counted in their bundle, and `durations.py` says how long that takes. To that
comes the host's work, which is in no graph: a price a pixel, measured on one processor and scaled
by cores and clock. engines/devices.json has the devices,
engines/calibration.json the shares and how far off the whole is. Every result is a prediction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..engines.architectures import PRECISIONS
from ..engines.calibration import Calibration, Error, calibration
from ..engines.devices import Hardware
from .bundle import Bundle
from .cost import PhaseCost
from .durations import (
    host_seconds,
    opening_seconds,
    placed_costs,
    run_parts,
    streamed_seconds,
)
from .planner import RenderPlan, plan_render

QUANTISED = tuple(one for one in PRECISIONS if one not in ("fp16", "bf16"))
DRAWN = "frames"
"""The phase in which the host draws; the others but this have networks."""
_ONCE = ("text", "look")
"""Phases that a film of several windows has once."""


@dataclass(frozen=True)
class Span:
    """Predicted seconds, with the range that they should lie in."""

    seconds: float
    low: float
    high: float

    def __add__(self, other: Span) -> Span:
        return Span(self.seconds + other.seconds, self.low + other.low, self.high + other.high)


@dataclass(frozen=True)
class PhaseTime:
    """One phase of a render."""

    name: str
    span: Span
    components: tuple[str, ...]
    limit: str
    """What most of it waits for: "compute", "memory", "nodes", "weights", "link" or "host"."""
    error: str
    """Key of `Calibration.errors` that its range follows from."""


@dataclass(frozen=True)
class Prediction:
    """A render on a device, as predicted."""

    device: Hardware
    render: RenderPlan
    """How it would run, and what it takes in memory."""
    phases: tuple[PhaseTime, ...]
    """Empty where it does not fit."""
    film_seconds: float
    error: Error
    """Of the largest phase."""
    notes: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether the device can hold it; there are no times where it cannot."""
        return self.render.fits

    @property
    def total(self) -> Span | None:
        """All phases one after another; None where it does not fit."""
        return _sum([phase.span for phase in self.phases]) if self.phases else None

    @property
    def real_time_factor(self) -> float | None:
        """Seconds of film to a second of rendering."""
        total = self.total
        return self.film_seconds / total.seconds if total and total.seconds else None


def predict(
    bundle: Bundle,
    plan: Any,
    device: Hardware,
    *,
    film: tuple[int, int],
    frames: int,
    fps: float,
    windows: int = 1,
    memory: int | None = None,
    precision: str = "auto",
    backend: str = "auto",
    known: Calibration | None = None,
) -> Prediction:
    """Predict a render of what a family planned; its placing is the planner's for that device.

    Args:
        plan: of the family, of one window; `shapes.plan_for` makes one.
        film: (width, height) of the frames that are encoded.
        frames: of the whole film; fps: of it.
        windows: how often the model's frames are made.
        memory: bytes it may take; None is the device's own, less what its system holds.
        known: figures to predict with; those of the package by default.

    Raises:
        SettingsError: the backend is none for that device.
        BundleError: the bundle does not say what its networks compute.
    """
    known = known or calibration()
    render = plan_render(
        bundle,
        plan,
        None,
        memory=device.budget_bytes if memory is None else memory,
        gpu=device.architecture,
        backend=backend,
        precision=precision,
        film=film,
    )
    seconds = frames / fps
    if not render.fits:
        return Prediction(device, render, (), seconds, known.errors["unseen"])
    chosen = {row.name: row.precision for row in render.components}
    costs = placed_costs(bundle, render, chosen)
    times = [_start(device, known)]
    for phase in render.phases:
        rows = [one for one in costs if one.phase == phase.name]
        many = 1 if phase.name in _ONCE else windows
        times.append(_phase_time(phase.name, phase.components, rows, many, render, device, known))
    times = _with_host(times, device, known, film[0] * film[1] * frames)
    largest = max(times, key=lambda one: one.span.seconds)
    return Prediction(
        device=device,
        render=render,
        phases=tuple(times),
        film_seconds=seconds,
        error=known.errors[largest.error],
        notes=_notes(device, render),
    )


def _phase_time(
    name: str,
    components: tuple[str, ...],
    costs: Sequence[PhaseCost],
    windows: int,
    render: RenderPlan,
    device: Hardware,
    known: Calibration,
) -> PhaseTime:
    reached = known.reached[device.kind]
    parts = {"compute": 0.0, "memory": 0.0, "nodes": 0.0, "weights": 0.0, "link": 0.0, "host": 0.0}
    for cost in costs:
        for what, seconds in run_parts(cost, device, reached).items():
            parts[what] += cost.runs * windows * seconds
    for component in components:
        placed = render.placed(component)
        rows = [one for one in costs if one.component == component]
        if not rows:
            continue
        parts["weights"] += opening_seconds(rows[0], device, known)
        runs = windows * sum(one.runs for one in rows)
        parts["link"] += runs * streamed_seconds(placed, rows[0], device)
    error = error_of(device, [render.placed(one).precision for one in components], known)
    return PhaseTime(
        name=name,
        span=_span(sum(parts.values()), known.errors[error]),
        components=components,
        limit=max(parts, key=lambda one: parts[one]),
        error=error,
    )


def error_of(device: Hardware, precisions: Sequence[str], known: Calibration) -> str:
    """Return which error a prediction of networks on a device has."""
    if device.kind == "cpu":
        return "measured" if device.name in known.fitted_on else "processor"
    plain = not any(one in QUANTISED for one in precisions)
    return "published" if device.rate in known.seen and plain else "unseen"


def _with_host(
    times: list[PhaseTime], device: Hardware, known: Calibration, pixels: float
) -> list[PhaseTime]:
    """The phases with drawing in its own, where there is one, and encoding after them."""
    error = _host_error(device, known)
    made = [
        replace(
            one,
            span=_span(host_seconds("draw", pixels, device, known), known.errors[error]),
            limit="host",
            error=error,
        )
        if one.name == DRAWN and not one.components
        else one
        for one in times
    ]
    encoding = host_seconds("encode", pixels, device, known)
    return [*made, PhaseTime("encode", _span(encoding, known.errors[error]), (), "host", error)]


def _start(device: Hardware, known: Calibration) -> PhaseTime:
    error = _host_error(device, known)
    seconds = known.start_seconds * known.host_clock_mhz / device.host.clock_mhz
    return PhaseTime("start", _span(seconds, known.errors[error]), (), "host", error)


def _host_error(device: Hardware, known: Calibration) -> str:
    return "measured" if device.name in known.fitted_on else "host"


def _notes(device: Hardware, render: RenderPlan) -> tuple[str, ...]:
    notes = [f"predicted for {device.title}, {device.mode}", *device.notes]
    if device.host.assumed:
        notes.append(
            f"its host is assumed to have {device.host.cores} cores at "
            f"{device.host.clock_mhz / 1000:g} GHz"
        )
    if any(row.residency == "streamed" for row in render.components) and device.kind == "gpu":
        rate = (device.link_bandwidth or device.bandwidth / 2) / 1e9
        notes.append(f"streamed weights are assumed to pass at {rate:.0f} GB/s")
    notes.append(f"weights are assumed to be read at {device.disk_bandwidth / 1e9:.1f} GB/s")
    if device.kind == "gpu":
        notes.append("building engines is not counted: they are built once and kept")
    return tuple(notes)


def _span(seconds: float, error: Error) -> Span:
    return Span(seconds, seconds / error.factor, seconds * error.factor)


def _sum(spans: Sequence[Span]) -> Span:
    total = Span(0.0, 0.0, 0.0)
    for one in spans:
        total += one
    return total
