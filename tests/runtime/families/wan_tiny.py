"""Tiny Wan 2.2 TI2V pipelines with random weights, and diffusers run on noise that we bring."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from diffusers import (
    AutoencoderKLWan,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
    WanImageToVideoPipeline,
    WanTransformer3DModel,
)
from diffusers.pipelines.wan import pipeline_wan_i2v
from PIL import Image
from transformers import T5Tokenizer, UMT5Config, UMT5EncoderModel

WORDS = [
    "a",
    "boat",
    "cat",
    "walks",
    "on",
    "the",
    "sea",
    "grass",
    "slow",
    "waves",
    "roll",
    "in",
    "blurry",
    "still",
    "low",
    "quality",
]

RESIDUAL_VAE: Mapping[str, Any] = {  # as TI2V-5B's, with two of its four levels less
    "base_dim": 4,
    "decoder_base_dim": 6,
    "z_dim": 6,
    "dim_mult": [1, 2, 2],
    "num_res_blocks": 1,
    "temperal_downsample": [False, True],
    "is_residual": True,
    "in_channels": 12,
    "out_channels": 12,
    "patch_size": 2,
    "scale_factor_spatial": 8,
    "scale_factor_temporal": 2,
    "latents_mean": [0.3, -0.2, 0.1, 0.0, -0.5, 0.4],
    "latents_std": [1.5, 0.7, 1.0, 2.0, 0.9, 1.2],
}
PLAIN_VAE: Mapping[str, Any] = {  # as Wan 2.1's: no patches, no shortcuts, two doublings of time
    "base_dim": 5,
    "z_dim": 4,
    "dim_mult": [1, 2, 1],
    "num_res_blocks": 1,
    "temperal_downsample": [True, True],
    "scale_factor_spatial": 4,
    "scale_factor_temporal": 4,
    "latents_mean": [0.1, -0.4, 0.2, 0.0],
    "latents_std": [1.1, 0.8, 1.7, 0.6],
}


def unipc(shift: float = 5.0, **options: Any) -> UniPCMultistepScheduler:
    """The scheduler of TI2V-5B."""
    return UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift, **options
    )


def euler(shift: float = 5.0) -> FlowMatchEulerDiscreteScheduler:
    """The scheduler of step distillations."""
    return FlowMatchEulerDiscreteScheduler(shift=shift)


def build(
    vae: Mapping[str, Any] = RESIDUAL_VAE,
    *,
    layers: int = 2,
    heads: int = 2,
    head_size: int = 12,
    **transformer: Any,
) -> WanImageToVideoPipeline:
    """A pipeline whose every weight, biases and gains too, is random."""
    with torch.random.fork_rng():
        torch.manual_seed(layers)
        channels = vae["z_dim"]
        parts = {
            "vae": AutoencoderKLWan(**vae),
            "transformer": WanTransformer3DModel(
                patch_size=(1, 2, 2),
                num_attention_heads=heads,
                attention_head_dim=head_size,
                in_channels=channels,
                out_channels=channels,
                text_dim=16,
                freq_dim=32,
                ffn_dim=40,
                num_layers=layers,
                rope_max_seq_len=64,
                **transformer,
            ),
            "text_encoder": UMT5EncoderModel(
                UMT5Config(vocab_size=64, d_model=16, d_kv=4, d_ff=24, num_layers=2, num_heads=4)
            ),
        }
        # So that biases are not zero, and noise, photo and prompt change the frames by much.
        for gain, part in zip((2.5, 1.5, 1.0), parts.values(), strict=True):
            part.eval().requires_grad_(False)
            for name, parameter in part.named_parameters():
                if sum(size > 1 for size in parameter.shape) <= 1:
                    parameter += 0.1 * torch.randn_like(parameter)
                elif "conv_out" not in name:
                    parameter *= gain
    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    vocabulary += [(f"\u2581{word}", -float(rank)) for rank, word in enumerate(WORDS, 2)]
    pipeline = WanImageToVideoPipeline(
        tokenizer=T5Tokenizer(vocab=vocabulary, extra_ids=0),
        scheduler=unipc(),
        image_encoder=None,
        image_processor=None,
        transformer_2=None,
        expand_timesteps=True,
        **parts,
    )
    pipeline.set_progress_bar_config(disable=True)
    # The reference cleans prompts with ftfy; these have nothing to mend.
    pipeline_wan_i2v.ftfy = SimpleNamespace(fix_text=lambda text: text)
    return pipeline


def photo(height: int, width: int) -> np.ndarray:
    """A picture, uint8 (height, width, 3): broad shapes and some grain."""
    random = np.random.default_rng(height * width)
    coarse = random.integers(0, 256, (4, 5, 3), np.uint8)
    smooth = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    grain = random.integers(-12, 13, (height, width, 3))
    return np.clip(np.asarray(smooth, np.int16) + grain, 0, 255).astype(np.uint8)


def noise(shape: tuple[int, ...], seed: int = 7) -> np.ndarray:
    """Unit noise, float32."""
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def reference(
    pipeline: WanImageToVideoPipeline, picture: np.ndarray, latents: np.ndarray, **call: Any
) -> np.ndarray:
    """Frames of diffusers as uint8 (F, H, W, 3)."""
    with torch.no_grad():
        video = pipeline(
            image=Image.fromarray(picture),
            latents=torch.from_numpy(latents.copy()),
            output_type="np",
            **call,
        ).frames[0]
    return np.rint(video * 255).astype(np.uint8)


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """Peak signal to noise ratio of two uint8 arrays, dB; 99 where they are equal."""
    error = np.mean((one.astype(np.float64) - other) ** 2)
    return 99.0 if error == 0 else float(10 * np.log10(255**2 / error))


def save(pipeline: WanImageToVideoPipeline, folder: Path) -> Path:
    """Save a pipeline as a checkpoint."""
    pipeline.save_pretrained(folder)
    return folder
