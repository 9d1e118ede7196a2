"""The sizes that Wan's networks are run with in a plan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from ..bundle import Bundle
from ..causal_decode import MEMORY
from ..shapes import FLOAT, Phase, ShapeSet, filled, text_shapes
from .wan import LEAST_TILE, choose_tile
from .wan_plan import Plan, Traits, noise_shapes

_FREE = ("latents", "token_level", "rotary_cos", "rotary_sin")
"""Inputs of the denoiser that are as long as there are tokens."""


def component_shapes(bundle: Bundle, plan: Plan) -> dict[str, Iterable[ShapeSet]]:
    """Say what each component is run with; see `shapes.Telling`."""
    traits = Traits.of(bundle)
    latents = noise_shapes(bundle, plan)["latents"]
    told: dict[str, Iterable[ShapeSet]] = {
        "vae_encoder": _encoder(bundle, plan),
        "denoiser": _denoiser(bundle, plan, traits, latents),
        "vae_decoder": _decoder(bundle, plan, traits, latents),
    }
    if "text_encoder" in bundle.components:
        told["text_encoder"] = text_shapes(bundle, plan.max_sequence_length)
    return told


def _encoder(bundle: Bundle, plan: Plan) -> Iterator[ShapeSet]:
    yield filled(bundle, "vae_encoder", {"image": (plan.height, plan.width)})


def _denoiser(
    bundle: Bundle, plan: Plan, traits: Traits, latents: tuple[int, ...]
) -> Iterator[ShapeSet]:
    tokens = (int(np.prod(latents[2:])) // int(np.prod(traits.patch)),)
    free = dict.fromkeys(_FREE, tokens) | {"text": (plan.max_sequence_length,)}
    yield filled(bundle, "denoiser", free)


def _decoder(
    bundle: Bundle, plan: Plan, traits: Traits, latents: tuple[int, ...]
) -> Iterator[ShapeSet]:
    tile = choose_tile(bundle, latents, plan, traits)
    *_, rows, columns = latents
    stride = max(rows, columns) if tile is None else max(tile * 3 // 4, 1)
    most = stride if tile is None else tile
    inputs = [str(p["name"]) for p in bundle.section("components")["vae_decoder"]["inputs"]]
    caches = [name for name in inputs if name not in ("latents", "first")]
    for top in range(0, rows, stride):
        for left in range(0, columns, stride):
            size = min(most, rows - top), min(most, columns - left)
            free = {
                name: (size[0] * scale, size[1] * scale)
                for name, (_, scale) in zip(caches, traits.caches, strict=True)
            }
            yield filled(bundle, "vae_decoder", {"latents": size, **free})


def phases(bundle: Bundle, plan: Plan) -> tuple[Phase, ...]:
    """Say what runs one after another; see `shapes.Telling`."""
    traits = Traits.of(bundle)
    shape = noise_shapes(bundle, plan)["latents"]
    latents = FLOAT * int(np.prod(shape))
    pixels = plan.height * plan.width
    texts = _texts(bundle, plan)
    tile = choose_tile(bundle, shape, plan, traits)
    decoded = 2 * latents
    if tile is not None:
        # The film as it grows, and the last row of tiles to fade into.
        shared = tile - max(tile * 3 // 4, 1)
        row = plan.width * (tile + 2 * shared) * traits.space
        decoded += 3 * plan.num_frames * (pixels + row * FLOAT)
    drawn = 1 + (plan.steps if plan.schedule.noise_weights.any() else 0)
    return (
        Phase("text", ("text_encoder",), texts),
        Phase("encode image", ("vae_encoder",), texts + pixels * 3 * (4 * FLOAT + 1)),
        Phase("denoise", ("denoiser",), texts + (8 + drawn) * latents),
        Phase("decode", ("vae_decoder",), decoded),
    )


def runs(bundle: Bundle, plan: Plan) -> dict[str, int]:
    """Say how often each component is run with a set of sizes; see `shapes.Telling`."""
    prompts = 2 if plan.guidance > 1.0 else 1
    return {
        "text_encoder": prompts,
        "denoiser": plan.steps * prompts,
        "vae_decoder": noise_shapes(bundle, plan)["latents"][2],  # one run a latent frame
    }


def cuts(bundle: Bundle, plan: Plan) -> Iterator[Plan]:
    """Yield the plan with ever smaller tiles of decoding."""
    traits = Traits.of(bundle)
    shape = noise_shapes(bundle, plan)["latents"]
    tile = choose_tile(bundle, shape, plan, traits) or max(shape[3:])
    for cells in (256, 192, 128, 96, 64):
        cells //= traits.space
        if LEAST_TILE <= cells < tile:
            plan = replace(plan, decode_tile=cells * traits.space)
            yield plan


def settings(bundle: Bundle, plan: Plan) -> dict[str, int]:
    """Return the family settings that cut the decoding as this plan does."""
    return {} if plan.decode_tile is None else {"decode_tile": plan.decode_tile}


def rough_bytes(bundle: Bundle, plan: Plan) -> dict[str, float]:
    """Say about what activations take; see `shapes.Telling`."""
    traits = Traits.of(bundle)
    shape = noise_shapes(bundle, plan)["latents"]
    tile = choose_tile(bundle, shape, plan, traits)
    rows, columns = (min(size, tile or size) for size in shape[3:])
    values = sum(channels * scale**2 for channels, scale in traits.caches) * MEMORY
    tokens = float(np.prod(shape[2:])) / float(np.prod(traits.patch))
    return {
        "denoiser": tokens * traits.token_bytes,
        "vae_decoder": 4.0 * FLOAT * values * rows * columns,
        "vae_encoder": 1.0 * FLOAT * values * shape[3] * shape[4],
    }


def _texts(bundle: Bundle, plan: Plan) -> int:
    """Bytes of the prompts' embeddings."""
    text = filled(bundle, "denoiser", dict.fromkeys(_FREE, (1,)) | {"text": (1,)})["text"]
    return FLOAT * text[-1] * plan.max_sequence_length * (2 if plan.guidance > 1.0 else 1)
