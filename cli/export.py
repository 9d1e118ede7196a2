"""`reverie export SOURCE --out BUNDLE`: a downloaded checkpoint becomes a bundle."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..engines.errors import MissingPackageError, ReverieError, SettingsError
from ..runtime.memory import peak_memory
from . import quantize
from .progress import OnProgress, live_line
from .telling import add_output

if TYPE_CHECKING:
    from ..export.source import Source
    from ..runtime.bundle import Bundle


PRECISIONS = ("fp32", "fp16", "bf16")
_NEEDED = ("torch", "diffusers", "transformers", "onnx", "onnx_ir", "onnxscript", "ml_dtypes")
_MOST_UNUSED = 3  # LoRA tensors named before the rest is only counted
_PHASES = {
    "fetching": "fetching the checkpoint",
    "tracing": "tracing",
    "weights": "writing weights",
    "verifying": "comparing with torch",
}


def add_to(commands: argparse._SubParsersAction[Any], epilog: str) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "export",
        help="turn a downloaded checkpoint into a bundle",
        description=(
            "Turn a checkpoint (LTX-Video, Wan 2.2, Stable Video Diffusion) into a bundle that"
            " `reverie animate --model BUNDLE` runs, in about one gigabyte of memory."
        ),
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "source",
        metavar="SOURCE",
        help="a diffusers folder, a .safetensors file, or owner/name[@revision] on the Hub",
    )
    add("--out", metavar="BUNDLE", required=True, help="folder that the bundle goes into")
    add("--family", default="auto", help="ltx, wan or svd (default auto: from the checkpoint)")
    add(
        "--precision",
        default="fp16",
        metavar="|".join(PRECISIONS),
        help="how weights are stored and computed with (default fp16)",
    )
    add(
        "--component",
        action="append",
        default=[],
        metavar="NAME",
        help="export only this one, such as denoiser (may be given several times)",
    )
    add(
        "--lora",
        action="append",
        default=[],
        metavar="FILE[:SCALE]",
        help="add a LoRA to the weights (may be given several times)",
    )
    add("--revision", metavar="REV", help="branch, tag or commit of a checkpoint on the Hub")
    add(
        "--text-encoder",
        metavar="FOLDER",
        help="folder with text_encoder/ and tokenizer/, for a checkpoint without them",
    )
    add("--verify", action="store_true", help="compare every component with its torch twin")
    add(
        "--quantize",
        action="append",
        default=[],
        metavar="PRECISION",
        help="add variants in this precision, as `reverie quantize` does (several times)",
    )
    add_output(parser)


def run(arguments: argparse.Namespace) -> None:
    """Make the bundle and tell about it.

    Raises:
        SettingsError: an option has an impossible value.
        BundleError: the checkpoint is missing, broken, or of no known family.
        OutputError: the bundle cannot be written.
        MissingPackageError: torch or another package that export needs is not installed.
    """
    if arguments.precision not in PRECISIONS:
        raise SettingsError(
            f"--precision {arguments.precision} is not known: it is one of {', '.join(PRECISIONS)}"
        )
    loras = [parse_lora(text) for text in arguments.lora]
    for precision in arguments.quantize:
        quantize.check(precision, (), weights_only=False)
        if precision == arguments.precision:
            raise SettingsError(f"--quantize {precision} is what --precision makes: leave it out")
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingPackageError(
            f"{missing[0]} is not installed: "
            "`pip install 'reverie[cpu,export]'` brings all that export needs"
        )
    from ..export.lora import Loras
    from ..export.source import open_source

    started = time.perf_counter()
    silent = arguments.quiet or arguments.json
    try:
        with progress(silent) as on_progress, _plain_warnings(arguments.debug):
            source = open_source(
                arguments.source,
                revision=arguments.revision,
                family=arguments.family,
                text_encoder=arguments.text_encoder,
                on_progress=on_progress,
            )
            unused = Loras.open(loras, source.parts).unused() if loras else ()
            from ..export import assemble  # torch and all that: only once there is work for it

            assemble.export(
                source,
                Path(arguments.out),
                precision=arguments.precision,
                components=arguments.component or None,
                loras=loras,
                verify=arguments.verify,
                on_progress=on_progress,
            )
            for precision in arguments.quantize:
                quantize.make(
                    Path(arguments.out),
                    precision,
                    components=arguments.component or None,
                    on_progress=on_progress,
                )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"stopped: what is done lies in {arguments.out}, run the same again to go on"
        ) from None
    except Exception as error:
        if (own := _own_error(error)) is not None:
            raise own from error
        raise
    from ..runtime.bundle import load_bundle

    bundle = load_bundle(arguments.out)
    notes = notes_of(source, unused)
    seconds = time.perf_counter() - started
    if arguments.json:
        print(json.dumps(report(bundle, seconds, notes)))
    elif not silent:
        for note in notes:
            with contextlib.suppress(BrokenPipeError):
                print(f"note: {note}", file=sys.stderr, flush=True)
        size = sum(row["bytes"] for row in report(bundle, seconds, notes)["components"].values())
        print(
            f"{arguments.out}  {bundle.family}, {len(bundle.components)} components, "
            f"{size / 1e9:.2f} GB, made in {seconds:.1f} s, "
            f"at most {peak_memory() / 2**30:.2f} GiB of memory"
        )


def _own_error(error: BaseException | None) -> ReverieError | None:
    """Return the error of ours that a library put into one of its own."""
    for _ in range(8):
        if error is None or isinstance(error, ReverieError):
            return error
        error = error.__cause__ or error.__context__
    return None


def parse_lora(text: str) -> tuple[Path, float]:
    """Return (file, scale) of FILE[:SCALE]; the scale is 1 where there is none.

    Raises:
        SettingsError: the scale is no number, or the file is not there.
    """
    name, colon, scale = text.rpartition(":")
    if not colon or Path(text).is_file():
        name, scale = text, "1"
    try:
        value = float(scale)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise SettingsError(f"--lora {text}: {scale[:40]!r} is not a number (FILE:SCALE)")
    if not Path(name).is_file():
        raise SettingsError(f"--lora {text}: there is no file {name!r}")
    return Path(name), value


def notes_of(source: Source, unused: tuple[str, ...]) -> list[str]:
    """Return what a person should know of an export."""
    notes = list(source.notes)
    if unused:
        some = ", ".join(unused[:_MOST_UNUSED])
        more = f" and {len(unused) - _MOST_UNUSED} more" if len(unused) > _MOST_UNUSED else ""
        notes.append(f"LoRA tensors that fit nothing here: {some}{more}")
    return notes


def report(bundle: Bundle, seconds: float, notes: list[str]) -> dict[str, Any]:
    """Return an export as plain data for --json."""
    rows = bundle.section("components")
    return {
        "path": str(bundle.folder.absolute()),
        "family": bundle.family,
        "name": bundle.name,
        "license": bundle.manifest.get("license", ""),
        "components": {
            name: {
                "bytes": sum(file.bytes for file in (component.graph, *component.data)),
                "precision": component.precision,
                "parity": rows[name].get("parity"),
                "variants": list(component.variants),
            }
            for name, component in bundle.components.items()
        },
        "seconds": round(seconds, 3),
        "peak_memory_bytes": peak_memory(),
        "notes": notes,
    }


@contextmanager
def _plain_warnings(shown: bool) -> Iterator[None]:
    """Keep what libraries warn and log about tracing from the screen, unless it is asked for."""
    import logging
    import warnings

    if shown:
        yield
        return
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # what goes wrong is told in one line of ours
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


@contextmanager
def progress(silent: bool = False) -> Iterator[OnProgress | None]:
    """Show component, phase and share while inside; None where nobody would see it."""
    with live_line(silent, "opening the checkpoint", share=True) as line:
        if line is None:
            yield None
            return
        bar, task = line
        work = 0

        def on_progress(phase: str, done: int, total: int) -> None:
            nonlocal work
            if total != work:  # the fetch is one piece of work, the export another
                work = total
                bar.reset(task, total=total)
            bar.update(task, completed=done, description=describe(phase))

        yield on_progress


def describe(phase: str) -> str:
    """Return what is on the screen for "component: phase" or "phase"."""
    component, colon, name = phase.rpartition(": ")
    return f"{component}{colon}{_PHASES.get(name, name)}"
