"""Make a bundle: `python -m reverie.export ember --checkpoint FILE --models DIR --out DIR`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ..engines.errors import MissingPackageError, ReverieError


def main(arguments: Sequence[str] | None = None) -> int:
    """Export a family's bundle; returns the exit code of the error met, or 0."""
    parser = argparse.ArgumentParser(prog="python -m reverie.export", description=__doc__)
    families = parser.add_subparsers(dest="family", required=True)
    ember = families.add_parser("ember", help="the embedded model")
    ember.add_argument("--checkpoint", type=Path, help="trained weights; left out: helpers only")
    ember.add_argument("--models", type=Path, required=True, help="folder of the ready networks")
    ember.add_argument("--out", type=Path, required=True, help="folder the bundle goes into")
    ember.add_argument("--card", type=Path, help="model card to ship")
    given = parser.parse_args(arguments)

    try:
        from .families import ember as family
    except ImportError as error:
        print(
            f"export: {error.name} is not installed: `pip install '.[cpu,export]'` brings all that"
            " export needs",
            file=sys.stderr,
        )
        return MissingPackageError.exit_code
    try:
        manifest = family.export(
            given.out, models=given.models, checkpoint=given.checkpoint, card=given.card
        )
    except (ReverieError, FileNotFoundError) as error:
        print(f"export: {error}", file=sys.stderr)
        return getattr(error, "exit_code", 1)
    print(manifest)
    return 0


if __name__ == "__main__":
    sys.exit(main())
