"""The way of a photo, from the file to the clip: read, understood, filmed by a family, written.

`stream` is the real form; `animate` is a thin loop over it that writes the frames as they come.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..engines.device import Device
from ..engines.errors import BundleError, SettingsError
from .bundle import Bundle, load_bundle
from .clip import Clip
from .delivery import Delivery, asked, check, deliver, divided, hear
from .finishing import Finishing
from .formats import suffix_for
from .guard import Report
from .look.look import Look, resolve
from .memory import peak_memory
from .photo import Photo, load_photo
from .placement import Placement
from .placing import Place, tells_shapes
from .preparing import prepare_photo, tools_tell
from .prompt import understand
from .retime import NO_FRAMES
from .settings import SECONDS_RANGE, Settings, Understanding, parse_aspect
from .shapes import plan_for
from .stages import OnNote, OnProgress, Stages
from .take import Take, find_family, gives_frames
from .ways import open_ways

if TYPE_CHECKING:
    from .credentials.credentials import FilmClaims
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
    report: Report | None = None
    """What the guards measured: faces, stillness, flicker, drift, seams."""
    codec: str = "h264"
    """One of `formats.CODECS`."""
    encoder: str = ""
    """FFmpeg's name of the encoder."""
    sound: bool = False
    """Whether it is heard."""

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
    look: Look
    """The camera, light and mood that were settled."""
    finishing: Finishing
    """What is done to its frames last; its `report` is there when they are drawn."""
    model_version: str = ""
    steps: int | None = None
    """Denoising steps, where the model says."""
    guidance: float | None = None
    """Guidance, where the model knows one."""
    memory: RenderPlan | None = None
    """What memory it is planned to take; None where the family does not tell."""

    def __iter__(self) -> Frames:
        return self.frames

    def __next__(self) -> NDArray[np.uint8]:
        return next(self.frames)


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
    settings = _with_options(settings or Settings(), options)
    bundle = load_bundle(model)
    bundle.check_sizes()  # a cut file is told now, not when its turn comes
    family = find_family(bundle)
    settings, notes = _for_family(bundle, family, settings)
    drawn = gives_frames(family)  # whole frames, from a prompt that goes to a network too
    understanding = understand(settings.prompt)
    look = resolve(settings, understanding, drawn=drawn)
    stages = Stages(on_progress, on_note)
    place = Place(bundle, placement or Placement(device))
    with stages.stage("photo"):
        widest = max(2.0, parse_aspect(settings.aspect) or 1.0)
        source = load_photo(photo, target=math.ceil(settings.height * widest))
    source = prepare_photo(source, settings, place, stages)
    stack = ExitStack()
    if drawn:
        take = _drawn_take(family, bundle, source, settings, place, stages, stack)
    else:
        size = source.pixels.shape[1], source.pixels.shape[0]
        plan = plan_for(bundle, settings=settings, photo=size) if tells_shapes(bundle) else None
        frame = None if plan is None else (plan.width, plan.height)
        placed = place.follow(plan, stages, film=frame)
        on = place.spot.device
        take = family.film(
            placed.bundle, source, settings, understanding, how=look, device=on, stages=stages
        )
        take = replace(take, memory=placed.memory)
    stack.callback(_close, take.frames)  # its networks stay open else until the film is forgotten
    count = settings.frames if take.frame_count is None else take.frame_count
    finishing = Finishing(
        take,
        settings,
        look,
        drawn=drawn,
        count=count,
        device=place.spot.device,
        stages=stages,
    )
    return Film(
        frames=_timed(finishing.over(take.frames), stages, count, place, stack),
        frame_count=count,
        fps=settings.fps,
        width=take.width,
        height=take.height,
        model=bundle.name,
        seed=settings.seed,
        understanding=understanding,
        notes=(*source.notes, *notes, *look.told, *take.notes),
        stages=stages,
        place=place,
        look=look,
        finishing=finishing,
        model_version=bundle.version,
        steps=take.steps or settings.steps or bundle.section("schedule").get("steps"),
        guidance=take.guidance,
        memory=take.memory,
    )


def animate(
    photo: PhotoSource,
    out: str | Path | None = None,
    *,
    settings: Settings | None = None,
    delivery: Delivery | None = None,
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
            ("reverie.mp4" where the photo is no file), or what `delivery.codec` asks for.
        delivery: sound, encoding, stills and credentials; None means the defaults.
        force: True overwrites an existing file.
        options: fields of Settings and of Delivery by name, on top of `settings` and `delivery`.

    The other arguments and errors are those of `stream`.

    Raises:
        OutputError: the clip cannot be written there; said before anything is rendered where that
            can be known.
        SoundError: the music or the voice cannot be used; said before anything is rendered.
    """
    delivery, others = divided(delivery, options)
    settings = _with_options(settings or Settings(), others, Delivery.__dataclass_fields__)
    if settings.loop and delivery.quality is None:
        delivery = replace(delivery, quality="best")  # else the first picture is seen to differ
    if settings.label is not None:
        from .letters.lettering import check_text

        check_text(settings.label)
    path = out if out is not None else default_output(photo, delivery.codec)
    check(path, delivery, force=force, sources=[photo])
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
    try:
        sound = hear(delivery, film.frame_count / film.fps, stages)
        start = time.perf_counter()
        counted_before = stages.total
        written = deliver(
            film.frames,
            path,
            delivery,
            fps=film.fps,
            width=film.width,
            height=film.height,
            frame_count=film.frame_count,
            claims=_claims(photo, film, settings, delivery),
            stages=stages,
            sound=sound,
            force=force,
        )
    finally:
        _close(film.frames)
    drawing = stages.total - counted_before
    stages.add("encode", time.perf_counter() - start - drawing)
    return Rendered(
        path=Path(path),
        seconds=written.seconds,
        frames=written.frames,
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
        report=film.finishing.report,
        codec=written.codec,
        encoder=written.encoder,
        sound=written.sound,
        bytes=written.bytes,
    )


def default_output(photo: PhotoSource, codec: str | None = None) -> str:
    """Return the photo's name with the ending of a codec's files, in the current folder."""
    named = isinstance(photo, str | Path) and Path(photo).stem
    return f"{named or 'reverie'}{suffix_for(codec)}"


def _with_options(
    settings: Settings, options: dict[str, Any], more: Iterable[str] = ()
) -> Settings:
    unknown = options.keys() - Settings.__dataclass_fields__.keys()
    if unknown:
        known = ", ".join((*Settings.__dataclass_fields__, *more))
        raise SettingsError(f"unknown setting {', '.join(sorted(unknown))}: use {known}")
    return replace(settings, **options)


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
        least, most = SECONDS_RANGE
        if settings.num_frames > most * settings.fps:
            raise SettingsError(
                f"{settings.num_frames} frames at {settings.fps} fps are more than {most:g} s: "
                f"give {round(most * settings.fps)} at most"
            )
        settings = replace(settings, seconds=max(settings.num_frames / settings.fps, least))
    return settings, notes


def _drawn_take(
    family: Any,
    bundle: Bundle,
    source: Photo,
    settings: Settings,
    place: Place,
    stages: Stages,
    stack: ExitStack,
) -> Take:
    """What a video model makes of a photo; `stack` closes the networks that help it."""
    from .families.ember import look
    from .film import latent_film  # not for ember, which needs none of it

    device = place.spot.device
    with stages.stage("look"):
        regions = look(load_bundle("ember"), source.pixels, device)
    ways = open_ways(
        stack,
        between=settings.interpolation == "auto",
        enlarge=settings.upscaling == "auto",
        device=device,
        on_note=tools_tell(place, stages),
    )
    return latent_film(
        family, bundle, source, settings, place=place, stages=stages, ways=ways, regions=regions
    )


def _claims(photo: PhotoSource, film: Film, settings: Settings, delivery: Delivery) -> FilmClaims:
    """What the film says of itself."""
    from .credentials.credentials import FilmClaims, photo_hash

    if isinstance(photo, str | Path):
        own = photo_hash(photo)
    else:
        own = photo_hash(np.ascontiguousarray(photo).tobytes())
    return FilmClaims(
        model=film.model,
        model_version=film.model_version,
        photos=[own],
        seed=film.seed,
        settings={
            **asked(settings, delivery),
            "seconds": film.frame_count / film.fps,
            "mood": settings.mood or film.understanding.mood,
            "light": settings.light or film.understanding.light.kind,
            "width": film.width,
            "height": film.height,
        },
        label=settings.label,
    )


def _timed(frames: Frames, stages: Stages, count: int, place: Place, stack: ExitStack) -> Frames:
    """Pass exactly `count` frames on, counting the time they are waited for, and clear up.

    What other stages count meanwhile is theirs; drawing goes on while they work.
    """
    try:
        for _ in range(count):
            start, others = time.perf_counter(), stages.total
            frame = next(frames, None)
            if frame is None:
                raise BundleError(NO_FRAMES)
            stages.add("frames", time.perf_counter() - start - (stages.total - others))
            yield frame
        for _ in frames:  # what is done behind the last frame: the guards' report
            break
    finally:
        _close(frames)
        stack.close()
        place.close()


def _close(frames: Frames) -> None:
    """Let go of what draws frames, wherever it is."""
    with suppress(AttributeError):
        frames.close()  # type: ignore[attr-defined]
