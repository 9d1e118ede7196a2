"""Files of a cache that other processes share: opened with care, hashed, written whole.

A file counts only when it is an ordinary file, no link, and belongs to us (or to root, who could
change ours as well).
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping
from io import BufferedReader
from pathlib import Path
from typing import Any

from .errors import OutputError

TAG = "CACHEDIR.TAG"
"""Tells backup programs that this folder can be left out (bford.info/cachedir)."""

_TAG_TEXT = (
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# Engines that Reverie built; they can be deleted at any time and are built again.\n"
)
Opened = BufferedReader

_RECORD_LIMIT = 2**20
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_STATVFS = hasattr(os, "ST_RDONLY")
_OPEN = os.O_RDONLY | _NO_FOLLOW | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)


class Untrusted(Exception):
    """A file that must not be used; the text says why: "is a link"."""


def prepare_folder(folder: Path) -> None:
    """Make the cache's folder, for us alone (mode 0700), and check that it can be written in.

    A folder that was there before keeps its mode, unless it is empty or was ours already.

    Raises:
        OutputError: it is no folder, belongs to someone else, or cannot be written in.
    """
    with disk_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        state = folder.stat()
        if not stat.S_ISDIR(state.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, "it is no folder")
        if os.name == "posix":
            _check_owner(folder, state)
        tag = folder / TAG
        if problem := folder_problem(folder):
            raise OutputError(problem)
        if not os.path.lexists(tag):
            write_whole(tag, _TAG_TEXT.encode(), tag.with_name(f".{TAG}.{secrets.token_hex(6)}"))


def folder_problem(folder: Path) -> str:
    """Return why engines could not be written in a folder, "" when they could; nothing is made."""
    try:
        with disk_errors(folder):
            place = next(path for path in (folder, *folder.parents) if path.exists())
            if not place.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, "it is no folder")
            if place == folder and os.name == "posix" and not _is_trusted(folder.stat()):
                raise PermissionError(errno.EACCES, "it belongs to another user")
            if not os.access(place, os.W_OK | os.X_OK):
                read_only = bool(os.statvfs(place).f_flag & os.ST_RDONLY) if _STATVFS else False
                number = errno.EROFS if read_only else errno.EACCES
                raise OSError(number, os.strerror(number))
    except OutputError as error:
        return str(error)
    return ""


def _check_owner(folder: Path, state: os.stat_result) -> None:
    if not _is_trusted(state):
        raise OutputError(
            f"the engine cache {folder} belongs to another user ({state.st_uid}): "
            "set REVERIE_CACHE to a folder of your own"
        )
    if state.st_mode & 0o077 and not state.st_mode & stat.S_ISVTX:
        names = {entry.name for entry in folder.iterdir()}
        if not names or TAG in names:
            with contextlib.suppress(PermissionError):  # root's
                folder.chmod(0o700)
                state = folder.stat()
    if state.st_mode & 0o022:
        raise OutputError(
            f"the engine cache {folder} can be written in by other users: "
            f"`chmod 700 {folder}`, or set REVERIE_CACHE to a folder of its own"
        )


def _is_trusted(state: os.stat_result) -> bool:
    return os.name != "posix" or state.st_uid in (os.geteuid(), 0)


@contextlib.contextmanager
def open_trusted(path: Path) -> Iterator[Opened]:
    """Open a file for reading.

    Raises:
        Untrusted: it is a link, no ordinary file, or belongs to another user.
        OSError: it is not there, or cannot be read.
    """
    try:
        number = os.open(path, _OPEN)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK) or path.is_symlink():
            raise Untrusted("is a link, and links are not followed") from error
        raise
    try:
        state = os.fstat(number)
        if not _NO_FOLLOW and path.is_symlink():
            raise Untrusted("is a link, and links are not followed")
        if not stat.S_ISREG(state.st_mode):
            raise Untrusted("is no ordinary file")
        if not _is_trusted(state):
            raise Untrusted("belongs to another user")
        if os.name == "posix" and state.st_mode & 0o022:
            raise Untrusted("can be written by other users")
        file = os.fdopen(number, "rb")
    except BaseException:
        os.close(number)
        raise
    with file:
        yield file


def hash_engine(file: Opened) -> str:
    """Return the sha256 of an open file; 1.6 GB a second where the processor has it built in."""
    return hashlib.file_digest(file, "sha256").hexdigest()


def read_record(path: Path) -> dict[str, Any]:
    """Return the record beside an engine.

    Raises:
        Untrusted: there is none, or it cannot be read or trusted; says why.
    """
    try:
        with open_trusted(path) as file:
            text = file.read(_RECORD_LIMIT + 1)
        record = json.loads(text) if len(text) <= _RECORD_LIMIT else None
    except Untrusted as why:
        raise Untrusted(f"has a record that {why}") from why
    except FileNotFoundError as error:
        raise Untrusted("has no record of what it is") from error
    except (OSError, ValueError, RecursionError) as error:
        raise Untrusted("has a record that cannot be read") from error
    if not isinstance(record, dict):
        raise Untrusted("has a record that cannot be read")
    return record


def write_record(path: Path, record: Mapping[str, Any], part: Path) -> None:
    """Write the record beside an engine, through the file `part` of the same folder."""
    write_whole(path, (json.dumps(record, indent=1) + "\n").encode(), part)


def write_whole(path: Path, data: bytes, part: Path) -> None:
    """Write a small file so that whoever reads it finds all of it, or what was there before."""
    try:
        number = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOW, 0o600)
        with os.fdopen(number, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(number)
        part.replace(path)
    finally:
        with contextlib.suppress(OSError):
            part.unlink()
    sync_folder(path.parent)


def sync_file(path: Path) -> None:
    """Bring a finished file to the disk, and keep others from writing it."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
    path.chmod(0o600)


def sync_folder(folder: Path) -> None:
    """Bring a folder's names to the disk, where the system can."""
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):  # not every file system does
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def remove(path: Path) -> bool:
    """Delete a file, a link, or a folder with all that is in it; tell whether it is gone."""
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
    return not os.path.lexists(path)


@contextlib.contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn what the system says while writing in the cache (any OSError) into one line."""
    try:
        yield
    except OSError as error:
        raise OutputError(_explain(folder, error)) from error


def _explain(folder: Path, error: OSError) -> str:
    mend = "set REVERIE_CACHE to another folder"
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return (
                f"no room for an engine in {folder}, the disk is full: `reverie cache clear --all` "
                f"or free some space, or {mend}"
            )
        case errno.EFBIG:
            return f"an engine grew beyond the largest file allowed in {folder}: {mend}"
        case errno.EROFS | errno.EACCES | errno.EPERM:
            return f"the engine cache {folder} cannot be written in ({_reason(error)}): {mend}"
        case errno.ENOTDIR | errno.EEXIST:
            return f"the engine cache {folder} is no folder but a file, or lies in one: {mend}"
        case _:
            return f"the engine cache {folder} cannot be used ({_reason(error)}): {mend}"


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
