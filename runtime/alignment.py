"""Lays faces over one template: similarities between pictures, from points and from what is seen.

A similarity is float64 (2, 3), a turn, a scale and a shift; it takes points (x, y) in pixels of one
picture to those of another. The template is ArcFace's (Deng et al., 2019), 112 x 112 pixels.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels: TypeAlias = NDArray[np.uint8]
Points: TypeAlias = NDArray[np.float64]
Similarity: TypeAlias = NDArray[np.float64]

SIDE = 112
TEMPLATE = np.array(
    [
        (38.2946, 51.6963),
        (73.5318, 51.5014),
        (56.0252, 71.7366),
        (41.5493, 92.3655),
        (70.7299, 92.2041),
    ]
)
"""Where eyes, tip of the nose and corners of the mouth belong, x and y in pixels."""

_FEATURES = 900
_LEAST_AGREEING = 12


def fit(
    points: NDArray[Any], moved: NDArray[Any], weights: NDArray[Any] | None = None
) -> Similarity:
    """The similarity that best carries points (n, 2) onto others, least squares, weights (n,)."""
    source, target = np.asarray(points) @ [1, 1j], np.asarray(moved) @ [1, 1j]
    share = np.full(len(source), 1.0) if weights is None else np.asarray(weights, np.float64)
    share = share / max(float(share.sum()), 1e-12)
    start, end = (share * source).sum(), (share * target).sum()
    energy = float((share * np.abs(source - start) ** 2).sum())
    product = (share * np.conj(source - start) * (target - end)).sum()
    turn = product / energy if energy > 1e-12 else 1 + 0j
    shift = end - turn * start
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def chain(first: Similarity, then: Similarity) -> Similarity:
    """One similarity for two in turn."""
    return np.column_stack([then[:, :2] @ first[:, :2], then[:, :2] @ first[:, 2] + then[:, 2]])


def inverse(way: Similarity) -> Similarity:
    """The similarity back."""
    back = np.linalg.inv(way[:, :2])
    return np.column_stack([back, -back @ way[:, 2]])


def carry(points: NDArray[Any], way: Similarity) -> Points:
    """Points (n, 2) taken by a similarity."""
    return np.asarray(np.asarray(points, np.float64) @ way[:, :2].T + way[:, 2])


def size_of(way: Similarity) -> float:
    """How much a similarity enlarges."""
    return math.hypot(way[0, 0], way[1, 0])


def turn_of(way: Similarity) -> float:
    """How far a similarity turns, in degrees."""
    return math.degrees(math.atan2(way[1, 0], way[0, 0]))


def between(before: Similarity, after: Similarity, share: float) -> Similarity:
    """A similarity on the way from one to another, 0 .. 1: turn, scale and place each evenly.

    What is even is the way of the template's middle, so that a turn about it moves nothing else.
    """
    middle = np.array([[SIDE / 2, SIDE / 2]])
    turns = [complex(way[0, 0], way[1, 0]) for way in (before, after)]
    turn = turns[0] * (turns[1] / turns[0]) ** share if turns[0] else turns[1]
    matrix = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])
    place = (1 - share) * carry(middle, before) + share * carry(middle, after)
    return np.column_stack([matrix, place[0] - matrix @ middle[0]])


def aligned(picture: Pixels, points: NDArray[Any], *, smooth: bool = True) -> Pixels:
    """A face's five points (5, 2) in a picture (H, W, 3) laid on the template: uint8 (112, 112, 3).

    smooth: a face far larger than the template is averaged, not picked from; without it the result
    is that of OpenCV's FaceRecognizerSF.alignCrop.
    """
    return crop(picture, inverse(fit(points, TEMPLATE)), smooth=smooth)


def crop(picture: Pixels, way: Similarity, *, smooth: bool = True, side: int = SIDE) -> Pixels:
    """What a picture shows under the template: uint8 (side, side, 3).

    way: from the template to the picture. side: of the result, over the same part of the picture.
    """
    if side != SIDE:
        zoom = SIDE / side
        way = chain(np.array([[zoom, 0, zoom / 2 - 0.5], [0, zoom, zoom / 2 - 0.5]]), way)
    times = int(size_of(way)) if smooth else 1
    if times >= 2:
        corners = carry(np.array([(0, 0), (side, 0), (0, side), (side, side)]), way)
        low = np.maximum(np.floor(corners.min(0)).astype(int) - 2 * times, 0)
        high = np.ceil(corners.max(0)).astype(int) + 2 * times
        part = picture[low[1] : high[1], low[0] : high[0]]
        size = part.shape[1] // times, part.shape[0] // times
        if min(size) >= 2:
            part = part[: size[1] * times, : size[0] * times]
            picture = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)
            shift = -low / times + (0.5 / times - 0.5)
            shrink = np.array([[1 / times, 0, shift[0]], [0, 1 / times, shift[1]]], np.float64)
            way = chain(way, shrink)
    return np.asarray(
        cv2.warpAffine(picture, way, (side, side), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP),
        np.uint8,
    )


def like_light(face: Pixels, other: Pixels) -> Pixels:
    """A picture with the mean and spread of each colour that another of its size has."""
    own, wanted = face.astype(np.float32), other.astype(np.float32)
    gain = wanted.std((0, 1)) / np.maximum(own.std((0, 1)), 1.0)
    level = (own - own.mean((0, 1))) * np.clip(gain, 0.4, 2.5) + wanted.mean((0, 1))
    return np.asarray(np.clip(np.rint(level), 0, 255), np.uint8)


def follow(known: Pixels, picture: Pixels, way: Similarity) -> tuple[Similarity, float]:
    """Correct where a known face lies in a picture by what is seen there.

    known: the face on the template, uint8 (112, 112, 3); way: a guess from the template to the
    picture. Returns the way corrected, and how far the face's parts lie from it, the mean of the
    worst half in shares of the distance between the eyes: what no turn, scale or shift explains.
    Flow is dense inverse search (Kroeger et al., 2016).
    """
    meter: Any = cv2.DISOpticalFlow.create(cv2.DISOpticalFlow_PRESET_FAST)
    grey = cv2.cvtColor(known, cv2.COLOR_RGB2GRAY)
    mask, places = _inside(grey)
    texture = _texture(grey)[mask]
    strong, apart = texture > np.median(texture), 1.0
    for _ in range(2):
        here = crop(picture, way)
        there = cv2.cvtColor(like_light(here, known), cv2.COLOR_RGB2GRAY)
        flow = np.asarray(meter.calc(grey, np.asarray(there), None), np.float64)[mask]
        weights = texture
        for _ in range(3):
            step = fit(places, places + flow, weights)
            residual = np.hypot(*(carry(places, step) - places - flow).T)
            spread = max(float(np.median(residual)), 0.1)
            weights = texture / (1 + (residual / (2 * spread)) ** 2)
        way = chain(step, way)
        worst = np.sort(residual[strong])[strong.sum() // 2 :]
        apart = float(worst.mean()) / float(TEMPLATE[1, 0] - TEMPLATE[0, 0])
    return way, apart


def _inside(grey: NDArray[Any]) -> tuple[NDArray[np.bool_], Points]:
    """The template's pixels that belong to a face rather than to hair or a background."""
    y, x = np.mgrid[: grey.shape[0], : grey.shape[1]]
    mask = ((x - 56) / 40) ** 2 + ((y - 66) / 46) ** 2 <= 1
    mask &= (y % 2 == 0) & (x % 2 == 0)
    return mask, np.argwhere(mask)[:, ::-1].astype(np.float64)


def _texture(grey: NDArray[Any]) -> NDArray[np.float64]:
    """How much there is to be followed at each place, > 0."""
    soft = cv2.GaussianBlur(grey, (0, 0), 1.0)
    across, down = (cv2.Sobel(soft, cv2.CV_32F, *axis) for axis in ((1, 0), (0, 1)))
    strength = cv2.GaussianBlur(np.hypot(np.asarray(across), np.asarray(down)), (0, 0), 2.0)
    return np.asarray(strength, np.float64) + 1.0


def find_view(photo: Pixels, frame: Pixels) -> Similarity | None:
    """The similarity from a photo to a frame that shows a part of it; None where none is seen.

    Both uint8 RGB of any size; features are ORB's (Rublee et al., 2011), agreed on by RANSAC.
    """
    small, shrink = zip(*(_small(picture) for picture in (photo, frame)), strict=True)
    finder: Any = cv2.ORB.create(nfeatures=_FEATURES, fastThreshold=7)
    (here, own), (there, other) = (finder.detectAndCompute(one, None) for one in small)
    if own is None or other is None or min(len(here), len(there)) < _LEAST_AGREEING:
        return None
    pairs: Any = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True).match(own, other)
    if len(pairs) < _LEAST_AGREEING:
        return None
    start = np.array([here[pair.queryIdx].pt for pair in pairs])
    end = np.array([there[pair.trainIdx].pt for pair in pairs])
    cv2.setRNGSeed(0)
    way, agree = cv2.estimateAffinePartial2D(start, end, ransacReprojThreshold=3.0)
    if way is None or int(agree.sum()) < max(_LEAST_AGREEING, 0.12 * len(pairs)):
        return None
    found = np.asarray(way, np.float64)
    if not 0.15 < size_of(found) < 8:
        return None
    to_small = np.array([[shrink[0], 0, 0], [0, shrink[0], 0]], np.float64)
    from_small = np.array([[1 / shrink[1], 0, 0], [0, 1 / shrink[1], 0]], np.float64)
    return chain(chain(to_small, found), from_small)


def _small(picture: Pixels) -> tuple[Pixels, float]:
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    scale = min(1.0, 640 / max(grey.shape))
    if scale == 1.0:
        return np.asarray(grey, np.uint8), 1.0
    return np.asarray(
        cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    ), scale
