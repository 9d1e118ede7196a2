"""Faults laid into the frames of a good film, to prove that guards see them.

Each takes frames, uint8 RGB (h, w, 3), and how many there are, and yields as many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

import numpy as np

from ..runtime.alignment import TEMPLATE, Pixels, fit, inverse
from ..runtime.identity import Identity
from ..runtime.overlay import lay_face

Fault = Callable[[Iterable[Pixels], int], Iterator[Pixels]]


def none(frames: Iterable[Pixels], count: int) -> Iterator[Pixels]:
    """The film as it is."""
    yield from frames


def frozen(frames: Iterable[Pixels], count: int) -> Iterator[Pixels]:
    """From a third on nothing moves any more."""
    kept: Pixels | None = None
    for index, frame in enumerate(frames):
        if index <= count // 3 or kept is None:
            kept = frame
        yield kept


def frozen_grainy(frames: Iterable[Pixels], count: int) -> Iterator[Pixels]:
    """The first frame for ever, under film grain that is new in each."""
    random = np.random.default_rng([0, 9])
    first: Pixels | None = None
    for frame in frames:
        first = frame if first is None else first
        noise = random.normal(0, 3, first.shape[:2])[..., None]
        yield np.clip(np.rint(first + noise), 0, 255).astype(np.uint8)


def black_frame(frames: Iterable[Pixels], count: int) -> Iterator[Pixels]:
    """One frame in the middle is black."""
    for index, frame in enumerate(frames):
        yield np.zeros_like(frame) if index == count // 2 else frame


def white_frame(frames: Iterable[Pixels], count: int) -> Iterator[Pixels]:
    """One frame at three quarters is white."""
    for index, frame in enumerate(frames):
        yield np.full_like(frame, 255) if index == 3 * count // 4 else frame


def colour_ramp(frames: Iterable[Pixels], count: int, most: float = 40.0) -> Iterator[Pixels]:
    """Red comes slowly and blue goes, `most` levels at the end."""
    for index, frame in enumerate(frames):
        ramp = np.array([1.0, 0.0, -1.0]) * most * index / max(count - 1, 1)
        yield np.clip(np.rint(frame + ramp), 0, 255).astype(np.uint8)


def flicker(frames: Iterable[Pixels], count: int, size: float = 0.03) -> Iterator[Pixels]:
    """Brightness trembles by a share of itself, another in each frame, for half of the film."""
    random = np.random.default_rng([0, 10])
    for index, frame in enumerate(frames):
        if index < count // 2:
            yield frame
        else:
            gain = 1 + size * random.standard_normal()
            yield np.clip(np.rint(frame * gain), 0, 255).astype(np.uint8)


def seam(frames: Iterable[Pixels], count: int, share: float = 0.02) -> Iterator[Pixels]:
    """At the middle the picture jumps sideways by a share of its width, and stays there."""
    for index, frame in enumerate(frames):
        away = max(round(share * frame.shape[1]), 2) if index >= count // 2 else 0
        yield np.concatenate([frame[:, away:], frame[:, frame.shape[1] - away :][:, ::-1]], 1)


def not_finite(frames: Iterable[Pixels], count: int) -> Iterator[np.ndarray]:
    """As numbers 0..1, with one NaN in one frame."""
    for index, frame in enumerate(frames):
        numbers = frame.astype(np.float32) / 255
        if index == count // 2:
            numbers[0, 0, 0] = np.nan
        yield numbers


def other_face(
    frames: Iterable[Pixels],
    count: int,
    *,
    other: Pixels,
    identity: Identity,
    at: Callable[[float], float],
) -> Iterator[Pixels]:
    """The largest face becomes the largest of another photo.

    at: how much of it at a share of the film, 0..1.
    """
    with Identity(other) as donor:
        theirs = inverse(fit(donor.known[0].points, TEMPLATE))
    for index, frame in enumerate(frames):
        weight = at(index / max(count - 1, 1))
        way = identity.look(frame)[0].way if weight > 0 else None
        yield frame if way is None else lay_face(frame, other, theirs, way, weight)


def swapped(other: Pixels, identity: Identity) -> Fault:
    """Somebody else from the middle on."""
    return partial(other_face, other=other, identity=identity, at=lambda x: float(x >= 0.5))


def morphing(other: Pixels, identity: Identity) -> Fault:
    """Slowly somebody else."""
    return partial(other_face, other=other, identity=identity, at=lambda x: x)


def vanishing(identity: Identity) -> Fault:
    """The face melts into its own mean colour in the second half."""

    def fault(frames: Iterable[Pixels], count: int) -> Iterator[Pixels]:
        for index, frame in enumerate(frames):
            way = identity.look(frame)[0].way if index >= count // 2 else None
            if way is None:
                yield frame
                continue
            blank = np.full((112, 112, 3), frame.mean((0, 1)), np.uint8)
            yield lay_face(frame, blank, np.eye(2, 3), way, 1.0)

    return fault


GENERAL: dict[str, tuple[Fault, str]] = {
    "frozen": (frozen, "frozen share"),
    "frozen under grain": (frozen_grainy, "frozen share"),
    "black frame": (black_frame, "blank"),
    "white frame": (white_frame, "blank"),
    "colour ramp": (colour_ramp, "colour drift"),
    "flicker": (flicker, "flicker"),
    "seam": (seam, "seam"),
    "NaN": (not_finite, "not finite"),
}
"""Faults of any film by name, each with the figure that must tell it."""
