"""`reverie prompts`, on a toy video model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from reverie.cli.main import main
from reverie.runtime.bundle import load_bundle
from reverie.runtime.prompts import known_prompts
from reverie.runtime.text import Text


def test_adding_listing_and_removing(
    video_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(video_bundle)
    assert main(["prompts", folder, "list"]) == 0
    assert capsys.readouterr().out == "no prompts are baked into this bundle\n"
    assert main(["prompts", folder, "add", "golden hour", "a cat"]) == 0
    assert capsys.readouterr().out == 'baked "golden hour"\nbaked "a cat"\nbaked ""\n'
    assert main(["prompts", folder, "add", "a cat"]) == 0
    assert capsys.readouterr().out == "all of them were baked already\n"
    assert main(["prompts", folder, "remove", "a cat"]) == 0
    assert capsys.readouterr().out == 'removed "a cat"\n'
    assert main(["prompts", folder, "list"]) == 0
    assert capsys.readouterr().out == '""\n"golden hour"\n'
    assert main(["info", folder, "--verify"]) == 0


def test_json_is_one_object(video_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(video_bundle)
    assert main(["prompts", folder, "add", "sea", "--json"]) == 0
    assert main(["prompts", folder, "list", "--json"]) == 0
    assert main(["prompts", folder, "remove", "sea", "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    added, listed, removed = map(json.loads, out.splitlines())
    assert added == {"bundle": folder, "prompts": ["", "sea"], "added": ["sea", ""]}
    assert listed == {"bundle": folder, "prompts": ["", "sea"]}
    assert removed == {"bundle": folder, "prompts": [""], "removed": ["sea"]}


def test_a_clip_of_a_baked_prompt(
    video_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prompts", str(video_bundle), "add", "sea", "--quiet"]) == 0
    path = video_bundle / "bundle.json"
    manifest = json.loads(path.read_text())
    del manifest["components"]["text_encoder"]
    path.write_text(json.dumps(manifest))
    photo = Path(__file__).resolve().parents[1] / "data" / "photos" / "lake-sherburne.jpg"
    out = tmp_path / "clip.mp4"
    words = ["animate", str(photo), "--model", str(video_bundle), "--out", str(out)]
    words += ["--height", "96", "--frames", "9", "--json"]
    assert main([*words, "--prompt", "sea"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["frames"], told["fps"], told["steps"], told["guidance"]) == (9, 12, 3, 2.0)
    assert told["peak_memory_bytes"] > 10 * 2**20
    assert {"text", "denoise", "decode"} <= set(told["stages"])
    assert main([*words, "--force", "--prompt", "a dog"]) == 2
    line = json.loads(capsys.readouterr().out)["error"]
    assert "'a dog' is not known to toy-video" in line
    assert '("", "sea")' in line


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["BUNDLE"], 2, "add|list|remove"),
        (["BUNDLE", "bake", "sea"], 2, "'bake'"),
        (["BUNDLE", "add"], 2, "at least one text"),
        (["BUNDLE", "remove"], 2, "at least one text"),
        (["BUNDLE", "list", "sea"], 2, "no texts"),
        (["BUNDLE", "remove", "sea"], 2, '"sea" is not baked'),
        (["nowhere", "list"], 4, "not known"),
        (["ember", "add", "sea"], 2, "reads no prompts"),
    ],
)
def test_mistakes_are_one_line(
    video_bundle: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    code: int,
    said: str,
) -> None:
    words = [str(video_bundle) if word == "BUNDLE" else word for word in words]
    assert main(["prompts", *words]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert said in err


def test_ctrl_c_says_what_is_there(
    video_bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    encode = Text.encode

    def stopped(self: Text, texts: object, max_tokens: object = None) -> object:
        yield next(encode(self, texts, max_tokens))  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(Text, "encode", stopped)
    assert main(["prompts", str(video_bundle), "add", "sea", "wind"]) == 130
    assert "was already whole" in capsys.readouterr().err
    assert known_prompts(load_bundle(video_bundle)) == ("sea",)
