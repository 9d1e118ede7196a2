from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from reverie.runtime import memory

TELL = "from reverie.runtime.memory import peak_memory; print(peak_memory())"


def test_what_was_held_is_counted() -> None:
    hold = f"held = bytearray(200_000_000); held[::4096] = b'x' * len(held[::4096]); {TELL}"
    assert _told_by(hold) > 200_000_000


def test_a_child_does_not_report_what_its_parent_held(tmp_path: Path) -> None:
    parent = (
        "import subprocess, sys; held = bytearray(400_000_000);"
        "held[::4096] = b'x' * len(held[::4096]);"
        f"subprocess.run([sys.executable, '-c', {TELL!r}], check=True)"
    )
    assert 1_000_000 < _told_by(parent) < 150_000_000


def test_where_the_system_has_no_high_water_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows counts in its own way")
    monkeypatch.setattr(memory, "_high_water", lambda: None)
    assert memory.peak_memory() > 1_000_000


def _told_by(code: str) -> int:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    return int(done.stdout)
