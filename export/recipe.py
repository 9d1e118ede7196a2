"""What an export starts from: one recipe a component, listed by a family.

A `Recipe` is a torch module with examples of its inputs; a `ReadyRecipe` is an ONNX network that
somebody else trained and that is taken over as it is; a `PartRecipe` is a network too large to be
loaded, whose weights stream from a checkpoint's files into the bundle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

Precision = Literal["fp32", "fp16", "bf16"]
"""How weights are stored. A PartRecipe also computes in it; a Recipe or ReadyRecipe, whose graphs
are small, computes in float32 and knows no bf16."""


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
    """The file's output name, or that of a value inside -> name in the bundle; others are
    dropped."""
    origin: Origin
    input_range: tuple[float, float] = (0.0, 1.0)
    """Range of the random inputs it is compared on."""
    precision: Precision = "fp16"
    tolerance: float = 1e-2
    """Most that stored weights may change the outputs, as relative L2."""
    shapes: Mapping[str, tuple[int | str, ...]] = field(default_factory=dict)
    """Name in the bundle -> shape in place of the file's own; a name is a free size."""
    convolve: bool = False
    """Whether products become convolutions, the one form that TensorRT-RTX takes for Turing."""
    samples: Callable[[int], Mapping[str, NDArray[np.float32]]] | None = None
    """Makes the inputs of a run (0, 1) it is compared on, where random ones say little or the file
    leaves sizes free."""


@dataclass(frozen=True, kw_only=True)
class PartRecipe:
    """A component made from one part of a checkpoint; its weights are never in memory at once."""

    name: str
    """Name in the bundle: "denoiser", "text_encoder", "image_encoder", "vae_decoder", ..."""
    part: str
    """The checkpoint's part that holds the weights: "transformer", "unet", "vae", ..."""
    build: Callable[[], torch.nn.Module]
    """Makes the module to trace; called with parameters that have shapes and no values. Its
    forward takes the examples by keyword and gives a tensor or a tuple of them. Non-persistent
    buffers (frequencies, positions) are real values."""
    examples: Callable[[], Mapping[str, torch.Tensor]]
    """Makes small inputs, batch 1, float32 or int64, in the order the module takes them."""
    other_examples: Callable[[], Mapping[str, torch.Tensor]]
    """The same at a second size, for the comparison with torch."""
    outputs: Mapping[str, tuple[int | str, ...]]
    """Output name -> shape, in the order the module gives them; a name is a free size."""
    free: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    """Input name -> axis -> name of the size that callers choose."""
    weight_name: Callable[[str], str] = field(default=lambda name: name.split(".", 1)[1])
    """The module's parameter name -> the checkpoint's tensor name. The usual wrapper holds its
    network as one attribute, whose name goes."""
    plain_inputs: tuple[str, ...] = ()
    """Floating inputs that stay float32 inside too: timesteps, coordinates."""
    keep_fp32: Mapping[str, str] = field(default_factory=dict)
    """Piece of a parameter's name (between dots) -> why it stays float32 whatever the precision."""
    least_precision: Precision | None = None
    """"fp32" when the whole component overflows in less; `why` says so."""
    why: str = ""
    tolerance: float = 1e-5
    """Most that the graph may differ from torch in fp32, as relative L2."""
