"""What each precision costs: ember, whose weights are trained, against float32; others' mechanics.

    python -m reverie.benchmarks.quantise_quality --work /tmp/quality

Ember is exported in float32 from its training checkpoint, quantised with the photos that come with
Reverie, and rendered on other photos, the same seed for both. Its helper networks are those of the
shipped bundle, or the float32 originals in `--models`. The video models are tiny ones with random
weights: their figures say that the way works, not how a trained model would look.

Half precision is rounded wherever a GPU would (see export/rounding.py), on the processor.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..engines.architectures import PRECISIONS
from ..engines.errors import SettingsError
from ..export import assemble, pack
from ..export.families import ember
from ..export.quality import Render, measure, write_error
from ..export.quantize import quantize
from ..export.samples import drawn_picture, sample_photos
from ..export.source import open_source
from ..runtime.bundle import EMBEDDED, MANIFEST, load_bundle
from .machine import describe_machine

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "quantise_quality.json"
PHOTOS = (
    "beacon-street-sunset",
    "oakland-zoo-otters",
    "person-001-selfie",
    "singaporean-cityscape",
    "sunset-ridge",
    "tea-gardens",
)
"""None of them is among those that ember is calibrated on."""
FILM = {"height": 480, "seconds": 4.0, "fps": 2}
MARKS = {"fp16": 45.0, "int8": 40.0}
"""Least PSNR in dB that every photo must have."""


def main() -> None:
    """Make the bundles, quantise and measure them, and write the table as it grows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder for the bundles")
    parser.add_argument("--models", type=Path, help="folder of the helpers' float32 originals")
    parser.add_argument("--only", choices=("ember", "svd", "ltx", "wan"), action="append")
    choices = ("shipped", *PRECISIONS)
    parser.add_argument("--precisions", nargs="+", default=list(choices), choices=choices)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    found = json.loads(given.out.read_text()) if given.out.is_file() else {}
    found["machine"] = describe_machine()
    for family in given.only or ("ember", "svd", "ltx", "wan"):
        folder = given.work / family
        if not (folder / MANIFEST).is_file():
            make_ember(folder, given.models) if family == "ember" else make_tiny(family, folder)
        rows, renders = found.setdefault(family, {}), dict[str, Render]()
        rows["weights"] = "trained" if family == "ember" else "random: mechanics only"
        if family == "ember":
            rows["helpers"] = "float32 originals" if given.models else "as shipped"
            rows["calibrated_on"] = [Path(photo).stem for photo in sample_photos()]
            if "shipped" in given.precisions:
                rows["shipped"] = shipped(folder, renders)
        for precision in [name for name in given.precisions if name in PRECISIONS]:
            start = time.perf_counter()
            rows[precision] = row(family, folder, precision, renders)
            rows[precision]["seconds"] = round(time.perf_counter() - start, 1)
            given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
            print(family, precision, rows[precision]["frames"], flush=True)


def row(family: str, folder: Path, precision: str, renders: dict[str, Render]) -> dict[str, Any]:
    """Quantise a bundle and measure it; returns its row of the table."""
    trained = family == "ember"
    pictures = [drawn_picture(seed, (96, 128)) for seed in range(2)]
    wanted: str | None = precision
    try:
        quantize(folder, precision, photos=None if trained else pictures)
    except SettingsError:  # it is the bundle's own: beside itself in float32
        wanted = None
    report = measure(
        folder,
        wanted,
        reference=folder if wanted is None else None,
        photos=photos() if trained else pictures,
        settings=FILM if trained else {"steps": 3},
        renders=renders,
    )
    if wanted is not None:
        write_error(folder, precision, report)
    bundle = load_bundle(folder)
    made = {
        n: c.variants[precision] for n, c in bundle.components.items() if precision in c.variants
    }
    least = report["frames"]["least_psnr"]
    mark = MARKS.get(precision) if trained else None
    return {
        "bytes": {name: component.stored_bytes for name, component in made.items()},
        "bytes_before": {name: bundle.components[name].stored_bytes for name in made},
        "kept": {
            name: bundle.section("components")[name]["variants"][precision]["kept"] for name in made
        },
        **({} if mark is None else {"mark_db": mark, "met": least is None or least >= mark}),
        **report,
    }


def shipped(reference: Path, renders: dict[str, Render]) -> dict[str, Any]:
    """The bundle that ships, float16 in store and float32 in arithmetic, beside float32."""
    bundle = load_bundle("ember")
    report = measure(
        bundle.folder,
        None,
        reference=reference,
        photos=photos(),
        settings=FILM,
        renders=renders,
    )
    size = sum(component.stored_bytes for component in bundle.components.values())
    return {"bytes": size, "latents": report["latents"], "frames": report["frames"]}


def photos() -> list[Path]:
    """The photos that ember is judged by."""
    return [ROOT / "tests" / "data" / "photos" / f"{name}.jpg" for name in PHOTOS]


def make_ember(folder: Path, models: Path | None) -> None:
    """Write ember in float32."""
    shutil.copytree(
        EMBEDDED / "ember", folder, ignore=shutil.ignore_patterns("*.py", "__pycache__")
    )
    recipes: list[Any] = ember.own_recipes(ROOT / "export" / "training" / "ember.safetensors")
    recipes += ember.helper_recipes(models) if models else []
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    for recipe in recipes:
        plain = replace(recipe, precision="fp32", tolerance=1e-4)
        manifest["components"][recipe.name] = pack.write_component(plain, folder)
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def make_tiny(family: str, folder: Path) -> None:
    """Write a video model with random weights, one of those that the tests compare."""
    path = ROOT / "tests" / "runtime" / "families" / f"{family}_tiny.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    tiny = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tiny)
    checkpoint = folder.with_name(f"{family}-checkpoint")
    if family == "ltx":
        tiny.pipeline(checkpoint, condition=True, vae=tiny.NEW_VAE)
    else:
        tiny.save(tiny.build(tiny.SMALL if family == "svd" else tiny.RESIDUAL_VAE), checkpoint)
    logging.disable(logging.CRITICAL)  # torch tells its tracing at length
    assemble.export(open_source(checkpoint), folder, precision="fp16")


if __name__ == "__main__":
    main()
