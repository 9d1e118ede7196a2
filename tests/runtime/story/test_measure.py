from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from reverie.engines.errors import PhotoError
from reverie.runtime.story.measure import measure_all, measure_photo

PHOTOS = Path(__file__).resolve().parents[2] / "data" / "photos"


def told(error: Exception) -> Exception:
    return PhotoError(f"story.toml:7: {error}")


def test_faces_are_near_and_landscapes_wide() -> None:
    names = ("person-001-selfie.jpg", "lake-sherburne.jpg")
    face, lake = measure_all([(PHOTOS / name, told) for name in names], networks=True)
    assert face.face > 0.15
    assert face.close > 0.4
    assert lake.face == 0.0
    assert lake.close < face.close
    assert len(face.faces) == 1
    assert not face.shows_the_same_as(lake)
    assert face.salience is not None


def test_the_same_picture_is_known_again(tmp_path: Path) -> None:
    lake = PHOTOS / "lake-sherburne.jpg"
    first = measure_photo(lake)
    with Image.open(lake) as picture:
        small = picture.convert("RGB").resize((640, round(640 / first.shape)))
        small.save(tmp_path / "small.jpg", quality=60)
        dim = Image.fromarray((np.asarray(small) * 0.7).astype(np.uint8))
        warm = Image.fromarray((np.asarray(small) * [1.0, 0.9, 0.7]).astype(np.uint8))
    assert first.shows_the_same_as(measure_photo(tmp_path / "small.jpg"))
    assert first.shows_the_same_as(measure_photo(dim))
    assert first.shows_the_same_as(measure_photo(warm))


def test_no_two_of_our_photos_are_taken_for_the_same() -> None:
    measures = [measure_photo(path) for path in sorted(PHOTOS.glob("*.jpg"))]
    for index, one in enumerate(measures):
        assert not any(one.shows_the_same_as(other) for other in measures[index + 1 :])


def test_brightness_and_warmth() -> None:
    orange = measure_photo(np.full((80, 120, 3), (255, 128, 0), np.uint8))
    assert orange.warmth == pytest.approx(1.0, abs=0.02)
    assert orange.brightness == pytest.approx(0.57, abs=0.02)
    assert (orange.width, orange.height, orange.shape) == (120, 80, 1.5)


def test_each_file_is_read_once_and_a_broken_one_is_told_in_our_words(tmp_path: Path) -> None:
    seen: list[int] = []
    lake = PHOTOS / "lake-sherburne.jpg"
    one, two = measure_all([(lake, told), (str(lake), told)], networks=False, on_done=seen.append)
    assert one is two
    assert seen == [1, 2]
    with pytest.raises(PhotoError, match=r"^story\.toml:7: .*not there"):
        measure_all([(tmp_path / "gone.jpg", told)], networks=False)
