"""Films of the latent families: what `reverie animate` does with the frames a model gives.

The model is asked for the size it can do nearest to what the settings ask for, and for as many
windows of frames as `length.plan_length` says. As they come, its frames are joined, brought to the
asked rate, closed to a loop, brought to the asked size, and led over from the photo. What was done
is told in notes. No camera and no light is laid on here; see `finishing`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from ..engines.errors import BundleError
from .bundle import Bundle
from .close_loop import LED_SECONDS, close_loop
from .close_loop import SECONDS as LOOP_SECONDS
from .frame import frame_photo
from .length import Capabilities, LengthPlan, plan_length
from .model import Model
from .model_size import model_size
from .photo import Photo
from .placing import Place, Placed
from .regions import Regions, carried, face_boxes, keep_map
from .retime import retime
from .settings import Settings
from .settle import SECONDS as SETTLE_SECONDS
from .settle import settle
from .stages import Stages
from .take import LatentFamily, Pixels, Plan, Take
from .text import Text
from .timing import Timing
from .ways import FrameWays
from .windows import Link, WindowNoise, join

_PLAIN = FrameWays()
_TOLD_RATE = 1.25  # how far from its own rate a model that can be told one is taken
_GROWS = 1.1  # times the model's height from which on a network enlarges
_MOTION_BUCKETS = 254  # motion 0.5 is bucket 127, what Stable Video Diffusion takes by itself


def latent_film(
    family: LatentFamily,
    bundle: Bundle,
    photo: Photo,
    settings: Settings,
    *,
    place: Place,
    stages: Stages,
    ways: FrameWays = _PLAIN,
    regions: Regions | None = None,
) -> Take:
    """Prepare a film of a photo by a family of video diffusion models; see `take.Family`.

    ways: networks for frames between the model's own and for larger ones. regions: what was found
    on the photo; it is framed to keep that in sight, as ember frames it. Nothing is run before the
    first frame is asked for. The first frame is the photo itself.
    """
    model = Model(bundle, family, placement=place.placement, place=place)
    with stages.stage("frame"):
        shot = frame_photo(
            photo,
            aspect=settings.aspect,
            height=settings.height,
            keep=None if regions is None else keep_map(regions),
            boxes=() if regions is None else face_boxes(regions),
        )
    size = shot.width, shot.height
    planned = plan_film(model, settings, size, drawn=ways.between is not None)
    plan, length, notes = planned.plan, planned.length, list(planned.notes)
    notes += [*plan.notes, *_size_notes(plan, *size, ways)]
    notes += _prompt_notes(bundle, plan, settings)
    notes += length.explanation
    placed = place.follow(plan, stages, film=size)
    drawn = _windows(model, planned, shot.picture, settings, place, placed, stages)
    frames = retime(drawn, length.step, length.count, ways.between)
    if length.loop != "no":
        seconds = LED_SECONDS if length.loop == "end" else LOOP_SECONDS
        frames = close_loop(frames, length.count, held=max(round(seconds * settings.fps), 2))
    frames = settle(
        _sized(frames, size, ways),
        shot.picture,
        round(SETTLE_SECONDS * settings.fps),
        loop=length.count if settings.loop else None,
    )
    return Take(
        width=shot.width,
        height=shot.height,
        frames=frames,
        notes=(*shot.notes, *notes),
        frame_count=length.count,
        steps=plan.steps,
        guidance=plan.guidance,
        memory=placed.memory,
        picture=shot.picture,
        regions=None if regions is None else carried(regions, shot),
    )


@dataclass(frozen=True)
class Planned:
    """What a model is asked for, so that a film comes out of it."""

    plan: Plan
    """Of one window."""
    length: LengthPlan
    """How many windows there are, and how a film is made of them."""
    family_settings: Mapping[str, Any]
    """What the family was asked for beside."""
    notes: tuple[str, ...] = ()


def plan_film(
    model: Model,
    settings: Settings,
    frame: tuple[int, int],
    *,
    drawn: bool = False,
    **family_settings: Any,
) -> Planned:
    """Say what a model will make for a film in a frame of (width, height) pixels.

    drawn: whether frames in between are drawn by a network. family_settings: the family's own, over
    what follows from the film's settings. Raises SettingsError and BundleError as `Model.plan`
    does.
    """
    timing = Timing.of(model.bundle)
    extra, notes = _own_settings(model.family, model.bundle, settings, timing)
    extra |= family_settings
    timing = timing.at(extra.get("frame_rate"), settings.fps)
    exact = settings.num_frames is not None
    width, height = model_size(model.bundle, frame)
    can = capabilities_of(model.family, model.bundle)

    def measure(count: int, timing: Timing, meant: float | None = None) -> LengthPlan:
        return plan_length(
            timing,
            frames=count,
            fps=settings.fps,
            loop=settings.loop,
            can=can,
            exact=exact,
            meant=meant,
            name=model.bundle.name,
            drawn=drawn,
        )

    def window(frames: int) -> Plan:
        return model.plan(
            height=height,
            width=width,
            num_frames=frames,
            steps=settings.steps,
            guidance=settings.guidance,
            **extra,
        )

    length = measure(settings.frames, timing)
    plan = window(length.window_frames)
    count = settings.frames
    if plan.num_frames != length.window_frames:
        if exact and length.windows == 1 and length.end is None:
            if plan.num_frames < 2:  # the nearest, but a film has two
                plan = window(timing.window(2))
            count = plan.num_frames  # the nearest the model can do
        elif plan.num_frames < length.window_frames:  # it can do less than its manifest's timing
            timing = replace(timing, usual=plan.num_frames, most=plan.num_frames)
            plan = window(measure(count, timing).window_frames)
    length = measure(count, timing, plan.fps)
    if length.windows > 1 and plan.num_frames != length.window_frames:
        raise BundleError(
            f"{model.bundle.folder}: windows of {length.window_frames} frames follow from its "
            f"timing and frame_rule, and the model makes {plan.num_frames}: export it again"
        )
    return Planned(plan, length, extra, tuple(notes))


def capabilities_of(family: LatentFamily, bundle: Bundle) -> Capabilities:
    """What a family can do to join windows: by default it begins again with the last picture."""
    told = getattr(family, "capabilities", None)
    return Capabilities() if told is None else told(bundle)


def _windows(
    model: Model,
    planned: Planned,
    picture: Pixels,
    settings: Settings,
    place: Place,
    placed: Placed,
    stages: Stages,
) -> Iterator[Pixels]:
    """Yield the model's own frames of all windows, in the size it makes them."""
    length, tells = planned.length, hasattr(model.family, "capabilities")

    def draw(window: int, begun: Pixels, link: Link) -> Iterator[Pixels]:
        if length.windows > 1:
            stages.tell("window", window + 1, length.windows)
        plan, there = planned.plan, placed
        if length.end is not None and window == length.windows - 1:
            # Of other sizes than the rest: the picture's tokens come on top.
            film = picture.shape[1], picture.shape[0]
            there = place.follow(_led(model, planned, picture), stages, film=film)
        return model.render(
            begun,
            plan,
            prompt=settings.prompt,
            negative_prompt=settings.negative_prompt,
            noise=WindowNoise(settings.seed, window),
            stages=stages,
            placed=there,
            link=link if tells else None,
        )

    return join(length, picture, draw)


def _led(model: Model, planned: Planned, picture: Pixels) -> Plan:
    """The plan of a window that ends with a picture."""
    plan, length = planned.plan, planned.length
    return model.plan(
        height=plan.height,
        width=plan.width,
        num_frames=plan.num_frames,
        steps=plan.steps,
        guidance=plan.guidance,
        **{**planned.family_settings, "last_image": picture, "last_image_frame": length.end},
    )


def _own_settings(
    family: LatentFamily, bundle: Bundle, settings: Settings, timing: Timing
) -> tuple[dict[str, Any], list[str]]:
    """The family's own settings that follow from a film's, and notes on what is left out."""
    extra: dict[str, Any] = {}
    notes = []
    fits = 1 / _TOLD_RATE <= settings.fps / timing.fps <= _TOLD_RATE
    if "frame_rate" in family.SETTINGS and settings.num_frames is None and fits:
        extra["frame_rate"] = float(settings.fps)
    if settings.motion is not None:
        if "motion_bucket_id" in family.SETTINGS:
            extra["motion_bucket_id"] = round(settings.motion * _MOTION_BUCKETS)
        else:
            notes.append(f"motion was left out: {bundle.name} moves as its prompt says")
    return extra, notes


def _prompt_notes(bundle: Bundle, plan: Plan, settings: Settings) -> list[str]:
    if not bundle.section("text"):
        notes = []
        if settings.prompt is not None:
            notes.append(f"{bundle.name} reads no prompt: its camera, light and mood are laid on")
        if settings.negative_prompt is not None:
            notes.append(f"the negative prompt was left out: {bundle.name} reads none")
        return notes
    text, notes = Text(bundle), []
    prompts = {"prompt": settings.prompt, "negative prompt": settings.negative_prompt}
    for name, prompt in prompts.items():
        cut = text.left_out(prompt) if prompt else 0
        if cut:
            notes.append(f"the {name} is too long: its last {cut} tokens were left out")
    if settings.negative_prompt and plan.guidance <= 1.0:
        notes.append("the negative prompt has no effect, because guidance is off")
    return notes


def _size_notes(plan: Plan, width: int, height: int, ways: FrameWays) -> list[str]:
    if (plan.width, plan.height) == (width, height):
        return []
    grows = ways.enlarge is not None and height >= _GROWS * plan.height
    how = " by a network" if grows else ""
    return [
        f"made at {plan.width}x{plan.height}, as the model can, and brought to "
        f"{width}x{height}{how}"
    ]


def _sized(frames: Iterator[Pixels], size: tuple[int, int], ways: FrameWays) -> Iterator[Pixels]:
    """Bring frames to a (width, height)."""
    width, height = size
    for frame in frames:
        if frame.shape[:2] == (height, width):
            yield frame
        elif ways.enlarge is not None and height >= _GROWS * frame.shape[0]:
            yield ways.enlarge(frame, size)
        else:
            shrinks = frame.shape[0] > height
            how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
            yield np.asarray(cv2.resize(frame, size, interpolation=how), np.uint8)
