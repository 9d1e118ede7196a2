"""One part of a checkpoint: its folder, configuration and weights."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..engines.errors import BundleError
from .weights import Weights, find_weights

INDEX = "model_index.json"
"""The file that names all parts of a checkpoint."""

_CONFIGS = ("config.json", "scheduler_config.json", "preprocessor_config.json")
_WITHOUT_WEIGHTS = ("tokenizer", "scheduler", "feature_extractor", "processor")
_RENAMED = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
_JSON_LIMIT = 64 * 2**20


@dataclass(frozen=True)
class Part:
    """One part of a checkpoint: a network, a tokenizer, a scheduler."""

    name: str
    """As the checkpoint names it: "transformer", "vae", "text_encoder", "scheduler", ..."""
    class_name: str
    """Class in diffusers or transformers, such as "LTXVideoTransformer3DModel"."""
    config: Mapping[str, Any]
    """Its configuration, {} where it has none."""
    weights: Weights | None
    """None for parts without weights."""
    folder: Path | None
    """None for a part of a single file."""


def open_part(folder: Path, name: str, class_name: str) -> tuple[Part, str]:
    """Open one part's folder; also returns a note, "" mostly.

    Raises:
        BundleError: the folder, its configuration or its weights are missing or broken.
    """
    if not folder.is_dir():
        raise BundleError(
            f"{folder.parent} has no folder {name}, which its {INDEX} names ({class_name}): "
            "get the whole checkpoint"
        )
    config = next((folder / file for file in _CONFIGS if (folder / file).is_file()), None)
    if any(word in name for word in _WITHOUT_WEIGHTS):
        return Part(name, class_name, read_object(config) if config else {}, None, folder), ""
    if config is None:
        raise BundleError(f"{folder} has no config.json: get the whole checkpoint")
    weights, note = find_weights(folder)
    if weights is None:
        raise BundleError(f"{folder} holds no weights (.safetensors): get the whole checkpoint")
    weights = weights.renamed({_todays_name(stored): stored for stored in weights})
    return Part(name, class_name, read_object(config), weights, folder), note


def _todays_name(name: str) -> str:
    """Return what diffusers calls a tensor now; it once said query, key, value and proj_attn."""
    match = re.fullmatch(r"(.*attentions\.\d+\.)(query|key|value|proj_attn)(\..*)", name)
    return f"{match[1]}{_RENAMED[match[2]]}{match[3]}" if match else name


def own_class(folder: Path) -> str:
    """Return the class that a part's own configuration names, "" where it names none."""
    for file, key in (
        ("config.json", "architectures"),
        ("tokenizer_config.json", "tokenizer_class"),
    ):
        if (folder / file).is_file():
            value = read_object(folder / file).get(key)
            value = value[0] if isinstance(value, list) and value else value
            if isinstance(value, str):
                return value
    return ""


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file.

    Raises:
        BundleError: it cannot be read or is no object.
    """
    try:
        if path.stat().st_size > _JSON_LIMIT:
            raise ValueError("too large")
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BundleError(f"{path} cannot be read ({error.strerror or error})") from None
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path} is broken JSON ({error}): get the file again") from None
    if not isinstance(value, dict):
        raise BundleError(f"{path} holds no JSON object: get the file again")
    return value
