"""Grain: faint, new every frame, the same for the same seed."""

from __future__ import annotations

import numpy as np
from reverie.runtime.look.grain import Grain

SIZE = (60, 80)


def grey(level: int = 120) -> np.ndarray:
    return np.full((*SIZE, 3), level, np.uint8)


def test_the_first_frame_is_clean_and_grain_comes_in() -> None:
    grain = Grain(SIZE, 1.0)
    frames = [grain.lay(grey(), index, index / 24) for index in range(72)]
    assert np.array_equal(frames[0], grey())
    spread = [f.astype(float).std() for f in frames]
    assert spread[12] < spread[60]
    assert 1.0 < spread[71] < 5.0


def test_frames_differ_and_seeds_repeat() -> None:
    one, same, other = (Grain(SIZE, 1.0, seed) for seed in (1, 1, 2))
    assert np.array_equal(one.lay(grey(), 50, 3.0), same.lay(grey(), 50, 3.0))
    assert not np.array_equal(one.lay(grey(), 50, 3.0), one.lay(grey(), 51, 3.0))
    assert not np.array_equal(one.lay(grey(), 50, 3.0), other.lay(grey(), 50, 3.0))


def test_it_keeps_colour_and_brightness_and_spares_black_and_white() -> None:
    grain = Grain(SIZE, 1.0)
    laid = grain.lay(grey(), 9, 3.0).astype(float)
    assert abs(laid.mean() - 120) < 1
    assert np.ptp(laid, axis=-1).max() == 0
    assert grain.lay(grey(2), 9, 3.0).astype(float).std() < laid.std() / 2


def test_no_strength_no_grain() -> None:
    assert np.array_equal(Grain(SIZE, 0.0).lay(grey(), 9, 3.0), grey())


def test_faces_are_spared_where_that_is_asked() -> None:
    faces = np.zeros((30, 40), np.float32)
    faces[10:20, 15:25] = 1.0
    size = (120, 160)
    frame = np.full((*size, 3), 128, np.uint8)
    spared = Grain(size, 1.0, seed=3, faces=faces).lay(frame, 60, 3.0).astype(float)
    plain = Grain(size, 1.0, seed=3).lay(frame, 60, 3.0).astype(float)
    face, rest = (slice(48, 72), slice(68, 92)), (slice(0, 24), slice(0, 160))
    assert spared[face].std() < 0.5 * plain[face].std()
    assert np.array_equal(spared[rest], plain[rest])
