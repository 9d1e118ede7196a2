"""A place for a file: asked for before, reserved beside, published whole, never half a file."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from ..engines.errors import OutputError
from .formats import Encoding, encoding_for, is_a_folder, means_folder

_NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.EXDEV}

_PART = re.compile(r"\.reverie-[0-9a-f]{12}f?\.part")
_FRAMES = re.compile(r"\.reverie-[0-9a-f]{12}\.frames")
_LEFT_OVER = 24 * 3600.0  # seconds


def check_output(
    path: str | os.PathLike[str], force: bool = False, encoding: Encoding | None = None
) -> Path:
    """Return `path` when a clip can be written there now; costs nothing, so ask before rendering.

    Args:
        path: where the clip, or the folder of PNG frames, is to come.
        force: True when what is there may be replaced.
        encoding: how it will be written; None means what the name says.

    Raises:
        OutputError: the name ends in no known container, the folder is missing or cannot be
            written in, something that is no file is there, or a file is and `force` is False.
    """
    target = Path(path)
    try:
        with disk_errors(target):
            if target.is_dir() and not (means_folder(path) or (encoding and encoding.is_folder)):
                raise OutputError(is_a_folder(target))
            encoding = encoding or encoding_for(path)
            _check_folder(target, force) if encoding.is_folder else check_file(target, force)
    except ValueError as error:  # a NUL in the name
        raise OutputError(f"{target!r:.80} is no usable file name ({error})") from error
    return target


def _check_folder(target: Path, force: bool) -> None:
    from .frame_folder import check_folder

    if target.name in ("", ".."):  # it cannot be moved away, nor a new one be given its name
        raise OutputError(f"{target} holds what is here: name a folder in it, such as frames/")
    check_folder(target, force)
    _try_place(target)


def check_file(target: Path, force: bool) -> None:
    """Raise unless a file can be written at `target` now.

    Raises:
        OutputError: something that is no file is there, or a file is and `force` is False.
        OSError: the system refuses.
    """
    _try_place(target)
    try:
        mode = target.lstat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISLNK(mode) and target.exists():
        mode = target.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
        raise OutputError(f"{target} is no ordinary file: choose another name with --out")
    if not force:
        raise _exists(target)


def _try_place(target: Path) -> None:
    part = part_of(target)
    try:
        reserve(part)
        _sweep(part.parent)
    finally:
        if os.path.lexists(part):
            part.unlink()


def part_of(target: Path) -> Path:
    """Return a hidden name of its own in the folder of `target`; nothing is made."""
    return _real(target).parent / f".reverie-{secrets.token_hex(6)}.part"


def for_ffmpeg(path: str | os.PathLike[str]) -> str:
    """A file's name as FFmpeg takes it: with a colon in it, it is no protocol's all the same."""
    return f"file:{os.fspath(path)}"


def reserve(part: Path) -> None:
    """Create `part` as an empty file; called where it is also taken away, whatever happens."""
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))


def _sweep(folder: Path) -> None:
    """Delete parts that a killed render or a power cut left there.

    A part at work grows all the time; one that nobody has written to for a day is left over.
    """
    before = time.time() - _LEFT_OVER
    parts: list[Path] = []
    with contextlib.suppress(OSError):  # a folder that may be written in but not listed
        parts += folder.glob(".reverie-*.*")
    for part in parts:
        with contextlib.suppress(OSError):  # another render swept it, or holds it on Windows
            state = part.lstat()
            if state.st_mtime >= before:
                continue
            if _PART.fullmatch(part.name) and stat.S_ISREG(state.st_mode):
                part.unlink()
            elif _FRAMES.fullmatch(part.name) and stat.S_ISDIR(state.st_mode):
                shutil.rmtree(part)


def publish(part: Path, target: Path, force: bool) -> None:
    """Give the finished file its name; without `force` a file that came meanwhile stays.

    Raises:
        OutputError: the name was taken meanwhile, or the file there cannot be replaced.
        OSError: the system refuses.
    """
    if force:
        try:
            part.replace(_real(target))
        except PermissionError as error:
            if not target.exists():
                raise
            raise OutputError(
                f"{target} is in use or read-only and was not replaced: close what plays it, "
                "or choose another name with --out"
            ) from error
        return
    try:
        if os.name == "nt":
            part.rename(target)  # refuses on Windows when the name is taken
        else:
            os.link(part, target)  # so does a link everywhere else
            part.unlink()
    except FileExistsError:
        raise _exists(target) from None
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _take_then_replace(part, target)


def write_file(content: bytes, target: Path, *, force: bool) -> None:
    """Write a small file beside its place and rename it there.

    Raises:
        OutputError: it cannot be written, or a file is there and `force` is False.
    """
    part = part_of(target)
    with disk_errors(target):
        try:
            reserve(part)
            with part.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            publish(part, target, force)
        finally:
            part.unlink(missing_ok=True)


def _take_then_replace(part: Path, target: Path) -> None:
    """Publish where the file system has no links: take the name, then replace our own file."""
    taken = False
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        taken = True
        part.replace(target)
    except FileExistsError:
        raise _exists(target) from None
    except BaseException:
        if taken and part.exists():  # the name is ours, and still empty
            target.unlink()
        raise


def _real(target: Path) -> Path:
    """Follow a link, so that replacing a clip behind one replaces the clip and not the link."""
    return Path(os.path.realpath(target)) if target.is_symlink() else target


def _exists(target: Path) -> OutputError:
    return OutputError(
        f"{target} exists and is not overwritten: choose another name with --out, "
        "or replace it with --force"
    )


@contextlib.contextmanager
def disk_errors(target: Path) -> Iterator[None]:
    """Turn what the system says while writing `target` (any OSError) into one line for a person."""
    try:
        yield
    except OSError as error:
        raise OutputError(_explain(target, error)) from error


def _explain(target: Path, error: OSError) -> str:
    folder = target.parent
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return (
                f"no room for {target}, the disk is full: free some space or choose another disk "
                "with --out; nothing was written"
            )
        case errno.EFBIG:
            return (
                f"{target} grew beyond the largest file allowed here: ask for fewer seconds or a "
                "smaller height, or choose another disk with --out; nothing was written"
            )
        case errno.ENOENT | errno.ENOTDIR:
            return f"the folder {folder} does not exist: create it, or choose another with --out"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return f"{folder} cannot be written in: choose another folder with --out"
        case errno.ENAMETOOLONG:
            return f"the name {target.name:.40}... is too long: choose a shorter one with --out"
        case _:
            return f"{target} cannot be written ({error.strerror or error}): try another --out"
