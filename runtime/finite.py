"""Refuses numbers that are none, where a network overflows or its weights are broken."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engines.errors import EngineError


def check_finite(name: str, values: NDArray[Any], where: str = "") -> None:
    """Refuse NaN and infinity, in an array of any shape.

    name: what gave the values, "the vae_decoder"; where: " in frame 3". A sum keeps NaN and
    infinity, and is cheap; one that is beyond float32 by itself is looked into.

    Raises:
        EngineError: some value is not finite.
    """
    if not np.issubdtype(values.dtype, np.floating):
        return
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(np.sum(values, dtype=np.float32)):
            return
    if not np.isfinite(values).all():
        raise EngineError(
            f"{name} gave NaN or infinity{where}: its numbers outgrew its precision, or its "
            "weights are broken; export the model with --precision bf16 or fp32"
        )
