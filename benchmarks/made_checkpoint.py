"""Full-size checkpoints of random weights, laid out as the published ones, to measure with.

    python -m reverie.benchmarks.made_checkpoint svd|ltx|wan FOLDER [--part NAME ...]

Configurations are the published ones (SVD; LTX-Video 2B 0.9.5; Wan2.2 TI2V-5B); weights are one
block of normal numbers, rolled and scaled by the square root of the fan-in, so that what passes
through keeps its size. Written tensor by tensor: T5-XXL takes 9 GB of disk and little memory.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import struct
from collections.abc import Collection
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

_T5 = {
    "d_model": 4096,
    "d_kv": 64,
    "d_ff": 10240,
    "num_layers": 24,
    "num_heads": 64,
    "feed_forward_proj": "gated-gelu",
}
_CLIP_H = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 16,
    "patch_size": 14,
    "projection_dim": 1024,
    "hidden_act": "gelu",
}
_SVD_UNET = {"num_attention_heads": [5, 10, 20, 20], "num_frames": 14, "sample_size": 96}
_SVD_VAE = {
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "layers_per_block": 2,
    "force_upcast": True,
}
_SVD_SCHEDULER = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "sigma_max": 700.0,
    "sigma_min": 0.002,
    "steps_offset": 1,
    "timestep_spacing": "leading",
    "timestep_type": "continuous",
    "use_karras_sigmas": True,
}
_LTX_VAE = {
    "block_out_channels": [128, 256, 512, 1024, 2048],
    "down_block_types": ["LTXVideo095DownBlock3D"] * 4,
    "decoder_block_out_channels": [256, 512, 1024],
    "layers_per_block": [4, 6, 6, 2, 2],
    "decoder_layers_per_block": [5, 5, 5, 5],
    "spatio_temporal_scaling": [True] * 4,
    "decoder_spatio_temporal_scaling": [True] * 3,
    "decoder_inject_noise": [False] * 4,
    "downsample_type": ["spatial", "temporal", "spatiotemporal", "spatiotemporal"],
    "upsample_residual": [True] * 3,
    "upsample_factor": [2] * 3,
    "timestep_conditioning": True,
    "spatial_compression_ratio": 32,
    "temporal_compression_ratio": 8,
    "decoder_causal": False,
}
_LTX_SCHEDULER = {
    "use_dynamic_shifting": True,
    "base_shift": 0.95,
    "max_shift": 2.05,
    "base_image_seq_len": 1024,
    "max_image_seq_len": 4096,
    "shift_terminal": 0.1,
}
_WAN = {
    "patch_size": [1, 2, 2],
    "num_attention_heads": 24,
    "in_channels": 48,
    "out_channels": 48,
    "ffn_dim": 14336,
    "num_layers": 30,
}
_WAN_VAE = {
    "base_dim": 160,
    "decoder_base_dim": 256,
    "z_dim": 48,
    "is_residual": True,
    "in_channels": 12,
    "out_channels": 12,
    "patch_size": 2,
    "scale_factor_spatial": 16,
    "latents_mean": [0.0] * 48,
    "latents_std": [1.0] * 48,
}
_WAN_SCHEDULER = {
    "prediction_type": "flow_prediction",
    "use_flow_sigmas": True,
    "flow_shift": 5.0,
}
_CLIP_PROCESSOR = {
    "crop_size": {"height": 224, "width": 224},
    "do_center_crop": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "resample": 3,
    "rescale_factor": 1 / 255,
    "size": {"shortest_edge": 224},
}
FAMILIES: dict[str, dict[str, Any]] = {
    "svd": {
        "pipeline": "StableVideoDiffusionPipeline",
        "dtype": "F16",
        "networks": {
            "unet": ("diffusers", "UNetSpatioTemporalConditionModel", _SVD_UNET),
            "vae": ("diffusers", "AutoencoderKLTemporalDecoder", _SVD_VAE),
            "image_encoder": ("transformers", "CLIPVisionModelWithProjection", _CLIP_H),
        },
        "scheduler": ("EulerDiscreteScheduler", _SVD_SCHEDULER),
        "feature_extractor": ("CLIPImageProcessor", _CLIP_PROCESSOR),
    },
    "ltx": {
        "pipeline": "LTXImageToVideoPipeline",
        "dtype": "BF16",
        "networks": {
            "transformer": ("diffusers", "LTXVideoTransformer3DModel", {}),
            "vae": ("diffusers", "AutoencoderKLLTXVideo", _LTX_VAE),
            "text_encoder": ("transformers", "T5EncoderModel", {**_T5, "vocab_size": 32128}),
        },
        "scheduler": ("FlowMatchEulerDiscreteScheduler", _LTX_SCHEDULER),
    },
    "wan": {
        "pipeline": "WanImageToVideoPipeline",
        "dtype": "BF16",
        "index": {"expand_timesteps": True, "boundary_ratio": None},
        "networks": {
            "transformer": ("diffusers", "WanTransformer3DModel", _WAN),
            "vae": ("diffusers", "AutoencoderKLWan", _WAN_VAE),
            "text_encoder": ("transformers", "UMT5EncoderModel", {**_T5, "vocab_size": 256384}),
        },
        "scheduler": ("UniPCMultistepScheduler", _WAN_SCHEDULER),
    },
}
_DTYPES = {"F16": np.dtype(np.float16), "BF16": np.dtype(ml_dtypes.bfloat16)}
_BLOCK = 1 << 22


def make(family: str, folder: Path, parts: Collection[str] = ()) -> None:
    """Write a family's checkpoint; `parts` names the networks that get weights, empty for all.

    The other networks' files are one hole each: zeros that take no room on the disk.
    """
    facts = FAMILIES[family]
    index: dict[str, Any] = {"_class_name": facts["pipeline"], **facts.get("index", {})}
    for name, (package, class_name, settings) in facts["networks"].items():
        index[name] = [package, class_name]
        _network(folder / name, package, class_name, settings, facts["dtype"], name in parts)
    for name, package, file in (
        ("scheduler", "diffusers", "scheduler_config.json"),
        ("feature_extractor", "transformers", "preprocessor_config.json"),
    ):
        if name in facts:
            class_name, settings = facts[name]
            index[name] = [package, class_name]
            _json(folder / name / file, {"_class_name": class_name, **settings})
    _json(folder / "model_index.json", index)


def _network(
    folder: Path,
    package: str,
    class_name: str,
    settings: dict[str, Any],
    dtype: str,
    with_weights: bool,
) -> None:
    import torch

    from ..export.fake import parameters_without_values

    kind = getattr(importlib.import_module(package), class_name)
    with parameters_without_values(), torch.no_grad():
        network = kind(kind.config_class(**settings)) if package == "transformers" else None
        network = network or kind(**settings)
    config = network.config.to_dict() if package == "transformers" else dict(network.config)
    _json(folder / "config.json", config)
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    header: dict[str, Any] = {}
    at = 0
    for name, shape in shapes.items():
        size = _DTYPES[dtype].itemsize * math.prod(shape)
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    normal = np.random.default_rng(0).standard_normal(_BLOCK, np.float32)
    plain = package == "transformers"
    file_name = "model.safetensors" if plain else "diffusion_pytorch_model.safetensors"
    with (folder / file_name).open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        if not with_weights:
            file.truncate(8 + len(text) + at)
            return
        for number, (name, shape) in enumerate(shapes.items()):
            block = _values(name, shape, np.roll(normal, 7919 * number), _DTYPES[dtype])
            left = math.prod(shape)
            while left:
                file.write(block[: min(left, _BLOCK)].tobytes())
                left -= min(left, _BLOCK)


def _values(
    name: str, shape: tuple[int, ...], normal: np.ndarray, dtype: np.dtype[Any]
) -> np.ndarray:
    """As many values as fill a tensor, or a block of it."""
    if len(shape) > 1:
        return (normal * (0.7 / math.sqrt(math.prod(shape[1:])))).astype(dtype)
    one = name.endswith(("weight", "gamma", "std"))
    return np.full(min(math.prod(shape), _BLOCK), 1 if one else 0, dtype)


def _json(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, default=str) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("family", choices=sorted(FAMILIES))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--part", action="append", help="networks to write weights of; all")
    asked = parser.parse_args()
    make(asked.family, asked.folder, asked.part or FAMILIES[asked.family]["networks"])


if __name__ == "__main__":
    main()
