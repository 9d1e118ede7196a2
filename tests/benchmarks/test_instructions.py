"""Counting the loop's instructions: what a loop does is counted, and a committed figure watched."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from reverie.benchmarks import instructions, loops
from reverie.engines.errors import SettingsError

HERE = {"steps": 4, "python": "3", "numpy": "2", "valgrind": "v", "architecture": "x"}


def counts(**each: int) -> dict[str, Any]:
    return {"schema": instructions.SCHEMA, **HERE, "instructions_per_step": each}


@pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed")
def test_the_loop_takes_no_more_instructions_than_were_committed() -> None:
    found = instructions.measured(["denoise"])
    assert 1_000 < found["instructions_per_step"]["denoise"] < 1_000_000
    before = instructions.read(instructions.RESULTS / "instructions.json")
    if reasons := instructions.differences(found, before):
        pytest.skip(f"not comparable: {'; '.join(reasons)}")
    ratio, word = instructions.verdicts(found, before)["denoise"]
    assert word != "more", f"{ratio - 1:+.1%}: see `python -m reverie.benchmarks.instructions`"


@pytest.mark.parametrize("name", loops.LOOPS)
def test_each_step_asks_its_engine_once(name: str) -> None:
    steps = 7
    asked = loops.LOOPS[name](loops.TINY, steps)()
    # Guided engines run twice, and one is told; what is captured is played from the second step on.
    assert len(asked) == (steps - 1 if name == "resident" else steps)
    assert asked == sorted(asked)


def test_more_and_fewer_are_told() -> None:
    before = counts(a=1000, b=1000, c=1000, gone=5)
    told = instructions.verdicts(counts(a=1031, b=1029, c=900, new=7), before)
    assert {name: word for name, (_, word) in told.items()} == {
        "a": "more",
        "b": "as before",
        "c": "fewer",
    }


@pytest.mark.parametrize("field", ["steps", "python", "numpy", "valgrind", "architecture"])
def test_other_versions_are_not_compared(
    field: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    committed = tmp_path / "before.json"
    committed.write_text(json.dumps(counts(denoise=1000)))
    monkeypatch.setattr(instructions, "measured", lambda *_: {**counts(denoise=2000)})
    words = ["denoise", "--against", str(committed), "--no-seconds"]
    assert instructions.main(words) == 10
    monkeypatch.setattr(instructions, "measured", lambda *_: {**counts(denoise=2000), field: "?"})
    assert instructions.main(words) == 0
    assert f"not comparable with before.json: {field} was" in capsys.readouterr().out


def test_without_valgrind_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert instructions.main(["denoise"]) == 2
    assert "valgrind is not here" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "reverie.bench/1", "rows": []}'])
def test_a_file_without_counts_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "counts.json"
    path.write_text(text)
    with pytest.raises(SettingsError, match="holds no counts"):
        instructions.read(path)


def test_the_share_of_a_measured_step_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "render_cost_ltx.json").write_text(
        json.dumps({"family": "ltx", "size": "96x64", "frames": 9, "step_seconds": 10.0})
    )
    (tmp_path / "render_cost_other.json").write_text(json.dumps({"family": "ember"}))
    monkeypatch.setattr(instructions, "RESULTS", tmp_path)
    monkeypatch.setattr(instructions, "REAL", {"svd": ("tiny", (2, 4, 4))})
    sizes = []
    monkeypatch.setattr(
        instructions,
        "step_seconds",
        lambda loop, size: sizes.append((loop, size)) or [0.5, 0.25, 1],
    )
    rows = instructions.host_seconds()
    assert sizes == [("svd", (2, 4, 4)), ("ltx", (2, 2, 3))]
    assert [row["share"] for row in rows] == [None, 0.05]
    assert rows[1]["longer_than"] == 50.0
