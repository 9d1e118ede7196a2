"""A picture of what happens in clips, one row a clip, to be looked at.

    python -m reverie.benchmarks.contact_sheet CLIP ... --out SHEET.jpg [--width 320] [--samples 13]

Columns: first, quarter, middle and last frame; then, with the camera's turn, zoom and shift undone,
the largest difference to the first frame, four times amplified, and how far pixels move from the
first frame (mean over the samples), from black over red and yellow to white at 1% of the height.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from .clips import FlowMeter, Frame, grey8, sampled, without_camera

AMPLIFIED = 4
FULL_SCALE = 0.01
LABEL = 16
COLUMNS = ("first", "quarter", "middle", "last", f"difference x {AMPLIFIED}", "flow")


def cells(frames: list[Frame]) -> list[Frame]:
    """The six pictures of a row, all of the frames' size, uint8 RGB."""
    first = frames[0]
    count = len(frames) - 1
    shown = [frames[round(share * count)] for share in (0, 0.25, 0.5, 1)]
    steady = [first, *(without_camera(first, frame) for frame in frames[1:])]
    return [*shown, amplified_difference(steady), flow_picture(mean_flow(steady), first.shape[0])]


def amplified_difference(frames: list[Frame]) -> Frame:
    """Largest absolute difference to the first frame at each pixel, amplified, uint8 RGB."""
    first = frames[0].astype(np.int16)
    largest = np.zeros_like(frames[0])
    for frame in frames[1:]:
        largest = np.maximum(largest, np.abs(frame - first).astype(np.uint8))
    return np.minimum(largest.astype(np.uint16) * AMPLIFIED, 255).astype(np.uint8)


def mean_flow(frames: list[Frame]) -> NDArray[np.float32]:
    """Mean length of the flow from the first frame to the others, (h, w) in pixels."""
    meter, first = FlowMeter(), grey8(frames[0])
    total = np.zeros(first.shape, np.float32)
    for frame in frames[1:]:
        total += np.linalg.norm(meter(first, grey8(frame)), axis=-1)
    return total / max(1, len(frames) - 1)


def flow_picture(flow: NDArray[np.float32], height: int) -> Frame:
    """Lengths (h, w) in pixels as colours, white at FULL_SCALE of the height; uint8 RGB."""
    level = np.clip(flow / (FULL_SCALE * height) * 255, 0, 255).astype(np.uint8)
    return np.asarray(cv2.applyColorMap(level, cv2.COLORMAP_HOT)[..., ::-1])


def sheet(rows: list[tuple[str, list[Frame]]], width: int) -> Image.Image:
    """Lay out named rows of pictures, each `width` pixels wide, under one line of headings."""
    heights = [round(width * row[0].shape[0] / row[0].shape[1]) for _, row in rows]
    picture = Image.new("RGB", (width * len(COLUMNS), LABEL + sum(heights) + LABEL * len(rows)))
    draw = ImageDraw.Draw(picture)
    for column, title in enumerate(COLUMNS):
        draw.text((column * width + 4, 2), title, fill=(255, 255, 255))
    top = LABEL
    for (name, row), height in zip(rows, heights, strict=True):
        draw.text((4, top + 2), name, fill=(255, 220, 120))
        for column, frame in enumerate(row):
            small = Image.fromarray(frame).resize((width, height), Image.Resampling.BOX)
            picture.paste(small, (column * width, top + LABEL))
        top += LABEL + height
    return picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--width", type=int, default=320, help="width of one picture")
    parser.add_argument("--samples", type=int, default=13, help="frames looked at in each clip")
    arguments = parser.parse_args()
    rows = []
    for clip in arguments.clips:
        frames = [frame for _, frame in sampled(clip, arguments.samples)]
        rows.append((clip.stem, cells(frames)))
    sheet(rows, arguments.width).save(arguments.out)
    print(arguments.out)


if __name__ == "__main__":
    main()
