"""What is seen while engines are built, and the table of what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from .progress import live_line
from .telling import plain_text, table_console

if TYPE_CHECKING:
    from ..engines.build import BuildProgress
    from ..runtime.making import Made, OnBuild, Place

PHASES = {
    "start": "loading the library",
    "read": "reading the graph",
    "compile": "compiling",
    "write": "writing",
}
"""What the phases of a build are called on the screen."""


@contextmanager
def on_screen(silent: bool) -> Iterator[OnBuild | None]:
    """Show which engine is at work, its phase and the time, while inside; None where nobody sees.

    The bar counts where bytes tell how far it is; elsewhere it moves, and says that the time left
    is not known.
    """
    with live_line(silent, "choosing engines", share=True) as line:
        if line is None:
            yield None
            return
        bar, task = line
        shown = ""

        def on_build(place: Place, progress: BuildProgress) -> None:
            nonlocal shown
            if progress.phase != shown:
                shown = progress.phase
                bar.reset(task, total=None)
            counts = progress.phase == "write" and progress.total > 0
            bar.update(
                task,
                description=describe(place, progress),
                completed=progress.done if counts else 0,
                total=progress.total if counts else None,
            )

        yield on_build


def describe(place: Place, progress: BuildProgress) -> str:
    """One line: which engine of how many, what it is at, for how long, and what is left."""
    step = f" ({progress.step.lower()})" if progress.step else ""
    left = (
        "time left not known"
        if progress.seconds_left is None
        else f"{progress.seconds_left:.0f} s left"
    )
    return (
        f"{place.number} of {place.count}: {place.component} {place.precision} {place.gpu}: "
        f"{PHASES.get(progress.phase, progress.phase)}{step}, {progress.seconds:.0f} s, {left}"
    )


def show(made: Sequence[Made], notes: Sequence[str], cache: Path, command: str | None) -> None:
    """Print what came of each engine, why, and where they are."""
    from rich.table import Table

    from ..engines.sizes import size_text

    console = table_console()
    table = Table(title="engines", title_justify="left")
    table.add_column("component")
    table.add_column("GPU")
    table.add_column("precision")
    table.add_column("result")
    for name in ("seconds", "peak memory", "size"):
        table.add_column(name, justify="right")
    table.add_column("why", overflow="fold")
    for row in made:
        table.add_row(
            plain_text(row.component),
            plain_text(row.gpu),
            plain_text(row.precision or "-"),
            plain_text(RESULTS[row.status]),
            "" if row.seconds is None else f"{row.seconds:.1f}",
            "" if row.peak_bytes is None else size_text(row.peak_bytes),
            "" if row.engine_bytes is None else size_text(row.engine_bytes),
            plain_text(row.why),
        )
    console.print(table)
    for note in notes:
        console.print(plain_text(note))
    if any(row.path for row in made):
        console.print(plain_text(f"they are in {cache}"))
    if command is not None:
        console.print(
            plain_text(f"to build on the device itself, run there: {command}"), soft_wrap=True
        )


RESULTS = {
    "built": "built",
    "cached": "was there",
    "left": "ONNX Runtime",
    "elsewhere": "on the device",
    "refused": "refused",
}
"""What a person reads for each status of `making.Made`."""
