"""Environments of their own for the software that Reverie is measured beside.

    python -m reverie.benchmarks.peers.install [NAME...] --into FOLDER

Each peer gets a virtual environment with pinned versions, and a receipt of what is in it. What is
there already is left as it is; what cannot be installed is told in a line and keeps none of the
others from being installed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RECEIPT = "receipt.json"
_VERSIONS = (
    "import json, sys; from importlib import metadata as m; "
    "print(json.dumps({n: m.version(n) for n in sys.argv[1:]}))"
)
_TORCH = ("torch==2.13.0",)
"""First and alone: whoever has a build for the CPU at hand gets that one, and no CUDA libraries."""


@dataclass(frozen=True)
class Peer:
    """Software to be measured beside, and how it comes into an environment."""

    name: str
    rounds: tuple[tuple[str, ...], ...]
    """What pip is asked for, one call after another."""
    told: tuple[str, ...]
    """Packages whose versions a measured figure belongs to."""
    worker: str
    """Name of the script in `workers` that runs in the environment."""
    removed: tuple[str, ...] = ()
    """Packages that come along and break it: torchvision's build for CUDA beside a torch for the
    CPU cannot be imported, and nothing here needs it."""


PEERS: Mapping[str, Peer] = {
    peer.name: peer
    for peer in (
        Peer(
            "diffusers",
            (
                _TORCH,
                (
                    "diffusers==0.42.1",
                    "transformers==5.23.0",
                    "accelerate==1.15.0",
                    "scipy==1.17.1",
                    "pillow",
                ),
            ),
            ("diffusers", "torch", "transformers", "accelerate"),
            "pipelines.py",
        ),
        Peer("openvino", (("openvino==2026.4.1", "numpy"),), ("openvino", "numpy"), "graphs.py"),
        Peer(
            "optimum-intel",
            (
                _TORCH,
                (
                    *_TORCH,
                    "optimum-intel==2.2.0",
                    "openvino==2026.4.1",
                    "diffusers==0.39.0",
                    "sentencepiece",
                    "pillow",
                ),
            ),
            ("optimum-intel", "openvino", "diffusers", "transformers", "torch"),
            "converted.py",
            ("torchvision",),
        ),
        Peer(
            "stable-diffusion.cpp",
            (("stable-diffusion-cpp-python==0.4.7", "numpy", "pillow"),),
            ("stable-diffusion-cpp-python",),
            "native.py",
        ),
    )
}
"""Every peer by its name; the order is that of the tables."""

_QUIET = ("--quiet", "--disable-pip-version-check")
Run = Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"]


class CannotInstall(Exception):
    """A peer has no environment here; the message is one line."""


def interpreter(folder: Path) -> Path:
    """The interpreter of an environment."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def commands(peer: Peer, folder: Path) -> list[list[str]]:
    """Every command that makes a peer's environment, in order."""
    pip = [str(interpreter(folder)), "-m", "pip"]
    made = [[sys.executable, "-m", "venv", str(folder)]]
    made += [[*pip, "install", *_QUIET, *wanted] for wanted in peer.rounds]
    return made + [[*pip, "uninstall", "--yes", *_QUIET, name] for name in peer.removed]


def read_receipt(folder: Path) -> dict[str, Any] | None:
    """What an environment's receipt says, None where there is none that can be read."""
    try:
        found = json.loads((folder / RECEIPT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def is_installed(peer: Peer, folder: Path) -> bool:
    """Whether the environment is there, made from what would be asked for today."""
    receipt = read_receipt(folder) or {}
    wanted = [list(one) for one in peer.rounds]
    return receipt.get("requirements") == wanted and interpreter(folder).exists()


def install(peer: Peer, into: Path, run: Run | None = None) -> dict[str, Any]:
    """Make a peer's environment below a folder, unless it is there; returns its receipt.

    Raises:
        CannotInstall: a command failed; half an environment is not left behind.
    """
    run = run or _run
    folder = into / peer.name
    if is_installed(peer, folder):
        return read_receipt(folder) or {}
    shutil.rmtree(folder, ignore_errors=True)
    start = time.perf_counter()
    try:
        for command in commands(peer, folder):
            _checked(run, command)
        versions = _checked(run, [str(interpreter(folder)), "-c", _VERSIONS, *peer.told])
    except CannotInstall:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    receipt = {
        "peer": peer.name,
        "requirements": [list(one) for one in peer.rounds],
        "versions": json.loads(versions),
        "python": ".".join(map(str, sys.version_info[:3])),
        "seconds": round(time.perf_counter() - start, 1),
    }
    beside = folder / f"{RECEIPT}.part"
    beside.write_text(json.dumps(receipt, indent=1) + "\n", encoding="utf-8")
    beside.replace(folder / RECEIPT)
    return receipt


def _checked(run: Run, command: Sequence[str]) -> str:
    done = run(command)
    if done.returncode:
        raise CannotInstall(reason(done.stderr or done.stdout))
    return done.stdout


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def reason(output: str) -> str:
    """The line of a failed command's output that says why."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    lines = [line for line in lines if "subprocess-exited-with-error" not in line] or lines
    telling = [line for line in lines if line.lower().startswith(("error", "fatal", "cmake error"))]
    more = [line for line in lines if "error:" in line.lower()]
    found = telling or more or lines or ["no reason was given"]
    return found[0][:300]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m reverie.benchmarks.peers.install", description=__doc__.splitlines()[0]
    )
    parser.add_argument("name", nargs="*", help=f"peers; all of {', '.join(PEERS)} where left out")
    parser.add_argument("--into", type=Path, required=True, help="folder of the environments")
    parser.add_argument("--dry-run", action="store_true", help="print the commands and stop")
    asked = parser.parse_args(arguments)
    unknown = [name for name in asked.name if name not in PEERS]
    if unknown:
        parser.error(f"no peer is named {unknown[0]!r}: use {', '.join(PEERS)}")
    failed = 0
    for name in asked.name or PEERS:
        peer, folder = PEERS[name], asked.into.resolve() / name
        if asked.dry_run:
            there = is_installed(peer, folder)
            lines = [] if there else [" ".join(line) for line in commands(peer, folder)]
            print("\n".join(lines) or f"{name}: is there")
            continue
        there = is_installed(peer, folder)
        try:
            receipt = install(peer, asked.into.resolve())
        except CannotInstall as error:
            failed += 1
            print(f"{name}: not installed: {error}", flush=True)
            continue
        told = ", ".join(f"{package} {version}" for package, version in receipt["versions"].items())
        how = "is there" if there else f"installed in {receipt['seconds']:g} s"
        print(f"{name}: {how}: {told}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
