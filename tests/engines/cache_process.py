"""What a second process does at a cache in test_cache.py; prints one JSON object."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from reverie.engines import cache_build as module
from reverie.engines.cache import EngineCache, EngineKey
from reverie.engines.errors import ReverieError


def key(letter: str = "a") -> EngineKey:
    return EngineKey(
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


def tell(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


def build(folder: str, marks: str, wait: str) -> None:
    """Build slowly, and leave a mark for each build."""

    def slowly(path: Path) -> None:
        (Path(marks) / str(os.getpid())).touch()
        path.write_bytes(b"half")
        sys.stdin.readline() if wait == "input" else time.sleep(float(wait))
        path.write_bytes(os.urandom(1000))

    notes: list[str] = []
    path = EngineCache(Path(folder)).get(key(), slowly, on_note=notes.append)
    tell(path=str(path), notes=notes, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def killed(folder: str, at: str) -> None:
    def kill(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(module, {"before": "make_record", "between": "write_record"}[at], kill)
    EngineCache(Path(folder)).get(key(), lambda path: path.write_bytes(b"x" * 100) and None)


def limited(folder: str) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, 64 * 1024))
    fill(folder)


def fill(folder: str) -> None:
    def large(path: Path) -> None:
        with path.open("wb") as file:
            for _ in range(32):
                file.write(b"x" * 2**16)

    tell(
        **refused(EngineCache(Path(folder)), large),
        left=[
            path.name.partition(".")[2] for path in Path(folder).iterdir() if path.suffix != ".TAG"
        ],
    )


def read(folder: str) -> None:
    """Use a folder that is read-only, and one that is not there yet below it."""
    cache = EngineCache(Path(folder))
    found = cache.find(key())
    assert found is not None
    with cache.lend(key(), lambda path: None) as path:
        assert path == found
    kept = len(cache.clear().kept)
    new = refused(EngineCache(Path(folder).parent / "new"), lambda path: None)["kind"]
    tell(found=str(found), kept=kept, new=new, **refused(cache, lambda path: None))


def refused(cache: EngineCache, make: object) -> dict[str, str]:
    try:
        cache.get(key("n"), make)  # type: ignore[arg-type]
    except ReverieError as error:
        return {"kind": type(error).__name__, "line": str(error)}
    return {"kind": "", "line": ""}


def temporary(how: str = "") -> None:
    cache = EngineCache.temporary()
    cache.get(key(), lambda path: path.write_bytes(b"x") and None)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "wait":
        sys.stdin.readline()
    tell(folder=str(cache.folder), found=cache.find(key()) is not None)


def use(folder: str) -> None:
    cache = EngineCache(Path(folder))
    path = cache.find(key())
    assert path is not None
    with cache.using(path):
        print("using", flush=True)
        sys.stdin.readline()


def churn(folder: str, seed: str) -> None:
    """Lend engines of one size from a cache that holds two of them."""
    chance = random.Random(int(seed))
    cache = EngineCache(Path(folder), 250)
    builds = wrong = 0
    for _ in range(40):
        letter = chance.choice("abcd")
        data = letter.encode() * 100

        def make(path: Path, data: bytes = data) -> None:
            nonlocal builds
            builds += 1
            path.write_bytes(data)

        with cache.lend(key(letter), make) as path:
            wrong += path.read_bytes() != data
            time.sleep(0.002)
            wrong += path.read_bytes() != data
    tell(builds=builds, wrong=wrong)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
