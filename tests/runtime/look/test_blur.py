"""Blur: a face stays sharp, nobody bleeds into what is behind, and it passes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from reverie.runtime.look.blur import Softness
from reverie.runtime.look.camera import Camera
from reverie.runtime.look.pacing import Pacing
from reverie.runtime.settings import CameraIntent

SIZE = (144, 192)
STILL = Camera(CameraIntent("still", strength=0.0), seconds=10)


def frame() -> np.ndarray:
    noise = np.random.default_rng(1).standard_normal((*SIZE, 3))
    noise = cv2.GaussianBlur(noise, (0, 0), 0.8)
    return np.clip(128 + 40 * noise / noise.std(), 0, 255).astype(np.uint8)


def disc(radius: float) -> np.ndarray:
    y, x = np.mgrid[0 : SIZE[0], 0 : SIZE[1]]
    return (np.hypot(x - 96, y - 72) < radius).astype(np.float32)


def softness(amount: float = 1.0, **maps: object) -> Softness:
    pacing = Pacing(seconds=10.0, peak=0.5)
    return Softness(amount, size=SIZE, camera=STILL, pacing=pacing, **maps)  # type: ignore[arg-type]


def sharpness(pixels: np.ndarray) -> float:
    return float(cv2.Laplacian(pixels.astype(np.float32), cv2.CV_32F).std())


def test_it_comes_and_goes() -> None:
    soft = softness()
    frames = [soft.lay(frame(), float(time)) for time in range(10)]
    sharp = [sharpness(f[:40, :40]) for f in frames]
    assert np.array_equal(frames[0], frame())
    assert np.array_equal(frames[9], frame())
    assert min(sharp) < 0.35 * sharp[0]
    assert 3 <= int(np.argmin(sharp)) <= 7


def test_a_face_stays_sharp() -> None:
    soft = softness(faces=disc(20), people=disc(45))
    drawn = soft.lay(frame(), 5.0)
    inner = (slice(60, 84), slice(84, 108))
    assert np.abs(drawn[inner].astype(int) - frame()[inner]).max() <= 1
    assert sharpness(drawn[:30, :50]) < 0.4 * sharpness(frame()[:30, :50])


def test_beside_a_head_the_background_goes_soft_and_a_lone_face_is_kept_whole() -> None:
    drawn = softness(faces=disc(30), people=disc(31)).lay(frame(), 5.0)
    beside = (slice(60, 84), slice(140, 164))
    assert sharpness(drawn[beside]) < 0.45 * sharpness(frame()[beside])
    alone = softness(faces=disc(30), people=np.zeros(SIZE, np.float32)).lay(frame(), 5.0)
    inner = (slice(55, 90), slice(79, 114))
    assert np.abs(alone[inner].astype(int) - frame()[inner]).max() <= 1


def test_nobody_bleeds_into_what_is_behind() -> None:
    people = disc(40)
    picture = np.where(people[..., None] > 0, 20, 200).astype(np.uint8) + np.zeros(3, np.uint8)
    drawn = softness(people=people).lay(picture, 5.0)
    ring = (disc(50) > 0) & (disc(44) == 0)
    assert drawn[ring].min() >= 185


def test_without_people_the_focus_stays_clearer() -> None:
    drawn = softness(0.6, focus=(0.5, 0.5)).lay(frame(), 5.0)
    assert sharpness(drawn[60:84, 84:108]) > 1.4 * sharpness(drawn[:24, :24])


@pytest.mark.parametrize("amount", [0.0, 0.01])
def test_too_little_to_see_is_nothing(amount: float) -> None:
    picture = frame()
    assert softness(amount).lay(picture, 5.0) is picture
