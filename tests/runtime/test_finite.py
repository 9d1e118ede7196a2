"""Numbers that are none are refused, whatever array they are in."""

from __future__ import annotations

import numpy as np
import pytest
from reverie.engines.errors import EngineError
from reverie.runtime.finite import check_finite


def test_numbers_that_are_none_are_refused() -> None:
    good = np.zeros((2, 3, 4), np.float16)
    check_finite("latents", good)
    check_finite("counts", np.zeros(3, np.int64))
    check_finite("large", np.full(10, 6e4, np.float16))  # their sum is beyond float16
    for wrong in (np.nan, np.inf, -np.inf):
        good[1, 1, 1] = wrong
        with pytest.raises(
            EngineError, match=r"the network gave NaN or infinity in frame 2"
        ) as caught:
            check_finite("the network", good, " in frame 2")
        assert "\n" not in str(caught.value)
