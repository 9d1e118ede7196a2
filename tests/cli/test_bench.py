"""`reverie bench` through the door: a real measurement of a toy, and what is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from reverie.benchmarks.bench.record import schema
from reverie.cli.main import main

PHOTO = Path(__file__).resolve().parents[1] / "data" / "photos" / "lake-sherburne.jpg"
SMALL = ["--size", "96x64", "--frames", "6", "--repeat", "1", "--photo", str(PHOTO)]


def test_a_toy_is_measured(toy_bundle: Path, tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "out.json"
    before = sorted(path.name for path in toy_bundle.iterdir())
    words = ["bench", str(toy_bundle), *SMALL, "--device", "cpu", "--json", str(out)]
    assert main(words) == 0
    made = json.loads(out.read_text())
    jsonschema.Draft202012Validator(schema()).validate(made)
    (row,) = made["rows"]
    assert row["id"] == "toy-ember 96x64 6f cpu"
    assert (row["width"], row["height"], row["frames"], row["device"]) == (96, 64, 6, "cpu")
    assert {"photo", "look", "maps", "denoise", "drawing", "encode"} <= row["phases"].keys()
    assert row["phases"]["denoise"]["per"] == "step"
    assert len(row["phases"]["denoise"]["samples"]) == row["steps"] - 1
    assert len(row["phases"]["drawing"]["samples"]) == 6
    start = {name: figures["median"] for name, figures in row["cold_start"].items()}
    assert start["total"] >= start["first frame"] >= start["first step"] > 0
    assert start["total"] >= start["process"] + start["import"]
    assert row["host_peak_bytes"]["median"] > 50 * 2**20
    assert (
        max(host for _, host, _ in row["timeline"])
        <= 1.1 * row["warm_peak_bytes"]["median"] + (row["host_peak_bytes"]["median"])
    )
    assert [name for _, name in row["marks"]][:2] == ["start", "import"]
    warm = sum(one["total"]["median"] for one in row["phases"].values())
    assert 0 < warm <= row["warm_wall"]["median"]
    assert sorted(path.name for path in toy_bundle.iterdir()) == before
    assert str(Path.cwd()) not in json.dumps(made["renders"])
    assert "toy-ember 96x64 6f cpu" in capsys.readouterr().out


def test_a_model_without_its_encoder_is_measured_by_threads(
    video_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The toy family is known to this process alone, so that its processes say they do not."""
    assert main(["bench", str(video_bundle), *SMALL, "--threads", "1"]) == 4


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nowhere"], 4, "nowhere"),
        (["--size", "huge"], 2, "--size 'huge'"),
        (["--repeat", "0"], 2, "--repeat 0"),
        (["--frames", "6", "--seconds", "1"], 2, "not allowed with"),
        (["--precision", "fp64"], 2, "fp64"),
        (["--json", "nowhere/out.json"], 5, "the folder nowhere does not exist"),
        (["--photo", "nowhere.jpg"], 3, "nowhere.jpg"),
    ],
)
def test_bad_words_are_one_line(words: list[str], code: int, said: str, capsys: Any) -> None:
    assert main(["bench", *words]) == code
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


def test_what_a_render_raises_comes_through(tmp_path: Path, capsys: Any) -> None:
    photo = tmp_path / "no-photo.jpg"
    photo.write_bytes(b"no picture")
    assert main(["bench", "--size", "96x64", "--photo", str(photo), "--quiet"]) == 3
    err = capsys.readouterr().err
    assert "no-photo.jpg" in err
    assert err.count("\n") == 1


def test_the_other_door_is_the_same() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "reverie.benchmarks", "--repeat", "0"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("reverie: --repeat 0 cannot be used")


def test_the_help_is_light() -> None:
    code = (
        "import sys\nfrom reverie.cli.main import parser\nparser()\n"
        "print(sorted({'matplotlib', 'psutil', 'rich', 'numpy', 'onnxruntime', 'jsonschema',"
        " 'asyncio'} & set(sys.modules)))"
    )
    plain = code.replace("from reverie.cli.main import parser\nparser()", "import reverie.cli.plan")
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    other = subprocess.run(
        [sys.executable, "-c", plain], capture_output=True, text=True, check=True
    )
    assert found.stdout == other.stdout
    assert "matplotlib" not in found.stdout


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_ends_what_is_measured(toy_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    words = [sys.executable, "-m", "reverie", "bench", str(toy_bundle), "--size", "96x64"]
    words += ["--frames", "240", "--repeat", "50", "--photo", str(PHOTO), "--json", str(out)]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    children: list[int] = []
    end = time.monotonic() + 60
    while not children and time.monotonic() < end:
        children = workers(process.pid)
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped" in err
    assert children
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)
    assert not out.exists()


def workers(pid: int) -> list[int]:
    import psutil

    found = psutil.Process(pid).children()
    return [one.pid for one in found if "bench.worker" in " ".join(one.cmdline())]
