"""Makes old, small and soft photos fit to be filmed, gently: `--restore gentle`.

Blocks of JPEG are averaged away, dust and scratches filled, and a photo too small for a film is
enlarged, partly by Real-ESRGAN (Wang et al., 2021), which cleans as it enlarges. Tone and colours
stay the photo's own, sepia too. Faces are another matter: they are enlarged without invention, and
what cleaning adds to them is kept only where SFace sees the same person as before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from ..alignment import aligned
from ..bundle import load_bundle
from ..crop import Box
from ..faces import Face
from ..identity import Identity
from ..look.tiles import enlarged
from ..look.upscale import open_upscaler, plain
from ..regions import face_map
from ..tools import open_tool
from ..upsample import rows_of
from .ageing import State, look_at, one_tone
from .deblock import deblock
from .scratches import fill, find_damage

if TYPE_CHECKING:
    from ...engines.device import Device

Pixels: TypeAlias = NDArray[np.uint8]
Floats: TypeAlias = NDArray[np.float32]
Mix: TypeAlias = tuple[float, float, float]

SAME_FACE = 0.95
"""Least cosine between a face before and after; below, it stays as it was."""
MOST_LOOKED_AT = 500_000
"""Pixels that the networks are given at most: some twenty seconds on two cores."""
MOST_DEBLOCKED = 12_000_000
"""Pixels above which blocks are left: a film shows such a photo smaller than they are."""
WANTED = 1080
"""Pixels of the shorter side that a small photo is enlarged to, four times at most."""
SIGHT = 36
"""Pixels that Real-ESRGAN sees around each: its 34 convolutions of 3 by 3, and two to spare."""

# Shares of what the network gives: of a clean photo, more for blocks, and for softness or grain.
# More of it is nearer to the eye's measure (LPIPS), and farther from the pixels.
_CLEAN, _WORN = 0.25, 0.15
# Shares on a face of what is treated and sharp, and of the usual share of what is clean, the first
# with which it stays the same.
_ON_FACES = ((1.0, 0.5, 0.5), (1.0, 0.5, 0.2), (1.0, 0.3, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 0.0))
_ROOM = 0.2  # of a face's box around it that is treated as the face is
_TONE = 6.0  # pixels of the small photo over which brightness and colour stay its own


def restore_photo(
    pixels: Pixels,
    faces: Sequence[Face] = (),
    device: Device | str = "auto",
    *,
    threads: int | None = None,
) -> tuple[Pixels, tuple[str, ...]]:
    """Restore a photo, uint8 RGB (H, W, 3), whose faces are known; returns it and what was done.

    faces: as `faces.find_faces` gives them. The photo may come back larger, never of another shape
    or smaller; notes are lines for a person. One that is large and has neither blocks nor scratches
    comes back as it is.

    Raises:
        BundleError: a network is missing or broken.
        EngineError: the device cannot run it.
    """
    state = look_at(pixels)
    notes: list[str] = []
    given = treated = pixels
    if state.quality is not None and pixels.shape[0] * pixels.shape[1] <= MOST_DEBLOCKED:
        treated = deblock(pixels, state.quality, state.begin)
        if state.toned:  # colours that JPEG invented are no part of it
            given, treated = one_tone(pixels), one_tone(treated)
        notes.append(f"blocks of JPEG were smoothed (quality about {state.quality})")
    if state.aged:
        rim = 1 if state.quality is None else 2
        damage = find_damage(treated, [face.box for face in faces], rim=rim)
        if damage.mask.any():
            treated = fill(treated, damage)
            notes.append(_told(damage.scratches, damage.specks))
    if state.small:
        versions, factor = _enlarged(given, treated, state, device, threads)
        notes.append(f"enlarged {factor:.1f} times and cleaned gently")
    elif notes:
        versions = _Versions(given, treated, treated, treated, 0.0)
    else:
        if state.noisy or state.soft:
            return pixels, ("the photo is large: its grain and softness were left as they are",)
        return pixels, ("the photo is large and clean: nothing was restored",)
    if not faces:
        return versions.mixed([], []), tuple(notes)
    before = plain(pixels, versions.size)
    restored, kept = _with_faces(before, versions, faces)
    return restored, (*notes, _told_of_faces(len(faces), kept))


def _told(scratches: int, specks: int) -> str:
    lines = f"{scratches} scratch{'es' if scratches > 1 else ''}" if scratches else ""
    dust = f"{specks} speck{'s' if specks > 1 else ''} of dust" if specks else ""
    return f"{' and '.join(filter(None, (lines, dust)))} filled from beside"


@dataclass(frozen=True)
class _Versions:
    """One photo in four states, uint8 (H, W, 3) of one size."""

    given: Pixels
    """As it came, resampled."""
    treated: Pixels
    """Without blocks and scratches, resampled."""
    sharp: Pixels
    """Enlarged by SPAN, which adds no texture."""
    clean: Pixels
    """Enlarged by Real-ESRGAN, in the photo's own tone."""
    share: float
    """Of the clean one that is shown."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.given.shape[1], self.given.shape[0]

    def mixed(self, maps: Sequence[Floats], on_faces: Sequence[Mix]) -> Pixels:
        """Lay each state over the one before, the last by `share`; on faces, by a mix of its own.

        maps: float32 (h, w) over the whole photo, 1 on a face and 0 elsewhere.
        """
        width, height = self.size
        out = np.empty_like(self.given)
        for top in range(0, height, 256):
            rows = slice(top, min(top + 256, height))
            shares = np.empty((3, rows.stop - top, width, 1), np.float32)
            for index, usual in enumerate((1.0, 1.0, self.share)):
                shares[index] = usual
            for map_, mix in zip(maps, on_faces, strict=True):
                here = rows_of(map_, rows, (height, width))[..., None]
                treated, sharp, clean = mix
                for index, own in enumerate((treated, sharp, clean * self.share)):
                    shares[index] += here * (own - shares[index])
            ground = self.given[rows].astype(np.float32)
            for share, over in zip(shares, (self.treated, self.sharp, self.clean), strict=True):
                ground += share * (over[rows] - ground)
            out[rows] = np.rint(ground)
        return out


def _enlarged(
    given: Pixels, treated: Pixels, state: State, device: Device | str, threads: int | None
) -> tuple[_Versions, float]:
    """Enlarge a small photo in every way, and by how much."""
    height, width = given.shape[:2]
    factor = min(4.0, WANTED / state.short)
    size = max(width, round(width * factor)), max(height, round(height * factor))
    seen, scale = treated, math.sqrt(MOST_LOOKED_AT / (height * width))
    if scale < 1:
        seen = plain(treated, (max(1, round(width * scale)), max(1, round(height * scale))))
    with open_tool(load_bundle("restore"), "photo", device=device, threads=threads) as engine:
        clean = plain(enlarged(seen, engine, 4, margin=SIGHT), size)
    with open_upscaler(device, threads=threads) as enlarge:
        sharp = enlarge(seen, size)
    resampled = plain(treated, size)
    clean = _own_tone(clean, resampled, _TONE * size[0] / width, toned=state.toned)
    faults = (state.soft or state.noisy) + (state.quality is not None)
    share = _CLEAN + _WORN * faults
    return _Versions(plain(given, size), resampled, sharp, clean, share), factor


def _told_of_faces(count: int, kept: int) -> str:
    faces = "the face" if count == 1 else f"{count} faces"
    if kept == 0:
        return f"{faces}: hardly touched, the same by identity (cosine {SAME_FACE} or more)"
    which = faces if kept == count else f"{kept} of {count} faces"
    return f"{which}: enlarged and otherwise left as in the photo, so as not to change a person"


def _own_tone(clean: Pixels, own: Pixels, blur: float, *, toned: bool) -> Pixels:
    """Give a picture the brightness and colours, over some pixels, that another has.

    toned: all colours, for a photo of a single tone has none that a network could know better.
    """
    if toned:
        ours, theirs = (cv2.cvtColor(one, cv2.COLOR_RGB2YCrCb) for one in (own, clean))
        theirs[..., 1:] = ours[..., 1:]
        clean = np.asarray(cv2.cvtColor(theirs, cv2.COLOR_YCrCb2RGB), np.uint8)
    shift = cv2.subtract(own.astype(np.float32), clean.astype(np.float32))
    shift = cv2.GaussianBlur(shift, (0, 0), blur)
    return np.asarray(np.clip(np.rint(clean + shift), 0, 255), np.uint8)


def _with_faces(before: Pixels, versions: _Versions, faces: Sequence[Face]) -> tuple[Pixels, int]:
    """Mix so that every face stays the same by identity; also says how many are left as they were.

    before: the photo as it came, resampled. Each face is given less until it is the same, and in
    the end nothing; those too small to be told are given nothing.
    """
    maps = [_face_map(face, versions.size) for face in faces]
    last = len(_ON_FACES) - 1
    with Identity(before, faces, device="cpu") as identity:
        by_box = {known.box: known.points for known in identity.known}
        points = [by_box.get(face.box) for face in faces]
        own = [None if one is None else identity.embed(aligned(before, one)) for one in points]
        levels = [last if one is None else 0 for one in points]
        while True:
            mixed = versions.mixed(maps, [_ON_FACES[level] for level in levels])
            changed = [
                index
                for index, (place, known) in enumerate(zip(points, own, strict=True))
                if place is not None
                and known is not None
                and levels[index] < last
                and float(identity.embed(aligned(mixed, place)) @ known) < SAME_FACE
            ]
            if not changed:
                return mixed, levels.count(last)
            for index in changed:
                levels[index] += 1


def _face_map(face: Face, size: tuple[int, int]) -> Floats:
    """1 on a face and what is close to it, falling to 0: float32 (h, w), 384 cells at most."""
    across, down = face.box.x1 - face.box.x0, face.box.y1 - face.box.y0
    box = Box(
        face.box.x0 - _ROOM * across,
        face.box.y0 - _ROOM * down,
        face.box.x1 + _ROOM * across,
        face.box.y1 + _ROOM * down,
    )
    scale = min(1.0, 384 / max(size))
    cells = max(1, round(size[1] * scale)), max(1, round(size[0] * scale))
    return np.asarray(face_map([Face(box, face.score)], cells), np.float32)
