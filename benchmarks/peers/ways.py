"""Every way that is asked for: Reverie's precisions and each peer's, with interpreters found."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from .install import PEERS, interpreter, is_installed
from .jobs import WORKERS, Way

HINTS = {"openvino": ("fp32", "bf16")}
"""Peers that are told how to calculate, and know these."""
PRECISIONS = ("fp32", "bf16", "fp16")
MODES = {"diffusers": ("eager", "compile")}


def ours(precisions: Sequence[str]) -> list[Way]:
    """Reverie, in every precision that is asked for; "bundle" is what its plan chooses."""
    return [Way("reverie", precision) for precision in precisions]


def theirs(
    peers: Sequence[str],
    precisions: Sequence[str],
    modes: Sequence[str],
    envs: Path | None,
    pythons: Mapping[str, Path],
) -> list[Way]:
    """Each peer, in each precision and mode that it has a notion of.

    pythons: interpreters by peer, in place of an environment's. A peer that is nowhere comes back
    once, with the reason.
    """
    found: list[Way] = []
    for name in peers:
        python, reason = _python(name, envs, pythons)
        if python is None:
            found.append(Way(name, "", reason=reason))
            continue
        for precision in precisions:
            if precision not in HINTS.get(name, PRECISIONS):
                continue
            for mode in MODES.get(name, ("eager",)):
                if mode in modes or (mode == "eager" and name not in MODES):
                    found.append(Way(name, precision, mode, python))
    return found


def _python(name: str, envs: Path | None, pythons: Mapping[str, Path]) -> tuple[Path | None, str]:
    if name in pythons:
        python = pythons[name]
        return (python, "") if python.exists() else (None, f"{python} is not there")
    command = "`python -m reverie.benchmarks.peers.install"
    if envs is None:
        return None, f"no --envs and no --python was given: {command} {name} --into FOLDER`"
    if not is_installed(PEERS[name], envs / name):
        return None, f"it is not installed in {envs}: {command} {name} --into {envs}`"
    return interpreter(envs / name), ""


def command(way: Way) -> list[str]:
    """What starts a way's worker; the job's file is added."""
    if way.peer == "reverie":
        return [sys.executable, "-m", "reverie.benchmarks.peers.ours"]
    return [str(way.python), str(WORKERS / PEERS[way.peer].worker)]
