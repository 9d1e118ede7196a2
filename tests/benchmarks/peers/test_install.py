"""Environments of the peers, planned and told without a network."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from reverie.benchmarks.peers.install import (
    PEERS,
    CannotInstall,
    commands,
    install,
    interpreter,
    is_installed,
    main,
    reason,
)
from reverie.benchmarks.peers.jobs import WORKERS

Done = subprocess.CompletedProcess[str]


class Pip:
    """Plays pip: makes the interpreter where a venv is asked for, fails where it is told to."""

    def __init__(self, fails: str = "", says: str = "") -> None:
        self.fails, self.says = fails, says
        self.asked: list[list[str]] = []

    def __call__(self, command: Sequence[str]) -> Done:
        self.asked.append(list(command))
        if "venv" in command:
            python = interpreter(Path(command[-1]))
            python.parent.mkdir(parents=True)
            python.touch()
        if self.fails and self.fails in command:
            return Done(command, 1, "", self.says)
        versions = dict.fromkeys(command[3:], "1.0") if command[1] == "-c" else {}
        return Done(command, 0, json.dumps(versions), "")


@pytest.mark.parametrize("name", PEERS)
def test_every_peer_has_a_worker_and_pinned_packages(name: str) -> None:
    peer = PEERS[name]
    assert (WORKERS / peer.worker).is_file()
    for package in peer.told:
        named = [one for wanted in peer.rounds for one in wanted if one.startswith(package)]
        pinned = any("==" in one for one in named)
        assert pinned or package in ("numpy", "transformers"), package  # these two follow others


def test_torch_comes_first_and_alone(tmp_path: Path) -> None:
    for peer in PEERS.values():
        lines = [line for line in commands(peer, tmp_path) if "install" in line]
        if any("torch==" in one for line in lines for one in line):
            assert [one for one in lines[0] if "==" in one] == ["torch==2.13.0"]


def test_what_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    pip, peer = Pip(), PEERS["diffusers"]
    made = install(peer, tmp_path, pip)
    assert made["versions"] == dict.fromkeys(peer.told, "1.0")
    asked = len(pip.asked)
    assert install(peer, tmp_path, pip) == made
    assert len(pip.asked) == asked
    receipt = tmp_path / "diffusers" / "receipt.json"
    receipt.write_text(receipt.read_text().replace("diffusers==", "diffusers>="))
    assert not is_installed(peer, tmp_path / "diffusers")  # it was made from other pins


def test_a_failure_is_told_in_a_line_and_leaves_nothing(tmp_path: Path) -> None:
    says = "Collecting it\nERROR: Could not find a version that satisfies it\nnotice: pip"
    with pytest.raises(CannotInstall, match=r"^ERROR: Could not find a version"):
        install(PEERS["openvino"], tmp_path, Pip(fails="install", says=says))
    assert not (tmp_path / "openvino").exists()


def test_reasons() -> None:
    assert reason("a\nsomething error: no compiler\nb") == "something error: no compiler"
    built = (
        "error: subprocess-exited-with-error\n  CMake Error: no compiler\nERROR: Failed building"
    )
    assert reason(built) == "CMake Error: no compiler"
    assert reason("") == "no reason was given"


def test_the_command_tells_what_it_would_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["optimum-intel", "--into", str(tmp_path), "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{sys.executable} -m venv ")
    assert "torch==2.13.0" in lines[1]
    assert lines[-1].endswith("uninstall --yes --quiet --disable-pip-version-check torchvision")
    assert not list(tmp_path.iterdir())
    with pytest.raises(SystemExit, match="2"):
        main(["comfy", "--into", str(tmp_path)])
    assert "'comfy'" in capsys.readouterr().err
