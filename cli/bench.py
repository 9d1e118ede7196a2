"""`reverie bench`: the door to the benchmarks; what it measures with lies in `benchmarks.bench`."""

from __future__ import annotations

import argparse
from typing import Any

from ..benchmarks.bench.words import DESCRIPTION, add_options


def add_to(commands: argparse._SubParsersAction[Any], epilog: str) -> None:
    """Add the command and its options."""
    add_options(
        commands.add_parser(
            "bench",
            help="measure what renders cost on this machine",
            description=DESCRIPTION,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
    )


def run(arguments: argparse.Namespace) -> None:
    """Measure, print the table, and write what was asked for.

    Raises:
        SettingsError: an option is impossible.
        PhotoError, BundleError: the photo or a model is missing.
        OutputError: a result cannot be written; said before anything runs where that is known.
        MissingPackageError: a picture is asked for, and what draws it is not installed.
        EngineError: a render failed.
    """
    from ..benchmarks.bench.bench import bench

    bench(arguments)
