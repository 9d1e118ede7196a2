"""A checkpoint that is one safetensors file in LTX's original layout (2B, 0.9.0 to 0.9.8)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..engines.errors import BundleError
from .licence import find_file_licence, spdx
from .original_ltx import transformer_config, transformer_name, vae_layout
from .part import Part
from .source import Source
from .weights import Weights

_PREFIX = "model.diffusion_model."
_VAE_PREFIX = "vae."
_SCALES = ("scale_weight", "weight_scale", "scale_input", "input_scale")
_SCHEDULER = {
    "_class_name": "FlowMatchEulerDiscreteScheduler",
    "num_train_timesteps": 1000,
    "shift": 1.0,
    "use_dynamic_shifting": True,
    "base_shift": 0.95,
    "max_shift": 2.05,
    "base_image_seq_len": 1024,
    "max_image_seq_len": 4096,
    "shift_terminal": 0.1,
}
"""As in the diffusers form of the published checkpoints."""


def open_single_file(path: Path) -> Source:
    """Open a single file; its family is still to be found.

    It has no text encoder and no tokenizer. Its scheduler is that of the published checkpoints,
    with the file's own "allowed_inference_steps" (noise levels of a distilled checkpoint, 0 to 1)
    where it has them.

    Raises:
        BundleError: the file is broken, or holds something else than LTX-Video.
    """
    weights = Weights.open(path)
    told = _metadata(path, weights)
    inner = {name.removeprefix(_PREFIX): name for name in weights if _is_transformer(name)}
    outer = {
        name.removeprefix(_VAE_PREFIX): name for name in weights if name.startswith(_VAE_PREFIX)
    }
    if "patchify_proj.weight" not in inner:
        raise BundleError(
            f"{path} is not LTX-Video in its original layout (no patchify_proj.weight): give a "
            "diffusers folder, or an ltxv-2b .safetensors file"
        )
    if any(name.endswith(_SCALES) for name in inner):
        raise BundleError(f"{path} holds scaled 8-bit weights: get the bf16 file instead")
    if not outer:
        raise BundleError(f"{path} holds a transformer but no VAE: get the whole checkpoint")
    try:
        transformer = _transformer(weights, inner, told)
        vae = _vae(weights, outer, told)
    except BundleError as error:
        raise BundleError(f"{path}: {error}") from None
    scheduler: dict[str, Any] = dict(_SCHEDULER)
    if isinstance(steps := told.get("allowed_inference_steps"), list):
        scheduler["allowed_inference_steps"] = steps
    licence = find_file_licence(path)
    stated = spdx(weights.metadata.get("license", weights.metadata.get("modelspec.license", "")))
    shuffled = vae.config["down_block_types"][0] != "LTXVideoDownBlock3D"  # from 0.9.5 on
    return Source(
        name=path.stem,
        family="",
        pipeline="LTXConditionPipeline" if shuffled else "LTXImageToVideoPipeline",
        parts={
            "transformer": transformer,
            "vae": vae,
            "scheduler": Part("scheduler", str(scheduler["_class_name"]), scheduler, None, None),
        },
        license=stated or licence.expression,
        license_files=licence.files,
        origin=path.name,
        notes=() if stated else licence.notes,
    )


def _is_transformer(name: str) -> bool:
    return name.startswith(_PREFIX) or not name.startswith((_VAE_PREFIX, "model.", "text_enc"))


def _transformer(weights: Weights, inner: Mapping[str, str], told: Mapping[str, Any]) -> Part:
    """Return the transformer: `inner` is its name in the original -> name in the file."""
    renamed = weights.renamed({transformer_name(name): stored for name, stored in inner.items()})
    said = _object(told, "transformer")
    config = transformer_config({name: renamed.shape(name) for name in renamed}, said)
    return Part("transformer", config["_class_name"], config, renamed, None)


def _vae(weights: Weights, outer: Mapping[str, str], told: Mapping[str, Any]) -> Part:
    """Return the VAE: `outer` is its name in the original -> name in the file."""
    shapes = {name: weights.shape(stored) for name, stored in outer.items()}
    names, config = vae_layout(shapes, _object(told, "vae"))
    renamed = weights.renamed({new: outer[old] for new, old in names.items()})
    return Part("vae", config["_class_name"], config, renamed, None)


def _metadata(path: Path, weights: Weights) -> dict[str, Any]:
    """Return the configuration in the file's metadata, {} where it has none."""
    try:
        told = json.loads(weights.metadata.get("config", "{}"))
    except (ValueError, RecursionError):
        raise BundleError(
            f"{path}: the config in its metadata is broken JSON: get the file again"
        ) from None
    return told if isinstance(told, dict) else {}


def _object(told: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = told.get(name)
    return value if isinstance(value, dict) else {}
