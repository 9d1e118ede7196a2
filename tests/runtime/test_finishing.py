"""What is done to frames once a family has drawn them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reverie.engines.errors import EngineError, SettingsError
from reverie.runtime import finishing
from reverie.runtime.bundle import load_bundle
from reverie.runtime.families.ember import look as look_at
from reverie.runtime.finishing import Finishing
from reverie.runtime.frame import frame_photo
from reverie.runtime.identity import Identity
from reverie.runtime.look.look import resolve
from reverie.runtime.photo import load_photo
from reverie.runtime.pipeline import stream
from reverie.runtime.regions import Regions, carried
from reverie.runtime.settings import Settings, Understanding
from reverie.runtime.stages import Stages
from reverie.runtime.take import Take

PHOTOS = Path(__file__).resolve().parents[1] / "data" / "photos"
HEIGHT, FPS = 256, 12

Pixels = np.ndarray


@pytest.fixture(scope="module")
def portrait() -> tuple[Pixels, Regions]:
    photo = load_photo(PHOTOS / "person-006-portrait.jpg")
    regions = look_at(load_bundle("ember"), photo.pixels, "cpu")
    shot = frame_photo(photo, aspect="photo", height=HEIGHT)
    assert regions.faces
    return shot.picture, carried(regions, shot)


def drifting(picture: Pixels, count: int) -> Iterator[Pixels]:
    """The picture, a little brighter and darker in turn: nothing that a guard would mind."""
    for index in range(count):
        change = 3.0 * np.sin(index / 5)
        yield np.clip(picture + change, 0, 255).astype(np.uint8)


def finish(
    portrait: tuple[Pixels, Regions],
    frames: Iterator[Pixels],
    *,
    seconds: float = 2.0,
    drawn: bool = True,
    **settings: Any,
) -> tuple[list[Pixels], Finishing, Stages]:
    picture, regions = portrait
    asked = Settings(seconds=seconds, fps=FPS, height=HEIGHT, **settings)
    take = Take(picture.shape[1], picture.shape[0], frames, picture=picture, regions=regions)
    stages = Stages()
    last = Finishing(
        take,
        asked,
        resolve(asked, Understanding(), drawn=drawn),
        drawn=drawn,
        count=asked.frames,
        device="cpu",
        stages=stages,
    )
    return list(last.over(take.frames)), last, stages


def test_frames_pass_where_nothing_is_asked_and_nothing_is_wrong(
    portrait: tuple[Pixels, Regions],
) -> None:
    frames, last, stages = finish(portrait, drifting(portrait[0], 99))
    for shown, drawn in zip(frames, drifting(portrait[0], 24), strict=True):
        np.testing.assert_array_equal(shown, drawn)
    assert last.report is not None
    assert last.report.frames == 24
    assert last.report["identity"].value > 0.95
    assert stages.notes == []


def test_a_look_is_laid_over_frames_that_a_model_draws(portrait: tuple[Pixels, Regions]) -> None:
    frames, _, _ = finish(portrait, drifting(portrait[0], 24), camera="push", light="golden")
    np.testing.assert_array_equal(frames[0], portrait[0])
    plain = list(drifting(portrait[0], 24))
    apart = [np.abs(a.astype(int) - b).mean() for a, b in zip(frames, plain, strict=True)]
    assert apart[-1] > 2
    # ember has drawn camera and light itself
    frames, _, _ = finish(portrait, drifting(portrait[0], 24), camera="push", drawn=False)
    for shown, drawn in zip(frames, plain, strict=True):
        np.testing.assert_array_equal(shown, drawn)


def test_a_label_is_on_every_frame_and_over_no_face(portrait: tuple[Pixels, Regions]) -> None:
    picture, regions = portrait
    frames, _, _ = finish(portrait, drifting(picture, 24), label="made by a machine")
    plain = list(drifting(picture, 24))
    changed = [np.abs(a.astype(int) - b).max(-1) > 8 for a, b in zip(frames, plain, strict=True)]
    assert all(50 < mask.sum() < 0.1 * mask.size for mask in changed)
    high, wide = picture.shape[:2]
    for face in regions.faces:
        rows = slice(int(face.box.y0 * high), int(face.box.y1 * high))
        columns = slice(int(face.box.x0 * wide), int(face.box.x1 * wide))
        assert not any(mask[rows, columns].any() for mask in changed)


def test_a_label_nobody_can_draw_is_refused(portrait: tuple[Pixels, Regions]) -> None:
    with pytest.raises(SettingsError):
        finish(portrait, drifting(portrait[0], 24), label="\U0001f469")


def test_faces_are_kept_or_left_free(portrait: tuple[Pixels, Regions]) -> None:
    picture, regions = portrait
    other = load_photo(PHOTOS / "person-008-selfie.jpg")
    box = regions.faces[0].box
    high, wide = picture.shape[:2]
    y0, y1, x0, x1 = int(box.y0 * high), int(box.y1 * high), int(box.x0 * wide), int(box.x1 * wide)
    theirs = look_at(load_bundle("ember"), other.pixels, "cpu").faces[0].box
    tall, broad = other.pixels.shape[:2]
    face = other.pixels[
        int(theirs.y0 * tall) : int(theirs.y1 * tall),
        int(theirs.x0 * broad) : int(theirs.x1 * broad),
    ]
    import cv2

    swapped = picture.copy()
    swapped[y0:y1, x0:x1] = cv2.resize(face, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)

    def swapping(count: int) -> Iterator[Pixels]:
        for index, frame in enumerate(drifting(picture, count)):
            yield swapped if index >= 10 else frame

    frames, _, stages = finish(portrait, swapping(24))
    assert len(frames) == 24
    with Identity(picture, regions.faces, device="cpu") as identity:
        seen = [cosine for frame in frames for cosine in identity.cosines(frame)]
        assert min(cosine for cosine in seen if cosine is not None) > 0.9
        assert identity.cosines(swapped)[0] is None or identity.cosines(swapped)[0] < 0.7
    assert any("face" in note for note in stages.notes)
    frames, last, _ = finish(portrait, swapping(24), faces="free")
    np.testing.assert_array_equal(frames[-1], swapped)
    assert last.report is not None
    assert "identity" in last.report.not_measured


def test_stillness_is_told_unless_it_was_asked_for(portrait: tuple[Pixels, Regions]) -> None:
    def frozen(count: int) -> Iterator[Pixels]:
        yield from (portrait[0] for _ in range(count))

    _, _, stages = finish(portrait, frozen(96), seconds=8, faces="free")
    assert any("frozen" in note for note in stages.notes)
    calm = {"seconds": 8, "faces": "free", "camera": "off"}
    _, _, stages = finish(portrait, frozen(96), drawn=False, **calm)
    assert stages.notes == []
    _, _, stages = finish(portrait, frozen(96), **calm)  # a video model moves without a camera
    assert any("frozen" in note for note in stages.notes)


def test_ember_goes_on_without_the_network_that_knows_faces(
    portrait: tuple[Pixels, Regions], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: Any, **named: Any) -> None:
        raise EngineError("no such device")

    monkeypatch.setattr(finishing, "Identity", fails)
    frames, _, stages = finish(portrait, drifting(portrait[0], 24), drawn=False)
    assert len(frames) == 24
    assert stages.notes == ["faces were not watched: no such device"]
    with pytest.raises(EngineError):  # a model that redraws faces does not
        finish(portrait, drifting(portrait[0], 24))


def test_a_video_model_goes_the_whole_way(video_bundle: Path) -> None:
    film = stream(
        PHOTOS / "person-006-portrait.jpg",
        model=video_bundle,
        seconds=1,
        height=96,
        mood="wistful",
        label="by AI",
    )
    frames = list(film)
    assert len(frames) == film.frame_count == 24
    assert film.finishing.report is not None
    assert any(note.startswith("mood: wistful") for note in film.notes)
