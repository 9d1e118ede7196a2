"""Tiny bundles of every family with random weights: seconds to make, every kind of node in them.

    python -m reverie.benchmarks.tiny_bundles FAMILY FOLDER [--precision fp16]

The pipelines are those that the tests of each family use, so this runs in a checkout of the
repository. The ember family is there as it ships, trained.
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import tempfile
from pathlib import Path
from types import ModuleType

from ..export.recipe import Precision
from ..runtime.bundle import load_bundle

FAMILIES = ("ember", "svd", "ltx", "wan")
SIZES = {
    "ember": {},
    "svd": {"height": 64, "aspect": "1:1", "num_frames": 2},
    "ltx": {"height": 64, "aspect": "3:2", "num_frames": 9},
    "wan": {"height": 64, "aspect": "4:3", "num_frames": 9},
}
"""What `runtime.shapes.plan_for` is asked for, small enough for networks this small."""


def make(family: str, folder: Path, precision: Precision = "fp16") -> Path:
    """Make a tiny bundle of a family in a new folder; returns the folder."""
    if family == "ember":
        return Path(shutil.copytree(load_bundle("ember").folder, folder))
    from ..export.assemble import export
    from ..export.source import open_source

    tiny = _tiny(family)
    with tempfile.TemporaryDirectory() as place:
        checkpoint = Path(place) / "checkpoint"
        if family == "svd":
            tiny.save(tiny.build(tiny.SMALL), checkpoint)
        elif family == "wan":
            tiny.save(tiny.build(), checkpoint)
        else:
            tiny.pipeline(checkpoint, condition=True)
        export(open_source(checkpoint), folder, precision=precision)
    return folder


def _tiny(family: str) -> ModuleType:
    name = f"{family}_tiny.py"
    file = Path(__file__).resolve().parents[1] / "tests" / "runtime" / "families" / name
    spec = importlib.util.spec_from_file_location(f"reverie_benchmark_{family}_tiny", file)
    if spec is None or spec.loader is None or not file.exists():
        raise SystemExit(f"{file} is missing: run this in a checkout of the repository")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("family", choices=FAMILIES)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--precision", default="fp16", choices=("fp32", "fp16", "bf16"))
    asked = parser.parse_args()
    print(make(asked.family, asked.folder, asked.precision))


if __name__ == "__main__":
    main()
