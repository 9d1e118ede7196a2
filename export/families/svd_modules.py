"""The networks of Stable Video Diffusion as they are traced: plain tensors in and out, batch 1."""

from __future__ import annotations

from typing import Any

import torch

NEVER_A_MULTIPLE = 30
"""Latents of 2 ** 30 rows do not exist."""


class ImageEncoder(torch.nn.Module):
    """CLIP's vision tower: a normalised image (1, 3, 224, 224) -> its embedding (1, D)."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.network(image).image_embeds


class VaeEncoder(torch.nn.Module):
    """An image (1, 3, H, W) in -1..1 -> the mean of its latents (1, C, H / factor, W / factor)."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        self.network.decoder = None
        _steady(network)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        moments = self.network.quant_conv(self.network.encoder(image))
        return moments[:, : moments.shape[1] // 2]


class Denoiser(torch.nn.Module):
    """The spatio-temporal UNet: latents (1, F, C, h, w), those of the photo among the channels.

    timestep (1,), embedding (1, 1, D), added_ids (1, 3): fps - 1, motion bucket, noise strength.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        _steady(network)
        # Each upsampling then takes its size from the layer it meets, for the sides that do not
        # halve evenly; for the others that is twice the size, as ever.
        self.network.num_upsamplers = NEVER_A_MULTIPLE
        for block in self.network.up_blocks:
            if block.upsamplers is not None:
                block.upsamplers = torch.nn.ModuleList(_Enlarge(u.conv) for u in block.upsamplers)

    def forward(
        self,
        latents: torch.Tensor,
        timestep: torch.Tensor,
        embedding: torch.Tensor,
        added_ids: torch.Tensor,
    ) -> torch.Tensor:
        return self.network(latents, timestep, embedding, added_ids, return_dict=False)[0]


class _GroupNorm(torch.nn.Module):
    """Group normalisation as normalisation of each group's own plane.

    ONNX spells a group norm as the mean of squares less the square of the mean, which loses what
    matters where a group varies little, and keeps several copies of what it normalises.
    """

    def __init__(self, norm: torch.nn.GroupNorm) -> None:
        super().__init__()
        self.groups, self.eps = norm.num_groups, norm.eps
        self.weight, self.bias = norm.weight, norm.bias

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        planes = values.float().reshape(values.shape[0], self.groups, -1)
        normal = torch.nn.functional.instance_norm(planes, eps=self.eps).to(values.dtype)
        normal = normal.reshape(values.shape)
        ones = (1,) * (values.ndim - 2)
        return normal * self.weight.view(-1, *ones) + self.bias.view(-1, *ones)


def _steady(network: torch.nn.Module) -> None:
    """Exchange a network's group norms; the names of the weights stay."""
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, torch.nn.GroupNorm):
                setattr(module, name, _GroupNorm(child))


class _Enlarge(torch.nn.Module):
    """Nearest neighbours up to a given size, and a convolution; its name is as it was."""

    def __init__(self, conv: torch.nn.Module) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, latents: torch.Tensor, size: Any) -> torch.Tensor:
        larger = torch.nn.functional.interpolate(latents, size=tuple(size), mode="nearest")
        return self.conv(larger)


class VaeDecoder(torch.nn.Module):
    """A chunk of F frames' latents (F, C, h, w) -> frames (F, 3, H, W) in about -1..1.

    The frames of a chunk see each other, so the chunk's length is part of the result.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        self.network.encoder = None
        self.network.quant_conv = None
        _steady(network)

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        frames = latents.shape[0]
        moving = torch.zeros((1, frames), dtype=latents.dtype, device=latents.device)
        return self.network.decoder(latents, image_only_indicator=moving, num_frames=frames)
