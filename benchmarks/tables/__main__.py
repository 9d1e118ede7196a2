"""The documents' tables, made again from the committed results.

    python -m reverie.benchmarks.tables            prints what differs; exit code 1 where it does
    python -m reverie.benchmarks.tables --write    writes it into the documents
    python -m reverie.benchmarks.tables --list     every table and figure, and where it stands

Exit codes: 0 they agree, or were written; 1 they do not, or something is missing; 2 no document.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from pathlib import Path

from . import registry
from .markers import BrokenMarker, places, rewritten, unmarked
from .reading import ROOT

DOCUMENTS = (
    "README.md",
    "ENGINES.md",
    "DEPENDENCIES.md",
    "benchmarks/README.md",
    "benchmarks/devices/README.md",
    "runtime/bundles/ember/MODEL_CARD.md",
)


def checked(document: Path) -> tuple[str, str, list[str]]:
    """Return a document as it is, as it ought to be, and what is wrong with it besides."""
    text = document.read_text(encoding="utf-8")
    try:
        here = places(text)
        wrong = [
            f"line {line}: a table with {cell!r} looks measured, and is neither made from a result"
            " nor excused by <!-- not measured: WHY -->"
            for line, cell in unmarked(text)
        ]
    except BrokenMarker as error:
        return text, text, [str(error)]
    bodies = {}
    for place in here:
        try:
            bodies[place.start] = registry.made(place, document)
        except registry.TableError as error:
            bodies[place.start] = place.body
            wrong.append(str(error))
    return text, rewritten(text, lambda place: bodies[place.start]), wrong


def main() -> int:
    """Check or write; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("documents", nargs="*", type=Path, help="default: all that hold tables")
    parser.add_argument("--write", action="store_true", help="put the tables in place")
    parser.add_argument("--list", action="store_true", help="every table, and where it stands")
    arguments = parser.parse_args()
    documents = arguments.documents or [ROOT / name for name in DOCUMENTS]
    if missing := [document for document in documents if not document.is_file()]:
        why = "run this in a checkout of the repository, for no package carries its documents"
        print(f"{missing[0]} is not there: {why}", file=sys.stderr)
        return 2
    if arguments.list:
        return listed(documents)
    failed = False
    for document in documents:
        text, ought, wrong = checked(document)
        for line in wrong:
            print(f"{_name(document)}: {line}", file=sys.stderr)
        failed |= bool(wrong)
        if ought == text:
            continue
        if arguments.write:
            part = document.with_name(f"{document.name}.part")
            part.write_text(ought, encoding="utf-8")
            part.replace(document)
            print(f"{_name(document)}: written")
            continue
        failed = True
        names = (f"{_name(document)} as it is", f"{_name(document)} as the results say")
        changes = difflib.unified_diff(text.splitlines(), ought.splitlines(), *names, "", "", 0, "")
        print("\n".join(changes))
    return int(failed)


def _name(document: Path) -> str:
    path = document.resolve()
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else document.name


def listed(documents: list[Path]) -> int:
    """Print the names of all tables and figures with the documents they stand in."""
    where: dict[tuple[str, str], list[str]] = {}
    for document in documents:
        for place in places(document.read_text(encoding="utf-8")):
            where.setdefault((place.kind, place.name), []).append(_name(document))
    for kind, known in (("table", registry.TABLES), ("figure", registry.FIGURES)):
        for name, function in known.items():
            told = (function.__doc__ or "").splitlines()[:1]
            places_ = ", ".join(where.get((kind, name), ["nowhere"]))
            print(f"{kind} {name}: {places_}" + (f": {told[0]}" if told else ""))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
