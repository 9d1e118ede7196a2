"""What the denoising loop itself costs a step: instructions, and seconds beside a real step.

    python -m reverie.benchmarks.instructions [LOOP...] [--against FILE] [--json FILE]

Counts the instructions of a loop's step with engines that do nothing, under valgrind's callgrind:
N steps and 2 N steps are counted in one process, and their difference has no start in it. Counts
repeat to 0.3% (other hash seeds, other environments), where seconds do not to 10%; so a
count that is 3% above the committed one, results/instructions.json, is a change of the code: that
is a call or two of NumPy on arrays as small as these. Another build of Python or NumPy, or another
machine's, counts otherwise, and nothing is compared with it.

Exit codes: 0 as before, fewer, or not comparable; 2 bad input or no valgrind; 10 more instructions.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..engines.errors import EngineError, MissingPackageError, ReverieError, SettingsError
from ..runtime.output import write_file
from .bench.record import summary
from .compare import BAD_INPUT, GOT_WORSE, share
from .loops import LOOPS, step_seconds
from .machine import describe_machine

SCHEMA = "reverie.instructions/1"
STEPS = 24
"""N; with 2 N the resident loop's table still has one block of rows."""
TOLERANCE = 0.03
RESULTS = Path(__file__).with_name("results")
REAL = {
    "svd": ("1024x576, 25 frames", (25, 72, 128)),
    "ltx": ("704x512, 161 frames", (21, 16, 22)),
    "wan": ("1280x704, 121 frames", (31, 44, 80)),
    "resident": ("704x512, 161 frames", (21, 16, 22)),
}
"""Loop -> a real film and its latents."""
LATENT = {"svd": (1, 8), "ltx": (8, 32), "wan": (4, 16)}
"""Family -> frames and pixels a latent cell stands for."""
MUST_BE_ALIKE = ("steps", "python", "numpy", "valgrind", "architecture")


def count(loops: Sequence[str], steps: int = STEPS) -> dict[str, int]:
    """Instructions a step of each loop.

    Raises MissingPackageError without valgrind, EngineError where it does not count.
    """
    valgrind = _valgrind()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "counts"
        command = [valgrind, "--tool=callgrind", f"--callgrind-out-file={out}"]
        command += ["--dump-before=getppid", sys.executable, "-m", "reverie.benchmarks.loops"]
        done = subprocess.run(
            [*command, str(steps), *loops],
            env={**os.environ, "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            errors="replace",
        )
        totals = [_total(out.with_name(f"counts.{part + 1}")) for part in range(3 * len(loops))]
    if done.returncode != 0 or None in totals:
        last = done.stderr.strip().splitlines() or ["it said nothing"]
        raise EngineError(f"callgrind did not count the loops ({last[-1]}): see that it runs")
    return {
        name: round((twice - once) / steps)  # type: ignore[operator]
        for name, once, twice in zip(loops, totals[1::3], totals[2::3], strict=True)
    }


def measured(loops: Sequence[str], steps: int = STEPS) -> dict[str, Any]:
    """Count, and say what the counts belong to."""
    return {
        "schema": SCHEMA,
        "steps": steps,
        "python": sys.version,
        "numpy": np.__version__,
        "valgrind": subprocess.run(
            [_valgrind(), "--version"], capture_output=True, text=True
        ).stdout.strip(),
        "architecture": platform.machine(),
        "machine": describe_machine(),
        "instructions_per_step": count(loops, steps),
    }


def differences(found: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    """Say why counts cannot be compared; empty where they can."""
    return [
        f"{name} was {before.get(name)!r} and is {found.get(name)!r}"
        for name in MUST_BE_ALIKE
        if found.get(name) != before.get(name)
    ]


def verdicts(
    found: Mapping[str, Any], before: Mapping[str, Any], tolerance: float = TOLERANCE
) -> dict[str, tuple[float, str]]:
    """Loop -> count / earlier count, and "more", "fewer" or "as before"; loops of both alone."""
    told = {}
    for name, now in found["instructions_per_step"].items():
        was = before["instructions_per_step"].get(name)
        if was:
            ratio = now / was
            word = "more" if ratio > 1 + tolerance else "fewer" if ratio < 1 - tolerance else ""
            told[name] = (ratio, word or "as before")
    return told


def read(path: Path) -> dict[str, Any]:
    """Read counts. Raises SettingsError, in one line, where these are none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["schema"] != SCHEMA or not isinstance(found["instructions_per_step"], dict):
            raise ValueError(f"it is of schema {found['schema']!r}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(f"{path} holds no counts of {SCHEMA} ({error}): count again") from error
    return dict(found)


def host_seconds() -> list[dict[str, Any]]:
    """Seconds a step of the loops at real sizes, and at those at which a step was measured.

    "share" is of that step, null where none was measured; "longer_than" the step, in seconds, of
    which the loop is 1%.
    """
    sizes = [(name, film, latents, None) for name, (film, latents) in REAL.items()]
    rows = []
    for loop, film, latents, step in (*sizes, *_measured_steps()):
        figures = summary(step_seconds(loop, latents))
        rows.append(
            {
                "loop": loop,
                "film": film,
                "seconds_per_step": figures,
                "step_seconds": step,
                "share": None if step is None else figures["median"] / step,
                "longer_than": 100 * figures["median"],
            }
        )
    return rows


def _measured_steps() -> list[tuple[str, str, tuple[int, int, int], float]]:
    """Real steps in the committed results of `render_cost`."""
    rows = []
    for path in sorted(RESULTS.glob("render_cost*.json")):
        row = json.loads(path.read_text(encoding="utf-8"))
        if row.get("family") not in LATENT or not row.get("step_seconds"):
            continue
        time, space = LATENT[row["family"]]
        width, height = map(int, row["size"].split("x"))
        latents = ((row["frames"] - 1) // time + 1, height // space, width // space)
        film = f"{row['size']}, {row['frames']} frames"
        rows.append((row["family"], film, latents, row["step_seconds"]))
    return rows


def _valgrind() -> str:
    found = shutil.which("valgrind")
    if found is None:
        raise MissingPackageError(
            "valgrind is not here, which counts instructions: install it (apt install valgrind)"
        )
    return found


def _total(part: Path) -> int | None:
    try:
        text = part.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    found = re.search(r"^totals: (\d+)$", text, re.MULTILINE)
    return int(found[1]) if found else None


def main(words: Sequence[str] | None = None) -> int:
    """Count, print, compare, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("loops", nargs="*", metavar="LOOP", help=", ".join(LOOPS))
    parser.add_argument(
        "--steps", type=int, default=STEPS, help=f"steps that are counted (default {STEPS})"
    )
    parser.add_argument(
        "--against",
        type=Path,
        default=RESULTS / "instructions.json",
        help="earlier counts to compare with (default: the committed ones)",
    )
    parser.add_argument(
        "--tolerance",
        type=share,
        default=TOLERANCE,
        help=f"share that a count may grow by (default {TOLERANCE})",
    )
    parser.add_argument(
        "--seconds",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="measure the loop's own seconds beside a real step's too (default: yes)",
    )
    parser.add_argument("--json", type=Path, help="write the counts here")
    asked = parser.parse_args(words)
    try:
        unknown = set(asked.loops) - LOOPS.keys()
        if unknown or asked.steps < 1:
            raise SettingsError(f"there is no such loop or number: use {', '.join(LOOPS)}")
        before = read(asked.against) if asked.against.exists() else None
        found = measured(asked.loops or list(LOOPS), asked.steps)
        if asked.seconds:
            found["host"] = host_seconds()
        code = _print(found, before, asked)
        if asked.json is not None:
            write_file((json.dumps(found, indent=1) + "\n").encode(), asked.json, force=True)
    except ReverieError as error:
        print(f"instructions: {error}", file=sys.stderr)
        return BAD_INPUT
    return code


def _print(
    found: Mapping[str, Any], before: Mapping[str, Any] | None, asked: argparse.Namespace
) -> int:
    told: dict[str, tuple[float, str]] = {}
    reasons: list[str] = []
    if before is not None:
        reasons = differences(found, before)
        told = {} if reasons else verdicts(found, before, asked.tolerance)
    print("instructions a step of the loop, on tiny latents, engines that do nothing")
    for name, number in found["instructions_per_step"].items():
        ratio, word = told.get(name, (None, ""))
        beside = "" if ratio is None else f"  {ratio - 1:+.2%}  {word}"
        print(f"  {name:<18} {number:>10,}{beside}")
    if before is None:
        print(f"  {asked.against} is not there: nothing to compare with")
    for reason in reasons:
        print(f"  not comparable with {asked.against.name}: {reason}")
    if "host" in found:
        print("the loop's own seconds a step, and of a real step of this machine's or another's")
        for row in found["host"]:
            own = 1e3 * statistics.median(row["seconds_per_step"]["samples"])
            line = f"  {row['loop']:<9} {row['film']:<21} {own:9.4f} ms; below 1% of a step"
            line += f" longer than {row['longer_than']:.4f} s"
            if row["share"] is not None:
                line += f"; of {row['step_seconds']:.2f} s as measured: {row['share']:.4%}"
            print(line)
    return GOT_WORSE if any(word == "more" for _, word in told.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
