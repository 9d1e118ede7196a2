"""What the modules of a denoiser are called by those who train LoRAs for it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from .weights import Weights

_DENOISERS = ("transformer", "unet")
_PREFIXES = (
    "base_model.model.",
    "model.diffusion_model.",
    "diffusion_model.",
    "transformer.",
    "unet.",
    "lora_unet_",
    "lora_transformer_",
    "lycoris_",
)
_TEXT_PREFIXES = ("text_encoder.", "lora_te_", "lora_te1_")

_LTX = (
    (r"^proj_in\b", "patchify_proj"),
    (r"^time_embed\b", "adaln_single"),
    (r"\bnorm_q\b", "q_norm"),
    (r"\bnorm_k\b", "k_norm"),
)
_WAN = (
    (r"^condition_embedder\.time_embedder\.linear_1\b", "time_embedding.0"),
    (r"^condition_embedder\.time_embedder\.linear_2\b", "time_embedding.2"),
    (r"^condition_embedder\.text_embedder\.linear_1\b", "text_embedding.0"),
    (r"^condition_embedder\.text_embedder\.linear_2\b", "text_embedding.2"),
    (r"^condition_embedder\.time_proj\b", "time_projection.1"),
    (r"^condition_embedder\.image_embedder\.norm1\b", "img_emb.proj.0"),
    (r"^condition_embedder\.image_embedder\.ff\.net\.0\.proj\b", "img_emb.proj.1"),
    (r"^condition_embedder\.image_embedder\.ff\.net\.2\b", "img_emb.proj.3"),
    (r"^condition_embedder\.image_embedder\.norm2\b", "img_emb.proj.4"),
    (r"^proj_out\b", "head.head"),
    (r"^scale_shift_table$", "head.modulation"),
    (r"\.scale_shift_table$", ".modulation"),
    (r"\.norm2\b", ".norm3"),  # of the cross attention; the original counts all three
    (r"\.ffn\.net\.0\.proj\b", ".ffn.0"),
    (r"\.ffn\.net\.2\b", ".ffn.2"),
    (r"\.attn1\.", ".self_attn."),
    (r"\.attn2\.", ".cross_attn."),
    (r"\.to_([qkv])\b", r".\1"),
    (r"\.to_out\.0\b", ".o"),
    (r"\.add_([kv])_proj\b", r".\1_img"),
    (r"\.norm_added_k\b", ".norm_k_img"),
)
"""diffusers' words -> the original's, after `convert_wan_to_diffusers` (Apache-2.0)."""


class Names:
    """The tensors of a checkpoint under all names that they go by."""

    def __init__(self, parts: Mapping[str, Weights]) -> None:
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._denoiser: dict[str, str] = {}
        self._text: dict[str, str] = {}
        for part, weights in parts.items():
            names = self._denoiser if part in _DENOISERS else self._text
            if part not in (*_DENOISERS, "text_encoder"):
                continue
            for name in weights:
                self._shapes[name] = weights.shape(name)
                names |= {name: name, _flat(name): name}
        for name in list(self._denoiser.values()):
            for alias in _aliases(name):  # never in place of a real name
                self._denoiser.setdefault(alias, name)
                self._denoiser.setdefault(_flat(alias), name)

    def find(self, module: str, leaves: Iterable[str]) -> str | None:
        """Return the tensor that is the first of `leaves` of a module as a LoRA calls it."""
        names = self._denoiser
        if module.startswith(_TEXT_PREFIXES):
            names, module = self._text, _without(module, _TEXT_PREFIXES)
        else:
            while (shorter := _without(module, _PREFIXES)) != module:
                module = shorter
        module = module.replace(".processor.", ".")
        for leaf in leaves:
            name = f"{module}.{leaf}" if leaf else module
            if found := names.get(name) or names.get(_flat(name)):
                return found
        return None

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor that `find` gave."""
        return self._shapes[name]


def _aliases(name: str) -> Iterator[str]:
    """Yield what the originals call a denoiser's tensor."""
    for words in (_LTX, _WAN):
        other = name
        for pattern, word in words:
            other = re.sub(pattern, word, other)
        if other != name:
            yield other


def _flat(name: str) -> str:
    """Return a name as kohya's scripts write it."""
    return name.replace(".", "_")


def _without(name: str, prefixes: Iterable[str]) -> str:
    prefix = next((prefix for prefix in prefixes if name.startswith(prefix)), "")
    return name.removeprefix(prefix)
