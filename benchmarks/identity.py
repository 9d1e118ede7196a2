"""Whether people stay themselves in a clip: face identity, and motion inside the face.

    python -m reverie.benchmarks.identity CLIP ... [--photos FOLDER] [--samples 24] [--json FILE]

For each clip, on frames spread over it: the cosine of SFace embeddings to the first frame, at
worst, and how far the face's pixels move besides the camera (turn, zoom and shift of the whole face
are taken out), in pixels at a height of 720. With --photos, also the cosine of the first frame
to the photo of the same name. Faces are found by YuNet; flow is DIS.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from . import measure
from .clips import FlowMeter, Frame, grey8, sampled, without_camera
from .machine import describe_machine

AT_HEIGHT = 720
DETECT_SIDE = 1280  # smaller, and the points YuNet finds jump by pixels, which SFace takes ill
SURE = 0.6
LEAST_COSINE = 0.90
MOST_MOTION = 0.5

Row = NDArray[np.float32]
"""What YuNet says of a face: x, y, width, height, five points (x, y), score; in pixels."""


class Faces:
    """Finds faces in frames and says whose they are."""

    def __init__(self, detector: Path, recogniser: Path | None = None) -> None:
        """None takes the SFace of the bundle of that name."""
        self._detector: Any = cv2.FaceDetectorYN.create(str(detector), "", (320, 320), SURE)
        file = recogniser or embedded_recogniser()
        self._recogniser: Any = cv2.FaceRecognizerSF.create(str(file), "")

    def find(self, frame: Frame) -> list[Row]:
        """The faces of an RGB frame, largest first."""
        scale = min(1.0, DETECT_SIDE / max(frame.shape[:2]))
        picture = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        self._detector.setInputSize(picture.shape[1::-1])
        _, found = self._detector.detect(picture)
        rows = [] if found is None else [np.append(row[:14] / scale, row[14]) for row in found]
        return sorted(rows, key=lambda row: -row[2] * row[3])

    def embed(self, frame: Frame, face: Row) -> NDArray[np.float32]:
        """The identity of a face in an RGB frame, (1, 128)."""
        picture = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
        aligned = self._recogniser.alignCrop(picture, face.astype(np.float32))
        return np.array(self._recogniser.feature(aligned))


def same_face(face: Row, others: list[Row]) -> Row | None:
    """The face among others whose middle lies within half a face of this one's, the nearest."""
    middle = face[:2] + face[2:4] / 2
    near = [(float(np.hypot(*(o[:2] + o[2:4] / 2 - middle))), i) for i, o in enumerate(others)]
    away, index = min(near, default=(np.inf, 0))
    return others[index] if away < 0.5 * max(face[2], face[3]) else None


def oval(shape: tuple[int, ...], face: Row) -> NDArray[np.bool_]:
    """The pixels (h, w) of the oval inside a face's box."""
    mask = np.zeros(shape[:2], np.uint8)
    middle, half = face[:2] + face[2:4] / 2, 0.45 * face[2:4]
    centre, axes = (tuple(round(float(v)) for v in pair) for pair in (middle, half))
    cv2.ellipse(mask, centre, axes, 0, 0, 360, 1, -1)
    return mask > 0


def displacement(first: Frame, later: Frame, inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How far the pixels `inside` moved from one frame to a later one besides the camera, (n,).

    Frames uint8 RGB (h, w, 3); result in pixels. The similarity that best explains the flow inside
    is undone, the flow is measured again on what is left, and its similarity is taken out too.
    """
    before = grey8(first)
    undone = _same_light(grey8(without_camera(first, later, inside)), before, inside)
    places = np.argwhere(inside)[:, ::-1].astype(np.float64)
    moved = places + FlowMeter()(before, undone)[inside]
    matrix, shift = measure.fit_similarity(places, moved)
    return np.hypot(*(moved - places @ matrix.T - shift).T)


def _same_light(frame: Frame, like: Frame, inside: NDArray[np.bool_]) -> Frame:
    """The frame with the mean and spread of brightness that another has inside."""
    own, wanted = frame[inside].astype(np.float64), like[inside].astype(np.float64)
    gain = wanted.std() / max(own.std(), 1e-6)
    level = (frame - own.mean()) * gain + wanted.mean()
    return np.clip(np.rint(level), 0, 255).astype(np.uint8)


def rate(frames: list[tuple[int, Frame]], faces: Faces, photo: Frame | None) -> dict[str, Any]:
    """Score sampled frames, the first of them the reference.

    Returns `cosine` (worst), `frame` where it occurs, `cosine_aligned` (worst, with the camera
    undone and the points of the first frame, so that the detector's own unrest is left out),
    `lost` frames without the face, `motion_rms` and `motion_95` (worst frame's rms and 95th
    percentile, px at a height of 720), `to_photo`; or `faces` 0 alone, where the first frame shows
    none.
    """
    start = frames[0][1]
    found = faces.find(start)
    if not found:
        return {"faces": 0}
    face, own = found[0], faces.embed(start, found[0])
    inside, scale = oval(start.shape, face), AT_HEIGHT / start.shape[0]
    cosines: dict[int, float] = {}
    rms, high, lost = [0.0], [0.0], 0
    aligned = [1.0]
    for index, frame in frames[1:]:
        here = same_face(face, faces.find(frame))
        if here is None:
            lost += 1
            continue
        cosines[index] = measure.cosine(own, faces.embed(frame, here))
        steady = without_camera(start, frame, inside)
        aligned.append(measure.cosine(own, faces.embed(steady, face)))
        moved = displacement(start, frame, inside) * scale
        rms.append(float(np.sqrt((moved**2).mean())))
        high.append(float(np.quantile(moved, 0.95)))
    worst = min(cosines, key=lambda index: cosines[index], default=0)
    in_photo = [] if photo is None else [faces.embed(photo, row) for row in faces.find(photo)]
    return {
        "faces": len(found),
        "face_height": float(face[3] * scale),
        "cosine": cosines.get(worst, 1.0),
        "cosine_aligned": min(aligned),
        "frame": worst,
        "lost": lost,
        "motion_rms": max(rms),
        "motion_95": max(high),
        "to_photo": max((measure.cosine(own, other) for other in in_photo), default=None),
    }


def holds(row: dict[str, Any]) -> bool:
    """Whether a clip keeps its people as they are."""
    return row["lost"] == 0 and row["cosine"] >= LEAST_COSINE and row["motion_95"] <= MOST_MOTION


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--photos", type=Path, help="folder of the photos, named as the clips")
    parser.add_argument("--samples", type=int, default=24, help="frames looked at in each clip")
    parser.add_argument("--detector", type=Path, help="YuNet; the one in bundle ember by default")
    parser.add_argument("--sface", type=Path, help="SFace; the one in bundle sface by default")
    parser.add_argument("--json", type=Path, help="write the report here")
    arguments = parser.parse_args()
    faces = Faces(arguments.detector or embedded_detector(), arguments.sface)
    rows = []
    print(f"{'clip':28s} face px  cosine (frame)  lost  motion rms / 95%  to photo")
    for clip in arguments.clips:
        photo = read_photo(arguments.photos, clip.stem) if arguments.photos else None
        row = {"clip": clip.name, **rate(sampled(clip, arguments.samples), faces, photo)}
        rows.append(row)
        if not row["faces"]:
            print(f"{clip.stem:28s} no face in the first frame")
            continue
        print(
            f"{clip.stem:28s} {row['face_height']:7.0f} {row['cosine']:7.3f} ({row['frame']:4d})"
            f"  {row['lost']:4d} {row['motion_rms']:11.2f} / {row['motion_95']:.2f}"
            + (f"  {row['to_photo']:8.3f}" if row["to_photo"] is not None else "")
            + ("" if holds(row) else "  TOO MUCH")
        )
    if arguments.json:
        report = {"samples": arguments.samples, "clips": rows, "machine": describe_machine()}
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")


def embedded_detector() -> Path:
    """Where the YuNet of bundle ember lies."""
    from ..runtime.bundle import load_bundle

    return load_bundle("ember").path("faces")


def embedded_recogniser() -> Path:
    """Where the SFace of bundle sface lies."""
    from ..runtime.bundle import load_bundle

    return load_bundle("sface").path("identity")


def read_photo(folder: Path, name: str) -> Frame | None:
    """The photo of a name in a folder as Reverie reads it, uint8 RGB; None if there is none."""
    from ..runtime.photo import load_photo

    found = sorted(folder.glob(f"{name}.*"))
    return load_photo(found[0]).pixels if found else None


if __name__ == "__main__":
    main()
