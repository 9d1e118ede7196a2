"""Encoders that are really opened."""

from __future__ import annotations

from typing import Any

import pytest
from reverie.engines import encoders
from reverie.engines.encoders import find_encoders
from reverie.engines.probe import MARK, Answer, Probes


def test_an_encoder_that_crashes_does_not_hide_the_others(recorded: Any) -> None:
    class Dying(Probes):
        def child(self, module: str, *words: str, limit: float = 0) -> Answer:
            told = ""
            for name in words:
                told += f'{MARK}{{"name": "{name}"}}\n'
                if name == "h264_nvenc":
                    return Answer(told, "crashed (SIGSEGV)")
                told += f'{MARK}{{"name": "{name}", "status": "ok"}}\n'
            return Answer(told)

    found = {encoder.name: encoder for encoder in find_encoders(Dying())}
    assert (found["h264_nvenc"].status, found["h264_nvenc"].detail) == (
        "broken",
        "crashed (SIGSEGV)",
    )
    assert {e.status for e in found.values() if e.name != "h264_nvenc"} == {"ok"}


def test_x264_really_encodes_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "LIMIT", 120.0)
    assert find_encoders()[0].status == "ok"
