"""Stable Video Diffusion: a photo seen by CLIP and by the VAE, and guidance that grows by frame.

The photo enters twice: as CLIP's embedding, and, with a little noise on it, as latents beside those
of every frame. The first frame is guided least, the last one most. Frames are decoded in chunks,
and a chunk's frames see each other, so its length is part of the result.

Follows diffusers' StableVideoDiffusionPipeline.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...engines.device import Device
from ...engines.engine import Engine
from ..ahead import drawn_ahead
from ..bundle import Bundle
from ..clip_image import see
from ..denoise import denoise
from ..finite import check_finite
from ..length import Capabilities
from ..noise import Noise
from ..resident import walk_or
from ..shrink import draw_in_pieces
from ..stages import Stages
from ..windows import Link
from .svd_plan import SETTINGS, Plan, Traits, noise_shapes, plan, schedule_of
from .svd_resident import walk
from .svd_tail import can_follow, drawn_to

__all__ = ["SETTINGS", "Plan", "capabilities", "frames", "noise_shapes", "plan", "prepare"]

Array: TypeAlias = NDArray[np.float32]
Pixels: TypeAlias = NDArray[np.uint8]

HANDED_ON = 6
"""Frames of a window whose latents the next one follows, of 25; a third of a shorter one."""


def capabilities(bundle: Bundle) -> Capabilities:
    """Say how windows join: the first frames of one follow the last latents of another.

    With a schedule that is not Euler's, a window begins with a picture of the last frame alone. No
    picture can be held at the end: the network was taught to begin with one.
    """
    if can_follow(schedule_of(bundle, int(bundle.section("defaults").get("steps", 25)), None)):
        return Capabilities(HANDED_ON, picture=0)
    return Capabilities()


@dataclass(frozen=True)
class Pictures:
    """One photo as each of its two readers wants it."""

    seen: Pixels
    """(H, W, 3) the photo as it is, for CLIP."""
    begun: Pixels
    """(plan.height, plan.width, 3) what the film begins with, for the VAE."""


def prepare(photo: Pixels, plan: Plan) -> Pictures:
    """Bring a photo, uint8 RGB (H, W, 3), to a plan's size, and keep it beside as it was.

    Follows diffusers' VideoProcessor; CLIP looks at the photo before it is resized.
    """
    if photo.shape[:2] == (plan.height, plan.width):
        return Pictures(photo, photo)
    picture = Image.fromarray(np.ascontiguousarray(photo))
    begun = picture.resize((plan.width, plan.height), Image.Resampling.LANCZOS)
    return Pictures(photo, np.asarray(begun, np.uint8))


def frames(
    bundle: Bundle,
    picture: Pictures | Pixels,
    plan: Plan,
    *,
    prompt: str | None = None,
    negative_prompt: str | None = None,
    noise: Noise,
    device: Device | str = "auto",
    stages: Stages,
    link: Link | None = None,
) -> Iterator[Pixels]:
    """Yield the plan's frames, uint8 (height, width, 3); see `take.LatentFamily.frames`.

    picture: what `prepare` makes, or pixels of the plan's size. The prompts are not used: this
    model reads no text.
    """
    traits = Traits.of(bundle)
    pictures = picture if isinstance(picture, Pictures) else Pictures(picture, picture)
    shapes = noise_shapes(bundle, plan)
    with stages.stage("encode image"):
        embedding = embed(bundle, pictures.seen, traits, device=device)
        grain = noise.draw("image", shapes["image"])
        image = encode(bundle, pictures.begun, plan.noise_aug_strength, grain, device=device)
    with stages.stage("denoise"):
        unit = noise.draw("latents", shapes["latents"])
        tail = None if link is None else link.held
        latents = sample(
            bundle, unit, image, embedding, plan, device=device, stages=stages, tail=tail
        )
    if link is not None:
        link.keep(latents[0])
    yield from decode(bundle, latents / np.float32(traits.scaling), plan, device, stages)


def embed(bundle: Bundle, photo: Pixels, traits: Traits, *, device: Device | str) -> Array:
    """Return CLIP's embedding of a photo, (1, 1, D)."""
    image = see(photo, traits.seen_size, traits.mean, traits.std)
    with bundle.open("image_encoder", device=device) as engine:
        found = engine.run({"image": image})["embedding"]
    embedding = np.asarray(found, np.float32)[:, None]
    check_finite("the image_encoder", embedding)
    return embedding


def encode(
    bundle: Bundle, picture: Pixels, strength: float, grain: Array, *, device: Device | str
) -> Array:
    """Return the latents (1, C, h, w) of a picture with noise of some strength on it, unscaled."""
    image = picture.astype(np.float32).transpose(2, 0, 1)[None] / np.float32(255.0)
    noisy = np.float32(2.0) * image - np.float32(1.0) + np.float32(strength) * grain
    with bundle.open("vae_encoder", device=device) as engine:
        found = engine.run({"image": np.ascontiguousarray(noisy, np.float32)})["latents"]
    latents = np.asarray(found, np.float32)
    check_finite("the vae_encoder", latents)
    return latents


def sample(
    bundle: Bundle,
    unit: Array,
    image: Array,
    embedding: Array,
    plan: Plan,
    *,
    device: Device | str,
    stages: Stages,
    tail: Array | None = None,
) -> Array:
    """Carry unit noise (1, F, C, h, w) to latents of the same shape.

    image: the picture's latents (1, C, h, w). embedding: the photo's, (1, 1, D). tail: (n, C, h, w)
    latents that the first n frames follow; with it the loop is the host's on every device, for the
    small graphs around a device's own know nothing of it.
    """
    schedule = schedule_of(bundle, plan.steps, plan.sigmas)
    beside = np.repeat(image[:, None], unit.shape[1], axis=1)
    added = np.array([[plan.fps - 1.0, plan.motion_bucket_id, plan.noise_aug_strength]], np.float32)
    ramp = plan.ramp.reshape(1, -1, 1, 1, 1)
    done = 0
    with bundle.open("denoiser", device=device) as engine:

        def predict(latents: Array, timestep: float, beside: Array, embedding: Array) -> Array:
            found = engine.run(
                {
                    "latents": np.concatenate([latents, beside], axis=2),
                    "timestep": np.array([timestep], np.float32),
                    "embedding": embedding,
                    "added_ids": added,
                }
            )
            return np.asarray(found["prediction"], np.float32)

        def step(latents: Array, timestep: float) -> Array:
            nonlocal done
            latents = np.asarray(latents, np.float32)
            output = predict(latents, timestep, beside, embedding)
            if plan.guided:
                # Without the photo means zeros in both of its places.
                free = predict(latents, timestep, np.zeros_like(beside), np.zeros_like(embedding))
                output = free + ramp * (output - free)
            if tail is not None:
                output = drawn_to(tail, schedule, done, latents, output)
            done += 1
            told(done)
            return output

        def told(steps: int) -> None:
            stages.tell("denoise", steps, schedule.steps)

        def on_host() -> Array:
            nonlocal done
            done = 0
            return denoise(step, unit * np.float32(schedule.initial_noise), schedule)

        if tail is not None or schedule.noise_weights.any():
            return on_host()  # which refuses noise
        guidance = plan.ramp if plan.guided else None
        found = walk_or(
            engine,
            lambda: walk(unit, image, embedding, added, guidance, schedule),
            lambda: on_host()[0],
            told,
            stages.note,
        )
        return found[None]


def decode(
    bundle: Bundle, latents: Array, plan: Plan, device: Device | str, stages: Stages
) -> Iterator[Pixels]:
    """Yield the frames of latents (1, F, C, h, w), a chunk of `plan.decode_chunk_size` at a time.

    Chunks are those of the reference, and so are the frames; a chunk of another length, as where
    memory runs out, gives others, for the decoder normalises over all the frames that it is shown.
    """
    total = latents.shape[1]
    with bundle.open("vae_decoder", device=device) as engine:

        def draw(length: int) -> Iterator[Pixels]:
            for start in range(0, total, length):
                with stages.stage("decode"):
                    chunk = _decode_chunk(engine, latents[0, start : start + length])
                for number, frame in enumerate(chunk, start + 1):
                    stages.tell("decode", number, total)
                    yield frame

        longest = plan.decode_chunk_size
        lengths = [max(longest >> halved, 1) for halved in range(longest.bit_length())]
        yield from drawn_ahead(
            draw_in_pieces(lengths, draw, engine, stages), longest, engine, stages, "decode"
        )


def _decode_chunk(engine: Engine, latents: Array) -> list[Pixels]:
    """Frames of some latents (F, C, h, w)."""
    found = engine.run({"latents": np.ascontiguousarray(latents)})["frames"]
    video = np.asarray(found, np.float32)
    check_finite("the vae_decoder", video)
    return [_to_pixels(frame) for frame in video]


def _to_pixels(frame: Array) -> Pixels:
    """A frame (3, H, W) in about -1..1 as uint8 (H, W, 3)."""
    levels = np.clip(frame * np.float32(0.5) + np.float32(0.5), 0.0, 1.0) * np.float32(255.0)
    return np.ascontiguousarray(np.rint(levels).astype(np.uint8).transpose(1, 2, 0))
