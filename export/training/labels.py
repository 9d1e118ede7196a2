"""Hand-drawn label maps for whole photographs, rendered from polygons.

`labels/labels.json` holds one list of strings for each picture. The first is the class of the whole
picture, each later one a polygon painted over what came before, `CLASS x y x y ...` with x and y in
percent of width and height. CLASS is one of

- `0` static, `1` plant, `2` water, `3` sky, cloud, smoke or fog, `4` cloth and hair, `5` flame,
- `u` unknown,
- two digits such as `31`: the two classes are interleaved here (twigs before a sky), and each pixel
  takes the class whose colours, learnt from the picture's plainly labelled parts, it is nearer to.

`crop NAME l t r b` instead of a class says that the picture is that part of another, in percent:
it takes over the other's polygons. `band=N` sets how far, in percent of the long side, a drawn
border may be wrong (default 1.5): within that distance the border is moved to where the colours
change, by watershed from the sure parts.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

LONG_SIDE = 288
"""Long side of a finished label map in pixels."""

UNKNOWN = 255
CLASSES = 6
SPEC = Path(__file__).parent / "labels" / "labels.json"

_WORK_SIDE = 2 * LONG_SIDE  # borders are found at twice the final size
_MIXED = 100  # working labels _MIXED + 10 * a + b stand for "a or b, by colour"
_DOUBT = 0.75  # a mixed pixel stays unknown when its two distances are closer than this ratio
_COLOURS = 6  # colours kept of each class for telling interleaved classes apart


@dataclass(frozen=True)
class Drawing:
    """What is drawn on one picture."""

    base: int
    """Class of everything no polygon covers (0..5, 255, or a mixed working label)."""
    shapes: tuple[tuple[int, np.ndarray], ...] = ()
    """(class, (n, 2) float32 corners in 0..1 of width and height), painted in order."""
    band: float = 1.5
    """How far a drawn border may be wrong, in percent of the long side."""
    crop_of: tuple[str, tuple[float, ...]] | None = None
    """(picture, (left, top, right, bottom) in 0..1) when the labels are those of a part of it."""


def parse_drawing(lines: list[str]) -> Drawing:
    """Reads one picture's strings; ValueError for a class or a corner that makes no sense."""
    first, *rest = lines
    words = first.split()
    if words[0] == "crop":
        if len(words) != 6:
            raise ValueError(f"{first!r}: a crop needs a picture and four numbers")
        return Drawing(UNKNOWN, crop_of=(words[1], tuple(float(w) / 100 for w in words[2:])))
    band = 1.5
    shapes = []
    for line in rest:
        if line.startswith("band="):
            band = float(line.removeprefix("band="))
            continue
        name, *numbers = line.split()
        corners = np.array([float(n) for n in numbers], np.float32)
        if len(corners) < 6 or len(corners) % 2:
            raise ValueError(f"{line!r}: a polygon needs three or more pairs of numbers")
        shapes.append((_class_of(name), corners.reshape(-1, 2) / 100))
    return Drawing(_class_of(words[0]), tuple(shapes), band)


def _class_of(name: str) -> int:
    """The working label of a class as it is written in the file."""
    if name == "u":
        return UNKNOWN
    if not name.isdigit() or len(name) > 2 or any(int(c) >= CLASSES for c in name):
        raise ValueError(f"{name!r} is no class: use 0..{CLASSES - 1}, u, or two digits")
    return int(name) if len(name) == 1 else _MIXED + int(name)


def paint(drawing: Drawing, height: int, width: int) -> np.ndarray:
    """Fills the polygons: (height, width) uint8 of working labels, borders as drawn."""
    canvas = np.full((height, width), drawing.base, np.uint8)
    for label, corners in drawing.shapes:
        points = np.round(corners * (width * 16, height * 16)).astype(np.int32)
        cv2.fillPoly(canvas, [points], label, lineType=cv2.LINE_8, shift=4)
    return canvas


def refine(picture: np.ndarray, drawn: np.ndarray, band: float) -> np.ndarray:
    """Moves drawn borders to where the colours change.

    picture: (h, w, 3) uint8 RGB; drawn: (h, w) uint8 working labels; band: pixels by which a border
    may be wrong. Returns (h, w) uint8, classes 0..5 and 255. Marker watershed (Meyer 1992) within
    the band; interleaved classes by nearest colour in CIE Lab.
    """
    smooth = cv2.bilateralFilter(picture, 5, 20, 3)
    labels = [int(v) for v in np.unique(drawn)]
    settled = drawn.copy()
    if len(labels) > 1 and band > 0:
        markers = np.zeros(drawn.shape, np.int32)
        for number, label in enumerate(labels, 1):
            markers[_sure_part(drawn == label, band)] = number
        cv2.watershed(smooth, markers)
        found = np.array([UNKNOWN, *labels], np.uint8)[np.maximum(markers, 0)]
        border = markers <= 0  # watershed writes -1 on borders and along the frame
        settled = np.where(border, drawn, found)
    plain = {c: _sure_part(settled == c, band) for c in range(CLASSES)}
    lab = cv2.cvtColor(smooth, cv2.COLOR_RGB2LAB).astype(np.float32)
    for mixed in [v for v in labels if _MIXED <= v < UNKNOWN]:
        one, two = divmod(mixed - _MIXED, 10)
        settled[settled == mixed] = _by_colour(lab, settled == mixed, plain, one, two)
    return settled


def _sure_part(region: np.ndarray, band: float) -> np.ndarray:
    """The part of a region farther than `band` pixels from its border, less for thin pieces."""
    deep, deepest, pieces = _depths(region)
    return region & (deep > np.minimum(band, 0.5 * deepest)[pieces])


def _slivers(region: np.ndarray, band: float) -> np.ndarray:
    """Pieces nowhere wider than twice `band`: gaps left between polygons, not drawn on purpose."""
    deepest, pieces = _depths(region)[1:]
    return region & (deepest <= band)[pieces]


def _depths(region: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distance to the region's border, the largest in each piece, and each pixel's piece number."""
    deep = cv2.distanceTransform(np.pad(region, 1, mode="edge").astype(np.uint8), cv2.DIST_L2, 3)
    deep = deep[1:-1, 1:-1]
    count, pieces = cv2.connectedComponents(region.astype(np.uint8), connectivity=4)
    deepest = np.zeros(count, np.float32)
    np.maximum.at(deepest, pieces.ravel(), deep.ravel())
    return deep, deepest, pieces


def _by_colour(
    lab: np.ndarray, region: np.ndarray, plain: dict[int, np.ndarray], one: int, two: int
) -> np.ndarray:
    """Class of each pixel of a region where two classes are interleaved, 255 where in doubt."""
    distances = []
    for label in (one, two):
        samples = lab[plain[label]]
        if len(samples) < 4 * _COLOURS:
            return np.full(int(region.sum()), UNKNOWN, np.uint8)  # nothing to learn from
        samples = samples[:: max(1, len(samples) // 4000)]
        cv2.setRNGSeed(0)
        stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 20, 0.5)
        _, _, centres = cv2.kmeans(samples, _COLOURS, None, stop, 2, cv2.KMEANS_PP_CENTERS)  # type: ignore[call-overload]
        gaps = np.linalg.norm(lab[region][:, None] - centres[None], axis=2)
        distances.append(gaps.min(1) + 1.0)
    first, second = distances
    result = np.full(len(first), UNKNOWN, np.uint8)
    result[first < _DOUBT * second] = one
    result[second < _DOUBT * first] = two
    return result


def finish(labels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Brings refined labels to (height, width): where classes meet in a pixel or beside it, 255."""
    share = np.stack(
        [
            cv2.resize((labels == c).astype(np.float32), (width, height), interpolation=3)
            for c in range(CLASSES)
        ]
    )
    result = np.where(share.max(0) > 0.7, share.argmax(0), UNKNOWN).astype(np.uint8)
    low = cv2.erode(result, np.ones((3, 3), np.uint8))
    known = np.where(result == UNKNOWN, 0, result)
    high = cv2.dilate(known, np.ones((3, 3), np.uint8))
    mixed = (high != result) | ((low != result) & (low != UNKNOWN))
    touching_unknown = cv2.dilate((result == UNKNOWN).astype(np.uint8), np.ones((3, 3))) > 0
    return np.where(mixed & ~touching_unknown, UNKNOWN, result).astype(np.uint8)


def label_picture(picture: np.ndarray, drawing: Drawing) -> np.ndarray:
    """Label map of one picture.

    picture: (h, w, 3) uint8 RGB. Returns (h', w') uint8, long side `LONG_SIDE`, 0..5 and 255.
    """
    height, width = picture.shape[:2]
    work = _WORK_SIDE / max(height, width)
    size = (max(2, round(width * work)), max(2, round(height * work)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if work < 1 else 1)
    band = drawing.band / 100 * _WORK_SIDE
    drawn = paint(drawing, size[1], size[0])
    if drawing.shapes:
        drawn[_slivers(drawn == drawing.base, band)] = UNKNOWN
    refined = refine(small, drawn, band)
    return finish(refined, *final_size(height, width))


def final_size(height: int, width: int) -> tuple[int, int]:
    """(height, width) of the label map of a picture of this size."""
    scale = LONG_SIDE / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def render(spec: dict[str, list[str]], textures: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Label maps of every picture in the file, in its order.

    Raises FileNotFoundError when a picture is not in the folder (or one folder below it).
    """
    drawings = {name: parse_drawing(lines) for name, lines in spec.items()}
    for name, drawing in drawings.items():
        if drawing.crop_of is not None:
            parent, box = drawing.crop_of
            drawing = cut(drawings[parent], box)
        yield name, label_picture(read_picture(find_picture(textures, name)), drawing)


def cut(drawing: Drawing, box: tuple[float, ...]) -> Drawing:
    """The drawing of a part of a picture; box: (left, top, right, bottom) in 0..1 of the whole."""
    left, top, right, bottom = box
    size = np.array([right - left, bottom - top], np.float32)
    corner = np.array([left, top], np.float32)
    shapes = tuple((label, (corners - corner) / size) for label, corners in drawing.shapes)
    return Drawing(drawing.base, shapes, drawing.band / float(size.max()))


def find_picture(textures: Path, name: str) -> Path:
    """Where NAME.jpg lies: in the folder or one folder below."""
    found = sorted(textures.glob(f"{name}.jpg")) + sorted(textures.glob(f"*/{name}.jpg"))
    if not found:
        raise FileNotFoundError(f"no {name}.jpg in {textures}: give the folder of the photographs")
    return found[0]


def read_picture(path: Path) -> np.ndarray:
    """(h, w, 3) uint8 RGB of a picture file."""
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if pixels is None:
        raise ValueError(f"{path} cannot be read as a picture")
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def main() -> None:
    """Writes NAME.png beside the drawings for every picture in them."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("textures", type=Path, help="folder of the photographs")
    parser.add_argument("--spec", type=Path, default=SPEC)
    parser.add_argument("--out", type=Path, default=SPEC.parent)
    parser.add_argument("--only", nargs="*", help="names of pictures (default: all)")
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    spec = json.loads(asked.spec.read_text(encoding="utf-8"))
    if asked.only:
        asked_for = {*asked.only}
        asked_for |= {spec[n][0].split()[1] for n in asked.only if spec[n][0].startswith("crop")}
        spec = {name: lines for name, lines in spec.items() if name in asked_for}
    for name, labels in render(spec, asked.textures):
        cv2.imwrite(str(asked.out / f"{name}.png"), labels)


if __name__ == "__main__":
    main()
