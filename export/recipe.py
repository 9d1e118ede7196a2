"""What an export starts from: one recipe a component, listed by a family.

A `Recipe` is a torch module with examples of its inputs; a `ReadyRecipe` is an ONNX network that
somebody else trained and that is taken over as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

Precision = Literal["fp32", "fp16"]
"""How weights are stored; computation is in float32 either way."""


@dataclass(frozen=True)
class Free:
    """An axis whose size the caller chooses: a multiple of `step`, from `least` to `most` of it."""

    name: str
    step: int = 1
    least: int = 2
    most: int = 256


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a component comes from and under what terms."""

    license: str
    """SPDX expression, such as "MIT"."""
    license_file: str
    """Its text, below the bundle's folder."""
    source: str
    """Project, paper, or code that made the weights."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A component made from a torch module."""

    name: str
    module: torch.nn.Module
    examples: Mapping[str, torch.Tensor]
    """Input name -> example, in the order the module takes them (batch 1)."""
    outputs: Mapping[str, tuple[int | str, ...]]
    """Output name -> shape, in the order the module gives them; a name is a free size."""
    origin: Origin
    free: Mapping[str, Mapping[int, Free]] = field(default_factory=dict)
    """Input name -> axis -> what sizes it may take; the same name is the same size."""
    other_examples: Mapping[str, torch.Tensor] | None = None
    """Inputs of a second size, for the comparison with torch."""
    precision: Precision = "fp32"
    tolerance: float = 1e-4
    """Most that the stored graph may differ from torch, as relative L2."""


@dataclass(frozen=True, kw_only=True)
class ReadyRecipe:
    """A component made from an ONNX file."""

    name: str
    file: Path
    inputs: Mapping[str, str]
    """The file's input name -> name in the bundle."""
    outputs: Mapping[str, str]
    """The file's output name -> name in the bundle; others are dropped."""
    origin: Origin
    input_range: tuple[float, float] = (0.0, 1.0)
    """Range of the random inputs it is compared on."""
    precision: Precision = "fp16"
    tolerance: float = 1e-2
    """Most that stored weights may change the outputs, as relative L2."""
