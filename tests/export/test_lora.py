"""LoRA files against the formula, and against the names that diffusers makes of them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    LTXVideoTransformer3DModel,
    UNetSpatioTemporalConditionModel,
    WanTransformer3DModel,
)
from diffusers.loaders import lora_conversion_utils
from reverie.engines.errors import BundleError
from reverie.export.lora import Loras
from reverie.export.part import Part
from reverie.export.weights import Weights
from safetensors.torch import save_file

RANK = 3


def part(model: torch.nn.Module, name: str, folder: Path) -> Part:
    path = folder / f"{name}.safetensors"
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, path)
    return Part(name, type(model).__name__, {}, Weights.open(path), None)


@pytest.fixture(scope="module")
def wan(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Part]:
    torch.manual_seed(0)
    model = WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=4,
        out_channels=4,
        text_dim=16,
        freq_dim=32,
        ffn_dim=40,
        num_layers=2,
        cross_attn_norm=True,
    )
    return {"transformer": part(model, "transformer", tmp_path_factory.mktemp("wan"))}


@pytest.fixture(scope="module")
def ltx(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Part]:
    torch.manual_seed(0)
    model = LTXVideoTransformer3DModel(
        in_channels=8,
        out_channels=8,
        num_attention_heads=2,
        attention_head_dim=6,
        cross_attention_dim=12,
        num_layers=2,
        caption_channels=10,
    )
    return {"transformer": part(model, "transformer", tmp_path_factory.mktemp("ltx"))}


def shape(parts: Mapping[str, Part], name: str) -> tuple[int, ...]:
    weights = next(iter(parts.values())).weights
    assert weights is not None
    return weights.shape(name)


def pair(out: int, inward: int, rank: int = RANK) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(out, rank), torch.randn(rank, inward)


def write(
    path: Path, tensors: Mapping[str, torch.Tensor], told: Mapping[str, Any] | None = None
) -> Path:
    metadata = {"lora_adapter_metadata": json.dumps(told)} if told is not None else None
    save_file({name: t.clone().contiguous() for name, t in tensors.items()}, path, metadata)
    return path


def check(loras: Loras, name: str, wanted: torch.Tensor) -> None:
    delta = loras.delta(name, tuple(wanted.shape))
    assert delta is not None
    assert delta.dtype == np.float32
    np.testing.assert_allclose(delta, wanted.numpy(), rtol=1e-5, atol=1e-5)


def wan_modules(wan: Mapping[str, Part]) -> dict[str, str]:
    """Return the original's name -> diffusers' name of all that distillations change."""
    names = {"time_projection.1": "condition_embedder.time_proj", "head.head": "proj_out"}
    for kind in ("text", "time"):
        for number, other in ((0, 1), (2, 2)):
            to = f"condition_embedder.{kind}_embedder.linear_{other}"
            names[f"{kind}_embedding.{number}"] = to
    for i in range(2):
        for ours, theirs in (("self_attn", "attn1"), ("cross_attn", "attn2")):
            for a, b in (("q", "to_q"), ("k", "to_k"), ("v", "to_v"), ("o", "to_out.0")):
                names[f"blocks.{i}.{ours}.{a}"] = f"blocks.{i}.{theirs}.{b}"
        names |= {f"blocks.{i}.ffn.0": f"blocks.{i}.ffn.net.0.proj"}
        names |= {f"blocks.{i}.ffn.2": f"blocks.{i}.ffn.net.2"}
    return names


def test_wan_in_its_original_names(wan: dict[str, Part], tmp_path: Path) -> None:
    torch.manual_seed(1)
    tensors, names = {}, wan_modules(wan)
    for original, name in names.items():
        up, down = pair(*shape(wan, f"{name}.weight"))
        tensors[f"diffusion_model.{original}.lora_up.weight"] = up
        tensors[f"diffusion_model.{original}.lora_down.weight"] = down
        bias = torch.randn(shape(wan, f"{name}.bias"))
        tensors[f"diffusion_model.{original}.diff_b"] = bias
    loras = Loras.open([(write(tmp_path / "x.safetensors", tensors), 0.5)], wan)
    assert loras.unused() == ()
    leaves = ("weight", "bias")
    assert set(loras.names()) == {f"{name}.{leaf}" for name in names.values() for leaf in leaves}
    converted = lora_conversion_utils._convert_non_diffusers_wan_lora_to_diffusers(dict(tensors))
    for name in names.values():
        at = f"transformer.{name}"
        up, down = converted[f"{at}.lora_B.weight"], converted[f"{at}.lora_A.weight"]
        check(loras, f"{name}.weight", 0.5 * up @ down)
        check(loras, f"{name}.bias", 0.5 * converted[f"{at}.lora_B.bias"])


def test_wan_as_kohya_writes_it(wan: dict[str, Part], tmp_path: Path) -> None:
    torch.manual_seed(2)
    tensors, blocks = {}, {}
    for original, name in wan_modules(wan).items():
        if original.startswith("blocks."):
            flat = "lora_unet_" + original.replace(".", "_")
            up, down = pair(*shape(wan, f"{name}.weight"))
            tensors |= {f"{flat}.lora_up.weight": up, f"{flat}.lora_down.weight": down}
            tensors[f"{flat}.alpha"] = torch.tensor(1.5)
            blocks[name] = up, down
    loras = Loras.open([(write(tmp_path / "x.safetensors", tensors), 1.0)], wan)
    assert loras.unused() == ()
    for name, (up, down) in blocks.items():
        check(loras, f"{name}.weight", 1.5 / RANK * up @ down)
    converted = lora_conversion_utils._convert_musubi_wan_lora_to_diffusers(dict(tensors))
    for name in blocks:
        at = f"transformer.{name}"
        up, down = converted[f"{at}.lora_B.weight"], converted[f"{at}.lora_A.weight"]
        check(loras, f"{name}.weight", up @ down)


def test_whole_differences(wan: dict[str, Part], tmp_path: Path) -> None:
    torch.manual_seed(3)
    norm = torch.randn(shape(wan, "blocks.1.norm2.weight"))
    bias = torch.randn(shape(wan, "blocks.1.norm2.bias"))
    key = torch.randn(shape(wan, "blocks.0.attn1.norm_k.weight"))
    table = torch.randn(shape(wan, "blocks.0.scale_shift_table"))
    patch = torch.randn(shape(wan, "patch_embedding.weight"))
    tensors = {
        "diffusion_model.blocks.1.norm3.diff": norm,
        "diffusion_model.blocks.1.norm3.diff_b": bias,
        "diffusion_model.blocks.0.self_attn.norm_k.diff": key,
        "diffusion_model.blocks.0.diff_m": table,
        "diffusion_model.patch_embedding.diff": patch.to(torch.bfloat16),
    }
    loras = Loras.open([(write(tmp_path / "x.safetensors", tensors), 2.0)], wan)
    assert loras.unused() == ()
    check(loras, "blocks.1.norm2.weight", 2 * norm)
    check(loras, "blocks.1.norm2.bias", 2 * bias)
    check(loras, "blocks.0.attn1.norm_k.weight", 2 * key)
    check(loras, "blocks.0.scale_shift_table", 2 * table)
    check(loras, "patch_embedding.weight", 2 * patch.to(torch.bfloat16).float())
    assert loras.delta("blocks.0.attn1.to_q.weight", (24, 24)) is None


@pytest.mark.parametrize(
    "at",
    [
        "transformer.{}.lora_{}.weight",
        "{}.lora_{}.weight",
        "base_model.model.{}.lora_{}.weight",
        "base_model.model.transformer.{}.lora_{}.default.weight",
        "diffusion_model.{}.lora_{}.weight",
        "transformer.{}.lora.{}.weight",
    ],
)
def test_peft_names(at: str, ltx: dict[str, Part], tmp_path: Path) -> None:
    torch.manual_seed(4)
    name = "transformer_blocks.1.attn2.to_out.0"
    up, down = pair(*shape(ltx, f"{name}.weight"))
    old = ".lora." in at
    tensors = {
        at.format(name, "up" if old else "B"): up.to(torch.float16),
        at.format(name, "down" if old else "A"): down.to(torch.float16),
    }
    loras = Loras.open([(write(tmp_path / "x.safetensors", tensors), 1.0)], ltx)
    check(loras, f"{name}.weight", up.half().float() @ down.half().float())


@pytest.mark.parametrize(
    ("told", "factor"),
    [
        (None, 1.0),
        ({"transformer.r": RANK, "transformer.lora_alpha": 12}, 12 / RANK),
        (
            {"transformer.lora_alpha": 12, "transformer.alpha_pattern": {"attn1.to_q": 6}},
            6 / RANK,
        ),
        ({"transformer.lora_alpha": 12, "transformer.use_rslora": True}, 12 / math.sqrt(RANK)),
        ({"r": 1, "lora_alpha": 5}, 5 / RANK),
    ],
)
def test_alpha_of_the_metadata(
    told: dict[str, Any] | None, factor: float, ltx: dict[str, Part], tmp_path: Path
) -> None:
    torch.manual_seed(5)
    name = "transformer_blocks.0.attn1.to_q"
    up, down = pair(*shape(ltx, f"{name}.weight"))
    bias = torch.randn(shape(ltx, f"{name}.bias"))
    tensors = {
        f"transformer.{name}.lora_A.weight": down,
        f"transformer.{name}.lora_B.weight": up,
        f"transformer.{name}.lora_B.bias": bias,
    }
    loras = Loras.open([(write(tmp_path / "x.safetensors", tensors, told), 0.8)], ltx)
    check(loras, f"{name}.weight", 0.8 * factor * up @ down)
    check(loras, f"{name}.bias", 0.8 * factor * bias)


def test_ltx_in_its_original_names(ltx: dict[str, Part], tmp_path: Path) -> None:
    torch.manual_seed(6)
    tensors, wanted = {}, {}
    for original, name in {
        "patchify_proj": "proj_in",
        "adaln_single.linear": "time_embed.linear",
        "adaln_single.emb.timestep_embedder.linear_1": "time_embed.emb.timestep_embedder.linear_1",
        "transformer_blocks.0.attn1.to_k": "transformer_blocks.0.attn1.to_k",
        "transformer_blocks.1.ff.net.0.proj": "transformer_blocks.1.ff.net.0.proj",
    }.items():
        up, down = pair(*shape(ltx, f"{name}.weight"))
        tensors[f"diffusion_model.{original}.lora_A.weight"] = down
        tensors[f"diffusion_model.{original}.lora_B.weight"] = up
        wanted[name] = up @ down
    norm = torch.randn(shape(ltx, "transformer_blocks.0.attn1.norm_q.weight"))
    tensors["diffusion_model.transformer_blocks.0.attn1.q_norm.diff"] = norm
    loras = Loras.open([(write(tmp_path / "x.safetensors", tensors), 1.0)], ltx)
    assert loras.unused() == ()
    for name, delta in wanted.items():
        check(loras, f"{name}.weight", delta)
    check(loras, "transformer_blocks.0.attn1.norm_q.weight", norm)


def test_convolutions(tmp_path: Path) -> None:
    torch.manual_seed(7)
    model = UNetSpatioTemporalConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
        cross_attention_dim=16,
        num_attention_heads=2,
        projection_class_embeddings_input_dim=96,
        addition_time_embed_dim=32,
    )
    svd = {"unet": part(model, "unet", tmp_path)}
    flat = "down_blocks.0.resnets.0.spatial_res_block.conv1"
    deep = "down_blocks.0.resnets.0.temporal_res_block.conv1"
    norm = "down_blocks.0.resnets.0.spatial_res_block.norm2"
    one = "down_blocks.0.attentions.0.transformer_blocks.0.norm3"
    tensors, wanted = {}, {}
    for name in (flat, deep):
        out, inward, *kernel = shape(svd, f"{name}.weight")
        down = torch.randn(RANK, inward, *kernel)
        up = torch.randn(out, RANK, *(1 for _ in kernel))
        at = "lora_unet_" + name.replace(".", "_")
        tensors |= {f"{at}.lora_down.weight": down, f"{at}.lora_up.weight": up}
        tensors[f"{at}.alpha"] = torch.tensor(1, dtype=torch.float16)
        wanted[name] = torch.einsum("or,ri...->oi...", up.flatten(1), down) / RANK
    difference = torch.randn(shape(svd, f"{one}.weight"))
    tensors[f"unet.{one}.diff"] = difference  # there is a norm2 beside it, which Wan calls norm3
    tensors[f"unet.{norm}.diff_b"] = torch.ones(shape(svd, f"{norm}.bias"))
    loras = Loras.open([(write(tmp_path / "x.safetensors", tensors), 1.0)], svd)
    for name, delta in wanted.items():
        check(loras, f"{name}.weight", delta)
    check(loras, f"{one}.weight", difference)
    assert set(loras.names()) == {f"{flat}.weight", f"{deep}.weight", f"{one}.weight",
                                  f"{norm}.bias"}  # fmt: skip


def test_several_files_add_up(ltx: dict[str, Part], tmp_path: Path) -> None:
    torch.manual_seed(8)
    name = "transformer_blocks.0.attn1.to_q"
    files, wanted = [], torch.zeros(shape(ltx, f"{name}.weight"))
    for i, scale in enumerate((0.5, -2.0)):
        up, down = pair(*shape(ltx, f"{name}.weight"), rank=i + 1)
        tensors = {f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}
        files.append((write(tmp_path / f"{i}.safetensors", tensors), scale))
        wanted += scale * up @ down
    check(Loras.open(files, ltx), f"{name}.weight", wanted)


def test_what_fits_nothing_is_told(ltx: dict[str, Part], tmp_path: Path) -> None:
    up, down = pair(*shape(ltx, "proj_in.weight"))
    tensors = {
        "proj_in.lora_A.weight": down,
        "proj_in.lora_B.weight": up,
        "audio_proj.lora_A.weight": down,
        "audio_proj.alpha": torch.ones(()),
        "proj_out.lora_B.weight": torch.randn(shape(ltx, "proj_out.weight")[0], RANK),
        "strange": torch.zeros(1),
    }
    loras = Loras.open([(write(tmp_path / "x.safetensors", tensors), 1.0)], ltx)
    assert loras.names() == ["proj_in.weight"]
    assert set(loras.unused()) == set(tensors) - {"proj_in.lora_A.weight", "proj_in.lora_B.weight"}


@pytest.mark.parametrize(
    ("tensors", "told", "said"),
    [
        ({"blocks.0.lora_A.weight": (3, 8), "blocks.0.lora_B.weight": (8, 3)}, None,
         "none of its 2 tensors .* was made for another model"),
        ({"proj_in.lora_A.weight": (3, 9), "proj_in.lora_B.weight": (12, 3)}, None,
         "another size of this model"),
        ({"proj_in.lora_A.weight": (4, 8), "proj_in.lora_B.weight": (12, 3)}, None,
         "another size of this model"),
        ({"proj_in.diff": (3, 3)}, None, "another size of this model"),
        ({"proj_in.hada_w1_a": (3, 3)}, None, "of a kind that cannot be fused"),
        ({"proj_in.dora_scale": (3, 3)}, None, "of a kind that cannot be fused"),
        ({"proj_in.lora_A.weight": (3, 8)}, {"transformer.use_dora": True}, "is a DoRA"),
    ],
)  # fmt: skip
def test_what_cannot_be_fused_is_one_line(
    tensors: dict[str, tuple[int, ...]],
    told: dict[str, Any] | None,
    said: str,
    ltx: dict[str, Part],
    tmp_path: Path,
) -> None:
    made = {name: torch.zeros(size) for name, size in tensors.items()}
    path = write(tmp_path / "x.safetensors", made, told)
    with pytest.raises(BundleError, match=said) as caught:
        Loras.open([(path, 1.0)], ltx)
    assert "\n" not in str(caught.value)
