"""Watches a film's frames as they pass, and says what is wrong with them.

Nothing is held back or changed: `Watch.over` yields the frames it is given. What it looks at is a
thumbnail of each frame, and the faces of about one frame a second; so it costs about a millisecond
a frame, and its memory does not grow with the film.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .alignment import find_view
from .identity import CLEAR, SAME, Identity
from .report import LIMITS, FaceRow, Figure, Report, Verdict, describe
from .trackers import (
    GRID,
    Blank,
    Drift,
    Flicker,
    Frozen,
    Pixels,
    Steps,
    Worst,
    luma,
    picked,
    thumbnail,
)

__all__ = ["LIMITS", "FaceRow", "Figure", "Report", "Watch", "describe"]


CODED = 1.0
"""Levels by which an encoder draws a film's first picture, which stands alone, otherwise than its
last; a calm film's own steps are smaller."""


class Watch:
    """Sees a film's frames in their order, and reports.

    Args:
        photo: what the first frame should be, uint8 RGB (H, W, 3) of any size; None where that is
            not known.
        fps: frames a second.
        count: how many frames come, where that is known; it spreads the looks at faces.
        loop: whether the last frame leads into the first.
        identity: the photo's faces; None, or one without faces, judges none.
        expected_light: whether a change of light was asked for, so that it is no fault.
        looks: looks at faces a second; `most_looks` in all.
    """

    def __init__(
        self,
        photo: Pixels | None = None,
        *,
        fps: float,
        count: int | None = None,
        loop: bool = False,
        identity: Identity | None = None,
        expected_light: bool = False,
        looks: float = 1.0,
        most_looks: int = 24,
    ) -> None:
        self._photo, self._fps, self._loop, self._lit = photo, fps, loop, expected_light
        self._identity = identity.again() if identity is not None and identity.known else None
        self._every = max(round(fps / looks), 1)
        if count is not None:
            self._every = max(self._every, -(-count // most_looks))
        self._left, self._extra = most_looks, max(most_looks // 2, 1)
        self._frames = self._bad_numbers = 0
        self._first_bad: int | None = None
        self._blank, self._frozen = Blank(), Frozen(fps)
        self._steps, self._flicker = Steps(fps), Flicker(fps)
        self._drift = Drift(fps)
        self._before: Pixels | None = None
        self._start: Pixels | None = None
        self._shown = True
        self._blocks: NDArray[np.float32] | None = None
        self._usual: NDArray[np.float32] | None = None
        self._last: Pixels | None = None
        self._looked = -1
        self._apart: float | None = None
        known = len(self._identity.known) if self._identity else 0
        self._worst = [Worst(-2.0) for _ in range(known)]
        self._worst_small = Worst(-2.0)
        self._states = [dict.fromkeys(("seen", "small", "out", "lost"), 0) for _ in range(known)]
        self._lost_at: int | None = None

    def over(self, frames: Iterable[Pixels]) -> Iterator[Pixels]:
        """Pass frames on, looking at each."""
        for frame in frames:
            self.see(frame)
            yield frame

    def see(self, frame: NDArray[Any]) -> None:
        """Look at the next frame: uint8 RGB (h, w, 3), or float 0..1, of one size throughout."""
        index = self._frames
        self._frames += 1
        pixels = self._finite(index, frame)
        small, fine = thumbnail(pixels), picked(pixels)
        grey = luma(small)
        nothing = self._blank.see(index, grey)
        step = self._step(fine)
        self._frozen.see(index, small, step)
        if step is not None and not nothing and self._shown:  # a blank frame is told as such
            self._steps.see(index, step)
        self._flicker.see(index, grey)
        if index == 0:
            self._begin(pixels, fine)
        self._drift.see(index, pixels, small)
        self._before, self._shown, self._last = fine, not nothing, pixels
        self._look(index, pixels, jumped=self._jumps(small))

    def report(self) -> Report:
        """Say what was seen; call it once, when the last frame has passed."""
        last = self._frames - 1
        if last < 0:
            return Report(0, self._fps, (), not_measured={"everything": "there are no frames"})
        if self._last is not None and last > self._looked:
            self._look(last, self._last, last=True)
        self._steps.end()
        self._flicker.end(last)
        self._drift.end(last)
        figures, missing = self._identity_figures()
        figures += self._frozen_figures()
        blank = self._blank
        kinds = ("black", blank.black), ("white", blank.white), ("one colour", blank.flat)
        detail = ", ".join(f"{count} {name}" for name, count in kinds if count)
        total = blank.black + blank.white + blank.flat
        figures.append(self._figure("blank", total, blank.first, detail))
        whole, parts = self._flicker.whole, self._flicker.blocks
        figures.append(self._figure("flicker", whole.value, whole.frame))
        moving = max(1.0, self._steps.median() / 4)  # what passes through a block is no flicker
        figures.append(self._figure("flicker in places", parts.value / moving, parts.frame))
        figures.append(self._figure("not finite", self._bad_numbers, self._first_bad))
        drift = self._drift.worst
        figures.append(self._figure("colour drift", drift.value, drift.frame))
        if self._apart is not None:
            figures.append(self._figure("first frame", self._apart))
        else:
            why = "no photo was given" if self._photo is None else "it shows not this photo"
            missing["first frame"] = why
            if self._photo is not None:
                known = any(worst.value >= SAME for worst in self._least())
                figures.append(self._figure("another photo", 1 if known else 2, 0))
        seam = self._steps.worst
        told = f"{self._steps.levels:.1f} levels, median {self._steps.median():.2f}"
        figures.append(self._figure("seam", seam.value, seam.frame, told))
        if self._loop and self._start is not None and self._before is not None:
            step = _change(self._before, self._start)
            over = step / max(self._steps.median(), CODED)
            figures.append(self._figure("loop seam", over, None, f"{step:.1f} levels"))
        faces = tuple(
            FaceRow(
                worst.value if worst.value > -2 else None,
                worst.frame / self._fps if worst.value > -2 else None,
                **states,
            )
            for worst, states in zip(self._least(), self._states, strict=True)
        )
        return Report(self._frames, self._fps, tuple(figures), faces, missing)

    # -- looking -----------------------------------------------------------------------------------

    def _finite(self, index: int, frame: NDArray[Any]) -> Pixels:
        if frame.dtype == np.uint8:
            return frame
        if not np.isfinite(frame).all():
            self._bad_numbers += 1
            self._first_bad = index if self._first_bad is None else self._first_bad
            frame = np.nan_to_num(frame, nan=0.0, posinf=1.0, neginf=0.0)
        return np.asarray(np.clip(np.rint(frame * 255.0), 0, 255), np.uint8)

    def _begin(self, frame: Pixels, fine: Pixels) -> None:
        """Compare the first frame with what the photo shows there, where that can be found."""
        self._start = fine
        if self._photo is None:
            return
        seen = self._photo
        inside: NDArray[np.bool_] | None = None
        if self._photo.shape != frame.shape:
            view = find_view(self._photo, frame)
            if view is None:
                return
            size = frame.shape[1], frame.shape[0]
            scale = float(np.hypot(view[0, 0], view[1, 0]))
            photo = self._photo
            if scale < 0.7:  # so that fine detail is averaged, not picked from
                photo = np.asarray(cv2.GaussianBlur(photo, (0, 0), 0.4 / scale), np.uint8)
            seen = np.asarray(cv2.warpAffine(photo, view, size), np.uint8)
            cover = np.full(self._photo.shape[:2], 255, np.uint8)
            inside = picked(np.repeat(cv2.warpAffine(cover, view, size)[..., None], 3, 2)) > 250
            if inside.mean() < 0.3:
                return
        if inside is None:
            self._apart = float(np.abs(picked(seen).astype(np.int16) - fine).mean())
            self._drift.begin(seen)
        else:  # laid over it to a pixel or two only
            soft = [cv2.GaussianBlur(picked(one), (0, 0), 2.5) for one in (seen, frame)]
            self._apart = float(np.abs(np.subtract(*soft, dtype=np.int16))[inside].mean())

    def _step(self, fine: Pixels) -> float | None:
        return None if self._before is None else _change(self._before, fine)

    def _jumps(self, small: Pixels) -> bool:
        """Whether a part of the frame changed far more than it does otherwise."""
        now = np.asarray(small, np.float32)
        jumped = False
        if self._blocks is not None and self._identity is not None:
            change = np.abs(now - self._blocks).mean(-1)
            change = np.asarray(cv2.resize(change, GRID, interpolation=cv2.INTER_AREA))
            if self._usual is not None:
                jumped = bool((change > 4 * self._usual + 4).any())
                change = np.minimum(change, 2 * self._usual + 1)
                self._usual += 0.1 * (change - self._usual)
            else:
                self._usual = change
        self._blocks = now if self._identity is not None else None
        return jumped

    def _look(self, index: int, frame: Pixels, *, jumped: bool = False, last: bool = False) -> None:
        if self._identity is None:
            return
        due = index % self._every == 0 and self._left > 0
        if index == 0 and self._apart is not None and self._apart < 0.01:
            due = False  # it is the photo
        if jumped and not due and self._extra > 0 and index - self._looked > 1:
            self._extra -= 1
            due = True
        if not due and not last:
            return
        self._left -= 1
        self._looked = index
        for face, sighting in enumerate(self._identity.look(frame)):
            self._states[face][sighting.state] += 1
            if sighting.state == "lost" and self._lost_at is None:
                self._lost_at = index
            if sighting.cosine is None:
                continue
            if sighting.across < CLEAR:
                self._worst_small = self._worst_small.or_worse(-sighting.cosine, index)
            else:
                self._worst[face] = self._worst[face].or_worse(-sighting.cosine, index)

    # -- telling -----------------------------------------------------------------------------------

    def _figure(
        self, name: str, value: float, frame: int | None = None, detail: str = ""
    ) -> Figure:
        at = None if frame is None else frame / self._fps
        figure = Figure(name, float(value), "ok", at, detail, self._lit)
        limit = figure.limit
        verdict: Verdict = "ok"
        if limit.low_is_bad:
            verdict = "bad" if value < limit.bad else "warn" if value < limit.warn else "ok"
        elif value >= limit.warn:
            verdict = "bad" if value >= limit.bad else "warn"
        return replace(figure, verdict=verdict)

    def _least(self) -> list[Worst]:
        return [Worst(-one.value, one.frame) if one.value > -2 else one for one in self._worst]

    def _identity_figures(self) -> tuple[list[Figure], dict[str, str]]:
        if self._identity is None:
            why = "no photo was given" if self._photo is None else "the photo shows no face"
            return [], {"identity": why, "faces lost": why}
        seen = [(one.value, one.frame, i) for i, one in enumerate(self._least()) if one.value > -2]
        lost = max(states["lost"] for states in self._states)
        figures = [self._figure("faces lost", lost, self._lost_at)]
        small = self._worst_small
        if small.value > -2:
            figures.append(self._figure("small faces", -small.value, small.frame))
        if not seen:
            return figures, {"identity": "no face was seen large enough"}
        value, frame, face = min(seen)
        many = len(self._worst) > 1
        figures.insert(
            0, self._figure("identity", value, frame, f"face {face + 1}" if many else "")
        )
        return figures, {}

    def _frozen_figures(self) -> list[Figure]:
        longest = self._frozen.longest
        others = max(self._frames - 1, 1)
        return [
            self._figure("frozen", longest.value / self._fps, int(longest.frame)),
            self._figure("frozen share", longest.value / max(self._frames, 1)),
            self._figure("repeated", self._frozen.repeated / others),
        ]


def _change(before: Pixels, after: Pixels) -> float:
    return float(cv2.absdiff(before, after).mean())
