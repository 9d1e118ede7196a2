"""What ember's networks learn from a scene: roots of amplitudes, and normalised phases.

A shard of scenes is a folder of arrays: image uint8 (N,H,W,3), classes uint8 (N,h,w), spectrum
float16 (N,32,h,w) in thousandths of the shorter side, drift float16 (N,2,h,w) in thousandths a
second, valid uint8 (N,h,w); h and w are half of H and W. `prepare_shard` works the targets out once
and keeps them beside, since they are much smaller than the spectrum.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

MOVING = 0.5  # thousandths of the shorter side: a place that swings further than this moves
_STILL = 0.02  # thousandths: below this there is no phase worth speaking of
_DRIFTING = 0.2  # thousandths of the shorter side a second
_ENVELOPE = 7  # half-size pixels over which swings are brought to unit size
_LATENT_GAIN = 1.5  # averaging over a cell takes some of the energy; this gives it back


def amplitudes(spectrum: Tensor) -> Tensor:
    """rms displacement at each frequency (B,8,h,w) of a spectrum (B,32,h,w), in its unit."""
    energy = spectrum.unflatten(1, (8, 4)).square().sum(2) / 2
    return energy.sqrt()


def speed(drift: Tensor) -> Tensor:
    """Length (B,1,h,w) of the drift (B,2,h,w)."""
    return drift.square().sum(1, keepdim=True).sqrt()


def latent_targets(spectrum: Tensor, drift: Tensor) -> tuple[Tensor, Tensor]:
    """Clean latents (B,34,h/4,w/4) and where they count (B,2,h/4,w/4): swing, drift; 0..1.

    spectrum (B,32,h,w) and drift (B,2,h,w) in thousandths of the shorter side. Swings are divided
    by their own local size at each frequency, so that only phases and directions are left; the
    drift becomes its direction. Where nothing moves the latents are zero.
    """
    waves = spectrum.unflatten(1, (8, 4))
    energy = waves.square().sum(2) / 2
    moving = (energy.sum(1, keepdim=True) > _STILL**2).float()

    def spread(maps: Tensor) -> Tensor:
        return F.avg_pool2d(maps, _ENVELOPE, 1, _ENVELOPE // 2)

    local = (spread(energy * moving) / spread(moving).clamp_min(0.02) + 1e-6).sqrt()
    unit = (waves / local[:, :, None]).clamp(-3, 3) * moving[:, :, None]
    share = F.avg_pool2d(moving, 4)
    swing = F.avg_pool2d(unit.flatten(1, 2), 4) / share.clamp_min(0.1) * _LATENT_GAIN

    pace = speed(drift)
    drifting = (pace > _DRIFTING).float()
    heading = drift / pace.clamp_min(1e-3) * drifting
    drift_share = F.avg_pool2d(drifting, 4)
    heading = F.avg_pool2d(heading, 4) / drift_share.clamp_min(0.1) * 1.4  # unit rms of each part
    counts = (torch.cat([share, drift_share], 1) / 0.25).clamp(0, 1)
    return torch.cat([swing, heading], 1), counts


def rotate_phases(latents: Tensor, angles: Tensor) -> Tensor:
    """Latents (B,34,h,w) with each frequency's phases turned by angles (B,8): another moment."""
    waves = latents[:, :32].unflatten(1, (8, 2, 2))
    real, imaginary = waves[:, :, :, 0], waves[:, :, :, 1]
    cosine, sine = (f(angles)[:, :, None, None, None] for f in (torch.cos, torch.sin))
    turned = torch.stack(
        [real * cosine - imaginary * sine, real * sine + imaginary * cosine], 3
    ).flatten(1, 3)
    return torch.cat([turned, latents[:, 32:]], 1)


def mirror_latents(latents: Tensor) -> Tensor:
    """Latents (B,34,h,w) of the mirrored picture: columns reversed, x turned round."""
    signs = torch.ones(34, dtype=latents.dtype)
    signs[:32].view(8, 4)[:, :2] = -1
    signs[32] = -1
    return latents.flip(-1) * signs[:, None, None]


def is_prepared(shard: Path, prepared: Path) -> bool:
    """Whether `prepare_shard` has nothing left to do for this shard."""
    return (_folder(shard, prepared) / "drift_root.npy").exists()


def _folder(shard: Path, prepared: Path) -> Path:
    return prepared / f"{shard.parent.name}-{shard.name}"


def prepare_shard(shard: Path, prepared: Path) -> Path:
    """Works out the roots of one shard into `prepared`/<group>-<shard>/, once; gives the folder.

    Writes root.npy float16 (N,8,h,w) and drift_root.npy float16 (N,1,h,w).
    """
    folder = _folder(shard, prepared)
    if is_prepared(shard, prepared):
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    spectrum = np.load(shard / "spectrum.npy", mmap_mode="r")
    drift = np.load(shard / "drift.npy", mmap_mode="r")
    roots = np.empty((len(spectrum), 8, *spectrum.shape[2:]), np.float16)
    for row, item in zip(roots, spectrum, strict=True):
        waves = item.astype(np.float32).reshape(8, 4, *item.shape[1:])
        row[:] = np.sqrt(np.sqrt(np.einsum("kchw,kchw->khw", waves, waves) / 2))
    pace = np.sqrt(np.hypot(*np.moveaxis(drift.astype(np.float32), 1, 0)))[:, None]
    _save(folder / "root.npy", roots)
    _save(folder / "drift_root.npy", pace.astype(np.float16))
    return folder


def prepare_latents(shard: Path, folder: Path) -> None:
    """Works out the clean latents of one shard into its prepared folder, once.

    Writes latents.npy float16 (N,34,h/4,w/4) and counts.npy float16 (N,2,h/4,w/4).
    """
    if (folder / "counts.npy").exists():
        return
    spectrum = np.load(shard / "spectrum.npy", mmap_mode="r")
    drift = np.load(shard / "drift.npy", mmap_mode="r")
    parts: list[tuple[Tensor, Tensor]] = []
    with torch.no_grad():
        for start in range(0, len(spectrum), 8):
            waves = torch.from_numpy(spectrum[start : start + 8].astype(np.float32))
            flow = torch.from_numpy(drift[start : start + 8].astype(np.float32))
            latents, counts = latent_targets(waves, flow)
            parts.append((latents.half(), counts.half()))
    _save(folder / "latents.npy", torch.cat([latents for latents, _ in parts]).numpy())
    _save(folder / "counts.npy", torch.cat([counts for _, counts in parts]).numpy())


def _save(path: Path, array: NDArray[np.float16]) -> None:
    beside = path.with_name(path.stem + ".part.npy")
    np.save(beside, array)
    beside.replace(path)
