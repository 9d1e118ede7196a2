"""Rounds of all ways, with made results in the place of processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reverie.benchmarks.peers import __main__ as peers
from reverie.benchmarks.peers import session
from reverie.benchmarks.peers.jobs import Way, Work


def test_networks_are_compared_where_their_inputs_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenVINO is given what the first precision's networks were given, and nobody else's."""
    given: list[float] = []
    captures: list[str] = []

    def run_way(way: Way, *_: Any, capture: bool = False, **asked: Any) -> dict[str, Any]:
        result: dict[str, Any] = {"precisions": {}, "marks": {"done": 1.0}, "steps": [1.0]}
        if capture:
            captures.append(way.name)
            inner = np.full(3, float(len(captures)))
            return {"outputs": {"graph_0_in_x": inner, "graph_0_out_y": 2 * inner}}
        if way.peer == "openvino":
            inner = asked["extra"]["graph_0_in_x"]
            given.append(float(inner[0]))
            result["outputs"] = {"graph_0_out_y": 2 * inner}
        return result

    monkeypatch.setattr(session, "run_way", run_way)
    monkeypatch.setattr(session, "command", lambda way: [])
    mine = [Way("reverie", one, "eager", Path("python")) for one in ("fp32", "int8")]
    theirs = [Way("openvino", "fp32", "eager", Path("python"))]
    work = Work("ltx", tmp_path, tmp_path, {"steps": 1}, {}, {})
    made = session.Session(work, tmp_path, threads=1, decoding=False)
    for _ in range(2):
        made.round(mine, theirs)
    assert captures == [mine[0].name]
    assert given == [1.0, 1.0]
    same, other = (made._proofs[one.name, theirs[0].name]["film"] for one in mine)
    assert same.same
    assert not other.same
    assert other.why == f"its inputs are those of {mine[0].name}"


def test_the_words_are_kept_for_the_record() -> None:
    words = ["checkpoint", "bundle", "--size", "64x32"]
    assert peers.parse(words).words == words
