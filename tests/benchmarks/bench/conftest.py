"""A machine made of words, and what its processes would tell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from reverie.benchmarks.bench.assemble import make_row
from reverie.benchmarks.bench.cases import Case, Plans
from reverie.benchmarks.bench.children import Runner, Told
from reverie.benchmarks.bench.energy import Meters
from reverie.benchmarks.bench.record import record
from reverie.benchmarks.bench.sampler import Sampler
from reverie.benchmarks.bench.sensors import Sensors
from reverie.engines.probe import Answer, Probes


class FakeProbes(Probes):
    """Files and programs of a machine that is not here."""

    def __init__(self, files: dict[str, str] | None = None, smi: str = "") -> None:
        self.files = dict(files or {})
        self.smi = smi

    def read(self, path: str) -> str | None:
        return self.files.get(path)

    def names(self, folder: str) -> list[str]:
        inside = [p.removeprefix(f"{folder}/") for p in self.files if p.startswith(f"{folder}/")]
        return sorted({name.partition("/")[0] for name in inside})

    def run(self, words: Sequence[str], limit: float = 6.0) -> Answer:
        if words[0] == "nvidia-smi" and self.smi:
            return Answer(self.smi)
        return Answer(problem="is not there")

    def system(self) -> tuple[str, str, str]:
        return "Linux", "6.8", "x86_64"


class Clock:
    """A clock that goes when it is told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fake_probes() -> Callable[..., FakeProbes]:
    return FakeProbes


@pytest.fixture
def case() -> Case:
    return Case(
        model="ember",
        name="ember",
        label="ember",
        family="ember",
        version="1",
        width=96,
        height=64,
        frames=12,
        fps=24,
        seconds=None,
        steps=None,
        guidance=None,
        precision="auto",
        backend="auto",
        device="auto",
        threads=None,
        photo="/photos/lake.jpg",
        prompt=None,
        made_prompt=False,
    )


def told_clip(**more: Any) -> dict[str, Any]:
    return {
        "width": 96,
        "height": 64,
        "frames": 12,
        "fps": 24,
        "seconds": 0.5,
        "steps": 10,
        "device": "cpu",
        "precision": {"maps": "fp16"},
        "backend": ["onnxruntime"],
        "planned_peak_bytes": 400 * 2**20,
        "encoder": "libx264",
        "notes": [],
        "onnxruntime": {"version": "1.31", "providers": ["CPUExecutionProvider"]},
        **more,
    }


def told_run(kind: str, start: float, seconds: float, **more: Any) -> dict[str, Any]:
    """What a process tells of one render."""
    return {
        "kind": kind,
        "start": start,
        "end": start + seconds,
        "first_frame": start + 0.6 * seconds,
        "first_step": start + 0.4 * seconds,
        "opening": 0.1 * seconds,
        "stages": {
            "look": 0.2 * seconds,
            "denoise": 0.3 * seconds,
            "frames": 0.3 * seconds,
            "encode": 0.1 * seconds,
        },
        "frames": [0.3 * seconds / 12] * 12,
        "first_steps": [0.05 * seconds],
        "steps": [0.02 * seconds] * 9,
        "outside": [0.0001 * seconds] * 9,
        "marks": [(start, "look"), (start + 0.3 * seconds, "denoise"), (start + 0.6, "frames")],
        "peak": 300 * 2**20,
        "device_peak": None,
        "joules": {"cpu": 12.0 * seconds, "cuda": None},
        "clip": told_clip(),
        **more,
    }


@pytest.fixture
def told() -> Callable[..., dict[str, Any]]:
    """What a process tells of one render: told(kind, start, seconds, **more)."""
    return told_run


@pytest.fixture
def row(case: Case) -> Callable[..., dict[str, Any]]:
    """A whole row of a machine without sensors: row(minutes=..., **more of a Case)."""

    def make(
        minutes: float | None = None,
        repeat: int = 2,
        rapl: dict[str, str] | None = None,
        **more: Any,
    ) -> dict[str, Any]:
        films, starts = [], []
        for number in range(repeat):
            begin = 10.0 * number
            film = Told(begin, begin + 4.0 + 0.1 * number)
            film.joules = {"cpu": 40.0 if rapl else None, "cuda": None}
            film.runs.append({"kind": "film", "peak": 310 * 2**20, "device_peak": None})
            films.append(film)
            start = Told(begin, begin + 3.0, {"begun": begin + 0.05, "imported": 0.2})
            start.runs.append(told_run("start", begin + 0.3, 3.0))
            starts.append(start)
        kept = Told(100.0, 130.0, {"begun": 100.05, "imported": 0.2})
        kinds = ["soak"] * 9 if minutes else ["warm"] * repeat
        for number, kind in enumerate(["warmup", *kinds]):
            kept.runs.append(told_run(kind, 101.0 + 3 * number, 2.0 + 0.1 * number))
        kept.sampler = Sampler(0, Sensors(FakeProbes()), Meters(FakeProbes()))
        for number in range(40):
            kept.sampler.timeline.add((100.0 + 0.1 * number, (50 + number) * 2**20, None))
        plans = Plans(repeat=repeat, minutes=minutes)
        runner = Runner(
            replace(case, **more),
            plans,
            Sensors(FakeProbes()),
            Meters(FakeProbes(rapl)),
            lambda kind, done: None,
        )
        return make_row(runner, films, starts, kept)

    return make


@pytest.fixture
def made(row: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """A record of two cases, one of them a soak."""
    machine = {
        "processor": "A processor & <friends>",
        "cores": 4,
        "usable_cores": 4,
        "memory_bytes": 2**33,
        "usable_memory_bytes": 2**33,
        "system": "Linux",
        "python": "3.11",
        "packages": {"reverie": "0.1.0"},
        "gpus": [],
    }
    rows = [row(), row(minutes=0.5, steps=4)]
    return record(rows, machine=machine, command=["reverie", "bench"], complete=True)
