"""`reverie cache list|clear|verify`: the engines that were built on this machine."""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..engines.errors import EngineError, SettingsError
from ..engines.sizes import size_text
from .telling import add_output, one_line, plain_text, table_console

if TYPE_CHECKING:
    from ..engines.cache import EngineCache, Entry

_SHORT = 12  # digits of a digest that a person sees
_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d|w)?")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def add_to(commands: argparse._SubParsersAction[Any], epilog: str) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "cache",
        help="list, check or delete the engines built here",
        description=(
            "List, check or delete the engines that were built on this machine. An engine that is "
            "deleted, or no longer whole, is built again when it is needed; one in use is kept. "
            "REVERIE_CACHE names another folder, REVERIE_CACHE_LIMIT what it may take (20GB)."
        ),
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("action", metavar="list|clear|verify", choices=("list", "clear", "verify"), help="what")
    add("keys", metavar="KEY", nargs="*", help="which engines, as `list` names them; else all")
    add("--all", action="store_true", help="clear: every engine (so it is without KEY, too)")
    add("--older-than", metavar="AGE", help="clear: those not used for so long: 30d, 12h, 45m")
    add_output(parser)


def run(arguments: argparse.Namespace) -> None:
    """Do what is asked and tell about it.

    Raises:
        SettingsError: a key or an age is none.
        OutputError: there is no folder for a cache.
        EngineError: `verify` found engines that are not whole.
    """
    from ..engines.cache import EngineCache

    action = arguments.action
    if action != "clear" and (arguments.all or arguments.older_than is not None):
        raise SettingsError(f"--all and --older-than are for `reverie cache clear`, not {action}")
    cache = EngineCache()
    keys = [key for key in arguments.keys if key != "all"]
    if len(keys) < len(arguments.keys) or arguments.all:
        if keys:
            raise SettingsError(f"all engines, or {', '.join(keys)}: ask for one of both")
        keys = []
    chosen = _choose(keys, cache.entries())
    if action == "list":
        _list(cache, chosen, arguments)
    elif action == "clear":
        _clear(cache, [e.digest for e in chosen] if keys else None, arguments)
    else:
        _verify(cache, chosen, arguments)


def _choose(keys: Sequence[str], entries: Sequence[Entry]) -> list[Entry]:
    """Return the engines that keys, or the beginnings of keys, name; all without any."""
    chosen: dict[str, Entry] = {}
    for key in keys:
        found = [entry for entry in entries if entry.digest.startswith(key.lower().strip("[]"))]
        if len(found) != 1:
            what = "is no engine of the cache" if not found else f"fits {len(found)} engines"
            raise SettingsError(f"{key!r:.80} {what}: `reverie cache list` names them")
        chosen[found[0].digest] = found[0]
    return list(chosen.values()) if keys else list(entries)


def _list(cache: EngineCache, entries: Sequence[Entry], arguments: argparse.Namespace) -> None:
    facts: dict[str, Any] = {
        "folder": str(cache.folder),
        "bytes": cache.size(),
        "limit_bytes": cache.limit(),
        "entries": [_facts(entry) for entry in entries],
    }
    if arguments.json:
        print(json.dumps(facts))
    elif not arguments.quiet:
        if entries:
            _print(entries)
        print(
            f"{_count(entries)}, {size_text(facts['bytes'])} of {size_text(facts['limit_bytes'])}, "
            f"in {one_line(str(facts['folder']))}"
        )


def _clear(cache: EngineCache, digests: list[str] | None, arguments: argparse.Namespace) -> None:
    age = None if arguments.older_than is None else _age(arguments.older_than)
    done = cache.clear(digests, older_than=age)
    freed = sum(entry.bytes for entry in done.removed)
    if arguments.json:
        facts = {
            "folder": str(cache.folder),
            "removed": [_facts(entry) for entry in done.removed],
            "kept": [_facts(entry) for entry in done.kept],
            "freed_bytes": freed,
        }
        print(json.dumps(facts))
    elif not arguments.quiet:
        for entry in done.removed:
            print(f"deleted {one_line(entry.name)}")
        for entry in done.kept:
            print(f"kept {one_line(entry.name)}: it is in use, or its folder is read-only")
        print(f"{_count(done.removed)} deleted, {size_text(freed)}")


def _verify(cache: EngineCache, entries: Sequence[Entry], arguments: argparse.Namespace) -> None:
    asked = {entry.digest for entry in entries}
    broken = [entry for entry in cache.verify() if entry.digest in asked]
    bad = {entry.digest for entry in broken}
    there = [entry for entry in entries if os.path.lexists(entry.path)]  # not a record alone
    whole = [entry for entry in there if entry.digest not in bad]
    facts = {
        "folder": str(cache.folder),
        "whole": [_facts(entry) for entry in whole],
        "broken": [_facts(entry) for entry in broken],
    }
    if broken:
        words = "; ".join(f"{entry.name} {entry.problem}" for entry in broken)
        raise EngineError(
            f"{len(broken)} of {len(there)} engines are not whole, and are built again when "
            f"they are needed: {words}",
            facts,
        )
    if arguments.json:
        print(json.dumps(facts))
    elif not arguments.quiet:
        for entry in whole:
            print(f"whole {one_line(entry.name)}")
        print(f"{_count(whole)}, all are whole (sha256)")


def _facts(entry: Entry) -> dict[str, Any]:
    """An engine as plain data."""
    key = entry.key
    return {
        "key": entry.digest,
        "name": key.name if key else "",
        "precision": key.precision if key else None,
        "library": key.library if key else None,
        "library_version": key.library_version if key else None,
        "device": list(key.device) if key else [],
        "file": str(entry.path),
        "bytes": entry.bytes,
        "made": _time(entry.made),
        "last_used": _time(entry.last_used),
        "build_seconds": entry.build_seconds,
        "outdated": entry.outdated,
        "problem": entry.problem,
    }


def _print(entries: Sequence[Entry]) -> None:
    from rich.table import Table

    console = table_console()
    table = Table(title="engines", title_justify="left")
    table.add_column("key", no_wrap=True)
    for name in ("engine", "precision", "for", "library"):
        table.add_column(name, overflow="fold")
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("last used", no_wrap=True)
    table.add_column("state", overflow="fold")
    for entry in entries:
        key = entry.key
        state = entry.problem or ("outdated" if entry.outdated else "")
        table.add_row(
            entry.digest[:_SHORT],
            plain_text(key.name if key else ""),
            plain_text(key.precision if key else ""),
            plain_text(", ".join(key.device) if key else ""),
            plain_text(f"{key.library} {key.library_version}" if key else ""),
            size_text(entry.bytes),
            (_time(entry.last_used) or "")[:16].replace("T", " "),
            plain_text(f"broken: {state}" if entry.problem else state or "ok"),
        )
    console.print(table)


def _age(text: str) -> float:
    found = _AGE.fullmatch(text.strip().lower())
    if found is None:
        raise SettingsError(f"--older-than {text!r:.40} is no age: write it like 30d, 12h or 45m")
    return float(found[1]) * _SECONDS[found[2] or "d"]


def _time(seconds: float) -> str | None:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds") if seconds else None


def _count(engines: Sequence[Entry]) -> str:
    return "1 engine" if len(engines) == 1 else f"{len(engines)} engines"
