"""What the rhythm of a story needs to know of a picture: how near, how bright, seen before?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ...engines.engine import Engine
from ..crop import Box
from ..letterbox import map_size, shrunk
from ..photo import load_photo
from .plan import PhotoSource

_LOOK = 640  # pixels of the shorter side that are read of a photo at most
_SAME = 10  # of 128 bits that two looks at one picture may differ in


@dataclass(frozen=True)
class Measure:
    """What was found on one photo."""

    width: int
    height: int
    """Its size in pixels as it was read, upright; the shape is what counts."""
    brightness: float = 0.5
    """Mean of its luma, 0 .. 1."""
    warmth: float = 0.0
    """Red less blue, -1 .. 1."""
    face: float = 0.0
    """Height of the largest face as a share of the photo's."""
    subject: float = 0.0
    """Share of the photo that its subject covers."""
    faces: tuple[Box, ...] = ()
    """Where faces are, 0 .. 1 of width and height."""
    print_: int = 0
    """128 bits that nearly agree where two photos show the same picture."""

    salience: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
    """Small (h, w) map of the subject, 0 .. 1; None where no network looked."""

    @property
    def close(self) -> float:
        """How near the picture is: 0 a wide view, 1 a face or a thing that fills it."""
        return min(1.0, max(self.face / 0.5, (self.subject - 0.1) / 0.5, 0.0))

    @property
    def shape(self) -> float:
        """Width over height."""
        return self.width / self.height

    def shows_the_same_as(self, other: Measure) -> bool:
        """Whether the other one is the same picture, perhaps saved anew or in another light."""
        alike = abs(self.shape / other.shape - 1.0) < 0.1
        return alike and (self.print_ ^ other.print_).bit_count() <= _SAME


def measure_photo(photo: PhotoSource, engines: Mapping[str, Engine] | None = None) -> Measure:
    """Look at one photo; without engines ("faces", "subject") only what needs no network.

    Raises:
        PhotoError: it cannot be used.
    """
    pixels = load_photo(photo, target=_LOOK).pixels
    tall, wide = pixels.shape[:2]
    small = shrunk(pixels, _LOOK)
    mean = small.reshape(-1, 3).mean(0) / 255.0
    faces: tuple[Box, ...] = ()
    subject, salience = 0.0, None
    if engines is not None:
        from ..faces import find_faces
        from ..regions import find_subject

        faces = tuple(face.box for face in find_faces(small, engines["faces"]))
        found = find_subject(small, engines["subject"], map_size(small))
        subject = float((found > 0.5).mean())
        salience = np.ascontiguousarray(found[::4, ::4])
    return Measure(
        width=wide,
        height=tall,
        brightness=float(mean @ (0.2126, 0.7152, 0.0722)),
        warmth=float(mean[0] - mean[2]),
        face=max((box.y1 - box.y0 for box in faces), default=0.0),
        subject=subject,
        faces=faces,
        salience=salience,
        print_=fingerprint(small),
    )


def fingerprint(pixels: NDArray[np.uint8]) -> int:
    """Return 128 bits of where a picture, uint8 RGB, gets brighter to the right and downward.

    A difference hash: it hardly changes with size, compression, brightness or tint.
    """
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (9, 9), interpolation=cv2.INTER_AREA).astype(np.int16)
    bits = np.concatenate(
        [(np.diff(small[:8], axis=1) > 0).ravel(), (np.diff(small[:, :8], axis=0) > 0).ravel()]
    )
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def measure_all(
    photos: Iterable[tuple[PhotoSource, Callable[[Exception], Exception]]],
    *,
    networks: bool,
    on_done: Callable[[int], None] | None = None,
) -> list[Measure]:
    """Look at photos one after another, each file once however often it is named.

    photos: pairs of a photo and what to make of its error (a name and a line added).
    networks: look for faces and subjects too, with the embedded model's helpers.
    on_done: called with the number of photos looked at, after each.
    """
    from ...engines.errors import PhotoError
    from ..bundle import load_bundle

    known: dict[str, Measure] = {}
    found: list[Measure] = []
    with ExitStack() as stack:
        engines: dict[str, Engine] | None = None
        if networks:
            bundle = load_bundle("ember")
            names = ("faces", "subject")
            engines = {name: stack.enter_context(bundle.open(name, device="cpu")) for name in names}
        for photo, told in photos:
            key = str(photo) if isinstance(photo, str | Path) else ""
            measure = known.get(key) if key else None
            if measure is None:
                try:
                    measure = measure_photo(photo, engines)
                except PhotoError as error:
                    raise told(error) from error
            if key:
                known[key] = measure
            found.append(measure)
            if on_done is not None:
                on_done(len(found))
    return found
