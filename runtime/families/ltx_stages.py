"""The stages of an LTX film: pictures to tokens, tokens through all steps, latents to pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...engines.device import Device
from ...engines.engine import Engine
from ..ahead import drawn_ahead
from ..bundle import Bundle
from ..decode import Pieces, Span, choose_pieces, decode_pieces
from ..finite import check_finite
from ..model import fitted
from ..noise import Noise
from ..resident import walk_or
from ..shrink import draw_in_pieces
from ..stages import Stages
from .ltx_plan import TIMESTEP_SCALE, Plan, Traits
from .ltx_resident import walk
from .ltx_tokens import Tokens, coordinates, lerp, move, pack

Array: TypeAlias = NDArray[np.float32]
Pixels: TypeAlias = NDArray[np.uint8]

LEAST_BUDGET = 256 * 2**20
"""Memory that decoding may always take, however little denoising does."""
_HALVED = 12  # times that this memory may turn out to be half of what was thought


def encode(
    bundle: Bundle,
    traits: Traits,
    picture: Pixels,
    plan: Plan,
    noise: Noise,
    shapes: Mapping[str, tuple[int, ...]],
    device: Device | str,
    before: Array | None = None,
) -> Tokens:
    """Make the film's tokens before the first step, its pictures among them.

    before: (n, C, h, w) normalised latents that go before all that moves, after the picture's.
    """
    size, decoder = plan.latent_size(traits.decoder), traits.decoder
    latents = noise.draw("latents", shapes["latents"]).copy()
    held = np.zeros(size, np.float32)
    first, last = plan.strengths
    if before is not None:
        first = 1.0  # the picture is a frame of the film itself
        latents[:, :, 1 : 1 + len(before)] = before.transpose(1, 0, 2, 3)[None]
        held[1 : 1 + len(before)] = 1.0

    def coords(size: tuple[int, int, int], at: int) -> Array:
        return coordinates(
            size, decoder.time, decoder.space, plan.fps, causal=traits.condition, first_frame=at
        )

    with bundle.open("vae_encoder", device=device) as engine:

        def sample(pixels: Pixels, name: str) -> Array:
            image = 2 * (pixels.astype(np.float32) / np.float32(255)) - 1
            image = np.ascontiguousarray(image.transpose(2, 0, 1))[None, :, None]
            moments = engine.run({"image": image})["moments"].astype(np.float32)
            mean, spread = np.split(moments, 2, axis=1)
            spread = np.exp(np.float32(0.5) * np.clip(spread, -30, 20))
            drawn = mean + spread * noise.draw(name, shapes[name])
            made: Array = (drawn - by_channel(traits.mean)) / by_channel(traits.std)
            return made

        latents[:, :, :1] = lerp(latents[:, :, :1], sample(picture, "image"), first)
        held[0] = first
        tokens = Tokens(pack(latents), held.ravel(), coords(size, 0))
        if plan.last_image is None:
            return tokens
        end = sample(fitted(plan.last_image, plan), "last_image")
    if last < 1:
        end = lerp(noise.draw("last_noise", shapes["last_noise"]), end, last)
    extra, at = pack(end), plan.last_image_frame
    at = plan.num_frames - 1 if at is None else at
    return Tokens(
        np.concatenate([extra, tokens.values]),
        np.concatenate([np.full(len(extra), last, np.float32), tokens.held]),
        np.concatenate([coords((1, *size[1:]), at), tokens.coords], axis=1),
        extra=len(extra),
    )


def denoise(
    engine: Engine,
    traits: Traits,
    tokens: Tokens,
    plan: Plan,
    texts: list[tuple[Array, NDArray[np.int64]]],
    noise: Noise,
    shapes: Mapping[str, tuple[int, ...]],
    stages: Stages,
) -> Array:
    """Carry tokens through all steps; returns (N, channels). texts: the prompt's, the other's."""
    coords, done = tokens.coords[None], 0
    fresh = noise.draw("steps", shapes["steps"]) if "steps" in shapes else None
    held = None
    if "condition" in shapes:  # only that of the held tokens is kept, for it is as long as the film
        held = noise.draw("condition", shapes["condition"])[:, 0, tokens.still]

    def fresh_noise(step: int) -> Array:
        assert fresh is not None
        if traits.condition:
            return np.asarray(fresh[step, 0])
        still = np.zeros((1, fresh.shape[2], 1, *fresh.shape[4:]), np.float32)
        return pack(np.concatenate([still, fresh[step]], axis=2))

    def held_noise(step: int) -> Array:
        assert held is not None
        return np.asarray(held[step])

    def told(steps: int) -> None:
        stages.tell("denoise", steps, plan.steps)

    def velocity(values: Array, timestep: Array) -> Array:
        nonlocal done
        inputs = {"latents": values[None], "timestep": timestep[None], "coords": coords}
        runs = [
            engine.run({**inputs, "text": text, "text_mask": mask})["velocity"][0]
            for text, mask in texts
        ]
        done += 1
        told(done)
        if len(runs) == 1:
            return np.asarray(runs[0], np.float32)
        return guided(runs[0], runs[1], plan.guidance, plan.guidance_rescale)

    trembling = None if held is None else held_noise

    def on_host() -> Array:
        nonlocal done
        done = 0
        return move(
            velocity,
            tokens,
            plan.schedule,
            timestep_scale=TIMESTEP_SCALE,
            fresh_noise=fresh_noise,
            held_noise=trembling,
            held_noise_scale=plan.image_cond_noise_scale,
        )

    return walk_or(
        engine,
        lambda: walk(tokens, plan, coords, texts, fresh_noise, trembling),
        on_host,
        told,
        stages.note,
    )


def guided(prompted: Array, unprompted: Array, guidance: float, rescale: float) -> Array:
    """Classifier-free guidance; `rescale` of the way back to the spread of the prompted output.

    Follows rescale_noise_cfg of diffusers (Lin et al., 2023, section 3.4).
    """
    made = unprompted + np.float32(guidance) * (prompted - unprompted)
    if rescale > 0:
        spread, wanted = (np.std(v, ddof=1, dtype=np.float64) for v in (made, prompted))
        ratio = np.float32(wanted / spread)
        made = np.float32(rescale) * (made * ratio) + np.float32(1 - rescale) * made
    return made


def decode(
    bundle: Bundle,
    traits: Traits,
    latents: Array,
    plan: Plan,
    noise: Noise,
    shapes: Mapping[str, tuple[int, ...]],
    device: Device | str,
    stages: Stages,
) -> Iterator[Pixels]:
    """Yield pictures, uint8 (H, W, 3), from latents as the VAE has them, (1, C, F, h, w)."""
    size = plan.latent_size(traits.decoder)
    extra: dict[str, Array] = {}
    if traits.told:
        extra["timestep"] = np.array([plan.decode_timestep], np.float32)
    maps = [
        _folded(noise.draw(f"maps_{index}", shapes[f"maps_{index}"]), scale)
        for index, (scale, _) in enumerate(traits.maps)
    ]
    folded = np.concatenate(maps)[None] if maps else None

    with bundle.open("vae_decoder", device=device) as engine:

        def piece(window: Span, rows: Span, columns: Span) -> Array:
            across = (slice(*rows), slice(*columns))
            inputs = {"latents": latents[:, :, slice(*window), *across], **extra}
            if folded is not None:
                inputs["maps"] = folded[:, :, *across]
            inputs = {name: np.ascontiguousarray(array) for name, array in inputs.items()}
            return np.asarray(engine.run(inputs)["frames"][0], np.float32)

        def draw(pieces: Pieces) -> Iterator[Pixels]:
            pictures = decode_pieces(piece, traits.decoder, size, pieces)
            for index in range(plan.num_frames):
                with stages.stage("decode"):
                    pixels = _to_pixels(next(pictures), index)
                stages.tell("decode", index + 1, plan.num_frames)
                yield pixels

        window = cut(bundle, traits, plan).window * traits.decoder.time
        drawn = draw_in_pieces(cuts(bundle, traits, plan), draw, engine, stages)
        yield from drawn_ahead(drawn, window, engine, stages, "decode")


def cut(bundle: Bundle, traits: Traits, plan: Plan) -> Pieces:
    """Say in what pieces a plan's film is decoded."""
    size = plan.latent_size(traits.decoder)
    return choose_pieces(
        traits.decoder,
        size,
        _budget(bundle, traits, size),
        window=plan.decode_window,
        tile=plan.decode_tile,
    )


def cuts(bundle: Bundle, traits: Traits, plan: Plan) -> Iterator[Pieces]:
    """Yield the pieces of `cut`, and then ever smaller ones."""
    pieces, decoder = cut(bundle, traits, plan), traits.decoder
    yield pieces
    budget = float(decoder.cell_bytes * pieces.window * pieces.rows * pieces.columns)
    for _ in range(_HALVED):
        budget /= 2
        yield choose_pieces(decoder, plan.latent_size(decoder), budget)


def _to_pixels(made: Array, index: int) -> Pixels:
    """A picture (3, H, W) in about -1..1 as uint8 (H, W, 3); index: which, counted from 0."""
    check_finite("the vae_decoder", made, f" in frame {index + 1}")
    pixels = np.clip(made * np.float32(0.5) + np.float32(0.5), 0, 1)
    pixels = np.rint(pixels * np.float32(255)).astype(np.uint8)
    return np.ascontiguousarray(pixels.transpose(1, 2, 0))


def _budget(bundle: Bundle, traits: Traits, size: tuple[int, int, int]) -> float:
    """Memory that decoding's activations may take, so that its peak stays below denoising's."""
    frames, rows, columns = size
    denoising = (
        bundle.component("denoiser").stored_bytes + traits.token_bytes * frames * rows * columns
    )
    return max(denoising - bundle.component("vae_decoder").stored_bytes, LEAST_BUDGET)


def _folded(maps: Array, scale: int) -> Array:
    """(n, h k, w k) to (n k^2, h, w), as the decoder's graph takes them."""
    count, rows, columns = maps.shape
    cells = maps.reshape(count, rows // scale, scale, columns // scale, scale)
    return cells.transpose(0, 2, 4, 1, 3).reshape(-1, rows // scale, columns // scale)


def by_channel(values: Array) -> Array:
    """(C,) to (1, C, 1, 1, 1)."""
    return values[None, :, None, None, None]
