"""Colour: profiles, inks, deep greys and transparency brought to 8-bit sRGB."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageCms
from reverie.runtime.colour import alpha_over_blur, eight_bits, grey_levels, pixels_of, to_srgb


def test_inks_without_a_profile_look_like_print() -> None:
    inks = np.zeros((2, 6, 4), np.uint8)
    inks[:, 1, 0] = inks[:, 2, 1] = inks[:, 3, 2] = inks[:, 4, 3] = 255
    inks[:, 5] = 255
    shown, note = to_srgb(Image.fromarray(inks, "CMYK"), None)
    white, cyan, magenta, yellow, black, all_inks = np.asarray(shown)[0].astype(int)
    assert (white == 255).all()
    assert tuple(cyan) == (0, 174, 239)
    assert tuple(magenta) == (236, 0, 140)
    assert tuple(yellow) == (255, 242, 0)
    assert black.max() < 40
    assert all_inks.max() < 12
    assert note is not None
    assert "CMYK" in note


def test_inverted_cmyk_jpeg_comes_out_right(tmp_path: object) -> None:
    inks = np.zeros((80, 80, 4), np.uint8)
    inks[..., 2] = 250
    file = f"{tmp_path}/a.jpg"
    Image.fromarray(inks, "CMYK").save(file)  # written inverted, as Adobe does
    with Image.open(file) as opened:
        shown, _ = to_srgb(opened, None)
    red, green, blue = np.asarray(shown).reshape(-1, 3).mean(0)
    assert red > 240
    assert green > 220
    assert blue < 20


def test_lab_through_its_profile_is_managed() -> None:
    lab = np.full((4, 4, 3), (180, 0, 0), np.uint8)  # signed a and b: 0 is neutral
    shown, note = to_srgb(Image.fromarray(lab, "LAB"), None)
    pixels = np.asarray(shown).astype(int)
    assert np.ptp(pixels[0, 0]) <= 8
    assert 150 < pixels.mean() < 190
    assert note == "Lab colours brought to sRGB"


def _wide_gamut() -> bytes:
    """An RGB profile that calls sRGB's red and green channels each other's name."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, green = data.find(b"rXYZ"), data.find(b"gXYZ")
    data[red : red + 4], data[green : green + 4] = b"gXYZ", b"rXYZ"
    at = data.find("sRGB".encode("utf-16-be"))
    data[at : at + 8] = "Swap".encode("utf-16-be")
    return bytes(data)


def test_a_profile_is_applied_and_named() -> None:
    shown, note = to_srgb(Image.new("RGB", (8, 8), (220, 40, 60)), _wide_gamut())
    assert np.abs(np.asarray(shown).astype(int) - (40, 220, 60)).max() <= 3
    assert note is not None
    assert note.startswith("colours brought from Swap")


def test_a_profile_for_other_inks_is_left_out() -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    shown, note = to_srgb(Image.new("RGB", (8, 8), (220, 40, 60)), lab)
    assert shown.getpixel((0, 0)) == (220, 40, 60)
    assert note == "its colour profile is broken and was left out"


@pytest.mark.parametrize(
    ("levels", "white"),
    [
        (np.linspace(0, 1, 4096, dtype=np.float32), 1.0),
        (np.linspace(0, 255, 4096, dtype=np.float32), 255.0),
        (np.linspace(0, 65535, 4096, dtype=np.float32), 65535.0),
        (np.arange(0, 65536, 16, dtype=np.int32), 65535.0),
        (np.arange(0, 65536, 16).astype(np.uint16), 65535.0),
    ],
)
def test_white_of_deep_levels(levels: np.ndarray, white: float) -> None:
    shown, note = grey_levels(levels.reshape(64, 64))
    assert shown.dtype == np.uint8
    assert np.abs(shown.ravel() - levels.astype(np.float64) * (255 / white)).max() <= 1.0
    assert note


def test_levels_that_are_no_numbers_become_black_or_white() -> None:
    levels = np.full((8, 8), 0.5, np.float32)
    levels[0, :3] = np.nan, np.inf, -np.inf
    shown, _ = grey_levels(levels)
    assert list(shown[0, :3]) == [0, 255, 0]
    assert shown[4, 4] == 128


def test_twelve_bits_in_sixteen_are_known_in_tiff(tmp_path: object) -> None:
    levels = (np.arange(100 * 100, dtype=np.uint16) % 4096).reshape(100, 100)
    Image.fromarray(levels).save(f"{tmp_path}/a.tif")
    with Image.open(f"{tmp_path}/a.tif") as opened:
        shown, note = eight_bits(opened)
    assert note == "12-bit brought to 8"
    assert np.array_equal(np.asarray(shown), (levels >> 4).astype(np.uint8))


def test_pixels_come_out_whole() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (700, 90, 3), np.uint8)
    assert np.array_equal(pixels_of(Image.fromarray(pixels)), pixels)


def test_what_is_opaque_stays_and_what_is_clear_is_smooth() -> None:
    rng = np.random.default_rng(2)
    pixels = rng.integers(0, 256, (400, 600, 3), np.uint8)
    alpha = np.zeros((400, 600), np.uint8)
    alpha[100:300, 150:450] = 255
    before = pixels.copy()
    shown = alpha_over_blur(pixels, alpha).astype(int)
    assert np.array_equal(shown[100:300, 150:450], before[100:300, 150:450])
    assert np.abs(np.diff(shown[:80], axis=1)).max() <= 2
    assert np.abs(shown[:80].mean() - 127) < 12
