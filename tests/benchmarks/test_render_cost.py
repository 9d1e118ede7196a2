"""One look at a video model by itself."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from reverie.benchmarks import render_cost
from reverie.runtime.bundle import load_bundle


def test_a_toy_is_looked_at(
    video_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out.json"
    words = ["render_cost", str(video_bundle), "--frames", "5", "--steps", "3", "--json", str(out)]
    monkeypatch.setattr(sys, "argv", words)
    render_cost.main()
    told = json.loads(out.read_text())
    assert told["steps"] == 3
    assert told["frames"] > 0
    assert told["peak_bytes"] > 0
    assert told["family"] == "toyvideo"
    assert set(told["weights_bytes"]) == set(load_bundle(video_bundle).components)
    assert "largest component" in capsys.readouterr().out
