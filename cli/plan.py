"""`reverie plan MODEL`: how a render would run on a device, what it takes, and whether it fits."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..engines.architectures import ARCHITECTURES, PRECISIONS, Architecture, find_architecture
from ..engines.devices import find_device
from ..engines.errors import SettingsError
from ..engines.sizes import parse_size, size_text
from ..runtime.placement import BACKENDS
from ..runtime.settings import (
    FPS_RANGE,
    GUIDANCE_RANGE,
    HEIGHT_RANGE,
    NAMED_ASPECTS,
    SECONDS_RANGE,
    STEPS_RANGE,
    Settings,
)
from .predicting import (
    LIST,
    describe_prediction,
    predicted,
    print_devices,
    print_prediction,
)
from .telling import add_output, plain_text, range_text, table_console

if TYPE_CHECKING:
    from ..engines.machine import Machine
    from ..runtime.length import LengthPlan
    from ..runtime.planner import RenderPlan

_ESTIMATED = (
    "figures of GPUs are counted from the graphs, with rough ones for the CUDA context and for "
    "streaming; they were not measured"
)


def add_to(commands: argparse._SubParsersAction[Any], epilog: str) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "plan",
        help="say what a render takes, and what fits",
        description="Say how a render would run: each network's precision and residency, the peak "
        "of each phase, and whether it fits. Renders nothing; the GPU need not be here.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "model",
        metavar="MODEL",
        nargs="?",
        help="an embedded model's name, or the folder of a bundle",
    )
    add(
        "--memory",
        metavar="SIZE",
        help="what it may take on its device: 6GB, 6GiB, 500MB (default: what is there)",
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--gpu",
        default="auto",
        metavar="NAME",
        help=f"the GPU: {', '.join(ARCHITECTURES)}, this or cpu (default: this one, else cpu)",
    )
    where.add_argument(
        "--device",
        metavar="NAME",
        help="a device that need not be here, such as orin-nano-8gb or rtx4060-8gb: predicts "
        "seconds too; `list` prints them all, with sources",
    )
    add("--backend", default="auto", choices=BACKENDS, help="what runs the networks")
    add(
        "--precision",
        default="auto",
        choices=("auto", "fp32", *PRECISIONS),
        help="the precision to prefer where it is there (default: the best one that fits)",
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--seconds", type=float, default=10.0, help=f"{range_text(SECONDS_RANGE)} (default 10)"
    )
    length.add_argument("--frames", type=int, help="number of frames instead")
    add(
        "--aspect",
        default="16:9",
        metavar="W:H",
        help=f"shape of the frame: {', '.join(NAMED_ASPECTS[1:])}, or another (default 16:9)",
    )
    add("--height", type=int, default=720, help=f"{range_text(HEIGHT_RANGE)} (default 720)")
    add("--fps", type=int, default=24, help=f"{range_text(FPS_RANGE)} (default 24)")
    add("--loop", action="store_true", help="let the end lead into the beginning")
    add("--steps", type=int, help=f"denoising steps, {range_text(STEPS_RANGE)}")
    add("--guidance", type=float, help=f"guidance, {range_text(GUIDANCE_RANGE)}")
    add_output(parser, quiet=None)


def run(arguments: argparse.Namespace) -> None:
    """Print the plan; one that does not fit is an answer, not an error.

    Raises:
        SettingsError: an option is impossible, or the GPU or the device is not known.
        BundleError: there is no such model, or its manifest cannot be planned with.
    """
    if arguments.device == LIST:
        print_devices(arguments.json)
        return
    if arguments.model is None:
        raise SettingsError("no model was named: give one, such as `reverie plan ember`")
    if arguments.device is not None:
        find_device(arguments.device)  # an unknown one is told before anything else
    memory = None if arguments.memory is None else parse_size(arguments.memory, "--memory")
    settings = Settings(
        seconds=arguments.seconds,
        fps=arguments.fps,
        height=arguments.height,
        aspect=arguments.aspect,
        steps=arguments.steps,
        num_frames=arguments.frames,
        guidance=arguments.guidance,
        loop=arguments.loop,
    )
    from ..runtime.bundle import load_bundle
    from ..runtime.frame import frame_size
    from ..runtime.planner import plan_render
    from ..runtime.shapes import UNKNOWN_PHOTO, length_of, plan_for

    bundle = load_bundle(arguments.model)
    plan = plan_for(bundle, settings=settings)
    length = length_of(bundle, settings)
    film = frame_size(settings.aspect, settings.height, UNKNOWN_PHOTO)
    notes = [*plan.notes, *(() if length is None else length.explanation)]
    prediction: dict[str, Any] = {}
    if arguments.device is not None:
        told = predicted(
            bundle, plan, arguments, film=film, fps=settings.fps, length=length, memory=memory
        )
        made = told.render
        prediction = {"predicted": True, "prediction": describe_prediction(told)}
        notes += told.notes
    else:
        gpu, machine = choose_gpu(arguments.gpu)
        made = plan_render(
            bundle,
            plan,
            machine,
            memory=memory,
            gpu=gpu,
            backend=arguments.backend,
            precision=arguments.precision,
            film=film,
        )
        notes += [_ESTIMATED] if gpu else []
    facts = describe(made) | {
        "model": bundle.name,
        "width": plan.width,
        "height": plan.height,
        "frames": plan.num_frames,
        "length": None if length is None else _length(length),
        "notes": notes,
        **prediction,
    }
    if arguments.json:
        print(json.dumps(facts))
    else:
        _print(facts)


def choose_gpu(name: str) -> tuple[Architecture | None, Machine | None]:
    """Return the GPU that a name stands for, None for the processor, and this machine.

    "auto" is this machine's first GPU that is known, else the processor.

    Raises:
        SettingsError: the name is not known, or "this" and there is none here.
    """
    from ..engines.machine import describe_machine

    machine = describe_machine()
    if name == "cpu":
        return None, machine
    if name not in ("auto", "this"):
        return find_architecture(name), machine
    known = [gpu.architecture for gpu in machine.gpus if gpu.architecture is not None]
    if not known and name == "this":
        raise SettingsError(
            "--gpu this: no GPU that is known can be used here (`reverie doctor` says why): "
            f"name one of {', '.join(ARCHITECTURES)}, or cpu"
        )
    return (known[0] if known else None), machine


def describe(plan: RenderPlan) -> dict[str, Any]:
    """Return a plan as plain data."""
    return {
        "device": plan.device,
        "fits": plan.fits if plan.budget_bytes is not None else None,
        "verdict": plan.verdict,
        "peak_bytes": plan.peak_bytes,
        "budget_bytes": plan.budget_bytes,
        "host_bytes": plan.host_bytes,
        "settings": dict(plan.settings),
        "rough": list(plan.rough),
        "components": [asdict(row) for row in plan.components],
        "phases": [asdict(row) for row in plan.phases],
    }


def _length(length: LengthPlan) -> dict[str, Any]:
    """How a film's frames come out of the model's, as plain data."""
    facts = asdict(length)
    del facts["explanation"]  # it is among the notes
    return facts


def _print(facts: dict[str, Any]) -> None:
    from rich.table import Table

    console = table_console()
    where, label = facts["device"], ""
    if "prediction" in facts:  # nothing of that device was measured: every figure says so
        where, label = facts["prediction"]["title"], "predicted: "
    title = f"{label}{facts['model']} on {where}, {facts['width']}x{facts['height']}"
    windows = facts["length"]["windows"] if facts["length"] else 1
    frames = f"{facts['frames']} frames" + (f", {windows} times" if windows > 1 else "")
    networks = Table(title=plain_text(f"{title}, {frames}"), title_justify="left")
    for name in ("component", "precision", "residency", "backend"):
        networks.add_column(name)
    for name in ("weights", "activations"):
        networks.add_column(name, justify="right")
    networks.add_column("why", overflow="fold")
    for row in facts["components"]:
        networks.add_row(
            plain_text(row["name"]),
            plain_text(row["precision"]),
            row["residency"],
            row["backend"],
            size_text(row["weights_bytes"]),
            size_text(row["activations_bytes"]),
            plain_text(row["reason"]),
        )
    console.print(networks)
    phases = Table(title=f"{label}peak of each phase", title_justify="left")
    phases.add_column("phase")
    phases.add_column("networks", overflow="fold")
    for name in ("base", "weights", "activations", "held", "peak"):
        phases.add_column(name, justify="right")
    for row in facts["phases"]:
        parts = ("base", "weights", "activations", "held", "peak")
        phases.add_row(
            row["name"],
            plain_text(", ".join(row["components"])),
            *(size_text(row[f"{part}_bytes"]) for part in parts),
        )
    console.print(phases)
    if "prediction" in facts:
        print_prediction(facts["prediction"], console)
    if facts["host_bytes"]:
        console.print(plain_text(f"{label}beside, on the host: {size_text(facts['host_bytes'])}"))
    for note in facts["notes"]:
        console.print(plain_text(f"note: {note}"))
    console.print(plain_text(f"{label}{facts['verdict']}"))
