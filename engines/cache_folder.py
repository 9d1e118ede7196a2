"""The folder of a cache: what its files are called, which are whole, and how they are deleted."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from .cache_files import Untrusted, remove, write_record
from .cache_lock import in_use, try_hold
from .cache_record import Entry, check_engine, checked_record, entry_of, installed_versions

_NAME = re.compile(r"([0-9a-f]{64})\.(engine|json|[0-9a-f]{12}\.part|[0-9a-f]{12}\.lease)")


class CacheFolder:
    """Files by digest; see `cache` for their names."""

    def __init__(
        self, path: Path, clock: Callable[[], float], versions: Mapping[str, str | None] | None
    ) -> None:
        self.path = path
        self.clock = clock
        self._versions = versions

    def engine(self, digest: str) -> Path:
        """Where the engine lies, or would."""
        return self.path / f"{digest}.engine"

    def lock(self, digest: str) -> Path:
        """What to hold while it is built or deleted."""
        path = self.path / f"{digest}.lock"
        if path.is_symlink():
            remove(path)
        return path

    def part(self, digest: str) -> Path:
        """A new name for something that is not finished."""
        return self.path / f"{digest}.{secrets.token_hex(6)}.part"

    def entries(self) -> list[Entry]:
        """Return every engine, the one used last at the end; none is read, see `verify`."""
        versions = installed_versions() if self._versions is None else self._versions
        found = [entry_of(self.engine(digest), versions) for digest in self.digests()]
        return sorted(found, key=lambda entry: (entry.last_used, entry.digest))

    def size(self) -> int:
        """Return the bytes that all engines take, what builds at work have made so far too."""
        total = 0
        for folder, _, names in os.walk(self.path):
            for name in names:
                with contextlib.suppress(OSError):
                    total += Path(folder, name).lstat().st_size
        return total

    def digests(self) -> list[str]:
        """Of every engine or record that lies here."""
        return sorted({digest for digest, kind in self._names() if kind in ("engine", "json")})

    def look(self, digest: str) -> tuple[Path | None, str]:
        """Return the engine when it is whole, else None and why; "" when there is none."""
        path = self.engine(digest)
        try:
            check_engine(path)
        except Untrusted as why:
            return None, str(why)
        except FileNotFoundError:
            return None, ""
        return path, ""

    def now(self) -> float:
        """The time, but after every use so far: a clock that was set back changes no order."""
        latest = max((entry.last_used for entry in self.entries()), default=0.0)
        return max(self.clock(), latest + 1e-3)

    def touch(self, digest: str) -> None:
        """Note a use, unless someone else is at this engine; it matters only for the order."""
        with try_hold(self.lock(digest)) as held:
            if held:
                self.record_use(digest)

    def record_use(self, digest: str) -> None:
        """Note a use; the lock is held."""
        path = self.engine(digest)
        with contextlib.suppress(OSError, Untrusted):  # a folder that is read-only
            _, record = checked_record(path)
            part = self.part(digest)
            write_record(path.with_suffix(".json"), record | {"last_used": self.now()}, part)

    def remove_unused(self, digest: str, lock_too: bool = False) -> bool:
        """Delete an engine and its record unless it is in use; tell whether it is gone."""
        path, lock = self.engine(digest), self.lock(digest)
        with try_hold(lock) as held:
            if not held or in_use(path) or not remove(path):
                return False
            remove(path.with_suffix(".json"))
            remove(path.with_suffix(".jit"))
            if lock_too:
                remove(lock)
        return True

    def sweep(self, mine: str | None = None) -> None:
        """Delete what killed builds left; `mine` is the digest whose lock is held here."""
        left: dict[str, list[str]] = {}
        for digest, kind in self._names():
            if kind.endswith((".part", ".lease")):
                left.setdefault(digest, []).append(kind)
        for digest, kinds in left.items():
            lock = contextlib.nullcontext(True) if digest == mine else try_hold(self.lock(digest))
            with lock as held:
                if not held:
                    continue
                in_use(self.engine(digest))  # sweeps the leases of dead processes
                for kind in kinds:
                    if kind.endswith(".part"):
                        remove(self.path / f"{digest}.{kind}")

    def _names(self) -> Iterator[tuple[str, str]]:
        """Digest and ending of each file that is ours by its name."""
        names: list[str] = []
        with contextlib.suppress(OSError):  # no folder yet, or none that can be listed
            names += os.listdir(self.path)  # noqa: PTH208 - names are what is wanted
        for name in sorted(names):
            if found := _NAME.fullmatch(name):
                yield found[1], found[2]
