"""LTX's original layout: its tensor names and block lists, told in diffusers' words.

Sizes are read from the tensors' own shapes, so that any number of blocks, layers and channels will
do; what no shape tells (heads, residual upsampling, causality) comes from the file's metadata, or
is as in the published 2B checkpoints 0.9.0 to 0.9.8. Names follow `convert_ltx_*_to_diffusers` in
diffusers (Apache-2.0).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..engines.errors import BundleError

Shapes = Mapping[str, tuple[int, ...]]
"""Tensor name -> shape."""

_PUBLISHED_WIDTHS = (2048, 4096)  # of the 2B and 13B transformers, both with 32 heads
_TRANSFORMER_WORDS = {
    "patchify_proj": "proj_in",
    "adaln_single": "time_embed",
    "q_norm": "norm_q",
    "k_norm": "norm_k",
}
_VAE_WORDS = {
    "res_blocks": "resnets",
    "norm3.norm": "norm3",
    "conv_shortcut": "conv_shortcut.conv",
    "last_time_embedder": "time_embedder",
    "last_scale_shift_table": "scale_shift_table",
}
_STATISTICS = {
    "per_channel_statistics.mean-of-means": "latents_mean",
    "per_channel_statistics.std-of-means": "latents_std",
}
_SHUFFLES = {4: "spatial", 2: "temporal", 8: "spatiotemporal"}


@dataclass(frozen=True)
class Block:
    """One entry of the original's list of blocks."""

    at: str
    """Its name: "encoder.down_blocks.3."."""
    kind: str
    """"layers", "channels" (one layer that changes their number), "strided" or "shuffle"."""
    layers: int
    inward: int
    """Channels that its first convolution takes."""
    outward: int
    """Channels that it gives."""


@dataclass(frozen=True)
class Group:
    """Blocks that make one block in diffusers."""

    layers: Block
    scale: Block | None = None
    channels: Block | None = None


def transformer_name(name: str) -> str:
    """Return the name that diffusers gives a tensor of the transformer."""
    for word, other in _TRANSFORMER_WORDS.items():
        name = name.replace(word, other)
    return name


def transformer_config(shapes: Shapes, told: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration of LTXVideoTransformer3DModel.

    `shapes` has diffusers' names; `told` is what the metadata says of the transformer, may be {}.

    Raises:
        BundleError: a tensor is missing, or nothing tells the number of heads.
    """
    width, channels = _shape(shapes, "proj_in.weight")
    heads = told.get("num_attention_heads") or (32 if width in _PUBLISHED_WIDTHS else 0)
    if not heads or width % heads:
        raise BundleError(
            f"nothing tells how many heads a transformer of width {width} has: "
            "give the checkpoint as a diffusers folder"
        )
    return {
        "_class_name": "LTXVideoTransformer3DModel",
        "in_channels": channels,
        "out_channels": _shape(shapes, "proj_out.weight")[0],
        "patch_size": told.get("patch_size", 1),
        "patch_size_t": told.get("patch_size_t", 1),
        "num_attention_heads": heads,
        "attention_head_dim": width // heads,
        "cross_attention_dim": _shape(shapes, "transformer_blocks.0.attn2.to_k.weight")[1],
        "num_layers": _count(shapes, "transformer_blocks."),
        "activation_fn": told.get("activation_fn", "gelu-approximate"),
        "qk_norm": "rms_norm_across_heads",
        "norm_elementwise_affine": told.get("norm_elementwise_affine", False),
        "norm_eps": told.get("norm_eps", 1e-6),
        "caption_channels": _shape(shapes, "caption_projection.linear_1.weight")[1],
        "attention_bias": "transformer_blocks.0.attn1.to_q.bias" in shapes,
        "attention_out_bias": "transformer_blocks.0.attn1.to_out.0.bias" in shapes,
    }


def vae_layout(shapes: Shapes, told: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, Any]]:
    """Return (diffusers' name -> original name, configuration of AutoencoderKLLTXVideo).

    `told` is what the metadata says of the VAE, may be {}.

    Raises:
        BundleError: a tensor is missing, or the blocks have an order that diffusers cannot have.
    """
    if told.get("norm_layer", "pixel_norm") != "pixel_norm" or told.get("use_quant_conv", False):
        raise _unknown("its normalisation or quantising layers")
    encoder = _blocks(shapes, "encoder.down_blocks.")
    decoder = _blocks(shapes, "decoder.up_blocks.")
    down, middle = _encoder_groups(encoder)
    first, up = _decoder_groups(decoder)
    places = _places(down, "encoder.down_blocks", "downsamplers.0", "conv_out")
    places |= _places(up, "decoder.up_blocks", "upsamplers.0", "conv_in")
    places |= {middle.at: "encoder.mid_block.", first.at: "decoder.mid_block."}
    names = {}
    for name in shapes:
        if name in _STATISTICS:
            names[_STATISTICS[name]] = name
        elif not name.startswith("per_channel_statistics."):
            names[_vae_name(name, places)] = name
    colours = int(told.get("in_channels", 3))
    patch = math.isqrt(_shape(shapes, "encoder.conv_in.conv.weight")[1] // colours)
    config = {
        "_class_name": "AutoencoderKLLTXVideo",
        "in_channels": colours,
        "out_channels": _shape(shapes, "decoder.conv_out.conv.weight")[0] // patch**2,
        "latent_channels": _shape(shapes, "decoder.conv_in.conv.weight")[1],
        **_encoder_config(down, middle, patch),
        **_decoder_config(shapes, first, up, told),
        "timestep_conditioning": any(name.startswith("decoder.last_time_emb") for name in shapes),
        "patch_size": patch,
        "patch_size_t": 1,
        "resnet_norm_eps": 1e-6,
        "scaling_factor": told.get("scaling_factor", 1.0),
        "encoder_causal": bool(told.get("encoder_causal", True)),
        "decoder_causal": bool(told.get("causal_decoder", told.get("decoder_causal", False))),
    }
    return names, config


def _encoder_config(down: Sequence[Group], middle: Block, patch: int) -> dict[str, Any]:
    """Return the encoder's half of the configuration."""
    channels = [group.layers.outward for group in down]
    following = [*channels[1:], middle.outward]
    shuffled = any(group.scale and group.scale.kind == "shuffle" for group in down)
    types = []
    for group, after in zip(down, following, strict=True):
        if group.scale is not None and (group.scale.kind == "shuffle") != shuffled:
            raise _unknown("an encoder that mixes two ways of scaling")
        if shuffled and group.channels is not None:
            raise _unknown(f"a change of channels at {group.channels.at[:-1]}")
        factor = after // group.scale.outward if group.scale and shuffled else 0
        if factor and factor not in _SHUFFLES:
            raise _unknown(f"scaling by {factor} at {group.scale.at[:-1]}" if group.scale else "")
        types.append(_SHUFFLES[factor] if factor else "conv")
    scaling = [group.scale is not None for group in down]
    both = [kind for kind, scaled in zip(types, scaling, strict=True) if scaled]
    return {
        "block_out_channels": [*channels, middle.outward] if shuffled else channels,
        "down_block_types": [f"LTXVideo{'095' if shuffled else ''}DownBlock3D"] * len(down),
        "layers_per_block": [*(group.layers.layers for group in down), middle.layers],
        "spatio_temporal_scaling": scaling,
        "downsample_type": types,
        "spatial_compression_ratio": patch * 2 ** sum(kind != "temporal" for kind in both),
        "temporal_compression_ratio": 2 ** sum(kind != "spatial" for kind in both),
    }


def _decoder_config(shapes: Shapes, first: Block, up: Sequence[Group], told: Any) -> dict[str, Any]:
    """Return the decoder's half of the configuration, whose lists run from pixels to latents."""
    factors, widths, before = [], [], first.outward
    for group in up:
        scale = group.scale
        factors.append(8 * scale.inward // scale.outward if scale else 1)
        widths.append(group.layers.outward * factors[-1])
        changes = before // factors[-1] != group.layers.outward
        if changes != (group.channels is not None) or (scale and scale.inward != widths[-1]):
            raise _unknown(f"the channels around {group.layers.at[:-1]}")
        before = group.layers.outward
    if widths and widths[0] != first.outward:
        raise _unknown(f"the channels around {first.at[:-1]}")
    residual = _residual(up, [factor > 1 for factor in factors], told)
    noisy = [f"{block.at}res_blocks.0.per_channel_scale1" in shapes for block in
             (first, *(group.layers for group in up))]  # fmt: skip
    return {
        "decoder_block_out_channels": widths[::-1],
        "decoder_layers_per_block": [first.layers, *(g.layers.layers for g in up)][::-1],
        "decoder_spatio_temporal_scaling": [group.scale is not None for group in up][::-1],
        "decoder_inject_noise": noisy[::-1],
        "upsample_residual": residual[::-1],
        "upsample_factor": factors[::-1],
    }


def _residual(up: Sequence[Group], published: list[bool], told: Mapping[str, Any]) -> list[bool]:
    """Return which up blocks add their input, from the metadata or as in published checkpoints."""
    stated = told.get("upsample_residual")  # in diffusers' words, from pixels to latents
    if isinstance(stated, list) and len(stated) == len(up):
        return [bool(value) for value in stated[::-1]]
    blocks = told.get("decoder_blocks")  # in the original's, from pixels to latents too
    if not isinstance(blocks, list):
        return published
    residual = list(published)
    for i, group in enumerate(up):
        number = int(group.scale.at.split(".")[-2]) if group.scale else len(blocks)
        if number < len(blocks):
            entry = blocks[-1 - number]
            fields = entry[1] if isinstance(entry, list) and len(entry) == 2 else None
            residual[i] = isinstance(fields, dict) and bool(fields.get("residual", False))
    return residual


def _blocks(shapes: Shapes, at: str) -> list[Block]:
    """Return the blocks below a name, in their order."""
    blocks = []
    for i in range(_count(shapes, at)):
        here = f"{at}{i}."
        if (layers := _count(shapes, f"{here}res_blocks.")) > 0:
            kind, conv = "layers", "res_blocks.0.conv1.conv"
        elif f"{here}conv1.conv.weight" in shapes:
            kind, conv, layers = "channels", "conv1.conv", 1
        elif f"{here}conv.conv.weight" in shapes:
            kind, conv, layers = "shuffle", "conv.conv", 1
        else:
            kind, conv, layers = "strided", "conv", 1
        outward, inward = _shape(shapes, f"{here}{conv}.weight")[:2]
        blocks.append(Block(here, kind, layers, inward, outward))
    return blocks


def _encoder_groups(blocks: Sequence[Block]) -> tuple[list[Group], Block]:
    """Return the down blocks and the layers after them."""
    groups: list[Group] = []
    for block in blocks:
        if block.kind == "layers":
            groups.append(Group(block))
        elif not groups or groups[-1].channels is not None:
            raise _unknown(f"the order of blocks at {block.at[:-1]}")
        elif block.kind == "channels":
            groups[-1] = Group(groups[-1].layers, groups[-1].scale, block)
        elif groups[-1].scale is not None:
            raise _unknown(f"the order of blocks at {block.at[:-1]}")
        else:
            groups[-1] = Group(groups[-1].layers, block)
    if len(groups) < 2 or groups[-1].scale or groups[-1].channels:
        raise _unknown("the encoder's end")
    return groups[:-1], groups[-1].layers


def _decoder_groups(blocks: Sequence[Block]) -> tuple[Block, list[Group]]:
    """Return the first layers and the up blocks after them."""
    if len(blocks) < 2 or blocks[0].kind != "layers" or blocks[-1].kind != "layers":
        raise _unknown("the decoder's beginning or end")
    groups: list[Group] = []
    waiting: dict[str, Block] = {}
    for block in blocks[1:]:
        if block.kind == "layers":
            groups.append(Group(block, **waiting))
            waiting = {}
            continue
        role = "channels" if block.kind == "channels" else "scale"
        if role in waiting or "scale" in waiting or block.kind == "strided":
            raise _unknown(f"the order of blocks at {block.at[:-1]}")
        waiting[role] = block
    return blocks[0], groups


def _places(groups: Sequence[Group], at: str, scale: str, channels: str) -> dict[str, str]:
    """Return original name of a block -> its name in diffusers."""
    places = {}
    for i, group in enumerate(groups):
        places[group.layers.at] = f"{at}.{i}."
        if group.scale is not None:
            places[group.scale.at] = f"{at}.{i}.{scale}."
        if group.channels is not None:
            places[group.channels.at] = f"{at}.{i}.{channels}."
    return places


def _vae_name(name: str, places: Mapping[str, str]) -> str:
    """Return the name that diffusers gives a tensor of the VAE."""
    match = re.match(r"(?:encoder\.down|decoder\.up)_blocks\.\d+\.", name)
    if match:
        name = places[match[0]] + name[match.end() :]
    for word, other in _VAE_WORDS.items():
        name = name.replace(word, other)
    return name


def _count(shapes: Shapes, at: str) -> int:
    """Return one more than the highest number that follows `at` in a name."""
    numbers = (re.match(r"\d+(?=\.)", name[len(at) :]) for name in shapes if name.startswith(at))
    return max((int(number[0]) + 1 for number in numbers if number), default=0)


def _shape(shapes: Shapes, name: str) -> tuple[int, ...]:
    if len(shapes.get(name, ())) < 2:
        raise BundleError(f"tensor {name!r} is missing: get the checkpoint again")
    return shapes[name]


def _unknown(what: str) -> BundleError:
    return BundleError(
        f"the VAE's layout is not one of LTX-Video 0.9.0 to 0.9.8 ({what}): "
        "give the checkpoint as a diffusers folder"
    )
