"""The way of a photo, from the file to the clip: read, understood, filmed by a family, written.

`stream` is the real form; `animate` is a thin loop over it that writes the frames as they come.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..engines.device import Device
from ..engines.errors import BundleError, SettingsError
from .bundle import Bundle, load_bundle
from .clip import Clip, check_output, write_clip
from .memory import peak_memory
from .photo import load_photo
from .prompt import understand
from .settings import Settings, Understanding, parse_aspect
from .stages import OnProgress, Stages
from .take import Family

PhotoSource = str | Path | Image.Image | NDArray[np.uint8]
Frames = Iterator[NDArray[np.uint8]]


@dataclass(frozen=True)
class Film:
    """A film whose frames come when they are asked for; iterate over it once."""

    frames: Frames
    """Yields exactly `frame_count` frames, uint8 RGB (height, width, 3)."""
    frame_count: int
    fps: int
    width: int
    height: int
    model: str
    seed: int
    understanding: Understanding
    """What the prompt was understood as."""
    notes: tuple[str, ...]
    """What a person should know: how the photo was read, framed, what the model left out."""
    stages: Stages

    def __iter__(self) -> Frames:
        return self.frames


def stream(
    photo: PhotoSource,
    settings: Settings | None = None,
    *,
    model: str | Path = "ember",
    device: Device | str = "auto",
    on_progress: OnProgress | None = None,
    **options: Any,
) -> Film:
    """Turn a photo into frames, drawn one at a time as they are asked for.

    Args:
        photo: a file, a PIL image, or uint8 RGB (H, W, 3).
        settings: what the clip asks for; None means the defaults.
        model: an embedded model's name, or the folder of a bundle.
        device: "auto", "cpu" or "cuda".
        on_progress: called with a stage's name, what is done and the total.
        options: fields of Settings by name, in place of `settings` or on top of them.

    Raises:
        SettingsError: a setting is impossible or unknown.
        PhotoError: the photo cannot be used.
        BundleError: the model is missing or broken.
        EngineError: the device cannot run it.
    """
    settings = _settings(settings, options)
    understanding = understand(settings.prompt)
    bundle = load_bundle(model)
    family = _family(bundle)
    stages = Stages(on_progress)
    with stages.stage("photo"):
        widest = max(2.0, parse_aspect(settings.aspect) or 1.0)
        source = load_photo(photo, target=math.ceil(settings.height * widest))
    take = family.film(bundle, source, settings, understanding, device=device, stages=stages)
    return Film(
        frames=_timed(take.frames, stages, settings.frames),
        frame_count=settings.frames,
        fps=settings.fps,
        width=take.width,
        height=take.height,
        model=bundle.name,
        seed=settings.seed,
        understanding=understanding,
        notes=(*source.notes, *take.notes),
        stages=stages,
    )


def animate(
    photo: PhotoSource,
    out: str | Path | None = None,
    *,
    settings: Settings | None = None,
    model: str | Path = "ember",
    device: Device | str = "auto",
    force: bool = False,
    on_progress: OnProgress | None = None,
    **options: Any,
) -> Clip:
    """Turn a photo into a clip on disk.

    Args:
        out: the file to write; None means the photo's name with .mp4 in the current folder
            ("reverie.mp4" where the photo is no file).
        force: True overwrites an existing file.

    The other arguments and errors are those of `stream`.

    Raises:
        OutputError: the clip cannot be written there; said before anything is rendered where that
            can be known.
    """
    settings = _settings(settings, options)
    path = Path(out) if out is not None else default_output(photo)
    check_output(path, force=force)
    film = stream(photo, settings, model=model, device=device, on_progress=on_progress)
    stages = film.stages
    start = time.perf_counter()
    drawn_before = stages.seconds.get("frames", 0.0)
    written = write_clip(
        film.frames,
        path,
        fps=film.fps,
        width=film.width,
        height=film.height,
        frame_count=film.frame_count,
        force=force,
        metadata={"comment": f"Reverie, model {film.model}, seed {film.seed}"},
        on_frame=lambda done: stages.tell("frames", done, film.frame_count),
    )
    drawing = stages.seconds.get("frames", 0.0) - drawn_before
    stages.add("encode", time.perf_counter() - start - drawing)
    return Clip(
        path=path,
        seconds=written / film.fps,
        frames=written,
        fps=film.fps,
        width=film.width,
        height=film.height,
        model=film.model,
        seed=film.seed,
        stages=dict(stages.seconds),
        peak_memory=peak_memory(),
        understanding=film.understanding,
        notes=film.notes,
    )


def default_output(photo: PhotoSource) -> Path:
    """Return the photo's name with .mp4, in the current folder."""
    if isinstance(photo, str | Path):
        return Path((Path(photo).stem or "reverie") + ".mp4")
    return Path("reverie.mp4")


def _settings(settings: Settings | None, options: dict[str, Any]) -> Settings:
    unknown = options.keys() - Settings.__dataclass_fields__.keys()
    if unknown:
        known = ", ".join(Settings.__dataclass_fields__)
        raise SettingsError(f"unknown setting {', '.join(sorted(unknown))}: use {known}")
    return replace(settings or Settings(), **options)


def _family(bundle: Bundle) -> Family:
    folder = Path(__file__).parent / "families"
    known = sorted(p.stem for p in folder.glob("*.py") if p.stem != "__init__")
    if bundle.family not in known:
        raise BundleError(
            f"{bundle.folder}: family {bundle.family!r} is not known here "
            f"(known: {', '.join(known)}): update Reverie"
        )
    family: Family = import_module(f".families.{bundle.family}", __package__)
    return family


def _timed(frames: Frames, stages: Stages, count: int) -> Frames:
    """Pass exactly `count` frames on, counting the time it takes to draw them."""
    for _ in range(count):
        start = time.perf_counter()
        frame = next(frames)
        stages.add("frames", time.perf_counter() - start)
        yield frame
    with suppress(AttributeError):
        frames.close()  # type: ignore[attr-defined]
