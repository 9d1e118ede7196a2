"""A record of `reverie bench` from a reader's machine: checked, cleaned, and as the table's rows.

    python -m reverie.benchmarks.devices FILE                 checks it and prints its rows
    python -m reverie.benchmarks.devices FILE --write NAME    and puts it into benchmarks/devices/

What is personal (names of hosts and users, paths, serial numbers) is left out of what is printed
and written; what is wrong is told, and nothing is written then. Exit codes: 0 it can be handed in,
1 something is wrong with it, 2 the file or the name cannot be used.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

from ..bench.record import encoded
from ..tables.cases import DEVICE_HEADS, device_rows
from . import personal
from .checks import problems, schema_problems

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]


def main(words: list[str] | None = None) -> int:
    """Check, and write where that is asked for; returns the exit code."""
    about, _, more = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=about, epilog=more, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, help="what `reverie bench --json FILE` wrote")
    parser.add_argument("--write", metavar="NAME", help="such as jetson-orin-nano-8gb-15w")
    parser.add_argument("--into", type=Path, help="folder to write to, in place of that one")
    arguments = parser.parse_args(words)
    name = arguments.write
    if name is not None and not re.fullmatch(r"[a-z0-9]+(?:-[a-z0-9]+)*", name):
        return _told(2, f"{name!r} is no name: use small letters, digits and single hyphens")
    try:
        record: Any = json.loads(arguments.file.read_text(encoding="utf-8"))
    except OSError as error:
        return _told(2, f"{arguments.file} cannot be read: {error.strerror or error}")
    except ValueError as error:
        return _told(2, f"{arguments.file} is no JSON ({error}): give what `reverie bench` wrote")
    wrong = list(problems(record))
    further = [] if wrong else schema_problems(record)
    if further is None:
        print("not held against the schema: pip install jsonschema lets that be done as well")
    wrong += further or []
    for line in wrong:
        print(f"{arguments.file.name}: {line}", file=sys.stderr)
    if wrong:
        return 1
    clean = personal.without(record)
    for row in device_rows(clean):
        print(
            "\n".join(f"{head:>12}: {cell}" for head, cell in zip(DEVICE_HEADS, row, strict=True)),
            "\n",
        )
    if name is None:
        print("It can be handed in: --write NAME puts it into benchmarks/devices/.")
        return 0
    # Installed as a package there is no repository to write to.
    into = arguments.into or (FOLDER if (ROOT / "pyproject.toml").exists() else Path.cwd())
    path = into / f"{name}.json"
    if path.exists():
        return _told(2, f"{path.name} is there already: give another name, or remove it first")
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(encoded(clean))
    part.replace(path)
    print(f"{path} is written; `python -m reverie.benchmarks.tables --write` adds its rows.")
    return 0


def _told(code: int, line: str) -> int:
    print(line, file=sys.stderr)
    return code


if __name__ == "__main__":
    raise SystemExit(main())
