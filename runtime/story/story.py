"""Several photos as one story: planned, rendered a shot at a time, joined, heard.

The plan says all (`plan.py`); what it leaves open the rhythm finds in the pictures
(`rhythm.py`). Shots are kept in a folder (`shots.py`), so that a stopped story goes on
where it was, and a changed line renders its own shot again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...engines.device import Device
from ..bundle import load_bundle
from ..clip import Clip
from ..delivery import Delivery, check, divided
from ..formats import suffix_for
from ..frame import frame_size
from ..memory import peak_memory
from ..pipeline import Film
from ..placement import Placement
from ..stages import OnNote, OnProgress, Stages
from ..take import find_family, gives_frames
from .finish import heard, joined, write_film
from .measure import Measure
from .plan import PhotoSource, StoryPlan
from .prepare import draft_story, prepare_story
from .render import ShotTask, missing_shots, render_shot, shoot, shot_tasks
from .shots import ShotStore, check_room, estimate
from .storyboard import check_board, draw_storyboard

_MUCH = 1e9  # bytes of shots that are told before they are made
_SAID = ("mood: ", "camera: ", "light: ", "grain: ")  # the plan says it already


@dataclass(frozen=True)
class Told(Clip):
    """A finished story on disk, and how it was made."""

    plan: StoryPlan | None = None
    """The plan it was made by, with nothing left unsaid."""
    rendered: int = 0
    """Shots that were rendered; a picture seen twice in one light is one."""
    kept: int = 0
    """Shots that were there already."""
    shots_folder: Path | None = None
    """Where the shots are kept; None where they are not."""


def story(
    photos: Sequence[PhotoSource] = (),
    out: str | Path | None = None,
    *,
    plan: str | Path | StoryPlan | None = None,
    seconds: float | None = None,
    music: str | Path | None = None,
    voice: str | Path | None = None,
    captions: bool | None = None,
    font: str | Path | None = None,
    label: str | None = None,
    aspect: str | None = None,
    height: int | None = None,
    fps: int | None = None,
    seed: int | None = None,
    storyboard: str | Path | None = None,
    shots: str | Path | None = None,
    keep_shots: bool = True,
    delivery: Delivery | None = None,
    model: str | Path = "ember",
    device: Device | str = "auto",
    placement: Placement | None = None,
    force: bool = False,
    on_progress: OnProgress | None = None,
    on_note: OnNote | None = None,
    on_plan: Callable[[StoryPlan], None] | None = None,
    **asks: Any,
) -> Told:
    """Tell several photos as one film.

    Args:
        photos: files, PIL images or uint8 RGB (H, W, 3), in their order; nothing with a plan.
        out: the film to write; None means story.mp4 in the current folder, or what
            `delivery.codec` asks for.
        plan: a TOML file (see `plan_file`), or a StoryPlan; the other arguments go before it.
        seconds: length of the film; None means the plan's, or about 4.5 a photo.
        music, voice: sound files, brought to the film's length and loudness.
        captions: True shows them, from the photos' own files where the plan has none; False hides
            them; None shows those of a plan.
        font: a font file for captions in scripts that ours do not have.
        label: a small caption burnt into every frame.
        aspect: one shape for all, W:H; "photo" is the first one's, None what most photos have.
        height, fps, seed: of the film; None means the plan's, or 720, 24 and 0.
        storyboard: a PNG file to draw the film on before it is rendered.
        shots: the folder in which finished shots are kept; None means `out` with .shots behind it.
        keep_shots: False deletes them once the film is there.
        delivery: encoding, stills and credentials; None means the defaults.
        model, device, placement, on_progress, on_note: as in `pipeline.stream`.
        force: True overwrites an existing film (or storyboard).
        on_plan: called with the whole plan before anything is rendered.
        asks: mood, light, camera, motion, prompt and so on for every shot that says nothing else;
            and fields of Delivery by name.

    Raises:
        StoryError: the plan cannot be used; with its line.
        PhotoError: a photo cannot be used.
        SoundError: the music or the voice cannot be used.
        SettingsError, BundleError, EngineError, OutputError: as `pipeline.animate`.
    """
    delivery, asks = divided(delivery, asks)
    draft = draft_story(
        photos,
        plan,
        seconds=seconds,
        captions=captions,
        asks=asks,
        music=music or delivery.music,
        voice=voice or delivery.voice,
        font=font,
        label=label,
        aspect=aspect,
        height=height,
        fps=fps,
        seed=seed,
    )
    delivery = replace(delivery, music=draft.music, voice=draft.voice)
    path = out if out is not None else f"story{suffix_for(delivery.codec)}"
    photos = [shot.photo for shot in draft.shots]
    target = check(
        path,
        delivery,
        force=force,
        sources=photos,
        board=storyboard,
    )
    if storyboard is not None:
        check_board(Path(storyboard), force)
    bundle = load_bundle(model)
    bundle.check_sizes()
    stages = Stages(on_progress, on_note)
    start = time.perf_counter()
    whole, measures = prepare_story(
        draft,
        look=storyboard is not None,
        on_progress=lambda done, of: stages.tell("photos", done, of),
    )
    stages.add("photos", time.perf_counter() - start)
    if on_plan is not None:
        on_plan(whole)
    sound, timeline = heard(whole, delivery, stages)
    size = frame_size(whole.aspect or "16:9", whole.height, (16, 9))
    if storyboard is not None:
        with stages.stage("storyboard"):
            draw_storyboard(whole, measures, storyboard, force=force)
    folder = Path(shots) if shots is not None else target.with_name(target.name + ".shots")
    with ShotStore(folder) as store:
        tasks = shot_tasks(whole, bundle, size)
        missing = missing_shots(tasks, store)
        _tell_room(folder, sum(estimate(size, tasks[index].frames) for index in missing), stages)
        # A shot of a diffusion model is long in coming, and what it does meanwhile is worth seeing.
        inner = on_progress if gives_frames(find_family(bundle)) else None
        _render_all(
            whole,
            tasks,
            missing,
            store,
            size,
            lambda index: shoot(whole, tasks[index], index, model, device, placement, inner),
            stages,
        )
        frames = joined(whole, timeline, tasks, store, stages)
        start, counted = time.perf_counter(), stages.total
        with closing(frames):  # type: ignore[type-var]
            written = write_film(
                frames,
                path,
                delivery,
                plan=whole,
                timeline=timeline,
                tasks=tasks,
                size=size,
                bundle=bundle,
                sound=sound,
                force=force,
                stages=stages,
            )
        stages.add("film", time.perf_counter() - start - (stages.total - counted))
        keys = {task.key.name for task in tasks}
        if keep_shots:
            if shots is None:  # a folder of one's own choice may serve other stories too
                store.sweep(keys)
            stages.note(
                f"the shots are kept in {folder} ({store.bytes() / 1e6:.0f} MB), for the next time"
            )
        else:
            store.clear(keys)
    return Told(
        path=target,
        seconds=written.seconds,
        frames=written.frames,
        bytes=written.bytes,
        fps=timeline.fps,
        width=size[0],
        height=size[1],
        model=bundle.name,
        seed=whole.seed,
        stages=dict(stages.seconds),
        peak_memory=peak_memory(),
        notes=tuple(stages.notes),
        plan=whole,
        rendered=len(missing),
        kept=len(keys) - len(missing),
        shots_folder=folder if keep_shots else None,
    )


def plan_story(
    photos: Sequence[PhotoSource] = (),
    *,
    plan: str | Path | StoryPlan | None = None,
    asks: Mapping[str, Any] | None = None,
    look: bool = False,
    on_progress: OnProgress | None = None,
    **options: Any,
) -> tuple[StoryPlan, list[Measure]]:
    """Return the plan that `story` would use, nothing left unsaid, and what was seen of each photo.

    asks: fields of Settings for every shot. look: look for faces too where the plan leaves nothing
    open, as a storyboard needs them. options: as `prepare.draft_story` has them. The
    plan can be written with `write.write_plan`. Errors are those of `story`.
    """
    draft = draft_story(photos, plan, asks=asks, **options)
    tell = on_progress or (lambda stage, done, of: None)
    return prepare_story(draft, look=look, on_progress=lambda done, of: tell("photos", done, of))


def _tell_room(folder: Path, needed: int, stages: Stages) -> None:
    """Refuse shots that the disk has no room for, and tell of many."""
    free = check_room(folder, needed)
    if needed > _MUCH:
        stages.note(
            f"the shots take up to {needed / 1e9:.1f} GB in {folder}, where "
            f"{free / 1e9:.0f} GB are free"
        )


def _render_all(
    plan: StoryPlan,
    tasks: Sequence[ShotTask],
    missing: Sequence[int],
    store: ShotStore,
    size: tuple[int, int],
    film_of: Callable[[int], Film],
    stages: Stages,
) -> None:
    """Render the shots that are not there, one photo after another."""
    total, done = sum(tasks[index].frames for index in missing), 0
    for index in missing:
        film, name = film_of(index), plan.shots[index].name

        def told(now: int, before: int = done) -> None:
            stages.tell("shots", before + now, total)

        render_shot(store, film, tasks[index], size, f"{index + 1}. {name}", told)
        done += tasks[index].frames
        _count(stages, film, name)


def _count(stages: Stages, film: Film, name: str) -> None:
    """Add what a shot's stages took, and what a person should know of it."""
    for stage, seconds in film.stages.seconds.items():
        stages.add(stage, seconds)
    for note in (*film.notes, *film.stages.notes):
        line = f"{name}: {note}"
        if line not in stages.notes and not note.startswith(_SAID):
            stages.note(line)
