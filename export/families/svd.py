"""Stable Video Diffusion: four networks of a diffusers checkpoint, every number from its own files.

The image encoder sees the photo once, the VAE's encoder once, the denoiser at each step, the VAE's
temporal decoder a chunk of frames at a time. Follows diffusers' StableVideoDiffusionPipeline.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...engines.errors import BundleError
from ..recipe import PartRecipe

if TYPE_CHECKING:
    import torch

    from ..source import Part, Source

PIPELINES = ("StableVideoDiffusionPipeline",)

SEEN_SIZE = 224
"""Side of the square that CLIP looks at, where its configuration does not say."""
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
SAMPLE_SIZE = 96
"""Side of the denoiser's square latents where its configuration does not say; 576 x 1024 has as
many pixels as 96 x 96 latents of the published checkpoints."""
ASPECT = 1024 / 576
DEFAULTS = {
    "steps": 25,
    "guidance": 3.0,
    "min_guidance_scale": 1.0,
    "max_guidance_scale": 3.0,
    "fps": 7,
    "motion_bucket_id": 127,
    "noise_aug_strength": 0.02,
    "decode_chunk_size": None,
}
"""What the reference's call takes where it is told nothing."""
ADDED_IDS = ("fps", "motion_bucket_id", "noise_aug_strength")
UPCAST = (
    "the checkpoint's VAE has force_upcast: its activations overflow half precision, so the"
    " reference runs it in float32 too"
)


def recipes(source: Source) -> list[PartRecipe]:
    """The four components; raises BundleError where the parts do not fit each other."""
    unet, vae, seer = (_part(source, name) for name in ("unet", "vae", "image_encoder"))
    _check(unet, vae)
    return [
        _image_encoder(seer.config),
        _vae_encoder(vae.config),
        _denoiser(unet.config, vae.config),
        _vae_decoder(vae.config),
    ]


def sections(source: Source) -> dict[str, Any]:
    """What the manifest says beside the components; raises BundleError as `recipes` does."""
    from ..schedule import schedule_section

    unet, vae, seer = (_part(source, name) for name in ("unet", "vae", "image_encoder"))
    _check(unet, vae)
    factor, frames = _factor(vae.config), int(_get(unet.config, "num_frames", 25))
    multiple = math.lcm(8, factor)
    height, width = _size(unet.config, factor, multiple)
    extractor, scheduler = source.parts.get("feature_extractor"), _part(source, "scheduler")
    features = extractor.config if extractor else {}
    return {
        "pipeline": source.pipeline,
        "latents": {
            "channels": _latent_channels(unet.config),
            "spatial_factor": factor,
            "temporal_factor": 1,
            "frame_rule": {"step": 1, "offset": 0},
            "scaling_factor": float(_get(vae.config, "scaling_factor", 0.18215)),
        },
        "image": {
            "size": int(_get(seer.config, "image_size", SEEN_SIZE)),
            "mean": [float(value) for value in features.get("image_mean") or CLIP_MEAN],
            "std": [float(value) for value in features.get("image_std") or CLIP_STD],
            "embedding": int(_get(seer.config, "projection_dim", 512)),
        },
        "schedule": schedule_section(scheduler.class_name, scheduler.config),
        "defaults": {"height": height, "width": width, "num_frames": frames, **DEFAULTS},
        "limits": {
            "multiple": multiple,
            "least_frames": 1,
            "most_frames": 4 * frames,
            "decoded_pixel_bytes": _decoded_pixel(vae.config),
            "denoised_cell_bytes": _denoised_cell(unet.config),
        },
        "timing": {
            "fps": DEFAULTS["fps"],
            "frames": frames,
            "most_frames": frames,
            "rule": "slow",
        },
    }


def files(source: Source, folder: Path) -> list[str]:
    """Nothing: there is no text, and the feature extractor's numbers are in the manifest."""
    return []


def _image_encoder(config: Mapping[str, Any]) -> PartRecipe:
    size = int(_get(config, "image_size", SEEN_SIZE))
    channels = int(_get(config, "num_channels", 3))

    def build() -> torch.nn.Module:
        from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

        from .svd_modules import ImageEncoder

        network = CLIPVisionModelWithProjection(CLIPVisionConfig.from_dict(dict(config)))
        return ImageEncoder(network)

    def examples(seed: int) -> Mapping[str, torch.Tensor]:
        return {"image": _random(seed, 1, channels, size, size)}

    return PartRecipe(
        name="image_encoder",
        part="image_encoder",
        build=build,
        examples=lambda: examples(0),
        other_examples=lambda: examples(1),
        outputs={"embedding": (1, int(_get(config, "projection_dim", 512)))},
    )


def _vae_encoder(config: Mapping[str, Any]) -> PartRecipe:
    factor, channels = _factor(config), int(_get(config, "in_channels", 3))

    def build() -> torch.nn.Module:
        from diffusers import AutoencoderKLTemporalDecoder

        from .svd_modules import VaeEncoder

        return VaeEncoder(AutoencoderKLTemporalDecoder.from_config(dict(config)))

    return PartRecipe(
        name="vae_encoder",
        part="vae",
        build=build,
        examples=lambda: {"image": _random(0, 1, channels, 4 * factor, 6 * factor)},
        other_examples=lambda: {"image": _random(1, 1, channels, 7 * factor, 3 * factor)},
        outputs={"latents": (1, int(_get(config, "latent_channels", 4)), "rows", "columns")},
        free={"image": {2: "height", 3: "width"}},
        least_precision="fp32" if _get(config, "force_upcast", True) else None,
        why=UPCAST if _get(config, "force_upcast", True) else "",
    )


def _denoiser(config: Mapping[str, Any], vae: Mapping[str, Any]) -> PartRecipe:
    channels, out = int(_get(config, "in_channels", 8)), int(_get(config, "out_channels", 4))
    width = _get(config, "cross_attention_dim", 1024)
    width = int(width if isinstance(width, int) else width[0])

    def build() -> torch.nn.Module:
        from diffusers import UNetSpatioTemporalConditionModel

        from .svd_modules import Denoiser

        return Denoiser(UNetSpatioTemporalConditionModel.from_config(dict(config)))

    def examples(seed: int, frames: int, rows: int, columns: int) -> Mapping[str, torch.Tensor]:
        import torch

        return {
            "latents": _random(seed, 1, frames, channels, rows, columns),
            "timestep": torch.tensor([1.5 - seed]),
            "embedding": _random(seed + 10, 1, 1, width),
            "added_ids": torch.tensor([[6.0, 127.0 - seed, 0.02]]),
        }

    deep = 1 << (len(_get(config, "block_out_channels", (1, 1, 1, 1))) - 1)
    return PartRecipe(
        name="denoiser",
        part="unet",
        build=build,
        # Sides that halve to odd numbers, so that no size is taken for granted.
        examples=lambda: examples(0, 3, 2 * deep + 1, 3 * deep + 1),
        other_examples=lambda: examples(1, 2, 3 * deep, 2 * deep),
        outputs={"prediction": (1, "frames", out, "rows", "columns")},
        free={"latents": {1: "frames", 3: "rows", 4: "columns"}},
        plain_inputs=("timestep", "added_ids"),
    )


def _vae_decoder(config: Mapping[str, Any]) -> PartRecipe:
    channels = int(_get(config, "latent_channels", 4))

    def build() -> torch.nn.Module:
        from diffusers import AutoencoderKLTemporalDecoder

        from .svd_modules import VaeDecoder

        return VaeDecoder(AutoencoderKLTemporalDecoder.from_config(dict(config)))

    return PartRecipe(
        name="vae_decoder",
        part="vae",
        build=build,
        examples=lambda: {"latents": _random(0, 3, channels, 5, 6)},
        other_examples=lambda: {"latents": _random(1, 2, channels, 4, 3)},
        outputs={"frames": ("frames", int(_get(config, "out_channels", 3)), "height", "width")},
        free={"latents": {0: "frames", 2: "rows", 3: "columns"}},
        least_precision="fp32" if _get(config, "force_upcast", True) else None,
        why=UPCAST if _get(config, "force_upcast", True) else "",
    )


def _check(unet: Part, vae: Part) -> None:
    """Raise BundleError where the parts say of each other what cannot be."""
    config = unet.config
    channels, latent = _latent_channels(config), int(_get(vae.config, "latent_channels", 4))
    if int(_get(config, "in_channels", 8)) != channels + latent:
        raise BundleError(
            f"the unet takes {_get(config, 'in_channels', 8)} channels and the vae gives {latent}:"
            " these parts are not of one checkpoint; download it again"
        )
    told = int(_get(config, "projection_class_embeddings_input_dim", 768))
    each = int(_get(config, "addition_time_embed_dim", 256))
    if told != each * len(ADDED_IDS):
        raise BundleError(
            f"the unet is told {told} numbers of {', '.join(ADDED_IDS)}, which at"
            f" addition_time_embed_dim {each} should be {each * len(ADDED_IDS)};"
            " its config.json is wrong: download it again"
        )


def _part(source: Source, name: str) -> Part:
    try:
        return source.parts[name]
    except KeyError:
        raise BundleError(
            f"{source.name} has no part {name!r} (it has {', '.join(source.parts)}), which"
            " Stable Video Diffusion needs; download the checkpoint again"
        ) from None


def _get(config: Mapping[str, Any], name: str, default: Any) -> Any:
    """A field of a configuration; what the class takes for one that is absent or null."""
    value = config.get(name)
    return default if value is None else value


def _factor(vae: Mapping[str, Any]) -> int:
    """Pixels a latent stands for, each way."""
    return 1 << (len(_get(vae, "block_out_channels", (64,))) - 1)


def _decoded_pixel(vae: Mapping[str, Any]) -> int:
    """Bytes that the decoder holds for a pixel: its last block's input thrice, and a result."""
    widths = [int(width) for width in _get(vae, "block_out_channels", (64,))]
    return 4 * (3 * widths[min(1, len(widths) - 1)] + widths[0])


def _denoised_cell(unet: Mapping[str, Any]) -> int:
    """Bytes that the denoiser holds for a cell of one frame's latents, beside its weights.

    The skips of the first level and what its blocks work with: 40 times its channels, measured on
    the published network, whose attention holds no scores.
    """
    return 4 * 40 * int(_get(unet, "block_out_channels", (320,))[0])


def _latent_channels(unet: Mapping[str, Any]) -> int:
    """Half of what the denoiser takes is the latents, the other half the photo's."""
    return int(_get(unet, "in_channels", 8)) // 2


def _size(unet: Mapping[str, Any], factor: int, multiple: int) -> tuple[int, int]:
    """Height and width the model is at home in: its latents' area, as 1024 x 576 lies."""
    side = _get(unet, "sample_size", SAMPLE_SIZE)
    if not isinstance(side, int):
        rows, columns = (int(value) * factor for value in side)
    else:
        rows = round(side * factor / ASPECT**0.5)
        columns = round(side * factor * ASPECT**0.5)
    return (
        max(round(rows / multiple), 1) * multiple,
        max(round(columns / multiple), 1) * multiple,
    )


def _random(seed: int, *shape: int) -> torch.Tensor:
    import torch

    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
