"""Questions that crash, hang, or print what nobody asked."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from reverie.engines.probe import Probes, ask


def test_a_program_that_hangs_is_ended() -> None:
    start = time.monotonic()
    answer = ask((sys.executable, "-c", "print('told', flush=True); input()"), 0.01)
    assert answer.problem in ("did not answer within 0.01 seconds", "")
    code = "import subprocess, sys, time\nprint('told', flush=True)\n"
    code += "subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"
    answer = ask((sys.executable, "-c", code), 1.5)
    assert answer.problem == "did not answer within 1.5 seconds"
    assert time.monotonic() - start < 300


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("", ""),
        ("raise SystemExit(3)", "failed (exit code 3)"),
        ("raise ValueError('odd')", "failed (ValueError: odd)"),
    ],
)
def test_how_a_program_ended(code: str, problem: str) -> None:
    assert ask((sys.executable, "-c", code), 60).problem == problem


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_a_program_that_crashes() -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    assert ask((sys.executable, "-c", code), 60).problem == "crashed (SIGSEGV)"


def test_a_program_that_is_not_there() -> None:
    assert ask(("no-such-program-of-reverie",)).problem == "is not there"
    assert "cannot be started" in ask(("a\0b",)).problem


def test_a_library_that_crashes_when_loaded(tmp_path: Path, monkeypatch: Any) -> None:
    """A real module that takes its process along."""
    (tmp_path / "tensorrt.py").write_text("import os\nos.abort()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    answer = Probes().child("backends", "tensorrt", limit=60)
    assert answer.facts == []
    assert answer.problem.startswith("crashed") or os.name == "nt"


def test_a_library_that_prints_and_fails(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "tensorrt.py").write_text("print('hello')\nraise OSError('libnvinfer.so.11')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    answer = Probes().child("backends", "tensorrt", limit=60)
    assert answer.facts == [{"problem": "cannot be loaded (libnvinfer.so.11)"}]
