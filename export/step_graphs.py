"""Make runtime/graphs/step_*.onnx: what a denoising step does around its network, as small graphs.

    python -m reverie.export.step_graphs

"before" makes the denoiser's inputs of what is carried from step to step, "after" takes what it
predicted and carries on. With them a step needs nothing from the host: its row of the table is
found by a clock that goes along. What one graph reads no graph of the same step overwrites: before
copies `carried` to `state`, after writes `carried` anew. See runtime/resident.py for the loop.

S is what is carried: latents, K - 1 earlier latents, K - 1 earlier outputs. T is steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ..runtime.resident import SCALARS

OPSET = 18
FOLDER = Path(__file__).parent.parent / "runtime" / "graphs"

Size = int | str
Ports = Mapping[str, tuple[Size, ...]]

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
TOKENS = ("N", "C")
FRAMES = ("F", "C", "h", "w")
_WHOLE = ("clock", "now", "keep", "shift")  # int64; all else is float32


class _Graph:
    """Nodes in order; every method adds one and returns the name of what it gives."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def __call__(self, kind: str, *takes: str, gives: str | None = None, **more: Any) -> str:
        name = gives or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(takes), [name], **more))
        return name

    def constant(self, value: Any, dtype: type = np.float32) -> str:
        array = np.array(value, dtype)
        name = f"{array.dtype}_{'_'.join(str(v) for v in array.ravel())}_{array.ndim}"
        self.constants[name] = numpy_helper.from_array(array, name)
        return name

    def pick(self, values: str, index: int, gives: str | None = None) -> str:
        """One element along the first axis, which goes."""
        return self("Gather", values, self.constant(index, np.int64), gives=gives, axis=0)

    def scalar(self, name: str) -> str:
        """One number of this step's row, (1,)."""
        index = self.constant([SCALARS.index(name)], np.int64)
        return self("Gather", "scalar", index, axis=0)

    def front(self, values: str, gives: str | None = None) -> str:
        """With an axis of one before all others."""
        return self("Unsqueeze", values, self.constant([0], np.int64), gives=gives)

    def row(self) -> None:
        """Find this step's row by the clock."""
        self("Identity", "clock", gives="now")
        number = self.pick("now", 0)
        self("Gather", "scalars", number, gives="scalar", axis=0)
        self("Gather", "weights", number, gives="weight", axis=0)

    def moves(self) -> str:
        """Which tokens move at this step, (N, 1)."""
        number = self("Cast", self.pick("now", 0), to=FLOAT)
        return self("GreaterOrEqual", number, "begin")

    def model(self, name: str, inputs: Ports, outputs: Ports) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes, name, _ports(inputs), _ports(outputs), list(self.constants.values())
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=9,
            producer_name="reverie",
        )
        onnx.checker.check_model(model, full_check=True)
        return model


def _ports(ports: Ports) -> list[onnx.ValueInfoProto]:
    return [
        helper.make_tensor_value_info(name, INT64 if name in _WHOLE else FLOAT, shape)
        for name, shape in ports.items()
    ]


def _table(latents: tuple[Size, ...]) -> tuple[dict[str, tuple[Size, ...]], ...]:
    """The ports that every "before" has: inputs, outputs."""
    count = len(SCALARS)
    inputs = {"carried": ("S", *latents), "clock": (2,), "scalars": ("T", count)}
    outputs = {"state": ("S", *latents), "now": (2,), "scalar": (count,), "weight": ("S",)}
    return {**inputs, "weights": ("T", "S")}, {**outputs}


def svd_before() -> onnx.ModelProto:
    """Latents beside the picture's, and beside none for the run that does not see it."""
    g = _Graph()
    g.row()
    g("Identity", "carried", gives="state")
    scaled = g("Mul", g.pick("carried", 0), g.scalar("input_scale"))
    none = g("Mul", "beside", g.constant(0.0))
    for name, beside in (("latents", "beside"), ("latents_free", none)):
        g.front(g("Concat", scaled, beside, axis=1), gives=name)
    g("Identity", g.scalar("timestep"), gives="timestep")
    inputs, outputs = _table(FRAMES)
    both = (1, "F", "both", "h", "w")
    outputs |= {"latents": both, "latents_free": both, "timestep": (1,)}
    return g.model("svd_before", {**inputs, "beside": FRAMES}, outputs)


def wan_before() -> onnx.ModelProto:
    """Tokens, those of the first frame the picture's, and the two timesteps of Wan."""
    g = _Graph()
    g.row()
    g("Identity", "carried", gives="state")
    scaled = g("Mul", g.pick("carried", 0), g.scalar("input_scale"))
    still = g("Greater", "still", g.constant(0.5))
    g.front(g("Where", still, "anchor", scaled), gives="latents")
    g("Concat", g.constant([0.0]), g.scalar("timestep"), gives="timesteps", axis=0)
    inputs, outputs = _table(TOKENS)
    outputs |= {"latents": (1, *TOKENS), "timesteps": (2,)}
    return g.model("wan_before", {**inputs, "anchor": TOKENS, "still": ("N", 1)}, outputs)


def ltx_before() -> onnx.ModelProto:
    """Tokens with a timestep each; those that never move are given anew, with noise on them."""
    g = _Graph()
    g.row()
    added = g("Mul", "held_noise", g.scalar("held_noise"))
    still = g("Greater", "still", g.constant(0.5))
    here = g("Where", still, g("Add", "anchor", added), g.pick("carried", 0))
    g("Gather", g("Concat", g.front(here), "carried", axis=0), "keep", gives="state", axis=0)
    scaled = g("Mul", here, g.scalar("input_scale"))
    g.front(g("Where", g.moves(), scaled, here), gives="latents")
    g("Min", "most_timestep", g.scalar("timestep"), gives="timestep")
    inputs, outputs = _table(TOKENS)
    inputs |= {"keep": ("S",), "anchor": TOKENS, "still": ("N", 1), "begin": ("N", 1)}
    inputs |= {"held_noise": TOKENS, "most_timestep": (1, "N")}
    outputs |= {"latents": (1, *TOKENS), "timestep": (1, "N")}
    return g.model("ltx_before", inputs, outputs)


def after(latents: tuple[Size, ...], *, tokens: bool) -> onnx.ModelProto:
    """Guidance, the step itself, and whether what it gave is finite.

    tokens: some may stand still, guidance may be rescaled, and the step may add noise.
    """
    g = _Graph()
    ones = [1] * len(latents)
    first, nothing = g.constant([0], np.int64), g.constant(0.0)
    seen, free = (g("Squeeze", name, first) for name in ("prediction", "free"))
    out = g("Add", free, g("Mul", "guidance", g("Sub", seen, free)))
    if tokens:
        out = _rescaled(g, out, seen)
    out = g("Mul", out, g.scalar("told"))
    weight = g("Reshape", "weight", g.constant([-1, *ones], np.int64))
    past = g("ReduceSum", g("Mul", "state", weight), first, keepdims=0)
    new = g("Add", past, g("Mul", out, g.scalar("output")))
    if tokens:
        moves = g.moves()
        new = g("Where", moves, new, g.pick("state", 0))
    total = g("Abs", g("ReduceSum", new, keepdims=0))
    finite = g("LessOrEqual", total, g.constant(np.finfo(np.float32).max))
    if tokens:
        fresh = g("Where", moves, "noise", nothing)
        new = g("Add", new, g("Mul", fresh, g.scalar("noise")))
    every = g("Concat", g.front(new), "state", g.front(out), axis=0)
    g("Gather", every, "shift", gives="carried", axis=0)
    number = g("Add", g("Gather", "now", first, axis=0), g.constant([1], np.int64))
    broken = g("Gather", "now", g.constant([1], np.int64), axis=0)
    known = g("Greater", broken, first)
    since = g("Where", g("Or", known, finite), broken, number)
    g("Concat", number, since, gives="clock", axis=0)
    _, given = _table(latents)
    inputs = {**given, "prediction": (1, *latents), "free": (1, *latents), "shift": ("S",)}
    inputs |= {"guidance": (latents[0], *ones[1:])}
    if tokens:
        inputs |= {"rescale": (1,), "begin": ("N", 1), "noise": TOKENS}
    return g.model("after", inputs, {"carried": ("S", *latents), "clock": (2,)})


def _rescaled(g: _Graph, made: str, wanted: str) -> str:
    """A share of the way back to the spread of the prompted output; see `ltx_stages.guided`."""
    spreads = []
    for values in (made, wanted):
        away = g("Sub", values, g("ReduceMean", values, keepdims=1))
        mean = g("ReduceMean", g("Mul", away, away), keepdims=1)
        spreads.append(g("Sqrt", mean))
    least = g("Max", spreads[0], g.constant(np.finfo(np.float32).tiny))
    back = g("Mul", made, g("Div", spreads[1], least))
    rest = g("Sub", g.constant([1.0]), "rescale")
    return g("Add", g("Mul", "rescale", back), g("Mul", rest, made))


def step_graphs() -> dict[str, onnx.ModelProto]:
    """Every graph by its file's name."""
    return {
        "step_svd_before.onnx": svd_before(),
        "step_svd_after.onnx": after(FRAMES, tokens=False),
        "step_ltx_before.onnx": ltx_before(),
        "step_wan_before.onnx": wan_before(),
        "step_tokens_after.onnx": after(TOKENS, tokens=True),
    }


def main() -> None:
    """Write the graphs where the runtime looks for them."""
    FOLDER.mkdir(exist_ok=True)
    for name, model in step_graphs().items():
        onnx.save(model, FOLDER / name)


if __name__ == "__main__":
    main()
