"""A streamed component beside its torch twin: the same module, its weights in float32.

The twin's large weights come from the checkpoint when their layer runs and go when it has run, so
that a network may be verified that would not fit into memory.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from torch import nn

from . import fake, parity
from .recipe import PartRecipe, Precision
from .stream import Stream, Streamed, source_name

TOLERANCES = {"fp16": 1e-2, "bf16": 5e-2}
"""Most relative L2 in half precision; fp32 is held to the recipe's own tolerance."""

_LARGE = 1 << 18
"""Elements from which on a layer's weight comes and goes."""
_COMING_AND_GOING = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


def verify_part(
    recipe: PartRecipe, graph: Path, stream: Stream, precision: Precision
) -> dict[str, Any]:
    """Figures of a component's graph beside its torch module, at the recipe's two sizes.

    Raises BundleError when they differ by more than the precision explains.
    """
    module = twin(recipe, stream)
    sets = [dict(recipe.examples()), dict(recipe.other_examples())]
    inputs = [{name: value.numpy() for name, value in given.items()} for given in sets]

    def run(given: parity.Arrays) -> parity.Arrays:
        with torch.no_grad():
            answer = module(**{name: torch.from_numpy(value) for name, value in given.items()})
        answers = answer if isinstance(answer, tuple | list) else (answer,)
        return {
            name: value.float().numpy() if value.is_floating_point() else value.numpy()
            for name, value in zip(recipe.outputs, answers, strict=True)
        }

    figures = parity.compare(graph, run, inputs)
    tolerance = max(recipe.tolerance, TOLERANCES.get(precision, 0.0))
    parity.check(recipe.name, figures, tolerance)
    return {
        "against": f"torch {torch.__version__.split('+')[0]}, float32",
        "tolerance": tolerance,
        "sizes": [{name: list(value.shape) for name, value in given.items()} for given in inputs],
        "outputs": figures,
    }


def twin(recipe: PartRecipe, stream: Stream) -> nn.Module:
    """Return a recipe's module with its weights in float32, large ones read when they are used."""
    module = fake.build(recipe)
    aliases = fake.names(module)
    shared: dict[int, torch.Tensor] = {}
    originals = []
    for prefix, part in module.named_modules():
        begin = f"{prefix}." if prefix else ""
        if type(part) is nn.Embedding and part.weight.numel() >= _LARGE and not stream.loras:
            _look_up(part, source_name(recipe, stream, aliases[f"{begin}weight"]), stream)
            continue
        for table in (part._parameters, part._buffers):
            for name, tensor in list(table.items()):
                if tensor is None or name in part._non_persistent_buffers_set:
                    continue
                weight = source_name(recipe, stream, aliases[f"{begin}{name}"])
                if weight not in stream.weights:
                    continue  # the graph does not need it, or the export would have stopped
                if isinstance(part, _COMING_AND_GOING) and tensor.numel() >= _LARGE:
                    _come_and_go(part, name, weight, stream)
                    continue
                if id(tensor) not in shared:
                    originals.append(tensor)  # alive, so that no two have one id
                    value = _values(weight, tensor, stream)
                    is_parameter = isinstance(tensor, nn.Parameter)
                    shared[id(tensor)] = nn.Parameter(value, False) if is_parameter else value
                table[name] = shared[id(tensor)]
    return module


def _values(weight: str, like: torch.Tensor, stream: Stream) -> torch.Tensor:
    dtype = ir.DataType.FLOAT if like.is_floating_point() else ir.DataType.INT64
    tensor = Streamed(stream, weight, dtype, tuple(like.shape))
    return torch.from_numpy(np.array(tensor.numpy())).to(
        torch.float32 if like.is_floating_point() else like.dtype
    )


def _come_and_go(part: nn.Module, name: str, weight: str, stream: Stream) -> None:
    shape = part._parameters[name]
    assert shape is not None

    def come(*_: object) -> None:
        part._parameters[name] = nn.Parameter(_values(weight, shape, stream), False)

    def go(*_: object) -> None:
        part._parameters[name] = shape

    part.register_forward_pre_hook(come)
    part.register_forward_hook(go)


def _look_up(part: nn.Embedding, weight: str, stream: Stream) -> None:
    """Read an embedding's rows alone."""

    def rows(input: torch.Tensor) -> torch.Tensor:
        values = stream.weights.read(weight)[input.numpy()]
        stream.weights.release()
        return torch.from_numpy(values.astype(np.float32))

    part.forward = rows  # type: ignore[method-assign]
