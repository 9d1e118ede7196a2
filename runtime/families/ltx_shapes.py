"""The sizes that LTX-Video's networks are run with in a plan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from math import prod

from ..bundle import Bundle
from ..decode import COLOURS, LEAST_TILE, LEAST_WINDOW, spans
from ..shapes import FLOAT, Phase, ShapeSet, filled, text_shapes
from .ltx_plan import Plan, Traits
from .ltx_stages import cut

_TOKENS, _WORDS = ("latents", "timestep", "coords"), ("text", "text_mask")
"""Inputs of the denoiser that are as long as there are tokens of the film, and of the prompt."""


def component_shapes(bundle: Bundle, plan: Plan) -> dict[str, Iterable[ShapeSet]]:
    """Say what each component is run with; see `shapes.Telling`."""
    traits = Traits.of(bundle)
    told: dict[str, Iterable[ShapeSet]] = {
        "vae_encoder": _encoder(bundle, plan),
        "denoiser": _denoiser(bundle, plan, traits),
        "vae_decoder": _decoder(bundle, plan, traits),
    }
    if "text_encoder" in bundle.components:
        told["text_encoder"] = text_shapes(bundle, plan.max_sequence_length)
    return told


def _encoder(bundle: Bundle, plan: Plan) -> Iterator[ShapeSet]:
    yield filled(bundle, "vae_encoder", {"image": (plan.height, plan.width)})


def _denoiser(bundle: Bundle, plan: Plan, traits: Traits) -> Iterator[ShapeSet]:
    frames, rows, columns = plan.latent_size(traits.decoder)
    tokens = ((frames + (plan.last_image is not None)) * rows * columns,)
    words = (plan.max_sequence_length,)
    yield filled(bundle, "denoiser", dict.fromkeys(_TOKENS, tokens) | dict.fromkeys(_WORDS, words))


def _decoder(bundle: Bundle, plan: Plan, traits: Traits) -> Iterator[ShapeSet]:
    size = plan.latent_size(traits.decoder)
    pieces = cut(bundle, traits, plan)
    for start, stop in spans(size[0], pieces.window, pieces.shared_frames):
        for top, bottom in spans(size[1], pieces.rows, pieces.shared_rows):
            for left, right in spans(size[2], pieces.columns, pieces.shared_columns):
                cells = bottom - top, right - left
                free = {"latents": (stop - start, *cells), "maps": cells}
                yield filled(bundle, "vae_decoder", free)


def phases(bundle: Bundle, plan: Plan) -> tuple[Phase, ...]:
    """Say what runs one after another; see `shapes.Telling`."""
    traits = Traits.of(bundle)
    size = plan.latent_size(traits.decoder)
    latents = FLOAT * traits.channels * prod(size)
    pixels = plan.height * plan.width
    caption = filled(bundle, "denoiser", dict.fromkeys(_TOKENS + _WORDS, (1,)))["text"][-1]
    texts = FLOAT * caption * plan.max_sequence_length * (2 if plan.guidance > 1.0 else 1)
    drawn = plan.steps if plan.schedule.noise_weights.any() else 0
    drawn += plan.steps if plan.image_cond_noise_scale > 0 else 0
    pieces = cut(bundle, traits, plan)
    # Pictures that two windows share, and a window's while its tiles are put together.
    picture = FLOAT * COLOURS * traits.decoder.time * traits.decoder.space**2 * size[1] * size[2]
    joined = pieces.shared_frames if pieces.window < size[0] else 0
    if (pieces.rows, pieces.columns) != size[1:]:
        joined += pieces.window
    return (
        Phase("text", ("text_encoder",), texts),
        Phase("encode image", ("vae_encoder",), texts + 2 * latents + pixels * 3 * (4 * FLOAT + 1)),
        Phase("denoise", ("denoiser",), texts + (8 + drawn) * latents),
        Phase("decode", ("vae_decoder",), 3 * latents + picture * joined),
    )


def runs(bundle: Bundle, plan: Plan) -> dict[str, int]:
    """Say how often each component is run with a set of sizes; see `shapes.Telling`."""
    prompts = 2 if plan.guidance > 1.0 else 1
    pictures = 1 if plan.last_image is None else 2
    return {"text_encoder": prompts, "vae_encoder": pictures, "denoiser": plan.steps * prompts}


def cuts(bundle: Bundle, plan: Plan) -> Iterator[Plan]:
    """Yield the plan with ever smaller pieces of decoding: shorter ones, then smaller ones."""
    traits = Traits.of(bundle)
    pieces = cut(bundle, traits, plan)
    window, tile = max(pieces.window, 2), max(pieces.rows, pieces.columns)
    while window > LEAST_WINDOW:
        window = max(window // 2, LEAST_WINDOW)
        yield replace(plan, decode_window=window, decode_tile=tile)
    while tile > LEAST_TILE:
        tile = max(tile * 3 // 4, LEAST_TILE)
        yield replace(plan, decode_window=window, decode_tile=tile)


def settings(bundle: Bundle, plan: Plan) -> dict[str, int]:
    """Return the family settings that cut the decoding as this plan does."""
    found = {}
    if plan.decode_window is not None:
        found["decode_window"] = plan.decode_window
    if plan.decode_tile is not None:  # cells there, pixels here
        found["decode_tile"] = plan.decode_tile * Traits.of(bundle).decoder.space
    return found


def rough_bytes(bundle: Bundle, plan: Plan) -> dict[str, float]:
    """Say about what activations take; see `shapes.Telling`."""
    traits = Traits.of(bundle)
    size = plan.latent_size(traits.decoder)
    pieces = cut(bundle, traits, plan)
    cell = traits.decoder.cell_bytes
    return {
        "denoiser": float(traits.token_bytes * prod(size)),
        "vae_decoder": float(cell * pieces.window * pieces.rows * pieces.columns),
        "vae_encoder": float(cell * size[1] * size[2]),
    }
