"""LTX-Video: the picture as the first frame's latents, a timestep of its own for each token.

Two of diffusers' pipelines in one: LTXImageToVideoPipeline (0.9.0 and 0.9.1) and
LTXConditionPipeline (from 0.9.5 on), whose schedules, coordinates and ways of holding a picture
differ; the manifest's "pipeline" says which. Of the latter, pictures at the film's two ends are
known here, and the last latents of a window before; videos as conditions, and with them
`denoise_strength`, are not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...engines.device import Device
from ...engines.errors import SettingsError
from ..bundle import Bundle
from ..length import Capabilities
from ..model import number, open_photo, whole
from ..noise import Noise
from ..stages import Stages
from ..text import Text
from ..windows import Link
from .ltx_plan import (
    Plan,
    Traits,
    default,
    make_schedule,
    nearest_frames,
    nearest_size,
    strengths,
)
from .ltx_stages import by_channel, decode, denoise, encode
from .ltx_tokens import unpack

Pixels: TypeAlias = NDArray[np.uint8]

SETTINGS: Mapping[str, Any] = {
    "frame_rate": None,
    "timesteps": None,
    "sigmas": None,
    "guidance_rescale": None,
    "strength": None,
    "last_image": None,
    "last_image_frame": None,
    "image_cond_noise_scale": None,
    "decode_timestep": None,
    "decode_noise_scale": None,
    "max_sequence_length": None,
    "decode_window": None,
    "decode_tile": None,
}
"""The film's rate, which the network is told; timesteps by number or by a preset's name, or noise
levels before shifting; how far guidance keeps the spread of what it guides; how firmly the pictures
hold, 0..1 (two numbers: first and last); a picture to end at, and at which frame, counted from 0,
where that is not the last; noise on pictures that hold fully;
how noisy the decoder takes its latents to be, and how noisy they are made (else as much); tokens of
a prompt; latent frames, and pixels, to a piece of decoding (else chosen by memory)."""

HANDED_ON = 2
"""Latent frames of a window that the next one begins with: 16 frames, of eight each."""


def capabilities(bundle: Bundle) -> Capabilities:
    """Say how windows join: the last latents of one are told to be clean in the next.

    A model made for LTXConditionPipeline can be led to a picture at the end, too.
    """
    traits = Traits.of(bundle)
    return Capabilities(HANDED_ON, traits.decoder.time, end=traits.condition)


def plan(
    bundle: Bundle,
    *,
    height: int | None = None,
    width: int | None = None,
    num_frames: int | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    frame_rate: float | None = None,
    timesteps: Any = None,
    sigmas: Any = None,
    guidance_rescale: float | None = None,
    strength: Any = None,
    last_image: Any = None,
    last_image_frame: int | None = None,
    image_cond_noise_scale: float | None = None,
    decode_timestep: float | None = None,
    decode_noise_scale: float | None = None,
    max_sequence_length: int | None = None,
    decode_window: int | None = None,
    decode_tile: int | None = None,
) -> Plan:
    """Say what will be made; see `take.LatentFamily`."""
    traits = Traits.of(bundle)
    notes: list[str] = []

    def asked(name: str, value: Any, otherwise: float, low: float, high: float) -> float:
        return number(name, default(bundle, name, value, otherwise), low, high)

    if not traits.condition:
        given = {"strength": strength, "last_image": last_image}
        given["image_cond_noise_scale"] = image_cond_noise_scale
        unknown = [name for name, value in given.items() if value is not None]
        if unknown:
            raise SettingsError(
                f"{bundle.name} runs as LTXImageToVideoPipeline, which has no {unknown[0]}:"
                " leave it out, or use a model made for LTXConditionPipeline (0.9.5 or later)"
            )
    height, width = nearest_size(
        traits, default(bundle, "height", height, 512), default(bundle, "width", width, 704), notes
    )
    num_frames = nearest_frames(traits, default(bundle, "num_frames", num_frames, 161), notes)
    if last_image is not None and num_frames == 1:
        raise SettingsError("last_image needs a second frame to be at: ask for more num_frames")
    if last_image_frame is not None:
        if last_image is None:
            raise SettingsError("last_image_frame says where last_image is: give that too")
        last_image_frame = whole("last_image_frame", last_image_frame, 1, num_frames - 1)
    decode_timestep = asked("decode_timestep", decode_timestep, 0.0, 0.0, 1.0)
    time, space = traits.decoder.time, traits.decoder.space
    tokens = ((num_frames - 1) // time + 1) * (height // space) * (width // space)
    schedule = make_schedule(
        bundle,
        traits.condition,
        tokens,
        steps,
        timesteps=timesteps,
        sigmas=sigmas,
        notes=notes,
    )
    if decode_tile is not None:
        decode_tile = max(whole("decode_tile", decode_tile, 1, 1 << 20) // space, 1)
    return Plan(
        height=height,
        width=width,
        num_frames=num_frames,
        steps=schedule.steps,
        guidance=asked("guidance", guidance, 3.0, 0.0, 1000.0),
        fps=asked("frame_rate", frame_rate, 25.0, 1.0, 1000.0),
        guidance_rescale=asked("guidance_rescale", guidance_rescale, 0.0, 0.0, 1.0),
        decode_timestep=decode_timestep,
        decode_noise_scale=asked(
            "decode_noise_scale", decode_noise_scale, decode_timestep, 0.0, 1.0
        ),
        image_cond_noise_scale=asked("image_cond_noise_scale", image_cond_noise_scale, 0.0, 0, 10),
        strengths=strengths(default(bundle, "strength", strength, 1.0)),
        max_sequence_length=whole(
            "max_sequence_length",
            default(bundle, "max_sequence_length", max_sequence_length, 128),
            1,
            4096,
        ),
        schedule=schedule,
        last_image=None if last_image is None else open_photo(last_image),
        last_image_frame=last_image_frame,
        decode_window=(
            None if decode_window is None else whole("decode_window", decode_window, 2, 1 << 20)
        ),
        decode_tile=decode_tile,
        notes=tuple(notes),
    )


def noise_shapes(bundle: Bundle, plan: Plan) -> dict[str, tuple[int, ...]]:
    """Every random tensor that the reference draws, in its order and layout.

    latents: (1, C, F, h, w). image, last_image: for the samples of the pictures' latents,
    (1, C, 1, h, w). last_noise: what the last picture's latents are mixed with where its strength
    is below 1. condition: noise on the held tokens, (steps, 1, N, C), of which the reference uses
    the held ones alone. steps: fresh noise of a stochastic scheduler, (steps, ...). decode:
    (1, C, F, h, w). maps_0, ...: the decoder's own, (count, rows, columns).
    """
    traits = Traits.of(bundle)
    size = plan.latent_size(traits.decoder)
    frames, rows, columns = size
    film, picture = (1, traits.channels, *size), (1, traits.channels, 1, rows, columns)
    film_tokens = (frames + (plan.last_image is not None)) * rows * columns
    packed: tuple[int, ...] = (plan.steps, 1, film_tokens, traits.channels)
    shapes: dict[str, tuple[int, ...]] = {}
    if traits.condition:
        shapes |= {"latents": film, "image": picture}
        if plan.last_image is not None:
            shapes |= {"last_image": picture, "last_noise": picture}
        if plan.image_cond_noise_scale > 0:
            shapes["condition"] = packed
    else:
        shapes |= {"image": picture, "latents": film}
        packed = (plan.steps, 1, traits.channels, frames - 1, rows, columns)
    if plan.schedule.noise_weights.any():
        shapes["steps"] = packed
    if traits.told:
        shapes["decode"] = film
    for index, (scale, count) in enumerate(traits.maps):
        shapes[f"maps_{index}"] = (count, rows * scale, columns * scale)
    return shapes


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
    """Yield the plan's frames; see `take.LatentFamily`."""
    traits, shapes = Traits.of(bundle), noise_shapes(bundle, plan)
    prompts = [prompt or ""] + [negative_prompt or ""] * (plan.guidance > 1.0)
    with stages.stage("text"):

        def embed() -> list[tuple[NDArray[np.float32], NDArray[np.int64]]]:
            return Text(bundle, device).embed_many(prompts, plan.max_sequence_length)

        texts = embed() if link is None else link.once("texts", embed)
    with stages.stage("encode image"):
        before = None if link is None else link.held
        tokens = encode(bundle, traits, picture, plan, noise, shapes, device, before)
    with stages.stage("denoise"), bundle.open("denoiser", device=device) as engine:
        moved = denoise(engine, traits, tokens, plan, texts, noise, shapes, stages)
    del texts
    latents = unpack(moved[tokens.extra :], plan.latent_size(traits.decoder))
    if before is not None:  # noise on what is held is for the steps alone
        latents[:, :, 1 : 1 + len(before)] = before.transpose(1, 0, 2, 3)[None]
    if link is not None:
        link.keep(latents[0].transpose(1, 0, 2, 3))
    latents = latents * by_channel(traits.std) / np.float32(traits.scaling)
    latents = latents + by_channel(traits.mean)
    del moved, tokens
    if traits.told and plan.decode_noise_scale > 0:
        share = np.float32(plan.decode_noise_scale)
        latents = (1 - share) * latents + share * noise.draw("decode", shapes["decode"])
    yield from decode(bundle, traits, latents, plan, noise, shapes, device, stages)
