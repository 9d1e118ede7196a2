"""LoRA files: what they add to the weights, computed for one tensor at a time.

A low-rank pair adds `scale * alpha / rank * up @ down` (Hu et al., "LoRA"); a full difference
(`.diff`, `.diff_b`, `.diff_m`) adds itself times the scale. Read are the names of kohya's scripts
(`lora_unet_..`, `lora_down`, `lora_up`, `alpha`), of peft and diffusers (`lora_A`, `lora_B`, with
alpha in the metadata), and the original names of LTX-Video and Wan below `diffusion_model.`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..engines.errors import BundleError
from .lora_names import Names
from .part import Part
from .weights import Weights

_PAIR = re.compile(
    r"(.+?)[._]lora[._](A|B|down|up)(?:\.(?!weight$|bias$)[^.]+)?\.(weight|bias)", re.DOTALL
)
_OTHER = re.compile(r"(.+)\.(alpha|diff|diff_b|diff_m)", re.DOTALL)
_DIFFERENCES = {"diff": ("weight", ""), "diff_b": ("bias",), "diff_m": ("modulation",)}
_UNKNOWN_KINDS = ("hada_", "lokr_", "lora_mid", "dora_scale", "oft_", "glora", "magnitude_vector")
_METADATA = "lora_adapter_metadata"


@dataclass
class _Change:
    """What one file adds to one tensor."""

    file: Weights
    scale: float
    keys: list[str] = field(default_factory=list)
    up: str = ""
    down: str = ""
    alpha: str = ""
    told_alpha: float | None = None
    rooted: bool = False
    """Divided by the root of the rank instead (peft's rslora)."""
    whole: str = ""
    """A tensor added as it is; as a pair's bias it has the pair's factor, else only the scale."""

    def factor(self) -> float:
        """Return scale * alpha / rank."""
        if not self.down:
            return self.scale
        rank = self.file.shape(self.down)[0]
        alpha = self.told_alpha if self.told_alpha is not None else float(rank)
        if self.alpha:
            alpha = float(self.file.read(self.alpha).astype(np.float32).reshape(-1)[0])
        return self.scale * alpha / (math.sqrt(rank) if self.rooted else rank)

    def value(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return what is added, float32 of that shape."""
        if self.whole:
            whole = self.file.read(self.whole).astype(np.float32)
            whole *= np.float32(self.factor())
            return whole.reshape(shape)
        up = self.file.read(self.up).astype(np.float32)
        down = self.file.read(self.down).astype(np.float32)
        up *= np.float32(self.factor())
        return (up.reshape(shape[0], -1) @ down.reshape(down.shape[0], -1)).reshape(shape)


class Loras:
    """Some LoRA files over one checkpoint."""

    def __init__(self, changes: Mapping[str, list[_Change]], unused: Iterable[str]) -> None:
        self._changes = dict(changes)
        self._unused = tuple(unused)

    @classmethod
    def open(cls, files: Iterable[tuple[str | Path, float]], parts: Mapping[str, Part]) -> Loras:
        """Read the headers of LoRA files and find the tensors that they change.

        Raises:
            BundleError: a file is missing, broken, of an unknown kind, made for another model, or
                for another size of this one.
        """
        names = Names(
            {name: part.weights for name, part in parts.items() if part.weights is not None}
        )
        changes: dict[str, list[_Change]] = {}
        unused: list[str] = []
        for path, scale in files:
            found, left = _open(Path(path), scale, names)
            unused += left
            for target, added in found.items():
                changes.setdefault(target, []).extend(added)
        return cls(changes, unused)

    def delta(self, name: str, shape: tuple[int, ...]) -> np.ndarray | None:
        """Return what is added to a tensor, float32 of its shape, or None for nothing.

        `name` is as in the checkpoint: "transformer_blocks.0.attn1.to_q.weight".
        """
        total = None
        for change in self._changes.get(name, ()):
            value = change.value(tuple(shape))
            total = value if total is None else np.add(total, value, out=total)
            change.file.release()
        return total

    def names(self) -> list[str]:
        """Return the tensors of the checkpoint that are changed."""
        return list(self._changes)

    def unused(self) -> tuple[str, ...]:
        """Return the tensors of the files that fit nothing in the checkpoint."""
        return self._unused


def _open(path: Path, scale: float, names: Names) -> tuple[dict[str, list[_Change]], list[str]]:
    """Return (tensor of the checkpoint -> what the file adds, tensors that fit nothing)."""
    file = Weights.open(path)
    told = _adapter(path, file)
    changes: dict[tuple[str, bool], _Change] = {}  # by tensor, and whether a whole one is added
    unused, alphas = [], []
    for key in file:
        if any(kind in key for kind in _UNKNOWN_KINDS):
            raise BundleError(
                f"{path}: {key!r} is of a kind that cannot be fused (only plain LoRA and "
                "differences can): get a plain LoRA"
            )
        if pair := _PAIR.fullmatch(key):
            target, role = names.find(pair[1], (pair[3],)), pair[2]
        elif other := _OTHER.fullmatch(key):
            if other[2] == "alpha":
                alphas.append((key, other[1]))
                continue
            target, role = names.find(other[1], _DIFFERENCES[other[2]]), "whole"
        else:
            target, role = None, ""
        if target is None:
            unused.append(key)
            continue
        whole = pair is None or pair[3] == "bias"
        change = changes.setdefault((target, whole), _Change(file, scale))
        change.keys.append(key)
        if whole:
            change.whole = key
        else:
            setattr(change, "down" if role in ("A", "down") else "up", key)
        if pair:
            change.told_alpha, change.rooted = _told_alpha(told, pair[1])
            if whole:  # the bias of peft's lora_B, to which its weights' factor applies
                down = key.replace("lora_B", "lora_A").removesuffix("bias") + "weight"
                change.down = down if down in file else ""
    for key, base in alphas:
        target = names.find(base, ("weight",))
        if target is not None and (target, False) in changes:
            changes[target, False].alpha = key
            changes[target, False].keys.append(key)
        else:
            unused.append(key)
    found: dict[str, list[_Change]] = {}
    for (target, whole), change in changes.items():
        if not whole and not (change.up and change.down):
            unused += change.keys
            continue
        _check(path, change, target, names.shape(target))
        found.setdefault(target, []).append(change)
    if not found:
        example = f" (such as {unused[0]!r})" if unused else ""
        raise BundleError(
            f"{path}: none of its {len(file)} tensors{example} fits this checkpoint: "
            "it was made for another model"
        )
    return found, unused


def _check(path: Path, change: _Change, target: str, shape: tuple[int, ...]) -> None:
    """Raise BundleError where a change has not the size of what it changes."""
    if change.whole:
        fits = math.prod(change.file.shape(change.whole)) == math.prod(shape)
        said = f"{list(change.file.shape(change.whole))}"
    else:
        up, down = change.file.shape(change.up), change.file.shape(change.down)
        fits = (
            len(up) >= 2
            and len(down) >= 2
            and up[0] == shape[0]
            and math.prod(up[1:]) == down[0]
            and up[0] * math.prod(down[1:]) == math.prod(shape)
        )
        said = f"{list(up)} by {list(down)}"
    if not fits:
        raise BundleError(
            f"{path}: {change.keys[0]!r} ({said}) does not fit {target!r} of shape {list(shape)}: "
            "it was made for another size of this model"
        )


def _adapter(path: Path, file: Weights) -> dict[str, Any]:
    """Return what the metadata, or peft's adapter_config.json beside, says of rank and alpha."""
    beside = path.parent / "adapter_config.json"
    text = file.metadata.get(_METADATA, "")
    if not text and path.name == "adapter_model.safetensors" and beside.is_file():
        text = beside.read_text(encoding="utf-8", errors="replace")
    try:
        told = json.loads(text or "{}")
    except (ValueError, RecursionError):
        raise BundleError(f"{path}: its adapter's configuration is broken JSON") from None
    if not isinstance(told, dict):
        return {}
    if any(name.endswith("use_dora") and value for name, value in told.items()):
        raise BundleError(f"{path} is a DoRA, which cannot be fused: get a plain LoRA")
    return told


def _told_alpha(told: Mapping[str, Any], base: str) -> tuple[float | None, bool]:
    """Return (alpha, rslora) that a configuration gives a module, alpha None where it does not."""
    for prefix in ("transformer.", "unet.", "text_encoder.", ""):
        if prefix and not base.startswith(prefix):
            continue
        module = base.removeprefix(prefix).removeprefix("base_model.model.")
        alpha = told.get(f"{prefix}lora_alpha")
        pattern = told.get(f"{prefix}alpha_pattern")
        for name, value in pattern.items() if isinstance(pattern, dict) else ():
            if re.fullmatch(rf"(.*\.)?({name})", module):  # as peft matches them
                alpha = value
        if isinstance(alpha, int | float):
            return float(alpha), bool(told.get(f"{prefix}use_rslora", False))
    return None, False
