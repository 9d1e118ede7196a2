"""Ratios: only of what was proved the same, round by round."""

from __future__ import annotations

from typing import Any

import pytest
from reverie.benchmarks.bench.record import record, schema
from reverie.benchmarks.machine import describe_machine
from reverie.benchmarks.peers.proof import Proof
from reverie.benchmarks.peers.ratios import Rounds, compare, paired, row, step_seconds
from reverie.benchmarks.peers.telling import tell_best, tell_comparison, tell_rounds


def result(step: float, peak: int, **more: Any) -> dict[str, Any]:
    """What a worker writes."""
    return {
        "seconds": {"load": 1.0, "denoise": 3 * step, "decode": 4.0},
        "steps": [9 * step, step, step],
        "step_processor": [step, step, step],
        "processor": {"decode": 4.0},
        "marks": {"imported": 0.5, "first step begins": 2.0, "done": 20.0},
        "peaks": {"denoise": peak},
        "peak_bytes": peak,
        "versions": {"it": "1"},
        "notes": [],
        **more,
    }


def pair(skipped: str | None = None) -> tuple[Rounds, Rounds]:
    """Two rounds of each."""
    decoding = {"skipped": skipped, **result(0.0, 50)}
    ours = Rounds("reverie int8", "reverie", "int8", [result(1, 100), result(2, 100)])
    theirs = Rounds("diffusers bf16", "diffusers", "bf16", [result(3, 200), result(4, 400)])
    for one in (ours, theirs):
        for each in one.results:
            each["decode"] = decoding
    return ours, theirs


GOOD, BAD = Proof(True, "equal"), Proof(False, "frames agree to 3 dB")


def test_ratios_are_of_the_same_round() -> None:
    found = paired([1.0, 2.0], [3.0, 4.0], faster=True)
    assert found == {"samples": [3.0, 2.0], "median": 2.5, "low": 2.0, "high": 3.0}
    share = paired([1.0], [4.0], faster=False)
    assert share == {"samples": [0.25], "median": 0.25, "low": 0.25, "high": 0.25}
    assert paired([1.0], [1.0, 2.0], faster=True) is None
    assert paired([0.0], [1.0], faster=True) is None


def test_the_first_step_is_left_out_where_there_are_more() -> None:
    assert step_seconds(result(2.0, 1)) == 2.0
    assert step_seconds({"steps": [5.0]}) == 5.0
    assert step_seconds({"steps": []}) is None


def test_a_wrong_output_refuses_the_ratio() -> None:
    ours, theirs = pair()
    found = compare(ours, theirs, {"film": BAD, "decode": GOOD})
    assert "decode alone" in found["ratios"]
    assert "denoise, a step" not in found["ratios"]
    assert found["refused"]["denoise, a step"] == "frames agree to 3 dB"
    lines = "\n".join(tell_comparison(found))
    assert "no ratio of" in lines
    assert "frames agree to 3 dB" in lines
    assert tell_best([found], [ours, theirs]) == []


def test_what_was_not_compared_has_no_ratio() -> None:
    found = compare(*pair(), {})
    assert not found["ratios"]
    assert set(found["refused"].values()) == {"outputs were not compared"}


def test_the_same_work_has_its_ratios() -> None:
    ours, theirs = pair()
    found = compare(ours, theirs, {"film": GOOD, "decode": GOOD})
    assert found["ratios"]["denoise, a step"]["median"] == 2.5
    assert found["ratios"]["peak memory"] | {"samples": 0} == {
        "samples": 0,
        "median": 0.375,
        "low": 0.25,
        "high": 0.5,
        "faster": False,
    }
    assert not found["refused"]
    assert "2.50 (2.00 .. 3.00)" in tell_best([found], [ours, theirs])[0]


def test_decoding_that_was_skipped_is_no_figure() -> None:
    ours, theirs = pair(skipped="it has no tiling")
    found = compare(ours, theirs, {"film": GOOD, "decode": GOOD})
    assert "decode alone" not in found["ratios"] | found["refused"]
    assert "it has no tiling" in "\n".join(tell_rounds(theirs))


def test_rows_follow_the_schema() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    case = {
        "id": "m 8x8 2f cpu",
        "model": "m",
        "family": "ltx",
        "version": "1",
        "width": 8,
        "height": 8,
        "frames": 2,
        "fps": 24.0,
        "steps": 3,
        "backend": "diffusers",
        "device": "cpu",
        "threads": 1,
    }
    skipped = Rounds("native fp32", "native", "fp32", skipped="no such model")
    rows = [row(one, case) for one in (*pair(), skipped)]
    made = record(rows, machine=describe_machine(), command=["x"])
    jsonschema.Draft202012Validator(schema()).validate(made)
    assert rows[0]["phases"]["denoise"]["samples"] == [1, 1, 2, 2]
    assert rows[0]["phases"]["denoise"]["per"] == "step"
    assert rows[2]["skipped"] == "no such model"
    assert tell_rounds(skipped) == ["native fp32: not run: no such model"]
