"""One build of an engine into the cache: beside, then by its name, then its record."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from pathlib import Path

from .cache_files import Untrusted, disk_errors, open_trusted, remove, sync_file, write_record
from .cache_folder import CacheFolder
from .cache_key import EngineKey
from .cache_record import make_record
from .errors import EngineError, OutputError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}


def build_engine_file(files: CacheFolder, key: EngineKey, build: Callable[[Path], None]) -> Path:
    """Build the engine of a key and give it its name once it is whole; its lock is held.

    A process that is killed leaves a part (swept by the next build), or an engine without a record
    (which counts as foreign); never one that could be taken for whole.

    Raises:
        OutputError: the folder cannot be written in, or the disk is full; nothing is left.
        EngineError: `build` raised it, or wrote nothing.
    """
    digest = key.digest()
    path, part = files.engine(digest), files.part(digest)
    files.sweep(mine=digest)
    made = part / path.name
    try:
        with disk_errors(files.path):
            part.mkdir(mode=0o700)
        start = time.perf_counter()
        _call(build, made, files.path)
        seconds = time.perf_counter() - start
        if made.is_symlink() or not made.is_file() or not made.stat().st_size:
            raise EngineError(f"{key}: the build ended without an engine: run it again")
        with disk_errors(files.path):
            sync_file(made)
            with open_trusted(made) as file:
                record = make_record(key, file, made.stat().st_size, seconds, files.now())
            if path.is_dir() and not path.is_symlink():
                remove(path)
            remove(path.with_suffix(".jit"))  # of the engine that was here
            made.replace(path)
            try:
                write_record(path.with_suffix(".json"), record, files.part(digest))
            except BaseException:
                remove(path)  # without a record it is worth nothing
                raise
    except Untrusted as why:  # files of ours that do not look so: a disk of another system
        raise OutputError(
            f"the engine cache {files.path} cannot be used, a file just written there {why}: "
            "set REVERIE_CACHE to another folder"
        ) from why
    finally:
        remove(part)
    return path


def _call(build: Callable[[Path], None], made: Path, folder: Path) -> None:
    try:
        build(made)
    except OSError as error:
        if error.errno not in _FULL:
            raise  # not about this folder
        with disk_errors(folder):
            raise
