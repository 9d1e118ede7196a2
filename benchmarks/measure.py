"""Scores of a predicted motion map against what was drawn or measured; pure functions on arrays.

Maps are float (h, w). A mask is uint8 (h, w): 1 may move, 0 must hold still, 255 not judged.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Map = NDArray[Any]

MOVES = 1
HOLDS = 0
LEAST_SHARE = 0.005
"""A photo has an AUC of its own when either value covers at least this share of its mask."""


def auc(score: Map, label: Map) -> float:
    """Chance that a random positive scores above a random negative; ties count one half.

    `score` numbers and `label` 0 or 1, of one shape; nan where only one label occurs. Area under
    the ROC curve as the Mann-Whitney statistic. Raises ValueError where a score is not finite.
    """
    score, label = np.asarray(score, np.float64).ravel(), np.asarray(label).ravel() > 0
    if not np.isfinite(score).all():
        raise ValueError("scores must be finite")
    _, place = np.unique(score, return_inverse=True)
    size = int(place.max(initial=-1)) + 1
    positive = np.bincount(place[label], minlength=size).astype(np.float64)
    negative = np.bincount(place[~label], minlength=size).astype(np.float64)
    pairs = positive.sum() * negative.sum()
    if not pairs:
        return math.nan
    below = np.cumsum(negative) - negative
    return float((positive * (below + negative / 2)).sum() / pairs)


def rank_correlation(a: Map, b: Map) -> float:
    """Spearman's correlation of two arrays of one shape; nan where one of them is constant."""
    ranks = []
    for values in (a, b):
        _, place, counts = np.unique(np.ravel(values), return_inverse=True, return_counts=True)
        ranks.append((np.cumsum(counts) - (counts - 1) / 2)[place])
    first, second = (r - r.mean() for r in ranks)
    norm = math.sqrt(float((first**2).sum() * (second**2).sum()))
    return float((first * second).sum() / norm) if norm else math.nan


def judged(score: Map, mask: Map) -> tuple[Map, Map]:
    """The scores and labels (n,) of the pixels that a mask judges."""
    seen = (mask == MOVES) | (mask == HOLDS)
    return np.asarray(score)[seen], (mask[seen] == MOVES).astype(np.uint8)


def mask_auc(score: Map, mask: Map) -> float:
    """AUC over the judged pixels of a photo; nan where it has too little of either value."""
    for value in (MOVES, HOLDS):
        if (mask == value).mean() < LEAST_SHARE:
            return math.nan
    return auc(*judged(score, mask))


def pooled_auc(scores: list[Map], masks: list[Map]) -> float:
    """AUC over the judged pixels of all photos together, on one common scale of scores."""
    pairs = [judged(score, mask) for score, mask in zip(scores, masks, strict=True)]
    return auc(np.concatenate([p[0] for p in pairs]), np.concatenate([p[1] for p in pairs]))


def share_above(score: Map, mask: Map, value: int, threshold: float) -> float:
    """Share of the pixels with `value` in the mask that score above the threshold, or nan."""
    inside = np.asarray(score)[mask == value]
    return float((inside > threshold).mean()) if inside.size else math.nan


def mean_known(values: list[float]) -> float:
    """Mean of the values that are not nan; nan if there are none."""
    known = [v for v in values if not math.isnan(v)]
    return sum(known) / len(known) if known else math.nan


def motion(amplitude: Map, drift: Map | None = None) -> Map:
    """How far each place moves, rms over time, (h, w) in the unit of `amplitude`.

    `amplitude` (K, h, w) rms displacement at each temporal frequency; `drift` (h, w) steady speed
    per second, counted as the way of one second.
    """
    total = (np.asarray(amplitude, np.float64) ** 2).sum(axis=0)
    return np.sqrt(total if drift is None else total + np.asarray(drift, np.float64) ** 2)


def grey(pixels: Map) -> Map:
    """Luma 0..1 (h, w) of an 8-bit RGB picture (h, w, 3), after BT.601."""
    return np.asarray(pixels, np.float64) @ np.array([0.299, 0.587, 0.114]) / 255


def box_mean(values: Map, radius: int) -> Map:
    """Mean over a square of 2 radius + 1 pixels, (h, w); the picture's border is repeated."""
    size = 2 * radius + 1
    padded = np.pad(np.asarray(values, np.float64), radius, mode="edge")
    sums = np.pad(padded, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    inner = sums[size:, size:] - sums[:-size, size:] - sums[size:, :-size] + sums[:-size, :-size]
    return inner / size**2


def texture_energy(picture: Map, radius: int | None = None) -> Map:
    """Standard deviation of brightness around each pixel, (h, w).

    `radius` of the square in pixels; 1.5% of the longer side where it is not given.
    """
    radius = max(1, round(0.015 * max(picture.shape))) if radius is None else radius
    variance = box_mean(picture**2, radius) - box_mean(picture, radius) ** 2
    return np.sqrt(np.maximum(variance, 0))


def gradient_magnitude(picture: Map) -> Map:
    """Length of the brightness gradient, (h, w), by central differences."""
    down, across = np.gradient(np.asarray(picture, np.float64))
    return np.hypot(down, across)


def resized(values: Map, shape: tuple[int, int]) -> Map:
    """A map (h, w) at another size: pixel centres aligned, bilinear, averaged when shrunk."""
    result = np.asarray(values, np.float64)
    for axis, size in enumerate(shape):
        result = np.moveaxis(_resized_first(np.moveaxis(result, axis, 0), size), 0, axis)
    return result


def _resized_first(values: Map, size: int) -> Map:
    """Triangle filter along the first axis, as wide as the larger of the two pixels."""
    length = values.shape[0]
    if length == size:
        return values
    centre = (np.arange(size) + 0.5) * length / size - 0.5
    reach = max(1.0, length / size)
    weights = np.maximum(0, 1 - np.abs(np.arange(length) - centre[:, None]) / reach)
    weights /= weights.sum(axis=1, keepdims=True)
    return np.tensordot(weights, values, axes=(1, 0))


def fit_similarity(points: Map, moved: Map) -> tuple[Map, Map]:
    """The turn, scale and shift that best carries points onto others, least squares.

    `points` and `moved` (n, 2); returns a matrix (2, 2) and a shift (2,) with
    moved ~ points @ matrix.T + shift. Points whose residual is beyond three medians are left out
    and the fit repeated, three times.
    """
    points, moved = np.asarray(points, np.float64), np.asarray(moved, np.float64)
    keep = np.ones(len(points), bool)
    for _ in range(4):
        matrix, shift = _least_squares(points[keep], moved[keep])
        residual = np.hypot(*(points @ matrix.T + shift - moved).T)
        keep = residual <= max(3 * float(np.median(residual)), 1e-9)
    return matrix, shift


def _least_squares(points: Map, moved: Map) -> tuple[Map, Map]:
    """Similarity without reflection, in closed form with complex numbers."""
    source, target = points @ [1, 1j], moved @ [1, 1j]
    start, end = source.mean(), target.mean()
    energy = (np.abs(source - start) ** 2).sum()
    turn = (np.conj(source - start) * (target - end)).sum() / energy if energy else 1 + 0j
    matrix = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])
    shift = end - turn * start
    return matrix, np.array([shift.real, shift.imag])


def cosine(a: Map, b: Map) -> float:
    """Cosine of the angle between two vectors of any shape."""
    a, b = np.asarray(a, np.float64).ravel(), np.asarray(b, np.float64).ravel()
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
