"""How the commands print: one line to a person, tables, and text that a terminal cannot obey."""

from __future__ import annotations

import argparse
import contextlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_PLAIN_WIDTH = 120  # of a table that goes into a file or a pipe


def add_output(
    parser: argparse.ArgumentParser, *, quiet: str | None = "print nothing but errors"
) -> None:
    """Add what every command has: --json and --debug, and --quiet with what it leaves to print."""
    add = parser.add_argument
    add("--json", action="store_true", help="print one JSON object and nothing else")
    if quiet is not None:
        add("--quiet", action="store_true", help=quiet)
    add("--debug", action="store_true", help="show where an error came from")


def one_line(text: str) -> str:
    """Return a text on one line, with what a terminal would obey or hide made visible."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def plain_text(value: object) -> Text:
    """Return text for a table as it is: no markup, nothing a terminal would obey."""
    from rich.text import Text

    return Text(one_line(str(value)))


def table_console() -> Console:
    """Return what prints tables: as wide as the terminal, or as a file can be read."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else _PLAIN_WIDTH, highlight=False)


def tell(line: str) -> None:
    """Print a line for a person; when nobody listens any more, the film is made all the same."""
    with contextlib.suppress(BrokenPipeError):
        print(one_line(line), file=sys.stderr, flush=True)


def range_text(limits: tuple[float, float]) -> str:
    """Return the ends of a range for --help: "1 to 120"."""
    return f"{limits[0]:g} to {limits[1]:g}"
