"""Frames of a moving picture from its motion spectrum: one map of coordinates, one reading a frame.

Every place of the frame is asked where it looks: first through the camera, then back along the
swing of what is there, then back along its drift. Swing follows Li et al., "Generative Image
Dynamics" (2023). Sums run on the spectrum's own small grid; its edges come from the picture once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from .drift import Drift
from .look.camera import Camera, headroom
from .look.finish import Finish
from .look.irregular import Unrest
from .look.layers import Layers
from .look.lens import Lens, calm_depth
from .look.look import Look
from .settings import CLASSES, CameraIntent, LightIntent
from .side_by_side import side_by_side
from .sway import Sway
from .upsample import Floats, extend, follow_edges, resize
from .warp import Refined, choose_warp

if TYPE_CHECKING:
    from ..engines.device import Device
    from .look.pacing import Pacing
    from .spectrum import Spectrum

Bytes: TypeAlias = NDArray[np.uint8]

LAYERED = 2.5  # how much further sideways the camera goes where people are a layer of their own
DRIFTS = 0.0015  # shorter sides a second from which a place surely drifts


def render(
    picture: Bytes,
    spectrum: Spectrum,
    gain: Floats,
    *,
    seconds: float,
    fps: float,
    loop: bool = False,
    seed: int = 0,
    camera: CameraIntent | None = None,
    light: LightIntent | None = None,
    depth: Floats | None = None,
    people: Floats | None = None,
    classes: Floats | None = None,
    focus: tuple[float, float] = (0.5, 0.5),
    device: Device | str = "cpu",
    look: Look | None = None,
    faces: Floats | None = None,
) -> Iterator[Bytes]:
    """Draw the film of a picture, frame by frame; memory does not grow with its length.

    picture (H, W, 3) uint8, H and W even; gain, depth, people (h, w) float32 0..1, each on any grid
    over the whole picture: where things may move, what is near (1) and far (0), who must not be
    bent; classes (6, h, w) probabilities in the order of settings.CLASSES. seconds x fps frames,
    rounded, come out, (H, W, 3) uint8, the first of them the picture itself. loop: the frame after
    the last would be the first. focus: shares of width and height that the camera goes towards and
    candlelight falls on. look: everything about camera and light, in place of `camera` and `light`;
    faces (h, w) float32 0..1: what its blur, stutter and grain keep away from. The same arguments
    give the same frames.

    Raises ValueError when the picture's height or width is odd.
    """
    size = picture.shape[0], picture.shape[1]
    if size[0] % 2 or size[1] % 2:
        raise ValueError(f"a picture of {size[1]}x{size[0]} cannot be filmed: both must be even")
    count = max(1, round(seconds * fps))
    seconds = count / fps  # what the frames really last, so that a loop closes on the frame
    look = look or Look(camera or CameraIntent(), light or LightIntent())
    pacing = look.pacing(seconds=seconds, loop=loop, seed=seed)
    quarter = (size[0] + 3) // 4, (size[1] + 3) // 4
    layers = None
    if look.layered and look.moves and depth is not None and people is not None:
        layers = Layers.of(picture, depth, people, quarter)
    path = Camera(
        look.camera,
        seconds=seconds,
        loop=loop,
        focus=focus,
        pacing=pacing,
        aside=look.aside,
        deep=1.0 if layers is None else LAYERED,
        above=headroom(people),
    )
    unrest = Unrest(
        look.irregular,
        size=quarter,
        picture=size,
        seconds=seconds,
        seed=seed,
        faces=faces,
        people=people,
        near=depth,
    )
    finish = Finish(
        look,
        camera=path,
        pacing=pacing,
        picture=picture,
        fps=fps,
        seconds=seconds,
        loop=loop,
        seed=seed,
        focus=focus,
        flame=_class(classes, "flame"),
        faces=faces,
        people=people,
    )

    def begin() -> _Drawing:
        return _Drawing(
            picture,
            spectrum,
            gain,
            path,
            fps=fps,
            seconds=seconds,
            loop=loop,
            seed=seed,
            depth=depth,
            people=people,
            water=_class(classes, "water"),
            device=device,
            pacing=pacing,
            unrest=unrest,
            layers=layers,
        )

    return _film(picture, begin, finish, count)


def _film(
    picture: Bytes, begin: Callable[[], _Drawing], finish: Finish, count: int
) -> Iterator[Bytes]:
    """The frames in their order, each drawn and finished by itself."""
    yield finish.lay(picture.copy(), 0)
    if count == 1:
        return
    with closing(begin()) as drawing:
        yield from side_by_side(
            lambda index: finish.lay(drawing.frame(index), index), range(1, count)
        )


class _Drawing:
    """What every frame of a film needs, made once; frames are drawn in any order by any thread."""

    def __init__(
        self,
        picture: Bytes,
        spectrum: Spectrum,
        gain: Floats,
        camera: Camera,
        *,
        fps: float,
        seconds: float,
        loop: bool,
        seed: int,
        depth: Floats | None,
        people: Floats | None,
        water: Floats | None,
        device: Device | str,
        pacing: Pacing,
        unrest: Unrest,
        layers: Layers | None,
    ) -> None:
        tall, wide = self._full = picture.shape[0], picture.shape[1]
        self._half = half = tall // 2, wide // 2
        quarter = (tall + 3) // 4, (wide + 3) // 4
        self._camera, self._fps, self._pacing, self._unrest = camera, fps, pacing, unrest
        self._sway = Sway(spectrum, gain, picture, half, seconds=seconds, loop=loop, seed=seed)
        self._drift = _drift(
            spectrum, gain, water, picture, quarter, seconds=seconds, loop=loop, seed=seed
        )
        calm = calm_depth(depth, people, quarter) if depth is not None and layers is None else None
        if layers is not None:
            calm = layers.behind
        self._lens = Lens(calm, quarter, (tall, wide))
        self._own = _grid(half, self._full)
        self._every = _grid(self._full, self._full)
        self._cells = spectrum.coefficients.shape[2], spectrum.coefficients.shape[3]
        self._layers = layers
        self._person = Refined(picture) if layers is not None else None
        self._warp = choose_warp(picture if layers is None else layers.plate, device)

    def frame(self, index: int) -> Bytes:
        """Draw frame number `index`, 1 or more, (H, W, 3) uint8."""
        time = index / self._fps
        view = self._camera.view(time)
        full, half, sway, drift = self._full, self._half, self._sway, self._drift
        own_x, own_y = self._own
        full_x, full_y = self._every
        across, along = (resize(o, half) for o in self._lens.offsets(view))
        jolt = self._unrest.offsets(time)
        if jolt is not None:
            across, along = across + resize(jolt[0], half), along + resize(jolt[1], half)
        time = self._pacing.world(time)
        at_x, at_y = own_x + across, own_y + along  # where the frame looks, in picture pixels
        if not sway.still:
            seen = _cells(at_x, at_y, full, half)
            seen_gain = cv2.remap(sway.gain, *seen, cv2.INTER_LINEAR)
            low = _cells(at_x, at_y, full, self._cells)
            swing = cv2.remap(
                sway.at(time), *low, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            )
            across -= swing[..., 0] * seen_gain
            along -= swing[..., 1] * seen_gain
        if drift.active:
            moment = drift.at(time)
            places = own_x + across, own_y + along
            seen = _cells(at_x, at_y, full, drift.grid)
            shift = moment.shifts[0]
            back = np.asarray(
                cv2.remap(shift, *seen, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE),
                np.float32,
            )
            across -= back[..., 0]
            along -= back[..., 1]
        map_x, map_y = resize(across, full), resize(along, full)
        map_x += full_x
        map_y += full_y
        frame = self._warp.warp(map_x, map_y)
        if drift.twice:
            drift.blend(frame, self._warp, moment, seen, places, back)
        if self._layers is not None and self._person is not None:
            self._layers.lay(frame, view, self._person)
        return frame

    def close(self) -> None:
        """Free what drawing holds."""
        self._warp.close()


def _drift(
    spectrum: Spectrum,
    gain: Floats,
    water: Floats | None,
    picture: Bytes,
    size: tuple[int, int],
    *,
    seconds: float,
    loop: bool,
    seed: int,
) -> Drift:
    velocity = np.ascontiguousarray(np.moveaxis(spectrum.drift, 0, -1), np.float32)
    velocity = velocity * np.float32(min(picture.shape[:2]))
    speed = np.hypot(velocity[..., 0], velocity[..., 1])
    slow = min(0.25 * float(speed.max()), DRIFTS * min(picture.shape[:2]))
    drifting = np.clip(speed / max(slow, 1e-6), 0.0, 1.0).astype(np.float32)
    allowed = drifting * resize(np.ascontiguousarray(gain, np.float32), drifting.shape[:2])
    return Drift(
        resize(extend(velocity, drifting), size),
        follow_edges(allowed, picture, size),
        resize(water, size) if water is not None else np.zeros(size, np.float32),
        picture,
        seconds=seconds,
        loop=loop,
        seed=seed,
    )


def _class(classes: Floats | None, name: str) -> Floats | None:
    if classes is None:
        return None
    return np.ascontiguousarray(classes[CLASSES.index(name)], np.float32)


def _grid(size: tuple[int, int], picture: tuple[int, int]) -> tuple[Floats, Floats]:
    """Pixel coordinates, in the picture, of the centres of a grid's cells; (1, w) and (h, 1)."""
    x = (np.arange(size[1], dtype=np.float64) + 0.5) * picture[1] / size[1] - 0.5
    y = (np.arange(size[0], dtype=np.float64) + 0.5) * picture[0] / size[0] - 0.5
    return x.astype(np.float32)[None], y.astype(np.float32)[:, None]


def _cells(
    x: Floats, y: Floats, picture: tuple[int, int], grid: tuple[int, int]
) -> tuple[Floats, Floats]:
    """Pixel coordinates of the picture -> coordinates on a grid laid over it."""
    sx, sy = grid[1] / picture[1], grid[0] / picture[0]
    return (
        x * np.float32(sx) + np.float32(0.5 * sx - 0.5),
        y * np.float32(sy) + np.float32(0.5 * sy - 0.5),
    )
