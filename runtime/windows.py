"""Several windows of a model joined into one film: each goes on from the tail of the one before.

How much of a tail a window can take differs. LTX and Wan know a noise level for each token, so the
first latents of a window are those of the tail, told to be clean: the picture of the first shared
frame, encoded, then the last latents of the window before, as they came out of its denoising. They
are not encoded again: the encoders in a bundle read one picture, and one more pass through the VAE
would only wear them. Stable Video Diffusion's network knows one noise level for all frames, so
there the estimate of the clean latents is drawn to the tail's in the frames that are shared. Any
other model begins again with a picture of the last frame.

The shared frames, drawn twice, dissolve into each other. Only a tail is held: shared frames,
and the latents that are handed on.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from .anchor import Band, ColourAnchor
from .blend import blend, eased
from .length import LengthPlan
from .noise import Noise
from .settle import settle

Array: TypeAlias = NDArray[np.float32]
Pixels: TypeAlias = NDArray[np.uint8]
T = TypeVar("T")

_LATENT_GAIN = (0.8, 1.25)
_LATENT_SLACK = 0.02  # latents of these models have a spread of about 1
_SETTLES_IN = 12  # frames, where windows share a single one


@dataclass
class Link:
    """What windows of one film hand from one to the next; a family reads `held`, calls `keep`."""

    latents: int
    """How many latent frames are handed on."""
    held: Array | None = None
    """(latents, C, h, w) that this window begins with, after its picture's where that has some;
    None in the first window."""
    _made: dict[str, Any] = field(default_factory=dict, repr=False)
    _band: Band = field(default_factory=lambda: Band(_LATENT_SLACK), repr=False)
    _first: bool = True

    def once(self, name: str, make: Callable[[], T]) -> T:
        """What is the same for all windows, such as a prompt's embeddings: made in the first."""
        if name not in self._made:
            self._made[name] = make()
        found: T = self._made[name]
        return found

    def keep(self, latents: Array) -> None:
        """Take a window's own latents (F, C, h, w), as the denoiser has them, and hold its tail.

        The mean and spread of each channel are brought into the band of the first window's frames,
        or what a model shifts by little would add up from window to window.
        """
        if self.latents < 1:
            return
        means = latents.mean(axis=(2, 3), dtype=np.float64)
        spreads = latents.std(axis=(2, 3), dtype=np.float64)
        if self._first:
            for one in np.stack([means, spreads], axis=1):
                self._band.see(one)
            self._first = False
        tail = latents[-self.latents :]
        seen = np.stack([means[-self.latents :].mean(0), spreads[-self.latents :].mean(0)])
        wanted = self._band.nearest(seen)
        gain = np.clip(wanted[1] / np.maximum(seen[1], 1e-6), *_LATENT_GAIN)
        shift = wanted[0] - gain * seen[0]
        column = (1, -1, 1, 1)
        held = tail * gain.reshape(column).astype(np.float32)
        self.held = np.ascontiguousarray(held + shift.reshape(column).astype(np.float32))


class WindowNoise(Noise):
    """The noise of one window: of a seed, a name and the window's number."""

    def __init__(self, seed: int, window: int) -> None:
        super().__init__(seed)
        self._window = window

    def draw(self, name: str, shape: tuple[int, ...]) -> Array:
        """Return noise as `Noise` does; that of window 0 is its very own."""
        if self._window == 0:
            return super().draw(name, shape)
        stream = np.random.default_rng([self.seed, zlib.crc32(name.encode()), self._window])
        return stream.standard_normal(shape, dtype=np.float32)


Draw: TypeAlias = Callable[[int, Pixels, Link], Iterator[Pixels]]
"""(number of the window, picture it begins with, link) -> its frames."""


def join(length: LengthPlan, picture: Pixels, draw: Draw) -> Iterator[Pixels]:
    """Yield the frames of all windows as one stream, uint8 (H, W, 3) of one size.

    picture: what the first window begins with, of any size. As many frames are held as two windows
    share.
    """
    overlap, last = length.overlap, length.windows - 1
    anchor, link = ColourAnchor(), Link(length.latents)
    tail: list[Pixels] = []
    for window in range(length.windows):
        anchor.begin(window)
        begun = tail[0] if tail else picture
        frames: Iterator[Pixels] = map(anchor.hold, draw(window, begun, link))
        if overlap == 1 and tail:
            # Nothing to dissolve: what the model's own first frame lacks is carried on, and fades.
            frames = settle(frames, tail[0], min(_SETTLES_IN, length.window_frames - 1))
        before, tail = tail, []
        for index, frame in enumerate(frames):
            shown = frame
            if index < len(before):
                shown = before[index]
                if overlap > 1:
                    shown = blend(shown, frame, eased((index + 1) / (overlap + 1)))
                before[index] = shown  # the earlier one is done with
            if window < last and index >= length.window_frames - overlap:
                tail.append(shown)
            else:
                yield shown
        del before
