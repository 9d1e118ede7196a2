"""Bundles whose decoder runs out of memory for all but small pieces."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from reverie.engines.device import Device
from reverie.engines.engine import Array, Engine
from reverie.engines.errors import DeviceMemoryError
from reverie.runtime.bundle import Bundle
from reverie.runtime.ladder import Rung, Sturdy, Ways

CPU = Device("cpu")


class Short:
    """An engine with memory for so many values of latents."""

    def __init__(self, engine: Engine, most: int) -> None:
        self._engine, self._most = engine, most

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        if inputs["latents"].size > self._most:
            raise DeviceMemoryError("out of memory")
        return self._engine.run(inputs)


def short_of_memory(
    bundle: Bundle, most: int, notes: list[str], *, strict: bool = False, below: bool = False
) -> Bundle:
    """A bundle whose decoder takes so many values at once; with `below`, a rung that takes all."""

    def opener(name: str, /, *, device: Device | str, threads: int | None) -> Engine:
        if name != "vae_decoder":
            return bundle.open_plainly(name, device=device, threads=threads)
        rungs = [Rung("tensorrt-rtx", CPU, "fp32"), Rung("onnxruntime", CPU, "fp32")]
        opening: Callable[[Rung], Any] = lambda rung: (  # noqa: E731
            Short(bundle.open_plainly(name, device=CPU), most)
            if rung == rungs[0]
            else bundle.open_plainly(name, device=CPU)
        )
        return Sturdy(
            name,
            rungs[: 2 if below else 1],
            opening,
            on_note=notes.append,
            ways=Ways(),
            strict=strict,
            shrinks=True,
        )

    return replace(bundle, opener=opener)
