"""LTX's original layout against diffusers: names, shapes and configurations."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLLTXVideo, LTXVideoTransformer3DModel
from diffusers.loaders import single_file_utils
from reverie.engines.errors import BundleError
from reverie.export.single_file import open_single_file
from safetensors.torch import save_file

OLD = "LTXVideoDownBlock3D"
NEW = "LTXVideo095DownBlock3D"
COMMON = {
    "in_channels": 3,
    "out_channels": 3,
    "latent_channels": 128,
    "patch_size": 4,
    "patch_size_t": 1,
    "resnet_norm_eps": 1e-6,
    "scaling_factor": 1.0,
    "encoder_causal": True,
    "decoder_causal": False,
    "spatial_compression_ratio": 32,
    "temporal_compression_ratio": 8,
}
"""The published VAEs, as their diffusers form has them."""
V090 = COMMON | {
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": [OLD] * 4,
    "decoder_block_out_channels": [128, 256, 512, 512],
    "layers_per_block": [4, 3, 3, 3, 4],
    "decoder_layers_per_block": [4, 3, 3, 3, 4],
    "spatio_temporal_scaling": [True, True, True, False],
    "decoder_spatio_temporal_scaling": [True, True, True, False],
    "decoder_inject_noise": [False] * 5,
    "downsample_type": ["conv"] * 4,
    "upsample_residual": [False] * 4,
    "upsample_factor": [1] * 4,
    "timestep_conditioning": False,
}
V091 = V090 | {
    "decoder_block_out_channels": [256, 512, 1024],
    "decoder_layers_per_block": [5, 6, 7, 8],
    "decoder_spatio_temporal_scaling": [True] * 3,
    "decoder_inject_noise": [True, True, True, False],
    "upsample_residual": [True] * 3,
    "upsample_factor": [2] * 3,
    "timestep_conditioning": True,
}
V095 = V091 | {
    "block_out_channels": [128, 256, 512, 1024, 2048],
    "down_block_types": [NEW] * 4,
    "layers_per_block": [4, 6, 6, 2, 2],
    "decoder_layers_per_block": [5, 5, 5, 5],
    "spatio_temporal_scaling": [True] * 4,
    "decoder_inject_noise": [False] * 4,
    "downsample_type": ["spatial", "temporal", "spatiotemporal", "spatiotemporal"],
}
TRANSFORMER = {
    "in_channels": 128,
    "out_channels": 128,
    "num_attention_heads": 32,
    "attention_head_dim": 64,
    "cross_attention_dim": 2048,
    "num_layers": 28,
    "caption_channels": 4096,
}
SMALL = {
    "in_channels": 8,
    "out_channels": 8,
    "num_attention_heads": 3,
    "attention_head_dim": 4,
    "cross_attention_dim": 12,
    "num_layers": 2,
    "caption_channels": 20,
}

# Where the original keeps what diffusers keeps, block by block.
ENCODER_OLD = ("0", "0.downsamplers.0", "0.conv_out", "1", "1.downsamplers.0", "1.conv_out", "2",
               "2.downsamplers.0", "3", "mid")  # fmt: skip
ENCODER_NEW = ("0", "0.downsamplers.0", "1", "1.downsamplers.0", "2", "2.downsamplers.0", "3",
               "3.downsamplers.0", "mid")  # fmt: skip
DECODER_OLD = ("mid", "0", "1.upsamplers.0", "1", "2.conv_in", "2.upsamplers.0", "2", "3.conv_in",
               "3.upsamplers.0", "3")  # fmt: skip
DECODER_NEW = ("mid", "0.upsamplers.0", "0", "1.upsamplers.0", "1", "2.upsamplers.0", "2")


def original_vae_name(name: str, encoder: tuple[str, ...], decoder: tuple[str, ...]) -> str:
    """The inverse of what is tested, written from the tables above."""
    if name.startswith("latents_"):
        return f"vae.per_channel_statistics.{name.removeprefix('latents_')}-of-means"
    for half, blocks, places in (("encoder", "down_blocks", encoder), ("decoder", "up_blocks",
                                                                       decoder)):  # fmt: skip
        for place in sorted(places, key=len, reverse=True):
            at = f"{half}.mid_block." if place == "mid" else f"{half}.{blocks}.{place}."
            if name.startswith(at):
                name = f"{half}.{blocks}.{places.index(place)}.{name.removeprefix(at)}"
                name = name.replace("resnets", "res_blocks").replace("norm3", "norm3.norm")
                return "vae." + name.replace("conv_shortcut.conv", "conv_shortcut")
    name = name.replace("decoder.time_embedder", "decoder.last_time_embedder")
    return "vae." + name.replace("decoder.scale_shift_table", "decoder.last_scale_shift_table")


def original_transformer_name(name: str) -> str:
    for word, other in (("proj_in", "patchify_proj"), ("time_embed.", "adaln_single."),
                        ("norm_q", "q_norm"), ("norm_k", "k_norm")):  # fmt: skip
        name = name.replace(word, other)
    return "model.diffusion_model." + name


def original(transformer: Mapping[str, Any], vae: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Return a checkpoint in the original layout."""
    new = vae["down_block_types"][0] == NEW
    late = vae["timestep_conditioning"]
    tables = (ENCODER_NEW if new else ENCODER_OLD, DECODER_NEW if late else DECODER_OLD)
    tensors = {
        original_transformer_name(name): tensor
        for name, tensor in LTXVideoTransformer3DModel(**transformer).state_dict().items()
    }
    for name, tensor in AutoencoderKLLTXVideo(**vae).state_dict().items():
        tensors[original_vae_name(name, *tables)] = tensor
    return tensors


def write_sparse(path: Path, shapes: Iterable[tuple[str, tuple[int, ...]]]) -> None:
    """Write a bf16 checkpoint of any size whose values take no room on the disk."""
    header, at = {}, 0
    for name, shape in shapes:
        end = at + 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + at)


@pytest.mark.parametrize("version", ["0.9.0", "0.9.1", "0.9.5"])
def test_published_sizes_give_published_configurations(version: str, tmp_path: Path) -> None:
    vae = {"0.9.0": V090, "0.9.1": V091, "0.9.5": V095}[version]
    with torch.device("meta"):
        tensors = original(TRANSFORMER, vae)
        wanted = LTXVideoTransformer3DModel(**TRANSFORMER).state_dict()
        wanted_vae = AutoencoderKLLTXVideo(**vae).state_dict()
    path = tmp_path / "ltxv-2b.safetensors"
    write_sparse(path, ((name, tuple(tensor.shape)) for name, tensor in tensors.items()))

    source = open_single_file(path)

    config = source.parts["vae"].config
    assert {name: config[name] for name in vae} == vae
    assert {name: source.parts["transformer"].config[name] for name in TRANSFORMER} == TRANSFORMER
    for part, state in (("transformer", wanted), ("vae", wanted_vae)):
        weights = source.parts[part].weights
        assert weights is not None
        assert {name: weights.shape(name) for name in weights} == {
            name: tuple(tensor.shape) for name, tensor in state.items()
        }
    condition = version == "0.9.5"
    assert source.pipeline == ("LTXConditionPipeline" if condition else "LTXImageToVideoPipeline")


@pytest.mark.parametrize("vae", [V090, V091, V095], ids=["0.9.0", "0.9.1", "0.9.5"])
def test_names_are_those_of_diffusers(vae: dict[str, Any], tmp_path: Path) -> None:
    with torch.device("meta"):
        tensors = original(TRANSFORMER, vae)
    path = tmp_path / "ltxv-2b.safetensors"
    write_sparse(path, ((name, tuple(tensor.shape)) for name, tensor in tensors.items()))
    parts = open_single_file(path).parts
    converted = single_file_utils.convert_ltx_transformer_checkpoint_to_diffusers(dict(tensors))
    assert set(parts["transformer"].weights or ()) == set(converted)
    converted = single_file_utils.convert_ltx_vae_checkpoint_to_diffusers(dict(tensors))
    assert set(parts["vae"].weights or ()) == set(converted)


def small(vae: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """Return a published VAE with an eighth of the channels and fewer layers."""
    lists = ("block_out_channels", "decoder_block_out_channels")
    layers = ("layers_per_block", "decoder_layers_per_block")
    return {
        **vae,
        **{name: [channels // 8 for channels in vae[name]] for name in lists},
        **{name: [min(2, n) for n in vae[name]] for name in layers},
        "latent_channels": 8,
        **changes,
    }


@pytest.mark.parametrize(
    "vae",
    [
        small(V090),
        small(V091),
        small(V095),
        small(V090, patch_size=2, spatial_compression_ratio=16),
        small(V095, decoder_causal=True, upsample_residual=[True, False, True]),
    ],
    ids=["0.9.0", "0.9.1", "0.9.5", "patch", "causal"],
)
@pytest.mark.parametrize("words", ["diffusers", "original"])
def test_values_are_those_of_the_model(vae: dict[str, Any], words: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    tensors = original(SMALL, vae)
    if words == "diffusers":
        told = {"transformer": SMALL, "vae": vae}
    else:
        between = [["res_x", {}], ["compress_all", {}]]
        blocks = [
            block
            for residual in vae["upsample_residual"]
            for block in (["res_x", {}], ["compress_all", {"residual": residual}])
        ]
        told = {
            "transformer": {"num_attention_heads": 3},
            "vae": {
                "_class_name": "CausalVideoAutoencoder",
                "blocks" if not vae["timestep_conditioning"] else "decoder_blocks": (
                    between if not vae["timestep_conditioning"] else [*blocks, ["res_x", {}]]
                ),
                "norm_layer": "pixel_norm",
                "causal_decoder": vae["decoder_causal"],
            },
            "allowed_inference_steps": [1.0, 0.9937, 0.725],
        }
    path = tmp_path / "tiny-ltx-distilled.safetensors"
    kept = {name: tensor.clone().contiguous() for name, tensor in tensors.items()}
    save_file(kept, path, metadata={"config": json.dumps(told)})

    source = open_single_file(path)

    config = source.parts["vae"].config
    assert {name: config[name] for name in vae} == vae
    for part, kind in (("transformer", LTXVideoTransformer3DModel), ("vae", AutoencoderKLLTXVideo)):
        weights = source.parts[part].weights
        assert weights is not None
        model = kind.from_config(dict(source.parts[part].config))
        state = {name: torch.from_numpy(weights.read(name).copy()) for name in weights}
        model.load_state_dict(state, strict=True)
    if words == "original":
        steps = source.parts["scheduler"].config["allowed_inference_steps"]
        assert steps == [1.0, 0.9937, 0.725]
    assert "text_encoder" not in source.parts
    assert source.name == "tiny-ltx-distilled"


def test_what_is_no_ltx_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"blocks.0.weight": torch.zeros(2, 2)}, path)
    with pytest.raises(BundleError, match=r"other\.safetensors is not LTX-Video") as caught:
        open_single_file(path)
    assert "\n" not in str(caught.value)


def test_unknown_heads_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    tensors = original(SMALL, small(V090))
    save_file({name: tensor.clone().contiguous() for name, tensor in tensors.items()}, path)
    with pytest.raises(BundleError, match="how many heads"):
        open_single_file(path)


def test_a_missing_tensor_is_named(tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    tensors = original(SMALL, small(V095))
    del tensors["vae.decoder.conv_out.conv.weight"]
    save_file(
        {name: tensor.clone().contiguous() for name, tensor in tensors.items()},
        path,
        metadata={"config": json.dumps({"transformer": SMALL})},
    )
    with pytest.raises(BundleError, match=r"tensor 'decoder\.conv_out\.conv\.weight' is missing"):
        open_single_file(path)


def test_a_transformer_alone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    tensors = {n: t.clone() for n, t in original(SMALL, small(V095)).items() if "vae." not in n}
    save_file(tensors, path)
    with pytest.raises(BundleError, match="a transformer but no VAE"):
        open_single_file(path)
