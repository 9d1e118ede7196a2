"""`reverie doctor`, on this machine and on those in tests/data/machines."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from reverie.cli import diagnosis, doctor
from reverie.cli.diagnosis import examine
from reverie.cli.main import main
from reverie.engines import probe

NAMES = sorted(
    path.stem for path in (Path(__file__).resolve().parents[1] / "data/machines").glob("*.json")
)
KEYS = {
    "": [
        "reverie",
        "python",
        "machine",
        "driver",
        "gpus",
        "backends",
        "encoders",
        "cache",
        "fits",
        "pip",
        "todo",
    ],
    "machine": [
        "system",
        "processor",
        "cores",
        "memory_bytes",
        "available_bytes",
        "unified",
        "jetson",
    ],
    "driver": ["version", "cuda", "problem", "unusable"],
    "cache": ["folder", "engines", "outdated", "bytes", "limit_bytes", "problem"],
}
ROWS = {
    "gpus": [
        "index",
        "name",
        "architecture",
        "capability",
        "library",
        "precisions",
        "memory_bytes",
        "free_bytes",
        "unified",
        "driver",
        "cuda",
    ],
    "backends": ["name", "package", "status", "version", "detail", "wanted", "mend"],
    "encoders": ["name", "title", "status", "detail"],
    "fits": ["device", "family", "precision", "residency", "bytes", "estimate"],
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REVERIE_CACHE", str(tmp_path / "engines"))
    monkeypatch.delenv("REVERIE_CACHE_LIMIT", raising=False)
    return tmp_path / "engines"


def check_keys(facts: dict[str, Any]) -> None:
    for name, keys in KEYS.items():
        assert list(facts[name] if name else facts) == keys
    for name, keys in ROWS.items():
        for row in facts[name]:
            assert list(row) == keys
    assert all("\n" not in line for line in facts["todo"])


@pytest.mark.parametrize("name", NAMES)
def test_every_machine_has_the_same_keys(
    recorded: Any, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = examine(recorded(name))
    json.dumps(facts)
    check_keys(facts)
    doctor._print(facts)
    out, err = capsys.readouterr()
    assert err == ""
    assert max(map(len, out.splitlines())) <= 120 or "to do:" in out
    assert facts["todo"] or "nothing is missing" in out
    for gpu in facts["gpus"]:
        assert gpu["name"] in out


@pytest.mark.parametrize(
    ("name", "todo"),
    [
        ("rtx4070", []),
        ("rtx3060", ["pip uninstall -y onnxruntime && pip install 'reverie[cuda,rtx,text]'"]),
        (
            "orin-nano",
            [
                "pip install 'reverie[cpu,text]' 'cuda-bindings==12.*'",
                "TensorRT comes with JetPack: sudo apt install nvidia-jetpack, and make the "
                "environment with --system-site-packages",
            ],
        ),
        (
            "gtx1080",
            [
                "NVIDIA GeForce GTX 1080: no engines are built for its compute capability 6.1; "
                "ONNX Runtime may still run on it",
                "pip uninstall -y onnxruntime && pip install 'reverie[cuda,text]'",
            ],
        ),
        ("driver-mismatch", ["the driver and its library are of different versions"]),
        (
            "driver-too-old",
            [
                "update the NVIDIA driver to 580 or newer (ONNX Runtime, TensorRT-RTX, CUDA "
                "Python: is for CUDA 13, and the driver 550.54.15 knows CUDA 12.4 at most)"
            ],
        ),
    ],
)
def test_what_to_do(recorded: Any, name: str, todo: list[str]) -> None:
    found = examine(recorded(name))["todo"]
    assert len(found) >= len(todo)
    assert bool(found) == bool(todo)
    for line, words in zip(found, todo, strict=False):
        assert line.startswith(words)


def test_what_would_fit(recorded: Any) -> None:
    def fits(name: str, device: str = "cuda:0") -> dict[str, tuple[str, str]]:
        rows = examine(recorded(name))["fits"]
        assert all(row["estimate"] is True for row in rows if row["family"] != "ember")
        return {
            row["family"]: (row["precision"], row["residency"])
            for row in rows
            if row["device"] == device
        }

    large, small, card = fits("h200"), fits("orin-nano"), fits("rtx2060")
    assert {large[name] for name in ("svd", "ltx", "wan")} == {("fp16", "kept")}
    assert "none" not in (large["ember"][1], small["ember"][1])
    assert small["wan"][1] in ("staged", "none")  # one memory: nothing to stream from
    assert card["svd"][1] in ("staged", "kept")
    assert card["wan"][1] == "streamed"
    assert fits("no-gpu", "cpu")["ember"][1] == "staged"


def test_this_machine_as_json(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    out, err = capsys.readouterr()
    assert (err, out.count("\n")) == ("", 1)
    facts = json.loads(out)
    check_keys(facts)
    assert facts["cache"]["folder"] == str(cache)
    assert not cache.exists()


def test_this_machine_as_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    for words in ("this machine", "ONNX Runtime", "libx264", "what would fit", "estimated"):
        assert words in out


def test_a_cache_that_cannot_be_used(
    recorded: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("REVERIE_CACHE", str(tmp_path / "file"))
    facts = examine(recorded("rtx4070"))
    check_keys(facts)
    assert "is no folder but a file" in facts["cache"]["problem"]
    assert facts["todo"] == [facts["cache"]["problem"]]
    monkeypatch.setenv("REVERIE_CACHE", str(tmp_path / "engines"))
    monkeypatch.setenv("REVERIE_CACHE_LIMIT", "much")
    assert "'much' cannot be used" in examine(recorded("rtx4070"))["cache"]["problem"]


def test_a_question_that_fails_in_a_way_nobody_thought_of(
    recorded: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("never thought of")

    for name in ("read", "run", "child", "memory", "system", "found", "version", "requirements"):
        probes = recorded("rtx4070")
        monkeypatch.setattr(probes, name, fail)
        facts = examine(probes)
        check_keys(facts)
        doctor._print(facts)
    monkeypatch.setattr(diagnosis, "_cache", fail)
    check_keys(examine(recorded("rtx4070")))


def test_bad_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--everything"]) == 2
    assert "unrecognized arguments" in capsys.readouterr().err


def test_a_driver_that_hangs_does_not_hang_us(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real program of that name which never answers."""
    if sys.platform == "win32":
        pytest.skip("a shell script stands for the program")
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    answer = probe.Probes().run(("nvidia-smi", "-q"), limit=0.5)
    assert answer.problem == "did not answer within 0.5 seconds"


def test_with_nothing_but_the_base_package(tmp_path: Path) -> None:
    """In a clean interpreter that has none of the extras, and loads none of what it has."""
    code = """
import json, sys
EXTRAS = {"onnxruntime", "tensorrt", "tensorrt_rtx", "cuda", "tokenizers", "torch", "onnx",
          "diffusers", "transformers", "onnxruntime_ep_nv_tensorrt_rtx", "pillow_heif"}
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in EXTRAS:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocker())
from reverie.cli.main import main
code = main(["doctor", "--json"])
print(json.dumps([code, sorted(EXTRAS & set(sys.modules)), "av" in sys.modules]))
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    facts, rest = map(json.loads, done.stdout.splitlines())
    assert rest == [0, [], False]
    check_keys(facts)
    assert {backend["status"] for backend in facts["backends"]} == {"missing"}
    assert facts["pip"].startswith("pip install 'reverie[")
    assert "cpu" in facts["pip"] or "cuda" in facts["pip"]
