"""Rows from what processes told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from reverie.benchmarks.bench.assemble import cold_start, phases_of
from reverie.benchmarks.bench.children import Told
from reverie.benchmarks.bench.sensors import Reading
from reverie.benchmarks.bench.soak import soak

Make = Callable[..., dict[str, Any]]


def test_a_row_tells_what_was_measured(row: Make) -> None:
    made = row(steps=4, made_prompt=True)
    assert made["id"] == "ember 96x64 12f cpu 4 steps"
    assert made["end_to_end"]["samples"] == [4.0, 4.1]
    assert made["real_time_factor"] == pytest.approx(0.5 / 4.05, abs=1e-4)
    assert made["host_peak_bytes"]["samples"] == [310 * 2**20] * 2
    assert made["device_peak_bytes"] is None
    assert made["energy"] == {
        "source": None,
        "covers": None,
        "joules": None,
        "reason": made["energy"]["reason"],
    }
    assert made["energy"]["reason"].startswith("no RAPL domain")
    assert made["marks"][:2] == [[0.0, "start"], [0.05, "import"]]
    assert made["timeline"][0][0] == 0.0
    assert made["soak"] is None
    assert any("made up" in note for note in made["notes"])


def test_energy_is_that_of_the_device_it_ran_on(row: Make) -> None:
    zone = "/sys/class/powercap/intel-rapl:0"
    made = row(minutes=0.5, rapl={f"{zone}/name": "package-0", f"{zone}/energy_uj": "5"})
    assert (made["energy"]["source"], made["energy"]["covers"]) == ("rapl", "package-0")
    assert made["energy"]["joules"]["samples"] == [40.0, 40.0]
    assert made["soak"]["first_third"]["joules"]["samples"][0] == pytest.approx(12.0 * 2.1)


def test_the_warm_up_is_no_sample(row: Make) -> None:
    made = row(repeat=3)
    assert made["warm_wall"]["samples"] == pytest.approx([2.1, 2.2, 2.3])
    assert len(made["phases"]["look"]["samples"]) == 3


def test_the_start_is_counted_from_the_process(told: Make) -> None:
    one = Told(10.0, 14.0, {"begun": 10.1, "imported": 0.25})
    one.runs.append(told("start", 10.5, 2.0))
    found = cold_start([one])
    assert {name: figures["median"] for name, figures in found.items()} == pytest.approx(
        {
            "process": 0.1,
            "import": 0.25,
            "open": 0.2,
            "first step": 0.8,
            "first frame": 1.2,
            "total to first step": 1.3,
            "total": 1.7,
        }
    )


def test_a_start_without_steps_says_nothing_of_them(told: Make) -> None:
    one = Told(10.0, 14.0, {"begun": 10.1, "imported": 0.25})
    one.runs.append(told("start", 10.5, 2.0, first_step=None))
    assert "first step" not in cold_start([one])


def test_phases_are_told_by_what_a_sample_is_of(told: Make) -> None:
    found = phases_of([told("warm", 0.0, 2.0), told("warm", 3.0, 4.0)])
    assert list(found) == ["look", "denoise", "drawing", "encode"]
    assert {name: one["per"] for name, one in found.items()} == {
        "look": "run",
        "denoise": "step",
        "drawing": "frame",
        "encode": "run",
    }
    assert len(found["denoise"]["samples"]) == 18
    assert found["denoise"]["first"]["samples"] == pytest.approx([0.1, 0.2])
    assert found["denoise"]["total"]["samples"] == pytest.approx([0.6, 1.2])
    assert len(found["drawing"]["samples"]) == 24


def test_one_step_is_the_first(told: Make) -> None:
    run = told("warm", 0.0, 2.0, steps=[], outside=[])
    denoise = phases_of([run])["denoise"]
    assert (denoise["samples"], denoise["per"]) == (denoise["first"]["samples"], "step")
    assert denoise["outside_networks"] is None


def test_denoising_that_was_not_seen_is_of_a_run(told: Make) -> None:
    run = told("warm", 0.0, 2.0, steps=[], first_steps=[], outside=[])
    assert phases_of([run])["denoise"]["per"] == "run"


def test_very_many_frames_are_kept_by_their_medians(told: Make) -> None:
    runs = [told("warm", float(n), 1.0, frames=[0.01] * 2000) for n in range(3)]
    assert len(phases_of(runs)["drawing"]["samples"]) == 3


def test_a_soak_compares_its_thirds(told: Make) -> None:
    runs = [told("soak", 10.0 * n, 5.0 + (n >= 6), joules=50.0 + n) for n in range(9)]
    readings = [Reading(float(at), {"cpu": 40.0 + at / 2, "gpu": 30.0}) for at in range(90)]
    found = soak(runs, readings, 1.5)
    assert found is not None
    assert found["runs"] == 9
    assert found["slow_down"] == pytest.approx(1.2)
    assert found["first_third"]["wall"]["median"] == 5.0
    assert found["last_third"]["joules"]["samples"] == [56.0, 57.0, 58.0]
    assert found["last_third"]["highest_celsius"] > found["first_third"]["highest_celsius"]
    assert found["temperatures"][0] == [0.0, 40.0]
    assert soak(runs, readings, None) is None


def test_a_soak_without_sensors_says_so(told: Make) -> None:
    found = soak([told("soak", 3.0 * n, 3.0, joules=None) for n in range(3)], [], 0.1)
    assert found is not None
    assert (found["first_third"]["joules"], found["first_third"]["highest_celsius"]) == (None, None)
    assert found["temperatures"] == []
    assert found["slow_down"] == 1.0


def test_a_row_of_a_soak_has_all_its_renders(row: Make) -> None:
    made = row(minutes=0.5)
    assert made["soak"]["runs"] == 9
    assert len(made["phases"]["look"]["samples"]) == 9
