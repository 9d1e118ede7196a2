"""The sizes that Stable Video Diffusion's networks are run with in a plan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..bundle import Bundle
from ..shapes import FLOAT, Phase, ShapeSet, filled
from .svd_plan import Plan, Traits


def component_shapes(bundle: Bundle, plan: Plan) -> dict[str, Iterator[ShapeSet]]:
    """Say what each component is run with; see `shapes.Telling`."""
    factor = Traits.of(bundle).factor
    pixels = plan.height, plan.width
    cells = plan.height // factor, plan.width // factor
    chunk = plan.decode_chunk_size
    lengths = [min(chunk, plan.num_frames - at) for at in range(0, plan.num_frames, chunk)]

    def sets(name: str, **sizes: tuple[int, ...]) -> Iterator[ShapeSet]:
        yield filled(bundle, name, sizes)

    return {
        "image_encoder": sets("image_encoder"),
        "vae_encoder": sets("vae_encoder", image=pixels),
        "denoiser": sets("denoiser", latents=(plan.num_frames, *cells)),
        "vae_decoder": (
            filled(bundle, "vae_decoder", {"latents": (length, *cells)}) for length in lengths
        ),
    }


def phases(bundle: Bundle, plan: Plan) -> tuple[Phase, ...]:
    """Say what runs one after another; see `shapes.Telling`."""
    traits = Traits.of(bundle)
    pixels = plan.height * plan.width
    latents = FLOAT * plan.num_frames * traits.channels * pixels // traits.factor**2
    # Latents, their noise, the picture's beside each, both predictions and what guidance makes.
    return (
        Phase("encode image", ("image_encoder", "vae_encoder"), pixels * 3 * (4 * FLOAT + 2)),
        Phase("denoise", ("denoiser",), 8 * latents),
        Phase(
            "decode",
            ("vae_decoder",),
            2 * latents + pixels * 3 * (plan.decode_chunk_size + 2 * FLOAT),
        ),
    )


def runs(bundle: Bundle, plan: Plan) -> dict[str, int]:
    """Say how often each component is run with a set of sizes; see `shapes.Telling`."""
    return {"denoiser": plan.steps * (2 if plan.guided else 1)}


def cuts(bundle: Bundle, plan: Plan) -> Iterator[Plan]:
    """Yield the plan with ever shorter chunks of decoding."""
    while plan.decode_chunk_size > 1:
        plan = replace(plan, decode_chunk_size=plan.decode_chunk_size // 2)
        yield plan


def settings(bundle: Bundle, plan: Plan) -> dict[str, int]:
    """Return the family settings that cut the decoding as this plan does."""
    return {"decode_chunk_size": plan.decode_chunk_size}


def rough_bytes(bundle: Bundle, plan: Plan) -> dict[str, float]:
    """Say about what activations take; see `shapes.Telling`."""
    traits = Traits.of(bundle)
    pixels = plan.height * plan.width
    return {
        "denoiser": plan.num_frames * pixels / traits.factor**2 * traits.denoised_cell,
        "vae_decoder": float(plan.decode_chunk_size * pixels * traits.decoded_pixel),
        "vae_encoder": float(pixels * traits.decoded_pixel),
    }
