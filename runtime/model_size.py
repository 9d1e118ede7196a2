"""The size at which a model makes a film: the nearest it can do to the frame that was asked for."""

from __future__ import annotations

import math

from ..engines.errors import BundleError
from .bundle import MANIFEST, Bundle


def model_size(bundle: Bundle, size: tuple[int, int]) -> tuple[int, int]:
    """The (width, height) a model can do nearest to a frame's, within the area it was trained on.

    Raises:
        BundleError: the manifest does not say what the model can do.
    """
    limits, defaults = bundle.section("limits"), bundle.section("defaults")
    try:
        multiple = int(limits.get("multiple", 8))
        area = int(limits.get("area", defaults["height"] * defaults["width"]))
        most = [int(limits.get(name, 1 << 16)) for name in ("most_width", "most_height")]
        if min(multiple, area, *most) < 1:
            raise ValueError("limits must be above 0")
    except (KeyError, TypeError, ValueError) as error:
        what = f"defaults.{error.args[0]} is missing" if isinstance(error, KeyError) else error
        raise BundleError(f"{bundle.folder / MANIFEST}: {what}: export the model again") from error
    width, height = size
    shrink = min(1.0, math.sqrt(area / (width * height)), most[0] / width, most[1] / height)
    ideal = width * shrink / multiple, height * shrink / multiple
    tops = [max(side // multiple, 1) for side in most]
    choices = [
        (w, h)
        for w in _around(ideal[0], tops[0])
        for h in _around(ideal[1], tops[1])
        if w * h * multiple**2 <= max(area, multiple**2) or (w, h) == (1, 1)
    ] or [(1, 1)]

    def misfit(cells: tuple[int, int]) -> float:
        shape = abs(math.log(cells[0] / cells[1] * height / width))
        return shape + 0.4 * abs(math.log(cells[0] * cells[1] / (ideal[0] * ideal[1])))

    best = min(choices, key=misfit)
    return best[0] * multiple, best[1] * multiple


def _around(ideal: float, top: int) -> list[int]:
    """Whole numbers beside an ideal one, from 1 to top."""
    return sorted({min(max(int(ideal) + d, 1), top) for d in (-1, 0, 1)})
