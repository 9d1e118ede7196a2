"""Polynomials in a graph's free sizes, fitted to what is counted at a few of them.

A polynomial is [[coefficient, exponent of each size], ...], of degree two at most in each. A size
named "rows_x4" is four times "rows". The runtime reads them with runtime/figures.py.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from ..runtime.bundle import MANIFEST
from ..runtime.figures import scaled
from .sizes import Known, Shape, follow, weights_of

STEPS = (64, 128, 192)
"""Three sizes an axis tell polynomials of degree two apart; strides divide these."""


class Walk:
    """A graph's free sizes, and all its values at any of them."""

    def __init__(self, model: onnx.ModelProto, folder: Path) -> None:
        """folder: where the graph's weights lie, which are not read but where they are small."""
        self._model, self._weights = model, weights_of(model, folder)
        self._ports = {p.name: p for p in model.graph.input if p.name not in self._weights}
        names: dict[str, None] = {}
        for port in self._ports.values():
            for dimension in port.type.tensor_type.shape.dim:
                if not dimension.HasField("dim_value"):
                    names[scaled(dimension.dim_param)[0]] = None
        self.names = tuple(names)
        """Sizes that differ from run to run, those that hang on others left out."""

    def at(self, sizes: Mapping[str, int]) -> dict[str, Known]:
        """Return what every value is at some sizes; ValueError where they do not fit."""
        inputs = {name: bound(port, sizes) for name, port in self._ports.items()}
        return follow(self._model, self._weights, inputs)

    def grid(self) -> Iterator[dict[str, Known]]:
        """Yield what every value is at each point of the grid that `fitted` takes."""
        for sizes in itertools.product(STEPS, repeat=len(self.names)):
            yield self.at(dict(zip(self.names, sizes, strict=True)))


def bound(port: onnx.ValueInfoProto, sizes: Mapping[str, int]) -> Shape:
    """Return an input's shape, its free sizes put in."""
    shape = []
    for dimension in port.type.tensor_type.shape.dim:
        if dimension.HasField("dim_value"):
            shape.append(dimension.dim_value)
        else:
            name, times = scaled(dimension.dim_param)
            shape.append(sizes[name] * times)
    return tuple(shape)


def fitted(rows: list[NDArray[np.float64]], axes: int) -> NDArray[np.float64]:
    """Return the coefficients (n, 3, ..., 3) of n counts, each (n,), on the grid of `Walk`."""
    counts = np.stack(rows).reshape(*[len(STEPS)] * axes, -1)
    powers = np.vander(np.array(STEPS, np.float64) / STEPS[0], increasing=True)
    inverse = np.linalg.inv(powers)
    for axis in range(axes):
        counts = np.moveaxis(np.tensordot(inverse, counts, axes=(1, axis)), 0, axis)
    scale = np.ones([3] * axes)
    for axis in range(axes):
        shape = [1] * axes
        shape[axis] = 3
        scale = scale / (float(STEPS[0]) ** np.arange(3)).reshape(shape)
    coefficients: NDArray[np.float64] = np.moveaxis(counts, -1, 0) * scale
    return coefficients


def compact(coefficients: NDArray[np.float64], axes: int) -> list[list[float]]:
    """Return one polynomial's terms that matter, [coefficient, exponents...]."""
    terms = []
    for powers in itertools.product(range(3), repeat=axes):
        coefficient = float(coefficients[powers] if axes else coefficients)
        at_least = float(STEPS[0]) ** sum(powers)
        if abs(coefficient) * at_least >= 0.5:
            digits = round(coefficient, 6) if abs(coefficient) >= 1e4 else f"{coefficient:.10g}"
            terms.append([float(digits), *powers])
    return terms or [[0, *[0] * axes]]


def graphs_of(folder: Path, entry: Mapping[str, Any]) -> tuple[Path, Path, int]:
    """Return a component's graph, that of processors, and the bytes of its weights."""
    weights = sum(int(data["bytes"]) for data in entry.get("data", ())) or int(entry["bytes"])
    plain = folder / entry["file"]
    return plain, folder / entry["cpu"]["file"] if entry.get("cpu") else plain, weights


def add_to_manifest(
    folder: Path, kind: str, figures_of: Callable[[Path, Mapping[str, Any]], dict[str, Any]]
) -> list[str]:
    """Write a kind of figures of every component, and of its variants, into a bundle's manifest.

    Returns what could not be followed.
    """
    path = folder / MANIFEST
    manifest = json.loads(path.read_text(encoding="utf-8"))
    missing = []
    for name, entry in manifest["components"].items():
        for one in (entry, *entry.get("variants", {}).values()):
            one[kind] = figures_of(folder, one)
            if "main" not in one[kind]:
                missing.append(f"{name} {one.get('precision', '')}".strip())
    beside = path.with_name(f"{path.name}.part")
    beside.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    beside.replace(path)
    return missing
