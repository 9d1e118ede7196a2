"""The photo that comes along is made larger than the film, and is gone afterwards."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from reverie.benchmarks.bench import photo
from reverie.benchmarks.bench.cases import Case
from reverie.benchmarks.bench.photo import large_photos
from reverie.engines.errors import OutputError


def test_no_film_is_larger_than_its_photo(case: Case) -> None:
    cases = [replace(case, width=w, height=h) for w, h in ((96, 64), (1280, 720), (720, 1280))]
    with large_photos(cases, given=False) as made:
        for one in made:
            with Image.open(one.photo) as picture:
                assert picture.width >= one.width
                assert picture.height >= one.height
        paths = [Path(one.photo) for one in made]
        assert len(set(paths)) == 3
    assert not any(path.exists() for path in paths)


def test_a_given_photo_is_taken_as_it_is(case: Case) -> None:
    with large_photos([case], given=True) as made:
        assert made == [case]


def test_no_room_is_told(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*words: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(photo.tempfile, "TemporaryDirectory", full)
    with (
        pytest.raises(OutputError, match="No space left on device"),
        large_photos([case], given=False),
    ):
        raise AssertionError
