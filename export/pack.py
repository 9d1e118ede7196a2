"""From graphs to a bundle: weights stored small, files hashed, everything written down.

"fp16" stores large weights as float16 behind a Cast to float32: half the size on disk, the
arithmetic unchanged (backends fold the Cast when they open the graph).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from ..runtime.bundle import FORMAT, MANIFEST, hash_file
from . import cost, graph, memory, parity
from .recipe import ReadyRecipe, Recipe

SMALLEST_HALVED = 256  # elements; below, float16 saves nothing worth a node
LARGEST_HALF = 6e4  # just under what float16 holds
EXTERNAL_ABOVE = 256 * 2**20  # bytes of weights; larger graphs keep them in a file beside


def store_fp16(model: ir.Model) -> int:
    """Store a graph's large float32 weights as float16, in place; returns how many.

    Vectors and weights beyond float16's range stay as they are.
    """
    halved = 0
    first = next(iter(model.graph), None)
    for name, value in list(model.graph.initializers.items()):
        tensor = value.const_value
        if first is None or tensor is None or tensor.dtype != ir.DataType.FLOAT:
            continue
        if len(tensor.shape) < 2 or tensor.size < SMALLEST_HALVED:
            continue
        weights = tensor.numpy()
        if not np.abs(weights).max() <= LARGEST_HALF:
            continue
        stored = ir.Value(
            name=f"{name}.fp16", shape=value.shape, type=ir.TensorType(ir.DataType.FLOAT16)
        )
        stored.const_value = ir.tensor(weights.astype(np.float16), name=stored.name)
        cast = ir.node("Cast", [stored], {"to": int(ir.DataType.FLOAT)})
        cast.outputs[0].name = f"{name}.fp32"
        value.replace_all_uses_with(cast.outputs[0])
        del model.graph.initializers[name]
        model.graph.register_initializer(stored)
        model.graph.insert_before(first, cast)
        halved += 1
    return halved


def write_component(recipe: Recipe | ReadyRecipe, folder: Path) -> dict[str, Any]:
    """Export one component into a bundle's folder; returns its entry in the manifest.

    Raises BundleError when the graph, as stored, disagrees with its original.
    """
    model = graph.take_over(recipe) if isinstance(recipe, ReadyRecipe) else graph.trace(recipe)
    if recipe.precision == "fp16":
        store_fp16(model)
    folder.mkdir(parents=True, exist_ok=True)
    files = write_graph(model, folder / f"{recipe.name}.onnx")
    path = folder / files[0]["file"]
    if isinstance(recipe, ReadyRecipe):
        figures = parity.ready_parity(recipe, path)
    else:
        figures = parity.torch_parity(recipe, path)
    entry: dict[str, Any] = {
        **files[0],
        "precision": recipe.precision,
        "inputs": graph.ports(list(model.graph.inputs)),
        "outputs": graph.ports(list(model.graph.outputs)),
        "license": recipe.origin.license,
        "license_file": recipe.origin.license_file,
        "source": recipe.origin.source,
        "parity": figures,
    }
    if isinstance(recipe, ReadyRecipe):
        entry["original"] = {"file": recipe.file.name, "sha256": hash_file(recipe.file)}
    if len(files) > 1:
        entry["data"] = files[1:]
    entry["memory"] = memory.component_memory(folder, entry)
    entry["cost"] = cost.component_cost(folder, entry)
    return entry


def write_graph(
    model: ir.Model, path: Path, *, external_above: int = EXTERNAL_ABOVE
) -> list[dict[str, Any]]:
    """Write a graph, large weights in a file beside it; returns [{file, bytes, sha256}]."""
    weights = sum(
        value.const_value.nbytes
        for value in model.graph.initializers.values()
        if value.const_value is not None
    )
    data = f"{path.name}.data" if weights > external_above else None
    ir.save(model, path, external_data=data)
    names = [path.name, *([data] if data else [])]
    return [
        {
            "file": name,
            "bytes": (path.parent / name).stat().st_size,
            "sha256": hash_file(path.parent / name),
        }
        for name in names
    ]


def write_manifest(
    folder: Path,
    *,
    family: str,
    name: str,
    version: str,
    description: str,
    license: str,
    components: Mapping[str, Any],
    files: Sequence[str] = (),
    **sections: Mapping[str, Any],
) -> Path:
    """Write bundle.json, beside and then renamed; `files` are hashed, sections go in as given."""
    manifest = {
        "format": FORMAT,
        "family": family,
        "name": name,
        "version": version,
        "description": description,
        "license": license,
        "components": dict(components),
        "files": {file: hash_file(folder / file) for file in files},
        **sections,
    }
    path = folder / MANIFEST
    beside = path.with_name(path.name + ".part")
    beside.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    beside.replace(path)
    return path
