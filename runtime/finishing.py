"""What is done to frames once a family has drawn them: faces kept, a look, a label, a watch.

Every family's frames pass through here one by one. ember draws camera and light itself, from the
photo; over the frames of a video model they are laid here, where they were asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import islice, repeat

import numpy as np
from numpy.typing import NDArray

from ..engines.device import Device
from ..engines.errors import EngineError
from .guard import Report, Watch, describe
from .identity import Identity
from .letters.label import draw_label
from .letters.lettering import compose
from .look.look import Look
from .settings import Settings
from .stages import Stages
from .take import Take

Pixels = NDArray[np.uint8]

EMBER_LOOKS = 0.5
"""Looks at faces a second where the family leaves them in peace by itself."""
_STILLNESS = {"frozen", "frozen share", "repeated"}


class Finishing:
    """The last steps of one film.

    take: what the family made; its `picture` and `regions` say what the faces should be. look: what
    is to be laid over the frames where the model draws them whole (`drawn`). count: frames of the
    film. Notes go to `stages`. Raises SettingsError where the label cannot be drawn.
    """

    def __init__(
        self,
        take: Take,
        settings: Settings,
        look: Look,
        *,
        drawn: bool,
        count: int,
        device: Device | str,
        stages: Stages,
    ) -> None:
        self._take, self._settings, self._look = take, settings, look
        self._drawn, self._count = drawn, count
        self._device, self._stages = device, stages
        self._label = None
        if settings.label is not None:  # now, for it may not fit, and frames cost time
            size = take.width, take.height
            self._label = draw_label(settings.label, size, faces=self._face_boxes())
        self.report: Report | None = None
        """What the guards saw, once the last frame has passed."""

    def over(self, frames: Iterator[Pixels]) -> Iterator[Pixels]:
        """Pass the family's frames on, finished; uint8 RGB (height, width, 3).

        Raises:
            EngineError: faces are to be kept, and the networks that know them cannot be run.
        """
        settings, take = self._settings, self._take
        frames = islice(frames, self._count)
        with ExitStack() as stack:
            identity = self._identity(stack)
            if self._drawn:
                if identity is not None and identity.known:
                    frames = self._protected(frames, identity)
                frames = self._looked(frames)
            letters = self._label
            if letters is not None:
                frames = (compose(frame, letters) for frame in frames)
            watch = Watch(
                take.picture,
                fps=settings.fps,
                count=self._count,
                loop=settings.loop,
                identity=identity,
                looks=1.0 if self._drawn else EMBER_LOOKS,
                expected_light=self._look.light.kind not in (None, "none"),
            )
            yield from watch.over(frames)
            self.report = watch.report()
            self._tell(self.report)

    def _identity(self, stack: ExitStack) -> Identity | None:
        """The faces of the framed photo; None where there are none, or they are left free."""
        picture, regions = self._take.picture, self._take.regions
        if picture is None or self._settings.faces == "free":
            return None
        if regions is not None and not regions.faces:
            return None
        faces = (
            None if regions is None or any(not f.points for f in regions.faces) else regions.faces
        )
        try:
            return stack.enter_context(Identity(picture, faces, device=self._device))
        except EngineError as error:
            if self._drawn:
                raise
            self._stages.note(f"faces were not watched: {error}")
            return None

    def _protected(self, frames: Iterator[Pixels], identity: Identity) -> Iterator[Pixels]:
        from .protect import protect

        take, settings = self._take, self._settings
        picture = take.picture
        assert picture is not None
        return protect(
            frames,
            picture,
            None if take.regions is None else take.regions.faces,
            fps=settings.fps,
            count=self._count,
            fallback=self._still(picture),
            identity=identity,
            on_note=self._stages.note,
            device=self._device,
        )

    def _still(self, picture: Pixels) -> Callable[[], Iterator[Pixels]]:
        """The film of the photo by camera and light alone; a look that is laid over it brings its
        own."""
        settings = self._settings
        if not self._look.empty:
            return lambda: repeat(picture, self._count)

        def film() -> Iterator[Pixels]:
            from .look.apply import still_film

            return still_film(
                picture,
                seconds=self._count / settings.fps,
                fps=settings.fps,
                loop=settings.loop,
                seed=settings.seed,
                regions=self._take.regions,
                device=self._device,
            )

        return film

    def _looked(self, frames: Iterator[Pixels]) -> Iterator[Pixels]:
        from .look.apply import apply_look

        settings = self._settings
        return apply_look(
            frames,
            self._look,
            fps=settings.fps,
            count=self._count,
            loop=settings.loop,
            seed=settings.seed,
            regions=self._take.regions,
        )

    def _face_boxes(self) -> list[tuple[float, float, float, float]]:
        """Where faces are, in pixels of the frame."""
        take = self._take
        found = [] if take.regions is None else [face.box for face in take.regions.faces]
        wide, tall = take.width, take.height
        return [(b.x0 * wide, b.y0 * tall, b.x1 * wide, b.y1 * tall) for b in found]

    def _tell(self, report: Report) -> None:
        """Note what is bad; stillness that was asked for is not."""
        settings, look = self._settings, self._look
        still = settings.camera == "off" or look.camera.move == "still"
        calm = settings.motion == 0 or (still and not self._drawn)
        for figure in report.figures:
            if figure.verdict == "bad" and not (calm and figure.name in _STILLNESS):
                self._stages.note(f"the guards saw: {describe(figure)}")
