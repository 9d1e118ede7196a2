"""Wan 2.2 TI2V: the picture as the first frame's latents, a timestep of its own for each token.

Wherever the denoiser looks, the first latent frame is the picture, told to be free of noise; the
others are carried from noise to data. All of it happens on tokens, patches of 1 x 2 x 2 latents.

Follows diffusers' WanImageToVideoPipeline with `expand_timesteps`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...engines.device import Device
from ..ahead import drawn_ahead
from ..bundle import Bundle
from ..causal_decode import MEMORY, decode_chunks, decode_tiles, to_pixels
from ..denoise import denoise
from ..finite import check_finite
from ..length import Capabilities
from ..noise import Noise
from ..resident import walk_or
from ..shrink import draw_in_pieces
from ..stages import Stages
from ..text import Text
from ..windows import Link
from .wan_plan import SETTINGS, Plan, Traits, noise_shapes, plan
from .wan_resident import walk
from .wan_tokens import from_tokens, rotary_tables, to_tokens

__all__ = ["SETTINGS", "Plan", "capabilities", "frames", "noise_shapes", "plan"]

TILE = 256
"""Pixels a side to a tile of the decoding, as in the reference."""
LEAST_TILE = 4
"""Latent pixels a side below which no tile goes."""
ALWAYS_THERE = 2**30
"""Bytes that decoding may take however small the denoiser is."""
HANDED_ON = 3
"""Latent frames of a window that the next one begins with: about half a second."""

Array: TypeAlias = NDArray[np.float32]
Pixels: TypeAlias = NDArray[np.uint8]


def capabilities(bundle: Bundle) -> Capabilities:
    """Say how windows join: the last latents of one are told to be clean in the next.

    No picture can be held at the end: a last latent frame stands for several pictures, and the
    encoder in a bundle makes latents of one, as the first latent frame is.
    """
    return Capabilities(HANDED_ON, Traits.of(bundle).time)


def frames(
    bundle: Bundle,
    picture: Pixels,
    plan: Plan,
    *,
    prompt: str | None,
    negative_prompt: str | None,
    noise: Noise,
    device: Device | str,
    stages: Stages,
    link: Link | None = None,
) -> Iterator[Pixels]:
    """Yield the plan's frames of a picture, uint8 (height, width, 3), as they are decoded."""
    traits = Traits.of(bundle)
    guided = plan.guidance > 1.0
    with stages.stage("text"):
        prompts = [prompt or "", negative_prompt or ""] if guided else [prompt or ""]

        def embed() -> list[Array]:
            embedded = Text(bundle, device).embed_many(prompts, plan.max_sequence_length)
            return [embeddings for embeddings, _ in embedded]

        texts = embed() if link is None else link.once("texts", embed)
    with stages.stage("encode image"):
        condition = encode_picture(bundle, picture, traits, device=device)
        if link is not None and link.held is not None:
            before = link.held.transpose(1, 0, 2, 3)[None]
            condition = np.concatenate([condition, before], axis=2)
    with stages.stage("denoise"):
        shape = noise_shapes(bundle, plan)["latents"]
        latents = sample(
            bundle, noise, shape, condition, texts, plan, traits, device=device, stages=stages
        )
    if link is not None:
        link.keep(latents[0].transpose(1, 0, 2, 3))
    decoded = decode(bundle, latents, plan, traits, device=device, stages=stages)
    for done in range(plan.num_frames):
        start, others = time.perf_counter(), stages.total
        frame = next(decoded)
        stages.add("decode", time.perf_counter() - start - (stages.total - others))
        stages.tell("decode", done + 1, plan.num_frames)
        yield frame


def encode_picture(
    bundle: Bundle, picture: Pixels, traits: Traits, *, device: Device | str
) -> Array:
    """Return a picture's latents, normalised, (1, C, 1, h, w): the mean of what the VAE gives.

    Raises EngineError where that is NaN or infinity.
    """
    image = np.asarray(picture, np.float32).transpose(2, 0, 1)[None] / np.float32(255)
    with bundle.open("vae_encoder", device=device) as engine:
        found = engine.run({"image": np.ascontiguousarray(image * 2 - 1, np.float32)})
    latents = np.asarray(found["latents"], np.float32)
    check_finite("the vae_encoder", latents)
    mean, inverse = _normalisation(traits)
    return np.asarray((latents - mean) * inverse, np.float32)


def sample(
    bundle: Bundle,
    noise: Noise,
    shape: tuple[int, ...],
    condition: Array,
    texts: list[Array],
    plan: Plan,
    traits: Traits,
    *,
    device: Device | str,
    stages: Stages,
) -> Array:
    """Carry noise of a shape (1, C, F, h, w) to latents, the first ones those of the condition.

    condition: (1, C, f, h, w), of the picture, and of a window before where there is one.
    texts: embeddings (1, L, channels) of the prompt, and of the negative one where there is
        guidance.
    """
    held = to_tokens(condition, traits.patch)
    tokens = to_tokens(noise.draw("latents", shape), traits.patch)
    first = held.shape[1]
    cosine, sine = rotary_tables(shape[2:], traits.patch, traits.head_size, traits.rotary_base)
    fixed = {
        "token_level": (np.arange(tokens.shape[1]) >= first).astype(np.int64),
        "rotary_cos": cosine,
        "rotary_sin": sine,
    }
    noisy = bool(plan.schedule.noise_weights.any())
    between = noise.draw("steps", (plan.steps, *shape)) if noisy else np.empty(0, np.float32)
    done = 0
    with bundle.open("denoiser", device=device) as engine:

        def predict(inputs: dict[str, NDArray[Any]], text: Array) -> Array:
            return np.asarray(engine.run({**inputs, "text": text})["velocity"], np.float32)

        def step(latents: Array, timestep: float) -> Array:
            nonlocal done
            seen = np.concatenate([held, latents[:, first:]], axis=1)
            inputs = {"latents": seen, "timesteps": np.array([0.0, timestep], np.float32), **fixed}
            velocity = predict(inputs, texts[0])
            if len(texts) > 1:
                without = predict(inputs, texts[1])
                with np.errstate(over="ignore", invalid="ignore"):  # `denoise` tells
                    velocity = without + np.float32(plan.guidance) * (velocity - without)
            done += 1
            told(done)
            return velocity

        def told(steps: int) -> None:
            stages.tell("denoise", steps, plan.steps)

        def fresh(number: int) -> Array:
            return to_tokens(between[number], traits.patch)

        def on_host() -> Array:
            nonlocal done
            done = 0
            again = (lambda: fresh(done - 1)) if noisy else None
            moved: Array = denoise(step, tokens, plan.schedule, noise=again)[0]
            return moved

        moved = walk_or(
            engine,
            lambda: walk(
                tokens, held, fixed, texts, plan.guidance, plan.schedule, fresh if noisy else None
            ),
            on_host,
            told,
            stages.note,
        )
    tokens = np.concatenate([held, moved[None, first:]], axis=1)
    return from_tokens(tokens, shape, traits.patch)


def decode(
    bundle: Bundle,
    latents: Array,
    plan: Plan,
    traits: Traits,
    *,
    device: Device | str,
    stages: Stages,
) -> Iterator[Pixels]:
    """Yield the frames of normalised latents (1, C, F, h, w) as they are decoded."""
    mean, inverse = _normalisation(traits)
    latents = latents / inverse + mean
    with bundle.open("vae_decoder", device=device) as engine:
        chunk = traits.time, traits.space

        def draw(tile: int | None) -> Iterator[Pixels]:
            if tile is not None:
                patch = traits.decoder_patch
                yield from decode_tiles(
                    engine, latents, traits.caches, tile=tile, patch=patch, chunk=chunk
                )
                return
            for made in decode_chunks(engine, latents, traits.caches, chunk=chunk):
                yield from to_pixels(made)

        tiles = smaller_tiles(
            choose_tile(bundle, latents.shape, plan, traits), latents.shape, traits
        )
        # Tiles give no frame before the last of them; `frames` counts the wait.
        drawn = draw_in_pieces(tiles, draw, engine, stages)
        yield from drawn_ahead(drawn, traits.time, engine, stages)


def smaller_tiles(tile: int | None, shape: tuple[int, ...], traits: Traits) -> list[int | None]:
    """A tile's size, and then ever smaller ones, in latent pixels; None is all in one piece."""
    whole = max(shape[3:])
    usual = [pixels // traits.space for pixels in (TILE, TILE // 2, TILE // 4)]
    below = [size for size in usual if LEAST_TILE <= size < (whole if tile is None else tile)]
    return [tile, *below]


def choose_tile(bundle: Bundle, shape: tuple[int, ...], plan: Plan, traits: Traits) -> int | None:
    """Return the size of the decoder's tiles in latent pixels, None for one piece.

    One piece takes about four times the caches: those read, those written, and as much again for
    what is in flight. It is cut where that is more than denoising took, its weights included.
    """
    _, _, frames, height, width = shape
    tile = max((plan.decode_tile or TILE) // traits.space, 1)
    if max(height, width) <= tile:
        return None
    if plan.decode_tile is not None:
        return tile
    values = sum(channels * scale**2 for channels, scale in traits.caches) * MEMORY
    tokens = frames * height * width // int(np.prod(traits.patch))
    weights = sum(data.bytes for data in bundle.component("denoiser").data)
    denoising = weights + tokens * traits.token_bytes
    return tile if 4 * 4 * values * height * width > max(denoising, ALWAYS_THERE) else None


def _normalisation(traits: Traits) -> tuple[Array, Array]:
    """Mean and 1 / std of the VAE's latents, (1, C, 1, 1, 1), rounded as the reference does."""
    shape = (1, traits.channels, 1, 1, 1)
    mean = np.array(traits.mean, np.float32).reshape(shape)
    return mean, np.float32(1) / np.array(traits.std, np.float32).reshape(shape)
