from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from reverie.benchmarks import contact_sheet, sea
from reverie.benchmarks.clips import (
    FlowMeter,
    flow_variance,
    grey8,
    read_frames,
    sampled,
    without_camera,
)


def noise(height: int = 96, width: int = 128, seed: int = 0) -> np.ndarray:
    """A smooth random picture, uint8 RGB."""
    picture = np.random.default_rng(seed).random((height, width, 3)).astype(np.float32)
    picture = cv2.GaussianBlur(picture, (0, 0), 2)
    return cv2.normalize(picture, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def shaking(frames: int = 12, top: int = 48) -> list[np.ndarray]:
    """A picture that sways by two pixels from the row `top` down."""
    start = noise()
    film = []
    for i in range(frames):
        frame = start.copy()
        frame[top:] = np.roll(start[top:], round(2 * np.sin(i)), axis=1)
        film.append(frame)
    return film


def write(path: Path, frames: list[np.ndarray]) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"crf": "12"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def test_sampled_takes_first_and_last(tmp_path: Path) -> None:
    clip = write(tmp_path / "clip.mp4", shaking(11))
    assert len(list(read_frames(clip))) == 11
    assert [i for i, _ in sampled(clip, 3)] == [0, 5, 10]
    assert [i for i, _ in sampled(clip, 99)] == list(range(11))
    assert sampled(clip, 3)[0][1].shape == (96, 128, 3)


def test_flow_finds_a_shift() -> None:
    start = grey8(noise(128, 128))
    flow = FlowMeter()(start, np.roll(start, (1, 3), axis=(0, 1)))
    assert np.median(flow[20:-20, 20:-20], axis=(0, 1)) == pytest.approx([3, 1], abs=0.2)


def test_the_camera_is_undone() -> None:
    start = noise(128, 128)
    camera = cv2.getRotationMatrix2D((64, 64), 2.0, 1.04)
    later = cv2.warpAffine(start, camera, (128, 128), flags=cv2.INTER_CUBIC)
    inner = np.s_[20:-20, 20:-20]
    before = np.abs(later[inner].astype(float) - start[inner]).mean()
    after = np.abs(without_camera(start, later)[inner].astype(float) - start[inner]).mean()
    assert after < 0.15 * before


def test_flow_varies_where_things_sway() -> None:
    variance = flow_variance(shaking())
    assert np.median(variance[60:]) > 1
    assert np.median(variance[:36]) < 0.01
    with pytest.raises(ValueError, match="three frames"):
        flow_variance(shaking(2))


def test_sea_scores_the_place_that_moves() -> None:
    frames = shaking()

    def predict(pixels: np.ndarray) -> dict[str, np.ndarray]:
        lower = np.repeat([[0.0], [1.0]], 2, axis=1)
        return {
            "classes": np.stack([1 - lower, lower]),
            "amplitude": lower[None] * 0.01,
            "drift": np.zeros((2, 2)),
            "hold": np.zeros((2, 2)),
            "people": np.ones((2, 2, 6)),
            "subject": np.zeros((2, 2)),
        }

    report = sea.rate(frames, predict)
    assert report["frames"] == 12
    assert report["flow_rms"] > 0.5
    assert report["scores"]["amplitude"]["halves"] > 0.9
    assert report["scores"]["amplitude"]["quarters"] > 0.95
    assert report["scores"]["lower in the frame"]["quarters"] > 0.9
    assert report["scores"]["uniform"]["halves"] == 0.5


def test_a_contact_sheet_has_six_columns_and_a_row_a_clip(tmp_path: Path) -> None:
    film = shaking(top=72)
    row = contact_sheet.cells(film)
    assert len(row) == len(contact_sheet.COLUMNS) == 6
    difference, flow = row[4], row[5]
    assert 2.5 * difference[:60].mean() < difference[76:].mean()
    assert flow[78:90].mean() > flow[10:50].mean() + 50
    picture = contact_sheet.sheet([("one", row), ("two", row)], width=64)
    assert picture.size == (384, 16 + 2 * (48 + 16))
    picture.save(tmp_path / "sheet.png")
