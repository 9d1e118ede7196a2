from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from reverie.runtime.alignment import aligned
from reverie.runtime.bundle import load_bundle
from reverie.runtime.crop import Box
from reverie.runtime.faces import Face, find_faces
from reverie.runtime.identity import Identity
from reverie.runtime.look.upscale import plain
from reverie.runtime.restoring import restore
from reverie.runtime.restoring.ageing import look_at, one_tone
from reverie.runtime.restoring.restore import SAME_FACE, restore_photo

PHOTOS = Path(__file__).parents[2] / "data" / "photos"
TONE = np.array([238, 212, 165.0])


def photo(name: str, short: int = 240) -> np.ndarray:
    with Image.open(PHOTOS / f"{name}.jpg") as picture:
        pixels = np.asarray(picture.convert("RGB"))
    scale = short / min(pixels.shape[:2])
    size = round(pixels.shape[1] * scale), round(pixels.shape[0] * scale)
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))


def sepia(pixels: np.ndarray) -> np.ndarray:
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)[..., None] / 255
    return np.clip(12 + grey * TONE, 0, 255).astype(np.uint8)


def saved(pixels: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def faces_of(pixels: np.ndarray) -> list[Face]:
    with load_bundle("ember").open("faces", device="cpu", threads=1) as engine:
        return find_faces(pixels, engine)


def cosines(before: np.ndarray, after: np.ndarray, faces: list[Face]) -> list[float]:
    before = plain(before, (after.shape[1], after.shape[0]))
    with Identity(before, faces, device="cpu") as identity:
        return [
            float(
                identity.embed(aligned(before, one.points))
                @ identity.embed(aligned(after, one.points))
            )
            for one in identity.known
        ]


@pytest.mark.parametrize(
    ("name", "quality", "toned"),
    [
        ("person-006-portrait", 30, True),
        ("person-001-selfie", 20, True),
        ("person-008-selfie", 50, False),
    ],
)
def test_a_person_stays_the_same(name: str, quality: int, toned: bool) -> None:
    given = photo(name)
    given = saved(sepia(given) if toned else given, quality)
    faces = faces_of(given)
    assert len(faces) == 1
    restored, notes = restore_photo(given, faces, "cpu", threads=1)
    assert restored.shape == (4 * given.shape[0], 4 * given.shape[1], 3)
    assert min(cosines(given, restored, faces)) >= SAME_FACE
    assert any(f"quality about {quality}" in note for note in notes)
    assert any("enlarged 4.0 times" in note for note in notes)
    assert any("the face:" in note for note in notes)


def test_a_face_that_would_change_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    given = photo("person-006-portrait", 200)
    faces = faces_of(given)
    monkeypatch.setattr(restore, "SAME_FACE", 1.1)
    restored, notes = restore_photo(given, faces, "cpu", threads=1)
    before = plain(given, (restored.shape[1], restored.shape[0]))
    box = faces[0].box
    rows = slice(round(box.y0 * len(before)), round(box.y1 * len(before)))
    columns = slice(round(box.x0 * before.shape[1]), round(box.x1 * before.shape[1]))
    assert np.abs(restored[rows, columns].astype(int) - before[rows, columns]).max() <= 1
    assert not np.array_equal(restored, before)
    assert any("left as in the photo" in note for note in notes)


def test_a_face_too_small_to_be_told_is_left_as_it_was() -> None:
    given = photo("coffee", 120)
    faces = [Face(Box(0.4, 0.4, 0.5, 0.55), 0.9)]
    restored, notes = restore_photo(given, faces, "cpu", threads=1)
    before = plain(given, (restored.shape[1], restored.shape[0]))
    middle = (
        slice(round(0.42 * 480), round(0.52 * 480)),
        slice(round(0.42 * 720), round(0.48 * 720)),
    )
    assert np.abs(restored[middle].astype(int) - before[middle]).max() <= 1
    assert any("left as in the photo" in note for note in notes)


def test_small_blocky_photos_come_nearer_to_what_they_were() -> None:
    gains = []
    for name in ("roman-colosseum", "oakland-zoo-otters", "perched-osprey"):
        truth = sepia(photo(name, 256)[:, :320])
        small = cv2.GaussianBlur(truth, (0, 0), 1.4)[::2, ::2]
        given = saved(np.ascontiguousarray(small), 30)
        restored, _ = restore_photo(given, (), "cpu", threads=1)
        assert restored.shape == (512, 640, 3)
        before = plain(given, (640, 512))
        gains.append(decibels(restored, truth) - decibels(before, truth))
    assert np.mean(gains) > 0.3
    assert min(gains) > -0.4  # where all is fine texture, what is drawn lies beside what was


def decibels(picture: np.ndarray, truth: np.ndarray) -> float:
    size = truth.shape[1], truth.shape[0]
    picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return float(10 * np.log10(255**2 / np.square(picture.astype(float) - truth).mean()))


def test_sepia_and_brightness_stay_the_photos_own() -> None:
    given = saved(sepia(photo("oakland-zoo-otters", 120)), 60)
    restored, _ = restore_photo(given, (), "cpu", threads=1)
    assert look_at(restored).toned
    before, after = (one.reshape(-1, 3).mean(0) for one in (given, restored))
    np.testing.assert_allclose(after, before, atol=1.5)
    assert after[0] > after[1] > after[2] + 10


def test_a_large_photo_comes_back_as_it_is() -> None:
    tile = np.hstack([photo("coffee", 240)[:, :360], photo("lake-sherburne", 240)[:, :360]])
    sharp = np.tile(tile, (4, 2, 1))
    restored, notes = restore_photo(sharp, (), "cpu")
    assert restored is sharp
    assert notes == ("the photo is large and clean: nothing was restored",)
    soft = cv2.GaussianBlur(sharp, (0, 0), 2.0)
    restored, notes = restore_photo(soft, (), "cpu")
    assert restored is soft
    assert "left as they are" in notes[0]


def test_a_large_blocky_photo_keeps_its_size() -> None:
    given = saved(cv2.resize(photo("coffee", 320), (1200, 800), interpolation=cv2.INTER_CUBIC), 15)
    restored, notes = restore_photo(given, (), "cpu")
    assert restored.shape == given.shape
    assert not np.array_equal(restored, given)
    assert len(notes) == 1


def test_scratches_are_told() -> None:
    given = sepia(photo("person-006-portrait", 480))
    cv2.line(given, (60, 40), (64, 350), (252, 242, 215), 2, cv2.LINE_AA)
    given = cv2.resize(given, (960, 960), interpolation=cv2.INTER_CUBIC)
    restored, notes = restore_photo(given, (), "cpu")
    assert len(notes) == 1
    assert notes[0].startswith("1 scratch")
    assert notes[0].endswith("filled from beside")
    assert restored.shape == given.shape


def test_the_same_photo_gives_the_same_picture() -> None:
    given = saved(photo("coffee", 100), 40)
    one, other = (restore_photo(given, (), "cpu", threads=1)[0] for _ in range(2))
    np.testing.assert_array_equal(one, other)


def test_what_a_photo_is_like() -> None:
    sharp = photo("lake-sherburne", 270)
    assert not look_at(sharp).toned
    assert not look_at(sharp).soft
    assert look_at(sepia(sharp)).toned
    assert look_at(sharp).small
    soft = cv2.resize(
        cv2.resize(sharp, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA), None, fx=2.5, fy=2.5
    )
    assert look_at(soft).soft
    rng = np.random.default_rng(0)
    grainy = np.clip(sharp + rng.normal(0, 9, sharp.shape), 0, 255).astype(np.uint8)
    assert look_at(grainy).noisy
    assert not look_at(sharp).noisy


def test_one_tone_keeps_the_tone() -> None:
    clean = sepia(photo("coffee"))
    blotched = saved(clean, 15)
    toned = one_tone(blotched)

    def strays(pixels: np.ndarray) -> float:
        luma, red, _ = cv2.split(cv2.cvtColor(pixels, cv2.COLOR_RGB2YCrCb))
        return float(np.mean([red[luma == level].std() for level in range(60, 200)]))

    assert strays(blotched) > 1.5
    assert strays(toned) < 0.5
    np.testing.assert_allclose(toned.mean((0, 1)), clean.mean((0, 1)), atol=2.5)
