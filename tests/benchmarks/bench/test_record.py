"""The record: figures keep their samples, and a schema says what may be written."""

from __future__ import annotations

import copy
import json
import math
from typing import Any

import jsonschema
import numpy as np
import pytest
from reverie.benchmarks.bench.record import (
    case_id,
    encoded,
    maybe_summary,
    phase,
    record,
    schema,
    summary,
)

VALIDATOR = jsonschema.Draft202012Validator(schema())


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("samples", [[3.0], [1.0, 2.0], [5.0, 1.0, 4.0, 2.0, 9.0, 7.5]])
def test_a_summary_is_numpys(samples: list[float]) -> None:
    found = summary(samples)
    assert found["samples"] == samples
    assert found["min"] == min(samples)
    assert found["median"] == pytest.approx(np.median(samples))
    assert found["p95"] == pytest.approx(np.quantile(samples, 0.95))


@pytest.mark.parametrize("samples", [[], [math.nan], [1.0, math.inf]])
def test_no_summary_of_nothing(samples: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        summary(samples)


def test_bytes_stay_whole() -> None:
    assert summary([3, 4, 5])["samples"] == [3, 4, 5]
    assert json.dumps(summary([7])["samples"]) == "[7]"


def test_what_is_missing_once_is_missing() -> None:
    assert maybe_summary([1.0, None]) is None
    assert maybe_summary([]) is None
    assert maybe_summary([1.0, 3.0]) == summary([1.0, 3.0])


def test_a_phase_of_steps_keeps_its_whole() -> None:
    found = phase([0.1, 0.2], per="step", totals=[0.35])
    assert (found["per"], found["unit"], found["median"]) == ("step", "s", pytest.approx(0.15))
    assert found["total"]["samples"] == [0.35]
    assert phase([0.1])["total"]["samples"] == [0.1]


def test_ids_join_two_files() -> None:
    assert case_id("ember", 1280, 720, 240, "cpu") == "ember 1280x720 240f cpu"
    assert case_id("a", 64, 64, 2, "cpu", None, "int8") == "a 64x64 2f cpu int8"


def test_a_whole_record_follows_the_schema(made: dict[str, Any]) -> None:
    VALIDATOR.validate(json.loads(encoded(made)))


def test_a_row_of_somebody_else_follows_it_too() -> None:
    mine = {"id": "a", "model": "ember", "phases": {"step": phase([1.0])}, "slope": 2}
    machine = {"processor": "p", "cores": 1, "system": "s", "python": "3", "packages": {}}
    VALIDATOR.validate(record([mine], machine=machine, command=["x"]))


@pytest.mark.parametrize(
    ("word", "kept"),
    [
        ("/home/anna/films/ltx", "ltx"),
        ("../anna/ltx/", "ltx"),
        ("results/a.json", "a.json"),
        ("C:\\Users\\anna\\a.jpg", "a.jpg"),
        ("--json=~/anna/a.json", "--json=a.json"),
        ("diffusers=/home/anna/bin/python", "diffusers=python"),
        ("/home/anna/a=b", "a=b"),
        ("16:9", "16:9"),
        ("--repeat", "--repeat"),
    ],
)
def test_a_command_tells_no_folders(word: str, kept: str) -> None:
    assert record([], machine={}, command=["x", word])["command"] == ["x", kept]


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("schema",), "reverie.bench/0"),
        (("created",), "yesterday"),
        (("rows", 0, "id"), ""),
        (("rows", 0, "phases", "look", "samples"), []),
        (("rows", 0, "phases", "look", "unit"), "ms"),
        (("rows", 0, "end_to_end", "samples"), [-1.0]),
        (("rows", 0, "energy", "reason"), ""),
        (("rows", 0, "timeline"), [[1.0, 2]]),
        (("rows", 0, "host_peak_bytes", "samples"), [0]),
        (("rows", 1, "soak", "slow_down"), 0),
    ],
)
def test_what_is_wrong_is_refused(made: dict[str, Any], where: tuple[Any, ...], value: Any) -> None:
    broken = copy.deepcopy(made)
    inner = broken
    for key in where[:-1]:
        inner = inner[key]
    inner[where[-1]] = value
    assert not VALIDATOR.is_valid(broken)
