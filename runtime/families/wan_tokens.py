"""Latents as the tokens that a Wan denoiser works on, and where each of them lies."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float32]


def to_tokens(latents: Array, patch: tuple[int, int, int]) -> Array:
    """Latents (1, C, F, h, w) as tokens (1, N, C x patch), frame by frame, row by row."""
    _, channels, frames, height, width = latents.shape
    t, y, x = patch
    split = latents.reshape(channels, frames // t, t, height // y, y, width // x, x)
    tokens = split.transpose(1, 3, 5, 0, 2, 4, 6).reshape(1, -1, channels * t * y * x)
    return np.ascontiguousarray(tokens)


def from_tokens(tokens: Array, shape: tuple[int, ...], patch: tuple[int, int, int]) -> Array:
    """Tokens of `to_tokens` as latents of a shape again."""
    _, channels, frames, height, width = shape
    t, y, x = patch
    split = tokens.reshape(frames // t, height // y, width // x, channels, t, y, x)
    return np.ascontiguousarray(split.transpose(3, 0, 4, 1, 5, 2, 6)).reshape(shape)


def rotary_tables(
    sizes: tuple[int, ...], patch: tuple[int, int, int], head_size: int, base: float
) -> tuple[Array, Array]:
    """Cosine and sine (1, N, 1, head size / 2) of each token's place in time, height and width.

    sizes: frames, height and width of the latents. A third of each head's pairs is for height, as
    many for width, the rest for time; follows diffusers' WanRotaryPosEmbed.
    """
    side = 2 * (head_size // 6)
    counts = [size // step for size, step in zip(sizes, patch, strict=True)]
    angles = []
    for axis, dimensions in enumerate((head_size - 2 * side, side, side)):
        frequencies = base ** -(np.arange(0, dimensions, 2) / dimensions)
        turns = np.outer(np.arange(counts[axis]), frequencies)
        place = [1, 1, 1, -1]
        place[axis] = counts[axis]
        angles.append(np.broadcast_to(turns.reshape(place), (*counts, turns.shape[1])))
    whole = np.concatenate(angles, axis=-1).reshape(1, -1, 1, head_size // 2)
    return np.cos(whole).astype(np.float32), np.sin(whole).astype(np.float32)
