"""What lies beside a cached engine: its record, and what it says of the engine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .cache_files import Opened, Untrusted, hash_engine, open_trusted, read_record
from .cache_key import EngineKey
from .libraries import LIBRARIES, library_version

_LATEST = 1e11
"""Seconds since 1970 that no clock shows; a record may say anything."""


@dataclass(frozen=True)
class Entry:
    """One engine of a cache, as its record has it."""

    digest: str
    """Of its key."""
    path: Path
    """The engine file."""
    bytes: int
    """What it takes on the disk, 0 where only a record is left."""
    key: EngineKey | None = None
    """What it was built from and for; None where the record does not say."""
    made: float = 0.0
    """When, in seconds since 1970."""
    last_used: float = 0.0
    build_seconds: float = 0.0
    outdated: bool = False
    """Whether another version of its library is installed now."""
    problem: str | None = None
    """Why it is never handed out: "has no record of what it is"; None for a good one."""

    @property
    def name(self) -> str:
        """What to call it on a screen."""
        return str(self.key) if self.key else f"engine [{self.digest[:12]}]"


def make_record(
    key: EngineKey, engine: Opened, size: int, seconds: float, now: float
) -> dict[str, Any]:
    """Return the record of a new engine; reads all of it."""
    return {
        "key": key.as_plain(),
        "bytes": size,
        "sha256": hash_engine(engine),
        "made": now,
        "last_used": now,
        "build_seconds": round(seconds, 3),
    }


def checked_record(engine: Path) -> tuple[EngineKey, dict[str, Any]]:
    """Return the key and the record of an engine, by the digest in its name.

    Raises:
        Untrusted: the record is missing, damaged, or another key's.
    """
    record = read_record(engine.with_suffix(".json"))
    try:
        key = EngineKey.from_plain(record.get("key"))
        digest = key.digest()
        numbers = {name: float(record[name]) for name in ("made", "last_used", "build_seconds")}
        if not all(0 <= number < _LATEST for number in numbers.values()):
            raise ValueError("a time in it is none")
        record = record | numbers | {"bytes": int(record["bytes"]), "sha256": str(record["sha256"])}
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise Untrusted("has a record that cannot be read") from error
    if digest != engine.stem:
        raise Untrusted("has the record of another engine")
    return key, record


def check_engine(engine: Path) -> None:
    """Check an engine against its record, all of it.

    Raises:
        Untrusted: it must not be used; says why.
        FileNotFoundError: it is not there (any more).
    """
    try:
        with open_trusted(engine) as file:
            _, record = checked_record(engine)
            before = _state(file)
            check_size(before.st_size, record["bytes"])
            if hash_engine(file) != record["sha256"]:
                raise Untrusted("was changed since it was built (sha256)")
            now = engine.lstat()
            if (now.st_dev, now.st_ino) != (before.st_dev, before.st_ino):
                raise Untrusted("was replaced while it was read")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Untrusted(f"cannot be read ({error.strerror or error})") from error


def check_size(size: int, expected: int) -> None:
    """Raise Untrusted unless a file has the size its record says."""
    if size < expected:
        raise Untrusted(f"was cut short ({size} of {expected} bytes)")
    if size > expected:
        raise Untrusted(f"has {size} bytes and was built with {expected}")


def entry_of(engine: Path, versions: Mapping[str, str | None]) -> Entry:
    """Return what is known of an engine without reading all of it."""
    try:
        size = engine.lstat().st_size
    except OSError:
        size = 0
    try:
        key, record = checked_record(engine)
    except Untrusted as why:
        return Entry(engine.stem, engine, size, problem=str(why))
    installed = versions.get(key.library)
    problem = None
    try:
        with open_trusted(engine) as file:
            check_size(_state(file).st_size, record["bytes"])
    except (Untrusted, OSError) as why:
        problem = str(why) if isinstance(why, Untrusted) else "is missing"
    return Entry(
        digest=engine.stem,
        path=engine,
        bytes=size,
        key=key,
        made=record["made"],
        last_used=record["last_used"],
        build_seconds=record["build_seconds"],
        outdated=installed is not None and installed != key.library_version,
        problem=problem,
    )


def installed_versions() -> dict[str, str | None]:
    """Return the version of each library that is installed, None where it is not."""
    return {library: library_version(library) for library in LIBRARIES}


def _state(file: Opened) -> os.stat_result:
    return os.fstat(file.fileno())
