"""Reads a photo of any usual kind into upright sRGB pixels, or says in one line why it cannot."""

from __future__ import annotations

import codecs
import logging
import os
import re
import stat
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from ..engines.errors import MissingPackageError, PhotoError
from .colour import alpha_over_blur, eight_bits, grey_levels, pixels_of, tiff_levels, to_srgb

# Pillow logs what it finds wrong in a file; unheard, those lines would land on stderr.
logging.getLogger("PIL").addHandler(logging.NullHandler())

MIN_SIDE = 64
# 100 megapixels of 1024 x 1024, so that cameras sold as "100 MP" (11,648 x 8,736) pass.
MAX_PIXELS = 100 * 1024 * 1024
KINDS = "JPEG, PNG, WebP, AVIF, HEIC, TIFF, BMP or GIF"
_FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "BMP", "GIF")
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_ORIENTATION = 0x0112
_UPRIGHT: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.transpose(1, 0, 2),
    6: lambda p: p[::-1].transpose(1, 0, 2),
    7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
    8: lambda p: p[:, ::-1].transpose(1, 0, 2),
}


@dataclass(frozen=True)
class Photo:
    """A photo as it is meant to be seen.

    `pixels` is uint8 (H, W, 3), sRGB, upright, contiguous; `notes` tell what was done to it, each
    a short phrase for a person ("rotated as its EXIF says").
    """

    pixels: NDArray[np.uint8]
    notes: tuple[str, ...] = ()


def load_photo(
    source: str | os.PathLike[str] | Image.Image | NDArray[np.uint8], *, target: int | None = None
) -> Photo:
    """Read a photo: orientation, colour profile, depth and transparency are settled here.

    `source` is a path, a Pillow image, or a uint8 array (H, W, 3), (H, W, 4) or (H, W). With
    `target`, a large photo may be read smaller, its shorter side still at least `target` pixels:
    enough for any frame whose longer side is `target`. Raises PhotoError for what is not a photo
    of 64 pixels a side to 100 megapixels, MissingPackageError for HEIC without pillow-heif.
    """
    if isinstance(source, Image.Image):
        _check_size(source.size, "the picture")
        return _guarded(lambda: _develop(source.copy(), [], target, "the picture"), "the picture")
    if isinstance(source, np.ndarray):
        return _from_array(source, target)
    if not isinstance(source, str | os.PathLike) or isinstance(os.fspath(source), bytes):
        raise PhotoError(
            f"a photo of type {type(source).__name__} cannot be used: give a file, a PIL image, or "
            "uint8 RGB (H, W, 3)"
        )
    path = Path(source)
    name = f'"{_printable(os.fspath(path))}"'
    with _open_file(path, name) as file:
        return _guarded(lambda: _read(file, name, target), name)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)


def _open_file(path: Path, name: str) -> BinaryIO:
    """Open a plain file for reading; a folder, pipe or device is told, never waited on."""
    try:
        kind = path.stat().st_mode
        if stat.S_ISDIR(kind):
            raise PhotoError(f"{name} is a folder; give one photo in it.")
        if not stat.S_ISREG(kind):
            raise PhotoError(f"{name} is a pipe or device, not a file; save the photo to a file.")
        if path.stat().st_size == 0:
            raise PhotoError(f"{name} is empty (0 bytes); copy the photo again from its source.")
        return path.open("rb")
    except PermissionError as error:
        raise PhotoError(
            f"{name} may not be read (permission denied); allow reading it, or give a copy."
        ) from error
    except (FileNotFoundError, NotADirectoryError) as error:
        if path.is_symlink():
            aim = _printable(str(path.readlink()))
            raise PhotoError(
                f'{name} is a link to "{aim}", which is not there; give the photo itself.'
            ) from error
        raise PhotoError(f"{name} is not there; check the path.") from error
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise PhotoError(f"{name} cannot be opened ({why}); check the path.") from error


def _guarded(work: Callable[[], Photo], name: str) -> Photo:
    """Run `work`; whatever a decoder throws at a damaged file becomes one PhotoError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return work()
        except (PhotoError, MissingPackageError):
            raise
        except Image.DecompressionBombError as error:
            found = re.search(r"\d+", str(error))
            raise _too_large(int(found.group()) if found else MAX_PIXELS + 1, name) from error
        except MemoryError as error:
            raise PhotoError(
                f"{name} does not fit in this machine's memory; give a smaller copy."
            ) from error
        except Exception as error:  # decoders of damaged files raise nearly anything
            raise PhotoError(
                f"{name} is damaged and cannot be decoded whole ({_reason(error)}); copy it again "
                "from its source, or save it anew in a photo editor."
            ) from error


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return _printable(text[:80]) if " " in text else "it breaks off"


def _too_large(pixels: int, name: str) -> PhotoError:
    return PhotoError(
        f"{name} has {pixels / 1e6:,.0f} megapixels; the limit is 100, so that no file can fill "
        "the memory; give a smaller copy."
    )


def _check_size(size: tuple[int, int], name: str) -> None:
    width, height = size
    if width * height > MAX_PIXELS:
        raise _too_large(width * height, name)
    if min(width, height) < MIN_SIDE:
        raise PhotoError(
            f"{name} is {width} x {height} pixels; a photo needs at least {MIN_SIDE} a side; "
            "give a larger one."
        )


def _read(file: BinaryIO, name: str, target: int | None) -> Photo:
    head = file.read(64)
    file.seek(0)
    try:
        picture = _open_heif(file, name) if _is_heif(head) else Image.open(file, formats=_FORMATS)
    except UnidentifiedImageError as error:
        if head[:4] in (b"II*\0", b"MM\0*"):
            return _read_rare_tiff(file, name, target)
        raise PhotoError(_not_a_picture(head, name)) from error
    _check_size(picture.size, name)
    notes: list[str] = []
    frames = getattr(picture, "n_frames", 1)
    if frames > 1 and picture.format != "MPO":
        pages = "page" if picture.format == "TIFF" else "frame"
        notes.append(f"first {pages} of {frames}")
    turned = _orientation(picture) if picture.format == "TIFF" else 1
    full = picture.size
    if target is not None and picture.format in ("JPEG", "MPO"):
        # The decoder itself can give 1/2, 1/4 or 1/8 of the size, at a fraction of the memory.
        share = min(1.0, max(target, MIN_SIDE) / min(full))
        picture.draft(picture.mode, (int(full[0] * share) + 1, int(full[1] * share) + 1))
    deep = _is_deep(picture)
    picture.load()
    if deep and not picture.mode.startswith("I"):
        notes.append("16-bit colour brought to 8")  # by the decoder, which keeps the upper byte
    if turned in _UPRIGHT:
        notes.append("rotated as its EXIF says")  # by the decoder, as it does for TIFF alone
    return _develop(picture, notes, target, name)


def _is_deep(picture: Image.Image) -> bool:
    return isinstance(picture, ImageFile.ImageFile) and any(
        "16" in str(tile.args) for tile in picture.tile
    )


def _is_heif(head: bytes) -> bool:
    if head[4:8] != b"ftyp":
        return False
    brands = {head[i : i + 4] for i in range(8, min(len(head), int.from_bytes(head[:4], "big")), 4)}
    return not brands & {b"avif", b"avis"} and bool(brands & _HEIF_BRANDS)


def _open_heif(file: BinaryIO, name: str) -> Image.Image:
    try:
        import pillow_heif
    except ImportError as error:
        raise MissingPackageError(
            f"{name} is a HEIC photo, which needs the pillow-heif package; run: "
            "pip install pillow-heif (or save the photo as JPEG)."
        ) from error
    picture: Image.Image = pillow_heif.HeifImageFile(file)  # type: ignore[no-untyped-call]
    return picture


def _not_a_picture(head: bytes, name: str) -> str:
    """Say what a file is that no decoder knows, by its first bytes."""
    known = ((b"\xff\xd8", "JPEG"), (b"\x89PNG", "PNG"), (b"GIF8", "GIF"), (b"RIFF", "WebP"))
    for magic, kind in (*known, (b"BM", "BMP"), (head[:4] + b"ftypavi", "AVIF")):
        if head.startswith(magic):
            return f"{name} begins like a {kind} but is damaged; copy it again from its source."
    if head.startswith(b"%PDF"):
        what = "a PDF document"
    elif head[4:8] == b"ftyp":
        what = "a video"
    elif _is_text(head):
        what = "text"
    else:
        what = "of an unknown kind"
    return f"{name} is not a photo ({what}, whatever its name says); give a {KINDS}."


def _is_text(head: bytes) -> bool:
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return all(c.isprintable() or c in "\t\n\r\f\ufeff" for c in text)


def _read_rare_tiff(file: BinaryIO, name: str, target: int | None) -> Photo:
    """Read a TIFF that Pillow does not know (such as float RGB) with OpenCV."""
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    file.seek(0)
    directory = ImageFileDirectory_v2(file.read(8))
    file.seek(directory.next)
    directory.load(file)
    _check_size((int(directory[256]), int(directory[257])), name)
    file.seek(0)
    levels = tiff_levels(file.read())
    if levels is None:
        raise PhotoError(
            f"{name} is a TIFF of a rare or damaged kind; save it as an 8- or 16-bit RGB TIFF."
        )
    shown, note = grey_levels(levels)
    picture = Image.fromarray(shown)
    if _ORIENTATION in directory:
        picture.getexif()[_ORIENTATION] = int(directory[_ORIENTATION])
    return _develop(picture, [note] if note else [], target, name)


def _from_array(array: NDArray[Any], target: int | None) -> Photo:
    shape_known = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))
    if array.dtype != np.uint8 or not shape_known:
        raise PhotoError(
            f"the array is {array.dtype} {array.shape}; a photo as an array is uint8 of shape "
            "(height, width, 3)."
        )
    _check_size((array.shape[1], array.shape[0]), "the array")
    picture = Image.fromarray(np.ascontiguousarray(array))
    return _guarded(lambda: _develop(picture, [], target, "the array"), "the array")


def _develop(picture: Image.Image, notes: list[str], target: int | None, name: str) -> Photo:
    """Bring a decoded picture to upright 8-bit sRGB without transparency, smallest steps first."""
    info = picture.info
    orientation = _orientation(picture)
    alpha: Image.Image | None = None
    if picture.has_transparency_data and not picture.mode.startswith("I"):
        picture = picture.convert("RGBA")
    elif picture.mode in ("P", "PA", "1"):
        picture = picture.convert("L" if picture.mode == "1" else "RGB")
    picture, note = eight_bits(picture)
    notes += [note] if note else []
    times = min(picture.size) // max(target, MIN_SIDE) if target else 1
    if times > 1:
        picture = picture.reduce(times)
    if picture.mode == "RGBA":
        alpha = picture.getchannel("A")
        picture = picture.convert("RGB")
    picture, note = to_srgb(picture, info.get("icc_profile"))
    notes += [note] if note else []
    pixels = pixels_of(picture)
    del picture
    if alpha is not None:
        opaque = np.asarray(alpha)
        if opaque.max() < 8:
            raise PhotoError(f"{name} is transparent all over; give one with something in it.")
        if opaque.min() < 250:
            pixels = alpha_over_blur(pixels, opaque)
            notes.append("its transparent parts filled with a soft blur of the rest")
    if orientation in _UPRIGHT:
        pixels = _UPRIGHT[orientation](pixels)
        notes.append("rotated as its EXIF says")
    return Photo(np.ascontiguousarray(pixels), tuple(notes))


def _orientation(picture: Image.Image) -> int:
    try:
        return int(picture.getexif().get(_ORIENTATION, 1))
    except Exception:  # a broken EXIF block is no reason to refuse the photo
        return 1
