"""Joins the shots of a story into one film, frame by frame, with two shots open at most."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from ...engines.errors import ReverieError
from ..blend import blend, eased
from ..letters.lettering import Letters, compose
from .timeline import Span, Timeline

Frame = NDArray[np.uint8]
OpenShot = Callable[[int], Iterator[Frame]]
"""Gives a shot's rendered frames, uint8 RGB (H, W, 3), from its first."""
Lettering = Callable[[int, Frame], Letters | None]
"""Gives a shot's caption, drawn for its first frame, or None."""

_APPEARS, _FADES = 0.5, 0.7  # seconds before a caption comes, and for its coming and going


def assemble(
    timeline: Timeline, open_shot: OpenShot, lettering: Lettering | None = None
) -> Iterator[Frame]:
    """Yield exactly `timeline.frames` frames; shots are opened when first seen, closed when gone.

    A dissolve is an even mix that sets off and ends softly; both shots go on moving through it.
    """
    playing: _Playing | None = None
    at = 0
    try:
        for index, span in enumerate(timeline.spans):
            following = timeline.spans[index + 1] if index + 1 < len(timeline.spans) else None
            if playing is None:
                playing = _Playing(index, span, timeline.fps, open_shot, lettering)
            alone = following.start if following is not None else span.stop
            for _ in range(alone - at):
                yield playing.next()
            at = alone
            if following is not None and following.dissolve:
                coming = _Playing(index + 1, following, timeline.fps, open_shot, lettering)
                try:
                    for step in range(following.dissolve):
                        share = eased((step + 1) / (following.dissolve + 1))
                        yield blend(playing.next(), coming.next(), share)
                except BaseException:
                    coming.close()
                    raise
                at += following.dissolve
                playing.close()
                playing = coming
            else:
                playing.close()
                playing = None
    finally:
        if playing is not None:
            playing.close()


class _Playing:
    """One shot while it is seen: its moments in order, its caption, its way from and to black."""

    def __init__(
        self, index: int, span: Span, fps: int, open_shot: OpenShot, lettering: Lettering | None
    ) -> None:
        self._index, self._span, self._fps = index, span, fps
        self._frames = open_shot(index)
        self._lettering = lettering
        self._letters: Letters | None = None
        self._shown = 0
        self._read = -1
        self._before: Frame | None = None
        self._now: Frame | None = None

    def next(self) -> Frame:
        frame = self._moment(self._span.source(self._shown))
        if self._shown == 0 and self._lettering is not None:
            self._letters = self._lettering(self._index, frame)
        if self._letters is not None:
            frame = compose(frame, self._letters, self._opacity())
        dark = self._darkness()
        self._shown += 1
        return blend(frame, np.zeros_like(frame), dark) if dark > 0 else frame

    def close(self) -> None:
        with suppress(AttributeError):
            self._frames.close()  # type: ignore[attr-defined]

    def _moment(self, moment: float) -> Frame:
        """The rendered shot at a moment, between two frames where it comes to rest."""
        low, share = int(moment), moment - int(moment)
        while self._read < low + (share > 1e-6):
            frame = next(self._frames, None)
            if frame is None:  # a hair shorter than planned: its last frame stays
                break
            self._before, self._now = self._now, frame
            self._read += 1
        if self._now is None:
            raise ReverieError(f"shot {self._index + 1} of the story has no frames")
        if self._before is None or self._read <= low or share <= 1e-6:
            return self._now
        return blend(self._before, self._now, share)

    def _opacity(self) -> float:
        """How much of the caption is seen."""
        shown, span = self._shown / self._fps, self._span
        whole = span.count / self._fps
        into, out = max(span.dissolve, span.rise), max(span.leave, span.fall)
        # It waits for the shot to be alone, for the other may have a face there; where hardly
        # anything would be left of a short shot it comes half-way through its changes.
        share = 1.0 if span.count - into - out > 0.4 * span.count else 0.5
        before, behind = share * into / self._fps, share * out / self._fps
        fade = min(_FADES, 0.25 * (whole - before - behind))
        start = before + min(_APPEARS, 0.1 * whole)
        left = (span.count - 1 - self._shown) / self._fps
        return eased(min((shown - start) / fade, (left - behind) / fade))

    def _darkness(self) -> float:
        span, dark = self._span, 0.0
        if span.rise and self._shown < span.rise:
            dark = 1.0 - eased(self._shown / span.rise)
        left = span.count - 1 - self._shown
        if span.fall and left < span.fall:
            dark = max(dark, 1.0 - eased(left / span.fall))
        return dark
