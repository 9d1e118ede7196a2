"""The four networks of a Wan 2.2 TI2V checkpoint as recipes, from their configurations.

`config` is a part's configuration with every argument of its class in it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..recipe import PartRecipe

if TYPE_CHECKING:
    import torch
    from diffusers import AutoencoderKLWan

    from ..part import Part

_SCALE_SHIFT = "added to normalised activations, in float32 in the reference"


def denoiser(config: Mapping[str, Any]) -> PartRecipe:
    import torch

    channels = config["in_channels"] * math.prod(config["patch_size"])
    pairs = config["attention_head_dim"] // 2

    def build() -> torch.nn.Module:
        from diffusers import WanTransformer3DModel

        from .wan_networks import Denoiser

        return Denoiser(WanTransformer3DModel(**config))

    def examples(tokens: int = 12, words: int = 5) -> dict[str, torch.Tensor]:
        random = torch.Generator().manual_seed(tokens)
        angles = torch.rand(1, tokens, 1, pairs, generator=random) * 6
        return {
            "latents": torch.randn(1, tokens, channels, generator=random),
            "timesteps": torch.tensor([0.0, 700.0]),
            "token_level": (torch.arange(tokens) >= tokens // 3).long(),
            "text": torch.randn(1, words, config["text_dim"], generator=random),
            "rotary_cos": angles.cos(),
            "rotary_sin": angles.sin(),
        }

    return PartRecipe(
        name="denoiser",
        part="transformer",
        build=build,
        examples=examples,
        other_examples=lambda: examples(36, 9),
        outputs={"velocity": (1, "tokens", channels)},
        free={
            "latents": {1: "tokens"},
            "token_level": {0: "tokens"},
            "text": {1: "text_tokens"},
            "rotary_cos": {1: "tokens"},
            "rotary_sin": {1: "tokens"},
        },
        plain_inputs=("timesteps", "rotary_cos", "rotary_sin"),
        keep_fp32={
            "time_embedder": "timesteps up to 1000 lose their differences in half precision",
            "scale_shift_table": _SCALE_SHIFT,
            "norm2": "normalises in float32 in the reference",
        },
    )


def vae_without_values(config: Mapping[str, Any]) -> AutoencoderKLWan:
    """The VAE with shapes and no values, whatever torch's own mode."""
    import torch
    from diffusers import AutoencoderKLWan

    with torch.device("meta"):
        return AutoencoderKLWan(**config)


def vae_encoder(config: Mapping[str, Any]) -> PartRecipe:
    import torch

    multiple = config["scale_factor_spatial"]
    channels = config["in_channels"] // (config["patch_size"] or 1) ** 2

    def build() -> torch.nn.Module:
        from diffusers import AutoencoderKLWan

        from .wan_networks import PictureEncoder

        vae = AutoencoderKLWan(**config)
        vae.decoder = vae.post_quant_conv = torch.nn.Identity()
        return PictureEncoder(vae)

    def examples(height: int = 4, width: int = 6) -> dict[str, torch.Tensor]:
        random = torch.Generator().manual_seed(height)
        size = (1, channels, height * multiple, width * multiple)
        return {"image": torch.rand(size, generator=random) * 2 - 1}

    return PartRecipe(
        name="vae_encoder",
        part="vae",
        build=build,
        examples=examples,
        other_examples=lambda: examples(6, 4),
        outputs={"latents": (1, config["z_dim"], 1, "latent_height", "latent_width")},
        free={"image": {2: "height", 3: "width"}},
    )


def vae_decoder(config: Mapping[str, Any]) -> PartRecipe:
    import torch

    from .wan_networks import MEMORY, decoder_caches

    caches = decoder_caches(vae_without_values(config))
    names = [f"cache_{i:02d}" for i in range(len(caches))]
    patch = config["patch_size"] or 1
    frames = config["scale_factor_temporal"]

    def build() -> torch.nn.Module:
        from diffusers import AutoencoderKLWan

        from .wan_networks import ChunkDecoder

        vae = AutoencoderKLWan(**config)
        vae.encoder = vae.quant_conv = torch.nn.Identity()
        return ChunkDecoder(vae)

    def examples(height: int = 3, width: int = 5, first: float = 0.0) -> dict[str, torch.Tensor]:
        random = torch.Generator().manual_seed(height)
        return {
            "latents": torch.randn(1, config["z_dim"], 1, height, width, generator=random),
            "first": torch.tensor([first]),
        } | {
            name: torch.randn(1, channels, MEMORY, height * scale, width * scale, generator=random)
            for name, (channels, scale) in zip(names, caches, strict=True)
        }

    sizes = [(f"latent_height_x{scale}", f"latent_width_x{scale}") for _, scale in caches]
    return PartRecipe(
        name="vae_decoder",
        part="vae",
        build=build,
        examples=examples,
        other_examples=lambda: examples(4, 3, 1.0),
        outputs={
            "frames": (1, config["out_channels"] // patch**2, frames, "height", "width"),
        }
        | {
            f"next_{name}": (1, channels, MEMORY, *size)
            for name, (channels, _), size in zip(names, caches, sizes, strict=True)
        },
        free={"latents": {3: "latent_height_x1", 4: "latent_width_x1"}}
        | {name: {3: size[0], 4: size[1]} for name, size in zip(names, sizes, strict=True)},
    )


def text_encoder(part: Part) -> PartRecipe:
    import torch
    from transformers import UMT5Config

    config = UMT5Config.from_dict(dict(part.config))

    def build() -> torch.nn.Module:
        from transformers import UMT5EncoderModel

        from .wan_networks import TextEncoder

        return TextEncoder(UMT5EncoderModel(config))

    def examples(tokens: int = 8, words: int = 6) -> dict[str, torch.Tensor]:
        random = torch.Generator().manual_seed(tokens)
        ids = torch.randint(0, config.vocab_size, (1, tokens), generator=random)
        return {"input_ids": ids, "attention_mask": (torch.arange(tokens) < words).long()[None]}

    return PartRecipe(
        name="text_encoder",
        part="text_encoder",
        build=build,
        examples=examples,
        other_examples=lambda: examples(21, 13),
        outputs={"embeddings": (1, "text_tokens", config.d_model)},
        free={"input_ids": {1: "text_tokens"}, "attention_mask": {1: "text_tokens"}},
    )
