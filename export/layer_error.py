"""A network's error by layer: both graphs run once, a sample of every layer's output put out.

The samples (see `watch`) are of the same places in both, so that nothing large leaves the graphs
and memory stays that of a run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from ..engines.device import Device
from ..engines.engine import Array
from ..runtime.bundle import Bundle
from .calibrate import load_graph
from .layers import find_layers
from .likeness import relative
from .rounding import load_rounded
from .scratch import open_model
from .watch import OFFSET, add_samples, is_watch, sample_of

WORST = 10
"""Layers that a report names."""
_OFFSET = 12_345


def compare_layers(
    exact: Bundle,
    bundle: Bundle,
    name: str,
    precision: str | None,
    inputs: Sequence[Mapping[str, Array]],
    *,
    device: Device | str = "cpu",
) -> dict[str, Any]:
    """Return a component's error by layer, on the same inputs; see `measure`.

    The signal-to-noise ratio is that of a layer's output, with all the error that it was given,
    over a sample of its values. A layer that one of the graphs does not have counts for nothing.
    """
    if not inputs:
        return {"outputs": {}, "layers": 0, "median_db": None, "worst": []}
    layers, _ = find_layers(load_graph(exact.path(name)).graph)
    outputs = {str(node.outputs[0].name): layer.name for layer in layers for node in layer.nodes}
    common = [
        value
        for value in outputs
        if all(value in there for there in (_names(exact, name), _names(bundle, name, precision)))
    ]
    exact_model = load_graph(exact.path(name, device="cpu"))
    theirs = _run(exact, name, None, exact_model, common, inputs, device)
    model = load_rounded(bundle, name, precision)
    ours = _run(bundle, name, precision, model, common, inputs, device)
    ratios = dict[str, float]()
    for number, value in enumerate(common):
        rows = [
            (a[sample_of(number)], b[sample_of(number)]) for a, b in zip(ours, theirs, strict=True)
        ]
        if all(a.shape == b.shape for a, b in rows):
            ratio = _decibels(rows)
            ratios[outputs[value]] = min(ratio, ratios.get(outputs[value], math.inf))
    worst = sorted(ratios.items(), key=lambda row: row[1])[:WORST]
    finite = [ratio for ratio in ratios.values() if math.isfinite(ratio)]
    pairs = list(zip(ours, theirs, strict=True))
    return {
        "outputs": {
            port: four_digits(max(relative(a[port], b[port]) for a, b in pairs))
            for port in theirs[0]
            if not is_watch(port)
        },
        "layers": len(ratios),
        "median_db": round(float(np.median(finite)), 2) if finite else None,
        "worst": [
            {"layer": layer, "snr_db": round(ratio, 2)}
            for layer, ratio in worst
            if math.isfinite(ratio)
        ],
    }


def _names(bundle: Bundle, name: str, precision: str | None = None) -> set[str]:
    """Names of all values that a component's graph for processors works out."""
    graph = load_graph(bundle.path(name, device="cpu", precision=precision)).graph
    return {str(value.name) for node in graph for value in node.outputs}


def _run(
    bundle: Bundle,
    name: str,
    precision: str | None,
    model: ir.Model,
    values: Sequence[str],
    inputs: Sequence[Mapping[str, Array]],
    device: Device | str,
) -> list[dict[str, Array]]:
    """What a component's graph gives for some inputs, samples of its values included."""
    add_samples(model, values)
    offset = np.array([_OFFSET], np.int64)
    with open_model(bundle, name, model, precision=precision, device=device) as engine:
        return [engine.run({**given, OFFSET: offset}) for given in inputs]


def _decibels(rows: Sequence[tuple[Array, Array]]) -> float:
    """10 log10 of signal over noise, of pairs (ours, theirs); infinite where they are equal."""
    signal = sum(float(np.sum(np.asarray(b, np.float64) ** 2)) for _, b in rows)
    noise = sum(
        float(np.sum((np.asarray(a, np.float64) - np.asarray(b, np.float64)) ** 2)) for a, b in rows
    )
    return 10 * math.log10(max(signal, 1e-300) / noise) if noise else math.inf


def four_digits(value: float) -> float:
    """Return a number's four digits that matter."""
    return float(f"{value:.4g}")
