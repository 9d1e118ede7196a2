"""Two pictures mixed: each whole at its own end, even in the middle, with rest at both ends."""

from __future__ import annotations

import numpy as np
from reverie.runtime.blend import blend, eased

BLACK, WHITE = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 255, np.uint8)


def test_mixing_is_even_at_the_middle() -> None:
    np.testing.assert_array_equal(blend(BLACK, WHITE, 0.0), BLACK)
    np.testing.assert_array_equal(blend(BLACK, WHITE, 1.0), WHITE)
    middle = blend(BLACK, WHITE, 0.5)
    assert middle.dtype == np.uint8
    assert middle.max() in (127, 128)


def test_easing_rests_at_both_ends() -> None:
    assert [eased(x) for x in (-1, 0, 0.5, 1, 2)] == [0, 0, 0.5, 1, 1]
    assert eased(0.01) < 0.001
    assert 1 - eased(0.99) < 0.001
