"""What is traced of a Wan 2.2 TI2V checkpoint: its networks, each in the form the runtime calls.

The weights are diffusers' own modules; what is written here is the way through them. Three things
differ from the reference in form and in nothing else. The denoiser works on tokens, so that frames,
height and width are one free size, and embeds each noise level once instead of once a token. The
picture's encoder is one frame, all that TI2V encodes. The decoder is one latent frame with its
causal caches as inputs and outputs, so that decoding streams in flat memory.

Follows diffusers' WanTransformer3DModel, AutoencoderKLWan and WanImageToVideoPipeline.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from types import MethodType
from typing import Any

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from diffusers.models.autoencoders.autoencoder_kl_wan import (
    WanCausalConv3d,
    patchify,
    unpatchify,
)
from torch import Tensor, nn
from torch.nn import functional

MEMORY = 2
"""Frames that a causal convolution of three looks back."""


class TextEncoder(nn.Module):
    """umT5: ids and mask, int64 (1, L), to embeddings (1, L, C)."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.model(input_ids, attention_mask=attention_mask, return_dict=False)[0]


class Denoiser(nn.Module):
    """The transformer on tokens: (1, N, channels x patch) in, velocity of the same shape out.

    timesteps (2,) are the levels there are, token_level (N,) which of them each token has;
    rotary_cos and rotary_sin (1, N, 1, head size / 2) say where each token lies.
    """

    def __init__(self, model: WanTransformer3DModel) -> None:
        super().__init__()
        self.model = model
        for block in model.blocks:
            block.attn1.set_processor(_Attention())
            block.attn2.set_processor(_Attention())
        patches = model.patch_embedding
        patches.forward = MethodType(_embed_tokens, patches)

    def forward(
        self,
        latents: Tensor,
        timesteps: Tensor,
        token_level: Tensor,
        text: Tensor,
        rotary_cos: Tensor,
        rotary_sin: Tensor,
    ) -> Tensor:
        model, dtype = self.model, latents.dtype
        embed = model.condition_embedder
        level = embed.time_embedder(embed.timesteps_proj(timesteps)).to(text.dtype)  # (2, C)
        shifts = embed.time_proj(embed.act_fn(level)).unflatten(1, (6, -1)).float()  # (2, 6, C)
        text = embed.text_embedder(text)
        hidden = model.patch_embedding(latents)
        for block in model.blocks:
            hidden = _block(block, hidden, text, shifts, token_level, (rotary_cos, rotary_sin))
        table = model.scale_shift_table + level.unsqueeze(1)  # (2, 2, C)
        shift, scale = (table[:, i].index_select(0, token_level).unsqueeze(0) for i in range(2))
        hidden = (model.norm_out(hidden.float()) * (1 + scale) + shift).to(dtype)
        out = model.proj_out(hidden)
        # The reference's last layer has the channels last, its first layer has them first.
        channels = model.config.out_channels or model.config.in_channels
        return out.unflatten(2, (-1, channels)).transpose(2, 3).flatten(2)


class PictureEncoder(nn.Module):
    """One picture (1, 3, H, W) in -1 .. 1 to the mean of its latents (1, C, 1, h, w).

    What comes before it is zero, so that each causal convolution needs its last tap in time alone:
    a third of the weights and of the work is left.
    """

    def __init__(self, vae: AutoencoderKLWan) -> None:
        super().__init__()
        self.vae = vae
        for module in vae.encoder.modules():
            if isinstance(module, WanCausalConv3d):
                module.forward = MethodType(_of_one_frame, module)

    def forward(self, image: Tensor) -> Tensor:
        vae = self.vae
        video = image.unsqueeze(2)
        if vae.config.patch_size is not None:
            video = patchify(video, vae.config.patch_size)
        # As the first chunk of a video: no caches yet, hence no temporal convolutions.
        caches: list[Any] = [None] * sum(1 for _ in vae.encoder.modules())
        moments = vae.quant_conv(vae.encoder(video, feat_cache=caches, feat_idx=[0]))
        return moments[:, : vae.config.z_dim]


def _of_one_frame(self: WanCausalConv3d, hidden: Tensor, cache_x: Tensor | None = None) -> Tensor:
    """WanCausalConv3d.forward for the first frame of a video, (1, C, 1, H, W)."""
    weight = self.weight if self.weight.shape[2] == 1 else self.weight[:, :, -1:]
    padded = functional.pad(hidden, (*self._padding[:4], 0, 0))
    return functional.conv3d(padded, weight, self.bias, (1, *self.stride[1:]))


class ChunkDecoder(nn.Module):
    """One latent frame (1, C, 1, h, w) and what came before, to its frames (1, 3, T, H, W).

    `first` (1,) is 1 for a video's first latent frame, else 0: the first one makes a single frame,
    the last of the T. The caches hold the last two frames before each causal convolution; zeros
    to begin with. Frames before the first are kept at zero all the way, which is what the reference
    pads with, so that one graph serves every chunk.
    """

    def __init__(self, vae: AutoencoderKLWan) -> None:
        super().__init__()
        self.vae = vae
        for conv in _remembering(vae.decoder):
            # What it saw before is put in front of its input here, so it pads height and width.
            conv.padding = (0, conv.kernel_size[1] // 2, conv.kernel_size[2] // 2)
            conv.forward = MethodType(nn.Conv3d.forward, conv)
        self.names = [f"cache_{i:02d}" for i in range(len(decoder_caches(vae)))]
        self.forward = self._named()

    def _named(self) -> Callable[..., tuple[Tensor, ...]]:
        """`decode` with its caches as arguments of their own, which torch.export asks for."""

        def forward(latents: Tensor, first: Tensor, **caches: Tensor) -> tuple[Tensor, ...]:
            return self.decode(latents, first, [caches[name] for name in self.names])

        forward.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [
                inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD)
                for name in ("latents", "first", *self.names)
            ]
        )
        return forward

    def decode(self, latents: Tensor, first: Tensor, caches: list[Tensor]) -> tuple[Tensor, ...]:
        """Return the frames, and each cache for the next chunk."""
        vae, decoder = self.vae, self.vae.decoder
        walk = _Walk(first > 0.5, iter(caches))
        x = walk.conv(decoder.conv_in, vae.post_quant_conv(latents))
        x = walk.residual(decoder.mid_block.resnets[0], x)
        for attention, resnet in zip(
            decoder.mid_block.attentions, decoder.mid_block.resnets[1:], strict=True
        ):
            x = walk.residual(resnet, attention(x) if attention is not None else x)
        for block in decoder.up_blocks:
            x = walk.up(block, x)
        x = walk.conv(decoder.conv_out, decoder.nonlinearity(decoder.norm_out(x)))
        if vae.config.patch_size is not None:
            x = unpatchify(x, vae.config.patch_size)
        return x, *walk.caches  # whoever blends tiles clips afterwards, as the reference does


def decoder_caches(vae: AutoencoderKLWan) -> list[tuple[int, int]]:
    """(channels, size in latent pixels) of each cache of a ChunkDecoder, in its order."""
    return [(conv.in_channels, scale) for conv, scale in _remembering(vae.decoder).items()]


def _remembering(decoder: nn.Module) -> dict[nn.Conv3d, int]:
    """The convolutions that look back in time, as they come, and each one's size."""
    scale = 1
    found = {decoder.conv_in: scale}
    for resnet in decoder.mid_block.resnets:
        found |= {resnet.conv1: scale, resnet.conv2: scale}
    for block in decoder.up_blocks:
        for resnet in block.resnets:
            found |= {resnet.conv1: scale, resnet.conv2: scale}
        sampler = _upsampler(block)
        if sampler is not None:
            if sampler.mode == "upsample3d":
                found[sampler.time_conv] = scale
            scale *= 2
    return found | {decoder.conv_out: scale}


class _Walk:
    """One pass through the decoder that reads each cache and leaves the next."""

    def __init__(self, first: Tensor, before: Iterator[Tensor]) -> None:
        self.first = first
        self.before = before
        self.caches: list[Tensor] = []

    def conv(self, conv: nn.Conv3d, x: Tensor) -> Tensor:
        """A causal convolution in time, over what it saw before."""
        frames = x.shape[2]
        if frames > 1:
            before_first = torch.arange(frames).view(-1, 1, 1) < frames - 1
            x = torch.where(self.first & before_first, torch.zeros_like(x), x)
        seen = torch.cat([next(self.before), x], 2)
        self.caches.append(seen[:, :, -MEMORY:])
        return conv(seen)

    def residual(self, block: nn.Module, x: Tensor) -> Tensor:
        shortcut = block.conv_shortcut(x)
        x = self.conv(block.conv1, block.nonlinearity(block.norm1(x)))
        x = self.conv(block.conv2, block.nonlinearity(block.norm2(x)))
        return x + shortcut

    def up(self, block: nn.Module, x: Tensor) -> Tensor:
        begin = x
        for resnet in block.resnets:
            x = self.residual(resnet, x)
        sampler = _upsampler(block)
        if sampler is None:
            return x
        if sampler.mode == "upsample3d":
            x = self.double(sampler.time_conv, x)
        frames = x.shape[2]
        x = sampler.resample(x.transpose(1, 2).flatten(0, 1))  # frames as a batch of pictures
        x = x.unflatten(0, (1, frames)).transpose(1, 2)
        shortcut = getattr(block, "avg_shortcut", None)
        # Left whole in the first chunk too, where all but the last frame are nothing anyway.
        return x if shortcut is None else x + _repeat(shortcut, begin)

    def double(self, conv: nn.Conv3d, x: Tensor) -> Tensor:
        """Two frames from each; the first chunk passes as it is and is not remembered."""
        seen = torch.cat([next(self.before), x], 2)
        remembered = seen[:, :, -MEMORY:]
        self.caches.append(torch.where(self.first, torch.zeros_like(remembered), remembered))
        pairs = conv(seen).unflatten(1, (2, -1))  # (1, 2, C, T, h, w)
        pairs = pairs.permute(0, 2, 3, 1, 4, 5).flatten(2, 3)
        twice = x.unsqueeze(3).expand(-1, -1, -1, 2, -1, -1).flatten(2, 3)
        return torch.where(self.first, twice, pairs)


def _upsampler(block: nn.Module) -> nn.Module | None:
    if hasattr(block, "upsampler"):
        return block.upsampler
    return block.upsamplers[0] if block.upsamplers is not None else None


def _repeat(shortcut: nn.Module, x: Tensor) -> Tensor:
    """Each channel repeated, then laid out in time and space."""
    time, space = shortcut.factor_t, shortcut.factor_s
    x = x.unsqueeze(2).expand(-1, -1, shortcut.repeats, -1, -1, -1).flatten(1, 2)
    x = x.unflatten(1, (shortcut.out_channels, time, space, space))
    x = x.permute(0, 1, 5, 2, 6, 3, 7, 4)  # channels, frames x time, height x space, width x space
    return x.flatten(6, 7).flatten(4, 5).flatten(2, 3)


def _block(
    block: nn.Module,
    hidden: Tensor,
    text: Tensor,
    shifts: Tensor,
    token_level: Tensor,
    rotary: tuple[Tensor, Tensor],
) -> Tensor:
    """One transformer block; the normalisations and the gates are in float32."""
    dtype = hidden.dtype
    table = block.scale_shift_table + shifts  # (2, 6, C)
    shift, scale, gate, forward_shift, forward_scale, forward_gate = (
        table[:, i].index_select(0, token_level).unsqueeze(0) for i in range(6)
    )
    normed = (block.norm1(hidden.float()) * (1 + scale) + shift).to(dtype)
    hidden = (hidden.float() + block.attn1(normed, None, None, rotary) * gate).to(dtype)
    normed = block.norm2(hidden.float()).to(dtype)
    hidden = hidden + block.attn2(normed, text, None, None)
    normed = (block.norm3(hidden.float()) * (1 + forward_scale) + forward_shift).to(dtype)
    return (hidden.float() + block.ffn(normed).float() * forward_gate).to(dtype)


def _embed_tokens(patches: nn.Conv3d, tokens: Tensor) -> Tensor:
    """The convolution over patches, for patches that lie apart already."""
    return functional.linear(tokens, patches.weight.flatten(1), patches.bias)


class _Attention:
    """Attention with the rotation as arithmetic on pairs, which exports without scattering."""

    def __call__(
        self,
        attention: nn.Module,
        hidden: Tensor,
        context: Tensor | None = None,
        mask: Tensor | None = None,
        rotary: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        context = hidden if context is None else context
        query = attention.norm_q(attention.to_q(hidden)).unflatten(2, (attention.heads, -1))
        key = attention.norm_k(attention.to_k(context)).unflatten(2, (attention.heads, -1))
        value = attention.to_v(context).unflatten(2, (attention.heads, -1))
        if rotary is not None:
            query, key = _rotate(query, *rotary), _rotate(key, *rotary)
        mixed = functional.scaled_dot_product_attention(
            query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
        )
        return attention.to_out[0](mixed.transpose(1, 2).flatten(2))


def _rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """(1, N, heads, D) with each neighbouring pair turned by its token's angle."""
    even, odd = x.unflatten(3, (-1, 2)).unbind(-1)
    turned = torch.stack([even * cosine - odd * sine, even * sine + odd * cosine], -1)
    return turned.flatten(3).to(x.dtype)
