"""Tiny LTX pipelines with random weights, and diffusers run on noise that the caller brings."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import (
    AutoencoderKLLTXVideo,
    FlowMatchEulerDiscreteScheduler,
    LTXConditionPipeline,
    LTXImageToVideoPipeline,
    LTXVideoTransformer3DModel,
)
from transformers import T5Config, T5EncoderModel, T5Tokenizer

OLD_VAE: Mapping[str, Any] = {  # as 0.9.0, its spatial factor 16 and its temporal factor 4
    "latent_channels": 8,
    "block_out_channels": (8, 8, 12),
    "down_block_types": ("LTXVideoDownBlock3D",) * 3,
    "decoder_block_out_channels": (8, 12, 8),
    "layers_per_block": (1, 1, 1, 1),
    "decoder_layers_per_block": (1, 1, 1, 1),
    "spatio_temporal_scaling": (True, True, False),
    "decoder_spatio_temporal_scaling": (True, True, False),
    "decoder_inject_noise": (False, False, False, False),
    "upsample_residual": (False, False, False),
    "upsample_factor": (1, 1, 1),
    "patch_size": 4,
}
TOLD_VAE: Mapping[str, Any] = {  # as 0.9.1: told how noisy its latents are, adds noise of its own
    **OLD_VAE,
    "decoder_block_out_channels": (8, 16),
    "decoder_layers_per_block": (1, 2, 1),
    "decoder_spatio_temporal_scaling": (True, True),
    "decoder_inject_noise": (True, True, False),
    "upsample_residual": (True, True),
    "upsample_factor": (2, 2),
    "timestep_conditioning": True,
}
NEW_VAE: Mapping[str, Any] = {  # as 0.9.5 and later, factors 8 and 4
    "latent_channels": 8,
    "block_out_channels": (8, 8, 16, 16),
    "down_block_types": ("LTXVideo095DownBlock3D",) * 3,
    "decoder_block_out_channels": (8, 16),
    "layers_per_block": (1, 1, 1, 1),
    "decoder_layers_per_block": (1, 1, 1),
    "spatio_temporal_scaling": (True, True, True),
    "decoder_spatio_temporal_scaling": (True, True),
    "decoder_inject_noise": (False, False, False),
    "downsample_type": ("spatial", "temporal", "spatiotemporal"),
    "upsample_residual": (True, True),
    "upsample_factor": (2, 2),
    "timestep_conditioning": True,
    "patch_size": 2,
    "spatial_compression_ratio": 8,
    "temporal_compression_ratio": 4,
}


def tokenizer() -> T5Tokenizer:
    """A T5 tokenizer of letters and a few words."""
    pieces = ["<pad>", "</s>", "<unk>", "\u2581", *"abcdefghijklmnopqrstuvwxyz,."]
    pieces += [f"\u2581{word}" for word in ("the", "sea", "waves", "leaves", "slow", "blurry")]
    vocabulary = [(piece, -float(len(pieces) - i) / 9) for i, piece in enumerate(pieces)]
    return T5Tokenizer(vocab=vocabulary, extra_ids=4)


def pipeline(
    folder: Path,
    *,
    condition: bool,
    vae: Mapping[str, Any] = NEW_VAE,
    scheduler: Mapping[str, Any] | None = None,
    transformer: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Any:
    """Save a tiny pipeline below a folder and return it."""
    torch.manual_seed(seed)
    width = {"num_attention_heads": 3, "attention_head_dim": 8, "num_layers": 2}
    network = LTXVideoTransformer3DModel(
        **{
            "in_channels": vae["latent_channels"],
            "out_channels": vae["latent_channels"],
            "cross_attention_dim": 24,
            "caption_channels": 20,
            **width,
            **(transformer or {}),
        }
    )
    enliven(network, 0.15)
    text = T5EncoderModel(
        T5Config(
            vocab_size=64,
            d_model=20,
            d_kv=8,
            d_ff=28,
            num_layers=2,
            num_heads=3,
            feed_forward_proj="gated-gelu",
        )
    )
    autoencoder = AutoencoderKLLTXVideo(**vae)
    enliven(autoencoder, 0.0)
    autoencoder.latents_mean.normal_(0.0, 0.2)
    autoencoder.latents_std.uniform_(0.6, 1.4)
    kind = LTXConditionPipeline if condition else LTXImageToVideoPipeline
    made = kind(
        scheduler=FlowMatchEulerDiscreteScheduler(**(scheduler or {})),
        vae=autoencoder,
        text_encoder=text,
        tokenizer=tokenizer(),
        transformer=network,
    )
    for module in (network, text, autoencoder):
        module.eval()
    made.save_pretrained(folder)
    made.set_progress_bar_config(disable=True)
    return made


def enliven(module: torch.nn.Module, spread: float) -> None:
    """Give parameters that begin as nothing (biases, noise scales, gates) something to say."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.endswith(".bias"):
                parameter.normal_(0.0, 0.05 + spread)
            elif "per_channel_scale" in name:
                parameter.normal_(0.0, 0.5)
            elif "to_q" in name or "to_k" in name:
                parameter.mul_(3.0)


@contextmanager
def drawing(given: Iterator[np.ndarray]) -> Iterator[None]:
    """Let torch.randn give these arrays, one after another, each of the shape it is asked for."""
    real = torch.randn

    def draw(*shape: Any, **_: Any) -> torch.Tensor:
        wanted = tuple(shape[0]) if len(shape) == 1 and not isinstance(shape[0], int) else shape
        noise = np.asarray(next(given), np.float32)
        assert noise.shape == tuple(wanted), (noise.shape, wanted)
        return torch.from_numpy(noise.copy())

    torch.randn = draw
    try:
        yield
    finally:
        torch.randn = real


def checkpoints(folder: Path) -> dict[str, Any]:
    """Three pipelines that differ in their VAE alone, each saved in a folder of its name.

    "new" is an LTXConditionPipeline, "old" and "told" are LTXImageToVideoPipelines. What they have
    in common is there as the same files, so that an export of one goes on where another's ended.
    """
    made = {"new": pipeline(folder / "new", condition=True, vae=NEW_VAE)}
    for name, vae in (("old", OLD_VAE), ("told", TOLD_VAE)):
        made[name] = pipeline(folder / name, condition=False, vae=vae)
        for part in ("transformer", "text_encoder"):
            shutil.copytree(folder / "new" / part, folder / name / part, dirs_exist_ok=True)
    return made


def in_order(shapes: Mapping[str, tuple[int, ...]], noise: Mapping[str, np.ndarray]) -> list[Any]:
    """The arrays of a render's noise, one for each draw that the reference makes, in its order."""
    each_step = [name for name in ("condition", "steps") if name in shapes]
    steps = len(noise[each_step[0]]) if each_step else 0
    drawn = [noise[n] for n in shapes if n not in each_step and n != "decode" and "maps" not in n]
    drawn += [noise[name][step] for step in range(steps) for name in each_step]
    drawn += [noise["decode"]] if "decode" in shapes else []
    return drawn + [one for name in shapes if "maps" in name for one in noise[name]]


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """Peak signal to noise ratio of two uint8 films, in dB; infinite where they are equal."""
    error = np.mean((one.astype(np.float64) - other.astype(np.float64)) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))
