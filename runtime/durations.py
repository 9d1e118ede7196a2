"""How long one piece of a render would take on a device: pure arithmetic.

A network's run takes, for each kind of its work, the longer of computing and moving,

    max(operations / (peak x share reached), bytes / (bandwidth x share reached))

and a little for each node. Opening it reads its weights; where they are streamed, each run has them
pass over the link. engines/devices.py has the devices, engines/calibration.py the shares.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..engines.calibration import PRODUCTS, Calibration, Reached
from ..engines.devices import Hardware
from .bundle import Bundle
from .cost import PhaseCost, Work, phase_costs
from .figures import entry_of
from .footprint import figures_of
from .placement import LIBRARIES
from .planner import Placed, RenderPlan


def placed_costs(
    bundle: Bundle, render: RenderPlan, precisions: Mapping[str, str]
) -> tuple[PhaseCost, ...]:
    """Return what each network does, on the graph that its backend runs."""
    backends = {row.name: row.backend for row in render.components}
    if render.device == "cpu":
        costs = phase_costs(bundle, render.plan, precisions)
    else:
        fused = phase_costs(bundle, render.plan, precisions, graph="fused")
        plain = phase_costs(bundle, render.plan, precisions, graph="main")
        costs = tuple(
            one if backends.get(one.component) in LIBRARIES else other
            for one, other in zip(fused, plain, strict=True)
        )
    processor = render.device == "cpu"
    return tuple(
        replace(one, precision=computed_in(bundle, one.component, one.precision, processor))
        for one in costs
    )


def computed_in(bundle: Bundle, component: str, precision: str, processor: bool = False) -> str:
    """Return what products are computed in: halves, where weights alone are int8 or fp8.

    On a processor whole numbers are multiplied only where its graph has such products, which the
    bundle says with "packed"; any other int8 is widened to float32.
    """
    found = bundle.component(component, precision)
    if processor and precision == "int8":
        return "int8" if (figures_of(bundle, found, "cpu") or {}).get("packed") else "fp32"
    made = entry_of(bundle, found).get("quantised") or {}
    layers = made.get("layers") or ()
    if layers and not any("activations" in kind for kind in layers):
        return "fp16"
    return precision


def run_parts(cost: PhaseCost, device: Hardware, reached: Reached) -> dict[str, float]:
    """Return the seconds of one run by what they wait for: compute, memory and nodes."""
    parts = {"compute": 0.0, "memory": 0.0, "nodes": 0.0}
    for work in cost.work:
        computing, moving = _bounds(work, cost.precision, device, reached)
        parts["compute" if computing >= moving else "memory"] += max(computing, moving)
        parts["nodes"] += work.nodes * reached.node_seconds
    return parts


def run_seconds(cost: PhaseCost, device: Hardware, reached: Reached) -> float:
    """Return the seconds of one run."""
    return sum(run_parts(cost, device, reached).values())


def _bounds(work: Work, precision: str, device: Hardware, reached: Reached) -> tuple[float, float]:
    """Seconds of computing and of moving, of one kind of work."""
    moving = work.bytes / (
        device.bandwidth
        * (reached.products_bandwidth if work.kind in PRODUCTS else reached.other_bandwidth)
    )
    if work.kind == "attention":
        # Matrix units do its products, in half precision even of an int8 or fp8 network; its
        # softmax is left to the rest, which has fallen behind them from one GPU to the next.
        peak = device.peak(precision, products=False) * reached.compute["matmul"]
        others = device.peaks["fp32"] * reached.compute["attention"]
        return work.flops / peak + work.flops / others, moving
    peak = device.peak(precision, products=work.kind in PRODUCTS)
    return work.flops / (peak * reached.compute[work.kind]), moving


def opening_seconds(cost: PhaseCost, device: Hardware, known: Calibration) -> float:
    """Seconds to read a network's weights, and on a processor to make its graph ready."""
    reading = cost.weight_bytes / device.disk_bandwidth
    if device.kind == "gpu":
        return reading
    nodes = sum(work.nodes for work in cost.work)
    return reading + nodes * known.open_seconds * known.host_clock_mhz / device.clock_mhz


def streamed_seconds(placed: Placed, cost: PhaseCost, device: Hardware) -> float:
    """Seconds that weights which are not kept on the device take in each run."""
    if placed.residency != "streamed" or device.kind == "cpu":
        return 0.0
    moved = max(cost.weight_bytes - placed.weights_bytes, 0)
    # In one memory they are copied within it: read and written.
    return moved / (device.link_bandwidth or device.bandwidth / 2)


def host_seconds(task: str, pixels: float, device: Hardware, known: Calibration) -> float:
    """Return what the host takes for so many pixels of a film, scaled by cores and clock."""
    price, host = known.tasks[task], device.host
    share = (1 - price.parallel) + price.parallel / host.cores
    return price.seconds * pixels * share * known.host_clock_mhz / host.clock_mhz
