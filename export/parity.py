"""Whether a graph says what its original says: each component beside its twin, on random inputs.

The figures go into the manifest, so that a bundle carries the proof of its own export.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engines.engine import open_engine
from ..engines.errors import BundleError
from .recipe import ReadyRecipe, Recipe

Arrays = Mapping[str, NDArray[Any]]


def compare(
    graph: Path, twin: Callable[[Arrays], Arrays], inputs: Sequence[Arrays]
) -> dict[str, dict[str, float]]:
    """Run a graph on the CPU beside its twin; output name -> worst figures over all inputs.

    max_abs: largest difference; relative_l2: |graph - twin| / |twin|; range: largest value met.
    Raises BundleError when an output is missing or has another shape.
    """
    figures: dict[str, dict[str, float]] = {}
    with open_engine(graph, device="cpu") as engine:
        for given in inputs:
            ours, theirs = engine.run(given), twin(given)
            for name, reference in theirs.items():
                if name not in ours or ours[name].shape != reference.shape:
                    got = ours[name].shape if name in ours else "nothing"
                    raise BundleError(
                        f"{graph.name}: {name} is {got} and its original gives {reference.shape};"
                        " the export is wrong"
                    )
                exact = reference.astype(np.float64)
                difference = ours[name].astype(np.float64) - exact
                now = {
                    "max_abs": float(np.abs(difference).max()),
                    "relative_l2": float(
                        np.linalg.norm(difference) / max(float(np.linalg.norm(exact)), 1e-12)
                    ),
                    "range": float(np.abs(exact).max()),
                }
                worst = figures.setdefault(name, now)
                for key, value in now.items():
                    worst[key] = max(worst[key], value)
    return figures


def check(name: str, figures: Mapping[str, Mapping[str, float]], tolerance: float) -> None:
    """Raise BundleError when an output differs by more than the tolerance, or is not a number."""
    for output, row in figures.items():
        if not row["relative_l2"] <= tolerance:
            raise BundleError(
                f"{name}: {output} differs from its original by {row['relative_l2']:.2g}"
                f" (relative L2, {tolerance:.2g} allowed); the export is wrong"
            )


def torch_parity(recipe: Recipe, graph: Path) -> dict[str, Any]:
    """Figures of a graph beside its torch module, at the recipe's one or two sizes."""
    import torch

    def twin(given: Arrays) -> Arrays:
        with torch.no_grad():
            answer = recipe.module(**{k: torch.from_numpy(v) for k, v in given.items()})
        answers = answer if isinstance(answer, tuple | list) else (answer,)
        return {name: value.numpy() for name, value in zip(recipe.outputs, answers, strict=True)}

    sets = [recipe.examples, *([recipe.other_examples] if recipe.other_examples else [])]
    inputs = [{name: value.numpy() for name, value in examples.items()} for examples in sets]
    figures = compare(graph, twin, inputs)
    check(recipe.name, figures, recipe.tolerance)
    return {
        "against": f"torch {torch.__version__.split('+')[0]}",
        "sizes": [{name: list(value.shape) for name, value in given.items()} for given in inputs],
        "outputs": figures,
    }


def ready_parity(recipe: ReadyRecipe, graph: Path, *, runs: int = 2) -> dict[str, Any]:
    """Figures of a stored graph beside the file it was taken from, on random inputs."""
    from ..engines.device import import_onnxruntime
    from .graph import load_ready  # knows torch, which comparing does not need

    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    original = onnxruntime.InferenceSession(
        load_ready(recipe).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    old_names = {new: old for old, new in recipe.inputs.items()}

    def twin(given: Arrays) -> Arrays:
        values = original.run(
            list(recipe.outputs), {old_names[name]: value for name, value in given.items()}
        )
        return dict(zip(recipe.outputs.values(), values, strict=True))

    rng = np.random.default_rng(0)
    low, high = recipe.input_range
    shapes = {recipe.inputs[port.name]: port.shape for port in original.get_inputs()}
    inputs = [
        {
            name: _picture(rng, shape, low, high) if run else _noise(rng, shape, low, high)
            for name, shape in shapes.items()
        }
        if recipe.samples is None
        else recipe.samples(run)
        for run in range(runs)
    ]
    figures = compare(graph, twin, inputs)
    check(recipe.name, figures, recipe.tolerance)
    return {"against": recipe.file.name, "outputs": figures}


def _noise(
    rng: np.random.Generator, shape: Sequence[int], low: float, high: float
) -> NDArray[np.float32]:
    return rng.uniform(low, high, shape).astype(np.float32)


def _picture(
    rng: np.random.Generator, shape: Sequence[int], low: float, high: float
) -> NDArray[np.float32]:
    """Smooth random shapes: nearer to a photo than noise is."""
    values = rng.standard_normal(shape)
    for axis, size in enumerate(shape):
        if size > 8:
            values = np.cumsum(values, axis) / size**0.5
            values -= values.mean(axis, keepdims=True)
    values = (values - values.min()) / max(float(np.ptp(values)), 1e-9)
    return np.asarray(low + (high - low) * values, dtype=np.float32)
