"""What of a Stable Video Diffusion checkpoint becomes graphs and manifest, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import UNetSpatioTemporalConditionModel
from reverie.engines.errors import BundleError
from reverie.export import assemble, fake
from reverie.export.families import svd
from reverie.export.families.svd_modules import Denoiser, ImageEncoder, VaeDecoder, VaeEncoder
from reverie.export.part import Part
from reverie.export.source import Source, open_source
from reverie.runtime.bundle import load_bundle

UNET = {
    "block_out_channels": [320, 640, 1280, 1280],
    "cross_attention_dim": 1024,
    "in_channels": 8,
    "num_attention_heads": [5, 10, 20, 20],
    "num_frames": 25,
    "out_channels": 4,
    "sample_size": 96,
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 768,
}
VAE = {
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "force_upcast": True,
    "latent_channels": 4,
    "layers_per_block": 2,
    "scaling_factor": 0.18215,
}
CLIP = {
    "hidden_size": 1280,
    "image_size": 224,
    "intermediate_size": 5120,
    "num_attention_heads": 16,
    "num_hidden_layers": 32,
    "patch_size": 14,
    "projection_dim": 1024,
}
SCHEDULER = {
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "prediction_type": "v_prediction",
    "sigma_max": 700.0,
    "sigma_min": 0.002,
    "steps_offset": 1,
    "timestep_spacing": "leading",
    "timestep_type": "continuous",
    "use_karras_sigmas": True,
}
PARTS = {
    "unet": ("UNetSpatioTemporalConditionModel", UNET),
    "vae": ("AutoencoderKLTemporalDecoder", VAE),
    "image_encoder": ("CLIPVisionModelWithProjection", CLIP),
    "scheduler": ("EulerDiscreteScheduler", SCHEDULER),
    "feature_extractor": ("CLIPImageProcessor", {"image_mean": [0.5, 0.4, 0.3]}),
}


def source(**changes: dict[str, Any] | None) -> Source:
    """The published 25-frame checkpoint's configurations; None leaves a part out."""
    parts = {
        name: Part(name, class_name, {**config, **(changes.get(name) or {})}, None, None)
        for name, (class_name, config) in PARTS.items()
        if changes.get(name, {}) is not None
    }
    return Source("img2vid-xt", "svd", "StableVideoDiffusionPipeline", parts)


def test_the_published_checkpoint_is_a_manifest_of_its_own_numbers() -> None:
    found = svd.sections(source())
    assert found["latents"] == {
        "channels": 4,
        "spatial_factor": 8,
        "temporal_factor": 1,
        "frame_rule": {"step": 1, "offset": 0},
        "scaling_factor": 0.18215,
    }
    defaults = found["defaults"]
    assert (defaults["height"], defaults["width"], defaults["num_frames"]) == (576, 1024, 25)
    assert found["limits"]["multiple"] == 8
    assert found["limits"]["denoised_cell_bytes"] == 4 * 40 * 320
    assert found["limits"]["decoded_pixel_bytes"] == 4 * (3 * 256 + 128)
    assert found["timing"] == {"fps": 7, "frames": 25, "most_frames": 25, "rule": "slow"}
    assert found["image"]["mean"] == [0.5, 0.4, 0.3]
    assert found["image"]["std"] == list(svd.CLIP_STD)
    assert found["schedule"]["sigma_max"] == 700.0


def test_without_a_feature_extractor_clip_has_its_usual_numbers() -> None:
    assert svd.sections(source(feature_extractor=None))["image"]["mean"] == list(svd.CLIP_MEAN)


def test_other_checkpoints_have_other_sizes() -> None:
    found = svd.sections(
        source(vae={"block_out_channels": [32] * 5}, unet={"sample_size": [40, 20]})
    )
    assert found["latents"]["spatial_factor"] == 16
    assert found["limits"]["multiple"] == 16
    assert (found["defaults"]["height"], found["defaults"]["width"]) == (640, 320)


def test_four_components_and_what_they_give() -> None:
    found = {recipe.name: recipe for recipe in svd.recipes(source())}
    assert list(found) == ["image_encoder", "vae_encoder", "denoiser", "vae_decoder"]
    assert found["denoiser"].plain_inputs == ("timestep", "added_ids")
    assert found["denoiser"].outputs == {"prediction": (1, "frames", 4, "rows", "columns")}
    assert found["image_encoder"].outputs == {"embedding": (1, 1024)}
    assert found["image_encoder"].least_precision is None


@pytest.mark.parametrize(("upcast", "least"), [(True, "fp32"), (None, "fp32"), (False, None)])
def test_the_vae_stays_in_the_precision_the_checkpoint_asks_for(
    upcast: bool | None, least: str | None
) -> None:
    found = {recipe.name: recipe for recipe in svd.recipes(source(vae={"force_upcast": upcast}))}
    for name in ("vae_encoder", "vae_decoder"):
        assert found[name].least_precision == least
        assert bool(found[name].why) == (least is not None)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"vae": {"latent_channels": 8}}, "not of one checkpoint"),
        ({"unet": {"addition_time_embed_dim": 100}}, "should be 300"),
        ({"vae": None}, "has no (part )?'?vae"),
        ({"image_encoder": None}, "has no (part )?'?image_encoder"),
        ({"scheduler": {"prediction_type": "flow"}}, "prediction_type"),
    ],
)
def test_checkpoints_that_cannot_be_are_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(BundleError, match=told) as caught:
        svd.sections(source(**changes))
    assert "\n" not in str(caught.value)


def test_full_size_modules_have_the_names_of_the_checkpoint() -> None:
    found = {recipe.name: recipe for recipe in svd.recipes(source())}
    wanted = {
        "image_encoder": (ImageEncoder, "vision_model.encoder.layers.31.mlp.fc2.weight"),
        "vae_encoder": (VaeEncoder, "encoder.mid_block.attentions.0.group_norm.weight"),
        "vae_decoder": (VaeDecoder, "decoder.up_blocks.3.resnets.2.time_mixer.mix_factor"),
        "denoiser": (Denoiser, "up_blocks.0.upsamplers.0.conv.weight"),
    }
    for name, (kind, tensor) in wanted.items():
        recipe = found[name]
        module = fake.build(recipe)
        assert type(module) is kind
        assert tensor in {recipe.weight_name(own) for own in module.state_dict()}
        assert all(value.is_meta for value in module.parameters())


def test_the_traced_denoiser_is_the_networks_own_at_sides_that_do_not_halve() -> None:
    torch.manual_seed(0)
    network = UNetSpatioTemporalConditionModel(
        block_out_channels=(32, 32, 64),
        down_block_types=("DownBlockSpatioTemporal",) * 2 + ("CrossAttnDownBlockSpatioTemporal",),
        up_block_types=("CrossAttnUpBlockSpatioTemporal",) + ("UpBlockSpatioTemporal",) * 2,
        layers_per_block=1,
        num_attention_heads=4,
        cross_attention_dim=16,
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=24,
    ).eval()
    for rows, columns in ((7, 10), (8, 12)):
        given = (
            torch.randn(1, 3, 8, rows, columns),
            torch.tensor([1.25]),
            torch.randn(1, 1, 16),
            torch.tensor([[6.0, 127.0, 0.02]]),
        )
        with torch.no_grad():
            expected = network(*given).sample
            twin = Denoiser(UNetSpatioTemporalConditionModel.from_config(network.config)).eval()
            twin.network.load_state_dict(network.state_dict())
            found = twin(*given)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_half_precision_leaves_the_vae_alone(tmp_path: Path) -> None:
    from importlib.util import module_from_spec, spec_from_file_location

    file = Path(__file__).parents[2] / "runtime" / "families" / "svd_tiny.py"
    spec = spec_from_file_location("svd_tiny_of_export", file)
    assert spec is not None
    assert spec.loader is not None
    tiny = module_from_spec(spec)
    spec.loader.exec_module(tiny)
    checkpoint = open_source(tiny.save(tiny.build(tiny.SMALL), tmp_path / "checkpoint"))
    assemble.export(
        checkpoint,
        tmp_path / "bundle",
        precision="fp16",
        components=["image_encoder", "vae_encoder"],
    )
    bundle = load_bundle(tmp_path / "bundle")
    assert bundle.component("image_encoder").precision == "fp16"
    assert bundle.component("vae_encoder").precision == "fp32"
    with bundle.open("image_encoder", device="cpu") as engine:
        found = engine.run({"image": np.ones((1, 3, 224, 224), np.float32)})["embedding"]
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
