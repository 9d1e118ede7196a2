"""`draw_scene`, the door of the package: from a seed to one training sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..textures import Library
from .camera_damage import damage
from .front import garnish
from .real import real_photo
from .recipes import RECIPES
from .world import Canvas

#: Share of whole labelled photographs once there are enough of them.
REAL_SHARE = 0.35


@dataclass(frozen=True)
class Scene:
    """One training sample.

    image uint8 (H, W, 3) RGB; classes uint8 (h, w), h = H/2; spectrum float16 (32, h, w), eight
    frequencies x [x re, x im, y re, y im] in thousandths of the shorter side; drift float16
    (2, h, w) in thousandths of the shorter side per second; valid uint8 (h, w), 0 = not known.
    """

    image: np.ndarray
    classes: np.ndarray
    spectrum: np.ndarray
    drift: np.ndarray
    valid: np.ndarray


def draw_scene(
    seed: int, library: Library, height: int, width: int, *, real_share: float = REAL_SHARE
) -> Scene:
    """Draw the scene of `seed`; the same seed, library and size give the same scene.

    height and width are even; real_share is how many scenes are whole labelled photographs.
    """
    rng = np.random.default_rng(seed)
    canvas = Canvas(rng, library, height, width)
    share = real_share * min(1.0, len(library.photos) / 12)
    if rng.random() < share:
        weights = np.array([photo.weight for photo in library.photos])
        choice = rng.choice(len(weights), p=weights / weights.sum())
        real_photo(canvas, library.photos[choice])
        if rng.random() < 0.12:
            garnish(canvas)
    else:
        names = list(RECIPES)
        weights = np.array([RECIPES[name][0] for name in names])
        RECIPES[names[rng.choice(len(names), p=weights / weights.sum())]][1](canvas)
    return finish(canvas)


def finish(canvas: Canvas) -> Scene:
    """Photograph the canvas and bring its labels into the form they are stored in."""
    limit = 25.0  # no believable thing moves farther; noise has tails
    spectrum = np.clip(canvas.spectrum, -limit, limit)
    spectrum = spectrum.reshape(canvas.h, canvas.w, -1).transpose(2, 0, 1)
    return Scene(
        image=damage(canvas.rng, canvas.image),
        classes=canvas.classes,
        spectrum=np.ascontiguousarray(spectrum, np.float16),
        drift=np.ascontiguousarray(canvas.drift.transpose(2, 0, 1), np.float16),
        valid=canvas.valid.astype(np.uint8),
    )
