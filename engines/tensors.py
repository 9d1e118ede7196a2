"""Whether tensors fit where they are put: told before a library tells it with a page of text."""

from __future__ import annotations

from collections.abc import Mapping

from .engine import Array, Buffer, Port
from .errors import EngineError


def check_tensors(
    name: str, ports: tuple[Port, ...], inputs: Mapping[str, Array] | Mapping[str, Buffer]
) -> None:
    """Refuse tensors that are not those of a network's ports."""
    if set(inputs) != {p.name for p in ports}:
        raise EngineError(
            f"{name} takes {', '.join(p.name for p in ports)}; given {', '.join(sorted(inputs))}"
        )
    for port in ports:
        array = inputs[port.name]
        fits = len(array.shape) == len(port.shape) and all(
            not isinstance(size, int) or size == actual
            for size, actual in zip(port.shape, array.shape, strict=False)
        )
        if array.dtype != port.dtype or not fits:
            raise EngineError(
                f"{name} takes {port.name} as {port.dtype} {list(port.shape)}; "
                f"given {array.dtype} {list(array.shape)}"
            )


def check_array(buffer: Buffer, array: Array) -> None:
    """Refuse an array that does not fit a buffer."""
    if array.shape != buffer.shape or array.dtype != buffer.dtype:
        raise EngineError(
            f"a buffer of {buffer.dtype} {list(buffer.shape)} was given {array.dtype} "
            f"{list(array.shape)}: give an array of its shape and type"
        )
