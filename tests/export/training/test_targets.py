"""Targets: amplitudes and normalised latents of spectra whose answers are known."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from reverie.export.training.targets import (
    amplitudes,
    latent_targets,
    mirror_latents,
    prepare_latents,
    prepare_shard,
    rotate_phases,
    speed,
)


def wave(height: int = 48, width: int = 64, size: float = 2.0) -> torch.Tensor:
    """A travelling wave in the left half (1,32,h,w); the right half is still."""
    across = torch.linspace(0, 2 * math.pi, width).expand(height, width)
    spectrum = torch.zeros(1, 8, 4, height, width)
    spectrum[0, :, 0] = size * across.cos()
    spectrum[0, :, 1] = size * across.sin()
    spectrum[..., width // 2 :] = 0
    return spectrum.flatten(1, 2)


def test_amplitude_is_the_rms_over_time() -> None:
    spectrum = wave()
    seconds = torch.arange(0, 20, 0.05)
    swing = spectrum[0, 0, 5, 5] * (2 * math.pi * 0.15 * seconds).cos()
    swing += spectrum[0, 1, 5, 5] * (2 * math.pi * 0.15 * seconds).sin()
    assert float(amplitudes(spectrum)[0, 0, 5, 5]) == pytest.approx(
        float(swing.square().mean().sqrt()), rel=0.02
    )


def test_latents_forget_the_size_and_keep_the_phase() -> None:
    drift = torch.zeros(1, 2, 48, 64)
    drift[:, 0, :, :32] = -7.0
    small, counts = latent_targets(wave(size=1.0), drift)
    large, _ = latent_targets(wave(size=9.0), drift)
    assert small.shape == (1, 34, 12, 16)
    assert counts.shape == (1, 2, 12, 16)
    assert torch.allclose(small, large, atol=1e-3)
    assert counts[0, :, :, :7].min() == 1
    assert counts[0, :, :, 9:].max() == 0
    assert small[0, :, :, 9:].abs().max() == 0
    phase = torch.atan2(small[0, 1, 6, :7], small[0, 0, 6, :7])
    centres = torch.linspace(0, 2 * math.pi, 64).view(16, 4).mean(1)[:7]
    assert torch.allclose(phase, centres, atol=0.1)
    assert torch.allclose(small[0, 32, :, :7], torch.tensor(-1.4))
    assert float(small[0, :32].square().mean(0)[counts[0, 0] == 1].mean()) == pytest.approx(
        1.0, abs=0.35
    )


def test_rotating_by_a_whole_turn_changes_nothing() -> None:
    latents = torch.randn(2, 34, 4, 4)
    whole = rotate_phases(latents, torch.full((2, 8), 2 * math.pi))
    assert torch.allclose(whole, latents, atol=1e-5)
    quarter = rotate_phases(latents, torch.full((2, 8), math.pi / 2))
    assert torch.allclose(quarter[:, 1], latents[:, 0], atol=1e-5)
    assert torch.allclose(quarter[:, 0], -latents[:, 1], atol=1e-5)
    assert torch.equal(quarter[:, 32:], latents[:, 32:])


def test_the_mirrored_scene_has_the_mirrored_latents() -> None:
    spectrum = torch.randn(1, 32, 48, 64)
    drift = torch.randn(1, 2, 48, 64) * 5
    signs = torch.ones(32)
    signs.view(8, 4)[:, :2] = -1
    mirrored = spectrum.flip(-1) * signs[:, None, None]
    flow = drift.flip(-1) * torch.tensor([-1.0, 1.0])[:, None, None]
    straight, _ = latent_targets(spectrum, drift)
    turned, _ = latent_targets(mirrored, flow)
    assert torch.allclose(mirror_latents(straight), turned, atol=1e-5)


def test_a_shard_is_prepared_once_and_whole(tmp_path: Path) -> None:
    shard = tmp_path / "train" / "shard-0000"
    shard.mkdir(parents=True)
    spectrum = wave().numpy().astype(np.float16).repeat(3, 0)
    drift = np.full((3, 2, 48, 64), 3.0, np.float16)
    np.save(shard / "spectrum.npy", spectrum)
    np.save(shard / "drift.npy", drift)
    folder = prepare_shard(shard, tmp_path / "prepared")
    prepare_latents(shard, folder)
    root = np.load(folder / "root.npy")
    expected = amplitudes(torch.from_numpy(spectrum).float()).sqrt().numpy()
    assert np.allclose(root, expected, atol=2e-3)
    pace = np.load(folder / "drift_root.npy")
    assert np.allclose(pace, speed(torch.from_numpy(drift).float()).sqrt().numpy(), atol=2e-3)
    assert np.load(folder / "latents.npy").shape == (3, 34, 12, 16)
    before = (folder / "root.npy").stat().st_mtime_ns
    assert prepare_shard(shard, tmp_path / "prepared") == folder
    assert (folder / "root.npy").stat().st_mtime_ns == before
    assert not list(folder.glob("*.part*"))
