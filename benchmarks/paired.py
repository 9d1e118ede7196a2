"""Two commands run in turn, each as a process of its own: seconds and memory of every run."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..engines.errors import SettingsError
from .verdicts import Question

LAUNCHER = Path(__file__).with_name("launcher.py")
MEASURES = {
    "end to end": ("seconds", "s"),
    "processor": ("processor_seconds", "s"),
    "memory": ("peak_bytes", "bytes"),
}


def order(pairs: int) -> list[str]:
    """Which command runs when: "AB", "BA", "AB", ..., so that neither always follows the other."""
    return ["AB" if number % 2 == 0 else "BA" for number in range(pairs)]


def measure(first: str, second: str, pairs: int, warm_up: int = 1) -> list[Question]:
    """Run two commands `pairs` times each, in turn; returns what was measured, as pairs.

    first, second: as one types them, without a shell's own signs (give `sh -c "..."` for those).
    warm_up: runs of each beforehand, not counted. Raises SettingsError where a command cannot be
    run or fails.
    """
    if pairs < 1 or warm_up < 0:
        raise SettingsError("--pairs must be 1 or more, --warm-up 0 or more")
    commands = {"A": _words(first), "B": _words(second)}
    for _ in range(warm_up):
        for command in commands.values():
            run_once(command)
    runs: dict[str, list[dict[str, Any]]] = {"A": [], "B": []}
    for turn in order(pairs):
        for side in turn:
            runs[side].append(run_once(commands[side]))
    return [
        Question(
            "paired runs",
            name,
            unit,
            tuple(run[field] for run in runs["A"]),
            tuple(run[field] for run in runs["B"]),
            whole=True,
            in_turn=True,
        )
        for name, (field, unit) in MEASURES.items()
    ]


def run_once(command: Sequence[str]) -> dict[str, Any]:
    """Run a command; returns its "output", and what it and all that it started took.

    That is seconds, processor_seconds and peak_bytes.

    The launcher between is small, as a process is counted at least the memory of what started it.
    """
    if sys.platform == "win32":
        raise SettingsError("paired runs need os.wait4, which Windows has not: use Linux or macOS")
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "told.json"
        launched = [sys.executable, "-I", "-S", str(LAUNCHER), str(told), *command]
        done = subprocess.run(launched, stdin=subprocess.DEVNULL, capture_output=True)
        if done.returncode != 0 or not told.exists():
            last = done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
            raise SettingsError(
                f"`{shlex.join(command)}` ended with {done.returncode}"
                f" ({last[-1]}): mend the command"
            )
        found: dict[str, Any] = json.loads(told.read_text(encoding="utf-8"))
    return {**found, "output": done.stdout.decode(errors="replace")}


def _words(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise SettingsError(f"{command!r} is no command ({error}): mind its quotes") from error
    if not words or shutil.which(words[0]) is None:
        raise SettingsError(f"{command!r}: there is no such program: give its path")
    return words
