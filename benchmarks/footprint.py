"""What the installed runtime costs: bytes a dependency, modules and seconds of `import reverie`.

    python -m reverie.benchmarks.footprint [--json FILE]

Run it in an environment made with `pip install '.[cpu]'` alone.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

from .machine import describe_machine

FORBIDDEN = ("torch", "diffusers", "transformers", "onnx", "scipy")


def requirements(name: str, extra: str | None = None) -> set[str]:
    """Names of a distribution and all it needs, as installed here."""
    found: set[str] = set()
    todo = [(name, extra)]
    while todo:
        current, wanted = todo.pop()
        key = current.lower().replace("_", "-")
        try:
            needs = metadata.requires(current) or []
        except metadata.PackageNotFoundError:
            continue
        if key in found and wanted is None:
            continue
        found.add(key)
        for need in needs:
            spec, _, marker = need.partition(";")
            asked = re.findall(r"extra\s*==\s*['\"]([^'\"]+)", marker)
            if asked and wanted not in asked:
                continue
            match = re.match(r"[\w.-]+", spec.strip())
            if match:
                todo.append((match[0], None))
    return found


def installed_bytes(name: str) -> int:
    """Bytes on disk of a distribution's files."""
    distribution = metadata.distribution(name)
    paths = {Path(str(distribution.locate_file(f))) for f in distribution.files or []}
    return sum(p.stat().st_size for p in paths if p.is_file())


def import_seconds(runs: int = 7) -> list[float]:
    """Seconds of `import reverie` in fresh interpreters, the bare interpreter's start taken off."""

    def timed(code: str) -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - start

    timed("import reverie")
    return [timed("import reverie") - timed("pass") for _ in range(runs)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    sizes = {name: installed_bytes(name) for name in sorted(requirements("reverie", "cpu"))}
    for name, size in sorted(sizes.items(), key=lambda item: -item[1]):
        print(f"{name:28} {size / 1e6:8.1f} MB")
    print(f"{'together':28} {sum(sizes.values()) / 1e6:8.1f} MB")
    present = [name for name in FORBIDDEN if name in sizes]
    print(f"needed though forbidden: {', '.join(present) or 'none'}")
    seconds = import_seconds()
    print(f"import reverie: median {statistics.median(seconds):.3f} s of {len(seconds)} runs")
    if arguments.json:
        report = {
            "machine": describe_machine(),
            "bytes": sizes,
            "total_bytes": sum(sizes.values()),
            "import_seconds": seconds,
        }
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
