"""The small building blocks that ember's two networks share."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def coordinates(like: Tensor) -> Tensor:
    """Places (B,2,h,w), x then y, in shorter sides from the middle, for a tensor (B,C,h,w)."""
    rows = torch.ones_like(like[:, :1]).cumsum(2)
    columns = torch.ones_like(like[:, :1]).cumsum(3)
    height = rows[:, :, -1:, -1:]
    width = columns[:, :, -1:, -1:]
    shorter = torch.minimum(height, width)
    return torch.cat(
        [(columns - (width + 1) / 2) / shorter, (rows - (height + 1) / 2) / shorter], 1
    )


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of each place of a map (B,C,h,w)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Block(nn.Module):
    """Depthwise 5x5, then two pointwise layers, added to the input (after ConvNeXt, Liu 2022).

    `embedding` > 0 adds a shift and a scale from a vector of that size, such as the noise level.
    """

    def __init__(self, channels: int, *, embedding: int = 0, expand: int = 2) -> None:
        super().__init__()
        self.spread = nn.Conv2d(channels, channels, 5, padding=2, groups=channels)
        self.norm = ChannelNorm(channels) if embedding else nn.BatchNorm2d(channels)
        self.rise = nn.Conv2d(channels, channels * expand, 1)
        self.fall = nn.Conv2d(channels * expand, channels, 1)
        self.modulate = nn.Linear(embedding, 2 * channels) if embedding else None
        nn.init.zeros_(self.fall.weight)
        nn.init.zeros_(self.fall.bias)

    def forward(self, x: Tensor, embedding: Tensor | None = None) -> Tensor:
        y = self.norm(self.spread(x))
        if self.modulate is not None and embedding is not None:
            scale, shift = self.modulate(embedding)[:, :, None, None].chunk(2, 1)
            y = y * (1 + scale) + shift
        return x + self.fall(nn.functional.silu(self.rise(y)))


class Attention(nn.Module):
    """Self-attention over all places of a map (B,C,h,w), added to the input."""

    def __init__(self, channels: int, *, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(channels)
        self.project = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        tokens = x.flatten(2).transpose(1, 2)
        joint = self.project(self.norm(tokens))
        parts = joint.view(batch, -1, 3, self.heads, channels // self.heads).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(parts[0], parts[1], parts[2])
        tokens = self.out(mixed.transpose(1, 2).reshape(batch, -1, channels))
        return x + tokens.transpose(1, 2).reshape(batch, channels, height, width)
