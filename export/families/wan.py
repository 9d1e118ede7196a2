"""Wan 2.2 TI2V: what of a checkpoint becomes graphs, and what of it becomes manifest.

TI2V-5B and what was distilled from it: one transformer whose timestep differs from token to token,
and a picture that enters as the first frame's latents. The 14B and Wan 2.1 checkpoints take the
picture through further channels and an image encoder, and are refused.

Follows diffusers' WanImageToVideoPipeline with `expand_timesteps`.
"""

from __future__ import annotations

import inspect
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...engines.errors import BundleError
from ..recipe import PartRecipe

if TYPE_CHECKING:
    from ..source import Source

PIPELINES = ("WanImageToVideoPipeline", "WanPipeline")
"""TI2V-5B is published under the second name, and both pipelines read it."""

FPS = 24.0
"""Frames a second that TI2V was trained at; no configuration says so."""

_TOKEN_BYTES = 4 * 20
"""Memory that denoising takes for a token and a channel: about twenty float32 values, its six
scales and the fourfold feed-forward among them; attention's scores are not counted."""

_SUPPORTED = (
    "supported are Wan 2.2 TI2V checkpoints (TI2V-5B and its distillations): one transformer, no"
    " image encoder, `expand_timesteps` in model_index.json"
)
_DISTILLED = {"fastwan": 3, "turbo": 4, "distill": 4, "lightning": 4, "dmd": 3}
"""Words in the names of step distillations, which run without guidance, and their steps."""
_TI2V_5B = {"num_layers": 30, "num_attention_heads": 24, "attention_head_dim": 128}


def recipes(source: Source) -> list[PartRecipe]:
    """Return the components of a checkpoint's bundle; the text encoder only where there is one.

    Raises:
        BundleError: it is a Wan checkpoint of a kind that is not supported; says which are.
    """
    transformer, vae = _configs(source)
    from . import wan_recipes as made

    found = [made.vae_encoder(vae), made.denoiser(transformer), made.vae_decoder(vae)]
    if "text_encoder" not in source.parts:
        return found
    part = source.part("text_encoder")
    if part.class_name != "UMT5EncoderModel":
        raise BundleError(
            f"{source.name} has a text encoder of class {part.class_name}: Wan checkpoints have a"
            " UMT5EncoderModel; get the checkpoint again"
        )
    return [made.text_encoder(part), *found]


def sections(source: Source) -> dict[str, Any]:
    """Return what the manifest says of the model; all of it comes from the configurations.

    Raises:
        BundleError: as in `recipes`, or for a scheduler that is not known here.
    """
    from ..schedule import schedule_section
    from .wan_networks import decoder_caches
    from .wan_recipes import vae_without_values

    transformer, vae = _configs(source)
    model = vae_without_values(vae)
    patch, head_size = transformer["patch_size"], transformer["attention_head_dim"]
    space, time = vae["scale_factor_spatial"], vae["scale_factor_temporal"]
    longest = transformer["rope_max_seq_len"]
    is_5b = all(transformer[name] == value for name, value in _TI2V_5B.items())
    height, width, num_frames = (704, 1280, 121) if is_5b else (480, 832, 81)
    most_frames = (longest - 1) * time + 1
    called = f"{source.name} {source.origin}".lower()
    steps = next((count for word, count in _DISTILLED.items() if word in called), None)
    text = source.parts.get("text_encoder")
    scheduler = source.part("scheduler")

    return {
        "pipeline": "WanImageToVideoPipeline",
        "latents": {
            "channels": vae["z_dim"],
            "spatial_factor": space,
            "temporal_factor": time,
            "frame_rule": {"step": time, "offset": 1},
            "mean": list(vae["latents_mean"]),
            "std": list(vae["latents_std"]),
        },
        "denoiser": {
            "patch_size": list(patch),
            "head_size": head_size,
            "rotary_base": 10000.0,
            "token_bytes": _TOKEN_BYTES * transformer["num_attention_heads"] * head_size,
        },
        "decoder": {
            "caches": [list(cache) for cache in decoder_caches(model)],
            "patch_size": vae["patch_size"] or 1,
        },
        "schedule": schedule_section(scheduler.class_name, scheduler.config),
        "defaults": {
            "height": height,
            "width": width,
            "num_frames": min(num_frames, most_frames),
            "steps": steps or 50,
            "guidance": 1.0 if steps else 5.0,
            "max_sequence_length": 512,
        },
        "limits": {
            "multiple": space * math.lcm(patch[1], patch[2]),
            "most_height": longest * space * patch[1],
            "most_width": longest * space * patch[2],
            "most_frames": most_frames,
        },
        "timing": {
            "fps": FPS,
            "frames": min(num_frames, most_frames),
            "most_frames": min(121, most_frames),
            "rule": "native",
        },
        "text": {
            "max_tokens": 512,
            "pad_id": text.config.get("pad_token_id", 0) if text is not None else 0,
            "clean": "wan",
            "pad_embeddings": "zeros",
        },
    }


def files(source: Source, folder: Path) -> list[str]:
    """Write the tokenizer into a bundle's folder; returns the names of what was written.

    Raises:
        BundleError: the checkpoint's tokenizer cannot be read.
    """
    part = source.parts.get("tokenizer")
    if part is None or part.folder is None:
        return []
    from ..tokenizer import write_tokenizer

    return [write_tokenizer(part.folder, folder, part.class_name)]


def _configs(source: Source) -> tuple[dict[str, Any], dict[str, Any]]:
    """Configurations of transformer and VAE with defaults filled in; refuses what is not TI2V."""
    for name in ("transformer_2", "image_encoder"):
        if name in source.parts:
            raise _refused(source, f"has a {name}")
    if source.index.get("boundary_ratio") is not None:
        raise _refused(source, "switches transformers at a boundary_ratio")
    if not source.index.get("expand_timesteps", False):
        raise _refused(source, "has no expand_timesteps")

    from diffusers import AutoencoderKLWan, WanTransformer3DModel

    transformer = _complete(WanTransformer3DModel, source, "transformer")
    vae = _complete(AutoencoderKLWan, source, "vae")
    channels = transformer["in_channels"], transformer["out_channels"] or transformer["in_channels"]
    if channels != (vae["z_dim"], vae["z_dim"]):
        raise _refused(
            source,
            f"has a transformer from {channels[0]} to {channels[1]} channels on {vae['z_dim']}"
            " channels of latents",
        )
    if transformer["image_dim"] is not None or transformer["added_kv_proj_dim"] is not None:
        raise _refused(source, "attends to image embeddings")
    if tuple(transformer["patch_size"]) != (1, 2, 2):
        raise _refused(source, f"has patches of {tuple(transformer['patch_size'])}, not (1, 2, 2)")
    for name in ("latents_mean", "latents_std"):
        if len(vae[name]) != vae["z_dim"]:
            raise BundleError(
                f"the VAE of {source.name} has {len(vae[name])} numbers of {name} for its"
                f" {vae['z_dim']} channels: get the checkpoint again"
            )
    space = 2 ** (len(vae["dim_mult"]) - 1) * (vae["patch_size"] or 1)
    time = 2 ** sum(vae["temperal_downsample"])
    if (space, time) != (vae["scale_factor_spatial"], vae["scale_factor_temporal"]):
        raise BundleError(
            f"the VAE of {source.name} scales by {space} in space and {time} in time, and its"
            f" configuration says {vae['scale_factor_spatial']} and"
            f" {vae['scale_factor_temporal']}: mend scale_factor_spatial and scale_factor_temporal"
        )
    return transformer, vae


def _refused(source: Source, why: str) -> BundleError:
    return BundleError(f"{source.name} {why}, which is not supported yet: {_SUPPORTED}")


def _complete(model: Any, source: Source, name: str) -> dict[str, Any]:
    """A part's configuration as its class takes it, missing entries from the class."""
    part = source.part(name)
    if part.class_name != model.__name__:
        raise BundleError(
            f"{source.name} has a {name} of class {part.class_name}, not {model.__name__}:"
            f" {_SUPPORTED}"
        )
    known = list(inspect.signature(model.__init__).parameters.values())[1:]
    return {one.name: part.config.get(one.name, one.default) for one in known}
