"""The cache of engines: what it hands out, what it builds again, and what faults do to it.

Faults are real where a process can make them: killed builds, full disks, two processes at once.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from reverie.engines import cache_files
from reverie.engines.cache import EngineCache, EngineKey, Evicted
from reverie.engines.errors import EngineError, OutputError

VERSIONS = {"rtx": "1.7.1"}
HELP = Path(__file__).parent / "cache_process.py"
"""A process of its own at the same folder."""

posix = pytest.mark.skipif(os.name != "posix", reason="signals, owners and modes as POSIX has them")
linux = pytest.mark.skipif(sys.platform != "linux", reason="limits and mounts as Linux has them")


def key(letter: str = "a", **changes: object) -> EngineKey:
    made = EngineKey(
        graph_sha256=letter * 64,
        data_sha256=("d" * 64,),
        precision="int8",
        profile={"x": ((1, 8), (1, 16), (1, 32))},
        library="rtx",
        library_version="1.7.1",
        device=("sm89", "sm86"),
        options={"weight_streaming": True},
        name=f"toy {letter}",
    )
    return replace(made, **changes)  # type: ignore[arg-type]


class Builder:
    """Writes an engine and counts how often."""

    def __init__(self, data: bytes = b"engine" * 1000) -> None:
        self.data, self.runs = data, 0

    def __call__(self, path: Path) -> None:
        self.runs += 1
        path.write_bytes(self.data)
        path.with_name("scratch.bin").write_bytes(b"left beside")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "engines"


@pytest.fixture
def cache(folder: Path) -> EngineCache:
    return EngineCache(folder, versions=VERSIONS)


def names(folder: Path) -> set[str]:
    """Endings of what lies in the cache."""
    return {path.name.partition(".")[2] for path in folder.iterdir() if path.name[0] != "C"}


def process(*words: object, **options: object) -> subprocess.Popen[str]:
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
        [sys.executable, HELP, *map(str, words)],
        text=True,
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        **options,
    )


def end(child: subprocess.Popen[str]) -> int:
    child.communicate(timeout=60)
    return child.returncode


def wait_for(what: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not what():
        assert time.monotonic() < until
        time.sleep(0.02)


# the plain way


def test_builds_once_and_leaves_nothing_beside(cache: EngineCache, folder: Path) -> None:
    build, notes = Builder(), []
    assert cache.find(key()) is None
    assert cache.entries() == []
    path = cache.get(key(), build, on_note=notes.append)
    assert cache.get(key(), build, on_note=notes.append) == path == cache.find(key())
    assert (build.runs, notes) == (1, [])
    assert path.read_bytes() == build.data
    assert path.name == f"{key().digest()}.engine"
    assert names(folder) == {"engine", "json", "lock"}
    (entry,) = cache.entries()
    assert (entry.key, entry.bytes, entry.problem, entry.outdated) == (
        EngineKey.from_plain(key().as_plain()),
        len(build.data),
        None,
        False,
    )
    assert cache.size() > entry.bytes
    assert cache.verify() == []


@posix
def test_the_folder_and_the_files_are_ours_alone(cache: EngineCache, folder: Path) -> None:
    previous = os.umask(0)
    try:
        path = cache.get(key(), Builder())
    finally:
        os.umask(previous)
    for one, mode in ((folder, 0o700), (path, 0o600), (path.with_suffix(".json"), 0o600)):
        assert one.stat().st_mode & 0o777 == mode
    assert (
        (folder / "CACHEDIR.TAG")
        .read_text()
        .startswith("Signature: 8a477f597d28d172789f06886806bc55")
    )


def test_a_build_that_fails_leaves_nothing(cache: EngineCache, folder: Path) -> None:
    def refuse(path: Path) -> None:
        path.write_bytes(b"half")
        raise EngineError("refused")

    def stop(path: Path) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    def nothing(path: Path) -> None:
        path.with_suffix(".tmp").write_bytes(b"half")

    for build, error in ((refuse, EngineError), (stop, KeyboardInterrupt), (nothing, EngineError)):
        with pytest.raises(error):
            cache.get(key(), build)
        assert names(folder) == {"lock"}
    assert cache.get(key(), Builder()).is_file()


def test_what_a_build_raises_of_its_own_passes(cache: EngineCache) -> None:
    def build(path: Path) -> None:
        raise FileNotFoundError(errno.ENOENT, "no graph", "denoiser.onnx")

    with pytest.raises(FileNotFoundError, match="no graph"):
        cache.get(key(), build)


# engines that are not what they should be


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


def lose_record(path: Path) -> None:
    path.with_suffix(".json").unlink()


def cut_record(path: Path) -> None:
    record = path.with_suffix(".json")
    record.write_text(record.read_text()[:-20])


def list_record(path: Path) -> None:
    path.with_suffix(".json").write_text("[]")


def deep_record(path: Path) -> None:
    path.with_suffix(".json").write_text("[" * 100_000)


def timeless_record(path: Path) -> None:
    record = path.with_suffix(".json")
    record.write_text(json.dumps(json.loads(record.read_text()) | {"last_used": float("inf")}))


def foreign_record(path: Path) -> None:
    record = path.with_suffix(".json")
    record.write_text(json.dumps(json.loads(record.read_text()) | {"key": key("b").as_plain()}))


def link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def link_record(path: Path) -> None:
    record = path.with_suffix(".json")
    record.rename(path.with_name("elsewhere"))
    record.symlink_to("elsewhere")


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "x").touch()


def make_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def open_to_all(path: Path) -> None:
    path.chmod(0o666)


FAULTS = [
    (cut, "was cut short (5999 of 6000 bytes)"),
    (flip, "was changed since it was built (sha256)"),
    (append, "has 6001 bytes and was built with 6000"),
    (lose_record, "has no record of what it is"),
    (cut_record, "has a record that cannot be read"),
    (list_record, "has a record that cannot be read"),
    (deep_record, "has a record that cannot be read"),
    (timeless_record, "has a record that cannot be read"),
    (foreign_record, "has the record of another engine"),
    (link, "is a link, and links are not followed"),
    (link_record, "has a record that is a link, and links are not followed"),
]
POSIX_FAULTS = [
    (make_folder, "is no ordinary file"),
    (make_pipe, "is no ordinary file"),
    (open_to_all, "can be written by other users"),
]


@pytest.mark.parametrize(
    ("damage", "why"), [*FAULTS, *(POSIX_FAULTS if os.name == "posix" else [])]
)
def test_an_engine_in_doubt_is_built_again(
    cache: EngineCache, folder: Path, damage: Callable[[Path], None], why: str
) -> None:
    build, notes = Builder(), []
    path = cache.get(key(), build)
    damage(path)
    broken = cache.verify()
    assert [entry.problem for entry in broken] == [why]
    assert cache.find(key(), on_note=notes.append) is None
    assert cache.get(key(), build, on_note=notes.append) == path
    assert notes == [
        f"{key()}: the engine at hand {why}: it is not used",
        f"{key()}: the engine at hand {why}: building it again",
    ]
    assert build.runs == 2
    assert not path.is_symlink()
    assert path.read_bytes() == build.data
    assert cache.verify() == []


def test_a_link_is_replaced_and_what_it_led_to_stays(cache: EngineCache, tmp_path: Path) -> None:
    path = cache.get(key(), Builder())
    victim = tmp_path / "victim"
    for place in (path, path.with_suffix(".json"), path.with_suffix(".lock")):
        victim.write_text("mine")
        place.unlink()
        place.symlink_to(victim)
        cache.get(key(), Builder())
        assert victim.read_text() == "mine"


def test_an_engine_of_another_version_is_not_used(cache: EngineCache) -> None:
    old, new = key(library_version="1.6.0"), key()
    build, notes = Builder(), []
    first = cache.get(old, build)
    second = cache.get(new, build, on_note=notes.append)
    assert first != second
    assert notes == [
        f"{new}: the engine at hand was built by TensorRT-RTX 1.6.0 and this is 1.7.1: "
        "building it again"
    ]
    assert [(e.key.library_version, e.outdated) for e in cache.entries() if e.key] == [
        ("1.6.0", True),
        ("1.7.1", False),
    ]


def test_an_engine_put_under_another_name_is_foreign(cache: EngineCache) -> None:
    """Both files of one engine, copied over those of another, with a record that is whole."""
    mine, theirs = cache.get(key("a"), Builder()), cache.get(key("b"), Builder(b"theirs"))
    for end in (".engine", ".json"):
        mine.with_suffix(end).write_bytes(theirs.with_suffix(end).read_bytes())
    notes: list[str] = []
    assert cache.get(key("a"), Builder(), on_note=notes.append).read_bytes() != b"theirs"
    assert "has the record of another engine" in notes[0]


@posix
@pytest.mark.skipif(
    os.name == "posix" and os.geteuid() != 0, reason="only root can give files away"
)
def test_another_users_files_are_not_trusted(cache: EngineCache, folder: Path) -> None:
    path = cache.get(key(), Builder())
    for one in (path, path.with_suffix(".json")):
        os.chown(one, 1234, -1)
        notes: list[str] = []
        assert cache.get(key(), Builder(), on_note=notes.append) == path
        assert "belongs to another user" in notes[0]
        assert path.stat().st_uid == 0
    os.chown(folder, 1234, -1)
    with pytest.raises(OutputError, match="belongs to another user"):
        cache.get(key("b"), Builder())


@posix
def test_a_folder_that_others_can_write_in(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o777)
    EngineCache(folder).prepare()  # empty, so it becomes ours
    assert folder.stat().st_mode & 0o777 == 0o700
    other = tmp_path / "home"
    other.mkdir()
    (other / "letters").touch()
    other.chmod(0o777)
    with pytest.raises(OutputError, match=r"can be written in by other users: `chmod 700"):
        EngineCache(other).get(key(), Builder())
    assert other.stat().st_mode & 0o777 == 0o777


# several processes


def test_two_processes_build_an_engine_once(folder: Path, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    both = [process("build", folder, marks, 1.5) for _ in range(3)]
    told = [json.loads(one.communicate(timeout=60)[0]) for one in both]
    assert len(list(marks.iterdir())) == 1
    assert len({answer["path"] for answer in told}) == 1
    assert {answer["sha256"] for answer in told} == {told[0]["sha256"]}
    waited = [note for answer in told for note in answer["notes"]]
    assert waited
    assert all(note.endswith("another process is building it, waiting for that") for note in waited)


def test_two_threads_build_an_engine_once(cache: EngineCache) -> None:
    build, found = Builder(), []

    def slow(path: Path) -> None:
        time.sleep(0.2)
        build(path)

    threads = [
        threading.Thread(target=lambda: found.append(cache.get(key(), slow))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (build.runs, len(set(found)), len(found)) == (1, 1, 4)


@posix
def test_a_killed_build_is_swept_and_done_again(
    cache: EngineCache, folder: Path, tmp_path: Path
) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    victim = process("build", folder, marks, 600)
    wait_for(lambda: any(folder.glob("*.part/*")))
    victim.send_signal(signal.SIGKILL)
    victim.communicate(timeout=60)
    assert any(folder.glob("*.part"))
    cache.get(key("b"), Builder())  # another engine's build sweeps too
    assert not any(folder.glob("*.part"))
    build = Builder()
    assert cache.get(key(), build).read_bytes() == build.data
    assert build.runs == 1
    assert names(folder) == {"engine", "json", "lock"}


def test_a_build_at_work_is_not_swept(cache: EngineCache, folder: Path, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    other = process("build", folder, marks, "input")
    wait_for(lambda: any(folder.glob("*.part/*")))
    cache.get(key("b"), Builder())
    cache.clear()
    assert any(folder.glob("*.part/*"))
    answer, _ = other.communicate("go on\n", timeout=60)
    assert json.loads(answer)["sha256"]
    assert cache.find(key()) is not None


@posix
@pytest.mark.parametrize("at", ["before", "between"])
def test_a_kill_around_the_renames(folder: Path, cache: EngineCache, at: str) -> None:
    """Killed when the engine is whole but has no name yet, and when it has one but no record."""
    assert end(process("killed", folder, at)) == -signal.SIGKILL
    build, notes = Builder(), []
    path = cache.get(key(), build, on_note=notes.append)
    assert (build.runs, path.read_bytes()) == (1, build.data)
    assert ["has no record" in note for note in notes] == ([True] if at == "between" else [])
    assert names(folder) == {"engine", "json", "lock"}


# disks


@posix
def test_a_disk_full_in_the_middle(folder: Path) -> None:
    """The system's own refusal, by a limit on the size of a file."""
    answer, _ = process("limited", folder).communicate(timeout=60)
    told = json.loads(answer)
    assert told["kind"] == "OutputError"
    assert "grew beyond the largest file allowed" in told["line"]
    assert names(folder) == {"lock"}


@linux
def test_a_small_disk_full_in_the_middle(tmp_path: Path) -> None:
    """A file system of its own with 256 KiB, where this user may mount one."""
    told = mounted("-t tmpfs -o size=256k,mode=700 tmpfs", tmp_path / "disk", "fill")
    assert told["kind"] == "OutputError"
    assert "the disk is full" in told["line"]
    assert told["left"] == ["lock"]


@linux
def test_a_folder_on_a_read_only_disk(tmp_path: Path) -> None:
    """Read-only as the system has it, for root too: an engine at hand is used, none is built."""
    target = tmp_path / "disk"
    cache = EngineCache(target / "engines")
    path = cache.get(key(), Builder())
    told = mounted(f"-o bind {target}", target, "read", "remount,ro,bind")
    assert told["found"] == str(path)
    assert told["kind"] == "OutputError"
    assert "cannot be written in (Read-only file system)" in told["line"]
    assert told["new"] == "OutputError"


def mounted(options: str, target: Path, what: str, again: str = "") -> dict[str, str]:
    """Run a process at `target` with something mounted there, for that process alone."""
    target.mkdir(exist_ok=True)
    script = f"mount {options} {target}"
    if again:
        script += f" && mount -o {again} {target}"
    script += f" && exec {sys.executable} {HELP} {what} {target / 'engines'}"
    flags = ["--mount"] if os.geteuid() == 0 else ["--mount", "--map-root-user"]
    try:
        done = subprocess.run(
            ["unshare", *flags, "sh", "-c", script], capture_output=True, text=True
        )
    except FileNotFoundError:
        pytest.skip("there is no unshare here")
    if done.returncode and ("unshare" in done.stderr or "mount" in done.stderr):
        pytest.skip("this user may not mount anything")
    assert done.returncode == 0, done.stderr
    told: dict[str, str] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "the disk is full"),
        (errno.EROFS, "cannot be written in"),
        (errno.EACCES, "cannot be written in"),
        (errno.EIO, "cannot be used"),
    ],
)
def test_what_the_system_says_is_one_line(
    cache: EngineCache, folder: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    """The record cannot be written; simulated, so that every error can be had."""
    cache.prepare()

    def fail(number_of_file: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(cache_files.os, "fsync", fail)
    with pytest.raises(OutputError, match=words) as caught:
        cache.get(key(), Builder())
    assert "\n" not in str(caught.value)
    assert "REVERIE_CACHE" in str(caught.value)
    assert names(folder) == {"lock"}


def test_a_record_that_cannot_be_written_takes_the_engine_along(
    cache: EngineCache, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("reverie.engines.cache_build.write_record", fail)
    with pytest.raises(OutputError, match="the disk is full"):
        cache.get(key(), Builder())
    assert names(folder) == {"lock"}


def test_a_disk_that_gives_files_to_others(
    cache: EngineCache, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one of another system may; simulated."""
    monkeypatch.setattr(cache_files, "_is_trusted", lambda state: bool(state.st_mode & 0o40000))
    with pytest.raises(OutputError, match="a file just written there belongs to another user"):
        cache.get(key(), Builder())
    assert names(folder) == {"lock"}


@linux
def test_a_device_without_room(cache: EngineCache, folder: Path) -> None:
    def build(path: Path) -> None:
        with Path("/dev/full").open("wb", buffering=0) as file:
            file.write(b"x")

    with pytest.raises(OutputError, match="the disk is full"):
        cache.get(key(), build)
    assert names(folder) == {"lock"}


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for place in (file, file / "engines", file / "deeper" / "engines"):
        cache = EngineCache(place)
        assert cache.find(key()) is None
        assert (cache.entries(), cache.size(), cache.verify()) == ([], 0, [])
        with pytest.raises(OutputError, match="no folder but a file"):
            cache.get(key(), Builder())


def test_a_folder_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "engines").symlink_to("disk")
    EngineCache(tmp_path / "engines").get(key(), Builder())
    assert names(tmp_path / "disk") == {"engine", "json", "lock"}
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(OutputError, match="cannot be used"):
        EngineCache(tmp_path / "dangling").get(key(), Builder())


def test_a_temporary_cache_goes_with_its_process(tmp_path: Path) -> None:
    environ = os.environ | {"TMPDIR": str(tmp_path)}
    answer, _ = process("temporary", env=environ).communicate(timeout=60)
    told = json.loads(answer)
    assert Path(told["folder"]).parent == tmp_path
    assert told["found"] is True
    assert list(tmp_path.iterdir()) == []


@posix
def test_a_temporary_cache_of_a_killed_process_is_swept(tmp_path: Path) -> None:
    environ = os.environ | {"TMPDIR": str(tmp_path)}
    assert end(process("temporary", "kill", env=environ)) == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    alive = process("temporary", "wait", env=environ)
    wait_for(lambda: len(list(tmp_path.glob("*/*.engine"))) == 2)
    for one in tmp_path.iterdir():
        os.utime(one, (0, 0))
    assert end(process("temporary", env=environ)) == 0
    assert not left.exists()
    assert len(list(tmp_path.iterdir())) == 1
    alive.communicate("\n", timeout=60)


# limits


class Clock:
    """A clock that shows what it is told."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def test_the_engine_that_rested_longest_goes_first(folder: Path) -> None:
    clock, notes = Clock(), []
    cache = EngineCache(folder, 250, versions=VERSIONS, clock=clock)
    for letter in "ab":
        clock.now += 10
        cache.get(key(letter), Builder(b"x" * 100))
    clock.now += 10
    cache.get(key("a"), Builder())  # used again: b has rested longest now
    clock.now += 10
    cache.get(key("c"), Builder(b"x" * 100), on_note=notes.append)
    assert [cache.find(key(letter)) is not None for letter in "abc"] == [True, False, True]
    assert len(notes) == 1
    assert "1 of the cached engines" in notes[0]


def test_outdated_and_broken_engines_go_first(folder: Path) -> None:
    cache = EngineCache(folder, 350, versions=VERSIONS)
    old = key("o", library_version="1.6.0")
    for one in (key("a"), old, key("b")):
        cache.get(one, Builder(b"x" * 100))
    cut(cache.get(key("b"), Builder()))
    cache.get(old, Builder())  # used last, and yet
    cache.get(key("c"), Builder(b"x" * 100))
    assert {e.name for e in cache.entries()} == {str(key("a")), str(old), str(key("c"))}
    cache.get(key("d"), Builder(b"x" * 100))
    assert {e.name for e in cache.entries()} == {str(key(letter)) for letter in "acd"}


def test_the_one_just_built_stays_however_large(folder: Path) -> None:
    cache = EngineCache(folder, 10)
    for letter in "ab":
        assert cache.get(key(letter), Builder()).is_file()
    assert [e.name for e in cache.entries()] == [str(key("b"))]


def test_a_clock_that_goes_back_changes_no_order(folder: Path) -> None:
    clock = Clock()
    cache = EngineCache(folder, 250, clock=clock)
    cache.get(key("a"), Builder(b"x" * 100))
    clock.now -= 500_000
    cache.get(key("b"), Builder(b"x" * 100))
    clock.now -= 400_000
    cache.get(key("c"), Builder(b"x" * 100))
    assert [e.name for e in cache.entries()] == [str(key("b")), str(key("c"))]
    assert cache.clear(older_than=0).removed == ()  # all are of the future
    clock.now += 1_000_000
    assert len(cache.clear(older_than=10).removed) == 2


def test_an_engine_in_use_is_kept(folder: Path) -> None:
    cache = EngineCache(folder, 10)
    with cache.lend(key("a"), Builder()) as path:
        cache.get(key("b"), Builder())
        assert path.is_file()
        assert [e.name for e in cache.clear().kept] == [str(key("a"))]
        assert path.is_file()
    assert "lease" not in {end.rpartition(".")[2] for end in names(folder)}
    assert [e.name for e in cache.clear().removed] == [str(key("a"))]
    assert names(folder) == set()
    with pytest.raises(Evicted, match="deleted from the cache"), cache.using(path):
        pass


@posix
def test_an_engine_in_use_elsewhere_is_kept_until_that_process_ends(folder: Path) -> None:
    cache = EngineCache(folder, 10)
    path = cache.get(key(), Builder())
    user = process("use", folder)
    assert user.stdout is not None
    assert user.stdout.readline() == "using\n"
    cache.get(key("b"), Builder())
    assert path.is_file()
    assert len(cache.clear().kept) == 1
    user.send_signal(signal.SIGKILL)
    user.communicate(timeout=60)
    assert len(list(folder.glob("*.lease"))) == 1  # without a process behind it
    assert len(cache.clear().removed) == 1
    assert not list(folder.glob("*.lease"))


def test_eviction_and_use_at_the_same_time(folder: Path) -> None:
    """Each process lends engines that the others evict; what is lent is always whole."""
    crowd = [process("churn", folder, seed) for seed in range(3)]
    told = [json.loads(one.communicate(timeout=120)[0]) for one in crowd]
    assert [answer["wrong"] for answer in told] == [0, 0, 0]
    assert sum(answer["builds"] for answer in told) > 3
    assert not list(folder.glob("*.part")) + list(folder.glob("*.lease"))


def test_clear_takes_only_what_is_asked(cache: EngineCache, folder: Path) -> None:
    for letter in "abc":
        cache.get(key(letter), Builder())
    (folder / "notes.txt").write_text("not ours")
    done = cache.clear([key("b").digest()])
    assert [e.name for e in done.removed] == [str(key("b"))]
    assert len(cache.entries()) == 2
    cache.clear()
    assert {path.name for path in folder.iterdir()} == {"CACHEDIR.TAG", "notes.txt"}


def test_a_record_alone_is_cleared_too(cache: EngineCache, folder: Path) -> None:
    cache.get(key(), Builder()).unlink()
    assert cache.verify() == []
    (entry,) = cache.entries()
    assert (entry.bytes, entry.problem) == (0, "is missing")
    with contextlib.suppress(FileNotFoundError):
        (folder / f"{key().digest()}.lock").unlink()
    cache.clear()
    assert names(folder) == set()
