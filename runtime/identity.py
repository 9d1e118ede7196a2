"""Whose faces a frame shows: those of the photo, found by YuNet and compared by SFace.

A detector's points tremble by pixels from frame to frame, which SFace takes ill; so a frame's face
is also laid over the photo's by what is seen, and compared at the size and in the light in which it
appears. Networks: YuNet (Wu et al., 2023), SFace (Zhong et al., 2021).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from ..engines.closing import Closing
from ..engines.device import Device
from ..engines.engine import Engine
from .alignment import (
    SIDE,
    TEMPLATE,
    Pixels,
    Points,
    Similarity,
    aligned,
    carry,
    crop,
    find_view,
    fit,
    follow,
    inverse,
    like_light,
    size_of,
)
from .face_networks import Embedding, FaceNetworks
from .faces import Face
from .sightings import CLEAR, SMALLEST, WIDE, Known, Sighting, across, away, box_at, shown

__all__ = ["CLEAR", "RELATED", "SAME", "SMALLEST", "Identity", "Known", "Sighting"]

MOST_FACES = 8
"""So many faces are watched, the largest."""
SAME = 0.90
"""Cosine from which a face counts as the photo's own, the gate of protected faces."""
RELATED = 0.5
"""Below this cosine, a face found elsewhere in a frame is taken for somebody else's."""

_SURE = 0.86  # score of a face in the photo that is watched
_WELL = 0.95  # a cosine that needs no second look
_IN_SIGHT, _WHOLE = 0.75, 0.95  # shares of a face in the frame


class Identity(Closing):
    """The faces of a photo, to be looked for in frames; a context manager that holds two networks.

    photo: uint8 RGB (H, W, 3). faces: those found on it, as `find_faces` gives them or carried to
    it; None looks for them. Without faces no network is opened and nothing is ever lost.

    Raises:
        BundleError: the networks are missing or broken.
        EngineError: the device cannot run them.
    """

    def __init__(
        self,
        photo: Pixels,
        faces: Sequence[Face] | None = None,
        *,
        device: Device | str = "cpu",
        detector: Engine | None = None,
        recogniser: Engine | None = None,
    ) -> None:
        self._networks = FaceNetworks(device, detector=detector, recogniser=recogniser)
        self._photo = photo
        self._embeddings: dict[tuple[int, int], Embedding] = {}
        self._places: list[Similarity | None] = []
        self._shape: tuple[int, int] | None = None
        self.known: list[Known] = []
        """The faces that are watched, the largest first."""
        if faces is None:
            faces = self._networks.all(photo)
        wanted = sorted((f for f in faces if f.score >= _SURE), key=_area, reverse=True)
        for face in wanted[:MOST_FACES]:
            known = self._know(face)
            if known is not None:
                self.known.append(known)
        self._places = [None] * len(self.known)

    def close(self) -> None:
        """Free the networks that were opened here; a second call does nothing."""
        self._networks.close()

    def again(self) -> Identity:
        """The same faces by the same networks, for another film; closing one closes both."""
        other = copy.copy(self)
        other._places, other._shape = [None] * len(self.known), None
        return other

    def cosines(self, frame: Pixels) -> list[float | None]:
        """For each known face its cosine in a frame, uint8 RGB; None where it is not seen."""
        return [sighting.cosine for sighting in self.look(frame)]

    def look(self, frame: Pixels) -> list[Sighting]:
        """Look for each known face in a frame, uint8 RGB (h, w, 3) of any size.

        Faces are sought where they were last, and everywhere where that fails; the photo's framing
        is expected at first only where the frame has the photo's shape.
        """
        if not self.known:
            return []
        self._start(frame)
        sightings: list[Sighting | None] = []
        for index, place in enumerate(self._places):
            if place is None:
                sightings.append(None)
            else:
                known_there = self._still(frame, index, place)
                sightings.append(known_there or self._near(frame, index, place))
        if any(
            one is None or (one.state == "seen" and (one.cosine or 0.0) < RELATED)
            for one in sightings
        ):
            self._everywhere(frame, sightings)
        view: Similarity | None = None
        if any(one is None for one in sightings):
            view = find_view(self._photo, frame)
            if view is None:
                self._everywhere(frame, sightings, least=-1.0)  # then whoever is there is judged
        done = []
        for index, one in enumerate(sightings):
            sighting = one or self._missing(frame, index, view)
            if self._is_cut(frame, sighting):
                sighting = Sighting("out", way=sighting.way)
            if sighting.way is not None:
                self._places[index] = sighting.way
            done.append(sighting)
        return done

    def embed(self, face: Pixels) -> Embedding:
        """The identity of a face on the template, uint8 RGB (112, 112, 3): float32 (128,), of
        length 1."""
        return self._networks.embed(face)

    def compare(self, frame: Pixels, index: int, way: Similarity) -> float:
        """Cosine of known face `index` to what a frame shows under the template laid by `way`."""
        return self._cosine(index, crop(frame, way), size_of(way))

    # -- in a frame ------------------------------------------------------------------------------

    def _start(self, frame: Pixels) -> None:
        """Expect the faces where the photo has them, in a film that was not seen before."""
        shape = frame.shape[0], frame.shape[1]
        if shape == self._shape:
            return
        self._shape = shape
        tall, wide = self._photo.shape[:2]
        scale = shape[1] / wide, shape[0] / tall
        alike = abs(scale[0] / scale[1] - 1) < 0.02
        for index, known in enumerate(self.known):
            to_frame = fit(TEMPLATE, known.points * scale)
            self._places[index] = to_frame if alike else None

    def _still(self, frame: Pixels, index: int, place: Similarity) -> Sighting | None:
        """A face that is surely the photo's about where it was last: no detector is needed."""
        if WIDE * size_of(place) < CLEAR:
            return None
        way, _ = follow(self.known[index].face, frame, place)
        if away(way, place) > 0.35 or not 0.8 < size_of(way) / size_of(place) < 1.25:
            return None
        cosine = self.compare(frame, index, way)
        return Sighting("seen", cosine, way) if cosine >= _WELL else None

    def _near(self, frame: Pixels, index: int, place: Similarity) -> Sighting | None:
        """Look for a face around its place; None where there is none."""
        box = box_at(place)
        if min(box[2] - box[0], box[3] - box[1]) < SMALLEST:
            return Sighting("small", way=place)
        points = self._networks.nearest(frame, box, 0.6)
        return None if points is None else self._judge(frame, index, points)

    def _everywhere(
        self, frame: Pixels, sightings: list[Sighting | None], least: float = RELATED
    ) -> None:
        """Give each face that was not seen well the face of the frame that is most like it.

        least: cosine from which it may be.
        """
        tall, wide = frame.shape[:2]
        found = [np.array(face.points) * (wide, tall) for face in self._networks.all(frame)]
        found = [points for points in found if across(points) >= SMALLEST]
        wanting = [
            i
            for i, one in enumerate(sightings)
            if one is None or (one.state == "seen" and (one.cosine or 0.0) < RELATED)
        ]
        judged = [
            (sighting, i)
            for points in found
            for i in wanting
            if ((sighting := self._judge(frame, i, points)).cosine or 0.0) >= least
        ]
        taken: list[Similarity] = [
            one.way
            for i, one in enumerate(sightings)
            if one and one.way is not None and i not in wanting
        ]
        for sighting, i in sorted(judged, key=lambda pair: -(pair[0].cosine or 0.0)):
            way = sighting.way
            if way is None or i not in wanting:
                continue
            if all(away(way, other) > 0.5 for other in taken):
                sightings[i] = sighting
                taken.append(way)
                wanting.remove(i)

    def _missing(self, frame: Pixels, index: int, view: Similarity | None) -> Sighting:
        """Say why a face is not seen: too small, out of the frame, somebody else's, or lost."""
        known, place = self.known[index], self._places[index]
        if view is not None:
            place = fit(TEMPLATE, carry(known.points, view))
        if place is None:
            return Sighting("lost")
        box = box_at(place)
        if min(box[2] - box[0], box[3] - box[1]) < SMALLEST:
            return Sighting("small")
        tall, wide = frame.shape[:2]
        share = shown(frame, box)
        edge = min(box[0], box[1], wide - box[2], tall - box[3])
        if share < _IN_SIGHT or (view is None and edge < 0.02 * wide):
            return Sighting("out")
        if view is not None:
            found = self._networks.around(frame, box)
            if found:
                return self._judge(frame, index, found[0])
        return Sighting("lost")

    def _is_cut(self, frame: Pixels, sighting: Sighting) -> bool:
        """Whether a face is unlike the photo's for a part of it is not in the frame."""
        if sighting.state != "seen" or sighting.way is None or (sighting.cosine or 0.0) >= SAME:
            return False
        return shown(frame, box_at(sighting.way)) < _WHOLE

    def _judge(self, frame: Pixels, index: int, points: Points) -> Sighting:
        """Compare a face of a frame, by its points and by what is seen, the better of the two."""
        way = inverse(fit(points, TEMPLATE))
        if across(points) < SMALLEST:
            return Sighting("small", way=way)
        known = self.known[index]
        closer, _ = follow(known.face, frame, way)
        if away(closer, way) > 0.35 or not 0.7 < size_of(closer) / size_of(way) < 1.4:
            closer = way
        best = Sighting("seen", self.compare(frame, index, closer), closer, points)
        if (best.cosine or 0.0) < _WELL and closer is not way:
            cosine = self.compare(frame, index, way)
            if cosine > (best.cosine or 0.0):
                best = replace(best, cosine=cosine)
        if (best.cosine or 0.0) < _WELL and best.way is not None:
            lit = like_light(crop(frame, best.way), known.face)
            cosine = self._cosine(index, lit, size_of(best.way))
            if cosine > (best.cosine or 0.0):
                best = replace(best, cosine=cosine)
        return best

    def _cosine(self, index: int, face: Pixels, size: float) -> float:
        return float(self.embed(face) @ self._own(index, size))

    def _own(self, index: int, size: float) -> Embedding:
        """The embedding of a known face as it looks at a size, pixels for one of the template."""
        known = self.known[index]
        side = SIDE
        if size < 0.9 and size < 0.9 * known.size:
            side = max(8 * round(SIDE * size / 8), 16)
        key = index, side
        if key not in self._embeddings:
            face = known.face
            if side != SIDE:
                small = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
                face = np.asarray(cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR))
            self._embeddings[key] = self.embed(face)
        return self._embeddings[key]

    # -- in the photo ----------------------------------------------------------------------------

    def _know(self, face: Face) -> Known | None:
        """Learn a face of the photo; None where a closer look does not find it, or too few pixels.

        It is looked at as the frames will be, so that the same picture gives the same points.
        """
        tall, wide = self._photo.shape[:2]
        edges = np.array([[face.box.x0, face.box.y0], [face.box.x1, face.box.y1]]) * (wide, tall)
        if float((edges[1] - edges[0]).min()) < SMALLEST:
            return None
        points = self._networks.nearest(self._photo, tuple(edges.ravel()), 0.5)
        if points is None:
            return None
        way = inverse(fit(points, TEMPLATE))
        return Known(face.box, points, aligned(self._photo, points), size_of(way))


def _area(face: Face) -> float:
    return (face.box.x1 - face.box.x0) * (face.box.y1 - face.box.y0)
