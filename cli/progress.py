"""One live line while a clip is made: the stage, what is done of it, the time left."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

OnProgress = Callable[[str, int, int], None]

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
    "encode": "writing the file",
}
"""What a stage is called on the screen; one that is not here is called by its own name."""


@contextmanager
def progress(silent: bool = False) -> Iterator[OnProgress | None]:
    """Show a live line on stderr while inside; None where nobody would see it.

    The line is taken away at the end, so that what is printed after it starts clean.
    """
    if silent or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeLeft(compact=True),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task("starting", total=None)
        shown = ""

        def on_progress(stage: str, done: int, total: int) -> None:
            nonlocal shown
            if stage != shown:
                shown = stage
                bar.reset(task, total=total, description=STAGES.get(stage, stage))
            bar.update(task, completed=done, total=total)

        yield on_progress
