"""`reverie inspect FILM`: what a film says it is, whether that still holds, and its label."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..engines.errors import PhotoError, ReverieError
from .telling import add_output, plain_text, table_console

_NOTES = """\
The credentials are "valid" (signed, and nothing was changed since), "broken", or there are "none".
Anyone can sign: "by" is known only where it says so, with --trust or on the machine that made it.
All three leave with exit code 0; with --strict only valid ones do, and of the photo where --photo
names one, else it is 1. A film or photo that cannot be read leaves with 3.

"""


def add_to(commands: argparse._SubParsersAction[Any], epilog: str) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "inspect",
        help="show what a film says it is: content credentials and label",
        description="Show a film's content credentials (C2PA), whether they hold, and its label.",
        epilog=_NOTES + epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("film", metavar="FILM", help="a film, made here or elsewhere")
    add("--photo", metavar="PHOTO", help="say whether this very file is what it was made from")
    add("--trust", metavar="PEM", help="certificates of authorities whose signatures are known")
    add("--strict", action="store_true", help="leave with exit code 1 unless the credentials hold")
    add_output(parser, quiet="print one line: valid, broken or none")


def run(arguments: argparse.Namespace) -> None:
    """Print what the film says of itself.

    Raises:
        PhotoError: the film or the photo cannot be read.
        SettingsError: the certificates cannot be read.
        MissingPackageError: c2pa-python is not installed.
        ReverieError: the credentials do not hold, with --strict.
    """
    film = Path(arguments.film)
    trust = None if arguments.trust is None else Path(arguments.trust)
    facts = describe(film, arguments.photo, trust)
    wrong = _wrong(facts) if arguments.strict else None
    if arguments.json:
        if wrong is None:  # else the error's object holds it all
            print(json.dumps(facts))
    elif arguments.quiet:
        print(facts["credentials"])
    else:
        _print(facts)
    if wrong is not None:
        raise ReverieError(f"{film.name}: {wrong}", facts)


def describe(film: Path, photo: str | None = None, trust: Path | None = None) -> dict[str, Any]:
    """Return what a film says of itself, as plain data.

    Raises:
        PhotoError, SettingsError, MissingPackageError: see `run`.
    """
    from ..runtime.credentials.credentials import photo_hash, read_credentials
    from ..runtime.letters.label import told_label

    comment, unreadable = _comment(film)
    found = read_credentials(film, trust=trust)
    if unreadable is not None and not found.present:
        raise PhotoError(f"{film} is no film that can be read ({unreadable}): name another")
    facts: dict[str, Any] = {
        "film": str(film.absolute()),
        "credentials": "none" if not found.present else "valid" if found.valid else "broken",
        **found.facts(),
    }
    facts["comment"] = comment
    facts["label"] = {"credentials": found.label, "comment": told_label(comment)}
    facts["photo"] = None
    if photo is not None:
        try:
            own = photo_hash(photo)
        except (OSError, ValueError) as error:
            raise PhotoError(
                f"{photo} cannot be read ({getattr(error, 'strerror', None) or error}): "
                "name the photo's file"
            ) from error
        facts["photo"] = {"path": photo, "sha256": own, "ingredient": own in found.photos}
    return facts


def _comment(film: Path) -> tuple[str | None, str | None]:
    """Return the comment in the container's own metadata, and why it cannot be read, if so."""
    import av

    from ..runtime.output import for_ffmpeg

    try:
        if not film.is_file():
            why = "it is a folder" if film.is_dir() else "there is no such file"
            raise PhotoError(f"{film} cannot be inspected, {why}: name a film")
        with av.open(for_ffmpeg(film)) as container:
            if not any(stream.width for stream in container.streams.video):
                return None, "there are no pictures in it"
            told = {name.lower(): text for name, text in container.metadata.items()}
            return told.get("comment"), None
    except (OSError, ValueError, av.error.FFmpegError) as error:
        return None, str(getattr(error, "strerror", None) or type(error).__name__)


def _wrong(facts: dict[str, Any]) -> str | None:
    """What --strict does not let pass."""
    if facts["credentials"] == "none":
        return "it carries no content credentials"
    if facts["credentials"] == "broken":
        return f"its content credentials are broken, {'; '.join(facts['problems'])}"
    if facts["photo"] is not None and not facts["photo"]["ingredient"]:
        return f"it was not made from {Path(facts['photo']['path']).name}, by what it says"
    return None


def _print(facts: dict[str, Any]) -> None:
    from rich.table import Table

    console = table_console()
    name = plain_text(Path(facts["film"]).name)
    table = Table(title=name, show_header=False, title_justify="left")
    table.add_column()
    table.add_column(overflow="fold")
    for title, text in _rows(facts):
        table.add_row(title, plain_text(text))
    console.print(table)


def _rows(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    state = {
        "valid": "valid: signed, and nothing was changed since",
        "broken": f"BROKEN: {'; '.join(facts['problems'])}",
        "none": "none: this film does not say what it is",
    }[facts["credentials"]]
    yield "credentials", state
    if facts["present"]:
        if facts["issuer"]:
            known = "a signer known here" if facts["trusted"] else "not a signer known here"
            yield "signed by", f"{facts['issuer']} ({known})"
        yield from (
            (title, facts[key])
            for title, key in (
                ("says", "description"),
                ("made with", "generator"),
                ("made at", "made_at"),
                ("kind of media", "source_type"),
            )
            if facts[key]
        )
        if facts["model"]:
            yield "AI model", f"{facts['model']} {facts['model_version'] or ''}".strip()
        for photo in facts["photos"]:
            yield "photograph", f"sha256 {photo}"
        if facts["seed"] is not None:
            yield "seed", str(facts["seed"])
        if facts["settings"]:
            yield "settings", ", ".join(f"{k} {v}" for k, v in facts["settings"].items())
    if facts["photo"] is not None:
        answer = "yes, it" if facts["photo"]["ingredient"] else "no, it is not what this film names"
        if facts["photo"]["ingredient"]:
            answer += " is what this film was made from"
            answer += "" if facts["credentials"] == "valid" else ", says a broken statement"
        yield "this photo", answer
    told = facts["label"]
    label = told["credentials"] or told["comment"]
    if label:
        places = [place for place in ("credentials", "comment") if told[place] == label]
        yield "label", f"“{label}” (told by its {' and its '.join(places)})"
    else:
        yield "label", "none that it tells of"
    if facts["comment"]:
        yield "comment", facts["comment"]
