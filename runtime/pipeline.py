"""The way of a photo, from the file to the clip: read, understood, filmed by a family, written.

`stream` is the real form; `animate` is a thin loop over it that writes the frames as they come.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..engines.device import Device
from ..engines.errors import SettingsError
from .bundle import Bundle, load_bundle
from .clip import Clip, check_output, write_clip
from .memory import peak_memory
from .photo import load_photo
from .placement import Placement
from .placing import Place, tells_shapes
from .prompt import understand
from .settings import Settings, Understanding, parse_aspect
from .shapes import plan_for
from .stages import OnNote, OnProgress, Stages
from .take import find_family, gives_frames

if TYPE_CHECKING:
    from .planner import RenderPlan

PhotoSource = str | Path | Image.Image | NDArray[np.uint8]
Frames = Iterator[NDArray[np.uint8]]


@dataclass(frozen=True)
class Rendered(Clip):
    """A finished clip on disk, and how its model was run."""

    steps: int | None = None
    """Denoising steps, where the model says."""
    guidance: float | None = None
    """Guidance, where the model knows one."""
    memory: RenderPlan | None = None
    """What memory the render was planned to take; None where the family does not tell."""
    device_memory: int | None = None
    """Bytes of a GPU's memory that TensorRT's engines took at most; None without any."""

    @property
    def predicted_memory(self) -> int | None:
        """Bytes that this process was planned to take at most, beside `peak_memory`."""
        if self.memory is None:
            return None
        return self.memory.host_bytes or self.memory.peak_bytes


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
    place: Place
    """Where it runs; closed when the frames are drawn."""
    steps: int | None = None
    """Denoising steps, where the model says."""
    guidance: float | None = None
    """Guidance, where the model knows one."""
    memory: RenderPlan | None = None
    """What memory it is planned to take; None where the family does not tell."""

    def __iter__(self) -> Frames:
        return self.frames


def stream(
    photo: PhotoSource,
    settings: Settings | None = None,
    *,
    model: str | Path = "ember",
    device: Device | str = "auto",
    placement: Placement | None = None,
    on_progress: OnProgress | None = None,
    on_note: OnNote | None = None,
    **options: Any,
) -> Film:
    """Turn a photo into frames, drawn one at a time as they are asked for.

    Args:
        photo: a file, a PIL image, or uint8 RGB (H, W, 3).
        settings: what the clip asks for; None means the defaults.
        model: an embedded model's name, or the folder of a bundle.
        device: "auto", "cpu" or "cuda".
        placement: what is asked of the machine beside, in place of `device`.
        on_progress: called with a stage's name, what is done and the total.
        on_note: called with a line when something goes otherwise than planned.
        options: fields of Settings by name, in place of `settings` or on top of them.

    Raises:
        SettingsError: a setting is impossible or unknown.
        PhotoError: the photo cannot be used.
        BundleError: the model is missing or broken.
        EngineError: the device cannot run it.
    """
    settings = _settings(settings, options)
    bundle = load_bundle(model)
    bundle.check_sizes()  # a cut file is told now, not when its turn comes
    family = find_family(bundle)
    settings, notes = _for_family(bundle, family, settings)
    whole = gives_frames(family)  # such a model is given the prompt as it is
    understanding = Understanding() if whole else understand(settings.prompt)
    stages = Stages(on_progress, on_note)
    place = Place(bundle, placement or Placement(device))
    with stages.stage("photo"):
        widest = max(2.0, parse_aspect(settings.aspect) or 1.0)
        source = load_photo(photo, target=math.ceil(settings.height * widest))
    if whole:
        from .film import latent_film  # not for ember, which needs none of it

        take = latent_film(family, bundle, source, settings, place=place, stages=stages)
    else:
        size = source.pixels.shape[1], source.pixels.shape[0]
        plan = plan_for(bundle, settings=settings, photo=size) if tells_shapes(bundle) else None
        frame = None if plan is None else (plan.width, plan.height)
        placed = place.follow(plan, stages, film=frame)
        on = place.spot.device
        take = family.film(placed.bundle, source, settings, understanding, device=on, stages=stages)
        take = replace(take, memory=placed.memory)
    count = settings.frames if take.frame_count is None else take.frame_count
    return Film(
        frames=_timed(take.frames, stages, count, place),
        frame_count=count,
        fps=settings.fps,
        width=take.width,
        height=take.height,
        model=bundle.name,
        seed=settings.seed,
        understanding=understanding,
        notes=(*source.notes, *notes, *take.notes),
        stages=stages,
        place=place,
        steps=take.steps or settings.steps or bundle.section("schedule").get("steps"),
        guidance=take.guidance,
        memory=take.memory,
    )


def animate(
    photo: PhotoSource,
    out: str | Path | None = None,
    *,
    settings: Settings | None = None,
    model: str | Path = "ember",
    device: Device | str = "auto",
    placement: Placement | None = None,
    force: bool = False,
    on_progress: OnProgress | None = None,
    on_note: OnNote | None = None,
    **options: Any,
) -> Rendered:
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
    film = stream(
        photo,
        settings,
        model=model,
        device=device,
        placement=placement,
        on_progress=on_progress,
        on_note=on_note,
    )
    stages = film.stages
    start = time.perf_counter()
    counted_before = stages.total
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
    drawing = stages.total - counted_before
    stages.add("encode", time.perf_counter() - start - drawing)
    return Rendered(
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
        notes=(*film.notes, *stages.notes),
        steps=film.steps,
        guidance=film.guidance,
        memory=film.memory,
        device_memory=film.place.device_peak or None,
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


def _for_family(bundle: Bundle, family: Any, settings: Settings) -> tuple[Settings, list[str]]:
    """Settle what depends on the kind of model; the notes name options it cannot use."""
    if gives_frames(family):
        return settings, []
    unused = {"guidance": settings.guidance, "a negative prompt": settings.negative_prompt}
    notes = [
        f"{name} was left out: {bundle.name} knows none"
        for name, value in unused.items()
        if value is not None
    ]
    if settings.num_frames is not None:
        settings = replace(settings, seconds=max(settings.num_frames / settings.fps, 0.5))
    return settings, notes


def _timed(frames: Frames, stages: Stages, count: int, place: Place) -> Frames:
    """Pass exactly `count` frames on, counting the time it takes to draw them, and clear up.

    What other stages count meanwhile is theirs.
    """
    try:
        for _ in range(count):
            start, others = time.perf_counter(), stages.total
            frame = next(frames)
            stages.add("frames", time.perf_counter() - start - (stages.total - others))
            yield frame
    finally:
        with suppress(AttributeError):
            frames.close()  # type: ignore[attr-defined]
        place.close()
