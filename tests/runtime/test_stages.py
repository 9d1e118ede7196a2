"""What a stage counts."""

from __future__ import annotations

import pytest
from reverie.runtime import stages
from reverie.runtime.stages import Stages


def test_a_stage_inside_another_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(stages.time, "perf_counter", lambda: now[0])
    made = Stages()
    with made.stage("denoise"):
        now[0] += 2
        with made.stage("build"):
            now[0] += 30
        now[0] += 1
    assert made.seconds == {"build": 30.0, "denoise": 3.0}
    assert made.total == now[0]
