"""`reverie build BUNDLE`: a bundle's networks made into engines, for this GPU or for others."""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..engines.architectures import ARCHITECTURES, PRECISIONS
from ..engines.errors import EngineError
from .animate import _number, _whole
from .telling import add_output

if TYPE_CHECKING:
    from ..runtime.making import Made

_CODES = """
leaves with 0 when every engine that can be built here is there, built now or before; with 6 when
one was refused, after all others were built, or when there was nothing to build here. Networks that
the library builds no engine of are left to ONNX Runtime, and GPUs whose engines are built on the
device (Jetson, data centre) are told with the command to run there: neither is a failure where
something else was built."""


def add_to(commands: argparse._SubParsersAction[Any], epilog: str) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "build",
        help="make engines of a bundle's networks, for this GPU or for others",
        description=(
            "Make TensorRT engines of a bundle's networks and keep them in the cache.\n"
            "For GeForce RTX and other GPUs of TensorRT-RTX any machine does it, without a GPU too."
        ),
        epilog=f"{_CODES.strip()}\n\n{epilog}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("bundle", metavar="BUNDLE", help="an embedded model's name, or the folder of a bundle")
    gpus = ", ".join(ARCHITECTURES)
    add("--gpu", metavar="GPU[,GPU]", default="this", help=f"this (default), {gpus}")
    add(
        "--precision",
        choices=("auto", *PRECISIONS),
        default="auto",
        metavar="NAME",
        help=f"auto (default: by GPU and memory, and says why), {', '.join(PRECISIONS)}",
    )
    add("--component", metavar="NAME", action="append", help="only this network; may be repeated")
    add(
        "--height",
        type=_whole,
        metavar="PIXELS",
        help="height of the clips that the engines are for",
    )
    add(
        "--aspect",
        metavar="W:H[,W:H]",
        help="their shape: 16:9, 1:1, ...; engines for several shapes take in them all (photo is "
        "taken for 16:9)",
    )
    add("--seconds", type=_number, metavar="SECONDS", help="their length")
    add("--memory", metavar="SIZE", help="memory of the GPU, what auto chooses by: 8GB")
    add("--ram", metavar="SIZE", help="memory a build may take (default: what is free): 16GB")
    add(
        "--stream-weights",
        action="store_true",
        help="let weights stay in the processor's memory and stream, where the GPU has too little",
    )
    add_output(parser)


def run(arguments: argparse.Namespace) -> None:
    """Build what is not in the cache yet and tell what came of it.

    Raises:
        SettingsError: an option is impossible.
        BundleError: the bundle or a component is missing or broken.
        MissingPackageError: the library is not installed.
        OutputError: the cache cannot be written in.
        EngineError: an engine was refused, or none could be built here.
    """
    from ..engines.cache import EngineCache
    from ..engines.host_memory import available_memory
    from ..runtime.bundle import load_bundle
    from ..runtime.making import Making, make_engines
    from ..runtime.targets import find_targets
    from .building import on_screen, show

    bundle = load_bundle(arguments.bundle)
    memory = _size("--memory", arguments.memory)
    ram = _size("--ram", arguments.ram)
    making = Making(
        bundle=bundle,
        targets=find_targets(arguments.gpu),
        precision=arguments.precision,
        components=tuple(arguments.component) if arguments.component else None,
        height=arguments.height,
        aspect=arguments.aspect,
        seconds=arguments.seconds,
        memory=memory,
        ram=available_memory() if ram is None else ram,
        weight_streaming=arguments.stream_weights,
    )
    cache = EngineCache()
    made: list[Made] = []
    notes: list[str] = []
    try:
        with on_screen(arguments.quiet or arguments.json) as on_build:
            for row in make_engines(making, cache, on_note=notes.append, on_build=on_build):
                made.append(row)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_stopped(made)) from None
    there = list(dict.fromkeys(row.gpu for row in made if row.status == "elsewhere"))
    command = _command(arguments) if there else None
    facts = {
        "bundle": str(bundle.folder.absolute()),
        "cache": str(cache.folder),
        "engines": [row.facts() for row in made],
        "notes": notes,
        "elsewhere": {"gpus": there, "command": command} if there else None,
    }
    if not arguments.json and not arguments.quiet:
        show(made, notes, cache.folder, command)
    if failure := _failure(made, command):
        error = EngineError(failure)
        error.facts = facts
        raise error
    if arguments.json:
        print(json.dumps(facts))


def _size(option: str, text: str | None) -> int | None:
    from ..engines.sizes import parse_size

    return None if text is None else parse_size(text, option)


def _stopped(made: Sequence[Made]) -> str:
    whole = sum(row.status == "built" for row in made)
    if not whole:
        return "stopped, no engine was built"
    return f"stopped; the {whole} built before {'is' if whole == 1 else 'are'} in the cache"


def _command(arguments: argparse.Namespace) -> str:
    """What to run on the device itself, with the same options."""
    words = ["reverie", "build", str(arguments.bundle), "--gpu", "this"]
    if arguments.precision != "auto":
        words += ["--precision", arguments.precision]
    for name in arguments.component or ():
        words += ["--component", name]
    for option in ("height", "aspect", "seconds", "memory", "ram"):
        value = getattr(arguments, option)
        if value is not None:
            words += [f"--{option}", f"{value:g}" if isinstance(value, float) else str(value)]
    words += ["--stream-weights"] if arguments.stream_weights else []
    return shlex.join(words)


def _failure(made: Sequence[Made], command: str | None) -> str:
    """The line of the error that what came is, "" where it is none."""
    refused = [row for row in made if row.status == "refused"]
    if refused:
        first = refused[0]
        more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
        return f"{first.component} for {first.gpu}: {first.why}{more}"
    if any(row.status in ("built", "cached") for row in made):
        return ""
    if command is not None:
        gpus = ", ".join(dict.fromkeys(row.gpu for row in made if row.status == "elsewhere"))
        return (
            f"engines for {gpus} are built on the device itself: copy the bundle there and run "
            f"`{command}`"
        )
    why = f": {made[0].component}: {made[0].why}" if made else ""
    return f"there is no engine to build{why}"
