"""Ember, the family of the embedded model: a photo's motion as a spectrum, sampled by diffusion.

Two networks of our own and four ready ones. `maps` says what each place is and how far it moves at
each of eight temporal frequencies; `denoiser` samples phases and directions, so that every seed is
another wind; together they are a motion spectrum, from which any number of frames follows. After
"Generative Image Dynamics" (Li et al., 2023), with the amplitude regressed and only the phases
sampled. `faces`, `people`, `subject` and `depth` say what must hold still and what is near.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from ...engines.device import Device
from ..bundle import Bundle
from ..denoise import denoise
from ..frame import Shot, frame_photo
from ..guard import Regions, face_boxes, find_regions, hold_maps, keep_map
from ..motion import render
from ..photo import Photo
from ..schedule import schedule_from_manifest
from ..settings import CLASSES, MotionIntent, Settings, Understanding
from ..spectrum import CAP, Spectrum, assemble
from ..stages import Stages
from ..take import Take

Map = NDArray[np.float32]

HELPERS = ("faces", "people", "subject", "depth")
MAP_AREA = 192 * 288
"""Pixels the maps network was trained on; a picture is brought near that, in its own aspect."""
MAP_STEP = 32
"""Sides of the maps network's input are multiples of this."""
SURE = (0.35, 0.65)
"""Probability that a place moves: below the first it holds still, above the second it is free."""
WIND_BLOWN = ("plant", "sky", "cloth", "flame")
SUBJECT_LEAVE = 0.35
"""How far a salient subject may still move where the maps are sure that it is no object."""


@dataclass(frozen=True)
class Maps:
    """What ember sees in a picture; every map lies over the whole of it, at its own scale."""

    classes: Map
    """(6, h, w) probabilities in the order of settings.CLASSES."""
    amplitude: Map
    """(8, h, w) rms displacement per frequency, in shorter sides of the picture."""
    drift: Map
    """(1, h, w) steady speed, in shorter sides a second."""
    features: Map
    """(1, channels, h / 4, w / 4), what the denoiser is told."""
    hold: Map
    """(h, w) 1 where nothing may move, 0 where it may."""
    people: Map
    """(h', w', 6) background, hair, body skin, face skin, clothes, other."""
    subject: Map
    """(h', w') salience, 0 .. 1."""
    depth: Map
    """(h', w') 0 far .. 1 near."""


def film(
    bundle: Bundle,
    photo: Photo,
    settings: Settings,
    understanding: Understanding,
    *,
    device: Device | str,
    stages: Stages,
) -> Take:
    """Prepare a film of a photo; see `take.Family`."""
    motion = understanding.motion
    with stages.stage("look"):
        regions = see(bundle, photo.pixels, device)
    with stages.stage("frame"):
        shot = frame_photo(
            photo,
            aspect=settings.aspect,
            height=settings.height,
            keep=keep_map(regions),
            boxes=face_boxes(regions),
        )
        regions = carried(regions, shot)
    with stages.stage("maps"):
        maps = read(bundle, shot.picture, regions, device=device, motion=motion)
    with stages.stage("denoise"):
        latents = sample(
            bundle, maps.features, seed=settings.seed, steps=settings.steps, device=device
        )
    with stages.stage("motion"):
        spectrum = assemble(latents, maps.classes, maps.amplitude, maps.drift)
        spectrum = driven(spectrum, maps.classes, amount(bundle, settings, motion), motion)
        gain = 1.0 - maps.hold
        if shot.extended is not None:
            gain *= 1.0 - cv2.resize(shot.extended, gain.shape[::-1], interpolation=cv2.INTER_AREA)
        frames = render(
            shot.picture,
            spectrum,
            gain,
            seconds=settings.seconds,
            fps=settings.fps,
            loop=settings.loop,
            seed=settings.seed,
            camera=understanding.camera,
            light=understanding.light,
            depth=scene_depth(maps),
            people=1.0 - maps.people[..., 0],
            classes=maps.classes,
            focus=focus(regions),
            device=device,
        )
    return Take(shot.width, shot.height, frames, notes=shot.notes)


def analyse(bundle: Bundle, pixels: NDArray[np.uint8], *, device: Device | str = "auto") -> Maps:
    """Return what ember sees in a picture, uint8 RGB (H, W, 3), as it would be filmed unprompted.

    Raises:
        BundleError: a component is missing or broken.
        EngineError: the device cannot run one.
    """
    return read(bundle, pixels, see(bundle, pixels, device), device=device)


def see(bundle: Bundle, pixels: NDArray[np.uint8], device: Device | str) -> Regions:
    """Find faces, people, the subject and depth in a photo with the helper networks."""
    with ExitStack() as stack:
        engines = {name: stack.enter_context(bundle.open(name, device=device)) for name in HELPERS}
        return find_regions(pixels, engines)


def carried(regions: Regions, shot: Shot) -> Regions:
    """Take what was found on the photo to its frame; nothing is found outside the photo."""
    people = shot.carry(regions.people)
    people[..., 0] += 1.0 - people.sum(axis=-1)  # beyond the photo all is background
    return replace(
        regions,
        faces=[replace(face, box=shot.carry_box(face.box)) for face in regions.faces],
        people=people,
        subject=shot.carry(regions.subject),
        depth=shot.carry(regions.depth, fill=None),
    )


def read(
    bundle: Bundle,
    picture: NDArray[np.uint8],
    regions: Regions,
    *,
    device: Device | str = "auto",
    motion: MotionIntent | None = None,
) -> Maps:
    """Run the maps network on a framed picture and say, with what was found there, what holds."""
    size = map_size(picture.shape[1], picture.shape[0])
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    image = np.ascontiguousarray(small.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
    with bundle.open("maps", device=device) as engine:
        out = {
            name: value.astype(np.float32) for name, value in engine.run({"image": image}).items()
        }
    classes = out["classes"][0]
    return Maps(
        classes=classes,
        amplitude=out["amplitude"][0],
        drift=out["drift"][0],
        features=out["features"],
        hold=hold(classes, regions, motion or MotionIntent()),
        people=regions.people,
        subject=regions.subject,
        depth=regions.depth,
    )


def map_size(width: int, height: int) -> tuple[int, int]:
    """Width and height near the trained area, multiples of 32, nearest to an aspect."""
    aspect = min(max(width / height, 1 / 4), 4.0)
    choices = [
        (w * MAP_STEP, h * MAP_STEP)
        for w in range(3, 16)
        for h in range(3, 16)
        if 0.8 <= w * h * MAP_STEP**2 / MAP_AREA <= 1.25
    ]
    return min(
        choices, key=lambda c: (abs(np.log(c[0] / c[1] / aspect)), abs(c[0] * c[1] - MAP_AREA))
    )


def hold(classes: Map, regions: Regions, motion: MotionIntent) -> Map:
    """What must hold still, (h, w) 0 .. 1: what is static, people, the subject, what is unasked."""
    size = classes.shape[2], classes.shape[1]
    moves = 1.0 - classes[CLASSES.index("static")]
    free = _smoothstep((moves - SURE[0]) / (SURE[1] - SURE[0]))
    gains = np.array([motion.gains.get(name, 1.0) for name in CLASSES], np.float32)
    gains[CLASSES.index("static")] = 0.0
    shares = np.einsum("chw,c->hw", classes, gains) / np.maximum(moves, 1e-3)
    held = hold_maps(regions, people_move=motion.people, subject_moves=motion.people)
    person = cv2.resize(held.person, size, interpolation=cv2.INTER_AREA)
    subject = cv2.resize(held.subject, size, interpolation=cv2.INTER_AREA)
    growing = np.clip((classes[1] + classes[2] + classes[5] - 0.7) / 0.25, 0, 1) * SUBJECT_LEAVE
    free = free * np.clip(shares, 0, 1) * (1 - person) * (1 - subject * (1 - growing))
    return cast(Map, (1.0 - free).astype(np.float32))


def sample(
    bundle: Bundle,
    features: Map,
    *,
    seed: int,
    steps: int | None = None,
    device: Device | str = "auto",
) -> Map:
    """Sample the phases and directions of a motion, (1, channels, h, w), from a seed."""
    channels = int(bundle.section("latents")["channels"])
    noise = np.random.default_rng([seed, 1]).standard_normal(
        (1, channels, *features.shape[2:]), dtype=np.float32
    )
    schedule = schedule_from_manifest(bundle.section("schedule"), steps=steps)
    with bundle.open("denoiser", device=device) as engine:

        def step(latents: Map, timestep: float) -> Map:
            out = engine.run(
                {
                    "latents": latents.astype(np.float32, copy=False),
                    "noise_level": np.array([timestep], np.float32),
                    "features": features,
                }
            )
            return out["velocity"].astype(np.float32, copy=False)

        return denoise(step, noise * np.float32(schedule.initial_noise), schedule)


def amount(bundle: Bundle, settings: Settings, motion: MotionIntent) -> float:
    """How far things move, 1 as far as the model says."""
    usual = float(bundle.section("defaults").get("motion", 0.5))
    wanted = usual if settings.motion is None else settings.motion
    return wanted / usual * motion.amount


def driven(spectrum: Spectrum, classes: Map, amount: float, motion: MotionIntent) -> Spectrum:
    """Apply the amount of motion and the wind's direction; no place exceeds the cap."""
    # Gains below 1 are part of what holds; above 1 they strengthen what is free to move.
    gains = np.array(
        [
            max(motion.gains.get(name, 1.0), 1.0) * (motion.wind if name in WIND_BLOWN else 1.0)
            for name in CLASSES
        ],
        np.float32,
    )
    boost = np.einsum("chw,c->hw", classes, gains) * np.float32(amount)
    drift = spectrum.drift * boost
    if motion.wind_degrees is not None:
        angle = np.deg2rad(motion.wind_degrees)
        wind = np.array([np.cos(angle), -np.sin(angle)], np.float32)[:, None, None]
        air = classes[CLASSES.index("sky")]
        drift = drift * (1 - air) + wind * np.hypot(*drift) * air
    coefficients = spectrum.coefficients * boost
    rms = np.sqrt(np.square(coefficients).sum((0, 1)) / 2)
    coefficients *= np.minimum(1.0, CAP / np.maximum(rms, 1e-9))
    return replace(spectrum, coefficients=coefficients, drift=drift)


def scene_depth(maps: Maps) -> Map:
    """Depth with the open sky far away, where the depth network, trained indoors, errs."""
    size = maps.depth.shape[1], maps.depth.shape[0]
    sky = cv2.resize(maps.classes[CLASSES.index("sky")], size, interpolation=cv2.INTER_LINEAR)
    return cast(Map, maps.depth * (1 - _smoothstep((sky - 0.3) / 0.4)))


def focus(regions: Regions) -> tuple[float, float]:
    """Where the camera leans to: the largest face, else the subject, as shares of the frame."""
    if regions.faces:
        x0, y0, x1, y1 = max(
            (face.box for face in regions.faces), key=lambda b: (b[2] - b[0]) * (b[3] - b[1])
        )
        return (x0 + x1) / 2, (y0 + y1) / 2
    weight = np.square(regions.subject)
    total = float(weight.sum())
    if total < 0.01 * weight.size:
        return 0.5, 0.5
    height, width = weight.shape
    x = float((weight.sum(0) * (np.arange(width) + 0.5)).sum()) / total / width
    y = float((weight.sum(1) * (np.arange(height) + 0.5)).sum()) / total / height
    return 0.5 + 0.6 * (x - 0.5), 0.5 + 0.6 * (y - 0.5)


def _smoothstep(x: Map) -> Map:
    x = np.clip(x, 0, 1)
    return cast(Map, x * x * (3 - 2 * x))
