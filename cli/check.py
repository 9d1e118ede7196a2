"""`reverie check FILM --against PHOTO`: what is right and wrong with a film, in figures."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..engines.errors import ReverieError
from .telling import add_output, plain_text, table_console

if TYPE_CHECKING:
    from ..runtime.guard import Report

_COLOURS = {"ok": "green", "warn": "yellow", "bad": "bold red"}
_NOTES = """\
verdicts: ok, warn (look at it), bad (a fault); the limits are in the table and in --json.
A film with a fault leaves with exit code 0, for it was measured; with --strict it leaves with 1.
A film or photo that cannot be read leaves with 3.

"""


def add_to(commands: argparse._SubParsersAction[Any], epilog: str) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "check",
        help="measure a film: faces, frozen, black, flicker, drift, seams",
        description="Measure a film, made here or elsewhere, and its faces against a photo's.",
        epilog=_NOTES + epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("film", metavar="FILM", help="a film of any usual kind")
    add("--against", metavar="PHOTO", help="the photo it was made from, in any size and framing")
    add("--loop", action="store_true", help="it loops: judge the step from its end to its start")
    add(
        "--light",
        action="store_true",
        help="a change of light was asked for: judge colour drift and flicker by wider limits",
    )
    add("--strict", action="store_true", help="leave with exit code 1 when a verdict is bad")
    add_output(parser, quiet="print the figures that are not ok, and nothing else")


def run(arguments: argparse.Namespace) -> None:
    """Print what was measured.

    Raises:
        PhotoError: the film or the photo cannot be read.
        ReverieError: a verdict is bad, with --strict.
    """
    from ..runtime.checking import check_film

    report = check_film(
        arguments.film,
        arguments.against,
        loop=arguments.loop,
        expected_light=arguments.light,
    )
    failed = arguments.strict and report.verdict == "bad"
    facts = {"film": str(Path(arguments.film).absolute()), "photo": arguments.against}
    facts |= report.as_dict()
    if arguments.json:
        if not failed:  # else the error's object holds it all
            print(json.dumps(facts))
    elif arguments.quiet:
        for line in report.lines():
            print(line)
    else:
        _print(arguments.film, report)
    if failed:
        bad = [figure.name for figure in report.figures if figure.verdict == "bad"]
        raise ReverieError(
            f"the film has {_faults(len(bad))} ({', '.join(bad)}): see `reverie check`, and make "
            "it again with another seed, a smaller motion, or --faces protect",
            facts,
        )


def _faults(count: int) -> str:
    return "1 fault" if count == 1 else f"{count} faults"


def _print(film: str, report: Report) -> None:
    from rich.table import Table
    from rich.text import Text

    console = table_console()
    seconds = report.frames / report.fps
    title = f"{film}: {report.frames} frames, {seconds:.2f} s, {report.fps:.5g} fps"
    table = Table(title=plain_text(title), title_justify="left")
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_column("at", justify="right")
    table.add_column("verdict")
    table.add_column("warn", justify="right")
    table.add_column("bad", justify="right")
    table.add_column("what it is")
    for figure in report.figures:
        limit = figure.limit
        sign = "<" if limit.low_is_bad else "from"
        table.add_row(
            figure.name,
            f"{figure.value:.3g} {limit.unit}".strip(),
            "" if figure.at is None else f"{figure.at:.2f} s",
            Text(figure.verdict, style=_COLOURS[figure.verdict]),
            f"{sign} {limit.warn:g}",
            f"{sign} {limit.bad:g}",
            limit.meaning + (f" ({figure.detail})" if figure.detail else ""),
        )
    console.print(table)
    if report.faces:
        faces = Table(title="faces of the photo, the largest first", title_justify="left")
        for name in ("face", "least cosine", "at", "seen", "too small", "out of sight", "lost"):
            faces.add_column(name, justify="right")
        for number, row in enumerate(report.faces, 1):
            faces.add_row(
                str(number),
                "-" if row.cosine is None else f"{row.cosine:.3f}",
                "-" if row.at is None else f"{row.at:.2f} s",
                *(str(count) for count in (row.seen, row.small, row.out, row.lost)),
            )
        console.print(faces)
    for name, why in report.not_measured.items():
        console.print(Text(f"not measured: {name}, for {why}"))
    console.print(Text(f"in all: {report.verdict}", style=_COLOURS[report.verdict]))
