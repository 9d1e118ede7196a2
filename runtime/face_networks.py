"""The two networks that know faces, YuNet and SFace, opened when they are first needed."""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray

from ..engines.device import Device
from ..engines.engine import Engine
from .alignment import TEMPLATE, Pixels, Points, fit, inverse
from .bundle import load_bundle
from .faces import Face, distinct_faces, find_faces, search
from .sightings import SMALLEST, box_at

Embedding = NDArray[np.float32]

_LIKELY = 0.5  # score of a face where one must be
_CLOSE = 2.2  # sides of a face that are searched around it


class FaceNetworks:
    """Finds faces and says whose they are; frees what it opened when it is closed.

    Raises, when a network is first needed:
        BundleError: it is missing or broken.
        EngineError: the device cannot run it.
    """

    def __init__(
        self,
        device: Device | str = "cpu",
        *,
        detector: Engine | None = None,
        recogniser: Engine | None = None,
    ) -> None:
        self._device, self._stack = device, ExitStack()
        self._detector, self._recogniser = detector, recogniser

    @property
    def opened(self) -> bool:
        """Whether any network is open."""
        return self._detector is not None or self._recogniser is not None

    def close(self) -> None:
        """Free the networks that were opened here; a second call does nothing."""
        self._stack.close()
        self._detector = self._recogniser = None

    def all(self, frame: Pixels) -> list[Face]:
        """The faces of a whole picture, uint8 RGB, the surest first."""
        return find_faces(frame, self._faces_engine())

    def nearest(self, frame: Pixels, box: tuple[float, ...], reach: float) -> Points | None:
        """The points of the face nearest to a box, within `reach` of its height; None without one.

        The detector looks twice, the second time with the face in the middle: where it stands in
        what is looked at moves the points by a pixel or two.
        """
        for _ in range(2):
            middle, side = np.array([box[0] + box[2], box[1] + box[3]]) / 2, box[3] - box[1]
            found = [
                (float(np.hypot(*(points.mean(0) - middle))), number, points)
                for number, points in enumerate(self.around(frame, box))
            ]
            away, _, points = min(found, default=(np.inf, 0, None))
            if points is None or away >= reach * side:
                return None
            before, box = box, box_at(inverse(fit(points, TEMPLATE)))
            if np.abs(np.subtract(before, box)).max() < 0.03 * side:
                break
        return points

    def around(self, frame: Pixels, box: tuple[float, ...]) -> list[Points]:
        """The points of the faces around a box in pixels, the surest first."""
        side = max(box[2] - box[0], box[3] - box[1])
        x, y, reach = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, _CLOSE * side / 2
        x0, y0 = max(int(x - reach), 0), max(int(y - reach), 0)
        part = frame[y0 : int(y + reach) + 1, x0 : int(x + reach) + 1]
        if min(part.shape[:2], default=0) < SMALLEST // 2:
            return []
        across, down = part.shape[1], part.shape[0]
        faces = distinct_faces(search(part, self._faces_engine(), 416, _LIKELY))
        return [np.array(face.points) * (across, down) + (x0, y0) for face in faces]

    def embed(self, face: Pixels) -> Embedding:
        """The identity of a face on the template, uint8 RGB (112, 112, 3): float32 (128,), of
        length 1."""
        engine = self._identity_engine()
        # Red first, as OpenCV's FaceRecognizerSF gives it, whatever the network's papers say.
        image = np.ascontiguousarray(face.transpose(2, 0, 1)[None], np.float32)
        out = engine.run({engine.inputs[0].name: image})
        vector = np.asarray(next(iter(out.values())), np.float32).ravel()
        return vector / np.float32(max(float(np.linalg.norm(vector)), 1e-9))

    def _faces_engine(self) -> Engine:
        if self._detector is None:
            opened = load_bundle("ember").open("faces", device=self._device)
            self._detector = self._stack.enter_context(opened)
        return self._detector

    def _identity_engine(self) -> Engine:
        if self._recogniser is None:
            opened = load_bundle("sface").open("identity", device=self._device)
            self._recogniser = self._stack.enter_context(opened)
        return self._recogniser
