"""optimum-intel: the checkpoint converted to OpenVINO, and its pipeline run on the job's noise.

It converts the text encoder too. A checkpoint made to measure with may lack its weights, or its
tokenizer: then a view of it is converted that has tiny ones instead, for embeddings are given.
"""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

from pipelines import film
from recorder import Recorder, Skipped, work

KINDS = {"ltx": "OVLTXImageToVideoPipeline"}
_HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}


def run(recorder: Recorder) -> None:
    """Load and make the film; or convert, where that was not done, and ask to be run again."""
    warnings.simplefilter("ignore")
    job = recorder.job
    if job["part"] == "decode":
        raise Skipped("its pipeline gives no decoder by itself")
    with recorder.phase("import"):
        from importlib import metadata

        import openvino
        import optimum.intel.openvino as package
        import torch
    recorder.mark("imported")
    recorder.versions = {
        "optimum-intel": metadata.version("optimum-intel"),
        "openvino": openvino.__version__,
        "diffusers": metadata.version("diffusers"),
    }
    found = sorted(name for name in dir(package) if name.startswith("OV") and "Video" in name)
    kind = getattr(package, KINDS.get(job["family"], ""), None)
    if kind is None:
        raise Skipped(f"it has no image-to-video pipeline of {job['family']}, only {found}")
    index = json.loads((Path(job["checkpoint"]) / "model_index.json").read_text(encoding="utf-8"))
    wanted = KINDS[job["family"]].removeprefix("OV")
    if index["_class_name"] != wanted:
        raise Skipped(f"the checkpoint runs as {index['_class_name']}, and it knows {wanted} only")
    torch.set_grad_enabled(False)
    folder = Path(job["cache"])
    if not (folder / "model_index.json").exists():
        convert(recorder, kind, folder)
        return
    settings = {
        "INFERENCE_PRECISION_HINT": _HINTS[job["dtype"]],
        "INFERENCE_NUM_THREADS": str(job["threads"]),
    }
    with recorder.phase("load"):
        pipeline = kind.from_pretrained(folder, ov_config=settings, device="CPU")
        pipeline.set_progress_bar_config(disable=True)
    recorder.mark("loaded")
    film(recorder, pipeline, torch.float32)


def convert(recorder: Recorder, kind: Any, folder: Path) -> None:
    """Convert the checkpoint, which is no part of a run: the process ends with it."""
    source = Path(recorder.job["checkpoint"])
    shutil.rmtree(folder, ignore_errors=True)
    part = Path(f"{folder}.part")
    with recorder.phase("convert"):
        if not has_text(source):
            source = with_tiny_text(source, Path(f"{folder}-view"))
        made = kind.from_pretrained(source, export=True, compile=False)
        made.save_pretrained(part)
    part.rename(folder)
    recorder.again = True


def has_text(checkpoint: Path) -> bool:
    """Whether there is a tokenizer, and a text encoder whose files are more than holes."""
    files = [*(checkpoint / "text_encoder").glob("*.safetensors")]
    there = all(file.stat().st_blocks * 512 > file.stat().st_size // 2 for file in files)
    return bool(files) and there and (checkpoint / "tokenizer").is_dir()


def with_tiny_text(checkpoint: Path, view: Path) -> Path:
    """A view of a checkpoint with a tiny text encoder and tokenizer."""
    from transformers import T5Config, T5EncoderModel, T5Tokenizer

    shutil.rmtree(view, ignore_errors=True)
    view.mkdir(parents=True)
    for name in ("transformer", "vae", "scheduler"):
        (view / name).symlink_to((checkpoint / name).resolve())
    index = json.loads((checkpoint / "model_index.json").read_text(encoding="utf-8"))
    index["tokenizer"] = ["transformers", "T5Tokenizer"]
    (view / "model_index.json").write_text(json.dumps(index), encoding="utf-8")
    facts = json.loads((checkpoint / "transformer" / "config.json").read_text(encoding="utf-8"))
    config = T5Config(
        vocab_size=128,
        d_model=int(facts["caption_channels"]),
        d_kv=8,
        d_ff=16,
        num_layers=1,
        num_heads=2,
        feed_forward_proj="gated-gelu",
    )
    T5EncoderModel(config).save_pretrained(view / "text_encoder")
    pieces = ["<pad>", "</s>", "<unk>", "\u2581", *"abcdefghijklmnopqrstuvwxyz"]
    scored = [(piece, -float(rank)) for rank, piece in enumerate(pieces)]
    T5Tokenizer(vocab=scored, extra_ids=4).save_pretrained(view / "tokenizer")
    return view


if __name__ == "__main__":
    work(run)
