"""The figures by which motion spectra are judged: ranking, energy, and coherence of phases."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
_CELL = 4  # half-size pixels to a latent cell
_APART = 3  # cells


def area_under_curve(score: NDArray[np.floating], positive: NDArray[np.bool_]) -> float:
    """Chance that a positive place scores above a negative one, ties counting half (ROC AUC)."""
    _, ranks, counts = np.unique(score, return_inverse=True, return_counts=True)
    above = np.cumsum(counts) - (counts - 1) / 2  # mean rank of each value, from 1
    yes = int(positive.sum())
    no = positive.size - yes
    if not yes or not no:
        return float("nan")
    return float((above[ranks.ravel()][positive].sum() - yes * (yes + 1) / 2) / (yes * no))


@dataclass(frozen=True)
class Phases:
    """rms_over_truth: for each frequency, over all valid places. coherence: mean cosine between the
    phases of x motion of neighbouring cells and of cells three apart, where the truth moves."""

    rms_over_truth: list[float]
    coherence_1: float
    coherence_3: float


def phase_measures(
    spectra: list[Array],
    truth: list[Array],
    masks: list[NDArray[np.bool_]],
    valid: list[NDArray[np.bool_]],
) -> Phases:
    """Measures spectra [(32,h,w)] against the truth; masks and valid are [(h,w)]."""
    energy = np.zeros((2, 8))
    near: list[float] = []
    far: list[float] = []
    weights: list[tuple[int, int]] = []
    for spectrum, true, mask, good in zip(spectra, truth, masks, valid, strict=True):
        for row, item in enumerate((spectrum, true)):
            energy[row] += (np.square(item) * good).reshape(8, -1).sum(1)
        cells = _cells(spectrum, mask)
        one, one_count = _cosine(*cells, 1)
        three, three_count = _cosine(*cells, _APART)
        near.append(one)
        far.append(three)
        weights.append((one_count, three_count))
    counts = np.array(weights, float)
    return Phases(
        [round(float(v), 3) for v in np.sqrt(energy[0] / energy[1])],
        float(np.sum(np.array(near)) / max(1.0, counts[:, 0].sum())),
        float(np.sum(np.array(far)) / max(1.0, counts[:, 1].sum())),
    )


def _cells(spectrum: Array, mask: NDArray[np.bool_]) -> tuple[NDArray[np.complex64], Array]:
    height, width = (side // _CELL for side in mask.shape)

    def pool(plane: NDArray[np.generic]) -> Array:
        shrunk = cv2.resize(plane.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
        return np.asarray(shrunk, np.float32)

    share = pool(mask)
    waves = spectrum.reshape(8, 4, *mask.shape)
    phasors = np.stack([pool(w[0] * mask) + 1j * pool(w[1] * mask) for w in waves])
    return phasors / np.maximum(np.abs(phasors), 1e-9), (share > 0.5).astype(np.float32)


def _cosine(phasors: NDArray[np.complex64], good: Array, apart: int) -> tuple[float, int]:
    total, count = 0.0, 0
    for axis in (0, 1):
        one = [slice(None), slice(None)]
        two = [slice(None), slice(None)]
        one[axis], two[axis] = slice(apart, None), slice(None, -apart)
        both = (good[tuple(one)] * good[tuple(two)]) > 0
        product = phasors[(slice(None), *one)] * phasors[(slice(None), *two)].conj()
        total += float(product.real[:, both].sum())
        count += int(both.sum()) * len(phasors)
    return total, count
