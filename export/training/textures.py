"""Photographs as raw material of training scenes: which part of each may stand for what.

A photograph is shared out between the training set and the held-out set by the picture it was cut
from, so that two crops of one picture never lie on both sides.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from .texture_table import ALWAYS_HELD_OUT, CROPS, CUTOUTS, FLOW, NEARNESS, UNSEEN_NEVER

LONG_SIDE = 576
HELD_OUT_SHARE = 0.12
UNKNOWN = 255
#: How much a good share of each class adds to the weight of a photograph.
RARITY = np.array([0.1, 0.6, 1.6, 0.8, 2.5, 2.5])
CLASS_KINDS = {0: "still", 1: "plant", 2: "water", 3: "sky"}


@dataclass(frozen=True)
class Patch:
    """A rectangle of a photograph, `pixels` uint8 (H, W, 3) RGB, with what it tells of motion."""

    pixels: np.ndarray
    #: how far leaves or waves of it move, 0 far to 1 close, when the whole rectangle fills a scene
    near: float = 0.5
    #: how fast water runs in it, 0 standing to 2 wild
    flow: float = 0.7


@dataclass(frozen=True)
class LabelledPhoto:
    """A whole photograph, `pixels` uint8 (H, W, 3) RGB and `labels` uint8 (H, W), 255 unknown."""

    pixels: np.ndarray
    labels: np.ndarray
    near: float
    flow: float
    name: str
    #: how often it is drawn, next to others: the rarer what moves in it, the more often
    weight: float = 1.0


@dataclass
class Library:
    """All material of one side of the split, grouped by what it may stand for."""

    patches: dict[str, list[Patch]] = field(default_factory=dict)
    photos: list[LabelledPhoto] = field(default_factory=list)
    #: objects freed from their background, uint8 (H, W, 4) RGBA
    cutouts: list[np.ndarray] = field(default_factory=list)
    #: blossoms freed in the same way, which move as a whole
    blooms: list[np.ndarray] = field(default_factory=list)

    def has(self, kind: str) -> bool:
        return bool(self.patches.get(kind))


def read_sources(table: Path) -> dict[str, str]:
    """Map each file name without suffix to the picture it was cut from, from a Markdown table."""
    sources = {}
    for line in table.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) < 2 or not re.search(r"\.(jpe?g|png|webp)$", cells[0]):
            continue
        sources[Path(cells[0]).stem] = re.sub(r"\s*\[crop [^]]*\]\s*$", "", cells[1]).strip()
    return sources


def held_out_sources(sources: dict[str, str], share: float = HELD_OUT_SHARE) -> set[str]:
    """Choose the held-out pictures: a fixed share of each subject, plus those held out always.

    The choice depends on the names alone. A subject with fewer than five pictures gives none.
    """
    by_subject: dict[str, set[str]] = {}
    subject_of: dict[str, str] = {}
    for name, source in sorted(sources.items()):
        subject_of.setdefault(source, re.sub(r"-\d+$", "", name))
    for source, subject in subject_of.items():
        by_subject.setdefault(subject, set()).add(source)
    held = {s for s in sources.values() if any(word in s for word in ALWAYS_HELD_OUT)}
    for members in by_subject.values():
        free = [s for s in members if not any(word in s for word in UNSEEN_NEVER)]
        ranked = sorted(free, key=lambda source: zlib.crc32(source.encode()))
        count = round(share * len(members)) if len(members) >= 5 else 0
        held.update(ranked[:count])
    return held


def load_library(folder: Path, split: str, labels: Path | None = None) -> Library:
    """Load all photographs of one split ("train" or "heldout") from `folder`/SUBJECT/NAME.jpg.

    `labels` is a folder of NAME.png label maps (uint8: class 0..5 or 255 unknown); pictures that
    have one are used as whole scenes too, and their pure regions join the patches.
    """
    sources = read_sources(folder / "LICENCES.md")
    held = held_out_sources(sources)
    library = Library()
    crops_of: dict[str, list[tuple[str, tuple[float, ...]]]] = {}
    for kind, name, *box in CROPS:
        crops_of.setdefault(name, []).append((kind, tuple(box)))
    for path in sorted(folder.glob("*/*.jpg")):
        name = path.stem
        if (sources.get(name, "") in held) != (split == "heldout"):
            continue
        label_path = (labels or folder) / f"{name}.png"
        labelled = labels is not None and label_path.is_file()
        if not (labelled or name in crops_of or name in CUTOUTS):
            continue
        pixels = _load(path)
        subject = path.parent.name
        near = NEARNESS.get(name, NEARNESS.get(subject, 0.4))
        flow = FLOW.get(name, 0.7)
        for kind, (left, top, right, bottom) in crops_of.get(name, []):
            h, w = pixels.shape[:2]
            part = pixels[int(top * h) : int(bottom * h), int(left * w) : int(right * w)]
            # A part of a picture that fills a scene is seen magnified by the inverse of its size.
            size = ((right - left) * (bottom - top)) ** 0.5
            library.patches.setdefault(kind, []).append(Patch(part, near / size, flow))
        if labelled:
            photo = _label(pixels, label_path, near, flow, name)
            library.photos.append(photo)
            if name not in crops_of:
                for kind, patch in pure_patches(photo):
                    library.patches.setdefault(kind, []).append(patch)
            if subject == "flowers" and (bloom := labelled_object(photo, 1)) is not None:
                library.blooms.append(bloom)
        animal = labelled_object(photo, 0) if labelled and subject == "animals" else None
        if animal is not None:
            library.cutouts.append(animal)
        elif name in CUTOUTS:
            library.cutouts.append(cut_out(pixels, CUTOUTS[name]))
    return library


def pure_patches(photo: LabelledPhoto, smallest: float = 0.05) -> list[tuple[str, Patch]]:
    """Find for each class the largest rectangle of that class alone, if it is big enough."""
    found = []
    h, w = photo.labels.shape
    for label, kind in CLASS_KINDS.items():
        coarse = cv2.resize((photo.labels == label).astype(np.float32), (48, 32))
        x0, y0, x1, y1 = largest_rectangle(coarse > 0.97)
        area = (x1 - x0) * (y1 - y0) / coarse.size
        if area < smallest:
            continue
        part = photo.pixels[y0 * h // 32 : y1 * h // 32, x0 * w // 48 : x1 * w // 48]
        found.append((kind, Patch(part, photo.near / area**0.5, photo.flow)))
    return found


def largest_rectangle(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Return (left, top, right, bottom) of the largest all-true rectangle of a small mask."""
    heights = np.zeros(mask.shape[1], int)
    best, box = 0, (0, 0, 0, 0)
    for row in range(mask.shape[0]):
        heights = np.where(mask[row], heights + 1, 0)
        for left in range(len(heights)):
            low = np.minimum.accumulate(heights[left:])
            areas = low * np.arange(1, len(low) + 1)
            k = int(areas.argmax())
            if areas[k] > best:
                best = int(areas[k])
                box = (left, row + 1 - int(low[k]), left + k + 1, row + 1)
    return box


def labelled_object(photo: LabelledPhoto, label: int) -> np.ndarray | None:
    """The largest connected thing of one class as RGBA uint8, if it stands free in its picture."""
    count, parts, stats, _ = cv2.connectedComponentsWithStats((photo.labels == label).astype("u1"))
    if count < 2:
        return None
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    mask = parts == largest
    edge = mask[0].sum() + mask[-1].sum() + mask[:, 0].sum() + mask[:, -1].sum()
    left, top, wide, tall = (int(value) for value in stats[largest, :4])
    if not 0.04 < mask.mean() < 0.6 or edge > 0.22 * 2 * (wide + tall):
        return None
    alpha = cv2.morphologyEx(mask.astype(np.uint8) * 255, cv2.MORPH_CLOSE, np.ones((5, 5), "u1"))
    alpha = cv2.GaussianBlur(alpha, (0, 0), 1.2)
    rgba = np.dstack([photo.pixels, alpha])
    return rgba[top : top + tall, left : left + wide]


def cut_out(pixels: np.ndarray, box: tuple[float, float, float, float]) -> np.ndarray:
    """Free the object inside `box` (fractions) from its background by GrabCut; RGBA uint8."""
    h, w = pixels.shape[:2]
    scale = 240 / max(h, w)
    small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    sh, sw = small.shape[:2]
    left, top, right, bottom = box
    rect = (int(left * sw), int(top * sh), int((right - left) * sw), int((bottom - top) * sh))
    mask = np.zeros((sh, sw), np.uint8)
    cv2.setRNGSeed(7)
    cv2.grabCut(
        np.ascontiguousarray(small[..., ::-1]),
        mask,
        rect,
        np.zeros((1, 65)),
        np.zeros((1, 65)),
        4,
        cv2.GC_INIT_WITH_RECT,
    )
    object_ = np.isin(mask, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    object_ = cv2.morphologyEx(object_, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    count, parts, stats, _ = cv2.connectedComponentsWithStats(object_)
    if count > 1:
        object_ = (parts == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())).astype(np.uint8)
    object_ = cv2.morphologyEx(object_, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    alpha = cv2.resize(object_ * 255, (w, h), interpolation=cv2.INTER_LINEAR)
    alpha = cv2.GaussianBlur(alpha, (0, 0), 1.0)
    ys, xs = np.nonzero(alpha > 127)
    if len(ys) == 0:
        return np.dstack([pixels, np.full((h, w), 255, np.uint8)])
    rgba = np.dstack([pixels, alpha])
    return rgba[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]


def _load(path: Path) -> np.ndarray:
    pixels = cv2.imread(str(path))
    if pixels is None:
        raise FileNotFoundError(f"{path} cannot be read as a picture; remove it or replace it")
    scale = min(1.0, LONG_SIDE / max(pixels.shape[:2]))
    pixels = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(pixels[..., ::-1])


def _label(pixels: np.ndarray, path: Path, near: float, flow: float, name: str) -> LabelledPhoto:
    labels = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if labels is None:
        raise FileNotFoundError(f"{path} cannot be read as a label map; draw it again")
    h, w = pixels.shape[:2]
    labels = cv2.resize(labels, (w, h), interpolation=cv2.INTER_NEAREST)
    share = np.bincount(labels.ravel(), minlength=256)[: len(RARITY)] / labels.size
    weight = 0.5 + float((np.minimum(share, 0.3) / 0.3 * RARITY).sum())
    known = float((labels != UNKNOWN).mean())
    return LabelledPhoto(pixels, labels, near, flow, name, weight * known**2)
