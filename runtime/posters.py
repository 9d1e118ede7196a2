"""Stills of a film, taken as its frames pass: the best one, and a sheet of twelve with times."""

from __future__ import annotations

import contextlib
import io
import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..engines.errors import OutputError, SettingsError
from .output import check_file, disk_errors, write_file

if TYPE_CHECKING:
    from PIL.Image import Image

Frame = npt.NDArray[np.uint8]

SUFFIXES = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}
"""What a still's name may end in."""

_CANDIDATES = 15  # frames looked at for the best one
_MIDDLE = (0.2, 0.8)  # the part of the film they are taken from
_CELLS = 12
_CELL_HEIGHT, _SHEET_WIDTH, _GAP, _LINE = 270, 1920, 12, 26  # pixels
_GROUND, _INK = (18, 18, 18), (222, 222, 222)


class Posters:
    """Collects stills from the frames that pass `over`, and writes them with `save`.

    Which frames are looked at is settled ahead, so that at most one frame and twelve small ones
    are held, however long the film.

    Args:
        poster: a .jpg or .png for the best still, the sharpest of fifteen from the middle of the
            film; None for none.
        sheet: a .jpg or .png for the contact sheet, None for none.
        count: frames in the film.
        fps: frames a second, for the times on the sheet.
        force: True replaces files that are there.

    Raises:
        SettingsError: both names are one.
        OutputError: a file cannot be written there.
    """

    def __init__(
        self,
        *,
        poster: str | os.PathLike[str] | None = None,
        sheet: str | os.PathLike[str] | None = None,
        count: int,
        fps: int,
        force: bool = False,
    ) -> None:
        self._poster = None if poster is None else check_still(poster, force)
        self._sheet = None if sheet is None else check_still(sheet, force)
        if self._poster is not None and self._poster == self._sheet:
            raise SettingsError(f"{poster} cannot be the poster and the sheet: give two names")
        self._fps, self._force = fps, force
        self._candidates = _candidates(count) if self._poster else frozenset()
        self._shown = dict.fromkeys(_spread(0, count - 1, _CELLS)) if self._sheet else {}
        self._best: Frame | None = None
        self._sharpness = -1.0
        self._cells: list[tuple[int, Image]] = []

    def over(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Pass frames on as they are, uint8 (height, width, 3), and look at some of them."""
        try:
            for index, frame in enumerate(frames):
                if index in self._candidates:
                    self._consider(frame)
                if index in self._shown:
                    self._cells.append((index, _small(frame)))
                yield frame
        finally:
            with contextlib.suppress(AttributeError):
                frames.close()  # type: ignore[attr-defined]

    def save(self) -> tuple[Path, ...]:
        """Write what was asked for and return the files; nothing is left half.

        Raises:
            OutputError: a file cannot be written, or no frame has passed.
        """
        made = []
        if self._poster is not None:
            if self._best is None:
                raise OutputError(f"{self._poster} was not written: no frame came by")
            from PIL import Image

            _write(Image.fromarray(self._best), self._poster, self._force)
            made.append(self._poster)
        if self._sheet is not None:
            if not self._cells:
                raise OutputError(f"{self._sheet} was not written: no frame came by")
            _write(draw_sheet(self._cells, self._fps), self._sheet, self._force)
            made.append(self._sheet)
        return tuple(made)

    def _consider(self, frame: Frame) -> None:
        sharpness = sharpness_of(frame)
        if sharpness > self._sharpness:
            self._sharpness, self._best = sharpness, frame.copy()


def check_still(path: str | os.PathLike[str], force: bool = False) -> Path:
    """Return `path` when a still can be written there now.

    Raises:
        OutputError: the name ends in no known kind, or the place cannot be written in.
    """
    target = Path(path)
    if target.suffix.lower() not in SUFFIXES:
        raise OutputError(
            f"{target}: a still's name must end in {', '.join(SUFFIXES)}: "
            f"try {target.with_suffix('.jpg') if target.name else 'poster.jpg'}"
        )
    try:
        with disk_errors(target):
            check_file(target, force)
    except ValueError as error:  # a NUL in the name
        raise OutputError(f"{target!r:.80} is no usable file name ({error})") from error
    return target


def sharpness_of(frame: Frame) -> float:
    """Return how much fine detail a frame holds: the variance of its brightness's Laplacian.

    Measured at about 360 lines, so that grain counts for little.
    """
    shrink = max(1, frame.shape[0] // 360)
    height, width = (side // shrink * shrink for side in frame.shape[:2])
    grey = frame[:height, :width].mean(axis=2, dtype=np.float32)
    grey = grey.reshape(height // shrink, shrink, width // shrink, shrink).mean(axis=(1, 3))
    if min(grey.shape) < 3:
        return 0.0
    inner = grey[1:-1, 1:-1]
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    return float(np.var(around - 4 * inner))


def draw_sheet(cells: list[tuple[int, Image]], fps: int) -> Image:
    """Return a page of small pictures, three or four in a row, each with its time beneath."""
    from PIL import Image, ImageDraw, ImageFont

    width, height = cells[0][1].size
    columns = 4 if width * 4 + _GAP * 5 <= _SHEET_WIDTH * 1.05 else 3
    columns = min(6 if width < height else columns, len(cells))
    rows = math.ceil(len(cells) / columns)
    size = (
        _GAP + columns * (width + _GAP),
        _GAP + rows * (height + _LINE + _GAP),
    )
    page = Image.new("RGB", size, _GROUND)
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(16)
    for place, (index, picture) in enumerate(cells):
        row, column = divmod(place, columns)
        x, y = _GAP + column * (width + _GAP), _GAP + row * (height + _LINE + _GAP)
        page.paste(picture, (x, y))
        draw.text((x, y + height + 5), clock(index / fps), font=font, fill=_INK)
    return page


def clock(seconds: float) -> str:
    """Return a time as 0:07.25."""
    hundredths = round(seconds * 100)
    minutes, rest = divmod(hundredths, 6000)
    return f"{minutes}:{rest / 100:05.2f}"


def _small(frame: Frame) -> Image:
    from PIL import Image

    height, width = frame.shape[:2]
    scale = min(_CELL_HEIGHT / height, (_SHEET_WIDTH - 5 * _GAP) / 4 / width, 1.0)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS)


def _candidates(count: int) -> frozenset[int]:
    low, high = (share * (count - 1) for share in _MIDDLE)
    return frozenset(_spread(low, high, _CANDIDATES))


def _spread(low: float, high: float, most: int) -> list[int]:
    """Return at most `most` indices spread evenly from `low` to `high`."""
    steps = np.linspace(low, high, max(1, min(most, int(high - low) + 1)))
    return sorted({round(float(step)) for step in steps})


def _write(picture: Image, target: Path, force: bool) -> None:
    kind = SUFFIXES[target.suffix.lower()]
    options = {"quality": 92, "subsampling": 0} if kind == "JPEG" else {}
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    write_file(buffer.getvalue(), target, force=force)
