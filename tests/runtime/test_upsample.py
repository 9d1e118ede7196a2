"""Maps carried to the picture: along its edges, and beyond what is known."""

from __future__ import annotations

import numpy as np
import pytest
from reverie.runtime.upsample import (
    border_fade,
    extend,
    follow_edges,
    guided_filter,
    resize,
    rows_of,
    smoothstep,
)


def split_picture(height: int = 96, width: int = 128, edge: int = 67) -> np.ndarray:
    rng = np.random.default_rng(0)
    picture = np.full((height, width, 3), (40, 60, 50), np.uint8)
    picture[:, edge:] = (180, 190, 210)
    noise = rng.integers(-6, 7, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def test_a_coarse_border_moves_onto_the_edge_of_the_picture() -> None:
    coarse = np.zeros((12, 16), np.float32)
    coarse[:, :8] = 1.0  # its border lies at 64 of 128, the picture's edge at 67
    fine = follow_edges(coarse, split_picture(), (96, 128))
    assert fine.shape == (96, 128)
    assert fine.dtype == np.float32
    assert fine[:, 66].mean() > 0.75
    assert fine[:, 68].mean() < 0.25
    assert fine.min() >= 0.0
    assert fine.max() <= 1.0


def test_a_map_as_fine_as_the_grid_is_taken_as_it_is() -> None:
    fine = np.random.default_rng(1).random((96, 128), np.float32)
    assert np.array_equal(follow_edges(fine, split_picture(), (96, 128)), fine)


def test_flat_maps_stay_flat_whatever_the_picture_shows() -> None:
    guide = np.random.default_rng(2).random((40, 50, 3), np.float32)
    flat = np.full((40, 50), 0.6, np.float32)
    np.testing.assert_allclose(guided_filter(guide, flat, 5), flat, atol=1e-4)


def test_guided_filter_agrees_with_its_definition() -> None:
    rng = np.random.default_rng(3)
    guide, map_ = rng.random((9, 9, 3), np.float32), rng.random((9, 9), np.float32)
    radius, softness = 1, 1e-2
    slopes, levels = np.zeros((9, 9, 3)), np.zeros((9, 9))
    around = np.pad(np.dstack([guide, map_]), ((1, 1), (1, 1), (0, 0)), mode="symmetric")
    for y in range(9):
        for x in range(9):
            window = around[y : y + 3, x : x + 3].reshape(9, 4).astype(np.float64)
            colours, values = window[:, :3], window[:, 3]
            spread = np.cov(colours.T, bias=True) + softness * np.eye(3)
            both = (colours * values[:, None]).mean(0) - colours.mean(0) * values.mean()
            slopes[y, x] = np.linalg.solve(spread, both)
            levels[y, x] = values.mean() - slopes[y, x] @ colours.mean(0)
    wide = np.pad(np.dstack([slopes, levels]), ((1, 1), (1, 1), (0, 0)), mode="symmetric")
    mean = sum(wide[y : y + 9, x : x + 9] for y in range(3) for x in range(3)) / 9
    expected = (mean[..., :3] * guide).sum(-1) + mean[..., 3]
    np.testing.assert_allclose(guided_filter(guide, map_, radius, softness), expected, atol=1e-4)


def test_extend_keeps_what_is_known_and_continues_it() -> None:
    field = np.zeros((20, 30, 2), np.float32)
    known = np.zeros((20, 30), np.float32)
    known[:, :10] = 1.0
    field[:, :10] = (2.0, -1.0)
    field[:, 10:] = 99.0  # unknown: must not be looked at
    full = extend(field, known)
    np.testing.assert_allclose(
        full, np.broadcast_to(np.float32([2.0, -1.0]), full.shape), atol=1e-3
    )


def test_extend_of_nothing_is_nothing() -> None:
    assert not extend(np.ones((5, 6, 2), np.float32), np.zeros((5, 6), np.float32)).any()


@pytest.mark.parametrize("size", [(10, 12), (40, 48), (7, 30)])
def test_resize_keeps_the_level(size: tuple[int, int]) -> None:
    out = resize(np.full((20, 24, 2), 0.3, np.float32), size)
    assert out.shape == (*size, 2)
    np.testing.assert_allclose(out, 0.3, atol=1e-6)


def test_border_fade_and_smoothstep() -> None:
    fade = border_fade((50, 80), 0.2)
    assert fade[25, 40] == 1.0
    assert fade[0].max() < 0.02
    assert np.all(np.diff(fade[25, :12]) >= 0)
    np.testing.assert_allclose(smoothstep(np.float32([-1, 0, 0.5, 1, 2])), [0, 0, 0.5, 1, 1])


def test_rows_of_a_map_are_those_of_the_whole() -> None:
    rng = np.random.default_rng(1)
    for shape in ((6, 8), (6, 8, 4)):
        small = rng.random(shape, np.float32)
        whole = resize(small, (25, 32))
        parts = [rows_of(small, slice(top, min(top + 7, 25)), (25, 32)) for top in range(0, 25, 7)]
        assert [len(part) for part in parts] == [7, 7, 7, 4]
        np.testing.assert_allclose(np.concatenate(parts), whole, atol=0.03)
