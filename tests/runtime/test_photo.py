"""Reading photos: every kind and every way they are stored, and every bad one in one line."""

from __future__ import annotations

import os
import struct
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms
from reverie.engines.errors import MissingPackageError, PhotoError
from reverie.runtime.photo import MAX_PIXELS, Photo, load_photo


@pytest.fixture
def picture() -> Image.Image:
    """A picture 120 x 80 with a colour of its own in each corner, smooth between."""
    corners = np.array([[[230, 40, 30], [40, 200, 60]], [[30, 60, 220], [240, 230, 90]]], np.uint8)
    return Image.fromarray(cv2.resize(corners, (120, 80), interpolation=cv2.INTER_LINEAR))


def _near(photo: Photo, picture: Image.Image, most: float = 3.0) -> None:
    shown = np.asarray(picture.convert("RGB")).astype(int)
    assert photo.pixels.dtype == np.uint8
    assert photo.pixels.flags["C_CONTIGUOUS"]
    assert photo.pixels.shape == shown.shape
    assert np.abs(photo.pixels - shown).mean() <= most


@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "avif", "tif", "bmp", "gif"])
def test_reads_each_kind(tmp_path: Path, picture: Image.Image, kind: str) -> None:
    file = tmp_path / f"photo.{kind}"
    picture.save(file)
    photo = load_photo(file)
    _near(photo, picture, 6.0 if kind == "gif" else 3.0)
    assert photo.notes == ()


def test_reads_heic(tmp_path: Path, picture: Image.Image) -> None:
    pillow_heif.from_pillow(picture).save(tmp_path / "photo.heic")
    _near(load_photo(tmp_path / "photo.heic"), picture)


def test_heic_without_its_package_prints_the_pip_line(
    tmp_path: Path, picture: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    pillow_heif.from_pillow(picture).save(tmp_path / "photo.heic")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(MissingPackageError, match="run: pip install pillow-heif ") as error:
        load_photo(tmp_path / "photo.heic")
    assert "\n" not in str(error.value)


def test_the_name_does_not_matter(tmp_path: Path, picture: Image.Image) -> None:
    picture.save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.jpg")
    _near(load_photo(str(tmp_path / "a.jpg")), picture, 0)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpg", "png", "webp"])
def test_turns_upright(tmp_path: Path, picture: Image.Image, orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture.save(tmp_path / f"a.{kind}", exif=exif)
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    upright = picture.transpose(turns[orientation]) if orientation > 1 else picture
    photo = load_photo(tmp_path / f"a.{kind}")
    _near(photo, upright)
    assert photo.notes == (("rotated as its EXIF says",) if orientation > 1 else ())


def test_turns_tiff_and_avif_upright_once(tmp_path: Path, picture: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(tmp_path / "a.tif", tiffinfo={274: 6})
    picture.save(tmp_path / "a.avif", exif=exif)
    for name in ("a.tif", "a.avif"):
        photo = load_photo(tmp_path / name)
        _near(photo, picture.transpose(Image.Transpose.ROTATE_270))
        assert photo.notes == ("rotated as its EXIF says",)


def test_sixteen_bits_keep_their_brightness(tmp_path: Path, picture: Image.Image) -> None:
    deep = np.asarray(picture).astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / "rgb.png"), deep[..., ::-1])
    cv2.imwrite(str(tmp_path / "rgb.tif"), deep[..., ::-1])
    for name in ("rgb.png", "rgb.tif"):
        photo = load_photo(tmp_path / name)
        _near(photo, picture, 1.0)
        assert photo.notes == ("16-bit colour brought to 8",)
    grey = np.asarray(picture.convert("L"))
    cv2.imwrite(str(tmp_path / "grey.png"), grey.astype(np.uint16) * 257)
    photo = load_photo(tmp_path / "grey.png")
    _near(photo, picture.convert("L"), 0)
    assert photo.notes == ("16-bit brought to 8",)


def test_float_tiff_of_grey_and_of_colour(tmp_path: Path, picture: Image.Image) -> None:
    grey = np.asarray(picture.convert("L")).astype(np.float32) / 255
    cv2.imwrite(str(tmp_path / "grey.tif"), grey)
    _near(load_photo(tmp_path / "grey.tif"), picture.convert("L"), 0)
    colour = np.asarray(picture)[..., ::-1].astype(np.float32) / 255
    cv2.imwrite(str(tmp_path / "rgb.tif"), colour)
    photo = load_photo(tmp_path / "rgb.tif")
    _near(photo, picture, 0)
    assert photo.notes == ("float levels brought to 8-bit",)


def test_palette_grey_and_one_bit(tmp_path: Path, picture: Image.Image) -> None:
    picture.quantize(256).save(tmp_path / "p.png")
    _near(load_photo(tmp_path / "p.png"), picture, 4)
    picture.convert("L").save(tmp_path / "l.jpg")
    _near(load_photo(tmp_path / "l.jpg"), picture.convert("L"))
    picture.convert("1").save(tmp_path / "one.png")
    assert set(np.unique(load_photo(tmp_path / "one.png").pixels)) == {0, 255}


@pytest.mark.parametrize("kind", ["rgba.png", "rgba.webp", "rgba.tif", "palette.png", "grey.png"])
def test_transparency_lies_over_a_blur_of_the_rest(tmp_path: Path, kind: str) -> None:
    pixels = np.zeros((100, 150, 4), np.uint8)
    pixels[..., 1] = 255  # green lies hidden under what is clear, and must not show
    pixels[20:80, 30:120] = (200, 100, 50, 255)
    picture = Image.fromarray(pixels)
    if kind.startswith("palette"):
        picture = picture.quantize(8)
    if kind.startswith("grey"):
        pixels[..., :3] = np.where(pixels[..., 3:] > 0, 140, 255)
        picture = Image.fromarray(pixels).convert("LA")
    picture.save(tmp_path / kind, lossless=True)
    photo = load_photo(tmp_path / kind)
    expected = (140, 140, 140) if kind.startswith("grey") else (200, 100, 50)
    assert np.abs(photo.pixels.astype(int) - expected).max() <= 8
    assert "transparent" in photo.notes[-1]


@pytest.mark.parametrize("kind", ["gif", "png", "webp"])
def test_first_frame_of_an_animation(tmp_path: Path, picture: Image.Image, kind: str) -> None:
    frames = [picture.rotate(15 * i) for i in range(5)]
    frames[0].save(tmp_path / f"a.{kind}", save_all=True, append_images=frames[1:])
    photo = load_photo(tmp_path / f"a.{kind}")
    _near(photo, picture, 6.0 if kind == "gif" else 3.0)
    assert photo.notes == ("first frame of 5",)


def test_a_broken_profile_is_left_out(tmp_path: Path, picture: Image.Image) -> None:
    picture.save(tmp_path / "a.jpg", icc_profile=b"no profile at all" * 20)
    photo = load_photo(tmp_path / "a.jpg")
    _near(photo, picture)
    assert photo.notes == ("its colour profile is broken and was left out",)


def test_a_broken_exif_is_left_out(tmp_path: Path, picture: Image.Image) -> None:
    picture.save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff\x01\0")
    _near(load_photo(tmp_path / "a.jpg"), picture)


def test_srgb_profile_changes_nothing(tmp_path: Path, picture: Image.Image) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture.save(tmp_path / "a.png", icc_profile=profile)
    photo = load_photo(tmp_path / "a.png")
    _near(photo, picture, 0)
    assert photo.notes == ()


def test_a_large_jpeg_is_read_near_the_size_needed(tmp_path: Path, picture: Image.Image) -> None:
    picture.resize((2400, 1600)).save(tmp_path / "a.jpg")
    assert load_photo(tmp_path / "a.jpg").pixels.shape == (1600, 2400, 3)
    assert load_photo(tmp_path / "a.jpg", target=380).pixels.shape == (400, 600, 3)
    picture.resize((2400, 1600)).save(tmp_path / "a.png")
    photo = load_photo(tmp_path / "a.png", target=500)
    assert photo.pixels.shape == (534, 800, 3)
    _near(photo, picture.resize((800, 534)))


def test_a_pillow_image_and_an_array_are_photos_and_stay_as_they_are(
    picture: Image.Image,
) -> None:
    before = np.asarray(picture).copy()
    _near(load_photo(picture), picture, 0)
    _near(load_photo(before), picture, 0)
    _near(load_photo(before[..., 0]), picture.getchannel("R"), 0)
    see_through = np.dstack([before, np.full(before.shape[:2], 128, np.uint8)])
    load_photo(see_through)
    load_photo(Image.fromarray(see_through))
    assert np.array_equal(np.asarray(picture), before)


@pytest.mark.parametrize(
    "array",
    [np.zeros((80, 80, 3), np.float32), np.zeros((80, 80, 5), np.uint8), np.zeros(80, np.uint8)],
)
def test_refuses_other_arrays(array: np.ndarray) -> None:
    with pytest.raises(PhotoError, match="uint8 of shape"):
        load_photo(array)


def _refused(path: str | Path, *words: str) -> None:
    with pytest.raises(PhotoError) as error:
        load_photo(path)
    message = str(error.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


def test_refuses_what_is_no_file(tmp_path: Path) -> None:
    _refused(tmp_path / "none.jpg", "is not there")
    _refused(tmp_path / "none" / "a.jpg", "is not there")
    _refused(tmp_path, "is a folder")
    (tmp_path / "empty.jpg").touch()
    _refused(tmp_path / "empty.jpg", "is empty")
    _refused("a\0b.jpg", "cannot be opened")


@pytest.mark.skipif(os.name == "nt", reason="pipes, devices and links are those of Unix")
def test_refuses_pipes_devices_and_dangling_links_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    _refused(tmp_path / "pipe.jpg", "pipe or device")
    _refused("/dev/zero", "pipe or device")
    (tmp_path / "link.jpg").symlink_to("gone.jpg")
    _refused(tmp_path / "link.jpg", "is a link", "gone.jpg")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    _refused(tmp_path / "loop.jpg", "cannot be opened")


def test_refuses_what_may_not_be_read(
    tmp_path: Path, picture: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture.save(tmp_path / "a.png")

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    _refused(tmp_path / "a.png", "permission denied")


def test_refuses_what_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("Dear diary,\n" * 20)
    _refused(tmp_path / "text.jpg", "is not a photo (text", "give a JPEG")
    (tmp_path / "clip.jpg").write_bytes(b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41" + b"\0" * 99)
    _refused(tmp_path / "clip.jpg", "is not a photo (a video")
    (tmp_path / "paper.png").write_bytes(b"%PDF-1.7\n" + b"\xff" * 99)
    _refused(tmp_path / "paper.png", "a PDF")
    (tmp_path / "what.png").write_bytes(bytes(range(128, 256)))
    _refused(tmp_path / "what.png", "unknown kind")


@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "avif", "tif", "bmp", "gif", "heic"])
@pytest.mark.parametrize("share", [0.1, 0.6, 0.9])
def test_refuses_what_is_cut_short(
    tmp_path: Path, picture: Image.Image, kind: str, share: float
) -> None:
    rng = np.random.default_rng(0)
    noisy = np.asarray(picture) // 2 + rng.integers(0, 128, (80, 120, 3), np.uint8)
    file = tmp_path / f"a.{kind}"
    if kind == "heic":
        pillow_heif.from_pillow(Image.fromarray(noisy)).save(file)
    else:
        Image.fromarray(noisy).save(file)
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * share)])
    _refused(file, "a." + kind, "source")


def _png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"\0" * 999))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("size", [(30_000, 30_000), (12_000, 10_000), (10_241, 10_240)])
def test_refuses_bombs_before_decoding(
    tmp_path: Path, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def decoded(*_: object) -> None:
        pytest.fail("decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decoded)
    (tmp_path / "bomb.png").write_bytes(_png(*size))
    assert size[0] * size[1] > MAX_PIXELS
    _refused(tmp_path / "bomb.png", "megapixels; the limit is 100")


@pytest.mark.parametrize("size", [(1, 1), (63, 400), (400, 20)])
def test_refuses_the_tiny(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("RGB", size).save(tmp_path / "a.png")
    _refused(tmp_path / "a.png", f"{size[0]} x {size[1]} pixels", "at least 64")


def test_takes_64_pixels(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), (9, 99, 199)).save(tmp_path / "a.png")
    assert (load_photo(tmp_path / "a.png").pixels == (9, 99, 199)).all()


def test_refuses_what_is_clear_all_over(tmp_path: Path) -> None:
    Image.new("RGBA", (80, 80), (9, 9, 9, 0)).save(tmp_path / "a.png")
    _refused(tmp_path / "a.png", "transparent all over")


def test_takes_a_jpeg_with_flipped_bits_and_junk_at_its_end(
    tmp_path: Path, picture: Image.Image
) -> None:
    picture.save(tmp_path / "a.jpg")
    data = bytearray((tmp_path / "a.jpg").read_bytes())
    data[-40] ^= 0x10
    (tmp_path / "a.jpg").write_bytes(bytes(data) + b"\0junk" * 50)
    assert load_photo(tmp_path / "a.jpg").pixels.shape == (80, 120, 3)


def test_a_line_break_in_a_name_does_not_break_the_line(tmp_path: Path) -> None:
    _refused(tmp_path / "a\nb.jpg", "a?b.jpg")
