"""Seconds and peak memory of exporting full-size components, each in a process of its own.

    python -m reverie.benchmarks.export_cost [COMPONENT ...] [--precision fp16] [--verify] [--plain]
        [--folder DIR] [--keep DIR] [--json FILE]

A COMPONENT is family/name: svd/image_encoder, svd/denoiser, ltx/text_encoder, ltx/denoiser, ...
Checkpoints come from `made_checkpoint`: published configurations, random weights. --plain loads the
network and lets torch export it, as one would without Reverie, in float32. --keep leaves the
bundle of the one family that was asked for there, for `render_cost`.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ..runtime.memory import peak_memory
from .machine import describe_machine
from .made_checkpoint import make

PARTS = {
    "svd/image_encoder": "image_encoder",
    "svd/vae_encoder": "vae",
    "svd/vae_decoder": "vae",
    "svd/denoiser": "unet",
    "ltx/text_encoder": "text_encoder",
    "ltx/vae_encoder": "vae",
    "ltx/vae_decoder": "vae",
    "ltx/denoiser": "transformer",
    "wan/text_encoder": "text_encoder",
    "wan/vae_encoder": "vae",
    "wan/vae_decoder": "vae",
    "wan/denoiser": "transformer",
}
"""Component -> the checkpoint's part that holds its weights."""


def streamed(
    component: str, precision: str, verify: bool, folder: Path, out: Path
) -> dict[str, Any]:
    """Export one component through the command line; returns what it cost."""
    _, name = component.split("/")
    command = [sys.executable, "-m", "reverie", "export", str(folder / "from"), "--json"]
    command += ["--out", str(out), "--component", name, "--precision", precision]
    done = subprocess.run(
        [*command, *(["--verify"] if verify else [])], check=True, stdout=subprocess.PIPE, text=True
    )
    told = json.loads(done.stdout)
    made = told["components"][name]
    return {
        "component": component,
        "way": "streamed",
        "precision": made["precision"],
        "seconds": told["seconds"],
        "peak_bytes": told["peak_memory_bytes"],
        "written_bytes": made["bytes"],
        "verified": (made.get("parity") or {}).get("outputs"),
    }


def plain(component: str, folder: Path) -> dict[str, Any]:
    """Load a component's network and export it with torch alone, here and now."""
    import torch

    from ..export import families
    from ..export.source import open_source

    family_name, name = component.split("/")
    start = time.perf_counter()
    source = open_source(folder / "from", family=family_name)
    family = importlib.import_module(f"{families.__name__}.{family_name}")
    recipe = next(recipe for recipe in family.recipes(source) if recipe.name == name)
    module = recipe.build().eval()
    weights = source.part(recipe.part).weights
    with torch.no_grad():
        for parameter_name, parameter in module.named_parameters():
            stored = weights.read(recipe.weight_name(parameter_name))
            parameter.copy_(torch.from_numpy(stored.astype("float32")))
    examples = dict(recipe.examples())
    with torch.no_grad():
        program = torch.onnx.export(
            module,
            kwargs=examples,
            dynamo=True,
            opset_version=21,
            dynamic_shapes={
                key: dict.fromkeys(recipe.free.get(key, {}), torch.export.Dim.DYNAMIC)
                for key in examples
            },
        )
    (folder / "to").mkdir()
    program.save(str(folder / "to" / "plain.onnx"), external_data=True)
    return {
        "component": component,
        "way": "load, then torch.onnx.export",
        "precision": "fp32",
        "seconds": time.perf_counter() - start,
        "peak_bytes": peak_memory(),
        "written_bytes": sum(file.stat().st_size for file in (folder / "to").iterdir()),
    }


def plain_elsewhere(component: str, folder: Path) -> dict[str, Any]:
    """`plain` in a process of its own."""
    command = [sys.executable, "-m", "reverie.benchmarks.export_cost", component, "--here"]
    done = subprocess.run(
        [*command, "--folder", str(folder)], check=True, stdout=subprocess.PIPE, text=True
    )
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("components", nargs="*", default=["svd/image_encoder"])
    parser.add_argument("--precision", default="fp16")
    parser.add_argument("--verify", action="store_true", help="run each beside its torch twin too")
    parser.add_argument("--plain", action="store_true", help="measure the plain way as well")
    parser.add_argument("--folder", type=Path, help="where to write, a temporary folder otherwise")
    parser.add_argument("--keep", type=Path, help="where the bundle stays")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    unknown = [name for name in asked.components if name not in PARTS]
    if unknown:
        parser.error(f"{unknown[0]} is not known: use {', '.join(PARTS)}")
    if asked.here:
        with contextlib.redirect_stdout(sys.stderr):  # torch tells its progress
            row = plain(asked.components[0], asked.folder)
        print(json.dumps(row))
        return
    families = {component.split("/")[0] for component in asked.components}
    if asked.keep and len(families) > 1:
        parser.error("--keep is for components of one family")
    # A bundle grows from one checkpoint; without --keep each part is made and goes by itself.
    groups = [asked.components] if asked.keep else [[name] for name in asked.components]
    rows = []
    for group in groups:
        folder = Path(tempfile.mkdtemp(dir=asked.folder))
        try:
            make(group[0].split("/")[0], folder / "from", {PARTS[name] for name in group})
            for component in group:
                out = asked.keep or folder / "to"
                now = [streamed(component, asked.precision, asked.verify, folder, out)]
                if asked.plain:
                    shutil.rmtree(folder / "to", ignore_errors=True)
                    now.append(plain_elsewhere(component, folder))
                    shutil.rmtree(folder / "to")
                rows += now
                for row in now:
                    print(
                        f"{row['component']:20} {row['precision']:5} {row['way']:28} "
                        f"{row['seconds']:7.1f} s {row['peak_bytes'] / 2**30:6.2f} GiB"
                        f"  writes {row['written_bytes'] / 2**30:.2f} GiB",
                        flush=True,
                    )
        finally:
            shutil.rmtree(folder)
    if asked.json:
        report = {"machine": describe_machine(), "rows": rows}
        asked.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
