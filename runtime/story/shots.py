"""Keeps the finished shots of a story in a folder, so that none is rendered twice.

A shot is two files: the film of it and a few lines of JSON that say what it is and prove that it
is whole. Its name is a hash of all that its frames depend on: the photo's content, the settings,
the model, the size. A shot gets its name when it is whole and on disk; whatever stops a render, a
power cut too, the shot in the making alone is lost. A cut or changed file is made again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from ... import __version__
from ...engines.errors import OutputError, StoryError
from ..bundle import MANIFEST, Bundle, hash_file
from ..clip import write_clip
from ..formats import SOFTWARE, encoding_for
from ..output import disk_errors, write_file
from ..reading import read_frames
from ..settings import Settings

Frame = NDArray[np.uint8]

FORMAT = 1
SUFFIX = ".mkv"
_LOCK = ".lock"
_PIXELS_A_BYTE = 12.0
"""Pixels that one byte of a kept shot holds, at least. Measured on an autumn wood at 480p: 28 for
H.264 at its best, and the film of such shots lies 1.1 dB below that of lossless ones (38.8 and
39.9 dB PSNR in RGB); FFV1 holds 0.9 and takes three times as long to write and to read.
"""


@dataclass(frozen=True)
class ShotKey:
    """What the frames of one shot depend on, and the name that makes."""

    name: str
    facts: Mapping[str, Any]

    @classmethod
    def of(cls, content: str, settings: Settings, size: tuple[int, int], bundle: Bundle) -> ShotKey:
        """Hash what a shot depends on; `content` is the photo's own hash, `size` (w, h)."""
        facts = {
            "format": FORMAT,
            "reverie": __version__,
            "photo": content,
            "settings": asdict(settings),
            "size": list(size),
            "model": [bundle.name, bundle.version, hash_file(bundle.folder / MANIFEST)],
        }
        text = json.dumps(facts, sort_keys=True)
        return cls(hashlib.sha256(text.encode()).hexdigest()[:24], facts)


class ShotStore:
    """A folder of finished shots; use it as a context, so that one story at a time works there."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._lock = FileLock(self.folder / _LOCK, timeout=0)
        self._made = False

    def __enter__(self) -> ShotStore:
        with disk_errors(self.folder / "shot"):
            try:
                self._made = not self.folder.exists()
                self.folder.mkdir(exist_ok=True)
            except FileExistsError as error:
                raise OutputError(
                    f"{self.folder} is a file, and the shots of the story go into a folder of that "
                    "name: rename it, or name another folder with --shots"
                ) from error
            try:
                self._lock.acquire()
            except Timeout:
                raise OutputError(
                    f"another story is being made in {self.folder}: wait for it, or name another "
                    "folder with --shots"
                ) from None
        for part in self.folder.glob(".reverie-*.part"):  # ours alone while we hold the lock
            with contextlib.suppress(OSError):
                part.unlink()
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        with contextlib.suppress(OSError):  # an empty one is of no use; a full one stays
            if self._made and {path.name for path in self.folder.iterdir()} <= {_LOCK}:
                (self.folder / _LOCK).unlink(missing_ok=True)
                self.folder.rmdir()

    def path(self, key: ShotKey) -> Path:
        """Where the film of a shot lies, or will lie."""
        return self.folder / f"{key.name}{SUFFIX}"

    def has(self, key: ShotKey) -> bool:
        """Whether the shot is there and whole, byte for byte; what is not is taken away."""
        film, words = self.path(key), self.folder / f"{key.name}.json"
        try:
            said = json.loads(words.read_text("utf-8"))
            if film.stat().st_size == said["bytes"] and hash_file(film) == said["sha256"]:
                return True
        except (OSError, ValueError, KeyError, TypeError):
            pass
        for left in (words, film):
            with contextlib.suppress(OSError):
                left.unlink()
        return False

    def write(
        self,
        key: ShotKey,
        frames: Iterator[Frame],
        *,
        size: tuple[int, int],
        fps: int,
        count: int,
        title: str,
        on_frame: Callable[[int], None] | None = None,
    ) -> None:
        """Write a shot's frames, and its name when it is whole.

        Raises:
            OutputError: it cannot be written, the disk is full.
        """
        film = self.path(key)
        try:
            write_clip(
                frames,
                film,
                fps=fps,
                width=size[0],
                height=size[1],
                frame_count=count,
                force=True,
                on_frame=on_frame,
                encoding=encoding_for(film, "h264", SOFTWARE, "best"),
            )
        except OutputError as error:
            why = str(error).removesuffix("; nothing was written").replace("--out", "--shots")
            kept = f"the shots finished in {self.folder} are kept, the same command goes on"
            raise OutputError(
                f"{why}; {kept if self._films() else 'nothing was written'}"
            ) from error
        said = {
            "title": title,
            "frames": count,
            "fps": fps,
            "bytes": film.stat().st_size,
            "sha256": hash_file(film),
            "made of": dict(key.facts),
        }
        text = json.dumps(said, indent=1, ensure_ascii=False).encode(errors="replace")
        write_file(text, self.folder / f"{key.name}.json", force=True)

    def read(self, key: ShotKey) -> Iterator[Frame]:
        """Yield a kept shot's frames, uint8 RGB (H, W, 3), one at a time.

        Raises:
            StoryError: the file cannot be read any more.
        """
        try:
            yield from read_frames(self.path(key))
        except (OSError, ValueError, OutputError) as error:  # PyAV's own are among them
            raise StoryError(
                f"the shot {self.path(key)} cannot be read any more ({error}): run again, "
                "it will be made anew"
            ) from error

    def sweep(self, keys: set[str]) -> None:
        """Delete the shots that the story no longer uses."""
        self._delete(lambda name: name not in keys)

    def clear(self, keys: set[str]) -> None:
        """Delete the shots of this story, and the folder where nothing else is in it."""
        self._delete(lambda name: name in keys)
        self._made = True

    def bytes(self) -> int:
        """Return what the kept shots take on disk."""
        return sum(path.stat().st_size for path in self._films())

    def _films(self) -> list[Path]:
        return [path for path in self.folder.glob(f"*{SUFFIX}") if _is_key(path.stem)]

    def _delete(self, unwanted: Callable[[str], bool]) -> None:
        for film in self._films():
            if unwanted(film.stem):
                for left in (film.with_suffix(".json"), film):
                    with contextlib.suppress(OSError):
                        left.unlink()


def estimate(size: tuple[int, int], frames: int) -> int:
    """Return about how many bytes frames of a size take as kept shots."""
    return int(size[0] * size[1] * frames / _PIXELS_A_BYTE)


def check_room(folder: Path, needed: int) -> int:
    """Return the bytes free where the shots go.

    Raises:
        OutputError: they are fewer than needed.
    """
    where = folder.absolute()
    while not where.exists() and where != where.parent:
        where = where.parent
    with disk_errors(folder / "shot"):
        free = shutil.disk_usage(where).free
    if free < needed:
        raise OutputError(
            f"the shots of this story need about {needed / 1e9:.2g} GB and {free / 1e9:.2g} GB are "
            f"free at {where}: free some space, name a folder on another disk with --shots, or "
            "ask for a smaller --height"
        )
    return free


def _is_key(stem: str) -> bool:
    return len(stem) == 24 and all(c in "0123456789abcdef" for c in stem)
