from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from reverie.benchmarks.films import face_motion, lay_out, line, motions, photos_in

PHOTOS = Path(__file__).parents[1] / "data" / "photos"


def picture() -> np.ndarray:
    with Image.open(PHOTOS / "tea-gardens.jpg") as photo:
        return np.asarray(photo.convert("RGB"))


def bent(frame: np.ndarray, size: float) -> np.ndarray:
    """The left third moved down by `size` pixels, softly."""
    down, across = np.mgrid[: frame.shape[0], : frame.shape[1]].astype(np.float32)
    share = np.clip((frame.shape[1] * 0.3 - across) / 20, 0, 1)
    return cv2.remap(
        frame,
        across,
        down - np.float32(size) * share,
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REFLECT,
    )


def test_what_sways_is_told_from_what_passes() -> None:
    first, times = picture(), np.arange(5.0)
    left, right = (slice(60, -60), slice(20, 110)), (slice(60, -60), slice(300, -20))
    away, sway = motions([first, *(bent(first, 2.0 * i) for i in range(1, 5))], times)
    assert np.median(away[left]) > 1.5
    assert np.median(sway[left]) < 0.8  # it passes evenly
    away, sway = motions([first, *(bent(first, s) for s in (3.0, -3.0, 3.0, -3.0))], times)
    assert np.median(sway[left]) > 1.0
    assert np.median(sway[left]) > 1.5 * np.median(sway[right])
    eased = [1 + 0.06 * share for share in (0.1, 0.5, 0.9, 1.0)]  # a camera that slows down
    turned = [cv2.getRotationMatrix2D((240, 160), 0, size) for size in eased]
    away, sway = motions([first, *(cv2.warpAffine(first, t, (480, 320)) for t in turned)], times)
    assert np.median(sway) < 0.2


def test_a_face_that_only_rides_with_the_camera_does_not_move() -> None:
    with Image.open(PHOTOS / "person-006-portrait.jpg") as photo:
        first = np.asarray(photo.convert("RGB"))
    camera = cv2.getRotationMatrix2D((240, 240), 1.0, 1.04)
    later = cv2.warpAffine(first, camera, (480, 480), flags=cv2.INTER_CUBIC)
    assert face_motion([first, later], (0.3, 0.2, 0.7, 0.75)) < 0.4
    assert face_motion([first, later], (0.3, 0.2, 0.31, 0.21)) == 0  # too small to say


def test_a_sheet_and_a_line() -> None:
    frames = [(i, picture()) for i in range(6)]
    sheet = lay_out("tea", frames, 24.0, np.zeros((320, 480), np.float32), ["camera: push in"], 120)
    assert sheet.width == 480
    row = {
        "photo": "a.jpg",
        "faces": 1,
        "identity": 0.5,
        "face_motion_95": 0.1,
        "moves": 0.2,
        "sways": 0.1,
        "flicker": 0.0,
        "seam": 1.0,
        "verdict": "bad",
    }
    assert line(row).endswith("TOO LOW")
    assert "TOO LOW" not in line(row | {"identity": None})


def test_photos_are_found_in_folders(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.PNG", "c.txt"):
        (tmp_path / name).write_bytes(b"")
    found = photos_in([tmp_path, tmp_path / "x.jpg"])
    assert [path.name for path in found] == ["a.PNG", "b.jpg", "x.jpg"]
