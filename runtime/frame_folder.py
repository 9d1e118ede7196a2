"""A folder of numbered PNG frames, made under a hidden name and renamed when it is whole."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..engines.errors import OutputError
from .output import disk_errors, part_of

if TYPE_CHECKING:
    from PIL.PngImagePlugin import PngInfo

Frame = npt.NDArray[np.uint8]

RATE_KEY = "Frames a second"
"""The text in each frame that tells its rate."""

_FRAME = re.compile(r"\d{6,}\.png")
_LEVEL = 3  # of compression; 6 takes twice the time for 4 % less


def frame_name(index: int) -> str:
    """Return the name of a frame, counted from 0: 000001.png is the first."""
    return f"{index + 1:06d}.png"


def frame_files(folder: Path) -> list[Path]:
    """Return the frames in a folder in their order.

    Raises:
        OSError: the folder cannot be listed.
    """
    return sorted(
        (path for path in folder.iterdir() if _FRAME.fullmatch(path.name)),
        key=lambda path: int(path.stem),
    )


class FrameFolder:
    """A folder of frames at work; frames go in by `put`, `publish` gives it its name."""

    encoder = "png"

    def __init__(self, target: Path, *, fps: int, metadata: Mapping[str, str], force: bool) -> None:
        self._target, self._force = target, force
        self.part = part_of(target).with_suffix(".frames")
        self.notes: list[str] = []
        self._text = _text(fps, metadata)

    def put(self, frame: Frame, index: int) -> None:
        """Write a frame, uint8 (height, width, 3).

        Raises:
            OutputError: the disk refuses.
        """
        from PIL import Image

        with disk_errors(self._target):
            Image.fromarray(np.ascontiguousarray(frame)).save(
                self.part / frame_name(index), pnginfo=self._text, compress_level=_LEVEL
            )

    def close(self) -> None:
        """Bring the folder safely to disk."""
        with disk_errors(self._target):
            for path in frame_files(self.part):
                with path.open("rb+") as file:
                    os.fsync(file.fileno())

    def size(self) -> int:
        """Return the bytes in all frames."""
        return sum(path.stat().st_size for path in frame_files(self.part))

    def abandon(self) -> None:
        """Take the unfinished folder away."""
        shutil.rmtree(self.part, ignore_errors=True)

    def publish(self) -> None:
        """Give the finished folder its name; what is there gives way only with force.

        Raises:
            OutputError: something took the name meanwhile, or holds more than frames.
        """
        check_folder(self._target, self._force)
        with disk_errors(self._target), _moved_away(self._target):
            self.part.rename(self._target)


def check_folder(target: Path, force: bool) -> None:
    """Raise unless a folder of frames may be made at `target`.

    Raises:
        OutputError: there is a file, a folder with other things in it, or one with frames and
            `force` is False.
    """
    with disk_errors(target):
        if not os.path.lexists(target):
            return
        if target.is_symlink() or not target.is_dir():
            raise OutputError(f"{target} is no folder: choose another name with --out")
        names = [path.name for path in target.iterdir()]
    others = [name for name in names if not _FRAME.fullmatch(name)]
    if others:
        raise OutputError(
            f"{target} holds other things than frames ({others[0]:.60}) and is left alone: choose "
            "another folder with --out"
        )
    if names and not force:
        raise OutputError(
            f"{target} exists and is not overwritten: choose another name with --out, or replace "
            "it with --force"
        )


@contextlib.contextmanager
def _moved_away(target: Path) -> Iterator[None]:
    """Set an old folder of frames aside, delete it when all went well, bring it back when not."""
    if not target.exists():
        yield
        return
    aside = part_of(target).with_suffix(".frames")
    target.rename(aside)
    try:
        yield
    except BaseException:
        aside.rename(target)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _text(fps: int, metadata: Mapping[str, str]) -> PngInfo:
    from PIL.PngImagePlugin import PngInfo

    text = PngInfo()
    text.add(b"sRGB", b"\0")  # perceptual
    text.add_text(RATE_KEY, str(fps))
    for key, value in metadata.items():
        text.add_itxt(key.capitalize(), value)
    return text
