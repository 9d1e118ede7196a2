"""Ember's denoiser: a small flow-matching network for the phases and directions of the motion.

Follows Lipman et al., "Flow Matching" (2022), with the noising of Stable Diffusion 3:
latents at noise level s are (1 - s) x data + s x noise, and the network returns noise - data.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .blocks import Attention, Block, coordinates
from .maps import FEATURES

LATENTS = 34  # 8 frequencies x (x re, x im, y re, y im), then the drift's direction
_WIDTH, _DEEP, _EMBEDDING = 112, 192, 128


class EmberDenoiser(nn.Module):
    """Noisy latents (B,34,h,w), noise level (B,) 1..0, features (B,127,h,w) -> velocity (B,34,h,w).

    h and w are an eighth of the picture's, multiples of 4. Inside, the network predicts the clean
    latents with the scaling of Karras et al. (2022), so that every noise level asks for an output
    of unit size; the velocity follows from it.
    """

    feature_mean: Tensor
    feature_scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("feature_mean", torch.zeros(FEATURES))
        self.register_buffer("feature_scale", torch.ones(FEATURES))
        self.time = nn.Sequential(
            nn.Linear(64, _EMBEDDING), nn.SiLU(), nn.Linear(_EMBEDDING, _EMBEDDING), nn.SiLU()
        )
        self.take = nn.Conv2d(LATENTS, _WIDTH, 1)
        self.condition = nn.Conv2d(FEATURES + 10, _WIDTH, 1)
        self.down = nn.ModuleList(Block(_WIDTH, embedding=_EMBEDDING) for _ in range(1))
        self.shrink = nn.Conv2d(_WIDTH, _DEEP, 2, 2)
        self.deep = nn.ModuleList(Block(_DEEP, embedding=_EMBEDDING) for _ in range(4))
        self.mix = nn.ModuleList(Attention(_DEEP, heads=6) for _ in range(2))
        self.grow = nn.Conv2d(_DEEP, _WIDTH, 1)
        self.up = nn.ModuleList(Block(_WIDTH, embedding=_EMBEDDING) for _ in range(2))
        self.out = nn.Conv2d(_WIDTH, LATENTS, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def core(self, latents: Tensor, noise_level: Tensor, features: Tensor) -> Tensor:
        """The network itself, without the scaling around it."""
        rates = torch.exp(torch.linspace(0.0, math.log(1000.0), 32, device=latents.device))
        angles = noise_level[:, None] * rates
        embedding = self.time(torch.cat([angles.sin(), angles.cos()], 1))
        scaled = (features - self.feature_mean[:, None, None]) * self.feature_scale[:, None, None]
        places = coordinates(latents)
        waves = torch.cat(
            [places]
            + [f(places * (math.pi * rate)) for rate in (1.0, 2.0) for f in (torch.sin, torch.cos)],
            1,
        )
        x = self.take(latents) + self.condition(torch.cat([scaled.clamp(-5, 5), waves], 1))
        for block in self.down:
            x = block(x, embedding)
        deep = self.shrink(x)
        for index, attention in enumerate(self.mix):
            for block in self.deep[2 * index : 2 * index + 2]:
                deep = block(deep, embedding)
            deep = attention(deep)
        lifted = F.interpolate(
            self.grow(deep), scale_factor=2.0, mode="bilinear", align_corners=False
        )
        x = x + lifted
        for block in self.up:
            x = block(x, embedding)
        return self.out(x).float()

    def clean(self, latents: Tensor, noise_level: Tensor, features: Tensor) -> Tensor:
        """The clean latents (B,34,h,w) that the network sees behind the noise."""
        level = noise_level[:, None, None, None]
        size = ((1 - level).square() + level.square()).sqrt()
        answer = self.core(latents / size, noise_level, features)
        return (1 - level) / size.square() * latents + level / size * answer

    def forward(self, latents: Tensor, noise_level: Tensor, features: Tensor) -> Tensor:
        level = noise_level[:, None, None, None].clamp_min(1e-4)
        # (latents - clean) / level, written out so that a small level does not divide by itself.
        size2 = (1 - level).square() + level.square()
        answer = self.core(latents / size2.sqrt(), noise_level, features)
        return (2 * level - 1) / size2 * latents - answer / size2.sqrt()


def noise_levels(steps: int, shift: float = 6.0) -> list[float]:
    """Noise levels 1 .. 0, `steps` + 1 of them; shift > 1 spends more of them near noise (SD3)."""
    even = [1 - index / steps for index in range(steps + 1)]
    return [shift * level / (1 + (shift - 1) * level) for level in even]


@torch.no_grad()
def sample_latents(
    denoiser: EmberDenoiser, features: Tensor, *, seed: int, steps: int = 10, shift: float = 6.0
) -> Tensor:
    """Latents (B,34,h,w) drawn by Euler steps from noise of a seed; features (B,127,h,w)."""
    random = torch.Generator().manual_seed(seed)
    batch, _, height, width = features.shape
    latents = torch.randn(batch, LATENTS, height, width, generator=random)
    levels = noise_levels(steps, shift)
    for now, then in pairwise(levels):
        velocity = denoiser(latents, torch.full((batch,), now), features)
        latents = latents + (then - now) * velocity
    return latents
