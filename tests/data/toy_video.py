"""A video model for tests: a bundle of three tiny graphs, and the family that runs it.

The text encoder looks tokens up and adds how many tokens it was told are text; the denoiser pulls
its latents towards the picture, told apart by the prompt; the decoder repeats cells to pixels.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from reverie.engines.errors import SettingsError
from reverie.runtime.bundle import Bundle, hash_file
from reverie.runtime.denoise import denoise
from reverie.runtime.noise import Noise
from reverie.runtime.schedule import schedule_from_manifest
from reverie.runtime.stages import Stages
from reverie.runtime.text import Text

FAMILY = "toyvideo"
WORDS = ("<pad>", "</s>", "<unk>", "a", "cat", "sea", "wind", "blurry", "golden", "hour")
SETTINGS: Mapping[str, Any] = {"strength": None, "fail": None, "motion_bucket_id": None}
opened: list[str] = []
"""The components that were opened, in their order; tests clear it."""


@dataclass(frozen=True)
class Plan:
    height: int
    width: int
    num_frames: int
    steps: int
    guidance: float
    fps: float
    strength: float
    fail: bool
    motion_bucket_id: int
    notes: tuple[str, ...] = ()


def plan(
    bundle: Bundle,
    *,
    height: int | None = None,
    width: int | None = None,
    num_frames: int | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    strength: float | None = None,
    fail: bool | None = None,
    motion_bucket_id: int | None = None,
) -> Plan:
    defaults, multiple = bundle.section("defaults"), bundle.section("limits")["multiple"]
    asked = height or defaults["height"], width or defaults["width"]
    sides = tuple(max(round(side / multiple), 1) * multiple for side in asked)
    notes = () if sides == asked else (f"{asked[1]}x{asked[0]} became {sides[1]}x{sides[0]}",)
    rule = bundle.section("latents")["frame_rule"]
    frames = num_frames or defaults["num_frames"]
    frames = max(round((frames - rule["offset"]) / rule["step"]), 1) * rule["step"] + rule["offset"]
    if strength is not None and not 0 <= strength <= 1:
        raise SettingsError(f"strength {strength!r} cannot be used: give a number from 0 to 1")
    return Plan(
        height=sides[0],
        width=sides[1],
        num_frames=frames,
        steps=steps or defaults["steps"],
        guidance=defaults["guidance"] if guidance is None else guidance,
        fps=bundle.section("timing")["fps"],
        strength=0.5 if strength is None else strength,
        fail=bool(fail),
        motion_bucket_id=127 if motion_bucket_id is None else motion_bucket_id,
        notes=notes,
    )


def noise_shapes(bundle: Bundle, plan: Plan) -> dict[str, tuple[int, ...]]:
    channels, factor = (bundle.section("latents")[n] for n in ("channels", "spatial_factor"))
    return {"latents": (1, channels, plan.num_frames, plan.height // factor, plan.width // factor)}


def frames(
    bundle: Bundle,
    picture: np.ndarray,
    plan: Plan,
    *,
    prompt: str | None,
    negative_prompt: str | None,
    noise: Noise,
    device: Any,
    stages: Stages,
) -> Iterator[np.ndarray]:
    assert picture.shape == (plan.height, plan.width, 3)
    prompts = [prompt or ""] + [negative_prompt or ""] * (plan.guidance > 1)
    if "text" in bundle.manifest:
        with stages.stage("text"):
            texts = [e.mean() for e, _ in Text(bundle, device).embed_many(prompts)]
    else:
        texts = [np.float32(0)] * len(prompts)
    factor = bundle.section("latents")["spatial_factor"]
    small = picture.reshape(plan.height // factor, factor, plan.width // factor, factor, 3)
    target = small.mean(axis=(1, 3)).transpose(2, 0, 1)[None, :, None].astype(np.float32) / 255
    done = 0
    with stages.stage("denoise"), bundle.open("denoiser", device=device) as engine:
        opened.append("denoiser")

        def step(latents: np.ndarray, timestep: float) -> np.ndarray:
            nonlocal done
            runs = [
                engine.run(
                    {
                        "latents": latents,
                        "target": target + np.float32(text) * 1e-2,
                        "timestep": np.array([timestep], np.float32),
                    }
                )["velocity"]
                for text in texts
            ]
            done += 1
            stages.tell("denoise", done, plan.steps)
            out = runs[-1] + np.float32(plan.guidance) * (runs[0] - runs[-1])
            return np.where(done == 2, np.float32(np.nan), out) if plan.fail else out

        schedule = schedule_from_manifest(bundle.section("schedule"), steps=plan.steps)
        latents = denoise(
            step, noise.draw("latents", noise_shapes(bundle, plan)["latents"]), schedule
        )
    for index in range(plan.num_frames):
        with stages.stage("decode"):
            cells = np.clip(latents[0, :, index].transpose(1, 2, 0) * 255, 0, 255).astype(np.uint8)
            frame = cells.repeat(factor, axis=0).repeat(factor, axis=1)
        yield frame


def make_bundle(folder: Path, *, text: bool = True, **sections: Any) -> Path:
    """Write the bundle; `sections` take the place of, or come on top of, the manifest's own."""
    folder.mkdir(parents=True)
    _denoiser(folder / "denoiser.onnx")
    names = ["denoiser"]
    files: dict[str, str] = {}
    manifest: dict[str, Any] = {
        "format": 1,
        "family": FAMILY,
        "name": "toy-video",
        "version": "1",
        "description": "A toy.",
        "license": "Apache-2.0",
        "pipeline": "ToyPipeline",
        "latents": {
            "channels": 3,
            "spatial_factor": 8,
            "temporal_factor": 1,
            "frame_rule": {"step": 4, "offset": 1},
        },
        "schedule": {"type": "flow_euler"},
        "defaults": {"height": 48, "width": 64, "num_frames": 9, "steps": 3, "guidance": 2.0},
        "limits": {"multiple": 16},
        "timing": {"fps": 12, "frames": 9, "most_frames": 33, "rule": "native"},
    }
    if text:
        _text_encoder(folder / "text_encoder.onnx")
        _tokenizer(folder / "tokenizer.json")
        names.append("text_encoder")
        files["tokenizer.json"] = hash_file(folder / "tokenizer.json")
        manifest["text"] = {"max_tokens": 12, "pad_id": 0}
    manifest["components"] = {
        name: {
            "file": f"{name}.onnx",
            "bytes": (folder / f"{name}.onnx").stat().st_size,
            "sha256": hash_file(folder / f"{name}.onnx"),
            "precision": "fp32",
            "inputs": [],
            "outputs": [],
        }
        for name in names
    }
    manifest = {**manifest, "files": files, **sections}
    (folder / "bundle.json").write_text(json.dumps(manifest))
    return folder


def _denoiser(path: Path) -> None:
    """velocity = latents - target: towards the picture from wherever the latents are."""
    sizes = ["frames", "height", "width"]
    nodes = [
        helper.make_node("Sub", ["latents", "target"], ["away"]),
        helper.make_node("Mul", ["timestep", "nothing"], ["silent"]),
        helper.make_node("Add", ["away", "silent"], ["velocity"]),
    ]
    graph = helper.make_graph(
        nodes,
        "denoiser",
        [
            helper.make_tensor_value_info("latents", TensorProto.FLOAT, [1, 3, *sizes]),
            helper.make_tensor_value_info("target", TensorProto.FLOAT, [1, 3, 1, *sizes[1:]]),
            helper.make_tensor_value_info("timestep", TensorProto.FLOAT, [1]),
        ],
        [helper.make_tensor_value_info("velocity", TensorProto.FLOAT, [1, 3, *sizes])],
        [numpy_helper.from_array(np.zeros(1, np.float32), "nothing")],
    )
    _save(graph, path)


def _text_encoder(path: Path) -> None:
    """embeddings = table[input_ids] + sum(attention_mask)."""
    table = np.random.default_rng(0).standard_normal((len(WORDS), 4)).astype(np.float32)
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["looked_up"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["mask"], ["seen"], keepdims=0),
        helper.make_node("Add", ["looked_up", "seen"], ["embeddings"]),
    ]
    graph = helper.make_graph(
        nodes,
        "text_encoder",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, [1, "length"])
            for name in ("input_ids", "attention_mask")
        ],
        [helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, [1, "length", 4])],
        [numpy_helper.from_array(table, "table")],
    )
    _save(graph, path)


def _save(graph: onnx.GraphProto, path: Path) -> None:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def _tokenizer(path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    tokenizer = Tokenizer(models.WordLevel(dict(zip(WORDS, range(99), strict=False)), "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing("$0 </s>", None, [("</s>", 1)])
    tokenizer.save(str(path))
