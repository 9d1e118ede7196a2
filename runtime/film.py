"""Films of the latent families: what `reverie animate` does with the frames a model gives.

The model is asked for the size and the number of frames it can do nearest to what the settings
ask for; its frames are brought to the asked size and rate as they come. What was done is told in
notes. The camera and light that a prompt names are the model's own matter here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from ..engines.errors import BundleError
from .bundle import MANIFEST, Bundle, manifest_error
from .frame import frame_photo
from .model import Model
from .noise import Noise
from .photo import Photo
from .placing import Place
from .retime import retime
from .settings import Settings
from .stages import Stages
from .take import LatentFamily, Pixels, Plan, Take
from .text import Text

RULES = ("native", "slow", "windows")
_SAME_RATE = 0.05
_TOLD_RATE = 1.25  # how far from its own rate a model that can be told one is taken
_MOTION_BUCKETS = 254  # motion 0.5 is bucket 127, what Stable Video Diffusion takes by itself


@dataclass(frozen=True)
class Timing:
    """How many frames a model makes, and how fast they are meant to be seen."""

    fps: float
    """The model's own frames a second."""
    usual: int
    """How many it makes by itself."""
    most: int
    """How many it can make at once."""
    rule: str
    """"native": as many as a film needs, at the model's rate; "slow": as many as it makes by
    itself, played slower where a film is longer; "windows": several runs, for now as "native"."""
    step: int
    """Numbers of frames are `offset` and a multiple of this."""
    offset: int

    @classmethod
    def of(cls, bundle: Bundle) -> Timing:
        """Read it from the manifest's "timing" and "latents".

        Raises:
            BundleError: something is missing or impossible.
        """
        timing, layout = bundle.section("timing"), bundle.section("latents")
        try:
            frame_rule = layout.get("frame_rule", {})
            found = cls(
                fps=float(timing["fps"]),
                usual=int(timing["frames"]),
                most=int(timing.get("most_frames", timing["frames"])),
                rule=str(timing.get("rule", "native")),
                step=int(frame_rule.get("step", 1)),
                offset=int(frame_rule.get("offset", 0)),
            )
            if not (0 < found.fps < 1000 and min(found.usual, found.most, found.step) > 0):
                raise ValueError("fps, frames and frame_rule.step must be above 0")
            if found.rule not in RULES:
                raise ValueError(f"rule is {found.rule!r}; known: {', '.join(RULES)}")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise manifest_error(bundle.folder, error, "timing") from error
        return found

    def at(self, told: float | None, fps: int) -> Timing:
        """The timing of a film at `fps`, by a model that was told a rate or not.

        A film's rate within 5 % of the model's own is taken for it, as cinemas do with 24 and 25:
        nothing is blended.
        """
        own = self.fps if told is None else told
        return replace(self, fps=float(fps) if abs(fps / own - 1) <= _SAME_RATE else own)

    def frames_for(self, count: int, fps: float) -> int:
        """How many frames to ask the model for, for `count` in the film at `fps`."""
        if self.rule == "slow":
            return self.usual
        needed = math.ceil((count - 1) * self.fps / fps - 1e-6) + 1
        steps = max(math.ceil((min(needed, self.most) - self.offset) / self.step), 1)
        while steps > 1 and steps * self.step + self.offset > self.most:
            steps -= 1
        return steps * self.step + self.offset


def latent_film(
    family: LatentFamily,
    bundle: Bundle,
    photo: Photo,
    settings: Settings,
    *,
    place: Place,
    stages: Stages,
) -> Take:
    """Prepare a film of a photo by a family of video diffusion models; see `take.Family`.

    Nothing is run before the first frame is asked for. The first frame is the photo itself.
    """
    model = Model(bundle, family, placement=place.placement, place=place)
    with stages.stage("frame"):
        shot = frame_photo(photo, aspect=settings.aspect, height=settings.height)
    planned = plan_film(model, settings, (shot.width, shot.height))
    plan, timing, notes = planned.plan, planned.timing, list(planned.notes)
    exact = settings.num_frames is not None
    count = plan.num_frames if exact else settings.frames
    step = 1.0 if exact else _step(plan, timing.fps / settings.fps, count)
    notes += [*plan.notes, *_size_notes(plan, shot.width, shot.height)]
    notes += _prompt_notes(bundle, plan, settings)
    notes += _time_notes(plan, step, settings.fps)
    placed = place.follow(plan, stages, film=(shot.width, shot.height))
    drawn = model.render(
        shot.picture,
        plan,
        prompt=settings.prompt,
        negative_prompt=settings.negative_prompt,
        noise=Noise(settings.seed),
        stages=stages,
        placed=placed,
    )
    frames = retime(_sized(drawn, shot.picture), step, count)
    return Take(
        width=shot.width,
        height=shot.height,
        frames=frames,
        notes=(*shot.notes, *notes),
        frame_count=count,
        steps=plan.steps,
        guidance=plan.guidance,
        memory=placed.memory,
    )


@dataclass(frozen=True)
class Planned:
    """What a model is asked for, so that a film comes out of it."""

    plan: Plan
    timing: Timing
    """The model's, at the film's rate where it can be told one."""
    notes: tuple[str, ...] = ()


def plan_film(
    model: Model, settings: Settings, frame: tuple[int, int], **family_settings: Any
) -> Planned:
    """Say what a model will make for a film in a frame of (width, height) pixels.

    family_settings: the family's own, over what follows from the film's settings. Raises
    SettingsError and BundleError as `Model.plan` does.
    """
    timing = Timing.of(model.bundle)
    extra, notes = _own_settings(model.family, model.bundle, settings, timing)
    timing = timing.at(extra.get("frame_rate"), settings.fps)
    width, height = model_size(model.bundle, frame)
    plan = model.plan(
        height=height,
        width=width,
        num_frames=settings.num_frames or timing.frames_for(settings.frames, settings.fps),
        steps=settings.steps,
        guidance=settings.guidance,
        **(extra | family_settings),
    )
    return Planned(plan, timing, tuple(notes))


def model_size(bundle: Bundle, size: tuple[int, int]) -> tuple[int, int]:
    """The (width, height) a model can do nearest to a frame's, within the area it was trained on.

    Raises:
        BundleError: the manifest does not say what the model can do.
    """
    limits, defaults = bundle.section("limits"), bundle.section("defaults")
    try:
        multiple = int(limits.get("multiple", 8))
        area = int(limits.get("area", defaults["height"] * defaults["width"]))
        most = [int(limits.get(name, 1 << 16)) for name in ("most_width", "most_height")]
        if min(multiple, area, *most) < 1:
            raise ValueError("limits must be above 0")
    except (KeyError, TypeError, ValueError) as error:
        what = f"defaults.{error.args[0]} is missing" if isinstance(error, KeyError) else error
        raise BundleError(f"{bundle.folder / MANIFEST}: {what}: export the model again") from error
    width, height = size
    shrink = min(1.0, math.sqrt(area / (width * height)), most[0] / width, most[1] / height)
    ideal = width * shrink / multiple, height * shrink / multiple
    tops = [max(side // multiple, 1) for side in most]
    choices = [
        (w, h)
        for w in _around(ideal[0], tops[0])
        for h in _around(ideal[1], tops[1])
        if w * h * multiple**2 <= max(area, multiple**2) or (w, h) == (1, 1)
    ] or [(1, 1)]

    def misfit(cells: tuple[int, int]) -> float:
        shape = abs(math.log(cells[0] / cells[1] * height / width))
        return shape + 0.4 * abs(math.log(cells[0] * cells[1] / (ideal[0] * ideal[1])))

    best = min(choices, key=misfit)
    return best[0] * multiple, best[1] * multiple


def _around(ideal: float, top: int) -> list[int]:
    """Whole numbers beside an ideal one, from 1 to top."""
    return sorted({min(max(int(ideal) + d, 1), top) for d in (-1, 0, 1)})


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
    if settings.loop:
        notes.append(f"loop was left out: {bundle.name} cannot lead its end into its beginning")
    return extra, notes


def _prompt_notes(bundle: Bundle, plan: Plan, settings: Settings) -> list[str]:
    if not bundle.section("text"):
        asked = {"the prompt": settings.prompt, "the negative prompt": settings.negative_prompt}
        return [
            f"{name} was left out: {bundle.name} reads none"
            for name, text in asked.items()
            if text is not None
        ]
    text, notes = Text(bundle), []
    prompts = {"prompt": settings.prompt, "negative prompt": settings.negative_prompt}
    for name, prompt in prompts.items():
        cut = text.left_out(prompt) if prompt else 0
        if cut:
            notes.append(f"the {name} is too long: its last {cut} tokens were left out")
    if settings.negative_prompt and plan.guidance <= 1.0:
        notes.append("the negative prompt has no effect, because guidance is off")
    return notes


def _size_notes(plan: Plan, width: int, height: int) -> list[str]:
    if (plan.width, plan.height) == (width, height):
        return []
    return [
        f"made at {plan.width}x{plan.height}, as the model can, and brought to {width}x{height}"
    ]


def _step(plan: Plan, own: float, count: int) -> float:
    """How many of the model's frames one of the film is worth: `own`, less where they run out."""
    if (count - 1) * own <= plan.num_frames - 1 + 1e-6:
        return own
    return (plan.num_frames - 1) / (count - 1)


def _time_notes(plan: Plan, step: float, fps: int) -> list[str]:
    if step == 0:
        return ["the model makes one frame, which stands still"]
    pace = step * fps / plan.fps
    notes = []
    if abs(pace - 1) > 0.005:
        how = f"{1 / pace:.3g} times slower" if pace < 1 else f"{pace:.3g} times faster"
        made = f"it makes {plan.num_frames} frames at {plan.fps:g} fps"
        notes.append(f"played {how} than the model means it: {made}")
    if step != 1.0:
        notes.append(f"frames in between are blended, {plan.fps * pace:.3g} to {fps} fps")
    return notes


def _sized(frames: Iterator[Pixels], first: Pixels) -> Iterator[Pixels]:
    """Bring frames to the size of `first`, which takes the first one's place."""
    height, width = first.shape[:2]
    for index, frame in enumerate(frames):
        if index == 0:
            yield first
        elif frame.shape[:2] == (height, width):
            yield frame
        else:
            shrinks = frame.shape[0] > height
            how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
            yield np.asarray(cv2.resize(frame, (width, height), interpolation=how), np.uint8)
