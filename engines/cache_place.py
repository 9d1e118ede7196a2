"""Where engines are cached and how much they may take: the two things the environment decides."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from .errors import OutputError
from .sizes import parse_size

FOLDER = "REVERIE_CACHE"
"""Names the folder of engines."""
LIMIT = "REVERIE_CACHE_LIMIT"
"""Says how much they may take: "20GB"."""

_SHARE = 4  # a quarter of what the disk could give
_MOST = 64 * 2**30


def default_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return REVERIE_CACHE, or the folder `engines` in this user's cache.

    Raises:
        OutputError: this user has no home folder.
    """
    chosen = environ.get(FOLDER, "")
    try:
        if chosen:
            return Path(chosen).expanduser().absolute()
        import platformdirs

        folder = Path(platformdirs.user_cache_dir("reverie", appauthor=False)) / "engines"
    except (RuntimeError, OSError, KeyError) as error:
        raise _no_home() from error
    if not folder.is_absolute():  # a "~" that stands for nothing
        raise _no_home()
    return folder


def default_limit(folder: Path, held: int, environ: Mapping[str, str] = os.environ) -> int:
    """Return how many bytes engines may take: REVERIE_CACHE_LIMIT, or a quarter of the disk's room.

    The room is what is free and what the cache holds already (`held` bytes), so that the limit
    does not shrink as the cache grows; 64 GiB at most.

    Raises:
        SettingsError: REVERIE_CACHE_LIMIT is no size.
    """
    if chosen := environ.get(LIMIT, ""):
        return parse_size(chosen, LIMIT)
    try:
        place = next(path for path in (folder, *folder.parents) if path.exists())
        free = shutil.disk_usage(place).free
    except (OSError, StopIteration):
        return _MOST
    return min((free + held) // _SHARE, _MOST)


def _no_home() -> OutputError:
    return OutputError(
        f"there is no home folder to cache engines in: set {FOLDER} to a folder of your own"
    )
