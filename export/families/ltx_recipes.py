"""The recipes of LTX's text encoder, picture encoder and denoiser; the decoder has its own file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..recipe import PartRecipe

if TYPE_CHECKING:
    import torch

RESIDUAL = (
    "it scales what each block adds: in float32 it carries the residual stream in float32 too, for"
    " LTX was trained in bfloat16, whose range is far wider than float16's"
)


def text_encoder(config: Mapping[str, Any]) -> PartRecipe:
    """T5, from its configuration."""
    vocabulary = int(field(config, "vocab_size", 32128))

    def build() -> torch.nn.Module:
        from transformers import T5Config, T5EncoderModel

        from .ltx_networks import TextEncoder

        return TextEncoder(T5EncoderModel(T5Config.from_dict(dict(config))))

    def examples(seed: int, length: int) -> Mapping[str, torch.Tensor]:
        import torch

        mask = torch.ones(1, length, dtype=torch.int64)
        mask[:, length - 3 :] = 0
        made = torch.Generator().manual_seed(seed)
        ids = torch.randint(0, vocabulary, (1, length), generator=made)
        return {"input_ids": ids, "attention_mask": mask}

    return PartRecipe(
        name="text_encoder",
        part="text_encoder",
        build=build,
        examples=lambda: examples(0, 16),
        other_examples=lambda: examples(1, 23),
        outputs={"embeddings": (1, "length", int(field(config, "d_model", 4096)))},
        free={"input_ids": {1: "length"}, "attention_mask": {1: "length"}},
    )


def vae_encoder(config: Mapping[str, Any]) -> PartRecipe:
    """The VAE's encoder for one picture, from the VAE's configuration."""
    spatial, _ = factors(config)
    channels = int(field(config, "in_channels", 3))

    def build() -> torch.nn.Module:
        from diffusers import AutoencoderKLLTXVideo

        from .ltx_networks import VaeEncoder

        return VaeEncoder(AutoencoderKLLTXVideo.from_config(dict(config)))

    def examples(seed: int, rows: int, columns: int) -> Mapping[str, torch.Tensor]:
        return {"image": _random(seed, 1, channels, 1, rows * spatial, columns * spatial)}

    latent = 2 * int(field(config, "latent_channels", 128))
    return PartRecipe(
        name="vae_encoder",
        part="vae",
        build=build,
        examples=lambda: examples(0, 3, 4),
        other_examples=lambda: examples(1, 5, 2),
        outputs={"moments": (1, latent, 1, "rows", "columns")},
        free={"image": {3: "height", 4: "width"}},
        weight_name=lambda name: "encoder." + name.split(".", 1)[1],
    )


def denoiser(config: Mapping[str, Any]) -> PartRecipe:
    """The transformer, from its configuration."""
    channels = int(field(config, "in_channels", 128))
    out = int(field(config, "out_channels", channels))
    caption = int(field(config, "caption_channels", 4096))

    def build() -> torch.nn.Module:
        from diffusers import LTXVideoTransformer3DModel

        from .ltx_networks import Denoiser

        return Denoiser(LTXVideoTransformer3DModel.from_config(dict(config)))

    def examples(seed: int, tokens: int, length: int) -> Mapping[str, torch.Tensor]:
        import torch

        mask = torch.ones(1, length, dtype=torch.int64)
        mask[:, length - 2 :] = 0
        spread = torch.tensor([2.0, 500.0, 700.0])[None, :, None]
        timestep = 1000.0 * _random(seed + 2, 1, tokens).sigmoid()
        timestep[:, :4] = 0.0
        return {
            "latents": _random(seed, 1, tokens, channels),
            "text": _random(seed + 1, 1, length, caption),
            "text_mask": mask,
            "timestep": timestep,
            "coords": _random(seed + 3, 1, 3, tokens).abs() * spread,
        }

    tokens, length = {1: "tokens"}, {1: "length"}
    return PartRecipe(
        name="denoiser",
        part="transformer",
        build=build,
        examples=lambda: examples(0, 24, 16),
        other_examples=lambda: examples(1, 35, 9),
        outputs={"velocity": (1, "tokens", out)},
        free={
            "latents": tokens,
            "text": length,
            "text_mask": length,
            "timestep": tokens,
            "coords": {2: "tokens"},
        },
        plain_inputs=("timestep", "coords"),
        keep_fp32={"scale_shift_table": RESIDUAL},
    )


def factors(vae: Mapping[str, Any]) -> tuple[int, int]:
    """Pixels and frames that a latent stands for, as AutoencoderKLLTXVideo has them."""
    halvings = sum(field(vae, "spatio_temporal_scaling", (True, True, True, False)))
    spatial = field(vae, "spatial_compression_ratio", field(vae, "patch_size", 4) * 2**halvings)
    temporal = field(vae, "temporal_compression_ratio", field(vae, "patch_size_t", 1) * 2**halvings)
    return int(spatial), int(temporal)


def field(config: Mapping[str, Any], name: str, default: Any) -> Any:
    """A field of a configuration; what the class takes for one that is absent or null."""
    value = config.get(name)
    return default if value is None else value


def _random(seed: int, *shape: int) -> torch.Tensor:
    import torch

    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
