from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from reverie.engines.errors import StoryError
from reverie.runtime.crop import Box
from reverie.runtime.story.caption import (
    caption_of,
    check_captions,
    draw_caption,
    with_captions,
)
from reverie.runtime.story.plan import StoryPlan, StoryShot

SIZE = (640, 360)


@pytest.mark.parametrize(
    ("name", "caption"),
    [
        ("grandmother 1962.jpg", ("Grandmother", "1962")),
        ("the_old-house.jpeg", ("The old house",)),
        ("1987-08-12 Porto.jpg", ("Porto", "1987")),
        ("Ana & Luís.png", ("Ana & Luís",)),
        *((n, ()) for n in ("IMG_4521.jpg", "DSC00012.jpg", "PXL_0001 (2).jpg", "1234.jpg")),
        *((n, ()) for n in ("WhatsApp-3.jpg", "scan 12.jpg", "photo.jpg", "P1040332.jpg")),
        ("IMG_20190402_120000.jpg", ("2019",)),
    ],
)
def test_a_files_name_is_a_caption_where_it_is_words(name: str, caption: tuple[str, ...]) -> None:
    assert caption_of(Path(name)) == caption


def test_what_the_photo_says_of_itself_goes_first(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "Lunch on the porch"
    exif.get_ifd(0x8769)[0x9003] = "1974:06:01 12:00:00"
    path = tmp_path / "some name.jpg"
    Image.new("RGB", (80, 80)).save(path, exif=exif)
    assert caption_of(path) == ("Lunch on the porch", "1974")
    assert caption_of(np.zeros((80, 80, 3), np.uint8)) == ()


def test_a_picture_is_named_once(tmp_path: Path) -> None:
    shots = [StoryShot(f"{name}.jpg") for name in ("porch", "lake", "porch")]
    said = with_captions(StoryPlan((*shots, StoryShot("door.jpg", caption=("Mine",)))))
    assert [shot.caption for shot in said.shots] == [("Porch",), ("Lake",), (), ("Mine",)]


def overlaps(letters: object, face: Box) -> bool:
    height, width = letters.rgba.shape[:2]  # type: ignore[attr-defined]
    left, top = letters.left, letters.top  # type: ignore[attr-defined]
    x0, x1 = face.x0 * SIZE[0], face.x1 * SIZE[0]
    y0, y1 = face.y0 * SIZE[1], face.y1 * SIZE[1]
    return left < x1 and left + width > x0 and top < y1 and top + height > y0


def test_a_caption_covers_no_face() -> None:
    foot = draw_caption(["Ana"], size=SIZE, faces=[], font=None)
    assert foot is not None
    assert foot.top > 0.7 * SIZE[1]
    low = Box(0.35, 0.55, 0.65, 0.95)
    above = draw_caption(["Ana"], size=SIZE, faces=[low], font=None)
    assert above is not None
    assert above.top < 0.2 * SIZE[1]
    tall = Box(0.3, 0.02, 0.7, 0.98)
    beside = draw_caption(["Ana"], size=SIZE, faces=[tall], font=None)
    assert beside is not None
    assert not overlaps(beside, tall)
    assert draw_caption(["Ana"], size=SIZE, faces=[Box(0, 0, 1, 1)], font=None) is None


def test_letters_that_no_font_has_are_told_with_their_line() -> None:
    shot = StoryShot("a.jpg", caption=("\U0001f9ff\ue000",), where="story.toml:9")
    with pytest.raises(StoryError, match=r"^story\.toml:9: "):
        check_captions(StoryPlan((shot,)), SIZE)
    check_captions(StoryPlan((shot,), captions=False), SIZE)
    long = StoryShot("a.jpg", caption=("far too long " * 60,), places={"caption": "story.toml:4"})
    with pytest.raises(StoryError, match=r"^story\.toml:4: "):
        check_captions(StoryPlan((long,)), SIZE)
    with pytest.raises(StoryError, match=r"^story\.toml:2: "):
        check_captions(
            StoryPlan(
                (), label="much too long " * 30, source=Path("story.toml"), lines={"label": 2}
            ),
            SIZE,
        )
