"""Drawn letters: where they lie, how large, that they can be read, and how they are laid over."""

from __future__ import annotations

import numpy as np
import pytest
from reverie.engines.errors import SettingsError
from reverie.runtime.letters import lettering, typeset
from reverie.runtime.letters.lettering import SAFE, Letters, check_text, compose, draw_text
from reverie.runtime.letters.typeset import can_shape

SIZES = [(640, 360), (1920, 1080), (540, 960), (500, 500), (1024, 256)]
shaped = pytest.mark.skipif(not can_shape(), reason="Pillow finds no Raqm with FriBiDi here")


def ink(letters: Letters, size: tuple[int, int]) -> np.ndarray:
    """Where the letters themselves are on a black frame, without their shadow."""
    black = np.zeros((size[1], size[0], 3), np.uint8)
    return compose(black, letters).max(-1) > 90


def box(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("style", ["caption", "title", "label"])
def test_letters_lie_in_the_safe_part(size: tuple[int, int], style: str) -> None:
    letters = draw_text("Grandmother Ágnes\nKraków, 1947", size=size, style=style)  # type: ignore[arg-type]
    left, top, right, bottom = box(ink(letters, size))
    width, height = size
    assert left >= width * SAFE - 1
    assert right <= width * (1 - SAFE) + 1
    assert top >= height * SAFE - 1
    assert bottom <= height * (1 - SAFE) + 1
    assert letters.lines in (2, 3)
    if style == "label":
        assert right > width * 0.9
    else:
        assert abs((left + right) / 2 - width / 2) <= 1
    if style == "caption":
        assert top > height * 0.55
    if style == "title":
        assert abs((top + bottom) / 2 - height / 2) <= 1


def test_sizes_follow_the_frame() -> None:
    small, large = (
        box(ink(draw_text("Anna", size=size), size)) for size in ((640, 360), (1920, 1080))
    )
    assert (large[3] - large[1]) / (small[3] - small[1]) == pytest.approx(3, rel=0.1)


def test_baselines_agree_between_captions() -> None:
    size = (640, 360)
    bottoms = [box(ink(draw_text(text, size=size), size))[3] for text in ("Anna", "Ella", "Max")]
    assert max(bottoms) - min(bottoms) <= 1


@pytest.mark.parametrize("level", [0, 40, 128, 200, 255])
def test_letters_read_on_dark_and_bright(level: int) -> None:
    """What surrounds each letter is darker than it by 3 : 1 at least (WCAG, large text)."""
    size = (640, 360)
    letters = draw_text("Grandmother Anna", size=size)
    frame = np.full((360, 640, 3), level, np.uint8)
    drawn = compose(frame, letters).astype(float).mean(-1)
    mask = ink(letters, size)
    near = np.zeros_like(mask)
    for down in (-2, 0, 2):
        for across in (-2, 0, 2):
            near |= np.roll(mask, (down, across), (0, 1))
    light = (drawn / 255) ** 2.2 + 0.05
    solid = drawn[mask] >= np.percentile(drawn[mask], 75)
    around = near & ~mask
    assert light[mask][solid].mean() / light[around].mean() > 3


def test_an_unmoved_frame_outside_the_letters() -> None:
    size = (640, 360)
    letters = draw_text("Anna", size=size)
    frame = np.random.default_rng(1).integers(0, 256, (360, 640, 3), np.uint8)
    before = frame.copy()
    drawn = compose(frame, letters)
    assert (frame == before).all()
    drawn_rows = slice(letters.top, letters.top + letters.rgba.shape[0])
    columns = slice(letters.left, letters.left + letters.rgba.shape[1])
    drawn[drawn_rows, columns] = before[drawn_rows, columns]
    assert (drawn == before).all()


def test_compose_is_the_exact_mixture() -> None:
    rng = np.random.default_rng(2)
    frame = rng.integers(0, 256, (40, 60, 3), np.uint8)
    alpha = rng.integers(0, 256, (20, 30, 1), np.uint8)
    colour = (rng.random((20, 30, 3)) * alpha).astype(np.uint8)
    letters = Letters(np.dstack([colour, alpha]), 5, 7)
    for opacity in (1.0, 0.5, 0.3):
        expected = frame.astype(float)
        place = expected[7:27, 5:35]
        expected[7:27, 5:35] = place * (1 - alpha / 255 * opacity) + colour * opacity
        assert np.abs(compose(frame, letters, opacity) - expected).max() <= 1.5


def test_fading() -> None:
    letters = draw_text("Anna", size=(640, 360))
    frame = np.full((360, 640, 3), 100, np.uint8)
    assert compose(frame, letters, 0.0) is frame
    sums = [np.abs(compose(frame, letters, o) - 100.0).sum() for o in (0.25, 0.5, 1.0)]
    assert sums[0] < sums[1] < sums[2]
    for opacity in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="opacity"):
            compose(frame, letters, opacity)
    with pytest.raises(ValueError, match="letters that end"):
        compose(frame[:100], letters)


def test_premultiplied_colours_never_exceed_alpha() -> None:
    rgba = draw_text("Grandmother Anna", size=(640, 360)).rgba
    assert rgba.dtype == np.uint8
    assert (rgba[..., :3].max(-1) <= rgba[..., 3]).all()


def test_long_text_is_broken_then_set_smaller_then_refused() -> None:
    words = "Here the orchard still stood and every evening he would walk us down to the river "
    assert draw_text(words, size=(1280, 720)).lines == 2
    assert draw_text(words * 2, size=(1280, 720)).lines in (3, 4)
    with pytest.raises(SettingsError, match="does not fit a frame of 540x960 in 4 lines"):
        draw_text(words * 4, size=(540, 960))
    with pytest.raises(SettingsError, match="does not fit"):
        draw_text("x" * 120, size=(1280, 720))
    with pytest.raises(SettingsError, match="does not fit"):
        draw_text("Grandmother Anna\nKraków", size=(64, 36))


def test_lines_may_come_as_a_list() -> None:
    size = (640, 360)
    one, other = draw_text("Anna\n1947", size=size), draw_text(["Anna", "1947"], size=size)
    assert (one.rgba == other.rgba).all()
    assert one.fonts == ("EBGaramond-Medium.ttf",)


def test_kerning() -> None:
    """ "AV" is narrower than its letters apart."""
    face = typeset.SHIPPED[0]
    pair = lettering._width(typeset.Run("AV", face, False), 100.0)
    alone = sum(lettering._width(typeset.Run(c, face, False), 100.0) for c in "AV")
    assert pair < alone - 3


@shaped
def test_arabic_letters_are_joined() -> None:
    """A word takes less room, and other shapes, than its letters one by one."""
    face = typeset.SHIPPED[2]
    word = lettering._width(typeset.Run("محبة", face, True), 100.0)
    alone = sum(lettering._width(typeset.Run(c, face, True), 100.0) for c in "محبة")
    assert word < 0.85 * alone


@shaped
@pytest.mark.parametrize("size", SIZES[:3])
@pytest.mark.parametrize(
    "text", ["סבתא חנה\nתל אביב, 1947", "بنت فطن\nبيت، ١٩٤٧", "Anna (אנה) Ελένη"]
)
def test_other_scripts_are_drawn(text: str, size: tuple[int, int]) -> None:
    letters = draw_text(text, size=size)
    left, _, right, bottom = box(ink(letters, size))
    assert right - left > 0.1 * size[0]
    assert bottom <= size[1] * (1 - SAFE) + 1


def test_without_raqm_latin_is_drawn_too(monkeypatch: pytest.MonkeyPatch) -> None:
    size = (640, 360)
    with_raqm = draw_text("Nguyễn Thị Hằng", size=size)
    lettering._font.cache_clear()
    lettering._width.cache_clear()
    monkeypatch.setattr(typeset, "can_shape", lambda: False)
    monkeypatch.setattr(lettering, "can_shape", lambda: False)
    without = draw_text("Nguyễn Thị Hằng", size=size)
    lettering._font.cache_clear()
    lettering._width.cache_clear()
    assert abs(with_raqm.rgba.shape[1] - without.rgba.shape[1]) <= 6


def test_check_text_and_styles() -> None:
    check_text("Anna\nKraków")
    check_text(["Anna", "Kraków"])
    with pytest.raises(SettingsError, match="emoji"):
        check_text("Anna 🌸")
    with pytest.raises(SettingsError, match="caption, title, label"):
        draw_text("Anna", size=(640, 360), style="shout")  # type: ignore[arg-type]
