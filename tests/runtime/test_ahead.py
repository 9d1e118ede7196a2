"""Frames drawn ahead by a thread: the same ones, no more of them at once, and no thread left."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from reverie.engines.device import Device
from reverie.engines.errors import EngineError
from reverie.runtime import ahead as module
from reverie.runtime.ahead import ahead, gains
from reverie.runtime.model import load
from reverie.runtime.stages import Stages


@pytest.fixture(autouse=True)
def no_thread_stays() -> Iterator[None]:
    yield
    assert not [t for t in threading.enumerate() if t.name == "reverie-ahead"]


def test_items_are_the_same() -> None:
    assert list(ahead(iter(range(50)), 3)) == list(range(50))
    assert list(ahead(iter(()), 3)) == []


def test_drawing_runs_no_further_ahead_than_asked() -> None:
    drawn = []
    reached = threading.Semaphore(0)

    def items() -> Iterator[int]:
        for number in range(20):
            drawn.append(number)
            reached.release()
            yield number

    frames = ahead(items(), 3)
    assert drawn == []
    assert next(frames) == 0
    for _ in range(5):  # the one taken, three in line, one in hand
        assert reached.acquire(timeout=30)
    assert not reached.acquire(timeout=0.05)
    assert drawn == [0, 1, 2, 3, 4]
    assert list(frames) == list(range(1, 20))


def test_the_next_is_drawn_while_one_is_looked_at() -> None:
    """Without a second thread this would wait for ever."""
    begun = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        begun.set()
        yield 2

    frames = ahead(items(), 1)
    assert next(frames) == 1
    assert begun.wait(timeout=30)
    assert list(frames) == [2]


def test_what_drawing_raises_comes_after_what_it_gave() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise EngineError("the decoder failed")

    frames = ahead(items(), 5)
    assert next(frames) == 1
    with pytest.raises(EngineError, match="the decoder failed"):
        next(frames)


@pytest.mark.parametrize("how", ["close", "interrupt"])
def test_stopping_early_closes_what_draws(how: str) -> None:
    closed = []

    def items() -> Iterator[int]:
        try:
            yield from range(1000)
        finally:
            closed.append(threading.current_thread().name)

    frames: Any = ahead(items(), 2)
    next(frames)
    if how == "close":
        frames.close()
    else:
        with pytest.raises(KeyboardInterrupt):
            frames.throw(KeyboardInterrupt)
    assert closed == ["reverie-ahead"]  # an engine is closed by the thread that runs it


def test_the_thread_is_inside_of_what_was_asked() -> None:
    seen = []

    @contextmanager
    def around() -> Iterator[None]:
        seen.append(threading.current_thread().name)
        yield
        seen.append("left")

    waits: list[float] = []
    assert list(ahead(iter("ab"), 1, around=around, waited=waits.append)) == ["a", "b"]
    assert seen == ["reverie-ahead", "left"]
    assert len(waits) == 3
    assert min(waits) >= 0


def test_time_of_another_thread_is_not_counted_twice() -> None:
    stages = Stages()

    def items() -> Iterator[int]:
        for number in range(3):
            with stages.stage("decode"):
                yield number

    with stages.stage("whole"):
        for _ in ahead(items(), 1, around=stages.uncounted, waited=lambda s: stages.add("wait", s)):
            pass
    assert set(stages.seconds) == {"whole", "wait"}
    assert stages.seconds["wait"] <= stages.seconds["whole"]


@pytest.mark.parametrize(("kind", "expected"), [("cpu", False), ("cuda", True), ("rtx", True)])
def test_only_beside_a_gpu(kind: str, expected: bool) -> None:
    assert gains(SimpleNamespace(device=Device(kind))) is expected  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["svd", "ltx", "wan"])
def test_frames_of_bundles_are_the_same(
    tiny_bundles: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    photo = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    asked: dict[str, Any] = {"height": 64, "width": 64, "num_frames": 9, "steps": 1}
    if name == "svd":
        asked = {"height": 32, "width": 32, "num_frames": 5, "steps": 1, "decode_chunk_size": 2}

    def frames() -> Any:
        return load(tiny_bundles[name], "cpu").frames(photo, seed=1, **asked)

    expected = np.stack(list(frames()))
    threads = []
    draw = module._draw
    monkeypatch.setattr(module, "_draw", lambda *a: threads.append(1) or draw(*a))
    monkeypatch.setattr(module, "gains", lambda engine: True)
    np.testing.assert_array_equal(np.stack(list(frames())), expected)
    assert threads == [1]
    early = frames()
    next(early)
    early.close()
