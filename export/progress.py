"""How far an export is, over all its components."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from .recipe import PartRecipe

if TYPE_CHECKING:
    from .source import Source
    from .weights import Tensor

OnProgress = Callable[[str, int, int], None]
"""Takes "component: phase", and how much of how much work of the whole export is done."""


class Work:
    """Tells how far an export is, in thousandths of a second that it may take."""

    def __init__(self, source: Source, todo: Sequence[PartRecipe], told: OnProgress | None) -> None:
        self._told = told
        self._parts = {}
        for recipe in todo:
            weights: Mapping[str, Tensor] = source.part(recipe.part).weights or {}
            numel = sum(math.prod(tensor.shape) for tensor in weights.values())
            # Tracing takes a tenth of a second a tensor, writing a second for 200 million values.
            self._parts[recipe.name] = 100 * len(weights), numel // 200_000
        self._total = sum(map(sum, self._parts.values()))

    def teller(self, recipe: PartRecipe) -> Callable[[str, float], None]:
        """Return what takes a component's phases and how much of each is done."""
        names = list(self._parts)
        before = sum(sum(self._parts[name]) for name in names[: names.index(recipe.name)])
        tracing, writing = self._parts[recipe.name]

        def tell(phase: str, share: float) -> None:
            done = {"tracing": tracing * share, "weights": tracing + writing * share}
            now = done.get(phase, tracing + writing)
            if self._told is not None:
                self._told(f"{recipe.name}: {phase}", before + int(now), self._total)

        return tell
