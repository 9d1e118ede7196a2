"""Checkpoints in folders: what is found, and one line for what is not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from reverie.engines.errors import BundleError, SettingsError
from reverie.export import source as module
from reverie.export.source import families, open_source
from safetensors.torch import save_file

INDEX = {
    "_class_name": "LTXImageToVideoPipeline",
    "_diffusers_version": "0.42.1",
    "boundary_ratio": None,
    "image_encoder": [None, None],
    "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
    "text_encoder": ["transformers", "T5EncoderModel"],
    "tokenizer": ["transformers", "T5Tokenizer"],
    "transformer": ["diffusers", "LTXVideoTransformer3DModel"],
    "vae": ["diffusers", "AutoencoderKLLTXVideo"],
}


def write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint with the form of a real one and next to nothing in it."""
    folder = tmp_path / "tiny-ltx"
    write_json(folder / "model_index.json", INDEX)
    for part in ("transformer", "vae"):
        write_json(folder / part / "config.json", {"_class_name": INDEX[part][1], "width": 8})
        save_file(
            {"a.weight": torch.zeros(2)}, folder / part / "diffusion_pytorch_model.safetensors"
        )
    write_json(folder / "text_encoder" / "config.json", {"d_model": 8})
    save_file({"shared.weight": torch.zeros(2)}, folder / "text_encoder" / "model.safetensors")
    write_json(folder / "scheduler" / "scheduler_config.json", {"shift": 3.0})
    write_json(folder / "tokenizer" / "tokenizer_config.json", {})
    (folder / "README.md").write_text("---\nlicense: apache-2.0\ntags:\n- video\n---\n# Tiny\n")
    return folder


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The families, without what they import."""
    pipelines = {"ltx": ("LTXImageToVideoPipeline",), "svd": ("StableVideoDiffusionPipeline",)}
    monkeypatch.setattr(module, "families", lambda: pipelines)


def refused(where: str | Path, said: str, **options: Any) -> str:
    with pytest.raises((BundleError, SettingsError), match=said) as caught:
        open_source(where, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_parts_of_a_folder(folder: Path) -> None:
    source = open_source(str(folder))
    assert (source.name, source.origin, source.family) == ("tiny-ltx", "tiny-ltx", "ltx")
    assert source.pipeline == "LTXImageToVideoPipeline"
    assert set(source.parts) == {"scheduler", "text_encoder", "tokenizer", "transformer", "vae"}
    assert source.index["boundary_ratio"] is None
    transformer = source.part("transformer")
    assert transformer.class_name == "LTXVideoTransformer3DModel"
    assert transformer.config["width"] == 8
    assert transformer.weights is not None
    assert transformer.folder == folder / "transformer"
    assert source.part("scheduler").config == {"shift": 3.0}
    assert source.part("scheduler").weights is None
    assert source.part("tokenizer").config == {}
    assert source.revision is None
    assert source.notes == ()
    with pytest.raises(BundleError, match="has no unet"):
        source.part("unet")


def test_what_is_wrong_with_a_folder_is_one_line(folder: Path, tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", "no file or folder")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "is empty")
    refused(folder / "vae", r"one part of a checkpoint \(AutoencoderKLLTXVideo\)")
    refused(tmp_path, "has no model_index.json")

    def changed(name: str, *, text: str | None = None) -> Path:
        copy = tmp_path / f"copy-{len(list(tmp_path.iterdir()))}"
        shutil.copytree(folder, copy)
        if text is not None:
            (copy / name).write_text(text)
        elif (copy / name).is_dir():
            shutil.rmtree(copy / name)
        else:
            (copy / name).unlink()
        return copy

    refused(changed("vae"), "has no folder vae, which its model_index.json names")
    refused(changed("vae/config.json"), "has no config.json")
    refused(changed("vae/diffusion_pytorch_model.safetensors"), "holds no weights")
    refused(changed("model_index.json", text="{"), "is broken JSON")
    refused(changed("vae/config.json", text="[1]"), "holds no JSON object")
    refused(changed("vae/config.json", text="[" * 100_000), "is broken JSON")
    refused(changed("model_index.json", text="{}"), "does not name its _class_name")


def test_an_unknown_family_lists_the_known_ones(folder: Path) -> None:
    write_json(folder / "model_index.json", INDEX | {"_class_name": "MochiPipeline"})
    said = refused(folder, "tiny-ltx is a MochiPipeline, which is of no known family")
    assert "ltx: LTXImageToVideoPipeline; svd: StableVideoDiffusionPipeline" in said
    assert open_source(folder, family="ltx").family == "ltx"  # a person may know better


def test_a_family_that_was_asked_for(folder: Path) -> None:
    assert open_source(folder, family="ltx").family == "ltx"
    refused(folder, "of the family ltx and not svd", family="svd")
    refused(folder, "no family 'mochi': known are auto, ltx, svd", family="mochi")


def test_only_names_lead_to_the_hub(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fetch(name: str, **options: Any) -> tuple[Path, str]:
        asked.append((name, options["revision"], options["without"]))
        return folder, "c0ffee"

    monkeypatch.setattr("reverie.export.hub.fetch", fetch)
    monkeypatch.chdir(folder.parent)
    refused("tiny-ltx/nowhere", "no file or folder 'tiny-ltx/nowhere' in tiny-ltx")
    for other in ("nowhere", "a/b/c", "./owner/name", "../name", "owner/name.safetensors", "x y/z"):
        refused(other, "no file or folder")
    refused("owner/name.bin", "pickles")
    refused(Path("owner/name"), "no file or folder")
    open_source(folder)
    open_source("tiny-ltx")
    assert asked == []

    source = open_source("owner/name@v1.0")
    assert (source.name, source.origin, source.revision) == ("name", "owner/name", "c0ffee")
    open_source("owner/name", revision="main", text_encoder=folder)
    assert asked == [
        ("owner/name", "v1.0", ()),
        ("owner/name", "main", ("text_encoder", "tokenizer")),
    ]
    refused("owner/name@v1", "two revisions", revision="v2")
    refused(folder, "a revision is for names on the Hub", revision="v2")


def test_a_folder_of_the_hubs_cache_knows_its_name(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "models--owner--name" / "snapshots" / "c0ffee"
    shutil.copytree(folder, place)
    source = open_source(place)
    assert (source.name, source.origin, source.revision) == ("name", "owner/name", "c0ffee")


@pytest.mark.parametrize(
    ("card", "texts", "expression"),
    [
        ("---\nlicense: mit\n---\n", {}, "MIT"),
        ("---\ntags: [a]\nlicense: 'cc-by-4.0'\n---\n", {}, "CC-BY-4.0"),
        ("---\nlicense: other\nlicense_name: ltxv open+weights\n---\n", {},
         "LicenseRef-ltxv-openplusweights"),
        ("---\nlicense: openrail++\n---\n", {}, "LicenseRef-openrailplusplus"),
        ("---\r\nlicense: mit\r\n---\r\n", {}, "MIT"),
        ("---\nlicense:\n  - apache-2.0\n  - mit\n---\n", {}, "Apache-2.0"),
        ("license: mit\n", {}, ""),
        ("---\nlicense: other\n---\n", {"LICENSE": "\n# Stability AI Community\n\nText"},
         "LicenseRef-Stability-AI-Community"),
        (None, {"LICENSE.txt": "  Apache License\n   Version 2.0, January 2004"}, "Apache-2.0"),
        (None, {"LICENSE.md": "MIT License\n\nCopyright"}, "MIT"),
        (None, {"NOTICE": "made by us"}, ""),
        (None, {}, ""),
    ],
)  # fmt: skip
def test_licence(card: str | None, texts: dict[str, str], expression: str, folder: Path) -> None:
    (folder / "README.md").unlink()
    if card is not None:
        (folder / "README.md").write_text(card)
    for name, text in texts.items():
        (folder / name).write_text(text)
    source = open_source(folder)
    assert source.license == expression
    assert [path.name for path in source.license_files] == list(texts)
    assert any("does not say its licence" in note for note in source.notes) == (not expression)


def test_variants_are_noted(folder: Path) -> None:
    vae = folder / "vae" / "diffusion_pytorch_model.safetensors"
    vae.rename(vae.with_name("diffusion_pytorch_model.fp16.safetensors"))
    assert open_source(folder).notes == ("vae: fp16 weights, there are no others",)


def test_old_names_of_attention(folder: Path) -> None:
    file = folder / "vae" / "diffusion_pytorch_model.safetensors"
    at = "encoder.mid_block.attentions.0"
    names = ("query.weight", "key.weight", "value.bias", "proj_attn.weight", "group_norm.weight")
    save_file({f"{at}.{name}": torch.zeros(2) for name in names}, file)
    weights = open_source(folder).part("vae").weights
    assert weights is not None
    wanted = ("to_q.weight", "to_k.weight", "to_v.bias", "to_out.0.weight", "group_norm.weight")
    assert set(weights) == {f"{at}.{name}" for name in wanted}


def test_a_text_encoder_from_elsewhere(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    write_json(other / "text_encoder" / "config.json", {"architectures": ["T5EncoderModel"]})
    save_file({"b": torch.zeros(2)}, other / "text_encoder" / "model.safetensors")
    refused(folder, "has no folder tokenizer", text_encoder=other)
    write_json(other / "tokenizer" / "tokenizer_config.json", {"tokenizer_class": "T5Tokenizer"})
    shutil.rmtree(folder / "text_encoder")  # not needed then

    parts = open_source(folder, text_encoder=other).parts
    assert (parts["text_encoder"].class_name, parts["tokenizer"].class_name) == (
        "T5EncoderModel",
        "T5Tokenizer",
    )
    assert list(parts["text_encoder"].weights or ()) == ["b"]
    assert parts["text_encoder"].folder == other / "text_encoder"


def test_every_family_names_its_pipelines() -> None:
    found = families()
    assert set(found) >= {"ltx", "wan", "svd"}
    assert "ember" not in found
    assert "WanImageToVideoPipeline" in found["wan"]
