"""A diffusers pipeline, as its users call it, on noise that is given: the job's film, timed."""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from recorder import Recorder, Skipped, work

NAMES = {"steps": "num_inference_steps", "guidance": "guidance_scale"}


def run(recorder: Recorder) -> None:
    """Do a job: the whole film, or the decoding of given latents alone."""
    warnings.simplefilter("ignore")
    job = recorder.job
    with recorder.phase("import"):
        import diffusers
        import torch
        import transformers

        torch.set_num_threads(int(job["threads"]))
        torch.set_grad_enabled(False)
        diffusers.logging.set_verbosity_error()
        diffusers.logging.disable_progress_bar()
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
    recorder.mark("imported")
    recorder.versions |= {"diffusers": diffusers.__version__, "torch": torch.__version__}
    recorder.versions["transformers"] = transformers.__version__
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[job["dtype"]]
    if job["part"] == "decode":
        decode_alone(recorder, dtype)
        return
    with recorder.phase("load"):
        pipeline = load(job, dtype)
    recorder.mark("loaded")
    film(recorder, pipeline, dtype)


def load(job: dict[str, Any], dtype: Any) -> Any:
    """The checkpoint's pipeline without its text encoder, for embeddings are given."""
    import diffusers

    index = json.loads((Path(job["checkpoint"]) / "model_index.json").read_text(encoding="utf-8"))
    left: dict[str, Any] = {}
    if job["family"] != "svd":
        left = {"text_encoder": None, "tokenizer": None}
    for name in ("image_encoder", "image_processor", "transformer_2"):
        if job["family"] == "wan" and (index.get(name) or [None])[0] is None:
            left[name] = None
    kind = getattr(diffusers, index["_class_name"])
    pipeline = kind.from_pretrained(job["checkpoint"], torch_dtype=dtype, **left)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(job.get("device", "cpu"))


def call_for(job: dict[str, Any], arrays: dict[str, Any], dtype: Any) -> dict[str, Any]:
    """What the pipeline is called with."""
    import torch
    from PIL import Image

    called: dict[str, Any] = {NAMES.get(k, k): v for k, v in job["settings"].items()}
    called |= {"image": Image.fromarray(arrays["photo"]), "output_type": "np"}
    if job["family"] == "svd":
        called["max_guidance_scale"] = called.pop("guidance_scale")
    else:
        for name, given in (("", "text"), ("negative_", "negative_text")):
            if given in arrays:
                called[f"{name}prompt_embeds"] = torch.from_numpy(arrays[given]).to(dtype)
                if job["family"] == "ltx":
                    mask = torch.from_numpy(arrays[f"{given}_mask"])
                    called[f"{name}prompt_attention_mask"] = mask
    if "latents" in arrays:
        called["latents"] = torch.from_numpy(arrays["latents"]).to(dtype)
    return called


def film(recorder: Recorder, pipeline: Any, dtype: Any) -> None:
    """Make the film, and note when each step began and ended."""
    job, arrays = recorder.job, recorder.arrays
    network = pipeline.unet if job["family"] == "svd" else pipeline.transformer
    called = call_for(job, arrays, dtype)
    at = {"mark": 0.0, "encoded": False}
    decoded: dict[str, Any] = {}

    def first(*_: Any) -> None:
        if not at["encoded"]:
            at["encoded"] = True
            recorder.end("encode image", at["mark"])
            recorder.mark("first step begins")
            at["mark"] = recorder.begin()
            recorder.step_begins()

    def stepped(_pipe: Any, step: int, _time: Any, given: dict[str, Any]) -> dict[str, Any]:
        recorder.step_ends()
        recorder.mark("first step ends")
        recorder.outputs[f"latents_{step}"] = numbers(given["latents"])
        recorder.step_begins()
        if step + 1 == int(job["settings"]["steps"]):
            recorder.end("denoise", at["mark"])
            at["mark"] = recorder.begin()
        return given

    if hasattr(network, "register_forward_pre_hook"):
        network.register_forward_pre_hook(first)
    else:  # a network that is not torch's
        forward = network.forward

        def told(*given: Any, **named: Any) -> Any:
            first()
            return forward(*given, **named)

        network.forward = told
    if job["mode"] == "compile":
        network.compile()
    plain = pipeline.vae.decode

    def decode(*given: Any, **named: Any) -> Any:
        decoded.setdefault("calls", []).append((given, named))
        return plain(*given, **named)

    pipeline.vae.encode = recorder.inside("encode image (network)", pipeline.vae.encode)
    if job["family"] == "svd":
        seen = pipeline.image_encoder
        seen.forward = recorder.inside("encode image (network)", seen.forward)
    pipeline.vae.decode = recorder.inside("decode (network)", decode)
    draws = iter([arrays[f"draw_{i}"] for i in range(sum(n.startswith("draw_") for n in arrays))])
    at["mark"] = recorder.begin()
    with drawing(draws):
        found = pipeline(**called, callback_on_step_end=stepped)
    frames = np.rint(np.asarray(found.frames[0], np.float32) * 255).astype(np.uint8)
    recorder.end("decode", at["mark"])
    recorder.mark("done")
    if next(draws, None) is not None:
        raise Skipped("it drew less noise than was given, so its work is another")
    recorder.outputs["frames"] = frames
    for index, (given, _) in enumerate(decoded["calls"]):
        recorder.outputs[f"decoder_{index}"] = numbers(given[0])


def decode_alone(recorder: Recorder, dtype: Any) -> None:
    """Decode latents that are given, as the VAE has them; with tiling where the job says so."""
    import diffusers
    import torch

    job, arrays = recorder.job, recorder.arrays
    folder = Path(job["checkpoint"])
    index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    with recorder.phase("load"):
        kind = getattr(diffusers, index["vae"][1])
        vae = kind.from_pretrained(folder / "vae", torch_dtype=dtype).to(job.get("device", "cpu"))
    if job["tiling"]:
        try:
            vae.enable_tiling()
        except (AttributeError, NotImplementedError) as error:
            name = index["vae"][1]
            raise Skipped(f"{name} has no tiling: {str(error).splitlines()[0][:160]}") from error
    named: dict[str, Any] = {}
    if job["family"] == "ltx" and getattr(vae.config, "timestep_conditioning", False):
        named["temb"] = torch.tensor([float(job["settings"]["decode_timestep"])], dtype=dtype)
    pieces = []
    with recorder.phase("decode"):
        for number in range(sum(name.startswith("decoder_") for name in arrays)):
            latents = torch.from_numpy(arrays[f"decoder_{number}"]).to(vae.device, dtype)
            if job["family"] == "svd":
                named["num_frames"] = latents.shape[0]
            pieces.append(vae.decode(latents, **named).sample.float().cpu().numpy())
    film = np.concatenate(pieces)
    if job["family"] != "svd":
        film = film[0].transpose(1, 0, 2, 3)
    levels = np.rint(np.clip(film / 2 + 0.5, 0, 1) * 255).astype(np.uint8)
    recorder.outputs["frames"] = levels.transpose(0, 2, 3, 1)


def numbers(tensor: Any) -> Any:
    """A tensor as float32 numbers."""
    return tensor.detach().float().cpu().numpy()


@contextlib.contextmanager
def drawing(given: Iterator[Any]) -> Iterator[None]:
    """Let torch.randn give these arrays, one after another, each of the shape it is asked for."""
    import torch

    real = torch.randn

    def draw(*shape: Any, dtype: Any = None, **_: Any) -> Any:
        wanted = tuple(shape[0]) if len(shape) == 1 and not isinstance(shape[0], int) else shape
        noise = next(given, None)
        if noise is None or noise.shape != tuple(wanted):
            raise Skipped(f"it draws noise of the shape {tuple(wanted)}, which was not given")
        return torch.from_numpy(noise.copy()).to(dtype or torch.float32)

    torch.randn = draw
    try:
        yield
    finally:
        torch.randn = real


if __name__ == "__main__":
    work(run)
