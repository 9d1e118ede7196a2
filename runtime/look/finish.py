"""What is laid over a frame once it is drawn: blur, light and grain, in that order."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .blur import Softness
from .grain import Grain
from .light import Light, sunny_side

if TYPE_CHECKING:
    from .camera import Camera
    from .look import Look
    from .pacing import Pacing

Floats: TypeAlias = NDArray[np.float32]
Bytes: TypeAlias = NDArray[np.uint8]


class Finish:
    """Everything of a look but its camera, for the frames of one film.

    picture (H, W, 3) uint8: the first frame; camera: what it was drawn through; flame, faces,
    people: (h, w) 0..1 over the picture, any grid, or None; the rest as in `motion.render`.
    """

    def __init__(
        self,
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
    ) -> None:
        size = picture.shape[0], picture.shape[1]
        self._fps = fps
        self._softness: Softness | None = None
        if look.blur > 0.0:
            self._softness = Softness(
                look.blur,
                size=size,
                camera=camera,
                pacing=pacing,
                faces=faces,
                people=people,
                focus=focus,
            )
        self._light = Light(
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
        self._grain: Grain | None = None
        if look.light.grain > 0.0:
            self._grain = Grain(size, look.light.grain, seed, faces if look.spares else None)

    def lay(self, frame: Bytes, index: int) -> Bytes:
        """Frame number `index`, finished; in any order and from any thread."""
        time = index / self._fps
        if self._softness is not None:
            frame = self._softness.lay(frame, time)
        frame = self._light.shine(frame, time)
        return frame if self._grain is None else self._grain.lay(frame, index, time)
