"""`reverie info`, on the embedded model and on a toy video model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from reverie.cli.main import main
from reverie.runtime.bundle import load_bundle
from reverie.runtime.text import bake


def test_a_bundle_is_shown_as_tables(
    video_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = video_bundle / "bundle.json"
    manifest = json.loads(path.read_text())
    manifest["source"] = {"origin": "someone/toy", "revision": "abc123", "license": "", "loras": []}
    manifest["components"]["denoiser"] |= {
        "license": "OpenRAIL",
        "parity": {"outputs": {"a": {"relative_l2": 1e-7}, "b": {"relative_l2": 3.4e-6}}},
        "kept_fp32": {"norm2": {"reason": "normalises in float32", "count": 4}},
    }
    path.write_text(json.dumps(manifest))
    bake(load_bundle(video_bundle), ["[red]sea[/red]"], device="cpu")
    assert main(["info", str(video_bundle)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    for words in (
        "toy-video",
        "toyvideo",
        "Apache-2.0",
        "someone/toy",
        "abc123",
        "ToyPipeline",
        "OpenRAIL",
        "3.4e-06",
        "norm2: normalises in float32",
        "not measured",
        "timing.most_frames",
        "step 4, offset 1",
        '"[red]sea[/red]"',
        '""',
    ):
        assert words in out, words
    assert max(map(len, out.splitlines())) <= 120


def test_json_is_one_object(video_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(video_bundle), "--json", "--verify"]) == 0
    out, err = capsys.readouterr()
    assert (err, out.count("\n")) == ("", 1)
    told = json.loads(out)
    assert told["name"] == "toy-video"
    assert told["verified"] is True
    assert told["timing"] == {"fps": 12, "frames": 9, "most_frames": 33, "rule": "native"}
    assert set(told["components"]) == {"denoiser", "text_encoder"}
    assert told["components"]["denoiser"]["precision"] == "fp32"
    assert told["bytes"] == sum(p.stat().st_size for p in video_bundle.glob("*.onnx"))
    assert told["prompts"] == []


def test_the_embedded_model_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "ember", "--verify"]) == 0
    out = capsys.readouterr().out
    assert "all are whole" in out
    assert "people" in out


def test_what_a_terminal_would_obey_is_shown(
    video_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = video_bundle / "bundle.json"
    text = path.read_text().replace('"A toy."', '"A \\u001b[31m toy \\u202e"')
    path.write_text(text)
    assert main(["info", str(video_bundle)]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "A \\x1b[31m toy \\u202e" in out


def test_what_is_not_whole_is_told(video_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = video_bundle / "denoiser.onnx"
    content = bytearray(file.read_bytes())
    content[40] ^= 1
    file.write_bytes(content)
    assert main(["info", str(video_bundle)]) == 0
    assert main(["info", str(video_bundle), "--verify"]) == 4
    assert main(["info", str(video_bundle / "nothing"), "--json"]) == 4
    out, err = capsys.readouterr()
    assert "sha256" in err
    assert json.loads(out.splitlines()[-1])["kind"] == "BundleError"


@pytest.mark.parametrize(
    "odd", [{"parity": "x"}, {"parity": {"outputs": [1]}}, {"parity": None}, {"kept_fp32": [1]}]
)
def test_figures_of_another_kind_are_left_out(
    odd: dict[str, object], video_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = video_bundle / "bundle.json"
    manifest = json.loads(path.read_text())
    manifest["components"]["denoiser"] |= odd
    path.write_text(json.dumps(manifest))
    assert main(["info", str(video_bundle), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["components"]["denoiser"]
    assert (found["relative_l2"], found["kept_fp32"]) == (None, {})
