"""What the process of a build does beside building: pages it gives back, lines it tells."""

from __future__ import annotations

import io
import json
import mmap
import re
import sys
from pathlib import Path

import pytest
from reverie.engines.builder_process import PartFile, Teller, _drop_weights

linux = pytest.mark.skipif(sys.platform != "linux", reason="pages are told of there")


def resident(path: Path) -> int:
    """KiB of a file that this process has in memory."""
    text = Path("/proc/self/smaps").read_text(encoding="utf-8")
    found = re.search(rf"{re.escape(str(path))}\n(?:.*\n)*?Rss:\s+(\d+) kB", text)
    assert found is not None
    return int(found[1])


@linux
def test_weights_that_were_read_are_given_back_and_stay_what_they_are(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    folder.mkdir()
    for place in (folder, tmp_path):
        (place / "net.onnx.data").write_bytes(bytes(range(256)) * 2**14)
    maps = []
    for place in (folder, tmp_path):
        with (place / "net.onnx.data").open("rb") as file:
            maps.append(mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ))
    before = [bytes(one) for one in maps]
    assert resident(folder / "net.onnx.data") >= 4096
    _drop_weights(folder)
    assert resident(folder / "net.onnx.data") == 0
    assert resident(tmp_path / "net.onnx.data") >= 4096
    assert [bytes(one) for one in maps] == before
    for one in maps:
        one.close()


@linux
def test_pages_that_could_have_been_changed_are_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "net.onnx.data"
    file.write_bytes(bytes(2**16))
    with file.open("rb") as opened:
        own = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_COPY)
    own[:4] = b"mine"
    _drop_weights(tmp_path)
    assert own[:4] == b"mine"
    own.close()


def test_lines_of_progress(tmp_path: Path) -> None:
    stream = io.StringIO()
    told = Teller(stream)
    told.at("read", "", 0, 0)
    for step in range(1000):
        told.at("compile", "a step", step, 1000)
    part = PartFile(tmp_path / "part", told, expected=4)
    assert part.write(b"abc") == 3
    part.finish()
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["phase"] for line in lines][:2] == ["read", "compile"]
    assert 3 <= len(lines) < 100  # not every step is worth a line
    assert (lines[-1]["phase"], lines[-1]["done"], lines[-1]["total"]) == ("write", 3, 4)
    assert lines[-1]["bytes"] > 0
    assert (tmp_path / "part").read_bytes() == b"abc"
    part.remove()
    assert not any(tmp_path.iterdir())


def test_a_part_file_never_takes_the_place_of_another(tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(b"of someone else")
    with pytest.raises(FileExistsError):
        PartFile(tmp_path / "part", Teller(io.StringIO()), 0)
