"""Locks between processes: one build of an engine at a time, and engines that are in use.

Both are locks of the system on a small file, which end with the process that holds them, however
it ends. What lies there after a crash is a file without a lock.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from .cache_files import remove

_PATIENCE = 1.0  # seconds until a person is told what is waited for
_POLL = 0.1  # seconds


def _lock(path: Path) -> FileLock:
    return FileLock(path, mode=0o600)


@contextlib.contextmanager
def hold(path: Path, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the lock `path` while inside; `on_wait` is called after a second of waiting.

    Raises:
        OSError: the folder cannot be written in, or its file system has no locks.
    """
    lock = _lock(path)
    try:
        try:
            lock.acquire(timeout=_PATIENCE, poll_interval=_POLL)
        except Timeout:
            if on_wait is not None:
                on_wait()
            lock.acquire(timeout=-1, poll_interval=_POLL)
    except NotImplementedError as error:
        raise OSError(f"its file system has no locks: {error}") from error
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def try_hold(path: Path) -> Iterator[bool]:
    """Hold the lock `path` while inside when it is free; gives whether it is held."""
    lock = _lock(path)
    try:
        lock.acquire(blocking=False)
    except (Timeout, OSError, NotImplementedError):
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


@contextlib.contextmanager
def lease(engine: Path) -> Iterator[None]:
    """Mark an engine as in use while inside; taken while its lock is held, so that none looks on.

    A lease is a file of its own beside the engine, held locked; see `in_use`.
    """
    path = engine.with_name(f"{engine.stem}.{secrets.token_hex(6)}.lease")
    lock = _lock(path)
    lock.acquire(blocking=False)
    try:
        yield
    finally:
        lock.release()
        remove(path)


def in_use(engine: Path) -> bool:
    """Whether some process uses an engine; leases that a dead one left are swept away.

    To be asked while the engine's lock is held: a lease is made under it too.
    """
    alive = False
    for path in engine.parent.glob(f"{engine.stem}.*.lease"):
        with try_hold(path) as free:
            alive = alive or not free
        if free:
            remove(path)
    return alive
