from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from reverie.benchmarks.bench.record import phase, summary
from reverie.benchmarks.devices.checks import problems

Record = dict[str, Any]


def test_a_good_record_has_no_problems(sent: Record) -> None:
    assert not list(problems(sent))


def changed(name: str, value: Any) -> Callable[[Record], None]:
    return lambda record: record.__setitem__(name, value)


def machine(name: str, value: Any) -> Callable[[Record], None]:
    return lambda record: record["machine"].__setitem__(name, value)


def row(name: str, value: Any) -> Callable[[Record], None]:
    return lambda record: record["rows"][0].__setitem__(name, value)


FEW = summary([7.9, 8.1])
EDITED = {**summary([7.9, 8.0, 8.2]), "median": 6.0}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (changed("schema", "other/1"), "its schema is 'other/1'"),
        (changed("rows", []), "no rows"),
        (changed("complete", False), "stopped half way"),
        (changed("rows", {}), "'rows' is missing or no list"),
        (changed("created", "yesterday"), "no date"),
        (changed("created", "2999-01-01T00:00:00+00:00"), "in the future"),
        (machine("processor", ""), "its processor is called ''"),
        (machine("processor", "aarch64"), "its processor is called 'aarch64'"),
        (machine("cores", 0), "its cores are 0"),
        (machine("memory_bytes", None), "its memory_bytes are None"),
        (machine("packages", {}), "versions of Python and of Reverie"),
        (row("end_to_end", FEW), "2 films were measured: give --repeat 3"),
        (row("end_to_end", EDITED), "median is 6.0, and its samples make 8.0"),
        (row("end_to_end", {"samples": [8.0, -1.0, 8.0]}), "no figures from 0 up"),
        (row("end_to_end", {"samples": [8.0, "8", 8.0]}), "no figures from 0 up"),
        (row("end_to_end", {"samples": []}), "no figures from 0 up"),
        (row("end_to_end", {"samples": [8.0, 0, 8.0]}), "a sample of 0"),
        (row("real_time_factor", 5.0), "real time is said to be 5x"),
        (row("host_peak_bytes", summary([9e9] * 3)), "its peak of memory is 9000000000 bytes"),
        (row("host_peak_bytes", summary([9e5] * 3)), "its peak of memory is 900000 bytes"),
        (
            row("phases", {"encode": phase([20.0] * 3)}),
            "encode takes 20 s of a film that takes 8.2",
        ),
        (row("width", 0), "width is 0"),
        (row("frames", None), "'frames' is missing"),
        (row("device", "cuda"), "the machine names no GPU"),
        (row("energy", {"joules": summary([1e6] * 3)}), "W on average"),
    ],
)
def test_what_is_wrong_is_told(sent: Record, change: Callable[[Record], None], told: str) -> None:
    change(sent)
    assert any(told in line for line in problems(sent)), list(problems(sent))


def test_a_case_is_measured_once(sent: Record) -> None:
    sent["rows"].append(copy.deepcopy(sent["rows"][0]))
    assert list(problems(sent)) == ["two rows have one id: measure each case once"]


@pytest.mark.parametrize("value", [None, [], "record", 3])
def test_anything_at_all_can_be_given(value: Any) -> None:
    assert "no JSON object" in next(problems(value))


def test_a_gpu_that_is_named_may_be_used(sent: Record) -> None:
    sent["rows"][0]["device"] = "cuda"
    sent["machine"]["gpus"] = [{"name": "A GPU"}]
    assert not list(problems(sent))
