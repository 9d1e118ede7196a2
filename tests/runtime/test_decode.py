"""Decoding in pieces: cut where memory says, and put together without a seam."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from reverie.runtime.decode import (
    LEAST_TILE,
    LEAST_WINDOW,
    Decoder,
    Pieces,
    Span,
    choose_pieces,
    decode_pieces,
    ramp,
    spans,
)

DECODER = Decoder(time=4, space=2, reach_frames=2, reach_cells=2, cell_bytes=100)
LARGE = Decoder(time=4, space=2, reach_frames=2, reach_cells=2, cell_bytes=4000)


def smooth(values: np.ndarray, axis: int, reach: int) -> np.ndarray:
    """The mean of what lies up to `reach` away, ends repeated."""
    padding = [(0, 0)] * values.ndim
    padding[axis] = (reach, reach)
    padded = np.pad(values, padding, mode="edge")
    length = values.shape[axis]
    taken = [np.take(padded, range(k, k + length), axis) for k in range(2 * reach + 1)]
    return np.mean(taken, axis=0)


def decoded(latents: np.ndarray) -> np.ndarray:
    """A decoder that looks as far as DECODER says: (C, F, h, w) to (C, pictures, H, W)."""
    for axis in (1, 2, 3):
        latents = smooth(latents, axis, 2)
    pictures = (latents.shape[1] - 1) * DECODER.time + 1
    frames = [-(-index // DECODER.time) for index in range(pictures)]
    latents = latents[:, frames]
    return latents.repeat(DECODER.space, 2).repeat(DECODER.space, 3).astype(np.float32)


def in_pieces(latents: np.ndarray, pieces: Pieces) -> np.ndarray:
    def decode(window: Span, rows: Span, columns: Span) -> np.ndarray:
        return decoded(latents[:, slice(*window), slice(*rows), slice(*columns)])

    size = latents.shape[1], latents.shape[2], latents.shape[3]
    return np.stack(list(decode_pieces(decode, DECODER, size, pieces)), axis=1)


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape, np.float32)


@pytest.mark.parametrize(
    ("size", "pieces"),
    [
        ((23, 5, 6), Pieces(12, 5, 6, 5, 2, 3)),
        ((24, 5, 6), Pieces(10, 5, 6, 5, 2, 3)),
        ((3, 25, 31), Pieces(3, 12, 14, 1, 5, 6)),
        ((17, 20, 13), Pieces(11, 11, 13, 5, 5, 0)),
        ((9, 4, 4), Pieces(9, 4, 4, 4, 2, 2)),
        ((1, 30, 4), Pieces(1, 10, 4, 1, 5, 0)),
    ],
)
def test_pieces_that_share_enough_are_the_whole(size: tuple[int, int, int], pieces: Pieces) -> None:
    latents = noise(2, *size)
    whole, made = decoded(latents), in_pieces(latents, pieces)
    assert made.shape == whole.shape
    np.testing.assert_allclose(made, whole, atol=2e-6)


@pytest.mark.parametrize(
    "pieces", [Pieces(4, 6, 6, 2, 3, 3), Pieces(2, 9, 6, 1, 4, 1), Pieces(5, 6, 6, 1, 0, 0)]
)
def test_pieces_that_share_little_cover_all_and_stay_near(pieces: Pieces) -> None:
    latents = np.ones((1, 13, 15, 17), np.float32)
    np.testing.assert_allclose(in_pieces(latents, pieces), decoded(latents), atol=1e-6)
    latents = noise(1, 13, 15, 17)
    whole, made = decoded(latents), in_pieces(latents, pieces)
    assert made.shape == whole.shape
    assert np.sqrt(np.mean((made - whole) ** 2)) < 2 * whole.std()


def test_windows_are_decoded_as_pictures_are_asked_for() -> None:
    seen: list[Span] = []

    def decode(window: Span, rows: Span, columns: Span) -> np.ndarray:
        seen.append(window)
        return decoded(noise(1, window[1] - window[0], 3, 3))

    pictures = decode_pieces(decode, DECODER, (30, 3, 3), Pieces(8, 3, 3, 2, 1, 1))
    next(pictures)
    assert seen == [(0, 8)]
    assert len(list(pictures)) == 29 * 4
    assert len(seen) > 3
    assert seen[-1][1] == 30


@pytest.mark.parametrize("total", [1, 5, 9, 17, 40, 101])
@pytest.mark.parametrize(("size", "shared"), [(4, 2), (7, 3), (8, 0), (12, 6), (2, 1)])
def test_spans_cover_and_share(total: int, size: int, shared: int) -> None:
    made = spans(total, size, shared)
    assert made[0][0] == 0
    assert made[-1][1] == total
    assert all(0 < stop - start <= size for start, stop in made)
    for (_, stop), (start, _) in itertools.pairwise(made):
        assert stop - start >= shared


def test_ramp_is_hard_where_both_are_right_and_soft_elsewhere() -> None:
    assert ramp(5, 2).tolist() == [0, 0, 0, 1, 1]
    soft = ramp(8, 10)
    assert soft[0] == 0
    assert soft[-1] == 1
    assert np.all(np.diff(soft) >= 0)
    np.testing.assert_allclose(soft + soft[::-1], 1.0)


def test_all_at_once_where_it_fits() -> None:
    pieces = choose_pieces(DECODER, (9, 8, 10), 1e7)
    assert (pieces.window, pieces.rows, pieces.columns) == (9, 8, 10)


@pytest.mark.parametrize("budget", [9e6, 3e6, 1e6, 1e5])
@pytest.mark.parametrize("size", [(41, 16, 22), (21, 8, 60), (5, 40, 40), (1, 64, 64)])
def test_pieces_fit_the_budget(size: tuple[int, int, int], budget: float) -> None:
    pieces = choose_pieces(LARGE, size, budget)
    pictures = LARGE.time * LARGE.space**2 * 3 * 4
    held = 3 * pictures * pieces.window * size[1] * size[2]
    cells = pieces.window * pieces.rows * pieces.columns
    smallest = pieces.window <= LEAST_WINDOW and min(pieces.rows, pieces.columns) <= LEAST_TILE
    assert cells * LARGE.cell_bytes + held <= budget or smallest
    assert 1 <= pieces.shared_frames <= max(pieces.window // 2, 1)
    assert 2 * pieces.shared_rows <= pieces.rows
    assert 2 * pieces.shared_columns <= pieces.columns


def test_time_is_cut_before_space() -> None:
    frame = 10 * 10 * (LARGE.cell_bytes + 3 * 4 * 2**2 * 3 * 4)
    pieces = choose_pieces(LARGE, (41, 10, 10), 6 * frame)
    assert (pieces.window, pieces.rows, pieces.columns) == (6, 10, 10)
    assert choose_pieces(LARGE, (41, 10, 10), 3 * frame).rows < 10


def test_sizes_that_a_caller_insists_on() -> None:
    pieces = choose_pieces(DECODER, (41, 30, 20), 1e9, window=7, tile=12)
    assert (pieces.window, pieces.rows, pieces.columns) == (7, 12, 12)
