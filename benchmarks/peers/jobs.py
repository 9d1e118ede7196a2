"""One piece of work for everybody: a made photo and embeddings, the same noise, a plan's sizes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ...runtime.model import Model
from ...runtime.text import Text
from ..bench.made_prompt import text_channels

WORKERS = Path(__file__).parent / "workers"
PER_STEP = ("condition", "steps")


@dataclass(frozen=True)
class Work:
    """What everybody is asked to make."""

    family: str
    checkpoint: Path
    bundle: Path
    settings: Mapping[str, Any]
    """Under Reverie's names: height, width, num_frames, steps, guidance, and the family's own."""
    graphs: Mapping[str, str]
    """The plain ONNX graph of each component, for others to run."""
    arrays: Mapping[str, np.ndarray] = field(repr=False)
    """photo; text, text_mask and negative_...; noise_NAME as Reverie draws it; draw_0, ... the same
    in the order in which diffusers draws it; latents, where a pipeline takes them."""


def make_work(
    model: Model, checkpoint: Path, plan: Any, own: Mapping[str, Any] | None = None, seed: int = 0
) -> Work:
    """Draw the inputs of a plan. own: settings that only Reverie knows, such as decode_tile."""
    bundle = model.bundle
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (max(plan.height // 32, 2), max(plan.width // 32, 2), 3))
    soft = Image.fromarray(coarse.astype(np.uint8))
    photo = soft.resize((plan.width, plan.height), Image.Resampling.BICUBIC)
    arrays: dict[str, np.ndarray] = {"photo": np.asarray(photo, np.uint8)}
    shapes = model.family.noise_shapes(bundle, plan)
    noise = {n: random.standard_normal(shape, np.float32) for n, shape in shapes.items()}
    arrays |= {f"noise_{name}": value for name, value in noise.items()}
    if bundle.family == "ltx":
        draws = ltx_draws(noise)
    else:  # their pipelines take latents, and draw the rest
        arrays["latents"] = noise["latents"]
        draws = [value for name, value in noise.items() if name != "latents"]
    arrays |= {f"draw_{index}": draw for index, draw in enumerate(draws)}
    if bundle.section("text"):
        shape = (1, Text(bundle).max_tokens, text_channels(bundle))
        mask = np.zeros(shape[:2], np.int64)
        mask[:, : max(shape[1] // 8, 1)] = 1
        for name in ["text", "negative_text"][: 1 + (plan.guidance > 1)]:
            arrays[name] = random.standard_normal(shape, np.float32)
            arrays[f"{name}_mask"] = mask
        if bundle.family == "wan":  # it is shown zeros where a prompt has no tokens
            for name in ("text", "negative_text"):
                if name in arrays:
                    arrays[name] *= arrays[f"{name}_mask"][..., None]
    settings = {**_settings(bundle.family, plan), **{f"own:{k}": v for k, v in (own or {}).items()}}
    graphs = {name: str(bundle.path(name)) for name in bundle.components}
    return Work(bundle.family, checkpoint, bundle.folder, settings, graphs, arrays)


def ltx_draws(noise: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The noise of an LTX film, one array for each draw that diffusers makes, in its order."""
    each_step = [name for name in PER_STEP if name in noise]
    maps = [name for name in noise if name.startswith("maps")]
    late = {*each_step, *maps, "decode"}
    drawn = [value for name, value in noise.items() if name not in late]
    steps = len(noise[each_step[0]]) if each_step else 0
    drawn += [noise[name][step] for step in range(steps) for name in each_step]
    drawn += [noise["decode"]] if "decode" in noise else []
    return drawn + [one for name in maps for one in noise[name]]


def _settings(family: str, plan: Any) -> dict[str, Any]:
    made = {n: getattr(plan, n) for n in ("height", "width", "num_frames", "steps", "guidance")}
    if family == "svd":
        names = ("min_guidance_scale", "fps", "motion_bucket_id", "noise_aug_strength")
        made |= {name: getattr(plan, name) for name in (*names, "decode_chunk_size")}
    elif family == "ltx":
        made["frame_rate"] = plan.fps
        made |= {n: getattr(plan, n) for n in ("decode_timestep", "decode_noise_scale")}
    return made


@dataclass(frozen=True)
class Way:
    """One way of doing the work: whose software, in what precision and mode."""

    peer: str
    """"reverie", or a peer's name."""
    precision: str
    mode: str = "eager"
    python: Path | None = None
    """Interpreter; None where the peer is not installed."""
    reason: str = ""
    """Why it is not run, where that is known before."""

    @property
    def name(self) -> str:
        """What tables call it."""
        told = [self.peer, self.precision] + ([self.mode] if self.mode != "eager" else [])
        return " ".join(told)


def run_way(
    way: Way,
    command: Sequence[str],
    work: Work,
    folder: Path,
    *,
    threads: int,
    part: str = "film",
    tiling: bool = False,
    extra: Mapping[str, np.ndarray] | None = None,
    capture: bool = False,
    cold: bool = False,
    timeout: float = 3600.0,
) -> dict[str, Any]:
    """Do the work in a process of its own; returns its result, "outputs" among it as arrays.

    command: the interpreter and the worker; the job's file is added. extra: arrays beside the
    work's. capture: whether Reverie hands over what went through its engines. cold: whether the
    weights are put out of the system's memory first, so that everybody reads them from the disk.
    What breaks the process is a result as well: {"skipped": why}.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: folder / f"{name}.npz" for name in ("arrays", "outputs")}
    result, job_file = folder / "result.json", folder / "job.json"
    for old in (result, files["outputs"]):
        old.unlink(missing_ok=True)
    np.savez(files["arrays"], **work.arrays, **(extra or {}))
    own = {k.removeprefix("own:"): v for k, v in work.settings.items() if k.startswith("own:")}
    job = {
        **{name: str(path) for name, path in files.items()},
        "result": str(result),
        "family": work.family,
        "checkpoint": str(work.checkpoint),
        "bundle": str(work.bundle),
        "settings": {k: v for k, v in work.settings.items() if not k.startswith("own:")},
        "own": own,
        "dtype": way.precision,
        "mode": way.mode,
        "part": part,
        "tiling": tiling,
        "capture": capture,
        "graphs": work.graphs,
        "threads": threads,
        "cache": str(folder.parent / f"kept-{way.peer}"),
    }
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}
    environment.pop("PYTHONPATH", None)
    # What a run compiles is compiled by every run: a start is a start.
    environment["TORCHINDUCTOR_CACHE_DIR"] = str(folder / "compiled")
    shutil.rmtree(folder / "compiled", ignore_errors=True)
    if cold:
        forget(work.checkpoint, work.bundle)
    # The steady clock is the system's, not a process's: a worker subtracts this from its own.
    job_file.write_text(json.dumps({**job, "started": time.monotonic()}), encoding="utf-8")
    try:
        done = subprocess.run(
            [*command, str(job_file)],
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        return {"skipped": f"it was not done after {timeout:g} s"}
    if not result.exists():
        return {"skipped": broken(done.returncode, done.stderr)}
    found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    found["outputs"] = {}
    if files["outputs"].exists():
        with np.load(files["outputs"], allow_pickle=False) as stored:
            found["outputs"] = {name: stored[name] for name in stored.files}
    return found


def broken(status: int, output: str) -> str:
    """Say in a line how a process ended that left no result."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    last = f": {lines[-1][:300]}" if lines else ""
    how = f"signal {-status}" if status < 0 else f"status {status}"
    return f"its process ended with {how}{last}"


def forget(*folders: Path) -> None:
    """Ask the system to keep nothing of the files of some folders in memory, where it can be asked.

    Follows posix_fadvise(2): pages that a process still has mapped stay.
    """
    if not hasattr(os, "posix_fadvise"):
        return
    for folder in folders:
        for file in folder.rglob("*"):
            if file.is_file():
                with file.open("rb") as opened:
                    os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
