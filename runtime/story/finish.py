"""The end of a story: its sound, its shots joined with their captions, and the file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..bundle import Bundle, load_bundle
from ..clip import Written
from ..delivery import Delivery, asked, deliver, hear
from ..letters.label import label_frames
from ..letters.lettering import Letters
from ..stages import Stages
from .caption import draw_caption
from .film import assemble
from .plan import StoryPlan
from .render import ShotTask
from .shots import ShotStore
from .timeline import EASE, Timeline, lay_out, planned_cuts

if TYPE_CHECKING:
    from ..credentials.credentials import FilmClaims
    from ..sound.sound import Sound

Frame = NDArray[np.uint8]


def heard(plan: StoryPlan, delivery: Delivery, stages: Stages) -> tuple[Sound | None, Timeline]:
    """Open the sound and lay the film out, its cuts eased towards the music's beats."""
    planned = lay_out(plan)
    sound = hear(delivery, planned.frames / planned.fps, stages)
    if sound is None or delivery.music is None or len(plan.shots) < 2:
        return sound, planned
    from ..sound.beats import ease_cuts

    cuts = planned_cuts(plan)
    eased = ease_cuts(cuts, sound.beats, EASE, seconds=planned.frames / planned.fps)
    moved = sum(abs(one - other) > 1e-6 for one, other in zip(cuts, eased, strict=True))
    if moved:
        stages.note(f"{moved} of {len(cuts)} cuts moved to a beat of the music")
    return sound, lay_out(plan, eased)


def joined(
    plan: StoryPlan,
    timeline: Timeline,
    tasks: Sequence[ShotTask],
    store: ShotStore,
    stages: Stages,
) -> Iterator[Frame]:
    """The film's frames; captions are drawn for each shot's first frame, beside its faces."""
    with ExitStack() as stack:
        shown = _captioned(plan)
        faces = (
            stack.enter_context(load_bundle("ember").open("faces", device="cpu")) if shown else None
        )

        def lettering(index: int, frame: Frame) -> Letters | None:
            from ..faces import find_faces

            lines = plan.shots[index].caption
            if not lines or faces is None:
                return None
            found = [face.box for face in find_faces(frame, faces)]
            size = frame.shape[1], frame.shape[0]
            letters = draw_caption(lines, size=size, faces=found, font=plan.font)
            if letters is None:
                stages.note(
                    f"{plan.shots[index].name}: its caption was left out, it would cover a face"
                )
            return letters

        yield from assemble(
            timeline, lambda index: store.read(tasks[index].key), lettering if shown else None
        )


def write_film(
    frames: Iterator[Frame],
    path: Path | str,
    delivery: Delivery,
    *,
    plan: StoryPlan,
    timeline: Timeline,
    tasks: Sequence[ShotTask],
    size: tuple[int, int],
    bundle: Bundle,
    sound: Sound | None,
    force: bool,
    stages: Stages,
) -> Written:
    """Write the joined frames, labelled, heard and signed; the one place where they are a file."""
    if plan.label is not None:
        frames = label_frames(frames, plan.label, size, font=plan.font)
    return deliver(
        frames,
        path,
        delivery,
        fps=timeline.fps,
        width=size[0],
        height=size[1],
        frame_count=timeline.frames,
        claims=claims_of(plan, timeline, tasks, size, bundle, delivery),
        stages=stages,
        sound=sound,
        force=force,
        stage="film",
    )


def claims_of(
    plan: StoryPlan,
    timeline: Timeline,
    tasks: Sequence[ShotTask],
    size: tuple[int, int],
    bundle: Bundle,
    delivery: Delivery,
) -> FilmClaims:
    """Return what the film says of itself: every photo, the model, what was asked of all shots."""
    from ..credentials.credentials import FilmClaims

    told = {
        **asked(delivery),
        **plan.asks,
        "seconds": timeline.frames / timeline.fps,
        "fps": timeline.fps,
        "width": size[0],
        "height": size[1],
        "aspect": plan.aspect,
        "shots": len(plan.shots),
        "captions": _captioned(plan),
    }
    return FilmClaims(
        model=bundle.name,
        model_version=bundle.version,
        photos=[task.key.facts["photo"] for task in tasks],
        seed=plan.seed,
        settings=told,
        label=plan.label,
    )


def _captioned(plan: StoryPlan) -> bool:
    return plan.captions is not False and any(shot.caption for shot in plan.shots)
