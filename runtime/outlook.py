"""What would fit a device, before there is a bundle to plan for: estimates from published sizes.

Where a bundle is at hand, a plan says it exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Residency = Literal["kept", "staged", "streamed", "none"]

_BITS = {"fp32": 32.0, "fp16": 16.0, "bf16": 16.0, "fp8": 8.0, "int8": 8.1, "int4": 4.5}
_BITS["nvfp4"] = 4.5  # four bits, and a scale of eight for each sixteen of them
_USABLE = 0.9  # of a device's memory: the rest is the driver's, the screen's, other programs'


@dataclass(frozen=True)
class _Family:
    parts: tuple[float, ...]
    """Parameters of each network, in billions: text or image encoder, denoiser, VAE."""
    working: float
    """GB beside the weights at the family's own size, in a step or in a window of the decode."""


_FAMILIES = {
    "ember": _Family((0.003,), 0.4),
    "svd": _Family((0.632, 1.525, 0.098), 2.0),  # CLIP-H, UNet; 25 frames of 1024x576
    "ltx": _Family((4.76, 1.92, 0.42), 1.5),  # T5-XXL, 2B; 121 frames of 768x512
    "wan": _Family((5.68, 5.0, 0.7), 3.0),  # umT5-XXL, TI2V-5B; 121 frames of 1280x704
}
"""Parameters as the models' authors publish them; what a step works in is a guess on top."""


@dataclass(frozen=True)
class Outlook:
    """One family on one device."""

    family: str
    precision: str
    """The one of least error that fits; of those that do not, the smallest."""
    residency: Residency
    """"kept": all networks at once; "staged": one after the other; "streamed": the weights pass
    through; "none": it does not fit."""
    bytes: int
    """What that takes at most, about."""


def what_fits(
    memory: int, precisions: Sequence[str], *, keep: bool = True, streaming: bool = True
) -> tuple[Outlook, ...]:
    """Return how each family would fit into `memory` bytes of a device.

    precisions: those the device computes in, the one of least error first. keep: whether networks
    stay open when they fit, as on a GPU. streaming: whether weights can be left outside of that
    memory.
    """
    return tuple(
        _outlook(name, family, int(memory * _USABLE), precisions, keep, streaming)
        for name, family in _FAMILIES.items()
    )


def _outlook(
    name: str,
    family: _Family,
    room: int,
    precisions: Sequence[str],
    keep: bool,
    streaming: bool,
) -> Outlook:
    if name == "ember":
        precisions = ("fp32",)  # small, and trained in it
    working = int(family.working * 1e9)
    for precision in precisions:
        sizes = [int(part * 1e9 * _BITS[precision] / 8) for part in family.parts]
        ways: list[tuple[Residency, int]] = [("kept", sum(sizes)), ("staged", max(sizes))]
        for residency, weights in ways if keep else ways[1:]:
            if weights + working <= room:
                return Outlook(name, precision, residency, weights + working)
    smallest = min(precisions, key=lambda precision: _BITS[precision])
    if streaming and working <= room:
        return Outlook(name, smallest, "streamed", working)
    least = max(int(part * 1e9 * _BITS[smallest] / 8) for part in family.parts)
    return Outlook(name, smallest, "none", least + working)
