"""Same work, proved same: small errors pass as far as precisions allow, other work never does."""

from __future__ import annotations

import numpy as np
import pytest
from reverie.benchmarks.peers.layouts import as_film_latents, compared
from reverie.benchmarks.peers.proof import (
    ALLOWED,
    Proof,
    allowed,
    both,
    prove_frames,
    prove_latents,
    prove_runs,
    prove_tiled,
)

RANDOM = np.random.default_rng(3)
START = RANDOM.standard_normal((1, 8, 3, 6, 6), np.float32)
FOUND = START + RANDOM.standard_normal(START.shape, np.float32)
FILM = RANDOM.integers(0, 256, (3, 16, 16, 3), np.uint8)


def noisy(array: np.ndarray, share: float) -> np.ndarray:
    """An array with an error of some share of what was made of the start."""
    error = np.random.default_rng(1).standard_normal(array.shape).astype(np.float32)
    return array + share * error * np.linalg.norm(FOUND - START) / np.linalg.norm(error)


def test_rounding_is_allowed_by_precision() -> None:
    assert prove_latents(noisy(FOUND, 1e-5), FOUND, START, ("fp32", "fp32")).same
    assert not prove_latents(noisy(FOUND, 0.05), FOUND, START, ("fp32", "fp32")).same
    assert prove_latents(noisy(FOUND, 0.05), FOUND, START, ("fp16", "bf16")).same
    assert not prove_latents(noisy(FOUND, 0.3), FOUND, START, ("int8", "bf16")).same
    assert prove_latents(noisy(FOUND, 0.3), FOUND, START, ("int4", "bf16")).same


@pytest.mark.parametrize("precision", ALLOWED)
def test_other_work_is_never_the_same(precision: str) -> None:
    other = START + np.random.default_rng(9).standard_normal(START.shape).astype(np.float32)
    assert not prove_latents(other, FOUND, START, ("fp32", precision)).same
    film = np.random.default_rng(9).integers(0, 256, FILM.shape, np.uint8)
    assert not prove_frames(film, FILM, ("fp32", precision)).same


def test_noise_that_both_were_given_proves_nothing() -> None:
    """A network that did next to nothing is right only where that little is right."""
    little = START + 1e-3 * (FOUND - START)
    wrong = START - 1e-3 * (FOUND - START)
    assert np.linalg.norm(little - wrong) / np.linalg.norm(little) < 0.01
    assert not prove_latents(wrong, little, START, ("fp32", "fp32")).same


def test_a_grey_film_proves_nothing() -> None:
    grey = np.full((2, 16, 16, 3), 128, np.uint8)
    faint = grey.copy()
    faint[:, :8] += 2
    assert not prove_frames(grey, faint, ("fp32", "bf16")).same
    assert prove_frames(faint, faint, ("fp32", "bf16")).same


def test_what_is_missing_broken_or_of_another_shape_is_refused() -> None:
    pair = ("fp32", "fp32")
    assert "no latents" in prove_latents(None, FOUND, START, pair).why
    assert "shapes" in prove_latents(FOUND[:, :4], FOUND, START, pair).why
    assert "finite" in prove_latents(FOUND * np.nan, FOUND, START, pair).why
    assert "no frames" in prove_frames(FILM, None, pair).why
    assert "shapes" in prove_frames(FILM[:2], FILM, pair).why


def test_a_pair_may_differ_by_both_errors() -> None:
    pair = allowed("fp16", "bf16")
    assert pair.latents == pytest.approx(ALLOWED["fp16"].latents + ALLOWED["bf16"].latents)
    assert pair.decibels == ALLOWED["bf16"].decibels - 3
    assert ALLOWED["fp16"].reason in pair.reason


def test_both_say_what_failed() -> None:
    good, bad = Proof(True, "fine", latents=0.1), Proof(False, "far off", decibels=3.0)
    assert both(good, good).same
    found = both(good, bad)
    assert (found.same, found.why, found.latents, found.decibels) == (False, "far off", 0.1, 3.0)


def test_a_peers_tiles_are_its_own_matter_as_far_as_the_film_is_there() -> None:
    exact, shifted = Proof(True, "exact"), np.clip(FILM.astype(int) + 10, 0, 255).astype(np.uint8)
    assert prove_tiled(exact, shifted, FILM).same
    assert not prove_tiled(exact, FILM[:, ::-1], FILM).same
    assert not prove_tiled(Proof(False, "another film"), FILM, FILM).same
    assert not prove_tiled(exact, None, FILM).same


def test_single_runs() -> None:
    ours = {"graph_denoiser_0_in_x": FOUND, "graph_denoiser_0_out_y": FOUND}
    near = {"graph_denoiser_0_out_y": FOUND * np.float32(1.001)}
    assert prove_runs(ours, near, ("fp32", "bf16")).same
    assert not prove_runs(ours, {"graph_denoiser_0_out_y": -FOUND}, ("fp32", "int4")).same
    assert not prove_runs(ours, {}, ("fp32", "fp32")).same
    assert not prove_runs({}, near, ("fp32", "fp32")).same


def test_layouts_agree() -> None:
    video = RANDOM.standard_normal((1, 4, 2, 3, 5), np.float32)
    tokens = video.reshape(1, 4, -1).transpose(0, 2, 1)
    before = np.concatenate([np.zeros((1, 15, 4), np.float32), tokens], axis=1)
    handed = video[0].transpose(1, 0, 2, 3)
    for outputs in ({"latents": handed}, {"latents_1": tokens}, {"latents_1": before}):
        np.testing.assert_array_equal(as_film_latents(outputs, 2, video, "ltx"), video)
    frames = np.moveaxis(video, 1, 2)
    for outputs in ({"latents": frames[0]}, {"latents_1": frames}):
        np.testing.assert_array_equal(as_film_latents(outputs, 2, frames, "svd"), frames)
    assert as_film_latents({}, 2, video, "ltx") is None
    assert compared(None, "wan") is None
    np.testing.assert_array_equal(compared(video, "wan"), video[:, :, 1:])
    np.testing.assert_array_equal(compared(video, "ltx"), video)
