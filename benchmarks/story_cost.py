"""A story of many photos: time, peak memory, and what a kill -9 in the middle costs.

    python -m reverie.benchmarks.story_cost PHOTO... [--count 40] [--seconds 120] [--height 720]

Renders the story once and kills it (SIGKILL) when half of its shots are kept; starts it again, and
prints what was kept, what was rendered again, wall seconds and peak memory of the second run and of
a third, that changes the light of one shot. Photos are repeated until there are `--count`. --json
writes it with hardware and versions.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from ..runtime.reading import film_facts
from .machine import describe_machine


def story(words: list[str]) -> dict[str, Any]:
    """Run the command to its end; its JSON with `wall_seconds` added."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "reverie", "story", *words, "--json", "--force"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {**json.loads(done.stdout), "wall_seconds": time.perf_counter() - start}


def kill_half_way(words: list[str], shots: Path, half: int) -> dict[str, Any]:
    """Start the command, and kill it when `half` of its shots are kept."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "reverie", "story", *words, "--quiet", "--force"]
    with subprocess.Popen(command) as process:
        while len(kept(shots)) < half and process.poll() is None:
            time.sleep(0.05)
        process.kill()
    return {"wall_seconds": time.perf_counter() - start, "shots_kept": len(kept(shots))}


def kept(shots: Path) -> list[Path]:
    """The shots that are whole."""
    return sorted(shots.glob("*.json")) if shots.is_dir() else []


def with_another_light(plan: Path) -> None:
    """Change the light of a plan's last shot."""
    lines = plan.read_text().splitlines()
    last = max(index for index, line in enumerate(lines) if line.strip() == "[[shot]]")
    own = [line for line in lines[last + 1 :] if line.startswith("light")]
    other = "moon" if not any('"moon"' in line for line in own) else "candle"
    shot = [line for line in lines[last + 1 :] if line not in own]
    plan.write_text("\n".join([*lines[: last + 1], f'light = "{other}"', *shot]) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--height", type=int, default=720)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    photos = [str(p.absolute()) for p in islice(cycle(arguments.photos), arguments.count)]
    with tempfile.TemporaryDirectory() as folder:
        plan, out = Path(folder) / "story.toml", Path(folder) / "film.mp4"
        shots = out.with_name(out.name + ".shots")
        asked = ["--seconds", str(arguments.seconds), "--height", str(arguments.height)]
        story([*photos, *asked, "--write-plan", str(plan)])
        words = ["--plan", str(plan), "--out", str(out)]
        killed = kill_half_way(words, shots, arguments.count // 2)
        resumed = story(words)
        facts = film_facts(out)
        with_another_light(plan)
        changed = story(words)
    rows = {"killed": killed, "resumed": resumed, "one line changed": changed}
    report = {
        "photos": len(set(photos)),
        "shots": len(resumed["plan"]["shots"]),
        "film": {"frames": facts.frames, "seconds": facts.seconds, "bytes": facts.bytes},
        "runs": {
            name: {
                key: row.get(key)
                for key in (
                    *("wall_seconds", "shots_rendered", "shots_kept", "peak_memory_bytes"),
                    "stages",
                )
            }
            for name, row in rows.items()
        },
        "machine": describe_machine(),
    }
    print(f"{report['shots']} shots, film of {facts.frames} frames, {facts.seconds:.3f} s")
    for name, row in report["runs"].items():
        memory = row["peak_memory_bytes"]
        print(
            f"{name:>16}  {row['wall_seconds']:8.1f} s  rendered {row['shots_rendered']!s:>4}"
            f"  kept {row['shots_kept']:>3}" + (f"  {memory / 2**20:6.0f} MiB" if memory else "")
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
