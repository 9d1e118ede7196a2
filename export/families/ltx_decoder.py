"""LTX's VAE decoder: its recipe, and what decoding it in windows and tiles must know of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from ..recipe import PartRecipe

if TYPE_CHECKING:
    import torch

COPIES, PICTURES = 7, 3
"""Arrays of a decoder's widest stage, and of its pictures, that are there at once: a block's input,
its hidden values before and after each step, the convolution's own room. Measured with ONNX Runtime
on the CPU: 11 and less of both, where the widest stage is two thirds of the pictures' size."""


def decoder_recipe(config: Mapping[str, Any]) -> PartRecipe:
    """The component "vae_decoder"; its inputs depend on the VAE's kind, see `VaeDecoder`."""
    channels = int(config.get("latent_channels") or 128)
    colours = int(config.get("out_channels") or 3)
    told = bool(config.get("timestep_conditioning"))
    maps = sum(count * scale_up**2 for scale_up, count in _noise_maps(config))

    def build() -> torch.nn.Module:
        from diffusers import AutoencoderKLLTXVideo

        from .ltx_networks import VaeDecoder

        return VaeDecoder(AutoencoderKLLTXVideo.from_config(dict(config)))

    def examples(seed: int, frames: int, rows: int, columns: int) -> Mapping[str, torch.Tensor]:
        import torch

        made = torch.Generator().manual_seed(seed)
        inputs = {"latents": torch.randn(1, channels, frames, rows, columns, generator=made)}
        if told:
            inputs["timestep"] = torch.tensor([0.05 + 0.1 * seed])
        if maps:
            inputs["maps"] = torch.randn(1, maps, rows, columns, generator=made)
        return inputs

    from .ltx_networks import noise_weight_name

    free: dict[str, Mapping[int, str]] = {"latents": {2: "frames", 3: "rows", 4: "columns"}}
    if maps:
        free["maps"] = {2: "rows", 3: "columns"}
    return PartRecipe(
        name="vae_decoder",
        part="vae",
        build=build,
        examples=lambda: examples(0, 3, 4, 5),
        other_examples=lambda: examples(1, 2, 6, 3),
        outputs={"frames": (1, colours, "pictures", "height", "width")},
        free=free,
        plain_inputs=("timestep",),
        weight_name=lambda name: noise_weight_name("decoder." + name.split(".", 1)[1]),
    )


def decode_section(config: Mapping[str, Any]) -> dict[str, Any]:
    """What the runtime must know to decode in pieces: how far the decoder looks, what it costs.

    timestep: whether it is told how noisy its latents are. noise_maps: [cells to a latent each way,
    how many] of the noise it adds itself, in the order of drawing. reach_frames, reach_cells: how
    many latents away something can change a frame. cell_bytes: memory a latent takes at the peak.
    """
    decoder = _shapes(_frozen(config))
    time, space = 1.0, 1.0  # conv_in looks one latent far
    frames, cells, widest = 1, 1, 0

    def two_convolutions() -> None:
        nonlocal time, space
        time, space = time + 2 / frames, space + 2 / cells

    for _ in decoder.mid_block.resnets:
        two_convolutions()
    for stage in decoder.up_blocks:
        if stage.conv_in is not None:
            two_convolutions()
        for upsampler in stage.upsamplers or ():
            time, space = time + 1 / frames, space + 1 / cells
            frames, cells = frames * upsampler.stride[0], cells * upsampler.stride[1]
            conv = upsampler.conv.conv.out_channels // math.prod(upsampler.stride)
            widest = max(widest, conv * frames * cells**2)
        for block in stage.resnets:
            two_convolutions()
            width = block.conv2.conv.out_channels
            widest = max(widest, width * frames * cells**2)
    time, space = time + 1 / frames, space + 1 / cells  # conv_out
    causal = bool(config.get("decoder_causal"))
    pictures = decoder.conv_out.conv.out_channels * frames * cells**2
    return {
        "timestep": bool(config.get("timestep_conditioning")),
        "noise_maps": [list(entry) for entry in _noise_maps(config)],
        # One more: a frame at the edge of its latent reaches further than one in the middle.
        "reach_frames": math.ceil(time * (2 if causal else 1)) + 1,
        "reach_cells": math.ceil(space) + 1,
        "cell_bytes": 4 * (COPIES * widest + PICTURES * pictures),
    }


def _noise_maps(config: Mapping[str, Any]) -> list[tuple[int, int]]:
    """(cells to a latent each way, maps) for each run of blocks that add noise of their own."""
    from .ltx_networks import resnets

    runs: list[tuple[int, int]] = []
    for block, scale_up in resnets(_shapes(_frozen(config))):
        if block.per_channel_scale1 is None:
            continue
        if runs and runs[-1][0] == scale_up:
            runs[-1] = (scale_up, runs[-1][1] + 2)
        else:
            runs.append((scale_up, 2))
    return runs


def _frozen(config: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(
        (name, tuple(value) if isinstance(value, list) else value)
        for name, value in config.items()
        if not name.startswith("_") and not isinstance(value, dict)
    )


@cache
def _shapes(config: tuple[tuple[str, Any], ...]) -> Any:
    """The decoder, its parameters shapes alone."""
    import torch
    from diffusers import AutoencoderKLLTXVideo

    with torch.device("meta"):
        return AutoencoderKLLTXVideo.from_config(dict(config)).decoder
