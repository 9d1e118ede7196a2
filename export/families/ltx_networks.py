"""What is traced of an LTX checkpoint: its networks, each in the form the runtime calls, batch 1.

The weights and the arithmetic are diffusers' and transformers' own modules. Two things differ in
form and in nothing else: the denoiser is told where its tokens lie, so that frames, height and
width are one free size, and what the older decoder would draw inside itself comes in as an input.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

from diffusers.models.autoencoders.autoencoder_kl_ltx import LTXVideoCausalConv3d
from torch import Tensor, nn


class TextEncoder(nn.Module):
    """T5: ids and mask, int64 (1, L), to embeddings (1, L, C)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.network(input_ids, attention_mask=attention_mask, return_dict=False)[0]


class VaeEncoder(nn.Module):
    """A picture (1, 3, 1, H, W) in -1..1 to mean and log variance (1, 2 C, 1, h, w).

    The frames before the first are copies of it, so that each convolution sees one frame over and
    over: its taps in time are added up, and a third of the weights and of the work is left.
    """

    def __init__(self, vae: Any) -> None:
        super().__init__()
        self.network = vae.encoder
        for module in self.network.modules():
            if isinstance(module, LTXVideoCausalConv3d) and module.is_causal:
                module.forward = MethodType(_of_one_frame, module)

    def forward(self, image: Tensor) -> Tensor:
        return self.network(image)


def _of_one_frame(self: LTXVideoCausalConv3d, hidden: Tensor) -> Tensor:
    """LTXVideoCausalConv3d.forward where all frames (1, C, F, H, W) are the same."""
    convolution = self.conv
    weight = convolution.weight
    if weight.shape[2] > 1:
        weight = weight.sum(2, keepdim=True)
    frames = (hidden.shape[2] - 1) // convolution.stride[0] + 1
    found = convolution._conv_forward(hidden[:, :, :1], weight, convolution.bias)
    return found if frames == 1 else found.expand(-1, -1, frames, -1, -1)


class Denoiser(nn.Module):
    """The transformer: tokens (1, N, C) to their velocity.

    text (1, L, D) with text_mask int64 (1, L); timestep (1, N) in 0..1000; coords (1, 3, N): each
    token's time in seconds, row and column in pixels.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, latents: Tensor, text: Tensor, text_mask: Tensor, timestep: Tensor, coords: Tensor
    ) -> Tensor:
        return self.network(
            latents, text, timestep, text_mask, video_coords=coords, return_dict=False
        )[0]


class VaeDecoder(nn.Module):
    """Latents (1, C, F, h, w) to frames (1, 3, .., H, W) in -1..1.

    timestep (1,) where the decoder is told how noisy its latents are. maps (1, M, h, w) where it
    adds noise of its own: every map that the reference would draw, one after another, each of
    (h k, w k) folded to k^2 channels.
    """

    def __init__(self, vae: Any) -> None:
        super().__init__()
        self.network = vae.decoder
        self.noisy = take_out_noise(self.network)

    def forward(
        self, latents: Tensor, timestep: Tensor | None = None, maps: Tensor | None = None
    ) -> Tensor:
        if maps is not None:
            first = 0
            for layer in self.noisy:
                count = layer.scale_up**2
                layer.noise = _unfold(maps[:, first : first + count], layer.scale_up)
                first += count
        frames = self.network(latents, timestep)
        for layer in self.noisy:
            layer.noise = None
        return frames


class NoisyConvolution(nn.Module):
    """A convolution with one map of noise added to what it gives, each channel by its own scale."""

    def __init__(self, inner: nn.Module, scale: nn.Parameter, scale_up: int) -> None:
        super().__init__()
        self.inner = inner
        self.scale = scale
        self.scale_up = scale_up
        """Cells of the map to one of the latents, each way."""
        self.noise: Tensor | None = None

    def forward(self, hidden: Tensor) -> Tensor:
        assert self.noise is not None
        return self.inner(hidden) + (self.noise * self.scale)[None, :, None]


def take_out_noise(decoder: Any) -> list[NoisyConvolution]:
    """Make a decoder's own noise an input, in place; its layers in the order they would draw.

    Follows LTXVideoResnetBlock3d, which draws one map after each of its two convolutions.
    """
    layers: list[NoisyConvolution] = []
    for block, scale_up in resnets(decoder):
        for conv, scale in (("conv1", "per_channel_scale1"), ("conv2", "per_channel_scale2")):
            parameter = getattr(block, scale)
            if parameter is None:
                continue
            setattr(block, scale, None)
            layer = NoisyConvolution(getattr(block, conv), parameter, scale_up)
            setattr(block, conv, layer)
            layers.append(layer)
    return layers


def resnets(decoder: Any) -> list[tuple[Any, int]]:
    """The residual blocks of a decoder as they come, each with its cells to one of the latents."""
    found = [(block, 1) for block in decoder.mid_block.resnets]
    scale_up = 1
    for stage in decoder.up_blocks:
        if stage.conv_in is not None:
            found.append((stage.conv_in, scale_up))
        if stage.upsamplers is not None:
            scale_up *= stage.upsamplers[0].stride[1]
        found += [(block, scale_up) for block in stage.resnets]
    return found


def noise_weight_name(name: str) -> str:
    """The checkpoint's name of a decoder's parameter, its noise taken out or not."""
    for conv, scale in (("conv1", "per_channel_scale1"), ("conv2", "per_channel_scale2")):
        name = name.replace(f".{conv}.inner.", f".{conv}.").replace(f".{conv}.scale", f".{scale}")
    return name


def _unfold(maps: Tensor, scale_up: int) -> Tensor:
    """(1, k^2, h, w) to (1, h k, w k)."""
    rows, columns = maps.shape[2:]
    cells = maps.reshape(1, scale_up, scale_up, rows, columns).permute(0, 3, 1, 4, 2)
    return cells.reshape(1, rows * scale_up, columns * scale_up)
