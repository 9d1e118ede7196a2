"""One live line while something is made: the stage, what is done of it, the time left."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

OnProgress = Callable[[str, int, int], None]
Line: TypeAlias = "tuple[Progress, TaskID]"

STAGES = {
    "photo": "reading the photo",
    "look": "looking for people and depth",
    "frame": "framing",
    "maps": "finding what may move",
    "text": "reading the prompt",
    "encode image": "looking at the photo",
    "denoise": "imagining the motion",
    "decode": "developing frames",
    "motion": "preparing the motion",
    "frames": "drawing frames",
    "photos": "looking at the photos",
    "restore": "cleaning the photo",
    "enlarge": "enlarging the photo",
    "sound": "listening to the music",
    "storyboard": "drawing the storyboard",
    "shots": "rendering shots",
    "film": "joining the film",
    "encode": "writing the file",
}
"""What a stage is called on the screen; one that is not here is called by its own name."""


@contextmanager
def live_line(silent: bool, begun: str, *, share: bool = False) -> Iterator[Line | None]:
    """Show a bar on stderr while inside, with the time left; None where nobody would see it.

    begun: what it says at first. share: count in per cent, else by number. The line is taken away
    at the end, so that what is printed after it starts clean.
    """
    if silent or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn
    from rich.progress import TextColumn as Text
    from rich.progress import TimeRemainingColumn as TimeLeft

    bar = Progress(
        Text("{task.description}"),
        BarColumn(bar_width=30),
        TaskProgressColumn() if share else MofNCompleteColumn(),
        TimeLeft(compact=True),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        yield bar, bar.add_task(begun, total=None)


@contextmanager
def progress(silent: bool = False) -> Iterator[OnProgress | None]:
    """Show the stages of a clip while inside; None where nobody would see it."""
    with live_line(silent, "starting") as line:
        if line is None:
            yield None
            return
        bar, task = line
        shown = ""

        def on_progress(stage: str, done: int, total: int) -> None:
            nonlocal shown
            if stage != shown:
                shown = stage
                bar.reset(task, total=total, description=STAGES.get(stage, stage))
            bar.update(task, completed=done, total=total)

        yield on_progress
