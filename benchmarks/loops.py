"""The denoising loops of every family with engines that do nothing, so that only the host is left.

    python -m reverie.benchmarks.loops STEPS LOOP...

Runs loops between calls of getppid(2), which nothing else here makes: `instructions` has callgrind
count what lies between. STEPS and then twice as many are taken of each, so that what happens once
a loop cancels out.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable, Mapping
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..runtime.denoise import denoise
from ..runtime.schedule import Schedule, flow_euler, unipc_flow

Size = tuple[int, int, int]
"""Latent frames, rows, columns."""
Run = Callable[[], list[float]]
"""Takes all steps; returns when each asked its engine, in seconds."""
TINY: Size = (3, 2, 2)
WARM_UP = 8
"""Steps before anything is counted, in which the interpreter specialises its bytecode."""
CHANNELS = {"denoise": 4, "denoise multistep": 4, "svd": 4, "ltx": 128, "wan": 48, "resident": 128}
GUIDANCE = 3.0


class Idle:
    """An engine that gives the same output each time, and notes when it was asked."""

    device = SimpleNamespace(kind="cpu", index=0)

    def __init__(self, name: str, output: np.ndarray) -> None:
        self._made = {name: output}
        self.asked: list[float] = []

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        self.asked.append(time.perf_counter())
        return self._made

    def __enter__(self) -> Idle:
        return self

    def __exit__(self, *ignored: object) -> None:
        pass


class IdleDevice:
    """An engine whose device does nothing, at once; latents stay with it."""

    def __init__(self) -> None:
        self.asked: list[float] = []

    def allocate(self, shape: tuple[int, ...], dtype: Any) -> Any:
        held = np.zeros(shape, dtype)
        return SimpleNamespace(
            shape=shape, upload=lambda a: None, download=lambda: held, free=lambda: None
        )

    def bind(self, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> Callable[[], None]:
        return lambda: None

    def capture(self, launch: Callable[[], None]) -> Callable[[], None]:
        def play() -> None:
            self.asked.append(time.perf_counter())

        return play

    def beside(self, graph: Any, shapes: Any) -> IdleDevice:
        return self

    def synchronize(self) -> None:
        pass

    def close(self) -> None:
        pass


def numbers(*shape: int) -> np.ndarray:
    """Unit noise, always the same."""
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def bare(schedule: Schedule, size: Size) -> Run:
    """`runtime.denoise` itself."""
    latents = numbers(1, CHANNELS["denoise"], *size)
    asked: list[float] = []

    def step(seen: np.ndarray, timestep: float) -> np.ndarray:
        asked.append(time.perf_counter())
        return latents

    def run() -> list[float]:
        denoise(step, latents, schedule)
        return asked

    return run


def svd(size: Size, steps: int) -> Run:
    """`families.svd.sample`, guided; it makes its schedule's table itself."""
    from ..runtime.families.svd import sample
    from ..runtime.stages import Stages

    frames, rows, columns = size
    unit = numbers(1, frames, CHANNELS["svd"], rows, columns)
    engine = Idle("prediction", unit)
    plan = SimpleNamespace(
        steps=steps,
        sigmas=None,
        fps=7.0,
        motion_bucket_id=127.0,
        noise_aug_strength=0.02,
        guided=True,
        ramp=np.linspace(1, GUIDANCE, frames, dtype=np.float32),
    )
    bundle = SimpleNamespace(
        section=lambda name: {"type": "euler_karras"}, open=lambda name, device: engine
    )
    image, embedding = numbers(1, CHANNELS["svd"], rows, columns), numbers(1, 1, 1024)

    def run() -> list[float]:
        sample(bundle, unit, image, embedding, plan, device="cpu", stages=Stages())  # type: ignore[arg-type]
        return engine.asked[::2]

    return run


def wan(size: Size, steps: int) -> Run:
    """`families.wan.sample`, guided; size in latents, of which 1 x 2 x 2 are a token."""
    from ..runtime.families.wan import sample
    from ..runtime.noise import Noise
    from ..runtime.stages import Stages

    frames, rows, columns = size
    tokens = frames * (rows // 2) * (columns // 2)
    engine = Idle("velocity", numbers(1, tokens, 4 * CHANNELS["wan"]))
    bundle: Any = SimpleNamespace(open=lambda name, device: engine)
    plan: Any = SimpleNamespace(schedule=unipc_flow(steps), steps=steps, guidance=GUIDANCE)
    traits: Any = SimpleNamespace(patch=(1, 2, 2), head_size=128, rotary_base=10000.0)
    condition = numbers(1, CHANNELS["wan"], 1, rows, columns)
    shape, texts = (1, CHANNELS["wan"], *size), [numbers(1, 8, 16)] * 2

    def run() -> list[float]:
        sample(
            bundle, Noise(0), shape, condition, texts, plan, traits, device="cpu", stages=Stages()
        )
        return engine.asked[::2]

    return run


def _ltx_parts(size: Size, steps: int) -> tuple[Any, Any, list[Any]]:
    from ..runtime.families.ltx_tokens import Tokens

    frames, rows, columns = size
    count = frames * rows * columns
    held = np.zeros(count, np.float32)
    held[: rows * columns] = 1.0
    tokens = Tokens(numbers(count, CHANNELS["ltx"]), held, numbers(3, count))
    plan = SimpleNamespace(
        schedule=flow_euler(steps),
        steps=steps,
        guidance=GUIDANCE,
        guidance_rescale=0.0,
        image_cond_noise_scale=0.0,
    )
    texts = [(numbers(1, 8, 16), np.ones((1, 8), np.int64)) for _ in range(2)]
    return tokens, plan, texts


def ltx(size: Size, steps: int) -> Run:
    """`families.ltx_stages.denoise`, guided, its first latent frame held."""
    from ..runtime.families.ltx_stages import denoise as through
    from ..runtime.noise import Noise
    from ..runtime.stages import Stages

    tokens, plan, texts = _ltx_parts(size, steps)
    engine = Idle("velocity", tokens.values[None])
    traits: Any = SimpleNamespace(condition=True)

    def run() -> list[float]:
        through(engine, traits, tokens, plan, texts, Noise(0), {}, Stages())  # type: ignore[arg-type]
        return engine.asked[::2]

    return run


def resident(size: Size, steps: int) -> Run:
    """`runtime.resident`'s loop, as LTX takes it on a GPU, without what the driver takes."""
    from ..runtime.families.ltx_resident import walk
    from ..runtime.resident import take

    tokens, plan, texts = _ltx_parts(size, steps)
    engine = IdleDevice()
    way = walk(tokens, plan, tokens.coords[None], texts, lambda step: tokens.values, None)

    def run() -> list[float]:
        take(way, engine)  # type: ignore[arg-type]
        return engine.asked

    return run


LOOPS: dict[str, Callable[[Size, int], Run]] = {
    "denoise": lambda size, steps: bare(flow_euler(steps), size),
    "denoise multistep": lambda size, steps: bare(unipc_flow(steps), size),
    "svd": svd,
    "ltx": ltx,
    "wan": wan,
    "resident": resident,
}
"""Name -> (size, steps) -> the loop, ready to be taken."""


def step_seconds(loop: str, size: Size, steps: int = 48) -> list[float]:
    """Seconds a step at a size, of four steps each time, the first ones left out."""
    asked = LOOPS[loop](size, steps)()[4::4]
    return [(after - before) / 4 for before, after in pairwise(asked)]


def main() -> None:
    steps, names = int(sys.argv[1]), sys.argv[2:]
    for name in names:
        once, twice = LOOPS[name](TINY, steps), LOOPS[name](TINY, 2 * steps)
        for _ in range(2):
            LOOPS[name](TINY, WARM_UP)()
        gc.collect()
        gc.disable()  # when it runs depends on everything before
        os.getppid()
        once()
        os.getppid()
        twice()
        os.getppid()
        gc.enable()


if __name__ == "__main__":
    main()
