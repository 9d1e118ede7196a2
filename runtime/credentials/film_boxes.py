"""What C2PA's hash of an MP4 or QuickTime file leaves out, hashed by us so that no byte is free.

Left out are the file's type, its padding, and the boxes of the credentials themselves, padding of
their own in them. The first two are hashed into the signed statement (`outside_the_hash`); for the
rest a seal is set at the end, a `free` box with the SHA-256 of all bytes before it. Anyone can make
a seal anew: it shows accidents, the signature shows intent.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_LEFT_OUT = (b"ftyp", b"free", b"skip", b"mfra")
_MOST = 65_536  # boxes at the top of a file that is none of ours
_SEAL = struct.pack(">I4s8s", 48, b"free", b"Reverie1")
_PIECE = 1 << 20


def outside_the_hash(path: Path) -> str:
    """Return the SHA-256, in hex, of a file's type and padding, but for a seal.

    A file without boxes gives the hash of nothing.
    """
    found = hashlib.sha256()
    with path.open("rb") as file:
        for kind, start, size in _boxes(file):
            if kind in _LEFT_OUT:
                file.seek(start)
                box = file.read(min(size, _PIECE))
                if not box.startswith(_SEAL):
                    found.update(box)
    return found.hexdigest()


def seal(path: Path) -> None:
    """Set the seal at a file's end."""
    with path.open("rb+") as file:
        end = file.seek(0, 2)
        digest = _digest(file, end)
        file.seek(end)
        file.write(_SEAL + digest)


def is_sealed(path: Path) -> bool:
    """Whether a file ends in a seal, and no byte before it was changed since."""
    with path.open("rb") as file:
        end = file.seek(0, 2) - len(_SEAL) - 32
        if end < 0:
            return False
        file.seek(end)
        return file.read() == _SEAL + _digest(file, end)


def _digest(file: BinaryIO, end: int) -> bytes:
    file.seek(0)
    found = hashlib.sha256()
    while end > 0 and (piece := file.read(min(end, _PIECE))):
        found.update(piece)
        end -= len(piece)
    return found.digest()


def _boxes(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, place and size of the boxes at the top of a file, as far as they make sense."""
    end = file.seek(0, 2)
    start = 0
    for _ in range(_MOST):
        file.seek(start)
        head = file.read(16)
        if len(head) < 8:
            return
        size, kind = struct.unpack_from(">I4s", head)
        if size == 1 and len(head) == 16:
            size = struct.unpack_from(">Q", head, 8)[0]
        elif size == 0:
            size = end - start
        if size < 8 or start + size > end or not kind.isascii():
            return
        yield kind, start, size
        start += size
