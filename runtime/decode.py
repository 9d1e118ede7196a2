"""Decoding in pieces: windows of latent frames and tiles of latent cells that overlap and blend.

A decoder whose layers look in all directions has no memory to stream through, so a long or large
film is decoded as overlapping pieces. Where pieces share at least twice what the decoder looks
around it (`reach_frames`, `reach_cells`), each frame is taken from where nothing was cut off, and
the result is that of one piece. Where memory allows less, what two pieces share is cross-faded over
its middle half; that is not exact, and how near it comes depends on the weights.

The first latent frame makes one picture, each later one `time` more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float32]
Span: TypeAlias = tuple[int, int]

LEAST_WINDOW = 4
"""Latent frames below which a piece is made smaller in space rather than in time."""
LEAST_TILE = 6
"""Latent cells a side below which no tile goes."""
HELD, COLOURS = 3, 3


@dataclass(frozen=True)
class Decoder:
    """What a decoder is, as far as cutting its work goes."""

    time: int
    """Pictures to a latent frame."""
    space: int
    """Pixels to a latent cell, each way."""
    reach_frames: int
    """How many latent frames away something can change a picture."""
    reach_cells: int
    cell_bytes: int
    """Memory that one latent cell of one latent frame takes at the peak."""


@dataclass(frozen=True)
class Pieces:
    """How a film is cut for decoding, in latent frames, rows and columns."""

    window: int
    rows: int
    columns: int
    shared_frames: int
    """How many latent frames two windows in a row share: at least one, a window's first makes one
    picture only."""
    shared_rows: int
    shared_columns: int
    """How many rows, or columns, two tiles side by side share."""


def choose_pieces(
    decoder: Decoder,
    size: tuple[int, int, int],
    budget: float,
    *,
    window: int | None = None,
    tile: int | None = None,
) -> Pieces:
    """Cut latents of (frames, rows, columns) so that a piece takes at most `budget` bytes.

    Time is cut first, then space; all in one piece where that fits. A piece is never smaller than
    LEAST_WINDOW frames of LEAST_TILE x LEAST_TILE cells, whatever the budget. window, tile: sizes
    in latent frames and cells that a caller insists on.
    """
    frames, rows, columns = size
    # What is put together is held too: two windows of pictures of the full size, and what joins
    # them.
    held = HELD * COLOURS * 4 * decoder.time * decoder.space**2 * rows * columns
    least = min(frames, LEAST_WINDOW if window is None else window)
    if tile is None:
        cells = max(int((budget / least - held) / decoder.cell_bytes), 0)
        rows, columns = _tile(rows, columns, cells)
    else:
        rows, columns = min(rows, tile), min(columns, tile)
    if window is None:
        window = max(int(budget / (rows * columns * decoder.cell_bytes + held)), least)
    window = min(window, frames)
    around = 2 * decoder.reach_cells + 1
    return Pieces(
        window,
        rows,
        columns,
        max(min(2 * decoder.reach_frames + 1, window // 2), 1),
        around if around <= rows // 2 else rows // 4,
        around if around <= columns // 2 else columns // 4,
    )


def decode_pieces(
    decode: Callable[[Span, Span, Span], Array],
    decoder: Decoder,
    size: tuple[int, int, int],
    pieces: Pieces,
) -> Iterator[Array]:
    """Yield pictures, float32 (channels, height, width), as windows are decoded.

    decode: spans of frames, rows and columns -> (channels, pictures, height, width) of that piece.
    No more than two windows' pictures are held at a time.
    """
    frames = size[0]
    windows = spans(frames, pieces.window, pieces.shared_frames)
    carried: Array | None = None
    for number, (start, stop) in enumerate(windows):
        pictures = _decode_tiles(decode, decoder, (start, stop), size, pieces)
        if carried is not None:
            shared = carried.shape[1]
            share = ramp(shared, _exact(decoder.time, decoder.reach_frames))[:, None, None]
            pictures[:, :shared] = carried + share * (pictures[:, :shared] - carried)
        if number + 1 < len(windows):
            # Both windows have pictures from the next one's first latent frame on.
            ready = (windows[number + 1][0] - start) * decoder.time
            carried = pictures[:, ready:].copy()
            pictures = pictures[:, :ready]
        for index in range(pictures.shape[1]):
            yield pictures[:, index]


def spans(total: int, size: int, shared: int) -> list[Span]:
    """Cover 0..total with spans of at most a size, as few as can be, sharing at least so much."""
    if size >= total:
        return [(0, total)]
    count = math.ceil((total - shared) / max(size - shared, 1))
    size = math.ceil((total + (count - 1) * shared) / count)
    starts = [round(i * (total - size) / (count - 1)) for i in range(count)]
    return [(start, start + size) for start in starts]


def ramp(count: int, exact: int) -> Array:
    """How much of the later of two pieces goes into each of the `count` samples they share.

    Both pieces are right from `exact` samples away from their cut: where that leaves samples at
    which both are, the change lies there; else it is spread over the middle half.
    """
    place = (np.arange(count, dtype=np.float32) + 0.5) / count
    if count >= 2 * exact + 1:
        return (place > 0.5).astype(np.float32)
    return np.clip(2.0 * place - 0.5, 0.0, 1.0).astype(np.float32)


def _decode_tiles(
    decode: Callable[[Span, Span, Span], Array],
    decoder: Decoder,
    window: Span,
    size: tuple[int, int, int],
    pieces: Pieces,
) -> Array:
    """One window's pictures (channels, pictures, height, width), from tiles where there are any."""
    rows = spans(size[1], pieces.rows, pieces.shared_rows)
    columns = spans(size[2], pieces.columns, pieces.shared_columns)
    if len(rows) == len(columns) == 1:
        return np.ascontiguousarray(decode(window, rows[0], columns[0]))
    space, exact = decoder.space, decoder.space * decoder.reach_cells
    down, across = _weights(rows, space, exact), _weights(columns, space, exact)
    made: Array | None = None
    for (top, bottom), vertical in zip(rows, down, strict=True):
        for (left, right), horizontal in zip(columns, across, strict=True):
            tile = decode(window, (top, bottom), (left, right))
            if made is None:
                shape = (*tile.shape[:2], size[1] * space, size[2] * space)
                made = np.zeros(shape, np.float32)
            part = made[:, :, top * space : bottom * space, left * space : right * space]
            part += tile * (vertical[:, None] * horizontal)
    assert made is not None
    return made


def _weights(cuts: list[Span], space: int, exact: int) -> list[Array]:
    """A weight for each pixel of each span; wherever spans overlap, they add up to 1."""
    total = cuts[-1][1] * space
    over = np.zeros((len(cuts), total), np.float32)
    for number, (start, stop) in enumerate(cuts):
        over[number, start * space : stop * space] = 1.0
        if number:
            shared = (cuts[number - 1][1] - start) * space
            over[number, start * space : start * space + shared] = ramp(shared, exact)
            over[:number] *= 1.0 - over[number]
    return [over[n, start * space : stop * space] for n, (start, stop) in enumerate(cuts)]


def _exact(time: int, reach: int) -> int:
    """Pictures from a window's first or last one that what was cut off can change."""
    return time * reach


def _tile(rows: int, columns: int, cells: int) -> tuple[int, int]:
    """Rows and columns of at most so many cells, as square as the whole is not small itself."""
    if rows * columns <= cells:
        return rows, columns
    side = max(math.isqrt(cells), LEAST_TILE)
    if rows <= side:
        return rows, min(columns, max(cells // rows, LEAST_TILE))
    if columns <= side:
        return min(rows, max(cells // columns, LEAST_TILE)), columns
    return min(rows, side), min(columns, side)
