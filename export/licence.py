"""Under what terms a checkpoint comes: its model card's first lines, or its licence texts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_EXPRESSIONS = {
    name.lower(): name
    for name in (
        "Apache-2.0",
        "MIT",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "CC0-1.0",
        "CC-BY-4.0",
        "CC-BY-SA-4.0",
        "CC-BY-NC-4.0",
        "CC-BY-NC-SA-4.0",
        "GPL-3.0",
        "AGPL-3.0",
        "LGPL-3.0",
        "MPL-2.0",
        "Unlicense",
    )
}
_TEXTS = (
    (r"Apache License\s+Version 2\.0", "Apache-2.0"),
    (r"MIT License|Permission is hereby granted, free of charge", "MIT"),
    (r"CC0 1\.0 Universal", "CC0-1.0"),
    (r"Attribution-NonCommercial-ShareAlike 4\.0", "CC-BY-NC-SA-4.0"),
    (r"Attribution-NonCommercial 4\.0", "CC-BY-NC-4.0"),
    (r"Attribution 4\.0 International", "CC-BY-4.0"),
)
_FILES = re.compile(r"(licen[cs]e|copying|notice|use[_-]policy)|.*[._-]licen[cs]e[._-]", re.I)
_ENDINGS = ("", ".txt", ".md", ".rst")
_TEXT_LIMIT = 2**20


@dataclass(frozen=True)
class Licence:
    """What a checkpoint says about its terms."""

    expression: str
    """SPDX expression, "" where nothing says."""
    files: tuple[Path, ...]
    """Licence texts that lie with it."""
    notes: tuple[str, ...] = ()


def find_licence(folder: Path) -> Licence:
    """Return the terms of the checkpoint in a folder: its README.md first, then licence texts."""
    files = tuple(
        path
        for path in sorted(folder.iterdir())
        if path.is_file()
        and path.suffix.lower() in _ENDINGS
        and _FILES.match(path.name)
        and path.stat().st_size <= _TEXT_LIMIT
    )
    return _licence(_from_card(folder / "README.md"), files)


def find_file_licence(file: Path) -> Licence:
    """Return the terms of a checkpoint that is one file: a text that bears its name, or what
    lies beside it.

    What lies beside may belong to something else, which a note says.
    """
    named = tuple(
        path
        for path in sorted(file.parent.iterdir())
        if path.is_file()
        and path.suffix.lower() in _ENDINGS
        and path.name.lower().startswith(file.stem.lower())
        and _FILES.match(path.name)
    )
    if named:
        return _licence("", named)
    found = find_licence(file.parent)
    if not found.expression:
        return found
    note = f"licence {found.expression} was taken from what lies beside {file.name}"
    return Licence(found.expression, found.files, (note,))


def _licence(expression: str, files: tuple[Path, ...]) -> Licence:
    for file in files:
        expression = expression or _from_text(file)
    if expression:
        return Licence(expression, files)
    return Licence("", files, ("the checkpoint does not say its licence: ask who made it",))


def spdx(name: str, other: str = "") -> str:
    """Return an SPDX expression for a licence as a model card names it, "" for none.

    Licences that SPDX does not list become "LicenseRef-" and their name, `other` for "other".
    """
    name = name.strip().strip("\"'")
    if name.lower() in _EXPRESSIONS:
        return _EXPRESSIONS[name.lower()]
    if name.lower() in ("other", "unknown"):
        name = other.strip().strip("\"'")
    name = re.sub(r"[^A-Za-z0-9.-]+", "-", name.replace("+", "plus")).strip("-.")[:60]
    return f"LicenseRef-{name}" if name else ""


def _from_card(card: Path) -> str:
    """Return the licence in the lines between --- at the top of a model card."""
    if not card.is_file():
        return ""
    with card.open(encoding="utf-8", errors="replace") as file:
        top = re.match(r"\ufeff?---\s*\n(.*?)\n---", file.read(_TEXT_LIMIT), re.DOTALL)
    line = r"^(license\w*):(?:[ \t]*\r?\n[ \t]*-)?[ \t]*(\S.*?)[ \t\r]*$"  # or the first of a list
    fields = dict(re.findall(line, top[1], re.M)) if top else {}
    return spdx(fields.get("license", ""), fields.get("license_name", ""))


def _from_text(file: Path) -> str:
    """Return the licence that a text is, by its title; "" for a notice or a policy."""
    if not re.search("licen[cs]e|copying", file.name, re.I):
        return ""
    text = file.read_text(encoding="utf-8", errors="replace")
    for pattern, expression in _TEXTS:
        if re.search(pattern, text[:5000]):
            return expression
    title = next((line.strip("#*= \t") for line in text.splitlines() if line.strip("#*= \t")), "")
    return spdx(title)
