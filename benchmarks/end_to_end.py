"""Time and peak memory of a whole render, in a process of its own, as users run it.

    python -m reverie.benchmarks.end_to_end PHOTO [--seconds 10 60] [--height 720] [--repeat 3]

Prints one row a length (wall seconds with the process start, real-time factor, peak resident
memory) and, with --json, writes them with the hardware and versions.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from .machine import describe_machine


def render(photo: Path, seconds: float, height: int, aspect: str, out: Path) -> dict[str, Any]:
    """Render once through the command line; returns its JSON with `wall_seconds` added."""
    command = [sys.executable, "-m", "reverie", "animate", str(photo), "--json", "--force"]
    command += ["--seconds", str(seconds), "--height", str(height), "--aspect", aspect]
    start = time.perf_counter()
    done = subprocess.run([*command, "--out", str(out)], capture_output=True, text=True, check=True)
    wall = time.perf_counter() - start
    return {**json.loads(done.stdout), "wall_seconds": wall}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photo", type=Path)
    parser.add_argument("--seconds", type=float, nargs="+", default=[10.0, 60.0])
    parser.add_argument("--height", type=int, default=720)
    parser.add_argument("--aspect", default="16:9")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for seconds in arguments.seconds:
            runs = [
                render(
                    arguments.photo,
                    seconds,
                    arguments.height,
                    arguments.aspect,
                    Path(folder) / "clip.mp4",
                )
                for _ in range(arguments.repeat)
            ]
            walls = [run["wall_seconds"] for run in runs]
            rows.append(
                {
                    "photo": arguments.photo.name,
                    "size": f"{runs[0]['width']}x{runs[0]['height']}",
                    "seconds": seconds,
                    "frames": runs[0]["frames"],
                    "wall_seconds": walls,
                    "wall_median": statistics.median(walls),
                    "real_time_factor": seconds / statistics.median(walls),
                    "peak_memory_bytes": max(run["peak_memory_bytes"] for run in runs),
                    "stages": runs[-1]["stages"],
                }
            )
            row = rows[-1]
            print(
                f"{row['size']:>10} {seconds:6.1f} s  wall {row['wall_median']:7.2f} s"
                f"  {row['real_time_factor']:5.2f}x real time"
                f"  peak {row['peak_memory_bytes'] / 2**20:7.0f} MiB"
            )
    if arguments.json:
        report = {"machine": describe_machine(), "rows": rows}
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
