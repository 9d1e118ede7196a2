from __future__ import annotations

import errno
import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
import pytest
from reverie.engines.errors import OutputError, ReverieError
from reverie.runtime import clip as clip_module
from reverie.runtime import film_file, output
from reverie.runtime.clip import Frame, check_output, write_clip
from reverie.runtime.reading import read_frames

WIDTH, HEIGHT = 96, 64


def noise(count: int, seed: int = 0) -> Iterator[Frame]:
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def write(path: Path, frames: Iterator[Frame], count: int, **options: object) -> int:
    settings = {"fps": 24, "width": WIDTH, "height": HEIGHT, "frame_count": count, **options}
    return write_clip(frames, path, **settings).frames  # type: ignore[arg-type]


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_flat_patches_come_back_within_two(tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(1)
    corners = [[r, g, b] for r in (0, 255) for g in (0, 255) for b in (0, 255)]
    colours = np.array([*corners, *rng.integers(0, 256, (16, 3))], np.uint8)
    picture = colours.reshape(4, 6, 3).repeat(64, 0).repeat(64, 1)
    path = tmp_path / f"patches{suffix}"
    size = {"width": picture.shape[1], "height": picture.shape[0]}
    assert write(path, iter([picture] * 4), 4, **size) == 4
    for frame in read_frames(path):
        assert frame.shape == picture.shape
        middles = [f[32::64, 32::64].astype(int) for f in (frame, picture)]
        assert np.abs(middles[0] - middles[1]).max() <= 2


def test_the_stream_is_what_browsers_and_phones_play(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write(path, noise(50), 50, fps=25, metadata={"title": "a lake", "comment": "häagen"})
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        assert (stream.frames, stream.average_rate) == (50, 25)
        assert (context.name, context.codec_tag, context.profile) == ("h264", "avc1", "High")
        assert (context.format.name, context.width, context.height) == ("yuv420p", WIDTH, HEIGHT)
        colours = (context.colorspace, context.color_primaries, context.color_trc)
        assert (colours, context.color_range) == ((1, 1, 1), 1)  # bt709, limited
        assert container.metadata["title"] == "a lake"
        assert container.metadata["comment"] == "häagen"
        times = [frame.time for frame in container.decode(stream)]
    assert times == pytest.approx([n / 25 for n in range(50)])


def test_the_index_stands_before_the_pictures(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write(path, noise(3), 3)
    data, at, boxes = path.read_bytes(), 0, []
    while at < len(data):
        size, name = struct.unpack(">I4s", data[at : at + 8])
        boxes.append(name.decode())
        at += size
    assert at == len(data)
    assert boxes.index("moov") < boxes.index("mdat")


def test_same_frames_give_the_same_file(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        write(tmp_path / name, noise(30), 30)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_frames_are_taken_one_at_a_time(tmp_path: Path) -> None:
    drawn, done = [0], []

    def frames() -> Iterator[Frame]:
        for frame in noise(20):
            drawn[0] += 1
            yield frame

    write(tmp_path / "clip.mp4", frames(), 20, on_frame=lambda n: done.append((n, drawn[0])))
    assert done == [(n, n) for n in range(1, 21)]


@pytest.mark.parametrize(("count", "words"), [(4, "more than the 4"), (6, "only 5 of the 6")])
def test_another_number_of_frames_is_an_error(tmp_path: Path, count: int, words: str) -> None:
    with pytest.raises(ReverieError, match=words):
        write(tmp_path / "clip.mp4", noise(5), count)
    assert left_in(tmp_path) == []


@pytest.mark.parametrize(
    "frame",
    [np.zeros((HEIGHT, WIDTH), np.uint8), np.zeros((HEIGHT, WIDTH, 3), np.float32)],
)
def test_other_frames_than_promised_are_refused(tmp_path: Path, frame: Frame) -> None:
    with pytest.raises(ValueError, match="frame 0 is"):
        write(tmp_path / "clip.mp4", iter([frame]), 1)
    assert left_in(tmp_path) == []


def test_odd_sizes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="even"):
        write(tmp_path / "clip.mp4", noise(1), 1, width=95)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError, MemoryError, GeneratorExit])
def test_whatever_stops_it_nothing_is_left(tmp_path: Path, stop: type[BaseException]) -> None:
    def frames() -> Iterator[Frame]:
        yield from noise(7)
        assert [name[:9] for name in left_in(tmp_path)] == [".reverie-"]
        raise stop

    with pytest.raises(stop):
        write(tmp_path / "clip.mp4", frames(), 20)
    assert left_in(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "disk is full"), (errno.EFBIG, "largest file"), (errno.EIO, "cannot be")],
)
def test_a_disk_that_refuses_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    encode = film_file.FilmFile._encode

    class Refusing:
        def __init__(self, container: Any) -> None:
            self.close = container.close

        def mux(self, packet: object) -> None:
            av.error.err_check(-number)

    def third(self: Any, frame: Frame, index: int) -> list[Any]:
        if index == 3:
            self._container = Refusing(self._container)
        return [*encode(self, frame, index), *([None] if index == 3 else [])]

    monkeypatch.setattr(film_file.FilmFile, "_encode", third)
    with pytest.raises(OutputError, match=words) as caught:
        write(tmp_path / "clip.mp4", noise(9), 9)
    assert "\n" not in str(caught.value)
    assert left_in(tmp_path) == []


def test_an_error_of_the_renderer_is_not_blamed_on_the_disk(tmp_path: Path) -> None:
    def frames() -> Iterator[Frame]:
        yield from noise(1)
        raise FileNotFoundError("depth.onnx")

    with pytest.raises(FileNotFoundError):
        write(tmp_path / "clip.mp4", frames(), 9)


def test_an_existing_file_stays_without_force(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_text("mine")
    with pytest.raises(OutputError, match="--force"):
        write(path, noise(1), 1)
    assert path.read_text() == "mine"
    write(path, noise(1), 1, force=True)
    assert sum(1 for _ in read_frames(path)) == 1
    assert left_in(tmp_path) == ["clip.mp4"]


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_comes_meanwhile_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    path = tmp_path / "clip.mp4"
    if not links:
        _without_links(monkeypatch)

    def frames() -> Iterator[Frame]:
        yield from noise(2)
        path.write_text("mine")

    with pytest.raises(OutputError, match="exists"):
        write(path, frames(), 2)
    assert path.read_text() == "mine"
    assert left_in(tmp_path) == ["clip.mp4"]


def test_a_file_system_without_links_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _without_links(monkeypatch)
    write(tmp_path / "clip.mp4", noise(2), 2)
    assert left_in(tmp_path) == ["clip.mp4"]
    assert sum(1 for _ in read_frames(tmp_path / "clip.mp4")) == 2


def _without_links(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: object, target: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)


def test_force_through_a_link_replaces_what_it_points_to(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    real, link = tmp_path / "real" / "clip.mp4", tmp_path / "link.mp4"
    real.write_text("old")
    try:
        link.symlink_to(real)
    except OSError:
        pytest.skip("no symbolic links here")
    with pytest.raises(OutputError, match="exists"):
        check_output(link)
    write(link, noise(1), 1, force=True)
    assert link.is_symlink()
    assert sum(1 for _ in read_frames(real)) == 1


def test_places_that_cannot_be_written_are_told_before(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.mp4").mkdir()
    for path, words in [
        (tmp_path / "missing" / "clip.mp4", "does not exist"),
        (tmp_path / "file" / "clip.mp4", "not exist"),
        (tmp_path / "folder.mp4", "is a folder"),
        (tmp_path, "is a folder"),
        (tmp_path / "clip.avi", "must end in .mp4, .mov, .mkv"),
        (tmp_path / "clip", "must end in"),
        (tmp_path / ("long" * 80 + ".mp4"), "too long"),
        (tmp_path / "nul\0.mp4", "no usable file name"),
    ]:
        for force in (False, True):
            with pytest.raises(OutputError, match=words) as caught:
                check_output(path, force)
            assert "\n" not in str(caught.value)
    assert check_output(tmp_path / "clip.MP4") == tmp_path / "clip.MP4"
    assert left_in(tmp_path) == ["file", "folder.mp4"]


def test_a_folder_without_permission_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("reverie.runtime.output.os.open", refuse)
    with pytest.raises(OutputError, match="cannot be written in"):
        check_output(tmp_path / "clip.mp4")


def test_a_clip_that_cannot_be_replaced_is_told_apart_from_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Windows has it while a player holds the clip open."""
    path = tmp_path / "clip.mp4"
    path.write_text("mine")

    def refuse(self: Path, target: Path) -> Path:
        raise PermissionError(errno.EACCES, "Access is denied")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OutputError, match="in use or read-only") as caught:
        write(path, noise(1), 1, force=True)
    assert "close what plays it" in str(caught.value)
    assert path.read_text() == "mine"
    assert left_in(tmp_path) == ["clip.mp4"]
    path.unlink()
    with pytest.raises(OutputError, match="cannot be written in"):
        write(path, noise(1), 1, force=True)
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("before", [True, False])
def test_a_signal_while_the_name_is_reserved_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    make = output.reserve

    def interrupted(part: Path) -> None:
        if not before:
            make(part)
        raise KeyboardInterrupt

    monkeypatch.setattr(clip_module, "reserve", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "clip.mp4", noise(1), 1)
    assert left_in(tmp_path) == []
    monkeypatch.setattr(output, "reserve", interrupted)
    with pytest.raises(KeyboardInterrupt):
        check_output(tmp_path / "clip.mp4")
    assert left_in(tmp_path) == []


def test_what_a_killed_render_left_is_swept_after_a_day(tmp_path: Path) -> None:
    hours = {"000000000000": 23, "0123456789ab": 25, "fedcba987654": 2400, "mine": 25}
    for name, age in hours.items():
        part = tmp_path / f".reverie-{name}.part"
        part.write_bytes(b"half")
        os.utime(part, (time.time() - age * 3600,) * 2)
    (tmp_path / ".reverie-aaaaaaaaaaaa.part").mkdir()
    os.utime(tmp_path / ".reverie-aaaaaaaaaaaa.part", (0, 0))
    write(tmp_path / "clip.mp4", noise(1), 1)
    stays = ["000000000000", "aaaaaaaaaaaa", "mine"]
    assert left_in(tmp_path) == [*(f".reverie-{name}.part" for name in stays), "clip.mp4"]


def test_a_signal_while_a_name_is_taken_without_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _without_links(monkeypatch)

    def interrupted(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "clip.mp4", noise(1), 1)
    assert left_in(tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_pipe_is_no_place_for_a_clip(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(OutputError, match="no ordinary file"):
        check_output(tmp_path / "pipe.mp4", force=True)


@pytest.mark.skipif(os.name == "nt", reason="modes are a matter of POSIX")
def test_a_clip_has_the_mode_of_any_new_file(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write(tmp_path / "clip.mp4", noise(1), 1)
    finally:
        os.umask(before)
    assert (tmp_path / "clip.mp4").stat().st_mode & 0o777 == 0o640
