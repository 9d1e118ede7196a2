"""How frames between and beyond a model's own are made: the callables a caller may bring."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..engines.device import Device
from .stages import OnNote

Pixels: TypeAlias = NDArray[np.uint8]


@dataclass(frozen=True)
class FrameWays:
    """Networks in place of blending and resampling; each is first called with the first frame."""

    between: Callable[[Pixels, Pixels, float], Pixels] | None = None
    """(before, after, share 0..1 of the way) -> the frame there, of the same shape; None blends."""
    enlarge: Callable[[Pixels, tuple[int, int]], Pixels] | None = None
    """(frame, (width, height)) -> the frame in that size, larger than it; None resamples."""


def open_ways(
    stack: ExitStack,
    *,
    between: bool = True,
    enlarge: bool = True,
    device: Device | str = "auto",
    on_note: OnNote | None = None,
) -> FrameWays:
    """The networks that ship with Reverie, each opened when first called, closed with `stack`.

    A network that fails leaves its work to blending or resampling from then on, and `on_note` is
    told.
    """
    from .look.interpolate import open_interpolator
    from .look.upscale import open_upscaler

    return FrameWays(
        _lazily(stack, lambda: open_interpolator(device, on_note=on_note)) if between else None,
        _lazily(stack, lambda: open_upscaler(device, on_note=on_note)) if enlarge else None,
    )


def _lazily(stack: ExitStack, opens: Callable[[], AbstractContextManager[Any]]) -> Any:
    """A callable that enters what it stands for when it is first called."""
    opened: list[Any] = []

    def call(*arguments: Any) -> Any:
        if not opened:
            opened.append(stack.enter_context(opens()))
        return opened[0](*arguments)

    return call
