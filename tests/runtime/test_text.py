"""Tokens beside those of transformers, and what a bundle makes of them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from reverie.engines.errors import BundleError, MissingPackageError, SettingsError
from reverie.runtime.bundle import load_bundle
from reverie.runtime.text import Text, clean_wan, plain_characters


def changed(folder: Path, **text: Any) -> Text:
    path = folder / "bundle.json"
    manifest = json.loads(path.read_text())
    manifest["text"].update(text)
    path.write_text(json.dumps(manifest))
    return Text(load_bundle(folder), "cpu")


def test_a_prompt_is_padded_and_marked(video_bundle: Path) -> None:
    text = Text(load_bundle(video_bundle), "cpu")
    ids, mask = text.tokens("a cat sees the sea")
    assert ids.tolist() == [[3, 4, 2, 2, 5, 1, 0, 0, 0, 0, 0, 0]]
    assert mask.tolist() == [[1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0]]
    assert ids.dtype == mask.dtype == np.int64
    assert text.tokens("")[0].tolist() == [[1] + [0] * 11]


def test_a_long_prompt_is_cut_with_its_end_kept(video_bundle: Path) -> None:
    ids, mask = Text(load_bundle(video_bundle), "cpu").tokens("a cat " * 9, 6)
    assert ids.tolist() == [[3, 4, 3, 4, 3, 1]]
    assert mask.tolist() == [[1] * 6]


def test_embeddings_of_padding(video_bundle: Path) -> None:
    def embedded(**text: Any) -> np.ndarray:
        embeddings, mask = changed(video_bundle, **text).embed("a cat")
        assert embeddings.shape == (1, 12, 4)
        assert embeddings.dtype == np.float32
        assert mask.sum() == 3
        return embeddings

    told = embedded()
    np.testing.assert_allclose(embedded(attention="all") - told, 9, atol=1e-5)
    zeroed = embedded(attention="prompt", pad_embeddings="zeros")
    np.testing.assert_array_equal(zeroed[:, :3], told[:, :3])
    assert not zeroed[:, 3:].any()


def test_several_prompts_open_the_encoder_once(
    video_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reverie.runtime.bundle import Bundle

    opened, open_ = [], Bundle.open

    def counted(self: Bundle, name: str, **options: Any) -> Any:
        opened.append(name)
        return open_(self, name, **options)

    monkeypatch.setattr(Bundle, "open", counted)
    text = Text(load_bundle(video_bundle), "cpu")
    many = text.embed_many(["a cat", "", "a cat", "sea"])
    assert opened == ["text_encoder"]
    np.testing.assert_array_equal(many[0][0], many[2][0])
    np.testing.assert_array_equal(many[3][0], text.embed("sea")[0])


def test_without_an_encoder_the_known_prompts_are_listed(toy_video: Any, tmp_path: Path) -> None:
    folder = toy_video.make_bundle(tmp_path / "b")
    path = folder / "bundle.json"
    manifest = json.loads(path.read_text())
    del manifest["components"]["text_encoder"]
    path.write_text(json.dumps(manifest))
    with pytest.raises(SettingsError) as caught:
        Text(load_bundle(folder), "cpu").embed("a sea of cats")
    assert "'a sea of cats' is not known to toy-video" in str(caught.value)
    assert "(none)" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_bundle_without_text_reads_no_prompts(toy_video: Any, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="toy-video reads no prompts"):
        Text(load_bundle(toy_video.make_bundle(tmp_path / "b", text=False)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ({"max_tokens": 0}, "text.max_tokens must be a whole number"),
        ({"max_tokens": "many"}, "'many'"),
        ({"pad_id": -1}, "text.pad_id"),
        ({"clean": "soap"}, "one of none, wan"),
        ({"attention": 1}, "one of prompt, all"),
        ({"pad_embeddings": "keep"}, "one of encode, zeros"),
    ],
)
def test_a_broken_section_is_told(video_bundle: Path, text: dict[str, Any], said: str) -> None:
    with pytest.raises(BundleError) as caught:
        changed(video_bundle, **text)
    assert said in str(caught.value)


def test_impossible_lengths_and_texts(video_bundle: Path) -> None:
    text = Text(load_bundle(video_bundle), "cpu")
    for length in (0, True, "12", 2.0):
        with pytest.raises(SettingsError, match="max_tokens"):
            text.embed("a cat", length)
    with pytest.raises(SettingsError, match="no text"):
        text.embed("a \udcff cat")


def test_a_damaged_tokenizer_is_told(video_bundle: Path) -> None:
    path = video_bundle / "tokenizer.json"
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    with pytest.raises(BundleError, match="sha256"):
        Text(load_bundle(video_bundle), "cpu").embed("a cat")
    path.unlink()
    with pytest.raises(BundleError, match="is missing"):
        Text(load_bundle(video_bundle), "cpu").embed("a cat")


def test_a_missing_package_is_told(video_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(MissingPackageError, match="pip install tokenizers"):
        Text(load_bundle(video_bundle), "cpu").embed("a cat")


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("  a   cat\n\twalks ", "a cat walks"),
        ("fish &amp;amp; chips", "fish & chips"),
        ("\u201ccurly\u201d and it\u2019s", '"curly" and it\'s'),
        ("e\u0301te\u0301 \ufb01ne \uff21\uff22", "\u00e9t\u00e9 fine AB"),
        ("bell\x07 and\x00 null", "bell and null"),
        ("", ""),
    ],
)
def test_cleaning_as_wan_does(text: str, clean: str) -> None:
    assert clean_wan(text) == clean


def test_ftfy_is_used_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = ModuleType("ftfy")
    stand_in.fix_text = lambda text: text.replace("\u00c3\u00a9", "\u00e9")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ftfy", stand_in)
    assert clean_wan("caf\u00c3\u00a9 &lt;b&gt;") == "caf\u00e9 <b>"
    monkeypatch.setitem(sys.modules, "ftfy", None)
    assert clean_wan("caf\u00e9") == "caf\u00e9"


def test_the_reference_cleans_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    from diffusers.pipelines.wan import pipeline_wan_i2v as reference

    stand_in = ModuleType("ftfy")
    stand_in.fix_text = plain_characters  # type: ignore[attr-defined]
    monkeypatch.setattr(reference, "ftfy", stand_in, raising=False)
    for text in ("  A &amp;lt; B ", "two\n\nlines\u2028and\u3000more", "<i>&quot;x&quot;</i>"):
        assert clean_wan(text) == reference.prompt_clean(text)
