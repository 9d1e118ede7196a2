"""`reverie quantize`: what it makes and tells, and one line for what is wrong."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from reverie.cli import quantize as command
from reverie.cli.main import main
from reverie.engines.errors import OutputError
from reverie.export import quantize
from reverie.runtime.bundle import load_bundle


def files(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_variant_of_every_network(toy_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["quantize", str(toy_bundle), "--precision", "int8", "--weights-only", "--json"]) == 0
    )
    out, err = capsys.readouterr()
    assert err == ""
    told = json.loads(out)
    assert (told["precision"], told["family"]) == ("int8", "ember")
    assert told["path"] == str(toy_bundle.absolute())
    assert set(told["components"]) == {"denoiser"}  # the others have no weights worth it
    row = told["components"]["denoiser"]
    assert row["layers"] == {"int8 weights": 1}
    assert 30 < row["error"]["weights"]["worst"][0]["db"] < 60
    assert row["bytes"] > 0
    assert told["peak_memory_bytes"] > 2**20
    bundle = load_bundle(toy_bundle)
    bundle.verify()
    assert bundle.component("denoiser").precisions == ("fp16", "int8")


def test_fp16_of_what_is_only_stored_so(
    toy_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["quantize", str(toy_bundle), "--precision", "fp16", "--component", "denoiser"]
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines()[0].startswith("denoiser  fp16, ")
    assert "1 variants in" in out.splitlines()[-1]
    bundle = load_bundle(toy_bundle)
    own, variant = bundle.component("denoiser"), bundle.component("denoiser", "fp16")
    assert own.graph.file == "denoiser.onnx"
    assert variant.graph.file == "denoiser.fp16.onnx"


def test_calibrated_by_the_bundles_own_loop(
    toy_bundle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = Path(__file__).parents[1] / "data" / "demo.jpg"
    words = ["quantize", str(toy_bundle), "--precision", "int8", "--component", "denoiser"]
    assert main([*words, "--photo", str(photo), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["components"]["denoiser"]["layers"] == {"int8 weights and activations": 1}


def test_quiet_says_nothing(toy_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["quantize", str(toy_bundle), "--precision", "int4", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_a_copy_leaves_the_bundle_alone(
    toy_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, out = files(toy_bundle), tmp_path / "copy"
    words = ["quantize", str(toy_bundle), "--out", str(out), "--quiet"]
    assert main([*words, "--precision", "int4"]) == 0
    assert main([*words, "--precision", "fp8", "--weights-only"]) == 0
    assert files(toy_bundle) == before
    copied = load_bundle(out)
    copied.verify()
    assert copied.component("denoiser").precisions == ("fp16", "int4", "fp8")
    assert {path.name for path in tmp_path.iterdir()} == {"copy", toy_bundle.name}
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("Dear ...")
    words[3] = str(tmp_path / "full")
    assert main([*words, "--precision", "int4"]) == 5
    assert "holds other things than" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["letter.txt"]


def test_the_embedded_model_stays(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["quantize", "ember", "--precision", "int8"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "--out FOLDER" in err


def test_stopped_by_hand(
    toy_bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*words: Any, **options: Any) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(quantize, "quantize", stopped)
    assert main(["quantize", str(toy_bundle), "--precision", "int4"]) == 130
    err = capsys.readouterr().err
    assert err == f"reverie: stopped: {toy_bundle} is as it was, run the same again to go on\n"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (
            ["--precision", "int5"],
            2,
            "precision int5 is not known: use one of fp16, bf16, fp8, int8",
        ),
        ([], 2, "--precision"),
        (["--precision", "int4", "--component", "ear"], 2, "no component 'ear'"),
        (["--precision", "int4", "--component", "depth"], 2, "nothing to make in int4"),
        (["--precision", "int8", "--photo", "nowhere.jpg"], 2, "nowhere.jpg"),
        (["--precision", "int8", "--weights-only", "--photo", "bundle.json"], 2, "leave one"),
        (["--precision", "int4", "--activations"], 2, "nvfp4"),
        (["--precision", "int8", "--activations"], 2, "quantise activations anyway, the others"),
        (["--precision", "nvfp4", "--activations", "--weights-only"], 2, "exclude each other"),
    ],
)
def test_impossible_wishes_are_one_line(
    words: list[str],
    code: int,
    said: str,
    toy_bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(toy_bundle)
    before = files(toy_bundle)
    assert main(["quantize", ".", *words]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("reverie: ")
    assert err.count("\n") == 1
    assert said in err
    assert files(toy_bundle) == before


def test_no_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("nowhere", str(tmp_path)):
        assert main(["quantize", name, "--precision", "int4"]) == 4
        assert capsys.readouterr().err.count("\n") == 1


def test_a_copy_that_cannot_be_written(
    toy_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*words: Any, **options: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copytree", full)
    with pytest.raises(OutputError, match="No space left on device"):
        command.copy(load_bundle(toy_bundle), tmp_path / "copy")


def test_without_what_it_needs(
    toy_bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(["quantize", str(toy_bundle), "--precision", "int4"]) == 7
    assert "pip install 'reverie[cpu,export]'" in capsys.readouterr().err


def test_export_quantises_behind_itself(
    toy_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from reverie.export import assemble, source

    opened = SimpleNamespace(parts={}, notes=())
    monkeypatch.setattr(source, "open_source", lambda *words, **options: opened)
    monkeypatch.setattr(
        assemble, "export", lambda source, out, **options: shutil.copytree(toy_bundle, out)
    )
    words = ["export", "from", "--out", str(tmp_path / "made"), "--component", "denoiser"]
    assert main([*words, "--quantize", "int4", "--quantize", "nvfp4", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["components"]["denoiser"]["variants"] == ["int4", "nvfp4"]
    for precision, said in (("int5", "int5 is not known"), ("fp16", "leave it out")):
        assert main([*words, "--quantize", precision]) == 2
        assert said in capsys.readouterr().err
