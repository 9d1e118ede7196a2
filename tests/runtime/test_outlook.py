"""What would fit, by published sizes: more memory never gives less, and small ones stream."""

from __future__ import annotations

import pytest
from reverie.engines.architectures import ARCHITECTURES
from reverie.runtime.outlook import what_fits

_RANK = {"kept": 0, "staged": 0, "streamed": 100, "none": 200}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_more_memory_is_never_worse(name: str) -> None:
    precisions = ARCHITECTURES[name].precisions
    before: dict[str, int] = {}
    for memory in range(2, 100, 2):
        for row in what_fits(memory * 10**9, precisions):
            rank = _RANK[row.residency]
            rank += 0 if row.family == "ember" else precisions.index(row.precision)
            assert rank <= before.get(row.family, 1000)
            before[row.family] = rank
    assert set(before) == {"ember", "svd", "ltx", "wan"}
    assert all(rank < 100 for rank in before.values())


def test_the_best_precision_comes_before_keeping_all_open() -> None:
    rows = {row.family: row for row in what_fits(16 * 10**9, ("fp16", "int8", "int4"))}
    assert (rows["ltx"].precision, rows["ltx"].residency) == ("fp16", "staged")
    assert (rows["wan"].precision, rows["wan"].residency) == ("fp16", "staged")
    assert (rows["svd"].precision, rows["svd"].residency) == ("fp16", "kept")


def test_what_is_in_one_memory_is_not_streamed() -> None:
    assert {row.residency for row in what_fits(10**9, ("fp16",), streaming=False)} == {
        "none",
        "kept",
    }
    assert "streamed" in {row.residency for row in what_fits(6 * 10**9, ("fp16",))}
    assert "kept" not in {
        row.residency for row in what_fits(10**12, ("fp16",), keep=False, streaming=False)
    }
