"""What of a Wan checkpoint becomes graphs and manifest, and which checkpoints are refused."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

import onnx
import pytest
from reverie.engines.errors import BundleError
from reverie.export import assemble
from reverie.export.families import wan
from reverie.export.families.wan_networks import decoder_caches
from reverie.export.families.wan_recipes import vae_without_values
from reverie.export.part import Part
from reverie.export.source import Source, open_source

TI2V_5B = {
    "patch_size": [1, 2, 2],
    "num_attention_heads": 24,
    "attention_head_dim": 128,
    "in_channels": 48,
    "out_channels": 48,
    "text_dim": 4096,
    "freq_dim": 256,
    "ffn_dim": 14336,
    "num_layers": 30,
}
TI2V_5B_VAE = {
    "base_dim": 160,
    "decoder_base_dim": 256,
    "z_dim": 48,
    "dim_mult": [1, 2, 4, 4],
    "num_res_blocks": 2,
    "temperal_downsample": [False, True, True],
    "is_residual": True,
    "in_channels": 12,
    "out_channels": 12,
    "patch_size": 2,
    "scale_factor_spatial": 16,
    "scale_factor_temporal": 4,
    "latents_mean": [0.0] * 48,
    "latents_std": [1.0] * 48,
}


def tiny() -> ModuleType:
    """The tiny pipelines that the runtime's tests use too."""
    file = Path(__file__).parents[2] / "runtime" / "families" / "wan_tiny.py"
    spec = importlib.util.spec_from_file_location("wan_tiny_of_export", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Source, dict[str, Any], Path]:
    """A checkpoint unlike the runtime tests' ones, its manifest, and its bundle's folder."""
    folder, made = tmp_path_factory.mktemp("wan"), tiny()
    vae = {**made.PLAIN_VAE, "dim_mult": [2, 1], "temperal_downsample": [True]}
    vae |= {"scale_factor_spatial": 2, "scale_factor_temporal": 2, "num_res_blocks": 2}
    pipeline = made.build(vae, layers=1, heads=1, head_size=8)
    source = open_source(made.save(pipeline, folder / "checkpoint"))
    manifest = assemble.export(source, folder / "bundle", precision="fp32", verify=True)
    return source, json.loads(manifest.read_text()), folder / "bundle"


def source_of(**parts: tuple[str, Any]) -> Source:
    """A checkpoint of configurations alone: TI2V-5B's, and other parts beside or instead."""
    given = {
        "transformer": ("WanTransformer3DModel", TI2V_5B),
        "vae": ("AutoencoderKLWan", TI2V_5B_VAE),
        "scheduler": (
            "UniPCMultistepScheduler",
            {"prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": 5.0},
        ),
        **parts,
    }
    made = {
        name: Part(name, class_name, config, None, None)
        for name, (class_name, config) in given.items()
    }
    return Source(
        name="some-wan",
        family="wan",
        pipeline="WanPipeline",
        parts=made,
        index=MappingProxyType({"expand_timesteps": True, "boundary_ratio": None}),
    )


def test_every_component_agrees_with_torch_at_two_sizes(exported: Any) -> None:
    _, manifest, _ = exported
    assert set(manifest["components"]) == {
        "text_encoder",
        "vae_encoder",
        "denoiser",
        "vae_decoder",
    }
    for name, component in manifest["components"].items():
        parity = component["parity"]
        assert len(parity["sizes"]) == 2, name
        figures = [figure["relative_l2"] for figure in parity["outputs"].values()]
        assert max(figures) <= 1e-5, name


def test_sizes_are_free_and_borders_float32(exported: Any) -> None:
    _, manifest, _ = exported
    ports = {
        name: {port["name"]: port for port in component["inputs"] + component["outputs"]}
        for name, component in manifest["components"].items()
    }
    assert ports["denoiser"]["latents"]["shape"] == [1, "tokens", 16]
    assert ports["denoiser"]["timesteps"]["shape"] == [2]
    assert ports["denoiser"]["token_level"]["dtype"] == "int64"
    assert ports["vae_encoder"]["image"]["shape"] == [1, 3, "height", "width"]
    assert ports["vae_decoder"]["frames"]["shape"] == [1, 3, 2, "height", "width"]
    caches = manifest["decoder"]["caches"]
    for index, (channels, _) in enumerate(caches):
        for name in (f"cache_{index:02d}", f"next_cache_{index:02d}"):
            assert ports["vae_decoder"][name]["shape"][:3] == [1, channels, 2]
    assert len(ports["vae_decoder"]) == 2 * len(caches) + 3


def test_one_decoder_graph_serves_every_chunk(exported: Any) -> None:
    _, manifest, folder = exported
    graph = onnx.load(folder / manifest["components"]["vae_decoder"]["file"])
    names = [value.name for value in graph.graph.initializer]
    assert not any("encoder.down_blocks" in name for name in names)


def test_the_manifest_says_what_the_configurations_say(exported: Any) -> None:
    source, manifest, folder = exported
    vae = source.part("vae").config
    assert manifest["family"] == "wan"
    assert manifest["pipeline"] == "WanImageToVideoPipeline"
    assert manifest["latents"] == {
        "channels": 4,
        "spatial_factor": 2,
        "temporal_factor": 2,
        "frame_rule": {"step": 2, "offset": 1},
        "mean": vae["latents_mean"],
        "std": vae["latents_std"],
    }
    assert manifest["limits"]["multiple"] == 4
    assert manifest["schedule"]["type"] == "unipc_flow"
    assert manifest["text"]["clean"] == "wan"
    assert manifest["text"]["pad_embeddings"] == "zeros"
    assert (folder / "tokenizer.json").is_file()


def test_ti2v_5b_comes_with_what_it_was_made_for() -> None:
    sections = wan.sections(source_of())
    assert sections["limits"]["multiple"] == 32
    assert sections["timing"] == {
        "fps": 24.0,
        "frames": 121,
        "most_frames": 121,
        "rule": "native",
    }
    defaults = sections["defaults"]
    assert (defaults["height"], defaults["width"]) == (704, 1280)
    assert (defaults["num_frames"], defaults["steps"], defaults["guidance"]) == (121, 50, 5.0)
    assert sections["schedule"]["shift"] == 5.0


@pytest.mark.parametrize(
    ("name", "steps"), [("Wan2.2-TI2V-5B-Turbo", 4), ("FastWan2.2-TI2V-5B-FullAttn", 3)]
)
def test_step_distillations_are_known_by_name(name: str, steps: int) -> None:
    defaults = wan.sections(replace(source_of(), name=name))["defaults"]
    assert (defaults["steps"], defaults["guidance"]) == (steps, 1.0)


def test_caches_of_the_full_decoder_are_the_convolutions_that_look_back() -> None:
    caches = decoder_caches(vae_without_values({**TI2V_5B_VAE}))
    assert caches[0] == (48, 1)
    assert caches[-1] == (256, 8)
    assert [scale for _, scale in caches] == sorted(scale for _, scale in caches)
    # conv_in, two in the middle's two blocks, three blocks at four sizes, two doublings, conv_out
    assert len(caches) == 1 + 4 + 4 * 6 + 2 + 1


def test_recipes_are_listed_without_making_the_networks() -> None:
    recipes = {recipe.name: recipe for recipe in wan.recipes(source_of())}
    assert list(recipes) == ["vae_encoder", "denoiser", "vae_decoder"]
    assert recipes["denoiser"].examples()["latents"].shape == (1, 12, 48 * 4)
    assert set(recipes["denoiser"].keep_fp32) == {"time_embedder", "scale_shift_table", "norm2"}


@pytest.mark.parametrize(
    ("parts", "index", "word"),
    [
        ({"transformer_2": ("WanTransformer3DModel", TI2V_5B)}, {}, "transformer_2"),
        ({"image_encoder": ("CLIPVisionModel", {})}, {}, "image_encoder"),
        ({}, {"boundary_ratio": 0.9}, "boundary_ratio"),
        ({}, {"expand_timesteps": False}, "expand_timesteps"),
        ({"transformer": ("WanTransformer3DModel", TI2V_5B | {"in_channels": 36})}, {}, "36"),
        ({"transformer": ("WanTransformer3DModel", TI2V_5B | {"image_dim": 1280})}, {}, "image"),
        ({"transformer": ("WanTransformer3DModel", TI2V_5B | {"patch_size": [1, 1, 1]})}, {}, "1"),
        ({"transformer": ("WanVACETransformer3DModel", TI2V_5B)}, {}, "WanVACE"),
        ({"vae": ("AutoencoderKLQwenImage", TI2V_5B_VAE)}, {}, "AutoencoderKLQwenImage"),
    ],
)
def test_other_wan_checkpoints_are_refused_in_one_line(parts: Any, index: Any, word: str) -> None:
    source = source_of(**parts)
    source = replace(source, index={**source.index, **index})
    for ask in (wan.recipes, wan.sections):
        with pytest.raises(BundleError, match=word) as error:
            ask(source)
        assert "supported are Wan 2.2 TI2V" in str(error.value)
        assert "\n" not in str(error.value)


def test_a_vae_that_contradicts_itself_is_refused() -> None:
    source = source_of(vae=("AutoencoderKLWan", TI2V_5B_VAE | {"scale_factor_spatial": 8}))
    with pytest.raises(BundleError, match="scale_factor_spatial"):
        wan.sections(source)


def test_a_vae_with_other_statistics_than_channels_is_refused() -> None:
    source = source_of(vae=("AutoencoderKLWan", TI2V_5B_VAE | {"latents_std": [1.0]}))
    with pytest.raises(BundleError, match="1 numbers of latents_std for its 48 channels"):
        wan.sections(source)


def test_another_text_encoder_is_refused() -> None:
    source = source_of(text_encoder=("T5EncoderModel", {}))
    with pytest.raises(BundleError, match="UMT5EncoderModel"):
        wan.recipes(source)
