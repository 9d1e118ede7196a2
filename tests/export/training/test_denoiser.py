"""The denoiser: velocity and clean latents agree, any size, sampling depends on the seed alone."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from reverie.export.training.denoiser import (
    LATENTS,
    EmberDenoiser,
    noise_levels,
    sample_latents,
)
from reverie.export.training.maps import FEATURES


@pytest.fixture(scope="module")
def denoiser() -> EmberDenoiser:
    torch.manual_seed(0)
    network = EmberDenoiser().eval()
    torch.nn.init.normal_(network.out.weight, std=0.1)
    return network


@pytest.mark.parametrize(("height", "width"), [(8, 12), (12, 8), (4, 20)])
def test_velocity_is_noise_minus_data(denoiser: EmberDenoiser, height: int, width: int) -> None:
    latents = torch.randn(2, LATENTS, height, width)
    features = torch.randn(2, FEATURES, height, width)
    level = torch.tensor([0.9, 0.2])
    with torch.no_grad():
        velocity = denoiser(latents, level, features)
        clean = denoiser.clean(latents, level, features)
    wide = level[:, None, None, None]
    noise = (latents - (1 - wide) * clean) / wide
    assert velocity.shape == latents.shape
    assert torch.allclose(velocity, noise - clean, atol=1e-4)


def test_noise_levels_fall_from_one_to_nothing() -> None:
    levels = noise_levels(10, 2.0)
    assert (levels[0], levels[-1], len(levels)) == (1.0, 0.0, 11)
    assert all(a > b for a, b in pairwise(levels))
    assert noise_levels(4, 1.0) == [1.0, 0.75, 0.5, 0.25, 0.0]


def test_a_seed_is_a_wind(denoiser: EmberDenoiser) -> None:
    features = torch.randn(1, FEATURES, 8, 8)
    one = sample_latents(denoiser, features, seed=1, steps=3)
    again = sample_latents(denoiser, features, seed=1, steps=3)
    other = sample_latents(denoiser, features, seed=2, steps=3)
    assert torch.equal(one, again)
    assert not torch.allclose(one, other, atol=0.1)
    assert torch.isfinite(one).all()
