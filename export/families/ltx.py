"""LTX-Video: four networks of a checkpoint, and what the runtime must know beside them.

The text encoder (T5) reads a prompt, the VAE's encoder sees the photo, the denoiser (a transformer
with a timestep for each token) runs at each step, the VAE's decoder a window of latent frames at a
time. Every number comes from the checkpoint's configurations. Follows diffusers'
LTXImageToVideoPipeline and LTXConditionPipeline.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...engines.errors import BundleError
from ..recipe import PartRecipe
from .ltx_decoder import decode_section, decoder_recipe
from .ltx_recipes import denoiser, factors, field, text_encoder, vae_encoder

if TYPE_CHECKING:
    from ..source import Part, Source

SCHEDULER = "FlowMatchEulerDiscreteScheduler"
IMAGE, CONDITION = PIPELINES = ("LTXImageToVideoPipeline", "LTXConditionPipeline")

MAX_TOKENS = {IMAGE: 128, CONDITION: 256}
"""Tokens of a prompt, as each pipeline's `max_sequence_length` has it."""
SIDES_DIVIDE_BY = 32
"""Both pipelines refuse other sizes, whatever the VAE."""
DEFAULTS: Mapping[str, Any] = {
    "height": 512,
    "width": 704,
    "num_frames": 161,
    "frame_rate": 25,
    "steps": 50,
    "guidance": 3.0,
    "guidance_rescale": 0.0,
    "decode_timestep": 0.0,
    "decode_noise_scale": None,
    "strength": 1.0,
}
"""What the reference's call takes where it is told nothing."""
MOST_FRAMES = 257
"""As long as the published checkpoints stay coherent in one piece."""

FIRST_PASS = (1000.0, 993.7, 987.5, 981.2, 975.0, 909.4, 725.0)
SECOND_PASS = (909.4, 725.0, 421.9)
PRESETS = {
    "distilled": (*FIRST_PASS, SECOND_PASS[-1]),
    "first_pass": FIRST_PASS,
    "second_pass": SECOND_PASS,
}
"""Timesteps that the distilled checkpoints (0.9.6 to 0.9.8) were made for: all in one pass, or in
two with an enlargement between them; from the configurations published with them."""
DISTILLED = {
    "timesteps": "distilled",
    "steps": len(PRESETS["distilled"]),
    "guidance": 1.0,
    "decode_timestep": 0.05,
    "decode_noise_scale": 0.025,
}


def recipes(source: Source) -> list[PartRecipe]:
    """The components that the checkpoint has parts for; BundleError where they do not fit."""
    transformer, vae = _checked(source)
    made = []
    if "text_encoder" in source.parts:
        made.append(text_encoder(source.part("text_encoder").config))
    made += [vae_encoder(vae.config), denoiser(transformer.config), decoder_recipe(vae.config)]
    return made


def sections(source: Source) -> dict[str, Any]:
    """What the manifest says beside the components; raises BundleError as `recipes` does."""
    from ..schedule import schedule_section

    transformer, vae = _checked(source)
    spatial, temporal = factors(vae.config)
    defaults = dict(DEFAULTS) | {"max_sequence_length": MAX_TOKENS[source.pipeline]}
    if source.pipeline == CONDITION:
        defaults["image_cond_noise_scale"] = 0.15
    presets = _presets(source)
    if presets:
        defaults |= DISTILLED | {"steps": len(presets["distilled"])}
    scheduler = source.parts.get("scheduler")
    name = scheduler.class_name if scheduler else SCHEDULER
    if name != SCHEDULER:
        raise BundleError(
            f"the scheduler is a {name}, and LTX's pipelines step with {SCHEDULER} alone: set the"
            " checkpoint's to that"
        )
    schedule = schedule_section(
        name, scheduler.config if scheduler else {}, own_levels=source.pipeline == IMAGE
    )
    made: dict[str, Any] = {
        "pipeline": source.pipeline,
        "latents": {
            "channels": int(field(vae.config, "latent_channels", 128)),
            "spatial_factor": spatial,
            "temporal_factor": temporal,
            "frame_rule": {"step": temporal, "offset": 1},
            "scaling_factor": float(field(vae.config, "scaling_factor", 1.0)),
            "mean": _statistic(vae, "latents_mean", 0.0),
            "std": _statistic(vae, "latents_std", 1.0),
        },
        "schedule": schedule,
        "decode": decode_section(vae.config) | {"token_bytes": _token_bytes(transformer.config)},
        "defaults": defaults,
        "presets": presets,
        "limits": {"multiple": math.lcm(SIDES_DIVIDE_BY, spatial), "least_frames": 1},
        "timing": {
            "fps": defaults["frame_rate"],
            "frames": defaults["num_frames"],
            "most_frames": MOST_FRAMES,
            "rule": "native",
        },
    }
    made["text"] = {
        "max_tokens": defaults["max_sequence_length"],
        "pad_id": int(field(_config(source, "text_encoder"), "pad_token_id", 0)),
        "clean": "none",
        # Only one of the two pipelines tells T5 which tokens are padding.
        "attention": "all" if source.pipeline == IMAGE else "prompt",
        "pad_embeddings": "encode",
    }
    return made


def files(source: Source, folder: Path) -> list[str]:
    """Write tokenizer.json into a bundle's folder; returns its name, [] without a tokenizer."""
    part = source.parts.get("tokenizer")
    if part is None or part.folder is None:
        return []
    from ..tokenizer import write_tokenizer

    return [write_tokenizer(part.folder, folder, part.class_name)]


def _checked(source: Source) -> tuple[Part, Part]:
    """The transformer and the VAE; BundleError where they are not what the pipelines can run."""
    if source.pipeline not in PIPELINES:
        raise BundleError(
            f"{source.name} is made for {source.pipeline}, which is not known here: pictures are"
            f" brought to life by {' and '.join(PIPELINES)}"
        )
    transformer, vae = source.part("transformer"), source.part("vae")
    channels = int(field(transformer.config, "in_channels", 128))
    out = int(field(transformer.config, "out_channels", channels))
    latent = int(field(vae.config, "latent_channels", 128))
    if not channels == out == latent:
        raise BundleError(
            f"the transformer takes {channels} channels and gives {out}, the vae has {latent}:"
            " these parts are not of one checkpoint; download it again"
        )
    for part, fields in ((transformer, ("patch_size", "patch_size_t")), (vae, ("patch_size_t",))):
        for name in fields:
            if int(field(part.config, name, 1)) != 1:
                raise BundleError(
                    f"the {part.name} has {name} {part.config[name]}, and LTX's pipelines run only"
                    " with 1; this is another kind of checkpoint"
                )
    return transformer, vae


def _presets(source: Source) -> dict[str, list[float]]:
    """Timesteps of a distilled checkpoint, {} for any other; its name or its file says which."""
    scheduler = source.parts.get("scheduler")
    allowed = scheduler.config.get("allowed_inference_steps") if scheduler else None
    if not allowed and "distilled" not in f"{source.name} {source.origin}".lower():
        return {}
    presets = {name: list(levels) for name, levels in PRESETS.items()}
    if allowed:
        levels = sorted({float(level) for level in allowed}, reverse=True)
        presets["distilled"] = [1000.0 * level for level in levels]
    return presets


def _statistic(vae: Part, name: str, default: float) -> list[float]:
    """A channel's mean or spread, stored among the VAE's weights."""
    channels = int(field(vae.config, "latent_channels", 128))
    if vae.weights is None:
        return [default] * channels
    if name not in vae.weights:
        raise BundleError(
            f"the vae has no tensor {name!r}, which its latents are normalised by; get the"
            " checkpoint again"
        )
    values = [float(value) for value in vae.weights.read(name).astype("float64")]
    if len(values) != channels or not all(math.isfinite(value) for value in values):
        raise BundleError(
            f"the vae's {name} has {len(values)} numbers, not all of them finite ones for its"
            f" {channels} channels: download the checkpoint again"
        )
    return values


def _token_bytes(config: Mapping[str, Any]) -> int:
    """Memory that the denoiser needs for a token at least, attention's scores not counted."""
    width = int(field(config, "num_attention_heads", 32)) * int(
        field(config, "attention_head_dim", 64)
    )
    return 4 * 20 * width  # its timestep's six scales twice, and the feed-forward's fourfold width


def _config(source: Source, part: str) -> Mapping[str, Any]:
    return source.parts[part].config if part in source.parts else {}
