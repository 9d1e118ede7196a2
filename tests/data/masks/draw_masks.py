"""Draws the masks of this folder again from masks.json and the photos beside it.

    python tests/data/masks/draw_masks.py [--look FOLDER]

A mask says of each pixel of a photo: 1 may move, 0 must hold still, 255 not judged. masks.json
holds for each photo the regions in the order they are painted, drawn by hand over the photo:

    value      1, 0 or 255
    what       a word for a person
    polygon    corners [x, y] in fractions of width and height
    line       or points of a line, with its width in fractions of the longer side
    refine     move the outline to the edge of the thing, at most 1% of the longer side (GrabCut,
               Rother et al. 2004)
    darker     only pixels whose brightness (0..1) is below this: leaves before a bright window
    lighter    only pixels above
    otherwise  value of the pixels of the region that `darker` or `lighter` leave out

Whatever no region covers is 255, and so is a thin line along every outline.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

HERE = Path(__file__).parent
PHOTOS = HERE.parent / "photos"
LONG_SIDE = 288
UNJUDGED = 255


def outline(region: dict[str, Any], photo: np.ndarray) -> np.ndarray:
    """The pixels of one region, bool (h, w), for a BGR photo (h, w, 3)."""
    height, width = photo.shape[:2]
    longer = max(height, width)
    inside = np.zeros((height, width), np.uint8)
    points = region.get("polygon", region.get("line"))
    corners = np.round(np.array(points) * (width, height)).astype(np.int32)
    if "line" in region:
        cv2.polylines(inside, [corners], False, 1, max(2, round(region["width"] * longer)))
        return inside > 0
    cv2.fillPoly(inside, [corners], 1)
    return snapped(inside, photo, round(0.01 * longer)) if region.get("refine") else inside > 0


def snapped(inside: np.ndarray, photo: np.ndarray, reach: int) -> np.ndarray:
    """The region with its outline moved to the nearest edge within `reach` pixels, bool (h, w)."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    padded = cv2.copyMakeBorder(inside, *(reach,) * 4, cv2.BORDER_REPLICATE)
    core = cv2.erode(padded, disc)[reach:-reach, reach:-reach]
    around = cv2.dilate(padded, disc)[reach:-reach, reach:-reach]
    guess = np.where(inside > 0, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    guess[core > 0] = cv2.GC_FGD
    guess[around == 0] = cv2.GC_BGD
    cv2.setRNGSeed(0)
    cv2.grabCut(photo, guess, None, np.zeros((1, 65)), np.zeros((1, 65)), 3, cv2.GC_INIT_WITH_MASK)
    return (guess == cv2.GC_FGD) | (guess == cv2.GC_PR_FGD)


def draw(regions: list[dict[str, Any]], photo: np.ndarray) -> np.ndarray:
    """The mask of a photo at the photo's own size, uint8 (h, w)."""
    grey = cv2.cvtColor(photo, cv2.COLOR_BGR2GRAY)
    brightness = cv2.GaussianBlur(grey, (0, 0), 1.0).astype(np.float32) / 255
    mask = np.full(grey.shape, UNJUDGED, np.uint8)
    for region in regions:
        inside = outline(region, photo)
        kept = inside & (brightness < region.get("darker", 2.0))
        kept &= brightness > region.get("lighter", -1.0)
        if "otherwise" in region:
            mask[inside] = region["otherwise"]
        mask[kept] = region["value"]
    square = np.ones((3, 3), np.uint8)
    mask[cv2.dilate(mask, square) != cv2.erode(mask, square)] = UNJUDGED
    return mask


def shrink(mask: np.ndarray) -> np.ndarray:
    """The mask at LONG_SIDE: a pixel keeps a value that covers three quarters of it."""
    scale = LONG_SIDE / max(mask.shape)
    size = (round(mask.shape[1] * scale), round(mask.shape[0] * scale))
    small = np.full((size[1], size[0]), UNJUDGED, np.uint8)
    for value in (0, 1):
        cover = cv2.resize((mask == value).astype(np.float32), size, interpolation=cv2.INTER_AREA)
        small[cover >= 0.75] = value
    return small


def overlay(photo: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The photo with green where the mask lets it move and red where it holds it."""
    shown = photo.astype(np.float32)
    large = cv2.resize(mask, photo.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    for value, colour in ((1, (0, 255, 0)), (0, (0, 0, 255))):
        shown[large == value] = 0.55 * shown[large == value] + 0.45 * np.array(colour)
    return shown.astype(np.uint8)


def main() -> None:
    arguments = argparse.ArgumentParser(description="Draw the masks again from masks.json.")
    arguments.add_argument("--look", type=Path, help="also write photo + mask pictures here")
    look = arguments.parse_args().look
    for name, regions in json.loads((HERE / "masks.json").read_text()).items():
        photo = cv2.imread(str(PHOTOS / f"{name}.jpg"))
        mask = shrink(draw(regions, photo))
        cv2.imwrite(str(HERE / f"{name}.png"), mask, [cv2.IMWRITE_PNG_COMPRESSION, 9])
        if look:
            look.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(look / f"{name}.png"), overlay(photo, mask))


if __name__ == "__main__":
    main()
