"""What a record need not tell of whoever measured: hosts, users, paths, serial numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..bench.record import without_folders

KEPT = ("schema", "created", "command", "machine", "complete", "rows")
"""Fields of a record that are published."""
_PRIVATE = re.compile(
    r"(?i)(?:host|host_?name|node|node_?name|user|user_?name|home|cwd|path|file|folder|serial\w*|"
    r"uuid|mac|ip|address|boot_?id|machine_?id)"
)
COMES_ALONG = ("grass-cliff.jpg",)
"""Photos whose names tell nothing."""
LEFT_OUT = "(left out)"
_OWN_WORDS = ("--photo", "--prompt", "--json", "--plot", "--html")
"""Options whose values are nobody else's business."""
_PATH = re.compile(
    r"(?:[A-Za-z]:[\\/]|~[\w.-]*[\\/]|\.{1,2}[\\/]|[\\/])(?:[^\s'\"\\/]+[\\/])*([^\s'\"\\/]*)"
)
_UNC = re.compile(r"\\\\[^\s'\"]+\\([^\s'\"\\]*)")
_UUID = re.compile(r"\b(?:GPU-|MIG-)?[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b")
_MAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")


def without(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record as it may be published.

    Fields that name a host, a user, a place or a serial number are left out; of paths the last
    part stays; of the system its name, release number and kind of processor.
    """
    kept: dict[str, Any] = {name: _clean(record[name]) for name in KEPT if name in record}
    kept["machine"] = machine = _without_private(kept["machine"])
    if isinstance(machine.get("system"), str):
        machine["system"] = system(machine["system"])
    kept["command"] = _command(kept.get("command", ()))
    for row in kept["rows"]:
        if isinstance(row.get("model"), str):
            row["model"] = without_folders(row["model"])
        if row.get("photo") not in (None, *COMES_ALONG):
            row["photo"] = LEFT_OUT
        if (asked := row.get("asked")) and asked.get("prompt"):
            asked["prompt"] = LEFT_OUT
    return kept


def _clean(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _clean(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_clean(inner) for inner in value]
    return text(value) if isinstance(value, str) else value


def _without_private(value: Any) -> Any:
    if isinstance(value, Mapping):
        named = {k: inner for k, inner in value.items() if not _PRIVATE.fullmatch(str(k))}
        return {name: _without_private(inner) for name, inner in named.items()}
    return [_without_private(inner) for inner in value] if isinstance(value, list) else value


def text(value: str) -> str:
    """Return a text with the last part of each absolute or home path, and no mail addresses."""
    value = _MAIL.sub("(address)", _UNC.sub(r"\1", value))
    value = _UUID.sub("(number)", value)
    return re.sub(rf"(?<![\w.)\]])(?:{_PATH.pattern})", lambda found: found[1], value)


def _command(words: Sequence[str]) -> list[str]:
    """A command line without the values of `_OWN_WORDS`, and without folders."""
    kept: list[str] = []
    for word in words:
        option, equals, _ = word.partition("=")
        if kept and kept[-1] in _OWN_WORDS:
            kept.append(LEFT_OUT)
        elif equals and option in _OWN_WORDS:
            kept.append(f"{option}={LEFT_OUT}")
        else:
            kept.append(without_folders(word))
    return kept


def system(told: str) -> str:
    """Return "Linux 6.18 x86_64" of "Linux-6.18.44-custom-build-x86_64-with-glibc2.36"."""
    name = re.match(r"[A-Za-z]+", told)
    release = re.search(r"\d+(?:\.\d+)?", told)
    kind = re.search(r"x86_64|amd64|AMD64|aarch64|arm64|ARM64", told)
    return " ".join(found[0] for found in (name, release, kind) if found)
