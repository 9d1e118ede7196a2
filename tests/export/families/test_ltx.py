"""What an LTX bundle says: every number from the checkpoint's configurations, no network traced.

The networks themselves are compared with torch in tests/runtime/families/test_ltx.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLLTXVideo
from reverie.engines.errors import BundleError
from reverie.export.families import ltx
from reverie.export.families.ltx_decoder import decode_section
from reverie.export.families.ltx_networks import VaeDecoder, noise_weight_name
from reverie.export.part import Part
from reverie.export.source import Source

VAE: Mapping[str, Any] = {
    "latent_channels": 4,
    "block_out_channels": (4, 4, 4),
    "down_block_types": ("LTXVideoDownBlock3D",) * 3,
    "decoder_block_out_channels": (8, 16),
    "layers_per_block": (1, 1, 1, 1),
    "decoder_layers_per_block": (1, 2, 1),
    "spatio_temporal_scaling": (True, True, False),
    "decoder_spatio_temporal_scaling": (True, True),
    "decoder_inject_noise": (True, True, False),
    "upsample_residual": (True, True),
    "upsample_factor": (2, 2),
    "timestep_conditioning": True,
    "patch_size": 4,
}
TRANSFORMER = {"in_channels": 4, "out_channels": 4, "num_attention_heads": 2}


class Stored(dict[str, np.ndarray]):
    """Weights that are all in memory."""

    def read(self, name: str) -> np.ndarray:
        return self[name]


def source(
    pipeline: str = ltx.CONDITION,
    *,
    name: str = "tiny",
    vae: Mapping[str, Any] = VAE,
    transformer: Mapping[str, Any] = TRANSFORMER,
    scheduler: Mapping[str, Any] | None = None,
    scheduler_class: str = "FlowMatchEulerDiscreteScheduler",
    weights: Mapping[str, np.ndarray] | None = None,
) -> Source:
    plain = {"latents_mean": np.zeros(4, np.float32), "latents_std": np.ones(4, np.float32)}
    stored: Any = Stored(plain | dict(weights or {}))
    parts = {
        "transformer": Part("transformer", "LTXVideoTransformer3DModel", transformer, stored, None),
        "vae": Part("vae", "AutoencoderKLLTXVideo", vae, stored, None),
        "scheduler": Part("scheduler", scheduler_class, scheduler or {}, None, None),
        "text_encoder": Part("text_encoder", "T5EncoderModel", {"d_model": 16}, stored, None),
    }
    return Source(name=name, family="ltx", pipeline=pipeline, parts=parts, origin=name)


def test_numbers_come_from_the_configurations() -> None:
    mean, std = np.array([1, 2, 3, 4], np.float32), np.array([1, 2, 1, 2], np.float32)
    made = ltx.sections(source(weights={"latents_mean": mean, "latents_std": std}))
    assert made["pipeline"] == "LTXConditionPipeline"
    assert made["latents"] == {
        "channels": 4,
        "spatial_factor": 16,
        "temporal_factor": 4,
        "frame_rule": {"step": 4, "offset": 1},
        "scaling_factor": 1.0,
        "mean": [1, 2, 3, 4],
        "std": [1, 2, 1, 2],
    }
    assert made["limits"]["multiple"] == 32
    defaults = made["defaults"]
    assert (defaults["height"], defaults["width"], defaults["num_frames"]) == (512, 704, 161)
    assert (defaults["steps"], defaults["guidance"], defaults["frame_rate"]) == (50, 3.0, 25)
    assert defaults["image_cond_noise_scale"] == 0.15
    assert made["presets"] == {}
    assert made["text"]["max_tokens"] == 256
    assert made["text"]["attention"] == "prompt"


def test_the_image_pipeline_differs() -> None:
    leaning = {"use_dynamic_shifting": True, "shift_terminal": 0.1, "max_shift": 2.05}
    made = ltx.sections(source(ltx.IMAGE, scheduler=leaning))
    assert made["text"]["max_tokens"] == 128
    assert made["text"]["attention"] == "all"
    assert "image_cond_noise_scale" not in made["defaults"]
    assert made["schedule"]["dynamic_shift"]["max_shift"] == 2.05
    assert made["schedule"]["terminal"] == 0.1


def test_given_ratios_are_the_factors() -> None:
    vae = {**VAE, "spatial_compression_ratio": 24, "temporal_compression_ratio": 8}
    made = ltx.sections(source(vae=vae))
    assert made["latents"]["spatial_factor"] == 24
    assert made["latents"]["frame_rule"] == {"step": 8, "offset": 1}
    assert made["limits"]["multiple"] == 96


def test_a_distilled_checkpoint_has_presets() -> None:
    made = ltx.sections(source(name="LTX-Video-0.9.8-distilled"))
    assert made["defaults"]["guidance"] == 1.0
    assert made["defaults"]["timesteps"] == "distilled"
    assert made["defaults"]["steps"] == 8
    assert made["presets"]["first_pass"] == [1000.0, 993.7, 987.5, 981.2, 975.0, 909.4, 725.0]
    assert made["presets"]["second_pass"] == [909.4, 725.0, 421.9]
    own = source(scheduler={"allowed_inference_steps": [0.5, 1.0, 0.25]})
    assert ltx.sections(own)["presets"]["distilled"] == [1000.0, 500.0, 250.0]
    assert ltx.sections(own)["defaults"]["steps"] == 3


def test_inputs_follow_the_kind_of_vae() -> None:
    recipes = {recipe.name: recipe for recipe in ltx.recipes(source())}
    assert list(recipes) == ["text_encoder", "vae_encoder", "denoiser", "vae_decoder"]
    assert list(recipes["vae_decoder"].examples()) == ["latents", "timestep", "maps"]
    plain = {**VAE, "decoder_inject_noise": (False,) * 3, "timestep_conditioning": False}
    recipes = {recipe.name: recipe for recipe in ltx.recipes(source(vae=plain))}
    assert list(recipes["vae_decoder"].examples()) == ["latents"]
    assert recipes["denoiser"].plain_inputs == ("timestep", "coords")


def test_the_decoders_own_noise_is_counted_as_it_is_drawn() -> None:
    assert decode_section(VAE)["noise_maps"] == [[2, 4], [4, 2]]


def test_weights_keep_their_names_without_the_noise_inside() -> None:
    torch.manual_seed(0)
    vae = AutoencoderKLLTXVideo(**VAE)
    names = {f"decoder.{name}" for name in vae.decoder.state_dict()}
    wrapped = VaeDecoder(vae)
    found = {noise_weight_name("decoder." + n.split(".", 1)[1]) for n in wrapped.state_dict()}
    assert found == names


@pytest.mark.parametrize("noisy", [False, True])
def test_reach_is_as_far_as_a_change_is_seen(noisy: bool) -> None:
    """Change one latent: nothing beyond `reach` of it changes, and something past its edge does."""
    torch.manual_seed(0)
    config = {**VAE, "decoder_inject_noise": (noisy, noisy, False)}
    section = decode_section(config)
    reach, space, time = section["reach_frames"], 16, 4
    decoder = VaeDecoder(AutoencoderKLLTXVideo(**config)).eval()
    size = 2 * reach + 3
    latents = torch.randn(1, 4, size, 3, size)
    changed = latents.clone()
    changed[:, :, reach + 1, :, reach + 1] += 5.0
    extra: dict[str, torch.Tensor] = {"timestep": torch.tensor([0.05])}
    if noisy:
        maps = sum(scale**2 * count for scale, count in section["noise_maps"])
        extra["maps"] = torch.randn(1, maps, 3, size)
    with torch.no_grad():
        seen = (decoder(latents, **extra) - decoder(changed, **extra)).abs() > 1e-6
    frames = seen.any(dim=(0, 1, 3, 4)).nonzero().ravel()
    columns = seen.any(dim=(0, 1, 2, 3)).nonzero().ravel()
    at = reach + 1
    assert (at - reach) * time <= frames.min()
    assert frames.max() <= (at + reach) * time
    assert (at - section["reach_cells"]) * space <= columns.min()
    assert columns.max() < (at + section["reach_cells"] + 1) * space
    assert columns.max() >= (at + 2) * space  # it does look beyond its neighbours


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"transformer": {**TRANSFORMER, "in_channels": 8}}, "not of one checkpoint"),
        ({"transformer": {**TRANSFORMER, "patch_size": 2}}, "patch_size 2"),
        ({"vae": {**VAE, "patch_size_t": 2}}, "patch_size_t 2"),
        ({"weights": {"latents_mean": np.ones(3, np.float32)}}, "latents_mean has 3 numbers"),
        ({"weights": {"latents_std": np.full(4, np.nan, np.float32)}}, "latents_std"),
        ({"scheduler_class": "DDIMScheduler"}, "DDIMScheduler"),
    ],
)
def test_what_cannot_run_is_refused_in_one_line(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(BundleError) as caught:
        ltx.sections(source(**changes))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["latents_mean", "latents_std"])
def test_a_vae_without_its_statistics_is_refused(name: str) -> None:
    lacking = source()
    del lacking.parts["vae"].weights[name]  # type: ignore[union-attr]
    with pytest.raises(BundleError, match=f"no tensor '{name}'"):
        ltx.sections(lacking)


def test_other_pipelines_are_refused() -> None:
    with pytest.raises(BundleError, match="LTXPipeline, which is not known here"):
        ltx.recipes(source("LTXPipeline"))


def test_a_missing_part_is_named() -> None:
    lacking = source()
    parts = {name: part for name, part in lacking.parts.items() if name != "vae"}
    with pytest.raises(BundleError, match="no vae"):
        ltx.recipes(Source(name="x", family="ltx", pipeline=ltx.IMAGE, parts=parts))


def test_without_a_tokenizer_there_is_no_file(tmp_path: Path) -> None:
    assert ltx.files(source(), tmp_path) == []
