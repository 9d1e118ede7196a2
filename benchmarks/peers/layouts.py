"""Latents of several programs in one layout."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def as_film_latents(
    outputs: dict[str, NDArray[Any]], steps: int, start: NDArray[Any], family: str
) -> NDArray[Any] | None:
    """The latents after the last step in the layout of the noise, None where there are none.

    Reverie hands over (F, C, h, w). diffusers has them as the noise is, or for LTX packed into
    tokens (1, F h w, C), of which those of further pictures come first. See `compared` for Wan.
    """
    if "latents" in outputs:
        latents = outputs["latents"]
        if family == "svd":
            return latents[None]
        return latents.transpose(1, 0, 2, 3)[None]
    found = outputs.get(f"latents_{steps - 1}")
    if found is None or found.ndim != 3:
        return found
    _, channels, *size = start.shape
    tokens = found[:, found.shape[1] - int(np.prod(size)) :]
    return tokens.transpose(0, 2, 1).reshape(1, channels, *size)


def compared(latents: NDArray[Any] | None, family: str) -> NDArray[Any] | None:
    """The part of film latents that denoising makes: Wan's first frame is the picture's.

    diffusers puts the picture's latents there after the last step only, when nobody looks.
    """
    return latents if latents is None or family != "wan" else latents[:, :, 1:]
