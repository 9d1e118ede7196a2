"""Brings what decoders give (profiles, inks, deep greys, transparency) to 8-bit sRGB."""

from __future__ import annotations

import io
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

# sRGB of the eight overprints of cyan, magenta and yellow at full coverage (SWOP coated paper),
# in the order of (c, m, y) = 000, 001, 010, ...; black ink alone is (35, 31, 32).
_INKS = np.array(
    [
        [255, 255, 255],
        [255, 242, 0],
        [236, 0, 140],
        [237, 28, 36],
        [0, 174, 239],
        [0, 166, 81],
        [46, 49, 146],
        [54, 52, 53],
    ],
    np.float32,
)
_BLACK = np.array([35, 31, 32], np.float32) / 255
_SAME_AS_SRGB = ("srgb", "srgb iec61966-2.1", "srgb iec61966-2-1", "srgb built-in", "c2")
_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK", "LAB": "Lab "}


def eight_bits(picture: Image.Image) -> tuple[Image.Image, str | None]:
    """Bring a grey picture of 16-bit, 32-bit or float levels to mode L; others pass unchanged."""
    if picture.mode != "F" and not picture.mode.startswith("I"):
        return picture, None
    levels = np.asarray(picture)
    if picture.format == "TIFF" and levels.dtype.kind == "u" and 255 < levels.max() < 4096:
        # Scanners and microscopes store 12 bits in 16 without saying so.
        return Image.fromarray((levels >> 4).astype(np.uint8)), "12-bit brought to 8"
    shown, note = grey_levels(levels)
    return Image.fromarray(shown), note


def grey_levels(levels: NDArray[Any]) -> tuple[NDArray[np.uint8], str | None]:
    """Bring an array of integer or float levels, any shape, to uint8 of the same shape.

    16-bit unsigned counts from 0 to 65,535. Wider integers and floats say nothing of their white:
    it is taken as 1, 255 or 65,535, the first that holds nearly all of them, else as the level
    that 99.5 % stay below. Not-a-number becomes black.
    """
    if levels.dtype == np.uint8:
        return levels, None
    if levels.dtype == np.uint16:
        return ((levels.astype(np.uint32) + 128) // 257).astype(np.uint8), "16-bit brought to 8"
    shown = np.empty(levels.shape, np.uint8)
    white = _white(levels)
    for start in range(0, len(levels), 256):
        rows = np.nan_to_num(levels[start : start + 256].astype(np.float32), posinf=white, neginf=0)
        shown[start : start + 256] = np.clip(rows * (255 / white) + 0.5, 0, 255).astype(np.uint8)
    return shown, "float levels brought to 8-bit" if levels.dtype.kind == "f" else "32-bit to 8"


def tiff_levels(data: bytes) -> NDArray[Any] | None:
    """Decode a TIFF with OpenCV: (H, W) or RGB (H, W, 3) in the file's own depth, else None."""
    import cv2

    logging = cv2.utils.logging  # OpenCV prints lines of its own about damaged files
    loudness = logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        # UNCHANGED leaves the depth and the orientation tag alone
        levels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    finally:
        logging.setLogLevel(loudness)
    if levels is None:
        return None
    return levels[..., 2::-1] if levels.ndim == 3 else levels


def _white(levels: NDArray[Any]) -> float:
    step = max(1, int(max(levels.shape[:2]) / 1000))
    sample = levels[::step, ::step].astype(np.float64)
    sample = sample[np.isfinite(sample)]
    if sample.size == 0:
        return 1.0
    high, typical = float(np.percentile(sample, 99.5)), float(np.percentile(sample, 50))
    whole = levels.dtype.kind != "f"
    if high <= 1.001 and not whole:
        return 1.0
    if high <= 255.5 and (whole or typical > 4):
        return 255.0
    if high <= 65535.5 and (whole or typical > 1024):
        return 65535.0
    return max(high, 1e-6)


def to_srgb(picture: Image.Image, profile: bytes | None) -> tuple[Image.Image, str | None]:
    """Bring a picture without alpha, of any colour mode, to mode RGB in sRGB.

    `profile` is its ICC profile or None. A profile that is broken or meant for other inks is left
    out, and the note says so. CMYK without a profile is mixed as inks on coated paper.
    """
    if picture.mode in ("YCbCr", "HSV", "RGBX", "RGBa", "La"):
        picture = picture.convert("RGB")
    note = None
    if profile:
        try:
            return _through_profile(picture, profile)
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError, KeyError):
            note = "its colour profile is broken and was left out"
    if picture.mode == "CMYK":
        return _inks_on_paper(picture), note or "CMYK without a profile, mixed as print inks"
    if picture.mode == "LAB":
        lab = ImageCms.createProfile("LAB")
        return _transform(picture, ImageCms.ImageCmsProfile(lab)), "Lab colours brought to sRGB"
    return picture if picture.mode == "RGB" else picture.convert("RGB"), note


def _through_profile(picture: Image.Image, data: bytes) -> tuple[Image.Image, str | None]:
    profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
    name = " ".join(ImageCms.getProfileDescription(profile).split())
    space = profile.profile.xcolor_space.strip()
    if space == "GRAY" and picture.mode == "RGB":
        # A grey profile on colour pixels: some scanners do this; the greys are in any channel.
        picture = picture.convert("L")
    elif space == "RGB" and picture.mode == "L":
        picture = picture.convert("RGB")
    if _SPACES.get(picture.mode, "").strip() != space:
        raise ValueError(f"profile for {space}, picture in {picture.mode}")
    if name.lower() in _SAME_AS_SRGB and picture.mode == "RGB":
        return picture, None
    shown = "".join(c for c in name if c.isprintable())[:40] or "their profile"
    return _transform(picture, profile), f"colours brought from {shown} to sRGB"


def _transform(picture: Image.Image, profile: ImageCms.ImageCmsProfile) -> Image.Image:
    transform = ImageCms.buildTransform(
        profile,
        ImageCms.createProfile("sRGB"),
        picture.mode,
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    shown = ImageCms.applyTransform(picture, transform)
    if shown is None:
        raise ValueError("the colour engine gave nothing")
    return shown


def _inks_on_paper(picture: Image.Image) -> Image.Image:
    """Mix CMYK as overprinted dots (Neugebauer's model) of standard process inks."""
    width, height = picture.size
    shown = Image.new("RGB", picture.size)
    for top in range(0, height, 128):
        box = (0, top, width, min(top + 128, height))
        inks = np.asarray(picture.crop(box)).astype(np.float32) / 255
        mixed = np.zeros((*inks.shape[:2], 3), np.float32)
        for corner, colour in zip(product((0, 1), repeat=3), _INKS, strict=True):
            share = np.ones(inks.shape[:2], np.float32)
            for ink, full in enumerate(corner):
                share *= inks[..., ink] if full else 1 - inks[..., ink]
            mixed += share[..., None] * colour
        mixed *= 1 - inks[..., 3:] * (1 - _BLACK)
        shown.paste(Image.fromarray((mixed + 0.5).astype(np.uint8)), box[:2])
    return shown


def pixels_of(picture: Image.Image) -> NDArray[np.uint8]:
    """Copy an RGB picture into an array by strips, so that no second whole copy exists."""
    width, height = picture.size
    pixels = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, 256):
        bottom = min(top + 256, height)
        pixels[top:bottom] = np.asarray(picture.crop((0, top, width, bottom)))
    return pixels


def alpha_over_blur(pixels: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lay a see-through picture over a soft blur of its own opaque parts.

    `pixels` uint8 (H, W, 3) and `alpha` uint8 (H, W); `pixels` is changed in place
    and given back. Something in it must be opaque.
    """
    import cv2

    height, width = alpha.shape
    scale = min(1.0, 256 / max(height, width))
    size = (max(2, round(width * scale)), max(2, round(height * scale)))
    weight = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    # Averaging colours times opacity keeps what lies under clear pixels out of the blur.
    premultiplied = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, 256):
        rows = slice(top, top + 256)
        product_ = pixels[rows].astype(np.uint16) * alpha[rows, :, None] + 127
        premultiplied[rows] = (product_ // 255).astype(np.uint8)
    colour = cv2.resize(premultiplied, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    del premultiplied
    soft = np.zeros(colour.shape, np.float32)
    cover = np.zeros_like(weight)
    mean = colour.sum((0, 1)) / max(float(weight.sum()), 1e-6)
    for sigma in (8.0, 24.0, 72.0):
        blurred = cv2.GaussianBlur(colour, (0, 0), sigma)
        share = cv2.GaussianBlur(weight, (0, 0), sigma)
        gain = (1 - cover) * np.minimum(share * 2, 1)
        soft += (gain / np.maximum(share, 1e-6))[..., None] * blurred
        cover += gain
    soft += (1 - cover)[..., None] * mean
    soft = np.asarray(cv2.GaussianBlur(soft, (0, 0), 4.0), np.float32)
    for top in range(0, height, 256):
        rows = slice(top, min(top + 256, height))
        backdrop = _enlarged_rows(soft, height, width, rows)
        opaque = alpha[rows, :, None].astype(np.float32) / 255
        mixed = pixels[rows] * opaque + backdrop * (1 - opaque)
        pixels[rows] = np.clip(mixed + 0.5, 0, 255).astype(np.uint8)
    return pixels


def _enlarged_rows(
    small: NDArray[np.float32], height: int, width: int, rows: slice
) -> NDArray[np.float32]:
    """The given rows of `small` (h, w, 3) enlarged to (height, width, 3), linear."""
    import cv2

    at_y = (np.arange(rows.start, rows.stop, dtype=np.float32) + 0.5) * small.shape[0] / height
    at_x = (np.arange(width, dtype=np.float32) + 0.5) * small.shape[1] / width
    map_x, map_y = np.meshgrid(at_x - 0.5, at_y - 0.5)
    return np.asarray(
        cv2.remap(small, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE),
        np.float32,
    )
