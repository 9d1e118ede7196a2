"""Every bad input through the command: one clear line, its exit code, nothing left behind.

Most run in this process; of each exit code, and where signals, limits or the whole way matter, one
runs as a real program.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from reverie.cli.main import main
from reverie.runtime.reading import read_frames

TOY = Path(__file__).parents[1] / "data" / "bundles" / "toy-ember"
SMALL = ("--seconds", "1", "--fps", "8", "--height", "64")
posix = pytest.mark.skipif(os.name == "nt", reason="a matter of POSIX")

Refused = Callable[..., str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a good photo in it, to run in."""
    across = np.linspace(0, 255, 120, dtype=np.uint8)
    pixels = np.stack([np.tile(across, (90, 1)), np.full((90, 120), 90), np.zeros((90, 120))], -1)
    Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "photo.jpg")
    return tmp_path


def command(*words: str, model: Path | str = TOY) -> list[str]:
    start = [sys.executable, "-W", "error", "-m", "reverie", "animate"]
    return [*start, *words, "--model", str(model)]


def run(folder: Path, *words: str, model: Path | str = TOY) -> subprocess.CompletedProcess[str]:
    line = command(*words, model=model)
    return subprocess.run(
        line, cwd=folder, capture_output=True, encoding="utf-8", check=False, timeout=300
    )


@pytest.fixture
def refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Refused:
    """Run what must fail, in this process, and return its one line; nothing may be left behind."""
    monkeypatch.chdir(folder)

    def run_here(code: int, *words: str, model: Path | str = TOY) -> str:
        before = listing(Path())
        got = main(["animate", *words, "--model", str(model)])
        out, err = capsys.readouterr()
        assert (got, out) == (code, ""), err
        assert err.startswith("reverie: ")
        assert err.count("\n") == 1, err
        assert listing(Path()) == before
        return err

    return run_here


def listing(folder: Path) -> dict[Path, int]:
    """Return what is in a folder, and when it was last written to."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.mark.parametrize(
    ("code", "words", "model"),
    [
        (2, ["photo.jpg", "--seconds", "nan"], TOY),
        (3, ["nope.jpg"], TOY),
        (4, ["photo.jpg"], "nosuch"),
        (5, ["photo.jpg", "--out", "missing/clip.mp4"], TOY),
    ],
)
def test_the_program_leaves_with_the_code(
    folder: Path, code: int, words: list[str], model: Path | str
) -> None:
    before = listing(folder)
    done = run(folder, *words, model=model)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert done.stderr.startswith("reverie: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert listing(folder) == before


def test_the_same_command_works_with_good_input(folder: Path) -> None:
    done = run(folder, "photo.jpg", *SMALL, "--json", "--prompt", "slight leaf movement")
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert Path(told["path"]) == folder / "photo.mp4"
    frames = list(read_frames(folder / "photo.mp4"))
    assert told["frames"] == len(frames) == 8
    assert frames[0].shape == (told["height"], told["width"], 3)
    assert told["peak_memory_bytes"] > 0
    assert told["prompt"]["understood"] == ["motion: leaf, slight"]
    assert sorted(path.name for path in folder.iterdir()) == ["photo.jpg", "photo.mp4"]


# ---- photos --------------------------------------------------------------------------------------


def huge_png() -> bytes:
    """A picture of 400 megapixels, as its header says, in a few bytes."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    signature = b"\x89PNG\r\n\x1a\n"
    return signature + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def test_a_photo_that_is_not_there(refused: Refused) -> None:
    assert "nope.jpg" in refused(3, "nope.jpg")


def test_a_folder_for_a_photo(folder: Path, refused: Refused) -> None:
    (folder / "photos").mkdir()
    assert "is a folder" in refused(3, "photos")


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "empty"), (b"Dear diary,\n" * 50, "not a"), (huge_png(), "100")],
    ids=["empty", "text", "bomb"],
)
def test_files_that_are_no_photo(folder: Path, refused: Refused, content: bytes, said: str) -> None:
    (folder / "bad.jpg").write_bytes(content)
    line = refused(3, "bad.jpg")
    assert "bad.jpg" in line
    assert said in line


def test_a_truncated_photo(folder: Path, refused: Refused) -> None:
    whole = (folder / "photo.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    assert "cut.jpg" in refused(3, "cut.jpg")


def test_a_photo_of_one_pixel(folder: Path, refused: Refused) -> None:
    Image.new("RGB", (1, 1)).save(folder / "dot.png")
    assert "1 x 1" in refused(3, "dot.png")


@contextmanager
def nobody(folder: Path) -> Iterator[None]:
    """Be a plain user inside: root may read and write everywhere, whatever the modes say."""
    if os.geteuid() != 0:
        yield
        return
    folder.chmod(0o777)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@posix
def test_a_photo_that_may_not_be_read(folder: Path, refused: Refused) -> None:
    shutil.copytree(TOY, folder / "toy")
    refused(3, "nope.jpg", model="toy")  # loads what a plain user may not be allowed to
    (folder / "photo.jpg").chmod(0)
    with nobody(folder):
        assert "permission" in refused(3, "photo.jpg", model="toy")


def test_an_animated_gif_works_and_is_told(folder: Path) -> None:
    frames = [Image.new("RGB", (80, 80), (60 * n, 90, 40)) for n in range(3)]
    frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:])
    done = run(folder, "moving.gif", *SMALL)
    assert done.returncode == 0, done.stderr
    assert "note: first frame of 3" in done.stderr
    assert (folder / "moving.mp4").exists()


# ---- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *[("--seconds", value) for value in ("0", "-1", "nan", "inf", "10000", "soon")],
        *[("--fps", value) for value in ("0", "1000", "2.5")],
        *[("--height", value) for value in ("0", "100000")],
        *[("--aspect", value) for value in ("0:5", "5:0", "1:100", "wide", "")],
        *[("--motion", value) for value in ("-0.1", "1.1", "nan")],
        *[("--seed", value) for value in ("-1", str(2**63))],
    ],
)
def test_impossible_settings(refused: Refused, option: str, value: str) -> None:
    line = refused(2, "photo.jpg", option, value)
    assert option.strip("-") in line
    assert value in line


# ---- models --------------------------------------------------------------------------------------


def test_an_unknown_model(refused: Refused) -> None:
    line = refused(4, "photo.jpg", model="nosuch")
    assert "nosuch" in line
    assert "ember" in line


@pytest.mark.parametrize("check", ["size", "sha256", "missing", "manifest"])
def test_a_broken_bundle(folder: Path, refused: Refused, check: str) -> None:
    bundle = shutil.copytree(TOY, folder / "bundle")
    file = bundle / "maps.onnx"
    data = file.read_bytes()
    if check == "size":
        file.write_bytes(data[:-100])
    elif check == "sha256":
        file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif check == "missing":
        file.unlink()
    else:
        file = bundle / "bundle.json"
        file.write_text(file.read_text(encoding="utf-8")[:100], encoding="utf-8")
    line = refused(4, "photo.jpg", *SMALL, model=bundle)
    assert str(file) in line
    assert {"manifest": "JSON"}.get(check, check) in line


# ---- the clip ------------------------------------------------------------------------------------


def test_a_clip_that_exists(folder: Path, refused: Refused) -> None:
    (folder / "photo.mp4").write_text("mine")
    assert "--force" in refused(5, "photo.jpg", *SMALL)
    done = run(folder, "photo.jpg", *SMALL, "--force")
    assert done.returncode == 0, done.stderr
    assert sum(1 for _ in read_frames(folder / "photo.mp4")) == 8


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("missing/clip.mp4", "does not exist"),
        ("photo.jpg/clip.mp4", "not exist"),
        (".", "is a folder"),
        ("clip.avi", ".mp4, .mov, .mkv"),
        ("", "is a folder"),
        ("long" * 100 + ".mp4", "too long"),
    ],
)
def test_a_clip_that_cannot_be_written(refused: Refused, out: str, said: str) -> None:
    assert said in refused(5, "photo.jpg", "--out", out)


@posix
def test_a_folder_that_may_not_be_written(folder: Path, refused: Refused) -> None:
    (folder / "shut").mkdir()
    (folder / "shut").chmod(0o555)
    refused(5, "photo.jpg", "--out", "missing/clip.mp4")  # loads what is needed, as above
    with nobody(folder):
        assert "cannot be written in" in refused(5, "photo.jpg", "--out", "shut/clip.mp4")


@posix
def test_a_disk_without_room(folder: Path) -> None:
    """A limit on the size of files stands in for a full disk."""
    limit = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000));"
    code = f"{limit} from reverie.cli.main import main; sys.exit(main(sys.argv[1:]))"
    words = ["animate", "photo.jpg", "--model", str(TOY), *SMALL, "--out", "clip.mp4"]
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "photo.jpg", quality=95)
    done = subprocess.run(
        [sys.executable, "-B", "-c", code, *words],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 5, done.stderr
    assert done.stderr.count("\n") == 1
    assert "--out" in done.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["photo.jpg"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_stdout_is_told_and_the_clip_is_there(folder: Path) -> None:
    line = command("photo.jpg", *SMALL, "--out", "clip.mp4")
    with Path("/dev/full").open("wb", buffering=0) as full:
        done = subprocess.run(
            line, cwd=folder, stdout=full, stderr=subprocess.PIPE, encoding="utf-8", check=False
        )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("reverie: clip.mp4 is whole, but")
    assert "Traceback" not in done.stderr
    assert len(list(read_frames(folder / "clip.mp4"))) == 8


# ---- stopped -------------------------------------------------------------------------------------


@posix
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_in_the_middle(folder: Path, number: signal.Signals, code: int) -> None:
    line = command("photo.jpg", "--seconds", "600", "--fps", "60", "--height", "240", "--json")
    process = subprocess.Popen(
        line,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        # Whoever runs the tests in the background has SIGINT ignored, and hands that down.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        deadline = time.monotonic() + 120
        while not any(p.stat().st_size for p in folder.glob(".reverie-*")):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == code, err
    assert err == "reverie: stopped, nothing was written\n"
    assert json.loads(out)["exit_code"] == code
    assert sorted(path.name for path in folder.iterdir()) == ["photo.jpg"]
