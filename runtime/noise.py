"""The random tensors of a render: numpy's own, one stream a name, or those the caller brings."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..engines.errors import SettingsError

Array: TypeAlias = NDArray[np.float32]

PER_STEP = ("condition", "steps")
"""Noise that has a row for each step; of more rows than steps, the first ones are used."""


class Noise:
    """Unit noise by name: the same for the same seed, name and shape, whatever the order of draws.

    A name's numbers are `numpy.random.default_rng([seed, zlib.crc32(name)])`'s standard normals,
    drawn as float32. Arrays in `given` take their places; each must have the shape that is drawn.
    """

    def __init__(self, seed: int = 0, given: Mapping[str, NDArray[Any]] | None = None) -> None:
        self.seed = seed
        self._given = {name: _checked(name, value) for name, value in (given or {}).items()}

    def check(
        self,
        shapes: Mapping[str, tuple[int, ...]],
        also: Collection[str] = (),
    ) -> None:
        """Refuse given arrays that no draw of these names and shapes would use.

        also: names that may be given although this render does not draw them.

        Raises:
            SettingsError: a name is unknown, or its shape is another.
        """
        for name, value in self._given.items():
            if name in shapes:
                _fit(name, value, shapes[name])
            elif name not in also:
                known = ", ".join(f"{n} {shape}" for n, shape in shapes.items()) or "none"
                raise SettingsError(f"noise {name!r} is not drawn in this render: it draws {known}")

    def draw(self, name: str, shape: tuple[int, ...]) -> Array:
        """Return float32 noise of a shape; a second draw of the same name gives the same again.

        Raises:
            SettingsError: the array given under this name has another shape.
        """
        if name in self._given:
            return _fit(name, self._given[name], shape)
        stream = np.random.default_rng([self.seed, zlib.crc32(name.encode())])
        return stream.standard_normal(shape, dtype=np.float32)


def _checked(name: str, value: NDArray[Any]) -> Array:
    if not isinstance(value, np.ndarray) or not np.issubdtype(value.dtype, np.floating):
        found = value.dtype if isinstance(value, np.ndarray) else type(value).__name__
        raise SettingsError(f"noise {name!r} is of type {found}: give a float32 numpy array")
    if not np.isfinite(value).all():
        raise SettingsError(f"noise {name!r} holds NaN or infinity: give finite numbers")
    return np.asarray(value, np.float32)


def _fit(name: str, value: Array, shape: tuple[int, ...]) -> Array:
    if name in PER_STEP and value.ndim == len(shape) and len(value) > shape[0]:
        value = value[: shape[0]]
    if value.shape != tuple(shape):
        raise SettingsError(f"noise {name!r} has the shape {value.shape}: give {tuple(shape)}")
    return value
