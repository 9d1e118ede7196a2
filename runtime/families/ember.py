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

import cv2
import numpy as np
from numpy.typing import NDArray

from ...engines.device import Device
from ...engines.engine import Engine
from ...engines.errors import BundleError
from ..bundle import MANIFEST, Bundle
from ..denoise import denoise
from ..faces import Face, find_faces
from ..frame import frame_photo
from ..letterbox import shrunk
from ..look.look import Look
from ..motion import render
from ..photo import Photo
from ..regions import LOOK, Regions, carried, face_boxes, face_map, find_regions, keep_map
from ..schedule import schedule_from_manifest
from ..settings import CLASSES, MotionIntent, Settings, Understanding
from ..spectrum import assemble
from ..stages import Stages
from ..steer import focus, green_is_leaves, hold_still, scale_motion, scene_depth
from ..take import Take

Map = NDArray[np.float32]
Pixels = NDArray[np.uint8]

HELPERS = ("faces", "people", "subject", "depth")
SKY_SWAY = 0.25
"""Share of its predicted swing that the sky keeps: clouds drift; trained scenes let them sway more
than real ones do, as a clip of the sea under clouds showed."""


@dataclass(frozen=True)
class Traits:
    """What a bundle of this family says of itself."""

    channels: int
    """Channels of the latents."""
    frequencies: tuple[float, ...]
    """Temporal frequencies of the spectrum, Hz."""
    area: int
    """Pixels that `maps` was trained on; a picture is brought near that, in its own aspect."""
    multiple: int
    """Sides of the input of `maps` are multiples of this."""
    looks: tuple[float, ...]
    """Sizes at which `maps` looks at a picture, 1 its own; what it says is averaged."""
    motion: float
    """The setting `motion` at which things move as far as the model says."""

    @classmethod
    def of(cls, bundle: Bundle) -> Traits:
        """Read them from the manifest.

        Raises:
            BundleError: one is missing or impossible; says which.
        """

        def number(section: str, name: str, low: float, high: float) -> float:
            value = bundle.section(section).get(name)
            if not isinstance(value, int | float) or not low <= value <= high:
                raise _broken(bundle, section, name, f"a number from {low:g} to {high:g}", value)
            return value

        motion = bundle.section("motion")
        if tuple(motion.get("classes", ())) != CLASSES:
            raise _broken(bundle, "motion", "classes", list(CLASSES), motion.get("classes"))
        frequencies = motion.get("frequencies")
        if not isinstance(frequencies, list) or not all(
            isinstance(f, int | float) and 0 < f < 60 for f in frequencies
        ):
            raise _broken(bundle, "motion", "frequencies", "a list in Hz", frequencies)
        looks = motion.get("looks", [1.0])
        if (
            not isinstance(looks, list)
            or not looks
            or not all(isinstance(x, int | float) and 0.5 <= x <= 4 for x in looks)
        ):
            raise _broken(bundle, "motion", "looks", "a list of sizes from 0.5 to 4", looks)
        channels = int(number("latents", "channels", 6, 4096))
        if channels != 4 * len(frequencies) + 2:
            expected = f"4 for each of {len(frequencies)} frequencies and 2"
            raise _broken(bundle, "latents", "channels", expected, channels)
        return cls(
            channels=channels,
            frequencies=tuple(float(f) for f in frequencies),
            area=int(number("limits", "picture_area", 4096, 2**24)),
            multiple=int(number("limits", "picture_multiple", 1, 256)),
            looks=tuple(float(x) for x in looks),
            motion=number("defaults", "motion", 0.01, 1.0),
        )


@dataclass(frozen=True)
class Maps:
    """What ember sees in a picture; every map lies over the whole of it, at its own scale."""

    classes: Map
    """(6, h, w) probabilities in the order of settings.CLASSES."""
    amplitude: Map
    """(K, h, w) rms displacement per frequency, in shorter sides of the picture."""
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
    how: Look,
    device: Device | str,
    stages: Stages,
) -> Take:
    """Prepare a film of a photo; see `take.Family`."""
    traits = Traits.of(bundle)
    motion = understanding.motion
    with stages.stage("look"):
        regions = look(bundle, photo.pixels, device)
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
        maps = predict_maps(bundle, shot.picture, regions, device=device, motion=motion)
    with stages.stage("denoise"):
        latents = sample_latents(
            bundle, maps.features, seed=settings.seed, steps=settings.steps, device=device
        )
    with stages.stage("motion"):
        spectrum = assemble(
            latents, maps.classes, maps.amplitude, maps.drift, frequencies=traits.frequencies
        )
        wanted = traits.motion if settings.motion is None else settings.motion
        amount = wanted / traits.motion * motion.amount
        spectrum = scale_motion(spectrum, maps.classes, amount, motion)
        gain = 1.0 - maps.hold
        if shot.extended is not None:
            gain *= 1.0 - cv2.resize(shot.extended, gain.shape[::-1], interpolation=cv2.INTER_AREA)
        if motion.people:
            how = replace(how, layered=False)  # a cut-out holds still; hair is to move
        frames = render(
            shot.picture,
            spectrum,
            gain,
            seconds=settings.seconds,
            fps=settings.fps,
            loop=settings.loop,
            seed=settings.seed,
            look=how,
            depth=scene_depth(maps.depth, maps.classes),
            people=1.0 - maps.people[..., 0],
            classes=maps.classes,
            focus=focus(regions),
            device=device,
            faces=face_map(regions.faces, regions.depth.shape) if regions.faces else None,
        )
    return Take(
        shot.width,
        shot.height,
        frames,
        notes=shot.notes,
        picture=shot.picture,
        regions=regions,
    )


def analyse(bundle: Bundle, pixels: Pixels, *, device: Device | str = "auto") -> Maps:
    """Return what ember sees in a picture, uint8 RGB (H, W, 3), as it would be filmed unprompted.

    Raises:
        BundleError: a component or an entry of the manifest is missing or broken.
        EngineError: the device cannot run one.
    """
    return predict_maps(bundle, pixels, look(bundle, pixels, device), device=device)


def look(bundle: Bundle, pixels: Pixels, device: Device | str) -> Regions:
    """Find faces, people, the subject and depth in a photo with the helper networks."""
    with ExitStack() as stack:
        engines = {name: stack.enter_context(bundle.open(name, device=device)) for name in HELPERS}
        return find_regions(pixels, engines)


def find_photo_faces(bundle: Bundle, pixels: Pixels, device: Device | str) -> list[Face]:
    """Find the faces in a photo, uint8 (H, W, 3), and nothing else."""
    with bundle.open("faces", device=device) as engine:
        return find_faces(shrunk(pixels, LOOK), engine)


def predict_maps(
    bundle: Bundle,
    picture: Pixels,
    regions: Regions,
    *,
    device: Device | str = "auto",
    motion: MotionIntent | None = None,
) -> Maps:
    """Run the maps network on a framed picture and say, with what was found there, what holds.

    The network looks several times, at several sizes and mirrored, and the looks are averaged; the
    denoiser is told what the first one saw.
    """
    traits = Traits.of(bundle)
    with bundle.open("maps", device=device) as engine:
        looks = [
            run_maps(engine, picture, traits, scale=scale, mirrored=mirrored)
            for scale in traits.looks
            for mirrored in (False, True)
        ]
    features = looks[0]["features"]
    size = looks[0]["classes"].shape[3], looks[0]["classes"].shape[2]
    classes, amplitude, drift = (
        np.asarray(np.mean([_resized(one[name][0], size) for one in looks], axis=0), np.float32)
        for name in ("classes", "amplitude", "drift")
    )
    classes, drift = green_is_leaves(classes, drift, picture)
    amplitude = amplitude * (1 - (1 - SKY_SWAY) * classes[CLASSES.index("sky")])
    return Maps(
        classes=classes,
        amplitude=amplitude,
        drift=drift,
        features=features,
        hold=hold_still(classes, regions, motion or MotionIntent()),
        people=regions.people,
        subject=regions.subject,
        depth=regions.depth,
    )


def run_maps(
    engine: Engine, picture: Pixels, traits: Traits, *, scale: float = 1.0, mirrored: bool = False
) -> dict[str, Map]:
    """Run the maps network on a picture brought to `scale` times its own size, mirrored or not.

    The maps come back as the picture lies, whichever way the network saw it.
    """
    area = round(traits.area * scale * scale)
    size = input_size(picture.shape[1], picture.shape[0], replace(traits, area=area))
    how = cv2.INTER_AREA if size[0] < picture.shape[1] else cv2.INTER_LINEAR
    small = cv2.resize(picture, size, interpolation=how)
    if mirrored:
        small = small[:, ::-1]
    image = np.ascontiguousarray(small.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
    found = engine.run({"image": image})
    return {
        name: np.ascontiguousarray(value[..., ::-1] if mirrored else value, np.float32)
        for name, value in found.items()
    }


def input_size(width: int, height: int, traits: Traits) -> tuple[int, int]:
    """Width and height for the maps network, near its area, that suit a picture's aspect best."""
    aspect = min(max(width / height, 1 / 4), 4.0)
    ideal = np.sqrt(traits.area * aspect) / traits.multiple, np.sqrt(traits.area / aspect)
    ideal = ideal[0], ideal[1] / traits.multiple
    choices = [
        (max(w, 1) * traits.multiple, max(h, 1) * traits.multiple)
        for w in range(int(ideal[0]) - 1, int(ideal[0]) + 3)
        for h in range(int(ideal[1]) - 1, int(ideal[1]) + 3)
    ]

    def misfit(size: tuple[int, int]) -> float:
        shape = abs(np.log(size[0] / size[1] / aspect))
        return float(shape + 0.4 * abs(np.log(size[0] * size[1] / traits.area)))

    return min(choices, key=misfit)


def sample_latents(
    bundle: Bundle,
    features: Map,
    *,
    seed: int,
    steps: int | None = None,
    device: Device | str = "auto",
) -> Map:
    """Sample the phases and directions of a motion, (1, channels, h, w), from a seed."""
    noise = np.random.default_rng([seed, 1]).standard_normal(
        (1, Traits.of(bundle).channels, *features.shape[2:]), dtype=np.float32
    )
    schedule = schedule_from_manifest(bundle.section("schedule"), steps=steps)
    with bundle.open("denoiser", device=device) as engine:

        def step(latents: Map, timestep: float) -> Map:
            out = engine.run(
                {
                    "latents": np.asarray(latents, np.float32),
                    "noise_level": np.array([timestep], np.float32),
                    "features": features,
                }
            )
            return np.asarray(out["velocity"], np.float32)

        return denoise(step, noise * np.float32(schedule.initial_noise), schedule)


def _resized(maps: Map, size: tuple[int, int]) -> Map:
    """(C, h, w) maps at another, no larger (width, height)."""
    if maps.shape[:0:-1] == size:
        return maps
    planes = [cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in maps]
    return np.asarray(np.stack(planes), np.float32)


def _broken(
    bundle: Bundle, section: str, name: str, expected: object, found: object
) -> BundleError:
    return BundleError(
        f"{bundle.folder / MANIFEST}: {section}.{name} must be {expected}, and is {found!r}: "
        "export the model again"
    )
