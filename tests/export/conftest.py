"""A small network of its own and a checkpoint of it, for the tests of the streamed export."""

from __future__ import annotations

import importlib.util
import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from reverie.export.part import Part
from reverie.export.recipe import PartRecipe
from reverie.export.source import Source
from reverie.export.weights import Weights
from safetensors.torch import save_file
from torch import Tensor, nn

WIDTH = 24


class Net(nn.Module):
    """A table, a tied projection, a norm, a buffer with values, and one parameter of its own."""

    _keep_in_fp32_modules = ("last",)

    def __init__(self, large: bool = False) -> None:
        super().__init__()
        self.table = nn.Embedding(32, WIDTH)
        self.mix = nn.Linear(WIDTH, WIDTH * (40 if large else 2))
        self.norm = nn.LayerNorm(self.mix.out_features)
        self.last = nn.Linear(self.mix.out_features, WIDTH)
        self.shift = nn.Parameter(torch.randn(1, WIDTH))
        self.tied = nn.Linear(WIDTH, 32, bias=False)
        self.tied.weight = self.table.weight
        self.register_buffer("waves", torch.linspace(0, 1, WIDTH), persistent=False)

    def forward(self, tokens: Tensor, level: Tensor, x: Tensor) -> Tensor:
        y = self.table(tokens) + x + (self.waves * level[:, None, None]).to(x.dtype)
        y = self.last(nn.functional.gelu(self.norm(self.mix(y)))).to(x.dtype) + self.shift
        return self.tied(y)


class Wrapped(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, tokens: Tensor, level: Tensor, x: Tensor) -> tuple[Tensor]:
        return (self.network(tokens, level, x),)


def examples(length: int = 5) -> Mapping[str, Tensor]:
    made = torch.Generator().manual_seed(length)
    return {
        "tokens": torch.randint(0, 32, (1, length), generator=made),
        "level": torch.tensor([0.3]),
        "x": torch.randn(1, length, WIDTH, generator=made),
    }


def recipe(name: str = "net", part: str = "net", **changes: Any) -> PartRecipe:
    settings: dict[str, Any] = {
        "name": name,
        "part": part,
        "build": lambda: Wrapped(Net()),
        "examples": examples,
        "other_examples": lambda: examples(9),
        "outputs": {"logits": (1, "length", 32)},
        "free": {"tokens": {1: "length"}, "x": {1: "length"}},
        "plain_inputs": ("level",),
    }
    return PartRecipe(**(settings | changes))


def tensors(seed: int = 0) -> dict[str, Tensor]:
    """A checkpoint of the network: the tied table once."""
    torch.manual_seed(seed)
    state = {key: value.detach().clone() for key, value in Net().state_dict().items()}
    del state["tied.weight"]
    return state


def source(folder: Path, *names: str, state: dict[str, Tensor] | None = None) -> Source:
    """A checkpoint with one such part a name, of the family "small"."""
    parts = {}
    for name in names or ("net",):
        (folder / name).mkdir(parents=True, exist_ok=True)
        file = folder / name / "model.safetensors"
        if not file.exists():
            save_file(tensors() if state is None else state, file)
        parts[name] = Part(name, "Net", {"width": WIDTH}, Weights.open(file), folder / name)
    (folder / "LICENSE").write_text("Do as you like.\n")
    return Source(
        name="made",
        family="small",
        pipeline="SmallPipeline",
        parts=parts,
        license="MIT",
        license_files=(folder / "LICENSE",),
        origin="made",
    )


@pytest.fixture
def family(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """The family "small"; a test may set its `recipes`."""
    module = types.ModuleType("reverie.export.families.small")
    module.PIPELINES = ("SmallPipeline",)  # type: ignore[attr-defined]
    module.recipes = lambda source: [  # type: ignore[attr-defined]
        recipe(name, name) for name in source.parts
    ]
    module.sections = lambda source: {"latents": {"channels": 4}}  # type: ignore[attr-defined]
    module.files = lambda source, folder: []  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def run(path: Path, length: int = 5) -> np.ndarray:
    from reverie.engines.engine import open_engine

    with open_engine(path, device="cpu") as engine:
        return engine.run({k: v.numpy() for k, v in examples(length).items()})["logits"]


def reference(state: dict[str, Tensor], length: int = 5) -> np.ndarray:
    network = Net()
    network.load_state_dict(state | {"tied.weight": state["table.weight"]})
    with torch.no_grad():
        return network(**examples(length)).numpy()


def relative(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))


@pytest.fixture(scope="session")
def small() -> types.SimpleNamespace:
    """All of the above."""
    things = (Net, Wrapped, examples, recipe, tensors, source, run, reference, relative)
    return types.SimpleNamespace(**{thing.__name__: thing for thing in things})


@pytest.fixture(scope="session")
def toys() -> types.ModuleType:
    """Small graphs to quantise; see toy_graphs.py."""
    spec = importlib.util.spec_from_file_location(
        "toy_graphs", Path(__file__).with_name("toy_graphs.py")
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
