"""A process looked at from outside: its memory, and sensors that fail."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from reverie.benchmarks.bench.energy import Meters
from reverie.benchmarks.bench.sampler import Sampler, Timeline, resident
from reverie.benchmarks.bench.sensors import Sensors


def test_a_long_timeline_keeps_its_peaks() -> None:
    timeline = Timeline(most=16)
    for number in range(1000):
        timeline.add((float(number), 7 if number == 333 else 1, 5 if number == 50 else None))
    assert len(timeline.rows) <= 16
    rows = timeline.between(0.0, 2000.0)
    assert max(host for _, host, _ in rows) == 7
    assert max(gpu for _, _, gpu in rows if gpu is not None) == 5
    assert rows[-1][0] == 999.0
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)


def test_a_time_is_cut_out() -> None:
    timeline = Timeline()
    for number in range(10):
        timeline.add((float(number), number, None))
    assert timeline.between(3.0, 5.0) == [[0.0, 3, None], [1.0, 4, None], [2.0, 5, None]]


def test_this_process_is_seen(fake_probes: Callable[..., Any]) -> None:
    with Sampler(
        os.getpid(), Sensors(fake_probes()), Meters(fake_probes()), interval=0.01
    ) as sampler:
        wait(lambda: len(sampler.timeline.rows) >= 3)
    rows = sampler.timeline.rows
    assert all(host > 2**20 for _, host, _ in rows)
    assert sampler.readings
    assert sampler.device_peak(0.0, 1e12) is None


def test_sensors_that_fail_stop_nothing(fake_probes: Callable[..., Any]) -> None:
    class Broken(Sensors):
        def read(self, now: float) -> Any:
            raise RuntimeError("lost")

    sensors = Broken(fake_probes())
    with Sampler(os.getpid(), sensors, Meters(fake_probes()), interval=0.01) as sampler:
        wait(lambda: len(sampler.timeline.rows) >= 3)
    assert sampler.readings == []


def test_a_process_that_is_gone_has_no_memory() -> None:
    assert resident(2**30) is None


def wait(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not done():
        assert time.monotonic() < end
        time.sleep(0.01)
