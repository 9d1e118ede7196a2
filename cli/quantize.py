"""`reverie quantize BUNDLE --precision P`: the same networks in other precisions, side by side."""

from __future__ import annotations

import argparse
import importlib.util
import json
import shutil
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..engines.architectures import PRECISIONS
from ..engines.errors import MissingPackageError, OutputError, SettingsError
from ..runtime.memory import peak_memory
from .info import file_size
from .telling import add_output

if TYPE_CHECKING:
    from ..runtime.bundle import Bundle
    from .progress import OnProgress

NEEDED = ("onnx", "onnx_ir", "ml_dtypes")
"""What quantising needs beside the base package; torch is not among it."""


def add_to(commands: argparse._SubParsersAction[Any], epilog: str) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "quantize",
        help="add smaller or faster variants of a bundle's networks",
        description=(
            "Make a bundle's networks in another precision, beside those it has: fp16 and bf16"
            " plain, int8 and fp8 with calibrated activations, int4 and nvfp4 for the weights."
        ),
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("bundle", metavar="BUNDLE", help="the folder of a bundle, or an embedded model's name")
    add(
        "--precision",
        required=True,
        metavar="|".join(PRECISIONS),
        help="what to make",
    )
    add(
        "--component",
        action="append",
        default=[],
        metavar="NAME",
        help="only this network, such as denoiser (may be given several times)",
    )
    add(
        "--photo",
        action="append",
        default=[],
        metavar="FILE",
        help="calibrate on this photo instead of those that come along (several times)",
    )
    add(
        "--weights-only",
        action="store_true",
        help="int8 and fp8: leave activations as they are, without calibration",
    )
    add(
        "--activations",
        action="store_true",
        help="nvfp4: quantise activations too, calibrated",
    )
    add(
        "--verify",
        action="store_true",
        help="render photos in both precisions and tell how far layers, latents and frames differ",
    )
    add("--out", metavar="FOLDER", help="copy the bundle there first, and leave BUNDLE as it is")
    add_output(parser)


def run(arguments: argparse.Namespace) -> None:
    """Make the variants and tell about them.

    Raises:
        SettingsError: an option has an impossible value, or there is nothing to make.
        BundleError: the bundle is broken.
        OutputError: it cannot be written.
        MissingPackageError: a package that this needs is not installed.
    """
    check(arguments.precision, arguments.photo, arguments.weights_only, arguments.activations)
    from ..runtime.bundle import EMBEDDED, load_bundle
    from .export import progress  # which knows this module

    started = time.perf_counter()
    bundle = load_bundle(arguments.bundle)
    if arguments.out is not None:
        bundle = load_bundle(copy(bundle, Path(arguments.out)))
    elif bundle.folder.parent == EMBEDDED:
        raise SettingsError(
            f"{bundle.name} came with Reverie and stays as it is: `reverie quantize {bundle.name}"
            f" --precision {arguments.precision} --out FOLDER` makes a copy with the variants"
        )
    silent = arguments.quiet or arguments.json
    with progress(silent) as on_progress:
        make(
            bundle.folder,
            arguments.precision,
            components=arguments.component or None,
            photos=arguments.photo or None,
            weights_only=arguments.weights_only,
            activations=arguments.activations,
            on_progress=on_progress,
        )
        if arguments.verify:
            verify(bundle.folder, arguments.precision, arguments.component, on_progress)
    seconds = time.perf_counter() - started
    facts = report(load_bundle(bundle.folder), arguments.precision, arguments.component, seconds)
    if arguments.json:
        print(json.dumps(facts))
    elif not arguments.quiet:
        for line in lines(facts):
            print(line)


def check(
    precision: str, photos: Sequence[str], weights_only: bool, activations: bool = False
) -> None:
    """Refuse what cannot be asked for, before any work.

    Raises:
        SettingsError, MissingPackageError: as `run`.
    """
    if precision not in PRECISIONS:
        raise SettingsError(
            f"precision {precision} is not known: use one of {', '.join(PRECISIONS)}"
        )
    if weights_only and photos:
        raise SettingsError("--weights-only needs no --photo: leave one of them out")
    if weights_only and activations:
        raise SettingsError("--weights-only and --activations exclude each other")
    if activations and precision != "nvfp4":
        raise SettingsError(
            "--activations is for --precision nvfp4: int8 and fp8 quantise activations anyway, the"
            " others never do"
        )
    for photo in photos:
        if not Path(photo).is_file():
            raise SettingsError(f"--photo {photo}: there is no such file")
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingPackageError(
            f"{missing[0]} is not installed: `pip install 'reverie[cpu,export]'` brings all that"
            " quantising needs"
        )


def make(
    folder: Path,
    precision: str,
    *,
    components: Collection[str] | None,
    photos: Sequence[str] | None = None,
    weights_only: bool = False,
    activations: bool = False,
    on_progress: OnProgress | None = None,
) -> None:
    """Make the variants of a bundle; see `quantize.quantize`."""
    from ..export.quantize import quantize

    try:
        quantize(
            folder,
            precision,
            components=components,
            photos=photos,
            weights_only=weights_only,
            activations=activations,
            on_progress=on_progress,
        )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"stopped: {folder} is as it was, run the same again to go on"
        ) from None


def verify(
    folder: Path, precision: str, components: Sequence[str], on_progress: OnProgress | None
) -> None:
    """Measure what a precision costs and write it into the manifest; see `quality.measure`."""
    from ..export.quality import measure, write_error

    report = measure(folder, precision, components=components or None, on_progress=on_progress)
    write_error(folder, precision, report)


def copy(bundle: Bundle, folder: Path) -> Path:
    """Copy a bundle into a new folder; one that holds the same bundle already stays.

    Raises:
        OutputError: the folder holds something else, or cannot be written.
    """
    from ..runtime.bundle import MANIFEST, load_bundle

    if (folder / MANIFEST).is_file():
        there = load_bundle(folder)
        same = [
            there.components[name].graph.sha256 == component.graph.sha256
            for name, component in bundle.components.items()
            if name in there.components
        ]
        if len(same) == len(bundle.components) and all(same):
            return folder
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(
            f"{folder} holds other things than {bundle.name}: name a new folder, or empty this one"
        )
    part = folder.with_name(f"{folder.name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(
            bundle.folder, part, ignore=shutil.ignore_patterns(".*", "__pycache__", "*.py")
        )
        if folder.is_dir():
            folder.rmdir()
        part.replace(folder)
    except (OSError, shutil.Error) as error:
        shutil.rmtree(part, ignore_errors=True)
        why = getattr(error, "strerror", None) or "copying failed"
        raise OutputError(f"{folder} cannot be written ({why}): name another folder") from error
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return folder


def report(
    bundle: Bundle, precision: str, components: Collection[str], seconds: float
) -> dict[str, Any]:
    """Return what was made as plain data for --json."""
    rows = bundle.section("components")
    variants = {
        name: dict(row["variants"][precision])
        for name, row in rows.items()
        if precision in row.get("variants", {}) and (not components or name in components)
    }
    return {
        "path": str(bundle.folder.absolute()),
        "name": bundle.name,
        "family": bundle.family,
        "precision": precision,
        "components": {
            name: {
                "bytes": variant["quantised"]["bytes_after"],
                "bytes_before": variant["quantised"]["bytes_before"],
                "layers": variant["quantised"]["layers"],
                "smoothed": variant["quantised"]["smoothed"],
                "seconds": variant["quantised"]["seconds"],
                "kept": variant["kept"],
                "error": variant["error"],
            }
            for name, variant in variants.items()
        },
        "seconds": round(seconds, 3),
        "peak_memory_bytes": peak_memory(),
    }


def lines(facts: dict[str, Any]) -> list[str]:
    """Return a report as lines for a person."""
    told = []
    for name, row in facts["components"].items():
        layers = ", ".join(f"{count} {kind}" for kind, count in row["layers"].items())
        kept = sum(one["count"] for one in row["kept"])
        weights = row["error"].get("weights")
        worst = weights["worst"][0] if weights and weights["worst"] else None
        told.append(
            f"{name}  {facts['precision']}, "
            f"{file_size(row['bytes_before'])} -> {file_size(row['bytes'])}"
            + (f", {layers}" if layers else "")
            + (f", {kept} kept" if kept else "")
            + (f", worst {worst['layer']} {worst['db']} dB" if worst else "")
        )
        measured = ", ".join(
            f"{one['layer'][-40:]} {one['snr_db']:.1f}" for one in row["error"].get("worst", ())
        )
        if measured:
            told.append(f"  signal to noise, dB: {measured}")
    errors = [row["error"] for row in facts["components"].values() if "frames" in row["error"]]
    if errors:
        frames, steps = errors[0]["frames"], errors[0]["latents"]
        told.append(
            f"frames  {_decibels(frames['psnr'])} PSNR, {_decibels(frames['least_psnr'])} at the"
            f" least, SSIM {frames['ssim']:.4f}, against {errors[0]['against']}"
            + (f"; latents of the last step {steps[-1]:.2g} off" if steps else "")
        )
    told.append(
        f"{facts['path']}  {len(facts['components'])} variants in {facts['seconds']:.1f} s, "
        f"at most {facts['peak_memory_bytes'] / 2**30:.2f} GiB of memory"
    )
    return told


def _decibels(value: float | None) -> str:
    return "no difference," if value is None else f"{value:.1f} dB"
