"""What is seen of a render from inside, by made stages and a network that does nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reverie.benchmarks.bench import watch as watching
from reverie.benchmarks.bench.made_prompt import made_prompt, text_channels
from reverie.benchmarks.bench.watch import Engines, PeakWatch, Watch, replaced
from reverie.engines.errors import BundleError
from reverie.engines.ort import OrtEngine
from reverie.runtime.bundle import load_bundle
from reverie.runtime.placing import Place
from reverie.runtime.text import Text


class Clock:
    now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    clock = Clock()
    monkeypatch.setattr(watching, "time", clock)
    return clock


def test_steps_are_what_the_family_tells(clock: Clock) -> None:
    seen = Watch()
    with seen.stage("denoise"):
        clock.now = 5.0  # the network opens
        seen.engines.runs.append((5.0, 7.0, 2.0))
        for number, (now, inside) in enumerate([(7.5, 2.0), (10.0, 4.0), (12.0, 5.5)], 1):
            clock.now, seen.engines.inside = now, inside
            seen.tell("denoise", number, 3)
        clock.now = 13.0
    first, steps, outside = seen.step_times()
    assert first == [2.5]
    assert steps == [2.5, 2.0]
    assert outside == [0.5, 0.5]
    assert seen.first_step == 7.5


def test_steps_are_runs_where_nothing_is_told(clock: Clock) -> None:
    seen = Watch()
    seen.engines.runs.append((0.0, 1.0, 1.0))  # of another network, before
    clock.now = 1.5
    with seen.stage("denoise"):
        seen.engines.runs += [(2.0, 3.0, 2.0), (3.5, 4.5, 3.0), (5.0, 6.0, 4.0)]
        clock.now = 6.5
    seen.engines.runs.append((7.0, 9.0, 6.0))
    first, steps, outside = seen.step_times()
    assert (first, steps, outside) == ([1.0], [1.5, 1.5], [0.5, 0.5])
    assert seen.first_step == 3.0


def test_steps_that_begin_anew_are_counted_once(clock: Clock) -> None:
    seen = Watch()
    with seen.stage("denoise"):
        for now, done in [(1.0, 1), (2.0, 2), (10.0, 0), (11.0, 1), (13.0, 2)]:
            clock.now = now
            seen.tell("denoise", done, 2)
    assert seen.step_times() == ([], [2.0], [2.0])


def test_every_window_denoises_by_itself(clock: Clock) -> None:
    seen = Watch()
    for begin in (0.0, 100.0):
        clock.now = begin
        with seen.stage("denoise"):
            for done in (1, 2):
                clock.now = begin + done
                seen.tell("denoise", done, 2)
    assert seen.step_times()[1] == [1.0, 1.0]


def test_a_render_without_steps_has_none() -> None:
    seen = Watch()
    with seen.stage("look"):
        pass
    assert seen.step_times() == ([], [], [])
    assert seen.first_step is None


def test_frames_are_kept_one_by_one(clock: Clock) -> None:
    told: list[float] = []
    seen = Watch(on_first_frame=lambda: told.append(clock.now))
    for now in (3.0, 4.0):
        clock.now = now
        seen.add("frames", 0.25)
    with seen.uncounted():
        seen.add("frames", 9.0)
    assert seen.pieces["frames"] == [0.25, 0.25]
    assert seen.seconds == {"frames": 0.5}
    assert told == [3.0]
    assert seen.first["frames"] == 3.0


def test_marks_are_where_stages_begin(clock: Clock) -> None:
    seen = Watch()
    for now, name, done in [(1.0, "look", 0), (2.0, "look", 1), (3.0, "frames", 1)]:
        clock.now = now
        seen.tell(name, done, 1)
    assert seen.marks == [(1.0, "look"), (3.0, "frames")]


def test_progress_and_notes_still_come() -> None:
    told: list[Any] = []
    seen = Watch(lambda *words: told.append(words), told.append)
    seen.tell("look", 1, 2)
    seen.note("a line")
    assert told == [("look", 1, 2), "a line"]


def test_networks_are_watched_and_put_back(toy_bundle: Path) -> None:
    plain = OrtEngine.run, OrtEngine.__init__, Place._open_built
    engines = Engines(threads=1)
    with engines.watched(), load_bundle(toy_bundle).open("faces", device="cpu") as engine:
        shape = [size if isinstance(size, int) else 64 for size in engine.inputs[0].shape]
        engine.run({engine.inputs[0].name: np.zeros(shape, engine.inputs[0].dtype)})
        assert getattr(engine, "_threads", 1) == 1
    assert engines.opening > 0
    assert engines.inside > 0
    assert len(engines.runs) == 1
    assert engines.devices == {"cpu"}
    assert (OrtEngine.run, OrtEngine.__init__, Place._open_built) == plain


def test_what_is_replaced_comes_back_after_an_error() -> None:
    owner = Clock()

    def fail() -> float:
        with replaced(owner, "now", 7.0):
            return 1 / (owner.now - 7.0)

    with pytest.raises(ZeroDivisionError):
        fail()
    assert owner.now == 0.0


def test_peaks_of_stages() -> None:
    seen = PeakWatch()
    with seen.stage("look"):
        pass
    assert seen.peaks.keys() == {"before", "look"}
    assert all(peak > 2**20 for peak in seen.peaks.values())


def test_made_prompts_are_in_memory_alone(video_bundle: Path) -> None:
    path = video_bundle / "bundle.json"
    manifest = json.loads(path.read_text())
    manifest["components"]["denoiser"]["inputs"].append({"name": "text", "shape": [1, "L", 6]})
    bundle = replace(load_bundle(video_bundle), manifest=manifest)
    before = {path: path.read_bytes() for path in video_bundle.rglob("*") if path.is_file()}
    with made_prompt(bundle):
        embeddings, mask = Text(bundle).embed("a prompt that nobody baked")
        again, _ = Text(bundle).embed("a prompt that nobody baked")
    assert embeddings.shape == (1, mask.shape[1], 6)
    with pytest.raises(BundleError, match="takes no text"):
        text_channels(load_bundle(video_bundle))
    assert embeddings.dtype == np.float32
    assert np.array_equal(embeddings, again)
    assert {path: path.read_bytes() for path in video_bundle.rglob("*") if path.is_file()} == before
