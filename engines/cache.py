"""Engines kept between runs: built once, verified each time, never handed out when in doubt.

A folder holds, for each key (`cache_key.EngineKey`), by the key's digest:

    <digest>.engine          the engine, as the library wrote it
    <digest>.json            its record: the key in full, bytes, sha256, when made and last used
    <digest>.jit             kernels that the library compiled when it ran, see `trt_open.JitCache`
    <digest>.lock            held while it is built or deleted
    <digest>.<token>.part    what a build at work has made so far
    <digest>.<token>.lease   held while it is in use

An engine is handed out when its record is whole, names this very key, and the file has the size and
the sha256 that the record says. That is found out anew each time, before it is used: reading 4 GB
costs two to three seconds, loading them onto a GPU more.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from .cache_build import build_engine_file
from .cache_files import disk_errors, folder_problem, prepare_folder
from .cache_folder import CacheFolder
from .cache_key import EngineKey
from .cache_lock import hold, lease, try_hold
from .cache_place import default_folder, default_limit
from .cache_record import Entry
from .cache_temporary import temporary_folder
from .errors import EngineError
from .libraries import LIBRARIES
from .sizes import size_text

__all__ = ["Cleared", "EngineCache", "EngineKey", "Entry"]

OnNote = Callable[[str], None]


@dataclass(frozen=True)
class Cleared:
    """What `EngineCache.clear` did."""

    removed: tuple[Entry, ...]
    kept: tuple[Entry, ...]
    """Those in use, or that could not be deleted."""


class Evicted(EngineError):
    """An engine was deleted before it could be used."""


class EngineCache:
    """The engines of one folder, shared with every other process that uses it.

    folder: None is REVERIE_CACHE, else `engines` in this user's cache. limit_bytes: None is
    REVERIE_CACHE_LIMIT, else a quarter of the disk's room, 64 GiB at most. Nothing is made before
    the first build.

    Raises:
        OutputError: there is no home folder to put it in.
    """

    def __init__(
        self,
        folder: Path | None = None,
        limit_bytes: int | None = None,
        *,
        versions: Mapping[str, str | None] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.folder = Path(folder).absolute() if folder is not None else default_folder()
        self._limit = limit_bytes
        self._files = CacheFolder(self.folder, clock, versions)

    @classmethod
    def temporary(cls) -> EngineCache:
        """Return a cache in a new folder that goes with this process, where there can be no other.

        Raises:
            OutputError: there is no room for temporary files either.
        """
        return cls(temporary_folder())

    def prepare(self) -> None:
        """Make the folder now, to hear early that it cannot be written in.

        Raises:
            OutputError: it cannot.
        """
        prepare_folder(self.folder)

    def problem(self) -> str:
        """Return why nothing could be cached, in one line, "" when all is well; makes nothing."""
        return folder_problem(self.folder)

    def get(
        self, key: EngineKey, build: Callable[[Path], None], *, on_note: OnNote | None = None
    ) -> Path:
        """Return the engine of a key: the one at hand when it is whole, else a new one.

        One process builds, others that ask for the same key wait for it and take what it made.

        Args:
            build: writes the engine to the path it is given; what else it leaves in the folder of
                that path is deleted.
            on_note: is told, in one line, why something is built again, waited for or deleted.

        Raises:
            OutputError: the folder cannot be written in, or the disk is full; nothing is left.
            EngineError: `build` raised it, or wrote nothing.
            SettingsError: REVERIE_CACHE_LIMIT is no size.
        """
        note = on_note or _ignore
        digest = key.digest()
        path, why = self._files.look(digest)
        if path is not None:
            self._files.touch(digest)
            return path
        prepare_folder(self.folder)
        self.limit()  # one that is no size is told before the build, not after
        with contextlib.ExitStack() as stack:
            with disk_errors(self.folder):
                waiting = f"{key}: another process is building it, waiting for that"
                stack.enter_context(hold(self._files.lock(digest), partial(note, waiting)))
            path, again = self._files.look(digest)
            if path is None:
                if reason := again or why or self._outdated_by(key):
                    note(f"{key}: the engine at hand {reason}: building it again")
                path = build_engine_file(self._files, key, build)
                self._evict(digest, note)
            else:
                self._files.record_use(digest)
        return path

    @contextlib.contextmanager
    def lend(
        self, key: EngineKey, build: Callable[[Path], None], *, on_note: OnNote | None = None
    ) -> Iterator[Path]:
        """Give the engine of a key as `get` does, and keep it from eviction while inside."""
        with contextlib.ExitStack() as stack:
            while True:
                path = self.get(key, build, on_note=on_note)
                with contextlib.suppress(Evicted):
                    stack.enter_context(self.using(path))
                    break
            yield path

    @contextlib.contextmanager
    def using(self, path: Path) -> Iterator[None]:
        """Keep an engine from eviction while inside, in every process.

        Raises:
            Evicted: it is gone already.
        """
        with contextlib.ExitStack() as stack:
            try:
                with hold(self._files.lock(path.stem)):
                    if path.is_file():
                        stack.enter_context(lease(path))
            except OSError:  # a folder that is read-only loses nothing
                pass
            if not path.is_file():
                raise Evicted(f"{path} was deleted from the cache before it was used: start again")
            yield

    def find(self, key: EngineKey, *, on_note: OnNote | None = None) -> Path | None:
        """Return the engine of a key when it is at hand and whole, else None; builds nothing."""
        digest = key.digest()
        path, why = self._files.look(digest)
        if path is not None:
            self._files.touch(digest)
        elif why and on_note is not None:
            on_note(f"{key}: the engine at hand {why}: it is not used")
        return path

    def entries(self) -> list[Entry]:
        """Return every engine, the one used last at the end; none is read, see `verify`."""
        return self._files.entries()

    def size(self) -> int:
        """Return the bytes that all engines take, what builds at work have made so far too."""
        return self._files.size()

    def verify(self) -> list[Entry]:
        """Read every engine; return those that would not be handed out, each with its problem."""
        bad = []
        for entry in self._files.entries():
            path, why = self._files.look(entry.digest)
            if path is None:  # or is it being built just now?
                with try_hold(self._files.lock(entry.digest)):
                    path, why = self._files.look(entry.digest)
            if path is None and os.path.lexists(entry.path):
                bad.append(replace(entry, problem=why or entry.problem))
        return bad

    def limit(self, held: int | None = None) -> int:
        """Return how many bytes engines may take; `held` is what they take now, where known.

        Raises:
            SettingsError: REVERIE_CACHE_LIMIT is no size.
        """
        if self._limit is not None:
            return self._limit
        return default_limit(self.folder, self._files.size() if held is None else held)

    def clear(
        self, digests: Collection[str] | None = None, *, older_than: float | None = None
    ) -> Cleared:
        """Delete engines that nobody uses, and what killed builds left.

        Args:
            digests: which ones; None is all.
            older_than: only those not used for so many seconds.
        """
        now = self._files.clock()
        removed: list[Entry] = []
        kept: list[Entry] = []
        for entry in self._files.entries():
            asked = digests is None or entry.digest in digests
            if asked and (older_than is None or now - entry.last_used > older_than):
                done = self._files.remove_unused(entry.digest, lock_too=True)
                (removed if done else kept).append(entry)
        self._files.sweep()
        return Cleared(tuple(removed), tuple(kept))

    def _outdated_by(self, key: EngineKey) -> str:
        """Say by which other version this engine was built, "" when there is none of another."""
        versions = [
            entry.key.library_version
            for entry in self._files.entries()
            if entry.key is not None and key.same_but_for_version(entry.key)
        ]
        if not versions:
            return ""
        library = LIBRARIES.get(key.library)
        title = library.title if library else key.library
        return f"was built by {title} {versions[-1]} and this is {key.library_version}"

    def _evict(self, keep: str, note: OnNote) -> None:
        """Delete what is over the limit: the useless first, then what rested longest."""
        entries = self._files.entries()
        total = sum(entry.bytes for entry in entries)
        limit = self.limit(total)
        order = sorted(entries, key=lambda e: (e.problem is None, not e.outdated, e.last_used))
        gone = []
        for entry in order:
            if total <= limit:
                break
            if entry.digest != keep and self._files.remove_unused(entry.digest):
                total -= entry.bytes
                gone.append(entry)
        if gone:
            freed = size_text(sum(entry.bytes for entry in gone))
            note(
                f"{len(gone)} of the cached engines ({freed}) were deleted, those not used for "
                f"longest: the cache may take {size_text(limit)}"
            )


def _ignore(note: str) -> None:
    pass
