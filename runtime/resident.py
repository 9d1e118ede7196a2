"""The loop of `denoise` on a device: latents go there once, and come back after the last step.

A step is three networks on one queue: a small graph that makes the denoiser's inputs, the denoiser
(twice with guidance), and a small graph that guides and steps. All buffers stay where they are, so
that the whole step can be recorded once and played back; each step finds its row of the table by a
clock on the device, and whether all is finite is noted there too. The host sends nothing but fresh
noise, where a schedule adds some, and waits now and then. The graphs are made by
export/step_graphs.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..engines.engine import Array as AnyArray
from ..engines.engine import Buffer, Engine, Resident, Shape
from ..engines.errors import DeviceMemoryError, EngineError, OutputError
from .denoise import not_finite
from .ladder import Sturdy
from .schedule import Schedule

Array: TypeAlias = NDArray[np.float32]

GRAPHS = Path(__file__).parent / "graphs"
ON_CPU = False
"""Whether the loop is taken on the CPU too, where it gains nothing: for tests and comparisons."""
SCALARS = ("timestep", "input_scale", "output", "noise", "held_noise", "told")
"""The numbers of a step's row: what the network is told, what its latents are scaled by; weights of
its output, of fresh noise and of noise on held tokens; whether its output counts (1) or not (0)."""
ROWS = 64
"""Tables are filled up to a multiple of this, so that one engine does for many numbers of steps."""
STRIDE = 4
"""Quick steps between two looks at how far the device is."""
SLOW = 0.1
"""Seconds from which on a step is looked at by itself: the wait is then nothing beside it."""


@dataclass(frozen=True)
class Around:
    """What stands around the denoiser in a family's step."""

    before: str
    before_takes: tuple[str, ...]
    """Inputs of "before" that do not change, or are given anew by the host."""
    after: str
    after_takes: tuple[str, ...]


_TOKENS = ("guidance", "rescale", "begin", "noise")
SVD = Around("step_svd_before.onnx", ("beside",), "step_svd_after.onnx", ("guidance",))
WAN = Around("step_wan_before.onnx", ("anchor", "still"), "step_tokens_after.onnx", _TOKENS)
LTX = Around(
    "step_ltx_before.onnx",
    ("keep", "anchor", "still", "begin", "held_noise", "most_timestep"),
    "step_tokens_after.onnx",
    _TOKENS,
)


@dataclass(frozen=True, eq=False)
class Table:
    """A schedule's rows as the graphs read them."""

    scalars: Array
    """(T, SCALARS)."""
    weights: Array
    """(T, 2 K - 1): of these latents, of earlier ones, of earlier outputs."""
    steps: int

    @classmethod
    def of(
        cls,
        schedule: Schedule,
        *,
        starts: Sequence[int] = (0,),
        held_noise: Sequence[float] | None = None,
        told: Sequence[bool] | None = None,
    ) -> Table:
        """Make it from a schedule.

        starts: steps that begin with no history. held_noise, told: see SCALARS; None is none of it,
            and every step.
        """
        steps, order = schedule.steps, schedule.order
        rows = -(-steps // ROWS) * ROWS
        scalars = np.zeros((rows, len(SCALARS)), np.float32)
        weights = np.zeros((rows, 2 * order - 1), np.float32)
        columns = {
            "timestep": schedule.timesteps,
            "input_scale": schedule.input_scale,
            "output": schedule.output_weights[:, 0],
            "noise": schedule.noise_weights,
            "held_noise": np.zeros(steps) if held_noise is None else held_noise,
            "told": np.ones(steps) if told is None else told,
        }
        for place, name in enumerate(SCALARS):
            scalars[:steps, place] = columns[name]
        begun = 0
        for step in range(steps):
            begun = step if step in starts else begun
            known = min(step - begun + 1, order)
            weights[step, :known] = schedule.latent_weights[step, :known]
            past = schedule.output_weights[step, 1:known]
            weights[step, order : order + len(past)] = past
        return cls(scalars, weights, steps)

    def counts(self, step: int) -> bool:
        """Whether the network runs at a step."""
        return bool(self.scalars[step, SCALARS.index("told")])

    @property
    def order(self) -> int:
        """K: how many steps a row looks at."""
        return (int(self.weights.shape[1]) + 1) // 2

    @property
    def shift(self) -> NDArray[np.int64]:
        """Where, among new latents, what was carried and the new output, is what is carried on."""
        order = self.order
        outputs = [2 * order, *range(order + 1, 2 * order - 1)][: order - 1]
        return np.array([*range(order), *outputs], np.int64)

    @property
    def keep(self) -> NDArray[np.int64]:
        """Where, among latents made anew and what was carried, is what the step starts from."""
        return np.array([0, *range(2, 2 * self.order)], np.int64)


@dataclass(frozen=True, eq=False)
class Walk:
    """What a family's loop needs on the device."""

    around: Around
    start: Array
    """Latents before the first step, any shape."""
    table: Table
    fixed: Mapping[str, AnyArray]
    """What the graphs around the denoiser take, by name."""
    seen: Mapping[str, Shape]
    """Shapes of what "before" makes for the denoiser; "x_free" is x for its second run."""
    runs: Sequence[Mapping[str, AnyArray]]
    """What the denoiser takes beside, at each of its one or two runs a step."""
    output: str
    """The denoiser's output, of the shape (1, *start)."""
    fresh: Callable[[int], Mapping[str, Array]] | None = None
    """Step -> what of `fixed` is new at it."""


def residence(engine: Engine) -> Resident | None:
    """The engine that latents can stay with, None where they had better not, or cannot."""
    inner = engine.engine if isinstance(engine, Sturdy) else engine
    if isinstance(inner, Resident) and (ON_CPU or inner.device.kind == "cuda"):
        return inner
    return None


def walk_or(
    engine: Engine,
    prepare: Callable[[], Walk],
    host: Callable[[], Array],
    on_step: Callable[[int], None],
    on_note: Callable[[str], None],
) -> Array:
    """Take the walk where the engine has a device for it, else the host's own loop.

    A `Sturdy` engine steps down where the device fails, and the loop begins again. host: the same
    loop through `Engine.run`, taken too where the small graphs cannot be opened on the device, of
    which on_note is told; a strict engine refuses. on_step: told how many steps are done.

    Raises:
        EngineError: the device failed, or the latents are not finite; says at which step.
    """
    while (resident := residence(engine)) is not None:
        walk = prepare()
        try:
            latents, broken = take(walk, resident, on_step)
        except _Alone as error:
            if isinstance(engine, Sturdy) and engine.strict:
                raise
            on_note(f"latents go through the processor's memory at each step: {error}")
            break
        except EngineError as error:
            if not isinstance(engine, Sturdy):
                raise
            engine.fall(error)  # raises it where nothing is below
            continue
        if broken:
            raise not_finite(broken, walk.table.steps)
        return latents
    return host()


def take(
    walk: Walk, engine: Resident, on_step: Callable[[int], None] = lambda done: None
) -> tuple[Array, int]:
    """Carry latents through all steps; returns them, and the step at which they broke, 0 for none.

    Nothing is left on the device. Raises EngineError where it fails.
    """
    with ExitStack() as held:
        return _Loop(walk, engine, held).run(on_step)


class _Alone(EngineError):
    """The device runs the denoiser, and not what should stand around it."""


class _Loop:
    """The buffers and bindings of one walk."""

    def __init__(self, walk: Walk, engine: Resident, held: ExitStack) -> None:
        self.walk, self.engine, self._held = walk, engine, held
        table, start = walk.table, walk.start
        columns = table.weights.shape[1]
        carried = np.zeros((columns, *start.shape), np.float32)
        carried[0] = start
        self.buffers: dict[str, Buffer] = {
            "carried": self._put(carried),
            "clock": self._put(np.zeros(2, np.int64)),
            "scalars": self._put(table.scalars),
            "weights": self._put(table.weights),
            "shift": self._put(table.shift),
            "state": self._room(carried.shape),
            "now": self._room((2,), np.int64),
            "scalar": self._room((len(SCALARS),)),
            "weight": self._room((columns,)),
        }
        del carried
        self.buffers |= {name: self._put(array) for name, array in walk.fixed.items()}
        self.buffers |= {name: self._room(shape) for name, shape in walk.seen.items()}
        # Zeros, for a step whose output does not count must not find NaN there.
        made = [self._put(np.zeros((1, *start.shape), np.float32)) for _ in walk.runs]
        self.buffers |= {"prediction": made[0], "free": made[-1]}
        self._before = self._around(
            walk.around.before,
            ("carried", "clock", "scalars", "weights", *walk.around.before_takes),
            ("state", "now", "scalar", "weight", *walk.seen),
        )
        self._network = self._denoiser(made)
        given = ("state", "now", "scalar", "weight", "prediction", "free", "shift")
        self._after = self._around(
            walk.around.after, (*given, *walk.around.after_takes), ("carried", "clock")
        )

    def run(self, on_step: Callable[[int], None]) -> tuple[Array, int]:
        table, engine = self.walk.table, self.engine
        play, captured = self._step, False
        done = looked = 0
        since, stride = time.perf_counter(), 1
        for step in range(table.steps):
            for name, array in self.walk.fresh(step).items() if self.walk.fresh else ():
                self.buffers[name].upload(array)
            if table.counts(step):
                play()
                done += 1
                if not captured and step + 1 < table.steps:
                    play, captured = engine.capture(self._step), True
            else:
                self._before()
                self._after()
            if step + 1 - looked < stride and step + 1 < table.steps:
                continue
            engine.synchronize()
            broken = int(self.buffers["clock"].download()[1])
            if broken:
                return self.walk.start, broken
            on_step(done)
            now = time.perf_counter()
            stride = 1 if now - since > SLOW * (step + 1 - looked) else STRIDE
            since, looked = now, step + 1
        found = np.asarray(self.buffers["carried"].download()[0], np.float32)
        return found, 0

    def _step(self) -> None:
        self._before()
        for launch in self._network:
            launch()
        self._after()

    def _denoiser(self, made: Sequence[Buffer]) -> list[Callable[[], None]]:
        walk, known = self.walk, dict[int, Buffer]()
        launches = []
        for number, (run, prediction) in enumerate(zip(walk.runs, made, strict=True)):
            inputs = {n: self.buffers[n] for n in walk.seen if not n.endswith("_free")}
            if number:
                inputs |= {
                    n.removesuffix("_free"): self.buffers[n]
                    for n in walk.seen
                    if n.endswith("_free")
                }
            for name, array in run.items():
                if id(array) not in known:  # both runs may share it
                    known[id(array)] = self._put(array)
                inputs[name] = known[id(array)]
            launches.append(self.engine.bind(inputs, {walk.output: prediction}))
        return launches

    def _around(self, graph: str, takes: Sequence[str], gives: Sequence[str]) -> Callable[[], None]:
        inputs = {name: self.buffers[name] for name in takes}
        outputs = {name: self.buffers[name] for name in gives}
        shapes = {name: buffer.shape for name, buffer in inputs.items()}
        try:
            engine = self.engine.beside(GRAPHS / graph, shapes)
        except DeviceMemoryError:
            raise
        except (EngineError, OutputError) as error:  # OutputError: nowhere to build it
            raise _Alone(str(error)) from error
        self._held.callback(engine.close)
        return engine.bind(inputs, outputs)

    def _room(self, shape: Shape, dtype: type[np.generic] = np.float32) -> Buffer:
        buffer = self.engine.allocate(shape, dtype)
        self._held.callback(buffer.free)
        return buffer

    def _put(self, array: AnyArray) -> Buffer:
        buffer = self.engine.allocate(array.shape, array.dtype)
        self._held.callback(buffer.free)
        buffer.upload(np.ascontiguousarray(array))
        return buffer
