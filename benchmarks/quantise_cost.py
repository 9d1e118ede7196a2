"""Seconds, peak memory and size of quantising full-size networks, each in a process of its own.

    python -m reverie.benchmarks.quantise_cost BUNDLE [BUNDLE ...] [--component denoiser]
        [--precision int4 ...] [--keep] [--json FILE]

Bundles come from `made_checkpoint` and `reverie export`. int8 and fp8 are made twice: weights
alone, and with activations whose ranges are invented (some channels thirty times as large as
others, so that smoothing has work), because running the loop of a network this size is another
measurement. Beside the seconds stand those that a processor worked on it, which other programs on
the machine change less. Variants go again when they are measured; --keep leaves them there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ..runtime.memory import peak_memory
from .machine import describe_machine

PRECISIONS = ("int4", "nvfp4", "int8", "fp8")


def here(folder: Path, component: str, precision: str, invented: bool) -> dict[str, Any]:
    """Quantise one component in this process; returns what it cost."""
    from ..export.quantize import quantize
    from ..runtime.bundle import load_bundle

    calibration = {component: invented_ranges(folder, component)} if invented else None
    begun, busy = time.perf_counter(), time.process_time()
    quantize(
        folder,
        precision,
        components=[component],
        calibration=calibration,
        weights_only=not invented,
    )
    seconds, busy = time.perf_counter() - begun, time.process_time() - busy
    bundle = load_bundle(folder)
    made = bundle.section("components")[component]["variants"][precision]
    return {
        "family": bundle.family,
        "component": component,
        "from": bundle.component(component).precision,
        "precision": precision,
        "activations": "invented ranges" if invented else "not quantised",
        "seconds": round(seconds, 1),
        "processor_seconds": round(busy, 1),
        "peak_bytes": peak_memory(),
        "read_bytes": bundle.component(component).stored_bytes,
        "written_bytes": bundle.component(component, precision).stored_bytes,
        "layers": made["quantised"]["layers"],
        "smoothed": made["quantised"]["smoothed"],
        "share_of_weights": made["quantised"]["share"],
        "weights_median_db": made["error"]["weights"]["median_db"],
        "weights_worst_db": made["error"]["weights"]["worst"][0]["db"],
    }


def invented_ranges(folder: Path, component: str) -> dict[str, Any]:
    """Ranges for every activation of a component, without running it."""
    import numpy as np
    import onnx_ir as ir

    from ..export.layers import find_layers
    from ..export.ranges import Range
    from ..runtime.bundle import load_bundle

    graph = ir.load(load_bundle(folder).path(component)).graph
    drawn, found = np.random.default_rng(0), {}
    for layer in find_layers(graph)[0]:
        channels = layer.shape[layer.inner] * layer.groups
        size = drawn.lognormal(0.0, 1.0, channels).astype(np.float32)
        for name in layer.activations:
            found[name] = Range(float(size.max()), float(size.max()) / 2, size)
    return found


def remove(folder: Path, component: str, precision: str) -> None:
    """Take a variant out of a bundle again."""
    from ..export.variants import read_manifest, write_manifest
    from ..runtime.bundle import load_bundle

    files = load_bundle(folder).component(component, precision).files
    manifest = read_manifest(folder)
    row = manifest["components"][component]
    del row["variants"][precision]
    if not row["variants"]:
        del row["variants"]
    write_manifest(folder, manifest)
    for file in files:
        (folder / file.file).unlink()


def elsewhere(folder: Path, component: str, precision: str, invented: bool) -> dict[str, Any]:
    """`here` in a process of its own."""
    command = [sys.executable, "-m", "reverie.benchmarks.quantise_cost", str(folder), "--here"]
    command += ["--component", component, "--precision", precision]
    done = subprocess.run(
        [*command, *(["--invented"] if invented else [])],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundles", nargs="+", type=Path, metavar="BUNDLE")
    parser.add_argument("--component", default="denoiser")
    parser.add_argument("--precision", action="append", choices=PRECISIONS)
    parser.add_argument("--keep", action="store_true", help="leave the variants in the bundle")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--invented", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    precisions = asked.precision or PRECISIONS
    if asked.here:
        print(json.dumps(here(asked.bundles[0], asked.component, precisions[0], asked.invented)))
        return
    rows = []
    for folder in asked.bundles:
        for precision in precisions:
            for invented in (False, True) if precision in ("int8", "fp8") else (False,):
                row = elsewhere(folder, asked.component, precision, invented)
                rows.append(row)
                print(
                    f"{row['family']}/{row['component']:10} {precision:5} "
                    f"{row['activations']:16} {row['seconds']:7.1f} s "
                    f"{row['peak_bytes'] / 2**30:5.2f} GiB  "
                    f"{row['read_bytes'] / 2**30:.2f} -> {row['written_bytes'] / 2**30:.2f} GiB",
                    flush=True,
                )
                if not asked.keep:
                    remove(folder, asked.component, precision)
    if asked.json:
        report = {"machine": describe_machine(), "rows": merged(asked.json, rows)}
        asked.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def merged(path: Path, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows with those of an earlier report that were not measured again."""

    def key(row: dict[str, Any]) -> tuple[str, ...]:
        return tuple(row[name] for name in ("family", "component", "precision", "activations"))

    now = {key(row) for row in rows}
    before = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []
    return sorted([row for row in before if key(row) not in now] + rows, key=key)


if __name__ == "__main__":
    main()
