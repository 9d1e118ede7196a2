"""A look over frames that are already drawn, and a film of a photo by camera and light alone.

Video models draw moving frames; a look that was asked for is laid over them here. Where they cannot
be used, the photo itself is filmed with nothing moving in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from ..motion import render
from ..regions import face_map
from ..spectrum import FREQUENCIES, Spectrum
from ..steer import focus as focus_of
from ..steer import scene_depth
from ..upsample import resize
from .camera import Camera, headroom
from .finish import Finish
from .irregular import Unrest
from .lens import Lens, calm_depth
from .look import Look

if TYPE_CHECKING:
    from ...engines.device import Device
    from ..regions import Regions

Floats: TypeAlias = NDArray[np.float32]
Bytes: TypeAlias = NDArray[np.uint8]

PEOPLE = 0.01  # share of the picture from which people count


@dataclass(frozen=True)
class Scene:
    """What is known of a picture, for a look: (h, w) float32 0..1 over it, or None."""

    people: Floats | None = None
    faces: Floats | None = None
    depth: Floats | None = None
    focus: tuple[float, float] = (0.5, 0.5)

    @classmethod
    def of(cls, regions: Regions | None, classes: Floats | None = None) -> Scene:
        """Read it from what was found on a photo, carried to its frame.

        classes (6, h, w): what each place is, where that is known. Without it the depth of a place
        without people is left alone: the network takes a bright sky for a near wall.
        """
        if regions is None:
            return cls()
        people = np.ascontiguousarray(1.0 - regions.people[..., 0], np.float32)
        depth = None
        if classes is not None:
            depth = scene_depth(regions.depth, classes)
        elif float(people.mean()) > PEOPLE:
            depth = regions.depth
        faces = face_map(regions.faces, regions.depth.shape) if regions.faces else None
        return cls(people, faces, depth, focus_of(regions))


def apply_look(
    frames: Iterator[Bytes],
    look: Look,
    *,
    fps: float,
    count: int,
    loop: bool = False,
    seed: int = 0,
    regions: Regions | None = None,
    focus: tuple[float, float] | None = None,
) -> Iterator[Bytes]:
    """Lay a look over frames, one by one; the first frame stays as it is.

    frames: uint8 (H, W, 3), all of one size, `count` of them at `fps`; regions: what was found on
    the first one's photo, carried to its frame, or None; focus: in place of what regions say. A
    look that asks for nothing passes the frames through untouched. Two layers need a still picture
    and are not drawn here; the pace of the world's own time is the model's.
    """
    if look.empty:
        return frames
    return _laid(frames, look, fps, count, loop, seed, regions, focus)


def still_film(
    picture: Bytes,
    look: Look | None = None,
    *,
    seconds: float,
    fps: float,
    loop: bool = False,
    seed: int = 0,
    regions: Regions | None = None,
    classes: Floats | None = None,
    focus: tuple[float, float] | None = None,
    device: Device | str = "cpu",
) -> Iterator[Bytes]:
    """Film a photo by camera and light alone: nothing in it moves.

    picture uint8 (H, W, 3), both even; look: None is a slow push in the photo's own light; the rest
    as in `apply_look` and `motion.render`, which draws it. The first frame is the picture.
    """
    scene = Scene.of(regions, classes)
    nothing = np.zeros((len(FREQUENCIES), 4, 8, 8), np.float32)
    still = Spectrum(nothing, np.array(FREQUENCIES, np.float32), np.zeros((2, 8, 8), np.float32))
    return render(
        picture,
        still,
        np.zeros((8, 8), np.float32),
        seconds=seconds,
        fps=fps,
        loop=loop,
        seed=seed,
        depth=scene.depth,
        people=scene.people,
        focus=focus or scene.focus,
        device=device,
        look=look or Look(),
        faces=scene.faces,
    )


def _laid(
    frames: Iterator[Bytes],
    look: Look,
    fps: float,
    count: int,
    loop: bool,
    seed: int,
    regions: Regions | None,
    focus: tuple[float, float] | None,
) -> Iterator[Bytes]:
    first = next(frames, None)
    if first is None:
        return
    scene = Scene.of(regions)
    at = focus or scene.focus
    seconds = count / fps
    pacing = look.pacing(seconds=seconds, loop=loop, seed=seed)
    camera = Camera(
        look.camera,
        seconds=seconds,
        loop=loop,
        focus=at,
        pacing=pacing,
        aside=look.aside,
        above=headroom(scene.people),
    )
    height, width = first.shape[:2]
    grid = (height + 3) // 4, (width + 3) // 4
    unrest = Unrest(
        look.irregular,
        size=grid,
        picture=(height, width),
        seconds=seconds,
        seed=seed,
        faces=scene.faces,
        people=scene.people,
        near=scene.depth,
    )
    depth = calm_depth(scene.depth, scene.people, grid) if scene.depth is not None else None
    lens = Lens(depth, grid, (height, width))
    whole: Iterator[Bytes] = chain((first,), frames)
    if look.moves or unrest.active:
        whole = _through(whole, camera, lens, unrest, depth is None, fps)
    finish = Finish(
        look,
        camera=camera,
        pacing=pacing,
        picture=first,
        fps=fps,
        seconds=seconds,
        loop=loop,
        seed=seed,
        focus=at,
        faces=scene.faces,
        people=scene.people,
    )
    for index, frame in enumerate(whole):
        yield finish.lay(frame, index)


def _through(
    frames: Iterator[Bytes], camera: Camera, lens: Lens, unrest: Unrest, flat: bool, fps: float
) -> Iterator[Bytes]:
    """Frames as the camera sees them; sampled by a cubic, which keeps a slow zoom sharp."""
    x = y = None
    for index, frame in enumerate(frames):
        view = camera.view(index / fps)
        jolt = unrest.offsets(index / fps)
        height, width = frame.shape[:2]
        if jolt is None and view.zoom == 1.0 and not (view.side or view.rise):
            yield frame
        elif jolt is None and flat:
            seen = cv2.warpAffine(
                frame,
                view.matrix(height, width),
                (width, height),
                flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REFLECT_101,
            )
            yield np.asarray(seen, np.uint8)
        else:
            if x is None or y is None:
                x = np.arange(width, dtype=np.float32)[None]
                y = np.arange(height, dtype=np.float32)[:, None]
            offsets = lens.offsets(view)
            if jolt is not None:
                offsets = offsets[0] + jolt[0], offsets[1] + jolt[1]
            across, along = (resize(o, (height, width)) for o in offsets)
            seen = cv2.remap(
                frame, x + across, y + along, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
            )
            yield np.asarray(seen, np.uint8)
