from __future__ import annotations

import math

import numpy as np
import pytest
from reverie.benchmarks import measure


def slow_auc(score: np.ndarray, label: np.ndarray) -> float:
    """The definition, pair by pair."""
    positive, negative = score[label == 1][:, None], score[label == 0][None]
    return float((positive > negative).mean() + (positive == negative).mean() / 2)


@pytest.mark.parametrize("seed", range(4))
def test_auc_counts_pairs_and_halves_ties(seed: int) -> None:
    random = np.random.default_rng(seed)
    score = random.integers(0, 6, 90).astype(float)
    label = random.integers(0, 2, 90)
    assert measure.auc(score, label) == pytest.approx(slow_auc(score, label))


def test_auc_of_simple_cases() -> None:
    label = np.array([0, 0, 1, 1])
    assert measure.auc(np.array([1, 2, 3, 4]), label) == 1
    assert measure.auc(np.array([4, 3, 2, 1]), label) == 0
    assert measure.auc(np.ones(4), label) == 0.5
    assert math.isnan(measure.auc(np.ones(4), np.ones(4)))
    with pytest.raises(ValueError, match="finite"):
        measure.auc(np.array([1, np.nan, 2, 3]), label)


def test_auc_does_not_change_with_the_scale_of_scores() -> None:
    random = np.random.default_rng(1)
    score, label = random.random(200), random.integers(0, 2, 200)
    assert measure.auc(np.exp(5 * score), label) == pytest.approx(measure.auc(score, label))


def test_unjudged_pixels_do_not_count() -> None:
    mask = np.array([[1, 0, 255], [1, 0, 255]], np.uint8)
    score = np.array([[2.0, 1.0, 99.0], [3.0, 0.0, -99.0]])
    assert measure.mask_auc(score, mask) == 1
    assert measure.judged(score, mask)[0].tolist() == [2, 1, 3, 0]


def test_a_photo_with_one_value_only_has_no_auc_of_its_own_but_counts_in_the_pool() -> None:
    still, moving = np.zeros((4, 4), np.uint8), np.ones((4, 4), np.uint8)
    low, high = np.full((4, 4), 0.1), np.full((4, 4), 0.2)
    assert math.isnan(measure.mask_auc(low, still))
    assert measure.pooled_auc([low, high], [still, moving]) == 1
    assert measure.pooled_auc([high, low], [still, moving]) == 0


def test_share_above() -> None:
    mask = np.array([[1, 1, 0, 255]], np.uint8)
    score = np.array([[0.5, 0.1, 0.5, 0.5]])
    assert measure.share_above(score, mask, 1, 0.2) == 0.5
    assert measure.share_above(score, mask, 0, 0.2) == 1
    assert math.isnan(measure.share_above(score, np.ones((1, 4), np.uint8), 0, 0.2))


def test_mean_known_skips_nan() -> None:
    assert measure.mean_known([1.0, math.nan, 3.0]) == 2
    assert math.isnan(measure.mean_known([math.nan]))


def test_rank_correlation() -> None:
    values = np.arange(20.0)
    assert measure.rank_correlation(values, values**3) == pytest.approx(1)
    assert measure.rank_correlation(values, -values) == pytest.approx(-1)
    assert math.isnan(measure.rank_correlation(values, np.ones(20)))
    tied = np.array([1.0, 1.0, 2.0, 3.0])
    assert measure.rank_correlation(tied, tied) == pytest.approx(1)


def test_motion_adds_frequencies_as_powers_and_drift_as_one_second() -> None:
    amplitude = np.stack([np.full((2, 2), 3.0), np.full((2, 2), 4.0)])
    assert measure.motion(amplitude) == pytest.approx(np.full((2, 2), 5.0))
    assert measure.motion(amplitude, np.full((2, 2), 12.0)) == pytest.approx(np.full((2, 2), 13.0))


def test_box_mean_is_the_mean_of_a_square() -> None:
    picture = np.random.default_rng(0).random((9, 11))
    smooth = measure.box_mean(picture, 2)
    assert smooth.shape == picture.shape
    assert smooth[4, 5] == pytest.approx(picture[2:7, 3:8].mean())
    assert measure.box_mean(np.full((5, 5), 0.3), 1) == pytest.approx(np.full((5, 5), 0.3))


def test_texture_and_gradient_see_a_pattern_and_no_plain_wall() -> None:
    picture = np.full((40, 80), 0.5)
    picture[:, 40:] += 0.2 * (np.arange(40) % 4 < 2)
    for energy in (measure.texture_energy(picture), measure.gradient_magnitude(picture)):
        assert energy.shape == picture.shape
        assert energy[:, 5:35].max() < 1e-6
        assert energy[:, 45:75].mean() > 0.03


def test_grey_weighs_the_colours() -> None:
    picture = np.array([[[255, 255, 255], [0, 255, 0], [0, 0, 0]]], np.uint8)
    assert measure.grey(picture)[0] == pytest.approx([1, 0.587, 0])


@pytest.mark.parametrize("shape", [(7, 9), (40, 30), (13, 50), (20, 24)])
def test_resized_keeps_a_plane_a_plane(shape: tuple[int, int]) -> None:
    down, across = np.mgrid[:20, :24]
    small = measure.resized(np.full((20, 24), 0.7), shape)
    assert small.shape == shape
    assert small == pytest.approx(np.full(shape, 0.7))
    slope = measure.resized((across + 0.5) / 24 + 0 * down, shape)
    centres = (np.arange(shape[1]) + 0.5) / shape[1]
    inner = slice(3, -3)
    assert slope[3, inner] == pytest.approx(centres[inner], abs=2e-3)


def test_fit_similarity_finds_the_camera_among_outliers() -> None:
    random = np.random.default_rng(3)
    points = random.uniform(0, 100, (300, 2))
    turn = 1.03 * np.exp(0.02j)
    matrix = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])
    moved = points @ matrix.T + (4, -2)
    moved[:40] += random.normal(0, 20, (40, 2))
    found, shift = measure.fit_similarity(points, moved)
    assert found == pytest.approx(matrix, abs=1e-3)
    assert shift == pytest.approx([4, -2], abs=0.1)


def test_fit_similarity_of_a_single_place_is_a_shift() -> None:
    matrix, shift = measure.fit_similarity(np.ones((3, 2)), np.full((3, 2), 2.0))
    assert np.ones((3, 2)) @ matrix.T + shift == pytest.approx(np.full((3, 2), 2.0))


def test_cosine() -> None:
    assert measure.cosine(np.array([1, 0]), np.array([0, 2])) == 0
    assert measure.cosine(np.array([[1, 2]]), np.array([[2, 4]])) == pytest.approx(1)
