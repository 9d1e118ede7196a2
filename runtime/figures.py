"""Figures that a bundle's manifest holds for its networks: polynomials in the free sizes.

A polynomial is [[coefficient, exponent of each size], ...]; export/polynomials.py makes them. A
size named "rows_x4" is four times "rows".
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from ..engines.errors import BundleError
from .bundle import MANIFEST, Bundle, Component
from .shapes import ShapeSet

Polynomial: TypeAlias = Sequence[Sequence[float]]

_SCALED = re.compile(r"(.+)_x(\d+)")


def value(polynomial: Polynomial, sizes: Sequence[float]) -> float:
    """Return what a polynomial is at some sizes, in the order of its exponents."""
    return float(
        sum(
            term[0] * math.prod(size**power for size, power in zip(sizes, term[1:], strict=True))
            for term in polynomial
        )
    )


def check(polynomial: Polynomial, sizes: int) -> None:
    """Check that a polynomial is one in so many sizes; ValueError or TypeError where it is not."""
    if not polynomial or not all(len(term) == sizes + 1 for term in polynomial):
        raise ValueError(f"a polynomial in {sizes} sizes is {str(polynomial)[:60]}")
    if not all(math.isfinite(float(number)) for term in polynomial for number in term):
        raise ValueError("a polynomial has numbers that are not finite")


def scaled(name: str) -> tuple[str, int]:
    """Return the size that a size's name hangs on, and how many times that it is."""
    found = _SCALED.fullmatch(name)
    return (found[1], int(found[2])) if found else (name, 1)


def entry_of(bundle: Bundle, component: Component) -> Mapping[str, Any]:
    """Return what the manifest says of a component in its precision."""
    entry: Mapping[str, Any] = bundle.section("components").get(component.name, {})
    if component.precision != str(entry.get("precision", "fp32")):
        entry = entry.get("variants", {}).get(component.precision, {})
    return entry


def sizes_of(
    bundle: Bundle, name: str, kind: str, figures: Mapping[str, Any], shapes: ShapeSet
) -> list[float]:
    """Return the sizes that a component's figures of a kind ask for, as input shapes have them.

    Raises:
        BundleError: they ask for one that no input has.
    """
    found: dict[str, int] = {}
    for port in bundle.section("components")[name]["inputs"]:
        for size, actual in zip(port["shape"], shapes[port["name"]], strict=True):
            if not isinstance(size, int):
                key, times = scaled(size)
                found.setdefault(key, actual // times)
    try:
        return [float(found[size]) for size in figures["sizes"]]
    except KeyError as error:
        raise BundleError(
            f"{bundle.folder / MANIFEST}: components.{name}.{kind} knows a size {error} that no "
            "input has: export the model again"
        ) from error
