"""stable-diffusion.cpp through its Python package: the checkpoint's own files, tried as they are.

It takes neither noise nor embeddings, and knows models by the names and sizes of their tensors. It
is given the files all the same; what it says when it cannot is the reason that is told. Should it
draw a film, the comparison of outputs decides.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from recorder import Recorder, Skipped, work

_TYPES = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}


def run(recorder: Recorder) -> None:
    """Load the checkpoint's files, and ask for a film of the job's sizes."""
    job = recorder.job
    if job["part"] == "decode":
        raise Skipped("it gives no decoder by itself")
    with recorder.phase("import"), said():
        import stable_diffusion_cpp as package
    recorder.mark("imported")
    name = "stable-diffusion-cpp-python"
    recorder.versions[name] = metadata.version(name)
    files = weights(Path(job["checkpoint"]))
    heard: list[str] = []
    with recorder.phase("load"):
        model: Any = attempt(
            "it cannot load the checkpoint",
            heard,
            package.StableDiffusion,
            **files,
            n_threads=int(job["threads"]),
            wtype=_TYPES[job["dtype"]],
            verbose=True,
        )
    recorder.mark("loaded")
    settings = job["settings"]
    with recorder.phase("film"):
        found = attempt(
            "it makes no film of the checkpoint",
            heard,
            model.generate_video,
            prompt="",
            init_image=picture(recorder.arrays["photo"]),
            width=int(settings["width"]),
            height=int(settings["height"]),
            video_frames=int(settings["num_frames"]),
            sample_steps=int(settings["steps"]),
            cfg_scale=float(settings["guidance"]),
        )
    recorder.mark("done")
    recorder.outputs["frames"] = np.stack([np.asarray(frame, np.uint8) for frame in found])


def weights(checkpoint: Path) -> dict[str, str]:
    """The files of a checkpoint, under the names of its loader."""
    found: dict[str, str] = {}
    places = {
        "diffusion_model_path": ("transformer", "unet"),
        "vae_path": ("vae",),
        "clip_vision_path": ("image_encoder",),
    }
    for name, folders in places.items():
        for folder in folders:
            files = sorted((checkpoint / folder).glob("*.safetensors"))
            if files:
                found[name] = str(files[0])
    return found


def picture(pixels: Any) -> Any:
    """The photo as a picture."""
    from PIL import Image

    return Image.fromarray(pixels)


def attempt(what: str, heard: list[str], function: Any, **named: Any) -> Any:
    """Call a function of the library; where it fails, say what failed and its own complaints."""
    error: Exception | None = None
    found: Any = None
    with said(heard):
        try:
            found = function(**named)
        except Exception as raised:
            error = raised
    if found:
        return found
    complaints = [line for line in heard if "error" in line.lower() or "failed" in line.lower()]
    if error is not None:
        complaints.append(f"{type(error).__name__}: {' '.join(str(error).split())}")
    raise Skipped(f"{what}: {'; '.join(complaints)[:300] or 'it says nothing of why'}")


@contextlib.contextmanager
def said(heard: list[str] | None = None) -> Iterator[None]:
    """Catch what is written to the streams by their numbers, as C does, line by line."""
    with tempfile.TemporaryFile() as file:
        kept = [os.dup(1), os.dup(2)]
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
        try:
            yield
        finally:
            with contextlib.suppress(ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
            for stream, old in zip((1, 2), kept, strict=True):
                os.dup2(old, stream)
                os.close(old)
            file.seek(0)
            text = file.read().decode("utf-8", "replace")
            if heard is not None:
                heard += [line.strip() for line in text.splitlines()]


if __name__ == "__main__":
    work(run)
