"""Tiny Stable Video Diffusion checkpoints with random weights, built where a test asks for them."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

SCHEDULER = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "interpolation_type": "linear",
    "num_train_timesteps": 1000,
    "prediction_type": "v_prediction",
    "sigma_max": 700.0,
    "sigma_min": 0.002,
    "steps_offset": 1,
    "timestep_spacing": "leading",
    "timestep_type": "continuous",
    "use_karras_sigmas": True,
}
"""As the published checkpoints have it."""

SMALL: dict[str, Any] = {
    "unet": {
        "block_out_channels": (32, 64),
        "down_block_types": ("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        "up_block_types": ("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
        "layers_per_block": 1,
        "num_attention_heads": 4,
        "cross_attention_dim": 24,
        "addition_time_embed_dim": 16,
        "projection_class_embeddings_input_dim": 48,
        "sample_size": 32,
        "num_frames": 14,
    },
    "vae": {"block_out_channels": (32, 64), "latent_channels": 4},
    "clip": {"projection_dim": 24, "patch_size": 32},
}
"""Two levels everywhere: a latent is 2 x 2 pixels."""

DEEP: dict[str, Any] = {
    "unet": {
        "block_out_channels": (32, 32, 64),
        "in_channels": 12,
        "out_channels": 6,
        "down_block_types": (
            "DownBlockSpatioTemporal",
            "CrossAttnDownBlockSpatioTemporal",
            "DownBlockSpatioTemporal",
        ),
        "up_block_types": (
            "UpBlockSpatioTemporal",
            "CrossAttnUpBlockSpatioTemporal",
            "UpBlockSpatioTemporal",
        ),
        "layers_per_block": [1, 1, 2],
        "transformer_layers_per_block": [1, 2, 1],
        "num_attention_heads": (2, 4, 8),
        "cross_attention_dim": 16,
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": 24,
        "sample_size": 24,
        "num_frames": 25,
    },
    "vae": {
        "block_out_channels": (32, 32, 32, 64),
        "latent_channels": 6,
        "layers_per_block": 1,
        "scaling_factor": 0.4,
        "force_upcast": False,
    },
    "clip": {"projection_dim": 16, "patch_size": 28, "hidden_act": "gelu"},
    "mean": (0.4, 0.5, 0.6),
    "scheduler": {"sigma_max": 80.0, "timestep_spacing": "trailing"},
}
"""Three levels, more latent channels, a latent is 8 x 8 pixels; sides may be odd in latents."""


def build(options: dict[str, Any]) -> Any:
    """A diffusers pipeline with random weights."""
    import torch
    from diffusers import (
        AutoencoderKLTemporalDecoder,
        EulerDiscreteScheduler,
        StableVideoDiffusionPipeline,
        UNetSpatioTemporalConditionModel,
    )
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    torch.manual_seed(0)
    vae = {"layers_per_block": 1, **options["vae"]}
    vae["down_block_types"] = ("DownEncoderBlock2D",) * len(vae["block_out_channels"])
    clip = {
        "hidden_size": 32,
        "intermediate_size": 37,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "image_size": 224,
        **options["clip"],
    }
    extractor = {"image_mean": options["mean"]} if "mean" in options else {}
    pipeline = StableVideoDiffusionPipeline(
        vae=AutoencoderKLTemporalDecoder(**vae),
        image_encoder=CLIPVisionModelWithProjection(CLIPVisionConfig(**clip)),
        unet=UNetSpatioTemporalConditionModel(**options["unet"]),
        scheduler=EulerDiscreteScheduler(**{**SCHEDULER, **options.get("scheduler", {})}),
        feature_extractor=CLIPImageProcessorPil(**extractor),
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def save(pipeline: Any, folder: Path) -> Path:
    """Write a pipeline as checkpoints come; returns the folder."""
    from huggingface_hub.utils import disable_progress_bars
    from transformers.utils import logging

    logging.disable_progress_bar()
    disable_progress_bars()
    pipeline.save_pretrained(folder)
    assert json.loads((folder / "model_index.json").read_text())["_class_name"]
    return folder


def run(pipeline: Any, photo: Any, noise: dict[str, Any], **asked: Any) -> Any:
    """The frames of diffusers, floats 0..1 (F, H, W, 3), from the noise of a Reverie model."""
    import numpy as np
    import torch
    from diffusers.pipelines.stable_video_diffusion import (
        pipeline_stable_video_diffusion as module,
    )
    from PIL import Image

    names = {"steps": "num_inference_steps", "guidance": "max_guidance_scale"}
    draw = module.randn_tensor
    module.randn_tensor = lambda shape, **_: torch.from_numpy(noise["image"]).reshape(shape)
    try:
        with warnings.catch_warnings():
            # diffusers' scheduler hands tensors to numpy in a way that numpy 2 means to end.
            warnings.filterwarnings("ignore", "__array__", DeprecationWarning)
            found = pipeline(
                Image.fromarray(photo),
                latents=torch.from_numpy(noise["latents"]),
                output_type="np",
                **{names.get(name, name): value for name, value in asked.items()},
            )
    finally:
        module.randn_tensor = draw
    return np.asarray(found.frames[0])
