"""Enlarges frames to an exact size: SPAN twice or four times, then plain resampling.

SPAN (Wan et al., "Swift Parameter-free Attention Network for Efficient Super-Resolution", 2024)
sees a small neighbourhood and nothing of other frames: what stands still in a film stays the same
from frame to frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from ...engines.errors import EngineError
from ..stages import OnNote
from .tiles import MOST, enlarged

if TYPE_CHECKING:
    from ...engines.device import Device
    from ..bundle import Bundle

Pixels: TypeAlias = NDArray[np.uint8]
Enlarger: TypeAlias = Callable[[Pixels, tuple[int, int]], Pixels]
"""Gives a frame, uint8 (H, W, 3), at the size (width, height)."""

PLAIN_UP_TO = 1.2
"""Times larger up to which resampling does as well."""
TWICE_UP_TO = 2.2
"""Times larger up to which the network that doubles is taken; above, the one that goes to four."""
MOST_OF_A_PHOTO = 2_000_000
"""Pixels of a photo above which it is resampled: the network would take a minute on two cores."""
SHARP = 0.6
"""Share of the network's picture in an enlarged photo; the rest is resampled. The network takes the
noise and blocks of a JPEG for detail, which all of it would show on fine leaves."""
SIGHT = 24
"""Pixels that SPAN sees around each: its 22 convolutions of 3 by 3, and two to spare."""


def plain(frame: Pixels, size: tuple[int, int]) -> Pixels:
    """Resample uint8 (H, W, 3) to (width, height): by area down, by Lanczos' curves up."""
    height, width = frame.shape[:2]
    if size == (width, height):
        return frame
    smaller = size[0] < width or size[1] < height
    how = cv2.INTER_AREA if smaller else cv2.INTER_LANCZOS4
    return np.asarray(cv2.resize(frame, size, interpolation=how), np.uint8)


def factor_for(frame: tuple[int, ...], size: tuple[int, int]) -> int:
    """Which network a frame (height, width, ...) asks for to be (width, height): 1 none, 2, 4."""
    needed = max(size[0] / frame[1], size[1] / frame[0])
    return 1 if needed <= PLAIN_UP_TO else 2 if needed <= TWICE_UP_TO else 4


@contextmanager
def open_upscaler(
    device: Device | str = "auto",
    *,
    bundle: Bundle | None = None,
    threads: int | None = None,
    most: int = MOST,
    on_note: OnNote | None = None,
) -> Iterator[Enlarger]:
    """Open what enlarges frames, and close it behind the block.

    bundle: None is the one that ships with Reverie; most: pixels of a tile at most, which bounds
    memory. A network is opened when the first frame needs it. Where the device fails, frames are
    resampled from then on, which `on_note` is told once.

    Raises (when the first frame needs it):
        BundleError: its files are not whole.
    """
    from ..bundle import load_bundle
    from ..tools import open_tool

    networks = bundle or load_bundle("span")
    opened: dict[int, Callable[[Pixels], Pixels]] = {}
    failed = False

    with ExitStack() as stack:

        def network(factor: int) -> Callable[[Pixels], Pixels]:
            if factor not in opened:
                name = f"x{factor}"
                engine = open_tool(networks, name, device=device, threads=threads, on_note=on_note)
                stack.enter_context(engine)
                opened[factor] = lambda frame: enlarged(
                    frame, engine, factor, margin=SIGHT, most=most
                )
            return opened[factor]

        def enlarge(frame: Pixels, size: tuple[int, int]) -> Pixels:
            nonlocal failed
            factor = factor_for(frame.shape, size)
            if factor == 1 or failed:
                return plain(frame, size)
            try:
                return plain(network(factor)(frame), size)
            except EngineError as error:
                failed = True
                if on_note is not None:
                    on_note(f"frames are enlarged without a network: {error}")
                return plain(frame, size)

        yield enlarge


def enlarge_photo(
    pixels: Pixels,
    frame: tuple[int, int],
    device: Device | str = "auto",
    *,
    threads: int | None = None,
    on_note: OnNote | None = None,
) -> Pixels:
    """Enlarge a photo, uint8 RGB (H, W, 3), once, so that it covers a frame (width, height).

    It keeps its shape. One that covers the frame already, or nearly, comes back as it is, and so
    does one so large that a network would take too long: framing resamples those.

    Raises:
        BundleError: the network is missing or broken.
    """
    height, width = pixels.shape[:2]
    needed = max(frame[0] / width, frame[1] / height)
    if needed <= PLAIN_UP_TO or height * width > MOST_OF_A_PHOTO:
        return pixels
    size = round(width * needed), round(height * needed)
    with open_upscaler(device, threads=threads, on_note=on_note) as enlarge:
        sharp = enlarge(pixels, size)
    mixed = cv2.addWeighted(sharp, SHARP, plain(pixels, size), 1.0 - SHARP, 0.0)
    return np.asarray(mixed, np.uint8)
