"""Two layers where somebody stands clear of what is behind: the person, and the place filled in.

A smooth depth bends a picture and cannot go far; two layers can. The person is cut out once with a
soft matte and moves as one piece, so nothing of a face or of hair bends; what was hidden behind is
filled from its surroundings, mirrored at the outline and ever smoother away from it. A matte that
is not sure gives no layers: a halo around hair is worse than little parallax.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from ..upsample import extend, follow_edges, resize, smoothstep
from .camera import glide
from .lens import DEEP
from .masks import disc, grow

if TYPE_CHECKING:
    from ..warp import Refined
    from .camera import View

Floats: TypeAlias = NDArray[np.float32]
Bytes: TypeAlias = NDArray[np.uint8]

SHARES = (0.03, 0.62)  # of the picture that people may cover
STEP = 0.12  # how much nearer than their surroundings they must be
UNSURE = 0.055  # the widest rim of doubt around them, in shorter sides
BUSY = 3.0  # levels of fine texture around them, above which a cut or its filling would show
BEHIND = 0.5  # how much of its own depth the background keeps
GROWN = 0.050  # how far beyond the matte the background is filled, in shorter sides
RIM = 0.016  # how far the matte goes beyond the outline, so that fine hair comes along
APART = 2.5  # pixels that the layers have moved apart when the fill is shown whole


@dataclass(frozen=True)
class Layers:
    """A person before a filled background."""

    plate: Bytes
    """(H, W, 3) the picture with the person filled in."""
    behind: Floats
    """(h, w) the background's calm depth, for a Lens."""
    level: float
    """The person's depth on the same scale."""
    matte: Floats
    """(H, W) the person, 0 .. 1."""
    cover: Floats
    """(H, W) 1 wherever the plate is not the picture."""
    box: tuple[int, int, int, int]
    """Rows and columns of the picture that `cover` takes up: y0, y1, x0, x1."""
    gap: float
    """How much nearer the person is than the background around, on the scale of `behind`."""

    @classmethod
    def of(
        cls, picture: Bytes, depth: Floats, people: Floats, size: tuple[int, int]
    ) -> Layers | None:
        """Cut a picture in two, or None where that would not be clean.

        picture (H, W, 3) uint8; depth, people (h, w) 0..1, any grid over it; size: (height, width)
        of `behind`.
        """
        if not _clear(picture, depth, people):
            return None
        height, width = picture.shape[:2]
        half = (height + 1) // 2, (width + 1) // 2
        fine = follow_edges(_whole(people), picture, half)
        grown = grow((fine > 0.35).astype(np.uint8), GROWN * min(half))
        plate = _fill(picture, grown)
        cover = cv2.GaussianBlur(
            grow(grown, 0.008 * min(half)).astype(np.float32), (0, 0), 0.006 * min(half)
        )
        # A rim of background comes along rather than that fine hair stays behind.
        wide = cv2.dilate(fine, disc(RIM * min(half)))
        matte = np.maximum(fine, cv2.GaussianBlur(wide, (0, 0), max(RIM * min(half), 1.0)))
        cover = np.maximum(resize(cover.astype(np.float32), (height, width)), 0.0)
        y, x = np.nonzero(cover > 0.002)
        behind, level = _depths(depth, people, size)
        around = resize(grown.astype(np.float32), size)
        ring = (cv2.dilate(around, np.ones((9, 9), np.uint8)) > 0.5) & (around < 0.5)
        gap = level - float(behind[ring].mean()) if ring.any() else 0.0
        if gap < 0.5 * STEP:
            return None
        return cls(
            plate=plate,
            behind=behind,
            level=level,
            matte=resize(matte, (height, width)),
            cover=np.minimum(1.0, 1.02 * cover).astype(np.float32),
            box=(int(y.min()), int(y.max()) + 1, int(x.min()), int(x.max()) + 1),
            gap=gap,
        )

    def lay(self, frame: Bytes, view: View, picture: Refined) -> None:
        """Draw the person over a frame of the plate, in place, as the camera sees them.

        picture: the whole picture, refined as the plate's warp refines it.
        """
        height, width = frame.shape[:2]
        scale, shift = self._seen(view, height, width)
        y0, y1, x0, x1 = self.box
        # Where the box of the picture lies in the frame.
        left, right = ((x - shift[0]) / scale for x in (x0 - 1, x1 + 1))
        top, bottom = ((y - shift[1]) / scale for y in (y0 - 1, y1 + 1))
        fx0, fx1 = max(int(left), 0), min(int(right) + 2, width)
        fy0, fy1 = max(int(top), 0), min(int(bottom) + 2, height)
        if fx0 >= fx1 or fy0 >= fy1:
            return
        start = scale * fx0 + shift[0], scale * fy0 + shift[1]
        size = fx1 - fx0, fy1 - fy0
        person = picture.affine(scale, start, size)
        matrix = np.array([[scale, 0.0, start[0]], [0.0, scale, start[1]]])
        how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP

        def see(map_: Floats) -> Floats:
            seen = cv2.warpAffine(map_, matrix, size, flags=how, borderMode=cv2.BORDER_REPLICATE)
            return np.asarray(seen, np.float32)

        shown = self._shown(view, height, width)
        alpha = see(self.matte) if shown > 0.0 else np.zeros(size[::-1], np.float32)
        if shown < 1.0:
            # While the layers still lie on each other, the person brings the whole fill's place.
            alpha += np.float32(1.0 - shown) * np.maximum(see(self.cover) - alpha, 0.0)
        part = frame[fy0:fy1, fx0:fx1]
        part[...] = cv2.blendLinear(person, np.ascontiguousarray(part), alpha, 1.0 - alpha)

    def _seen(self, view: View, height: int, width: int) -> tuple[float, tuple[float, float]]:
        """Scale and shift from the frame to the picture, for a thing at the person's depth."""
        room = 1.0 - 1.0 / view.zoom
        nearer = room * (1.0 + DEEP * self.level)
        shorter = min(height, width)
        found = []
        ways = ((view.left, width, view.side, True), (view.top, height, view.rise, False))
        for edge, length, apart, across in ways:
            pin = (edge / room if room > 1e-9 else 0.5) * length - 0.5
            shift = nearer * pin + self.level * apart * shorter
            most = nearer * (length - 1)
            # Who is cut by the picture's border must not come away from it.
            found.append(min(max(shift, 0.0), most) if self._cut(across) else shift)
        return 1.0 - nearer, (found[0], found[1])

    def _cut(self, across: bool) -> bool:
        edges = self.matte[:, (0, -1)] if across else self.matte[(0, -1), :]
        return bool(edges.max() > 0.1)

    def _shown(self, view: View, height: int, width: int) -> float:
        """How far the layers have come apart, 0 .. 1."""
        room = 1.0 - 1.0 / view.zoom
        y0, y1, x0, x1 = self.box
        away = 0.5 * max(y1 - y0, x1 - x0) * room * DEEP
        slid = float(np.hypot(view.side, view.rise)) * min(height, width)
        return glide(self.gap * (away + slid) / APART, 0.5, 0.5)


def _clear(picture: Bytes, depth: Floats, people: Floats) -> bool:
    """Whether people stand clear enough of what is behind them to be cut out."""
    size = people.shape[0], people.shape[1]
    shorter = min(size)
    people = _whole(people)
    there = (people > 0.5).astype(np.uint8)
    if not SHARES[0] < float(there.mean()) < SHARES[1]:
        return False
    outline = cv2.morphologyEx(there, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    doubt = float(((people > 0.12) & (people < 0.88)).sum()) / max(float(outline.sum()) / 2.0, 1.0)
    if doubt > UNSURE * shorter:
        return False
    near = resize(np.ascontiguousarray(depth, np.float32), size)
    grown = grow(there, 0.03 * shorter)
    ring = (grow(grown, 0.08 * shorter) > 0) & (grown == 0)
    if not ring.any():
        return False
    if float(np.median(near[there > 0])) - float(np.median(near[ring])) < STEP:
        return False
    small = cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA).astype(np.float32)
    fine = np.abs(small - cv2.GaussianBlur(small, (0, 0), 2.0)).mean(-1)
    return float(fine[ring].mean()) < BUSY


def _whole(people: Floats) -> Floats:
    """People without the holes that glass, jewellery and doubt leave in them."""
    there = (people > 0.5).astype(np.uint8)
    size = max(3, round(0.05 * min(there.shape)))
    closed = cv2.morphologyEx(
        cv2.copyMakeBorder(there, size, size, size, size, cv2.BORDER_REPLICATE),
        cv2.MORPH_CLOSE,
        disc(size / 2),
    )[size:-size, size:-size]
    outlines, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = cv2.drawContours(np.zeros_like(there), outlines, -1, 1, cv2.FILLED)
    inner = cv2.erode(filled, np.ones((3, 3), np.uint8), borderValue=1)
    return np.maximum(people, inner.astype(np.float32))


def _depths(depth: Floats, people: Floats, size: tuple[int, int]) -> tuple[Floats, float]:
    """The background's calm depth with the person taken away, and the person's own level."""
    near = resize(np.ascontiguousarray(depth, np.float32), size)
    there = resize(np.ascontiguousarray(people, np.float32), size)
    low, high = (float(v) for v in np.percentile(near, (2, 98)))
    span = max(high - low, 0.25)
    level = float(np.clip((near[there > 0.5].mean() - low) / span, 0.0, 1.0))
    grown = grow((there > 0.2).astype(np.uint8), 0.05 * min(size))
    filled = extend(near[..., None], 1.0 - grown.astype(np.float32))[..., 0]
    filled = np.clip((filled - low) / span, 0.0, 1.0).astype(np.float32)
    middle = 0.5 * (level + float(filled.mean()))
    calm = cv2.GaussianBlur(filled, (0, 0), 0.06 * min(size))
    mean = float(calm.mean())
    behind = mean + np.float32(BEHIND) * (calm - mean) - middle
    return np.asarray(behind, np.float32), level - middle


def _fill(picture: Bytes, hole: NDArray[np.uint8]) -> Bytes:
    """The picture with its hole filled: mirrored at the outline, smooth further in.

    hole: (h, w) 1 inside, half the picture's size.
    """
    height, width = picture.shape[:2]
    half = hole.shape[0], hole.shape[1]
    known = 1.0 - hole.astype(np.float32)
    quarter = (half[0] + 1) // 2, (half[1] + 1) // 2
    small = cv2.resize(picture, quarter[::-1], interpolation=cv2.INTER_AREA).astype(np.float32)
    sure = (resize(known, quarter) > 0.99).astype(np.float32)
    smooth = cv2.resize(extend(small, sure), (width, height), interpolation=cv2.INTER_CUBIC)
    wide = cv2.resize(hole, (width, height), interpolation=cv2.INTER_NEAREST)
    whole = np.asarray(wide, np.uint8)
    mirrored, trust = _mirrored(picture, whole)
    filled = smooth + trust[..., None] * (mirrored - smooth)
    edge = cv2.GaussianBlur(whole.astype(np.float32), (0, 0), 1.5)
    inside = (smoothstep(np.asarray(edge, np.float32) * 2.0) * (whole > 0))[..., None]
    mixed = picture + inside * (filled - picture)
    return np.asarray(np.clip(np.rint(mixed), 0, 255), np.uint8)


def _mirrored(picture: Bytes, hole: NDArray[np.uint8]) -> tuple[Floats, Floats]:
    """Each place of the hole mirrored at its outline, and how far that is to be believed."""
    height, width = hole.shape
    away, labels = cv2.distanceTransformWithLabels(
        hole, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    ys, xs = np.nonzero(hole == 0)
    row = np.zeros(int(labels.max()) + 1, np.float32)
    column = np.zeros_like(row)
    row[labels[ys, xs]], column[labels[ys, xs]] = ys, xs
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    at_y, at_x = 2.0 * row[labels] - y, 2.0 * column[labels] - x
    shorter = min(height, width)
    at_y, at_x = (cv2.GaussianBlur(m, (0, 0), 0.004 * shorter) for m in (at_y, at_x))
    seen = cv2.remap(picture, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    own = cv2.remap(hole, at_x, at_y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT_101)
    deep = (1.0 - away / np.float32(0.07 * shorter)).astype(np.float32)
    trust = smoothstep(deep) * (own == 0)
    trust = np.minimum(trust, cv2.GaussianBlur(trust, (0, 0), 0.004 * shorter))
    return seen.astype(np.float32), np.asarray(trust, np.float32)
