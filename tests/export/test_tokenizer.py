"""tokenizer.json of an export: read by `tokenizers` alone, it gives what transformers gives."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reverie.engines.errors import BundleError, MissingPackageError
from reverie.export.tokenizer import write_tokenizer
from reverie.runtime.bundle import Bundle, hash_file
from reverie.runtime.text import Text

PROMPTS = [
    "",
    " ",
    "a cat walks on the grass",
    "A Cat,  WALKS\ton the\ngrass!",
    "low quality, blurry, worst quality",
    "caf\u00e9 \u2603 \u732b \U0001f408 na\u00efve",
    "</s> a <pad> <extra_id_3> <unk>",
    "waves " * 40,
    "\u2581 half\u00adhyphen \u00a0 wide \uff21\uff22",
]
CORPUS = [
    "a cat walks on the grass",
    "a robot waves its hand",
    "the quick brown fox jumps over the lazy dog",
    "low quality, blurry, worst quality",
    "video of a sea at sunset with waves",
]


@pytest.fixture(scope="module", params=["plain", "byte_fallback"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint's tokenizer/ as T5 and umT5 have it: a sentencepiece model alone."""
    import sentencepiece

    made = tmp_path_factory.mktemp("tokenizer")
    (made / "corpus.txt").write_text("\n".join(CORPUS * 20))
    bytes_too = request.param == "byte_fallback"
    sentencepiece.SentencePieceTrainer.train(
        input=str(made / "corpus.txt"),
        model_prefix=str(made / "spiece"),
        model_type="unigram",
        vocab_size=302 if bytes_too else 44,
        byte_fallback=bytes_too,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    return made


def bundle_with(out: Path, **text: Any) -> Bundle:
    manifest = {
        "text": {"max_tokens": 24, "pad_id": 0, **text},
        "files": {"tokenizer.json": hash_file(out / "tokenizer.json")},
    }
    return Bundle(out, "ltx", "b", "1", {}, manifest)


def assert_same_tokens(tokenizer: Any, out: Path) -> None:
    text = Text(bundle_with(out))
    for prompt in PROMPTS:
        for length in (24, 3, 128):
            expected = tokenizer(
                [prompt],
                padding="max_length",
                max_length=length,
                truncation=True,
                add_special_tokens=True,
                return_tensors="np",
            )
            ids, mask = text.tokens(prompt, length)
            np.testing.assert_array_equal(ids, expected.input_ids)
            np.testing.assert_array_equal(mask, expected.attention_mask)


@pytest.mark.parametrize("name", ["T5Tokenizer", "T5TokenizerFast", "NoSuchTokenizer"])
def test_a_sentencepiece_model_becomes_tokenizer_json(
    folder: Path, tmp_path: Path, name: str
) -> None:
    from transformers import T5TokenizerFast

    if name == "NoSuchTokenizer":  # the folder itself says what it is
        (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "T5Tokenizer"}')
    assert write_tokenizer(folder, tmp_path, name) == "tokenizer.json"
    assert [p.name for p in tmp_path.iterdir()] == ["tokenizer.json"]
    reference = T5TokenizerFast.from_pretrained(folder)
    assert len(set(reference("a cat walks").input_ids)) > 4  # not all unknown
    assert_same_tokens(reference, tmp_path)


def test_a_saved_tokenizer_gives_the_same(folder: Path, tmp_path: Path) -> None:
    from transformers import T5TokenizerFast

    saved, out = tmp_path / "saved", tmp_path / "out"
    out.mkdir()
    used = T5TokenizerFast.from_pretrained(folder, extra_ids=10)
    used("a cat", padding="max_length", max_length=7, truncation=True)  # leaves its traces
    used.save_pretrained(saved)
    assert (saved / "tokenizer.json").is_file()
    write_tokenizer(saved, out)
    assert_same_tokens(T5TokenizerFast.from_pretrained(saved), out)


def test_a_folder_without_one_and_a_broken_one(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="has no tokeniser"):
        write_tokenizer(tmp_path, tmp_path)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "tokenizer.json").write_text('{"version"')
    with pytest.raises(BundleError, match="cannot be read") as caught:
        write_tokenizer(broken, tmp_path)
    assert "\n" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["broken"]


def test_without_transformers(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import T5TokenizerFast

    saved, out = tmp_path / "saved", tmp_path / "out"
    out.mkdir()
    T5TokenizerFast.from_pretrained(folder).save_pretrained(saved)
    monkeypatch.setitem(sys.modules, "transformers", None)
    write_tokenizer(saved, out)
    assert_same_tokens(T5TokenizerFast.from_pretrained(saved), out)
    with pytest.raises(MissingPackageError, match="pip install transformers"):
        write_tokenizer(folder, out)
