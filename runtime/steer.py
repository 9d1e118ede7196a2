"""What holds still, how far the rest moves, what is near, where the camera leans.

Pure functions from what was found in a picture (classes, people, the subject, depth) and what was
asked (intents) to the maps that `motion.render` draws with.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from .regions import Regions, hold_maps
from .settings import CLASSES, MotionIntent
from .spectrum import CAP, Spectrum
from .upsample import smoothstep

Map = NDArray[np.float32]

SURE = (0.5, 0.8)
"""Probability that a place moves: below the first it holds still, above the second it is free."""
LIVING = ("plant", "water", "flame")
"""What may stir a little even where it is the subject of the picture: a flower, a fountain."""
SUBJECT_LEAVE = 0.35
"""How far such a subject still moves where the maps are sure of it."""
WIND_BLOWN = ("plant", "sky", "cloth", "flame")


def green_is_leaves(classes: Map, drift: Map, picture: NDArray[np.uint8]) -> tuple[Map, Map]:
    """Take water and sky for plants where the picture is as green as only leaves and grass are.

    classes (6, h, w), drift (1, h, w), picture uint8 (H, W, 3). A sunlit lawn or a tea garden has
    the texture of ripples, and must never flow. Leaves reflect little blue and less red than green
    (the excess green of remote sensing, Woebbecke et al., 1995); water, even a green lake or one at
    sunset, has as much blue as red, or more red than green. Returns both, mended.
    """
    size = classes.shape[2], classes.shape[1]
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.float32) + 1.0
    red, green, blue = np.moveaxis(small / small.sum(-1, keepdims=True), -1, 0)
    leafy = smoothstep((green - blue - np.float32(0.15)) / 0.12) * smoothstep(
        (green - red + np.float32(0.02)) / 0.06
    )
    leafy = np.asarray(cv2.GaussianBlur(leafy, (0, 0), size[1] / 60), np.float32)
    mended = classes.copy()
    for name in ("water", "sky"):
        taken = leafy * _class(classes, name)
        mended[CLASSES.index(name)] -= taken
        mended[CLASSES.index("plant")] += taken
    return mended, np.asarray(drift * (1 - leafy), np.float32)


def hold_still(classes: Map, regions: Regions, motion: MotionIntent) -> Map:
    """Say what must hold still: what is static, people, the subject, and what nobody asked for.

    classes (6, h, w) probabilities in the order of settings.CLASSES, over the same picture as the
    regions. Returns (h, w), 1 where nothing may move, 0 where it may.
    """
    size = classes.shape[2], classes.shape[1]
    moves = 1.0 - _class(classes, "static")
    free = smoothstep((moves - SURE[0]) / (SURE[1] - SURE[0]))
    gains = np.array([motion.gains.get(name, 1.0) for name in CLASSES], np.float32)
    gains[CLASSES.index("static")] = 0.0
    asked = np.einsum("chw,c->hw", classes, gains) / np.maximum(moves, 1e-3)
    held = hold_maps(regions, people_move=motion.people, subject_moves=motion.people)
    person = cv2.resize(held.person, size, interpolation=cv2.INTER_AREA)
    subject = cv2.resize(held.subject, size, interpolation=cv2.INTER_AREA)
    living = sum((_class(classes, name) for name in LIVING), np.zeros_like(moves))
    leave = SUBJECT_LEAVE * np.clip((living - 0.7) / 0.25, 0, 1)
    free = free * np.clip(asked, 0, 1) * (1 - person) * (1 - subject * (1 - leave))
    return np.asarray(1.0 - free, np.float32)


def scale_motion(spectrum: Spectrum, classes: Map, amount: float, motion: MotionIntent) -> Spectrum:
    """Bring a spectrum to the amount of motion and the wind asked for; no swing exceeds the cap.

    amount: 1 is as far as the model says. Gains below 1 are part of `hold_still`; those above 1
    strengthen here what is free to move. Wind strengthens what wind moves, and turns clouds.
    """
    gains = np.array(
        [
            max(motion.gains.get(name, 1.0), 1.0) * (motion.wind if name in WIND_BLOWN else 1.0)
            for name in CLASSES
        ],
        np.float32,
    )
    boost = np.einsum("chw,c->hw", classes, gains) * np.float32(amount)
    drift = spectrum.drift * boost
    if motion.wind_degrees is not None:
        angle = np.deg2rad(motion.wind_degrees)
        wind = np.array([np.cos(angle), -np.sin(angle)], np.float32)[:, None, None]
        air = _class(classes, "sky")
        drift = drift * (1 - air) + wind * np.hypot(*drift) * air
    coefficients = spectrum.coefficients * boost
    rms = np.sqrt(np.square(coefficients).sum((0, 1)) / 2)
    coefficients *= np.minimum(1.0, CAP / np.maximum(rms, 1e-9))
    return replace(spectrum, coefficients=coefficients, drift=drift)


def scene_depth(depth: Map, classes: Map) -> Map:
    """Depth, (h, w) 0 far .. 1 near, with open sky far away, where the depth network errs.

    FastDepth was trained indoors and takes a bright sky for a near wall.
    """
    size = depth.shape[1], depth.shape[0]
    sky = cv2.resize(_class(classes, "sky"), size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(depth * (1 - smoothstep((sky - np.float32(0.3)) / 0.4)), np.float32)


def focus(regions: Regions) -> tuple[float, float]:
    """Where the camera leans to: the largest face, else the subject, as shares of the frame."""
    if regions.faces:
        x0, y0, x1, y1 = max(
            (face.box for face in regions.faces), key=lambda b: (b[2] - b[0]) * (b[3] - b[1])
        )
        return (x0 + x1) / 2, (y0 + y1) / 2
    weight = np.square(regions.subject)
    total = float(weight.sum())
    if total < 0.01 * weight.size:
        return 0.5, 0.5
    height, width = weight.shape
    x = float((weight.sum(0) * (np.arange(width) + 0.5)).sum()) / total / width
    y = float((weight.sum(1) * (np.arange(height) + 0.5)).sum()) / total / height
    return 0.5 + 0.6 * (x - 0.5), 0.5 + 0.6 * (y - 0.5)


def _class(classes: Map, name: str) -> Map:
    plane: Map = classes[CLASSES.index(name)]
    return plane
