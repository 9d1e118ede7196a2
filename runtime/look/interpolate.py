"""Draws frames between two frames, at any share of the way, by where things moved.

RIFE 4.6 (Huang et al., "Real-Time Intermediate Flow Estimation for Video Frame Interpolation",
2022) says where each pixel comes from in either frame, and which of the two to believe; it looks at
frames of a bounded size. Warping and mixing follow it, on the frames as large as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from ...engines.errors import EngineError
from ..blend import blend
from ..stages import OnNote
from ..upsample import rows_of

if TYPE_CHECKING:
    from ...engines.device import Device
    from ...engines.engine import Engine
    from ..bundle import Bundle

Pixels: TypeAlias = NDArray[np.uint8]
Floats: TypeAlias = NDArray[np.float32]
Between: TypeAlias = Callable[[Pixels, Pixels, float], Pixels]
"""Gives the frame at a share, 0..1, of the way from one frame to another of the same shape."""

LOOK, LOOK_ON_GPU = 1280 * 736, 1920 * 1088
"""Pixels that the network sees at most, on the CPU and on GPUs: 0.12 and 0.27 GiB of
activations."""
_MULTIPLE = 32
_ROWS = 256  # drawn at once, so that the maps of a large frame are never whole
_STILL = 2  # levels; frames that differ by less have nothing to warp
_UNLIKE = 12.0  # levels of mean difference from which on frames may be of two scenes
_GAIN = 0.8  # warped frames of one scene differ by less than this share of what they did


@contextmanager
def open_interpolator(
    device: Device | str = "auto",
    *,
    bundle: Bundle | None = None,
    threads: int | None = None,
    look: int | None = None,
    on_note: OnNote | None = None,
) -> Iterator[Between]:
    """Open what draws frames between two others, and close it behind the block.

    bundle: None is the one that ships with Reverie; look: pixels that the network sees at most.
    Where the device fails, frames are blended from then on, which `on_note` is told once.

    Raises:
        BundleError: its files are not whole.
    """
    from ..bundle import load_bundle
    from ..tools import open_tool

    network = bundle or load_bundle("rife")
    with open_tool(network, "flow", device=device, threads=threads, on_note=on_note) as engine:
        most = look or (LOOK if engine.device.kind == "cpu" else LOOK_ON_GPU)
        yield Interpolator(engine, look=most, on_note=on_note)


class Interpolator:
    """Frames between two others on an open engine; see `open_interpolator`."""

    def __init__(
        self,
        engine: Engine,
        *,
        look: int = LOOK,
        on_note: OnNote | None = None,
    ) -> None:
        self._engine: Engine | None = engine
        self._look = look
        self._on_note = on_note
        self._pair: tuple[Pixels, Pixels] | None = None
        self._seen: tuple[Floats, Floats] | None = None

    def __call__(self, before: Pixels, after: Pixels, share: float) -> Pixels:
        """Draw the frame at `share`, 0..1, of the way between two, uint8 RGB (H, W, 3).

        Frames of two scenes, and frames that hardly differ, are blended; equal ones are given back.
        """
        if share <= 0.0 or before is after:
            return before
        if share >= 1.0:
            return after
        difference = int(cv2.norm(before, after, cv2.NORM_INF))
        if difference == 0:
            return before
        if difference <= _STILL or self._engine is None:
            return blend(before, after, share)
        small = self._small(before, after)
        try:
            flow, mask = self._ask(self._engine, *small, share)
        except EngineError as error:
            _tell(self._on_note, error)
            self._engine = None
            return blend(before, after, share)
        if not (np.isfinite(flow).all() and np.isfinite(mask).all()) or _unlike(*small, flow):
            return blend(before, after, share)
        return _draw(before, after, flow, mask)

    def _small(self, before: Pixels, after: Pixels) -> tuple[Floats, Floats]:
        """The pair as the network sees it; kept, for one pair is often asked for several shares."""
        if self._seen is None or self._pair is None or not _same(self._pair, (before, after)):
            self._pair = before, after
            self._seen = _shrunk(before, self._look), _shrunk(after, self._look)
        return self._seen

    def _ask(
        self, engine: Engine, before: Floats, after: Floats, share: float
    ) -> tuple[Floats, Floats]:
        """Flow (h, w, 4) in pixels of the small frames and share of the first (h, w)."""
        height, width = before.shape[:2]
        below, beside = -height % _MULTIPLE, -width % _MULTIPLE
        given = {
            name: np.ascontiguousarray(
                np.pad(frame, ((0, below), (0, beside), (0, 0)), "edge").transpose(2, 0, 1)[None]
            )
            for name, frame in (("before", before), ("after", after))
        }
        shares = np.full((1, 1, height + below, width + beside), share, np.float32)
        answer = engine.run({**given, "share": shares})
        flow = answer["flow"][0, :, :height, :width].astype(np.float32).transpose(1, 2, 0)
        mask = answer["mask"][0, 0, :height, :width].astype(np.float32)
        return np.ascontiguousarray(flow), np.ascontiguousarray(mask)


def _same(pair: tuple[Pixels, Pixels], other: tuple[Pixels, Pixels]) -> bool:
    return pair[0] is other[0] and pair[1] is other[1]


def _tell(on_note: OnNote | None, error: EngineError) -> None:
    if on_note is not None:
        on_note(f"frames between frames are blended: {error}")


def _shrunk(frame: Pixels, look: int) -> Floats:
    """The frame, 0..1, at most `look` pixels of it."""
    height, width = frame.shape[:2]
    scale = (look / (height * width)) ** 0.5
    if scale < 1.0:
        size = max(2, round(width * scale)), max(2, round(height * scale))
        frame = np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)
    return frame.astype(np.float32) / np.float32(255.0)


def _warped(frame: Floats, flow: Floats) -> Floats:
    height, width = frame.shape[:2]
    x = np.arange(width, dtype=np.float32)[None, :] + flow[..., 0]
    y = np.arange(height, dtype=np.float32)[:, None] + flow[..., 1]
    warped = cv2.remap(frame, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, np.float32)


def _unlike(before: Floats, after: Floats, flow: Floats) -> bool:
    """Whether what was found does not bring two different frames together."""
    apart = float(np.abs(before - after).mean())
    if apart * 255.0 < _UNLIKE:
        return False
    left = np.abs(_warped(before, flow[..., :2]) - _warped(after, flow[..., 2:]))
    return float(left.mean()) > _GAIN * apart


def _draw(before: Pixels, after: Pixels, flow: Floats, mask: Floats) -> Pixels:
    """Warp both frames along a flow of perhaps smaller frames, and mix them."""
    height, width = before.shape[:2]
    tall, wide = mask.shape
    scale = np.array([width / wide, height / tall] * 2, np.float32)
    out = np.empty_like(before)
    for top in range(0, height, _ROWS):
        rows = min(_ROWS, height - top)
        if (tall, wide) == (height, width):
            moved, first = flow[top : top + rows], mask[top : top + rows]
        else:
            part = slice(top, top + rows)
            moved, first = (rows_of(one, part, (height, width)) for one in (flow, mask))
            moved = moved * scale
        x = np.arange(width, dtype=np.float32)[None, :]
        y = np.arange(top, top + rows, dtype=np.float32)[:, None]
        mixed = np.zeros((rows, width, 3), np.float32)
        for frame, shift, weight in (
            (before, moved[..., :2], first),
            (after, moved[..., 2:], 1 - first),
        ):
            taken = cv2.remap(
                frame,
                x + shift[..., 0],
                y + shift[..., 1],
                cv2.INTER_CUBIC,
                borderMode=cv2.BORDER_REPLICATE,
            )
            mixed += taken * weight[..., None]
        out[top : top + rows] = np.rint(mixed)
    return out
