"""Which font has which characters: those that ship with Reverie, one given, those of the system."""

from __future__ import annotations

import contextlib
import functools
import os
import struct
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...engines.errors import SettingsError

FONTS = Path(__file__).parent / "fonts"
_ENDINGS = {".ttf", ".otf", ".ttc", ".otc"}
_MOST_BYTES = 256 << 20  # the largest collections of CJK fonts are about half of that
_DISLIKED = ("bold", "black", "light", "thin", "italic", "oblique", "mono", "ui", "display", "cond")


@dataclass(frozen=True)
class Face:
    """One face of a font file, and how large it is set beside the others."""

    path: Path
    """The file."""
    index: int = 0
    """Which face of a collection."""
    scale: float = 1.0
    """Its size against the text's, so that scripts in one line look equally large."""

    def has(self, character: str) -> bool:
        """Whether the face has a glyph for a character."""
        return _characters(self.path, self.index).has(ord(character))


SHIPPED = (
    Face(FONTS / "EBGaramond-Medium.ttf"),
    Face(FONTS / "NotoSerifHebrew-Medium.ttf", scale=0.9),
    Face(FONTS / "NotoNaskhArabic-Medium.ttf", scale=1.05),
)
"""Latin with Vietnamese, Greek and Cyrillic; Hebrew; Arabic, Persian, Urdu."""


def face_of(path: Path) -> Face:
    """Return the first face of a font a person gave.

    Raises:
        SettingsError: the file is missing or is no TrueType or OpenType font.
    """
    from PIL import ImageFont

    path = Path(path)
    try:
        _characters(path, 0)
        ImageFont.truetype(str(path), 20)
    except (OSError, ValueError, struct.error, IndexError) as error:
        why = "there is no such file" if not path.exists() else "it cannot be read as a font"
        raise SettingsError(
            f"the font {path} cannot be used, {why}: give a .ttf, .otf or .ttc file"
        ) from error
    return Face(path, scale=_scale(path, 0))


def found_for(characters: Iterable[str]) -> Face | None:
    """Return a face of the system that has all these characters, serif and regular before others.

    Looks through the usual folders; the answer depends on the machine.
    """
    return _found(frozenset(characters), tuple(folders()))


def folders() -> Iterator[Path]:
    """Yield the folders where systems keep their fonts."""
    own: tuple[str, ...]
    if sys.platform == "win32":
        yield Path("C:/Windows/Fonts")
        own = ("AppData/Local/Microsoft/Windows/Fonts",)
    elif sys.platform == "darwin":
        yield from (Path("/System/Library/Fonts"), Path("/Library/Fonts"))
        own = ("Library/Fonts",)
    else:
        yield from (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"))
        own = (".local/share/fonts", ".fonts")
    with contextlib.suppress(RuntimeError):  # a user without a home
        yield from (Path.home() / folder for folder in own)


@functools.lru_cache(maxsize=64)
def _found(characters: frozenset[str], places: tuple[Path, ...]) -> Face | None:
    regions = _regions("".join(sorted(characters)))
    for path in _files(places):
        try:
            if not all(_characters(path, 0).has(ord(c)) for c in characters):
                continue
            index = _index_for(path, regions)
            return Face(path, index, _scale(path, index))
        except (OSError, ValueError, struct.error, IndexError):
            continue  # a broken font of the system is not this person's matter
    return None


@functools.lru_cache(maxsize=4)
def _files(places: tuple[Path, ...]) -> tuple[Path, ...]:
    """All font files there, those a caption should be set in first."""
    found = [
        Path(folder) / name
        for place in places
        for folder, _, names in os.walk(place)
        for name in names
        if Path(name).suffix.lower() in _ENDINGS
    ]

    def rank(path: Path) -> tuple[int, int, int, str]:
        name = path.stem.lower()
        disliked = sum(word in name for word in _DISLIKED)
        return disliked, "serif" not in name, "noto" not in name, str(path)

    return tuple(sorted(found, key=rank))


def _regions(text: str) -> tuple[str, ...]:
    """How the family for a text's Han characters may be called; () where that does not matter."""
    if any("\u3040" <= c <= "\u30ff" for c in text):
        return ("JP",)
    if any("\uac00" <= c <= "\ud7af" or "\u1100" <= c <= "\u11ff" for c in text):
        return ("KR",)
    han = "".join(c for c in text if "\u3400" <= c <= "\u9fff")
    for region, encoding in (("SC", "gb2312"), ("TC", "big5")):
        if han and _encodes(han, encoding):
            return (region,)
    return ("SC",) if han else ()


def _encodes(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _index_for(path: Path, regions: Sequence[str]) -> int:
    """The face of a collection that draws Han characters as this region does."""
    from PIL import ImageFont

    if path.suffix.lower() not in (".ttc", ".otc") or not regions:
        return 0
    for index in range(_faces(path)):
        family, style = ImageFont.truetype(str(path), 20, index=index).getname()
        if set(regions) & set((family or "").split()) and style in ("Regular", "Book", "Medium"):
            return index
    return 0


@functools.lru_cache(maxsize=64)
def _scale(path: Path, index: int) -> float:
    """Size against EB Garamond's, by the height of a capital or, without one, of what there is."""
    from PIL import ImageFont

    font = ImageFont.truetype(str(path), 200, index=index)
    known = _characters(path, index)
    for sample, height in (("H", 130.0), ("\u6c34", 168.0), ("\u3042", 150.0), ("\u05d0", 118.0)):
        if known.has(ord(sample)):
            box = font.getbbox(sample, anchor="ls")
            return min(1.3, max(0.7, height / max(1.0, box[3] - box[1])))
    return 0.95


class _Characters:
    """The character map of a face (OpenType `cmap`, formats 4 and 12), asked one code at a time."""

    def __init__(self, table: bytes) -> None:
        count = struct.unpack_from(">H", table, 2)[0]
        best: tuple[int, int] | None = None
        for entry in range(count):
            platform, encoding, offset = struct.unpack_from(">HHI", table, 4 + 8 * entry)
            kind = struct.unpack_from(">H", table, offset)[0]
            unicode = platform == 0 or (platform == 3 and encoding in (1, 10))
            if unicode and kind in (4, 12) and (best is None or kind > best[0]):
                best = kind, offset
        if best is None:
            raise ValueError("no map of Unicode characters")
        kind, offset = best
        if kind == 12:
            groups = struct.unpack_from(">I", table, offset + 12)[0]
            rows = _words(table, offset + 16, 3 * groups, ">u4").reshape(groups, 3)
            self._starts, self._ends, self._deltas = rows[:, 0], rows[:, 1], rows[:, 2]
            self._offsets = self._glyphs = None
            return
        double, length = (
            struct.unpack_from(">H", table, offset + 6)[0],
            struct.unpack_from(">H", table, offset + 2)[0],
        )
        half = double // 2
        self._ends = _words(table, offset + 14, half, ">u2")
        self._starts = _words(table, offset + 16 + double, half, ">u2")
        self._deltas = _words(table, offset + 16 + 2 * double, half, ">u2")
        first = offset + 16 + 3 * double
        rest = max(half, (min(offset + length, len(table)) - first) // 2)
        self._glyphs = _words(table, first, rest, ">u2")
        self._offsets = self._glyphs[:half]

    def has(self, code: int) -> bool:
        row = int(np.searchsorted(self._ends, code))
        if row == len(self._ends) or code < int(self._starts[row]):
            return False
        if self._offsets is None or self._glyphs is None:
            return int(self._deltas[row]) + code - int(self._starts[row]) != 0
        offset, delta = int(self._offsets[row]), int(self._deltas[row])
        if offset == 0:
            return (code + delta) & 0xFFFF != 0
        place = row + offset // 2 + code - int(self._starts[row])
        return place < len(self._glyphs) and int(self._glyphs[place]) != 0


def _words(table: bytes, offset: int, count: int, kind: str) -> npt.NDArray[np.int64]:
    return np.frombuffer(table, kind, count, offset).astype(np.int64)


@functools.lru_cache(maxsize=512)
def _characters(path: Path, index: int) -> _Characters:
    """Read a face's character map; OSError, ValueError or struct.error where there is none."""
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size > _MOST_BYTES:
            raise ValueError("too large for a font")
        start = 0
        if (head := file.read(12))[:4] == b"ttcf":
            file.seek(12 + 4 * index)
            start = struct.unpack(">I", file.read(4))[0]
            file.seek(start)
            head = file.read(12)
        if head[:4] not in (b"\0\1\0\0", b"OTTO", b"true"):
            raise ValueError("no TrueType or OpenType font")
        count = struct.unpack_from(">H", head, 4)[0]
        directory = file.read(16 * count)
        for entry in range(count):
            tag, _, offset, length = struct.unpack_from(">4sIII", directory, 16 * entry)
            if tag == b"cmap":
                file.seek(offset)
                return _Characters(file.read(length))
    raise ValueError("no character map")


def _faces(path: Path) -> int:
    with path.open("rb") as file:
        return min(64, int(struct.unpack(">4sII", file.read(12))[2]))
