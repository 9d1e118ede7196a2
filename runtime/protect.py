"""Keeps the faces of a film those of its photo, for models that redraw every frame.

Frames pass with less than a second held back. A few times a second the photo's faces are looked
for; where one begins to be somebody else's, the photo's own is laid over it, moved as the film
moves it and in the film's light. Where that cannot help (a face lost, turned away, torn), the film
dissolves into frames the caller gives, whole before the first bad frame would be seen.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

from ..engines.device import Device
from .alignment import (
    TEMPLATE,
    Pixels,
    Points,
    Similarity,
    between,
    carry,
    crop,
    fit,
    follow,
    inverse,
    size_of,
    turn_of,
)
from .blend import blend, eased
from .faces import Face
from .identity import SAME, Identity, Known, Sighting
from .overlay import lay_face
from .stages import OnNote

GATE = SAME
"""Cosine that every shown face reaches."""
EARLY = 0.95
"""Cosine from which on the photo's face begins to be laid over."""
LOOKS = 6.0
"""Looks at faces a second."""
RAMP = 0.5
"""Seconds in which the photo's face comes and goes."""
DISSOLVE = 0.4
"""Seconds in which the film goes over into the other one."""
TORN = 0.12
"""Most that a face's five points may lie from where a turn, scale and shift brings the photo's, in
distances between the eyes (root mean square): beyond, the head was turned away."""
MINOR = 48
"""Faces of fewer pixels across are laid over where they can be; a film is not given up for them."""
_MOST_TURN, _MOST_SCALE = 30.0, 1.8
_OWN_FLOW = 0.8  # from this cosine on, a face is followed by the photo's
_TRUST = 0.1  # in the detector, against what is seen to have moved
_STEADY = 0.08  # parts may move against each other by this and still be followed, eye distances


@dataclass
class _Key:
    """What was seen of every face at one frame."""

    index: int
    needs: list[float]
    """For each face, how much of the photo's it needs, 0..1."""
    ways: list[Similarity | None]
    helped: list[bool]
    """False where laying the photo's face over it would not do."""
    seen: list[Pixels | None] = field(default_factory=list)
    """The film's own faces on the template; what somebody else's face is followed by."""
    own: list[bool] = field(default_factory=list)
    """Whether it is like enough to the photo's to be followed by that."""


def protect(
    frames: Iterable[Pixels],
    picture: Pixels,
    faces: Sequence[Face] | None,
    *,
    fps: float,
    count: int,
    fallback: Callable[[], Iterator[Pixels]],
    identity: Identity | None = None,
    on_note: OnNote | None = None,
    device: Device | str = "cpu",
) -> Iterator[Pixels]:
    """Yield a film's frames with the photo's faces kept; the first frame as it is.

    Args:
        frames: uint8 RGB (h, w, 3), `count` of them.
        picture: the photo as the film frames it, uint8 RGB (h, w, 3), of the same size.
        faces: those found on it, boxes 0..1 of it; None looks for them. Without any, the frames
            pass through untouched.
        fps: frames a second.
        fallback: gives frames of the same size and number, that show the photo with camera and
            light alone; called once at most, and only where nothing else helps.
        identity: the picture's faces, where they are known already; it is not closed.
        on_note: told a line when faces are laid over, and when the film dissolves.

    Raises:
        EngineError: the device cannot run the networks that know faces.
        BundleError: they are missing or broken.
    """
    known = identity or Identity(picture, faces, device=device)
    try:
        if known.known:
            guard = _Guard(known, picture, fps=fps, on_note=on_note or (lambda text: None))
            yield from guard.run(iter(frames), count, fallback)
        else:
            yield from frames
    finally:
        if identity is None:
            known.close()


class _Guard:
    """Frames held back, and what is known of the faces in them."""

    def __init__(self, identity: Identity, picture: Pixels, *, fps: float, on_note: OnNote) -> None:
        self._identity, self._picture = identity.again(), picture
        self._fps, self._note = fps, on_note
        self._every = max(round(fps / LOOKS), 1)
        self._dissolve = max(round(fps * DISSOLVE), 1)
        self._ramp = max(RAMP * fps, 1.0)
        self._hold = max(self._dissolve, math.ceil(self._ramp)) + 2 * self._every
        self._held: deque[tuple[int, Pixels]] = deque()
        self._keys: deque[_Key] = deque()
        self._noted = False
        self._home = [inverse(fit(known.points, TEMPLATE)) for known in identity.known]
        self._minor = {face for face, way in enumerate(self._home) if 86 * size_of(way) < MINOR}

    def run(
        self, frames: Iterator[Pixels], count: int, fallback: Callable[[], Iterator[Pixels]]
    ) -> Iterator[Pixels]:
        for index, frame in enumerate(frames):
            self._held.append((index, frame))
            if index % self._every == 0 or index == count - 1:
                self._keys.append(self._key(index, frame))
                bad = self._first_bad(last=index == count - 1)
                if bad is not None:
                    with suppress(AttributeError):
                        frames.close()  # type: ignore[attr-defined]
                    yield from self._dissolved(bad, count, fallback)
                    return
                yield from self._released(index - self._hold)
        yield from self._released(None)

    def _released(self, upto: int | None) -> Iterator[Pixels]:
        """Pass on the frames up to an index, faces laid over where they need it."""
        while self._held and (upto is None or self._held[0][0] <= upto):
            yield self._kept(*self._held.popleft())
            while (
                len(self._keys) > 1
                and self._held
                and (self._keys[1].index < self._held[0][0] - self._ramp - self._every)
            ):
                self._keys.popleft()

    # -- looking -----------------------------------------------------------------------------------

    def _key(self, index: int, frame: Pixels) -> _Key:
        key = _Key(index, [], [], [])
        for face, sighting in enumerate(self._identity.look(frame)):
            need, way, helped = 0.0, sighting.way, True
            if sighting.state == "lost":
                need, way, helped = 1.0, None, False
                if face in self._minor:
                    need, helped = 0.0, True
            elif sighting.state == "seen" and sighting.cosine is not None:
                need = eased((EARLY - sighting.cosine) / (EARLY - GATE - 0.01))
                own = sighting.cosine >= _OWN_FLOW
                if not own and sighting.points is not None:
                    way = inverse(fit(sighting.points, TEMPLATE))
                if way is not None:
                    way = self._followed(frame, face, way, own)
                if sighting.cosine < GATE and way is not None and face not in self._minor:
                    helped = self._helps(frame, face, sighting, way)
            key.needs.append(need)
            key.ways.append(way)
            key.helped.append(helped)
            key.seen.append(None if way is None else crop(frame, way))
            key.own.append((sighting.cosine or 0.0) >= _OWN_FLOW)
        return key

    def _followed(self, frame: Pixels, face: int, found: Similarity, own: bool) -> Similarity:
        """Where a face lies: as it moved since the last look, little by little brought to where it
        is found, so that it does not jump where the photo's face is no longer there to compare."""
        last = self._keys[-1] if self._keys else None
        before = None if last is None else last.seen[face]
        if last is None or before is None or (own and last.own[face]):
            return found
        moved, apart = follow(before, frame, found)
        if not _near(moved, found):
            return found
        return between(moved, found, _TRUST if apart < _STEADY else 0.5)

    def _helps(self, frame: Pixels, face: int, sighting: Sighting, way: Similarity) -> bool:
        """Whether the photo's face can stand for the frame's: in pose, and once it is laid over."""
        home, known = self._home[face], self._identity.known[face]
        scale = size_of(way) / size_of(home)
        turn = (turn_of(way) - turn_of(home) + 180) % 360 - 180
        if abs(turn) > _MOST_TURN or not 1 / _MOST_SCALE < scale < _MOST_SCALE:
            return False
        if sighting.points is not None and _torn(known, sighting.points) > TORN:
            return False
        laid = lay_face(frame, self._picture, home, way, 1.0)
        return self._identity.compare(laid, face, way) >= GATE

    def _first_bad(self, *, last: bool) -> int | None:
        """The first frame from which on nothing helps, once two looks in a row (or the last) say
        so; None where there is none."""
        keys = list(self._keys)
        for face in range(len(self._home)):
            run = 0
            while run < len(keys) and not keys[-1 - run].helped[face]:
                run += 1
            if run >= 2 or (run and last):
                return keys[-1 - run].index + 1 if run < len(keys) else keys[0].index
        return None

    # -- showing -----------------------------------------------------------------------------------

    def _kept(self, index: int, frame: Pixels) -> Pixels:
        if index == 0:
            return frame
        for face in range(len(self._home)):
            weight = self._weight(index, face)
            if weight < 0.02:
                continue
            way = self._way(index, face, frame)
            if way is None:
                continue
            frame = lay_face(frame, self._picture, self._home[face], way, weight)
            if not self._noted:
                self._noted = True
                self._note(
                    f"from {index / self._fps:.1f} s on the photo's faces are laid over the "
                    "model's, which began to change"
                )
        return frame

    def _weight(self, index: int, face: int) -> float:
        """How much of the photo's face a frame needs: that of the looks around it, coming and
        going slowly."""
        reach = self._ramp - self._every
        weights = [0.0]
        for key in self._keys:
            away = max(abs(key.index - index) - self._every, 0)
            weights.append(key.needs[face] * eased(1 - away / max(reach, 1.0)))
        return max(weights)

    def _way(self, index: int, face: int, frame: Pixels) -> Similarity | None:
        """Where a face lies in a frame, from the looks around it and from what is seen."""
        found = [key for key in self._keys if key.ways[face] is not None]
        before = [key for key in found if key.index <= index]
        after = [key for key in found if key.index >= index]
        if not before and not after:
            return None
        first, then = (before or after)[-1 if before else 0], (after or before)[0 if after else -1]
        start, end = first.ways[face], then.ways[face]
        if start is None or end is None:
            return None
        share = (index - first.index) / max(then.index - first.index, 1)
        way = between(start, end, min(max(share, 0.0), 1.0))
        if index in (first.index, then.index):
            return way
        own = first.own[face] and then.own[face]
        seen = self._identity.known[face].face if own else first.seen[face]
        if seen is None:
            return way
        closer, apart = follow(seen, frame, way)
        return closer if apart < _STEADY and _near(closer, way) else way

    def _dissolved(
        self, bad: int, count: int, fallback: Callable[[], Iterator[Pixels]]
    ) -> Iterator[Pixels]:
        """The frames held back up to a bad one, dissolving into the other film; then that one.

        Where none has been shown yet, the other film from its beginning: a second of what went
        wrong so soon is not worth a dissolve.
        """
        first = self._held[0][0] if self._held else bad
        start = min(max(bad - self._dissolve, first, 1), bad)  # the first frame stays the photo
        at = bad if first else 1
        self._note(
            f"from {at / self._fps:.1f} s on a face would not be the photo's any more: the film "
            "goes on with camera and light alone"
        )
        other = fallback()
        held = {index: frame for index, frame in self._held if index < at}
        self._held.clear()
        self._keys = deque(key for key in self._keys if key.index < bad)
        for index, frame in enumerate(other):
            if index < first:
                continue
            if index >= count:
                break
            if index in held:
                own = self._kept(index, held.pop(index))
                share = eased((index - start + 1) / (bad - start + 1)) if index >= start else 0.0
                yield self._between(index, own, frame, share) if share > 0 else own
            else:
                yield frame

    def _between(self, index: int, own: Pixels, other: Pixels, share: float) -> Pixels:
        """A frame on the way to the other film, with one face where both would show theirs."""
        mixed = blend(own, other, share)
        for face, home in enumerate(self._home):
            way = self._way(index, face, own)
            there, _ = follow(self._identity.known[face].face, other, home)
            if way is not None and size_of(there) / size_of(home) < _MOST_SCALE:
                place = between(way, there, share)
                weight = min(1.0, 4 * min(share, 1 - share))
                mixed = lay_face(mixed, self._picture, home, place, weight)
        return mixed


def _near(one: Similarity, other: Similarity) -> bool:
    """Whether two places of a face are nearly one."""
    middle = np.array([[56.0, 72.0]])
    apart = float(np.hypot(*(carry(middle, one) - carry(middle, other))[0]))
    return apart < 12 * size_of(other) and 0.9 < size_of(one) / size_of(other) < 1.11


def _torn(known: Known, points: Points) -> float:
    """How far five points lie from those of the photo's face as it was moved, in eye distances."""
    way = fit(known.points, points)
    apart = np.sqrt(np.square(carry(known.points, way) - points).sum(1).mean())
    return float(apart / max(float(np.hypot(*(points[1] - points[0]))), 1e-6))
