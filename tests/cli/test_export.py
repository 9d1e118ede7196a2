"""`reverie export`: what it asks of the exporter, what it tells, and one line for what is wrong."""

from __future__ import annotations

import json
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLLTXVideo, FlowMatchEulerDiscreteScheduler
from diffusers import LTXVideoTransformer3DModel as Transformer
from reverie.cli import main as door
from reverie.cli.export import describe, parse_lora, progress
from reverie.cli.main import main
from reverie.engines.errors import SettingsError
from reverie.export import assemble
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import T5Config, T5EncoderModel

TOY = Path(__file__).parents[1] / "data" / "bundles" / "toy-ember"
ENCODER = "text_encoder/model.safetensors"
TENSOR = "encoder.block.0.layer.0.SelfAttention.q.weight"


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny LTX-Video checkpoint as diffusers saves one."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny-ltx"
    transformer = Transformer(
        in_channels=4,
        out_channels=4,
        num_attention_heads=2,
        attention_head_dim=6,
        cross_attention_dim=12,
        num_layers=1,
        caption_channels=8,
    )
    vae = AutoencoderKLLTXVideo(
        latent_channels=4,
        block_out_channels=(8, 8),
        down_block_types=("LTXVideoDownBlock3D",) * 2,
        decoder_block_out_channels=(8, 8),
        layers_per_block=(1, 1, 1),
        decoder_layers_per_block=(1, 1, 1),
        spatio_temporal_scaling=(True, False),
        decoder_spatio_temporal_scaling=(True, False),
        decoder_inject_noise=(False,) * 3,
        upsample_residual=(False,) * 2,
        upsample_factor=(1,) * 2,
        patch_size=2,
    )
    text = T5EncoderModel(
        T5Config(
            vocab_size=32,
            d_model=8,
            d_kv=4,
            d_ff=16,
            num_layers=1,
            num_heads=2,
            feed_forward_proj="gated-gelu",
        )
    )
    for name, part in (
        ("transformer", transformer),
        ("vae", vae),
        ("text_encoder", text),
        ("scheduler", FlowMatchEulerDiscreteScheduler()),
    ):
        part.save_pretrained(folder / name)
    (folder / "tokenizer").mkdir()
    index = {
        "_class_name": "LTXImageToVideoPipeline",
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        "text_encoder": ["transformers", "T5EncoderModel"],
        "tokenizer": ["transformers", "T5Tokenizer"],
        "transformer": ["diffusers", "LTXVideoTransformer3DModel"],
        "vae": ["diffusers", "AutoencoderKLLTXVideo"],
    }
    (folder / "model_index.json").write_text(json.dumps(index))
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    return folder


@pytest.fixture
def checkpoint(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of one's own, in the current folder."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(whole, tmp_path / "tiny-ltx"))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What is asked of the exporter, which writes the toy bundle instead of its own."""
    calls: list[dict[str, Any]] = []

    def export(source: Any, out: Path, **options: Any) -> Path:
        calls.append({"source": source, "out": out, **options})
        if options["on_progress"]:
            options["on_progress"]("denoiser: tracing", 1, 10)
            options["on_progress"]("denoiser: weights", 10, 10)
        return Path(shutil.copytree(TOY, out)) / "bundle.json"

    monkeypatch.setattr(assemble, "export", export)
    return calls


def lora(path: Path, *modules: str) -> Path:
    tensors = {}
    for module in modules:
        tensors[f"transformer.{module}.lora_A.weight"] = torch.zeros(2, 12)
        tensors[f"transformer.{module}.lora_B.weight"] = torch.zeros(12, 2)
    save_file(tensors, path)
    return path


def test_options_reach_the_exporter(
    checkpoint: Path, asked: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    lora(Path("fast.safetensors"), "transformer_blocks.0.attn1.to_q", "strange")
    words = ["--precision", "bf16", "--component", "denoiser", "--component", "vae_decoder"]
    words += ["--lora", "fast.safetensors:0.5", "--verify", "--family", "ltx"]
    assert main(["export", str(checkpoint), "--out", "made", *words]) == 0
    (call,) = asked
    assert call["source"].family == "ltx"
    assert call["out"] == Path("made")
    assert (call["precision"], call["verify"]) == ("bf16", True)
    assert call["components"] == ["denoiser", "vae_decoder"]
    assert call["loras"] == [(Path("fast.safetensors"), 0.5)]
    out, err = capsys.readouterr()
    assert out.startswith("made  ember, ")
    assert out.count("\n") == 1
    assert err == (
        "note: LoRA tensors that fit nothing here: transformer.strange.lora_A.weight, "
        "transformer.strange.lora_B.weight\n"
    )


def test_one_object_for_programs(
    checkpoint: Path, asked: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    (checkpoint / "README.md").unlink()
    assert main(["export", str(checkpoint), "--out", "made", "--json"]) == 0
    assert (asked[0]["precision"], asked[0]["components"]) == ("fp16", None)
    out, err = capsys.readouterr()
    assert err == ""
    report = json.loads(out)
    manifest = json.loads((TOY / "bundle.json").read_text())
    assert report["path"] == str(Path("made").absolute())
    assert report["family"] == "ember"
    assert report["notes"] == ["the checkpoint does not say its licence: ask who made it"]
    assert report["seconds"] > 0
    assert report["peak_memory_bytes"] > 2**20
    assert set(report["components"]) == set(manifest["components"])
    for name, row in report["components"].items():
        assert row["bytes"] == manifest["components"][name]["bytes"]


def test_quiet_says_nothing(
    checkpoint: Path, asked: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(checkpoint), "--out", "made", "--quiet"]) == 0
    assert asked[0]["on_progress"] is None
    assert capsys.readouterr() == ("", "")


def test_a_live_line_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with progress() as tell:
        assert tell is not None
        tell("fetching", 5, 100)
        tell("denoiser: weights", 10, 10)
    with progress(silent=True) as tell:
        assert tell is None
    assert describe("denoiser: weights") == "denoiser: writing weights"
    assert describe("fetching") == "fetching the checkpoint"
    assert describe("vae_decoder: other") == "vae_decoder: other"


def test_stopped_by_hand(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def export(*words: Any, **options: Any) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(assemble, "export", export)
    monkeypatch.setattr(door, "_signals", [signal.SIGINT])
    assert main(["export", str(checkpoint), "--out", "made"]) == 130
    err = capsys.readouterr().err
    assert err == "reverie: stopped: what is done lies in made, run the same again to go on\n"


def test_lora_and_its_scale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.safetensors", "b:2"):
        Path(name).write_bytes(b"")
    assert parse_lora("a.safetensors") == (Path("a.safetensors"), 1.0)
    assert parse_lora("a.safetensors:-0.25") == (Path("a.safetensors"), -0.25)
    assert parse_lora("b:2") == (Path("b:2"), 1.0)
    assert parse_lora("b:2:3") == (Path("b:2"), 3.0)
    for text in ("a.safetensors:", "a.safetensors:x", "a.safetensors:nan", "c.safetensors"):
        with pytest.raises(SettingsError, match="--lora"):
            parse_lora(text)


def test_without_torch(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert main(["export", str(checkpoint), "--out", "made"]) == 7
    err = capsys.readouterr().err
    assert err == (
        "reverie: onnx is not installed: `pip install 'reverie[cpu,export]'` brings all that export"
        " needs\n"
    )
    assert not Path("made").exists()


def tensors_of(file: Path) -> dict[str, torch.Tensor]:
    with safe_open(file, "pt") as opened:
        return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118


def changed(file: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    tensors = tensors_of(file)
    change(tensors)
    save_file(tensors, file)


def missing_tensor(folder: Path) -> None:
    changed(folder / ENCODER, lambda tensors: tensors.pop(TENSOR))


def wrong_shape(folder: Path) -> None:
    changed(folder / ENCODER, lambda tensors: tensors.update({TENSOR: torch.zeros(8, 7)}))


def not_a_number(folder: Path) -> None:
    def change(tensors: dict[str, torch.Tensor]) -> None:
        tensors[TENSOR][3, 4] = torch.nan

    changed(folder / ENCODER, change)


def cut_short(folder: Path) -> None:
    file = folder / ENCODER
    file.write_bytes(file.read_bytes()[:-5])


def only_a_pickle(folder: Path) -> None:
    (folder / ENCODER).unlink()
    torch.save({"a": torch.zeros(2)}, folder / "text_encoder" / "pytorch_model.bin")


def unknown_family(folder: Path) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    index["_class_name"] = "MochiPipeline"
    (folder / "model_index.json").write_text(json.dumps(index))


def broken_index(folder: Path) -> None:
    (folder / "model_index.json").write_text("{,")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (missing_tensor, ["text_encoder", TENSOR]),
        (wrong_shape, ["text_encoder", TENSOR, "[8, 7]", "[8, 8]"]),
        (not_a_number, ["text_encoder", TENSOR, "NaN"]),
        (cut_short, ["model.safetensors", "cut short"]),
        (only_a_pickle, ["pytorch_model.bin", "pickles", ".safetensors"]),
        (unknown_family, ["MochiPipeline", "ltx", "wan", "svd"]),
        (broken_index, ["model_index.json", "broken JSON"]),
    ],
)
def test_a_broken_checkpoint_is_one_line(
    spoil: Callable[[Path], None],
    words: list[str],
    checkpoint: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spoil(checkpoint)
    code = main(["export", "tiny-ltx", "--out", "made", "--component", "text_encoder"])
    out, err = capsys.readouterr()
    assert (code, out) == (4, "")
    assert err.startswith("reverie: ")
    assert err.count("\n") == 1
    for word in words:
        assert word in err
    assert not Path("made", "bundle.json").exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nowhere", "--out", "made"], 4, "there is no file or folder 'nowhere'"),
        (["tiny-ltx"], 2, "--out"),
        (["tiny-ltx", "--out", "made", "--precision", "fp8"], 2, "fp32, fp16, bf16"),
        (["tiny-ltx", "--out", "made", "--family", "mochi"], 2, "ltx, svd, wan"),
        (["tiny-ltx", "--out", "made", "--component", "ear"], 2, "denoiser"),
        (["tiny-ltx", "--out", "made", "--lora", "no.safetensors"], 2, "no file"),
        (["tiny-ltx", "--out", "made", "--lora", "other.safetensors"], 4, "another model"),
        (["tiny-ltx", "--out", "made", "--revision", "v1"], 2, "revision"),
        (["tiny-ltx", "--out", "made", "--text-encoder", "tiny-ltx/vae"], 4, "text_encoder"),
        (["tiny-ltx/vae", "--out", "made"], 4, "one part of a checkpoint"),
        (["other.safetensors", "--out", "made"], 4, "is not LTX-Video"),
    ],
)
def test_impossible_wishes_are_one_line(
    words: list[str],
    code: int,
    said: str,
    checkpoint: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lora(Path("other.safetensors"), "blocks.7.attn")
    assert main(["export", *words]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("reverie: ")
    assert err.count("\n") == 1
    assert said in err
    assert not Path("made", "bundle.json").exists()
