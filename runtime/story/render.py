"""Renders the shots of a story that are not there yet, one photo after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ...engines.device import Device
from ...engines.errors import PhotoError, ReverieError
from ..bundle import Bundle
from ..pipeline import Film, stream
from ..placement import Placement
from ..settings import Settings
from ..stages import OnProgress
from .plan import StoryPlan, content_of
from .shots import ShotKey, ShotStore
from .timeline import frames_to_render

Frame = NDArray[np.uint8]


@dataclass(frozen=True)
class ShotTask:
    """One shot to be rendered or found."""

    settings: Settings
    key: ShotKey
    frames: int


def shot_tasks(plan: StoryPlan, bundle: Bundle, size: tuple[int, int]) -> list[ShotTask]:
    """Return what to render for each shot; what does not depend on its neighbours stays kept."""
    contents: dict[str, str] = {}
    tasks = []
    for index, shot in enumerate(plan.shots):
        named = str(shot.photo) if isinstance(shot.photo, str | Path) else f"{index}"
        if named not in contents:
            try:
                contents[named] = content_of(shot.photo)
            except OSError as error:
                why = f"{shot.name} cannot be read any more ({error.strerror})"
                raise PhotoError(f"{why}: check the path") from error
        content = contents[named]
        frames = frames_to_render(plan, index)
        settings = Settings(
            **{
                "seconds": frames / plan.fps,
                "fps": plan.fps,
                "height": plan.height,
                "aspect": plan.aspect or "16:9",
                "seed": plan.seed,
                **plan.settings(shot),
            }
        )
        tasks.append(ShotTask(settings, ShotKey.of(content, settings, size, bundle), frames))
    return tasks


def missing_shots(tasks: Sequence[ShotTask], store: ShotStore) -> list[int]:
    """The shots that are not there yet, one for each name."""
    missing: dict[str, int] = {}
    known: set[str] = set()
    for index, task in enumerate(tasks):
        name = task.key.name
        if name not in known and not store.has(task.key):
            missing[name] = index
        known.add(name)
    return list(missing.values())


def shoot(
    plan: StoryPlan,
    task: ShotTask,
    index: int,
    model: str | Path,
    device: Device | str,
    placement: Placement | None,
    on_progress: OnProgress | None = None,
) -> Film:
    """Prepare the film of a shot; errors name the line where it was written.

    Raises:
        ReverieError: whatever `pipeline.stream` raises.
    """
    shot = plan.shots[index]
    try:
        return stream(
            shot.photo,
            task.settings,
            model=model,
            device=device,
            placement=placement,
            on_progress=on_progress,
        )
    except ReverieError as error:
        if shot.where:
            raise type(error)(f"{shot.where}: {error}", error.facts) from error
        raise


def render_shot(
    store: ShotStore,
    film: Film,
    task: ShotTask,
    size: tuple[int, int],
    title: str,
    told: Callable[[int], None],
) -> None:
    """Draw a shot's frames and keep them; see `ShotStore.write`."""
    with closing(_sized(film, task.frames, size)) as frames:  # type: ignore[type-var]
        store.write(
            task.key,
            frames,
            size=size,
            fps=film.fps,
            count=task.frames,
            title=title,
            on_frame=told,
        )


def _sized(film: Film, count: int, size: tuple[int, int]) -> Iterator[Frame]:
    """A film's frames in the story's size and number; a model may give others."""
    last: Frame | None = None
    frames = film.frames
    try:
        for _ in range(count):
            frame = next(frames, None)
            if frame is None:
                if last is None:
                    raise ReverieError(f"the model {film.model} gave no frames")
                frame = last
            elif frame.shape[1::-1] != size:
                frame = np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)
            last = frame
            yield frame
        if film.frame_count <= count:
            next(frames, None)  # behind the last frame the guards tell what they saw
    finally:
        with suppress(AttributeError):
            frames.close()  # type: ignore[attr-defined]
