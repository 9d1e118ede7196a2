"""Prompts baked into a bundle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reverie.engines.errors import BundleError, OutputError, SettingsError
from reverie.runtime.bundle import Bundle, load_bundle
from reverie.runtime.prompts import known_prompts, remove_prompts
from reverie.runtime.text import Text, bake


def without_encoder(folder: Path) -> Bundle:
    path = folder / "bundle.json"
    manifest = json.loads(path.read_text())
    del manifest["components"]["text_encoder"]
    path.write_text(json.dumps(manifest))
    for file in ("text_encoder.onnx", "tokenizer.json"):
        (folder / file).unlink()
    return load_bundle(folder)


def test_a_baked_prompt_needs_no_encoder(video_bundle: Path) -> None:
    live = Text(load_bundle(video_bundle), "cpu").embed("a cat")
    bundle, new = bake(load_bundle(video_bundle), ["a cat", "golden hour", "a cat"], device="cpu")
    assert new == ("a cat", "golden hour", "")
    assert known_prompts(bundle) == ("", "a cat", "golden hour")
    bundle.verify()
    baked = Text(without_encoder(video_bundle), "cpu").embed("a cat")
    for mine, its in zip(baked, live, strict=True):
        assert mine.dtype == its.dtype
        np.testing.assert_array_equal(mine, its)


def test_an_unknown_prompt_is_told_the_known_ones(video_bundle: Path) -> None:
    bake(load_bundle(video_bundle), ["a cat", 'the "sea"'], device="cpu")
    text = Text(without_encoder(video_bundle), "cpu")
    assert text.embed_many(["a cat", ""])[1][0].shape == (1, 12, 4)
    with pytest.raises(SettingsError) as caught:
        text.embed_many(["a cat", "dogs"])
    assert r'("", "a cat", "the \"sea\"")' in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(SettingsError, match="'a cat' is not known"):
        text.embed("a cat", 7)  # baked at another length


def test_the_text_is_cleaned_before_it_is_looked_up(toy_video: Any, tmp_path: Path) -> None:
    section = {"max_tokens": 12, "clean": "wan", "pad_embeddings": "zeros"}
    folder = toy_video.make_bundle(tmp_path / "b", text=True)
    path = folder / "bundle.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "text": section}))
    bundle, new = bake(load_bundle(folder), ["  a \n cat "], device="cpu")
    assert new == ("a cat", "")
    stored = np.load(next(p for p in (folder / "prompts").iterdir() if p.stat().st_size > 600))
    assert stored["embeddings"].shape == (1, 3, 4)  # zeros take no space
    embeddings, mask = Text(bundle, "cpu").embed("a\tcat")
    assert embeddings.shape == (1, 12, 4)
    assert mask.sum() == 3
    assert not embeddings[:, 3:].any()


def test_a_negative_prompt_of_the_bundle_is_baked_along(toy_video: Any, tmp_path: Path) -> None:
    defaults = {"height": 48, "width": 64, "negative_prompt": "blurry"}
    folder = toy_video.make_bundle(tmp_path / "b", defaults=defaults)
    assert bake(load_bundle(folder), ["sea"], device="cpu")[1] == ("sea", "blurry")
    again, new = bake(load_bundle(folder), ["sea"], device="cpu")
    assert (new, known_prompts(again)) == ((), ("blurry", "sea"))


def test_a_damaged_file_is_told(video_bundle: Path) -> None:
    bundle, _ = bake(load_bundle(video_bundle), ["sea"], device="cpu")
    file = max((video_bundle / "prompts").iterdir())
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(BundleError, match="sha256"):
        Text(bundle, "cpu").embed_many(["sea", ""])
    with pytest.raises(BundleError, match="sha256"):
        bundle.verify()
    file.unlink()
    with pytest.raises(BundleError, match="is missing"):
        Text(bundle, "cpu").embed_many(["sea", ""])


def test_stopped_in_between_the_bundle_is_valid(
    video_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = Text.encode

    def stopped(self: Text, texts: Any, max_tokens: Any = None) -> Any:
        for index, embedded in enumerate(encode(self, texts, max_tokens)):
            if index == 2:
                raise KeyboardInterrupt
            yield embedded

    monkeypatch.setattr(Text, "encode", stopped)
    with pytest.raises(KeyboardInterrupt):
        bake(load_bundle(video_bundle), ["a", "cat", "sea"], device="cpu")
    bundle = load_bundle(video_bundle)
    assert known_prompts(bundle) == ("a", "cat")
    bundle.verify()
    assert not list(video_bundle.rglob("*.part"))


def test_removing(video_bundle: Path) -> None:
    bundle, _ = bake(load_bundle(video_bundle), ["a cat", "sea"], device="cpu")
    bundle = remove_prompts(bundle, ["a cat"])
    assert known_prompts(bundle) == ("", "sea")
    assert len(list((video_bundle / "prompts").iterdir())) == 2
    bundle.verify()
    with pytest.raises(SettingsError, match=r'"a cat" is not baked into toy-video.*"", "sea"'):
        remove_prompts(bundle, ["a cat"])


def test_a_folder_that_cannot_be_written_is_told(
    video_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (video_bundle / "prompts").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be written"):
        bake(load_bundle(video_bundle), ["sea"], device="cpu")
    assert known_prompts(load_bundle(video_bundle)) == ()


def test_many_known_prompts_are_counted(video_bundle: Path) -> None:
    path = video_bundle / "bundle.json"
    manifest = json.loads(path.read_text())
    manifest["prompts"] = {f"{i:064x}": {"prompt": f"p{i}", "max_tokens": 12} for i in range(30)}
    del manifest["components"]["text_encoder"]
    path.write_text(json.dumps(manifest))
    with pytest.raises(SettingsError, match="and 10 more"):
        Text(load_bundle(video_bundle), "cpu").embed("sea")
