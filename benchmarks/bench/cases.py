"""What is to be measured: options to cases, each checked before the first of them runs."""

from __future__ import annotations

import itertools
import math
import os
import re
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...engines.errors import PhotoError, SettingsError
from ...runtime.bundle import Bundle, embedded_models, load_bundle
from ...runtime.placement import Placement
from ...runtime.settings import (
    ASPECT_RANGE,
    FPS_RANGE,
    FRAMES_RANGE,
    HEIGHT_RANGE,
    STEPS_RANGE,
    Settings,
)
from ...runtime.take import find_family, gives_frames
from .record import case_id

PHOTO = Path(__file__).resolve().parents[2] / "export" / "photos" / "grass-cliff.jpg"
"""What is animated where no photo is given."""

_EMBER_SIZE, _EMBER_SECONDS, _FPS = (1280, 720), 10.0, 24


@dataclass(frozen=True)
class Plans:
    """How often everything is measured."""

    repeat: int = 5
    warmup: int = 1
    minutes: float | None = None
    """Length of the thermal soak of each case; None measures the steady state."""


@dataclass(frozen=True)
class Case:
    """One film that is rendered again and again, in processes of its own."""

    model: str
    """As `reverie animate --model` takes it."""
    name: str
    label: str
    """What it is called in the row's id: an embedded model's name, or a folder's."""
    family: str
    version: str
    width: int
    height: int
    frames: int
    fps: int
    seconds: float | None
    """Length that was asked for, where it was no number of frames."""
    steps: int | None
    guidance: float | None
    precision: str
    backend: str
    device: str
    threads: int | None
    photo: str
    prompt: str | None
    made_prompt: bool
    """Whether the prompt's embeddings are made up in memory, for a bundle that knows none."""

    def words(self, out: str) -> list[str]:
        """Return the command line that renders it, as a user would type it."""
        words = ["animate", self.photo, "--model", self.model, "--height", str(self.height)]
        words += ["--aspect", f"{self.width}:{self.height}", "--fps", str(self.fps)]
        if self.seconds is None:
            words += ["--frames", str(self.frames)]
        else:
            words += ["--seconds", str(self.seconds)]
        words += [] if self.steps is None else ["--steps", str(self.steps)]
        words += [] if self.guidance is None else ["--guidance", str(self.guidance)]
        words += [] if self.prompt is None else ["--prompt", self.prompt]
        words += ["--precision", self.precision, "--backend", self.backend]
        return [*words, "--device", self.device, "--out", out, "--force", "--json"]

    def id(self, device: str) -> str:
        """Return the key that joins it with another record's; device: what it ran on."""
        return case_id(
            self.label,
            self.width,
            self.height,
            self.frames,
            device.partition(":")[0],
            None if self.steps is None else f"{self.steps} steps",
            None if self.guidance is None else f"guidance {self.guidance:g}",
            None if self.precision == "auto" else self.precision,
            None if self.backend == "auto" else self.backend,
            None if self.threads is None else f"{self.threads} threads",
        )


def plans_of(asked: Namespace) -> Plans:
    """Return how often to measure.

    Raises:
        SettingsError: a number is out of range.
    """
    _within("--repeat", asked.repeat, 1, 1000)
    _within("--warmup", asked.warmup, 0, 100)
    if asked.minutes is not None and not 0 < asked.minutes <= 1440:
        raise SettingsError(
            f"--minutes {asked.minutes} cannot be used: give a number above 0, up to 1440 (a day)"
        )
    return Plans(asked.repeat, asked.warmup, asked.minutes)


def cases_of(asked: Namespace) -> list[Case]:
    """Return the cases that the options multiply into, in the order of the options.

    Raises:
        SettingsError: an option is impossible, or a case with it is.
        PhotoError: the photo is not there.
        BundleError: a model is missing or broken, or its family makes no films.
    """
    photo = PHOTO if asked.photo is None else Path(asked.photo)
    if not photo.is_file():
        raise PhotoError(f"{photo} is not there: give a picture with --photo")
    for steps in asked.steps or ():
        _within("--steps", steps, *STEPS_RANGE)
    for frames in asked.frames or ():
        _within("--frames", frames, *FRAMES_RANGE)
    for threads in asked.threads or ():
        _within("--threads", threads, 1, cores_here())
    sizes = [size_of(text) for text in asked.size or ()]
    made = []
    for model in asked.models or ["ember"]:
        bundle = load_bundle(model)
        bundle.check_sizes()
        own = _Own.of(bundle)
        for size, frames, steps, precision, backend, threads in itertools.product(
            sizes or [own.size],
            asked.frames or [own.frames],
            asked.steps or [None],
            asked.precision or ["auto"],
            asked.backend or ["auto"],
            asked.threads or [None],
        ):
            Placement(device=asked.device, backend=backend, precision=precision)
            fps = own.fps if asked.seconds is None else _FPS
            settings = Settings(
                height=size[1],
                aspect=f"{size[0]}:{size[1]}",
                fps=fps,
                steps=steps,
                guidance=asked.guidance,
                **({"num_frames": frames} if asked.seconds is None else {"seconds": asked.seconds}),
            )
            made.append(
                Case(
                    model=str(model),
                    name=bundle.name,
                    label=bundle.name
                    if model in embedded_models()
                    else bundle.folder.resolve().name,
                    family=bundle.family,
                    version=bundle.version,
                    width=size[0],
                    height=size[1],
                    frames=settings.frames,
                    fps=fps,
                    seconds=asked.seconds,
                    steps=steps,
                    guidance=asked.guidance,
                    precision=precision,
                    backend=backend,
                    device=asked.device,
                    threads=threads,
                    photo=str(photo.resolve()),
                    prompt=own.prompt,
                    made_prompt=own.made_prompt,
                )
            )
    return made


def size_of(text: str) -> tuple[int, int]:
    """Return (width, height) of "1280x720".

    Raises:
        SettingsError: it is no size, or one that no film can have.
    """
    found = re.fullmatch(r"(\d{1,5})[xX](\d{1,5})", text.strip())
    if not found:
        raise SettingsError(
            f"--size {text[:40]!r} cannot be used: give WxH, such as 1280x720 (models come before "
            "the options)"
        )
    width, height = int(found[1]), int(found[2])
    low, high = HEIGHT_RANGE
    if not low <= height <= high:
        raise SettingsError(
            f"--size {text}: a height of {height} cannot be used: give {low} to {high}"
        )
    if not ASPECT_RANGE[0] <= width / height <= ASPECT_RANGE[1]:
        raise SettingsError(f"--size {text} cannot be used: give a shape from 1:4 to 4:1")
    if width % 2 or height % 2:
        raise SettingsError(f"--size {text} cannot be used: both sides of a film are even")
    return width, height


def cores_here() -> int:
    """Return the processor's cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True)
class _Own:
    """What a model is measured with where nothing is asked for."""

    size: tuple[int, int]
    frames: int
    fps: int
    prompt: str | None
    made_prompt: bool

    @classmethod
    def of(cls, bundle: Bundle) -> _Own:
        family = find_family(bundle)
        if not gives_frames(family):
            return cls(_EMBER_SIZE, round(_EMBER_SECONDS * _FPS), _FPS, None, False)
        plan = family.plan(
            bundle, height=None, width=None, num_frames=None, steps=None, guidance=None
        )
        prompt, made = _prompt_of(bundle)
        low, high = FPS_RANGE
        fps = plan.fps if math.isfinite(plan.fps) else _FPS
        times = math.ceil(HEIGHT_RANGE[0] / plan.height)  # a toy's own may be no film's
        size = times * plan.width // 2 * 2, times * plan.height // 2 * 2
        return cls(size, plan.num_frames, min(max(round(fps), low), high), prompt, made)


def _prompt_of(bundle: Bundle) -> tuple[str | None, bool]:
    """A prompt that a bundle can be run with, and whether it must be made up."""
    from ...runtime.prompts import known_prompts
    from ...runtime.text import ENCODER

    if not bundle.section("text"):
        return None, False
    if ENCODER in bundle.components:
        return "waves roll in, soft light", False
    known = known_prompts(bundle)
    plain = [text for text in known if text]
    return (plain[0] if plain else ""), "" not in known  # the empty one is what guidance leaves


def _within(name: str, value: Any, low: int, high: int) -> None:
    if not low <= value <= high:
        raise SettingsError(f"{name} {value} cannot be used: give a number from {low} to {high}")


def command_of(cases: Sequence[Case]) -> list[list[str]]:
    """Return the command lines that the cases render, the photo by its name alone."""
    return [replace(one, photo=Path(one.photo).name).words("clip.mp4") for one in cases]
