"""What is laid over frames once they are drawn: blur, light and grain, in that order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .blur import Softness, soften
from .grain import Grain, add_grain
from .light import Light, relight, sunny_side

if TYPE_CHECKING:
    from .camera import Camera
    from .look import Look
    from .pacing import Pacing

Floats: TypeAlias = NDArray[np.float32]
Bytes: TypeAlias = NDArray[np.uint8]


def finish(
    frames: Iterator[Bytes],
    look: Look,
    *,
    camera: Camera,
    pacing: Pacing,
    picture: Bytes,
    fps: float,
    seconds: float,
    loop: bool = False,
    seed: int = 0,
    focus: tuple[float, float] = (0.5, 0.5),
    flame: Floats | None = None,
    faces: Floats | None = None,
    people: Floats | None = None,
) -> Iterator[Bytes]:
    """Frames in, frames out, with everything of a look but its camera.

    picture (H, W, 3) uint8: the first frame; camera: what it was drawn through; flame, faces,
    people: (h, w) 0..1 over the picture, any grid, or None; the rest as in `motion.render`.
    """
    size = picture.shape[0], picture.shape[1]
    if look.blur > 0.0:
        softness = Softness(
            look.blur,
            size=size,
            camera=camera,
            pacing=pacing,
            faces=faces,
            people=people,
            focus=focus,
        )
        frames = soften(frames, softness, fps=fps)
    light = Light(
        look.light,
        size=size,
        seconds=seconds,
        loop=loop,
        seed=seed,
        focus=focus,
        flame=flame,
        sun=sunny_side(picture),
        arrives=look.arrives,
        wander=look.wander,
        swell=look.swell,
        pacing=pacing,
    )
    frames = relight(frames, light, fps=fps)
    if look.light.grain > 0.0:
        spared = faces if look.spares else None
        frames = add_grain(frames, Grain(size, look.light.grain, seed, spared), fps=fps)
    return frames
