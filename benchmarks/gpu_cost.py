"""Time and device memory of video models on an NVIDIA GPU, beside diffusers in the same run.

    python -m reverie.benchmarks.gpu_cost svd|ltx|wan CHECKPOINT BUNDLE
        [--backend onnxruntime] [--backend tensorrt-rtx] [--no-peer] [--json FILE]

SVD-XT 25 frames of 1024x576 in 25 steps, LTX-2B 121 frames of 768x512 in 8, Wan2.2-5B 121 frames of
1280x704 in 4; both from the same checkpoint (benchmarks.made_checkpoint makes one of random
weights) and the bundle that was exported from it, text encoders left out: prompts are made up.
Each way runs twice; the second counts, for the first one builds, compiles and warms up. Peak memory
is what the whole device has in use, less what it had before, looked at every 20 ms.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..engines.cuda import CudaDevice, open_cuda
from ..engines.errors import ReverieError
from ..runtime.model import load
from ..runtime.noise import Noise
from ..runtime.placement import Placement
from ..runtime.stages import Stages
from .bench.made_prompt import made_prompt
from .machine import describe_machine

CASES: Mapping[str, Mapping[str, Any]] = {
    "svd": {"width": 1024, "height": 576, "num_frames": 25, "steps": 25, "guidance": 3.0},
    "ltx": {"width": 768, "height": 512, "num_frames": 121, "steps": 8, "guidance": 1.0},
    "wan": {"width": 1280, "height": 704, "num_frames": 121, "steps": 4, "guidance": 1.0},
}
BACKENDS = ("onnxruntime", "tensorrt-rtx", "onnxruntime-rtx", "tensorrt")
_TEXT = {"ltx": (128, 4096), "wan": (512, 4096)}
"""Tokens of a prompt and channels of its embeddings."""


class Memory:
    """The most of a device that was in use at a time, beyond what was before."""

    def __init__(self, cuda: CudaDevice) -> None:
        self._cuda, self._done = cuda, threading.Event()
        free, self._total = cuda.memory()
        self._before = self._most = self._total - free
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._done.wait(0.02):
            self.look()

    def look(self) -> None:
        """Take what is in use now."""
        self._most = max(self._most, self._total - self._cuda.memory()[0])

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    @property
    def peak(self) -> int:
        """In bytes."""
        return self._most - self._before


def ours(family: str, bundle: Path, backend: str, cuda: CudaDevice) -> dict[str, Any]:
    """Render twice by one backend, no steps down; returns the figures of the second time."""
    asked = dict(CASES[family])
    placement = Placement("cuda", backend=backend, strict=True)
    picture = np.random.default_rng(0).integers(0, 256, (asked["height"], asked["width"], 3))
    row: dict[str, Any] = {}
    with load(bundle, placement=placement) as model:
        plan = model.plan(**asked)
        prompt = "" if model.bundle.section("text") else None
        for _ in range(2):
            stages = Stages()
            start = time.perf_counter()
            with Memory(cuda) as memory:
                drawn = model.render(
                    picture.astype(np.uint8),
                    plan,
                    prompt=prompt,
                    negative_prompt=None,
                    noise=Noise(0),
                    stages=stages,
                )
                frames = sum(1 for _ in drawn)
            row = {
                "way": f"reverie, {backend}",
                "seconds": time.perf_counter() - start,
                "frames": frames,
                "step_seconds": stages.seconds["denoise"] / plan.steps,
                "decode_seconds": stages.seconds["decode"],
                "stages": dict(stages.seconds),
                "peak_device_bytes": memory.peak,
                "notes": stages.notes,
            }
    return row


def peer(family: str, checkpoint: Path, cuda: CudaDevice) -> dict[str, Any]:
    """The same by diffusers in half precision, everything on the device."""
    import diffusers
    import torch
    from PIL import Image

    asked = dict(CASES[family])
    half = torch.float16 if family == "svd" else torch.bfloat16
    kinds = {
        "svd": "StableVideoDiffusionPipeline",
        "ltx": "LTXConditionPipeline",
        "wan": "WanImageToVideoPipeline",
    }
    loading: dict[str, Any] = {} if family == "svd" else {"text_encoder": None, "tokenizer": None}
    if family == "wan":
        loading |= {"image_encoder": None, "image_processor": None}
    pipeline = getattr(diffusers, kinds[family]).from_pretrained(
        checkpoint, torch_dtype=half, **loading
    )
    pipeline.set_progress_bar_config(disable=True)
    picture = Image.new("RGB", (asked["width"], asked["height"]), (90, 120, 150))
    call = {n: v for n, v in asked.items() if n not in ("steps", "guidance")}
    call |= {"image": picture, "num_inference_steps": asked["steps"], "output_type": "np"}
    if family == "svd":
        call |= {"max_guidance_scale": asked["guidance"], "decode_chunk_size": 25}
    else:
        tokens, channels = _TEXT[family]
        call["guidance_scale"] = asked["guidance"]
        call["prompt_embeds"] = torch.randn(1, tokens, channels, dtype=half, device="cuda")
        if family == "ltx":
            call["prompt_attention_mask"] = torch.ones(1, tokens, device="cuda")
    row: dict[str, Any] = {}
    with Memory(cuda) as memory:
        pipeline.to("cuda")
        for _ in range(2):
            clock = _Clock(torch.cuda.synchronize)
            pipeline(**call, callback_on_step_end=clock.step)
            torch.cuda.synchronize()
            end = time.perf_counter()
            row = {
                "way": f"diffusers {diffusers.__version__}, torch {torch.__version__}",
                "seconds": end - clock.start,
                "step_seconds": clock.per_step(),
                "decode_seconds": end - clock.steps[-1],
            }
    del pipeline
    gc.collect()
    torch.cuda.empty_cache()
    return {**row, "peak_device_bytes": memory.peak}


class _Clock:
    """When each step of a pipeline of diffusers ended."""

    def __init__(self, synchronize: Callable[[], None]) -> None:
        self._synchronize = synchronize
        self.start = time.perf_counter()
        self.steps: list[float] = []

    def step(self, pipeline: Any, step: int, timestep: Any, given: dict[str, Any]) -> Any:
        """Take the end of a step, as callback_on_step_end."""
        self._synchronize()
        self.steps.append(time.perf_counter())
        return given

    def per_step(self) -> float:
        """Mean seconds of the steps after the first."""
        return (self.steps[-1] - self.steps[0]) / max(len(self.steps) - 1, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("family", choices=CASES)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--backend", action="append", choices=BACKENDS)
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    try:
        cuda = open_cuda()
        gpu = cuda.facts()
    except ReverieError as error:
        sys.exit(f"gpu_cost needs an NVIDIA GPU: {error}")
    rows: list[dict[str, Any]] = []
    ways: list[Callable[[], dict[str, Any]]] = []
    bundle = load(asked.bundle).bundle
    for backend in asked.backend or BACKENDS[:2]:
        ways.append(lambda backend=backend: ours(asked.family, asked.bundle, backend, cuda))
    if not asked.no_peer:
        ways.append(lambda: peer(asked.family, asked.checkpoint, cuda))
    case = CASES[asked.family]
    print(f"{gpu.name}: {asked.family} {case}")
    for way in ways:
        try:
            with made_prompt(bundle):
                rows.append(way())
        except (ReverieError, RuntimeError) as error:  # RuntimeError: torch is out of memory
            print(f"  not run: {str(error).splitlines()[0]}")
            continue
        row = rows[-1]
        print(
            f"  {row['way']:40} {row['step_seconds']:8.3f} s a step, decoding "
            f"{row['decode_seconds']:7.2f} s, {row['seconds']:8.2f} s in all, "
            f"{row['peak_device_bytes'] / 2**30:6.2f} GiB"
        )
    if asked.json:
        facts = {"gpu": gpu.name, "capability": gpu.capability, "memory": gpu.memory_bytes}
        found = {"machine": describe_machine(), **facts, "case": dict(case), "rows": rows}
        asked.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
