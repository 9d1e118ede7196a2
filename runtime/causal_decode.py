"""Latents to frames through a causal decoder: chunk by chunk, in memory that does not grow.

The decoder's graph takes one latent frame and what its convolutions remember of those before, and
gives the frames and the memory for the next. The first latent frame makes one frame, each other as
many as the model's temporal factor.

Follows the cached decoding of diffusers' AutoencoderKLWan.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..engines.engine import Buffer, Engine, Resident
from ..engines.errors import DeviceMemoryError, EngineError
from .finite import check_finite
from .ladder import Sturdy
from .resident import residence

Array: TypeAlias = NDArray[np.float32]
Pixels: TypeAlias = NDArray[np.uint8]

MEMORY = 2
"""Frames that a causal convolution of three looks back."""


def decode_chunks(
    engine: Engine,
    latents: Array,
    caches: Sequence[tuple[int, int]],
    *,
    chunk: tuple[int, int] | None = None,
) -> Iterator[Array]:
    """Yield a video in chunks, float32 (1, 3, T, H, W), about -1 .. 1; latents are (1, C, F, h, w).

    engine: its inputs are "latents" (1, C, 1, h, w), "first" (1,) and the caches, its outputs the
        frames and the next caches, both in the order of `caches`.
    caches: (channels, size in latent pixels) of each.
    chunk: frames of a chunk, pixels to a latent pixel; with them the caches stay on the engine's
        device, where it has one.

    Raises EngineError where the decoder gives NaN or infinity, or fails.
    """
    for index, frames in enumerate(_chunks(engine, latents, caches, chunk)):
        # Before its first frame the decoder has nothing, and the graph fills a whole chunk.
        made = np.asarray(frames[:, :, -1:] if index == 0 else frames, np.float32)
        check_finite("the vae_decoder", made, f" at latent frame {index + 1}")
        yield made


def _chunks(
    engine: Engine,
    latents: Array,
    caches: Sequence[tuple[int, int]],
    chunk: tuple[int, int] | None,
) -> Iterator[NDArray[np.generic]]:
    """Whole chunks as the graph gives them; a `Sturdy` engine that fails starts again below."""
    given = 0
    while chunk is not None and (resident := residence(engine)) is not None:
        try:
            for index, frames in enumerate(_on_device(resident, latents, caches, chunk)):
                if index == given:
                    given += 1
                    yield frames
            return
        except DeviceMemoryError:
            raise  # smaller tiles may do
        except EngineError as error:
            if not isinstance(engine, Sturdy):
                raise
            engine.fall(error)
    yield from islice(_on_host(engine, latents, caches), given, None)


def _memory(latents: Array, caches: Sequence[tuple[int, int]]) -> list[tuple[int, ...]]:
    height, width = latents.shape[3:]
    return [(1, channels, MEMORY, height * scale, width * scale) for channels, scale in caches]


def _on_host(
    engine: Engine, latents: Array, caches: Sequence[tuple[int, int]]
) -> Iterator[NDArray[np.generic]]:
    names = [port.name for port in engine.inputs if port.name not in ("latents", "first")]
    memory: list[NDArray[np.generic]] = [
        np.zeros(shape, np.float32) for shape in _memory(latents, caches)
    ]
    for index in range(latents.shape[2]):
        given = {
            "latents": np.ascontiguousarray(latents[:, :, index : index + 1]),
            "first": np.array([index == 0], np.float32),
            **dict(zip(names, memory, strict=True)),
        }
        frames, *memory = engine.run(given).values()
        del given
        yield frames


def _on_device(
    engine: Resident,
    latents: Array,
    caches: Sequence[tuple[int, int]],
    chunk: tuple[int, int],
) -> Iterator[NDArray[np.generic]]:
    """The same with caches in two sets of buffers, read and written in turn."""
    names = [port.name for port in engine.inputs if port.name not in ("latents", "first")]
    out, *kept = (port.name for port in engine.outputs)
    count, (time, space) = latents.shape[1], chunk
    height, width = latents.shape[3:]
    with ExitStack() as held:

        def room(shape: tuple[int, ...]) -> Buffer:
            buffer = engine.allocate(shape, np.float32)
            held.callback(buffer.free)
            return buffer

        shapes = _memory(latents, caches)
        sets = [[room(shape) for shape in shapes] for _ in range(2)]
        for buffer in sets[0]:
            buffer.upload(np.zeros(buffer.shape, np.float32))
        given, first = room((1, count, 1, height, width)), room((1,))
        frames = room((1, 3, time, height * space, width * space))
        launches = [
            engine.bind(
                {"latents": given, "first": first, **dict(zip(names, before, strict=True))},
                {out: frames, **dict(zip(kept, after, strict=True))},
            )
            for before, after in (sets, sets[::-1])
        ]
        for index in range(latents.shape[2]):
            given.upload(np.ascontiguousarray(latents[:, :, index : index + 1]))
            if index < 2:
                first.upload(np.array([index == 0], np.float32))
            launches[index % 2]()
            yield frames.download()


def decode_tiles(
    engine: Engine,
    latents: Array,
    caches: Sequence[tuple[int, int]],
    *,
    tile: int,
    patch: int = 1,
    chunk: tuple[int, int] | None = None,
) -> Iterator[Pixels]:
    """Yield a video's frames, uint8 RGB (H, W, 3), decoded tile by tile.

    Takes far less memory than `decode_chunks` and keeps the film as uint8 until the last tile is
    done. Tiles share a quarter, which is cross-faded: not what one piece gives, but near it.

    tile: size in latent pixels. patch: pixels a side that the decoder makes as one. chunk: see
    `decode_chunks`.

    Follows `enable_tiling` of diffusers' AutoencoderKLWan, whose tiles are of 256 pixels.
    """
    stride = max(tile * 3 // 4, 1)
    film: Pixels | None = None
    above: list[Array] = []
    for top in range(0, latents.shape[3], stride):
        below: list[Array] = []
        beside: Array | None = None
        for column, left in enumerate(range(0, latents.shape[4], stride)):
            part = latents[:, :, :, top : top + tile, left : left + tile]
            video = np.concatenate(list(decode_chunks(engine, part, caches, chunk=chunk)), axis=2)[
                0
            ]
            space = video.shape[2] // part.shape[3]
            shared = (tile - stride) * space
            if film is None:
                height, width = latents.shape[3] * space, latents.shape[4] * space
                film = np.empty((video.shape[1], height, width, 3), np.uint8)
            if above:
                _fade(above[column], video, shared, 2, patch)
            if beside is not None:
                _fade(beside, video, shared, 3, patch)
            below.append(video[:, :, -shared:].copy())
            beside = video[:, :, :, -shared:].copy()
            done = video[None, :, :, : stride * space, : stride * space]
            where = (
                slice(top * space, top * space + done.shape[3]),
                slice(left * space, left * space + done.shape[4]),
            )
            for index, frame in enumerate(to_pixels(done)):
                film[index, where[0], where[1]] = frame
        above = below
    if film is not None:
        yield from film


def _fade(before: Array, video: Array, shared: int, axis: int, patch: int) -> None:
    """Cross-fade the beginning of a tile with the end of the one before it, in place."""
    count = min(before.shape[axis], video.shape[axis], shared)
    steps = np.arange(count) // patch / (count // patch)
    share = steps.astype(np.float32).reshape((-1, 1) if axis == 2 else (-1,))
    begin, end = [slice(None)] * 4, [slice(None)] * 4
    begin[axis], end[axis] = slice(0, count), slice(before.shape[axis] - count, None)
    video[tuple(begin)] = before[tuple(end)] * (1 - share) + video[tuple(begin)] * share


def to_pixels(video: Array) -> Iterator[Pixels]:
    """Yield the frames of a video (1, 3, T, H, W) as uint8 RGB (H, W, 3).

    Follows diffusers' VideoProcessor: halves go to the even neighbour.
    """
    for frame in video[0].transpose(1, 2, 3, 0):
        unit = np.clip(frame * np.float32(0.5) + np.float32(0.5), 0.0, 1.0)
        yield np.rint(unit * np.float32(255)).astype(np.uint8)
