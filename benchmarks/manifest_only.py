"""Manifests of full-size bundles without their graphs, so that anyone can plan and predict them.

    python -m reverie.benchmarks.manifest_only BUNDLE... [--into benchmarks/manifests]

A bundle comes from `made_checkpoint` and `reverie export`; its weights do not matter, only its
shapes do. What its networks compute is counted anew where their graphs are there. The folder that
is written has a bundle.json and nothing else: `reverie plan FOLDER` works with it, to
render it does not.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("manifests")
"""Where the package keeps those of LTX-Video, Wan 2.2 and Stable Video Diffusion."""
_LEFT_OUT = ("error",)
"""What a variant's entry says of how far it is off, which random weights say nothing of."""
NAMES = {"ltx": "ltx-2b-0.9.5", "wan": "wan2.2-ti2v-5b", "svd": "svd-14"}
DESCRIPTION = "Full-size shapes and figures alone, for planning and predicting; it has no weights"


def manifest_of(folder: Path) -> dict[str, Any]:
    """Return a bundle's manifest with the figures of every component and variant in it."""
    manifest: dict[str, Any] = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    for entry in manifest["components"].values():
        for one in (entry, *entry.get("variants", {}).values()):
            if "cost" not in one or (folder / one["file"]).is_file():
                from ..export.cost import component_cost

                one["cost"] = component_cost(folder, one)
            for key in _LEFT_OUT:
                one.pop(key, None)
    family = manifest["family"]
    return manifest | {"name": NAMES[family], "description": DESCRIPTION}


def write(folder: Path, into: Path) -> Path:
    """Write the manifest of a bundle into a folder named after its family; returns the file."""
    manifest = manifest_of(folder)
    path = into / manifest["family"] / "bundle.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.part")
    beside.write_text(json.dumps(manifest, separators=(",", ":")) + "\n", encoding="utf-8")
    beside.replace(path)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bundles", nargs="+", type=Path, metavar="BUNDLE")
    parser.add_argument("--into", type=Path, default=FOLDER)
    asked = parser.parse_args()
    for folder in asked.bundles:
        path = write(folder, asked.into)
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
