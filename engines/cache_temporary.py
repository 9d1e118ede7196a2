"""A folder for engines that goes with its process, however that ends."""

from __future__ import annotations

import atexit
import contextlib
import os
import tempfile
import time
from pathlib import Path

from .cache_files import disk_errors, remove
from .cache_lock import hold, try_hold

_PREFIX = "reverie-engines-"
_ALIVE = "alive.lock"
_LEFT_OVER = 3600.0  # seconds


def temporary_folder() -> Path:
    """Make a folder that is deleted when this process ends.

    It holds a lock as long as the process lives; one that a killed process left is deleted here.

    Raises:
        OutputError: there is no room for temporary files.
    """
    place = Path(tempfile.gettempdir())
    with disk_errors(place):
        for old in place.glob(f"{_PREFIX}*"):
            with contextlib.suppress(OSError):
                if time.time() - old.lstat().st_mtime > _LEFT_OVER and not old.is_symlink():
                    _sweep(old)
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        alive = contextlib.ExitStack()
        alive.enter_context(hold(folder / _ALIVE))
    atexit.register(_end, os.getpid(), alive, folder)
    return folder


def _sweep(old: Path) -> None:
    with try_hold(old / _ALIVE) as dead:
        pass
    if dead:
        remove(old)


def _end(owner: int, alive: contextlib.ExitStack, folder: Path) -> None:
    """Delete the folder, unless this is a child of the process that made it."""
    if os.getpid() == owner:
        alive.close()
        remove(folder)
