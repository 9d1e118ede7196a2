"""Which layers stay as they are when a network is quantised: a short table, the reason in each row.

A row is tried on components and layers by their names, `*` standing for anything, and for the
precisions it names. What is measured against it is in `quality`.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

import onnx_ir as ir

from .layers import Layer

FOUR_BITS = ("int4", "nvfp4")
WITH_ACTIVATIONS = ("int8", "fp8")
QUANTISING = (*WITH_ACTIVATIONS, *FOUR_BITS)


@dataclass(frozen=True)
class Keep:
    """One row: what stays, and why."""

    component: str
    layer: str
    reason: str
    precisions: tuple[str, ...] = ()
    """For which; empty for all that quantise."""

    def __str__(self) -> str:
        return f"{self.component}/{self.layer}"


_TIME = "a few rows a step, and every block is steered by them"
_FIRST = "sees the latents themselves: few weights, and no later layer mends their error"
_LAST = "its error goes straight into the result: few weights"
_TEXT = "runs on the prompt alone, and every block reads it"
_PIXELS = "its error is seen in every pixel"

# Weights of video models were random where this was measured, which proves little: the signal to
# noise of a tiny network with one layer in int8, against the median of other layers, each alone.
# LTX: its decoder's conv_in 33 dB and conv_out 40 against 40, its encoder's 32 and 38 against 42,
# its denoiser's time and caption layers 58 to 67 against 67. Wan: proj_out 37, patch_embedding 39,
# text_embedder 41 and time 52 against 59; its encoder's conv_in and conv_out 37 and 45 against 54,
# its decoder's 44 and 41 against 60.
KEEP: dict[str, tuple[Keep, ...]] = {
    "ltx": (
        Keep("denoiser", "proj_in", _FIRST),
        Keep("denoiser", "proj_out", _LAST),
        Keep("denoiser", "time_embed.*", _TIME),
        Keep("denoiser", "caption_projection.*", _TEXT),
        Keep("vae_*coder", "*conv_in.conv", _FIRST),
        Keep("vae_*coder", "*conv_out.conv", _PIXELS),
        Keep("vae_*coder", "*time_embedder.*", _TIME),
    ),
    "wan": (
        Keep("denoiser", "*patch_embedding", _FIRST),
        Keep("denoiser", "*proj_out", _LAST),
        Keep("denoiser", "*condition_embedder.time*", _TIME),
        Keep("denoiser", "*condition_embedder.text_embedder.*", _TEXT),
        Keep("vae_*coder*", "*coder.conv_in", _FIRST),
        Keep("vae_*coder*", "*coder.conv_out", _PIXELS),
    ),
    "svd": (
        Keep("denoiser", "conv_in", _FIRST),
        Keep("denoiser", "conv_out", _LAST),
        Keep("denoiser", "*time_embedding.*", _TIME),
        Keep("denoiser", "*add_embedding.*", _TIME),
        Keep("denoiser", "*time_emb_proj", _TIME),
        Keep("denoiser", "*time_pos_embed.*", _TIME),
        Keep("vae_*coder", "*coder.conv_in", _FIRST),
        Keep("vae_*coder", "*conv_out", _PIXELS),
        Keep("image_encoder", "*patch_embedding", _FIRST),
        Keep("image_encoder", "visual_projection", _LAST),
    ),
    # Measured by frames against float32 on trained weights, the worst of three photos, with the row
    # alone quantised to int8 by benchmarks/quantise_quality.py's means; all others together: 46 dB.
    "ember": (
        Keep(
            "subject",
            "*",
            "int8 weights alone bring the frames to 28 dB, fp8 to 39 dB: 119 convolutions in a row,"
            " and what they find is where motion stops",
        ),
        Keep("depth", "*", "three bits of mantissa bring the frames to 35 dB", ("fp8",)),
        Keep("faces", "*", "49.8 dB, for 0.05 MB: its scores decide what holds still"),
        Keep("denoiser", "condition", "52.5 dB, for 15 thousand weights that see the maps"),
        Keep("denoiser", "take", "58.6 dB, for 4 thousand weights that see the latents"),
        Keep("maps", "encoder.layers.0", "57.4 dB, for 432 weights that see the picture"),
    ),
}
"""By family."""


def why_kept(family: str, component: str, layer: Layer, precision: str) -> Keep | None:
    """Return the row that keeps a layer, None where it is to be quantised."""
    if layer.groups > 1:
        return Keep("*", "grouped convolutions", "few weights for what they read and write")
    for row in KEEP.get(family, ()):
        if (
            fnmatchcase(component, row.component)
            and fnmatchcase(layer.name, row.layer)
            and (not row.precisions or precision in row.precisions)
        ):
            return row
    return None


_SUMS = Keep("text_encoder", "*.wo", "its sums pass 65504 (transformers keeps it too)", ("fp16",))

FLOAT32: dict[str, tuple[Keep, ...]] = {
    "ltx": (_SUMS,),
    "wan": (_SUMS,),
    # Measured as above.
    "ember": (Keep("subject", "*", "8 bits of mantissa bring the frames to 35 dB", ("bf16",)),),
}
"""What stays in float32 where a float32 graph is brought to half precision, by family."""


def why_float32(
    family: str, component: str, layer: Layer, dtype: ir.DataType | None
) -> Keep | None:
    """Return the row that keeps a layer in float32, None where half precision will do."""
    name = "bf16" if dtype == ir.DataType.BFLOAT16 else "fp16"
    for row in FLOAT32.get(family, ()):
        if (
            fnmatchcase(component, row.component)
            and fnmatchcase(layer.name, row.layer)
            and name in row.precisions
        ):
            return row
    return None
