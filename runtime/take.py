"""What a family makes of a photo, and what every family's module must give."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..engines.device import Device
from .bundle import Bundle
from .photo import Photo
from .settings import Settings, Understanding
from .stages import Stages


@dataclass(frozen=True)
class Take:
    """A film's size and its frames, not yet drawn."""

    width: int
    height: int
    frames: Iterator[NDArray[np.uint8]]
    """Yields uint8 RGB (height, width, 3), each drawn when it is asked for."""
    notes: tuple[str, ...] = ()


class Family(Protocol):
    """What a module in runtime/families gives, under the family's name."""

    def film(
        self,
        bundle: Bundle,
        photo: Photo,
        settings: Settings,
        understanding: Understanding,
        *,
        device: Device | str,
        stages: Stages,
    ) -> Take:
        """Prepare a film of a photo; the frames are drawn as they are asked for.

        Raises:
            BundleError: a component is missing or broken.
            EngineError: the device cannot run one.
            SettingsError: the shape asked for is impossible.
        """
