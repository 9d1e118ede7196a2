"""Networks whose parameters have shapes and no values, so that size costs nothing while tracing.

A module is built with its parameters on torch's "meta" device; `fill` then gives each its type
inside a FakeTensorMode, which torch.export traces as if the values were there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from ..engines.errors import BundleError, ReverieError
from .recipe import PartRecipe

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}

_CASTING = (nn.Linear, nn.Embedding, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
_CONVOLVING = (
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)


@dataclass(frozen=True)
class Kept:
    """A piece of parameters' names that stays float32, why, and how many parameters it keeps."""

    reason: str
    count: int


@contextmanager
def parameters_without_values() -> Iterator[None]:
    """Make every parameter registered inside a meta tensor; buffers get their values."""
    register = nn.Module.register_parameter

    def register_shape(self: nn.Module, name: str, param: nn.Parameter | None) -> None:
        if param is not None and param.device.type != "meta":
            param = nn.Parameter(param.detach().to("meta"), requires_grad=False)
        register(self, name, param)

    # What fills a parameter once it is registered then fills nothing, so that no page is touched.
    nn.Module.register_parameter = register_shape  # type: ignore[method-assign]
    try:
        yield
    finally:
        nn.Module.register_parameter = register  # type: ignore[method-assign]


def build(recipe: PartRecipe) -> nn.Module:
    """Return a recipe's module in eval mode, its parameters shapes alone.

    Raises BundleError when its classes refuse the checkpoint's configuration.
    """
    with parameters_without_values(), torch.no_grad():
        try:
            module = recipe.build().eval()
        except ReverieError:
            raise
        except Exception as error:  # diffusers and transformers raise many types here
            line = " ".join(str(error).split())[:200]
            raise BundleError(
                f"{recipe.name} cannot be built from its configuration"
                f" ({type(error).__name__}: {line}); get the checkpoint again"
            ) from error
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    return module


def names(module: nn.Module) -> dict[str, tuple[str, ...]]:
    """Return what a module expects from a checkpoint: parameters and persistent buffers.

    Name in the module -> all names that the same tensor has there, that one first.
    """
    expected = module.state_dict(keep_vars=True)
    groups: dict[int, list[str]] = {}
    for name, tensor in expected.items():
        groups.setdefault(id(tensor), []).append(name)
    return {
        name: (name, *(other for other in groups[id(tensor)] if other != name))
        for name, tensor in expected.items()
    }


def fill(
    module: nn.Module, mode: FakeTensorMode, dtype: torch.dtype, keep: Mapping[str, str]
) -> dict[str, Kept]:
    """Give parameters and persistent buffers their types, as fake tensors of `mode`, in place.

    `keep` is what the recipe keeps in float32 beside what the classes of diffusers and
    transformers say themselves (their `_keep_in_fp32_modules`); returns all of it that applies.
    """
    keep = {**_own_keep(module, dtype), **keep} if dtype != torch.float32 else {}
    counts = dict.fromkeys(keep, 0)
    made: dict[int, torch.Tensor] = {}  # what two modules share stays shared

    def typed(name: str, tensor: torch.Tensor) -> torch.Tensor:
        if id(tensor) not in made:
            wanted = dtype if tensor.is_floating_point() else tensor.dtype
            for piece in keep:
                if wanted == dtype and piece in name.split("."):
                    wanted = torch.float32
                    counts[piece] += 1
            with mode:
                value = torch.empty(tuple(tensor.shape), dtype=wanted, device="cpu")
            parameter = isinstance(tensor, nn.Parameter)
            made[id(tensor)] = nn.Parameter(value, requires_grad=False) if parameter else value
        return made[id(tensor)]

    originals = []  # kept alive, so that no two of them have one id
    for prefix, part in module.named_modules():
        for name, parameter in part._parameters.items():
            if parameter is not None:
                originals.append(parameter)
                part._parameters[name] = typed(f"{prefix}.{name}", parameter)
        for name, buffer in part._buffers.items():
            if buffer is not None and name not in part._non_persistent_buffers_set:
                originals.append(buffer)
                part._buffers[name] = typed(f"{prefix}.{name}", buffer)
        if type(part) in _CASTING or isinstance(part, _CONVOLVING):
            part.register_forward_pre_hook(_cast_to_own)
    return {piece: Kept(reason, counts[piece]) for piece, reason in keep.items() if counts[piece]}


def _own_keep(module: nn.Module, dtype: torch.dtype) -> dict[str, str]:
    keep: dict[str, str] = {}
    for part in module.modules():
        pieces = list(getattr(part, "_keep_in_fp32_modules_strict", None) or ())
        loose = getattr(part, "_keep_in_fp32_modules", None) or ()
        # transformers keeps the loose ones in float32 against float16's range alone.
        if dtype == torch.float16 or not type(part).__module__.startswith("transformers."):
            pieces += list(loose)
        for piece in pieces:
            keep.setdefault(piece, f"{type(part).__name__} asks for it")
    return keep


def _cast_to_own(module: nn.Module, inputs: tuple[object, ...]) -> tuple[object, ...]:
    """Bring floating inputs to the type of the weight they meet."""
    weight = getattr(module, "weight", None)
    if not isinstance(weight, torch.Tensor) or not weight.is_floating_point():
        return inputs
    return tuple(
        value.to(weight.dtype)
        if isinstance(value, torch.Tensor)
        and value.is_floating_point()
        and value.dtype != weight.dtype
        else value
        for value in inputs
    )
