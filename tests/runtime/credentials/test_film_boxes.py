"""The parts of a film that C2PA's hash leaves out, and the seal."""

from __future__ import annotations

from pathlib import Path

import pytest
from reverie.runtime.credentials.film_boxes import is_sealed, outside_the_hash, seal

KIND, PAD = b"\0\0\0\x0cftypisom", b"\0\0\0\x09freex"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "boxes.mp4"


def test_type_and_padding_are_hashed_and_no_more(path: Path) -> None:
    def told(data: bytes) -> str:
        path.write_bytes(data)
        return outside_the_hash(path)

    nothing = told(b"")
    assert told(b"\0\0\0\x08mdat") == nothing
    assert told(b"GIF89a" + b"x" * 90) == nothing
    assert told(b"\0\0\0\0") == told(b"\0\0\0\x02free" * 9) == nothing
    assert told(KIND + b"\0\0\0\x0auuidab" + PAD) == told(KIND + PAD) != told(KIND)
    long = b"\0\0\0\x01mdat" + (20).to_bytes(8, "big") + b"data"
    assert told(long + PAD) == told(PAD) != nothing
    assert told(b"\0\0\0\0freeabc") not in (nothing, told(b"\0\0\0\0freeabd"))


def test_a_seal_holds_every_byte(path: Path) -> None:
    path.write_bytes(KIND + PAD + b"\0\0\0\x0emdatpixels")
    outside = outside_the_hash(path)
    assert not is_sealed(path)
    seal(path)
    assert is_sealed(path)
    assert outside_the_hash(path) == outside
    data = path.read_bytes()
    assert len(data) == len(KIND + PAD) + 14 + 48
    for place in range(len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        assert not is_sealed(path), place
    for changed in (data[:-1], data + b"x", data[1:], b"", data[-48:]):
        path.write_bytes(changed)
        assert not is_sealed(path)


def test_a_large_file_is_sealed_piece_by_piece(path: Path) -> None:
    path.write_bytes(b"x" * 3_000_000)
    seal(path)
    assert is_sealed(path)
    with path.open("rb+") as file:
        file.seek(2_999_999)
        file.write(b"y")
    assert not is_sealed(path)
