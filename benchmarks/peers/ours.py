"""Reverie's side of the comparison: a job's film in a process of its own, as users run it.

    python -m reverie.benchmarks.peers.ours JOB

What `Model.frames` does with noise= given, with its stages watched. The bundle knows the job's
embeddings under the prompts that `baked` gives them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from .baked import NEGATIVE, PROMPT
from .workers.recorder import Recorder, Skipped, work


def run(recorder: Recorder) -> None:
    """Do a job: the whole film, or the decoding of given latents alone."""
    job, arrays = recorder.job, recorder.arrays
    with recorder.phase("import"):
        from importlib import metadata

        import onnxruntime
        import reverie
    recorder.mark("imported")
    recorder.versions = {
        "reverie": metadata.version("reverie"),
        "onnxruntime": onnxruntime.__version__,
    }
    with recorder.phase("load"):
        from ...runtime.placement import Placement

        precision = "auto" if job["dtype"] == "bundle" else job["dtype"]
        placement = Placement(job.get("device", "cpu"), precision=precision)
        model = reverie.load(job["bundle"], placement=placement)
    if precision != "auto":
        _check_precision(model.bundle, precision)
    recorder.mark("loaded")
    settings = {**job["settings"], **job["own"]}
    plan = model.plan(**settings)
    noise = {n.removeprefix("noise_"): v for n, v in arrays.items() if n.startswith("noise_")}
    if job["part"] == "decode":
        _decode(recorder, model, plan, noise)
    else:
        _film(recorder, model, plan, noise)


def _check_precision(bundle: Any, precision: str) -> None:
    there = bundle.component("denoiser").precisions
    if precision not in there:
        raise Skipped(f"the bundle's denoiser is there in {', '.join(there)}, not in {precision}")


_ORDER = ("text", "encode image", "denoise", "decode", "end")
"""Phases of a film; the stages of a render tell their ends as well, which are passed over."""


class _Watch:
    """Turns the progress of a render into phases, and the runs of engines into seconds."""

    def __init__(self, recorder: Recorder, steps: int) -> None:
        from ...engines.ort import OrtEngine

        self.recorder, self.steps = recorder, steps
        self.stage = "text"
        self.begun = recorder.begin()
        self.stepping = False
        self._runs: dict[str, int] = {}
        plain = OrtEngine.run
        watch = self

        def run(engine: OrtEngine, inputs: Mapping[str, Any]) -> dict[str, Any]:
            stage = watch.stage
            if stage == "denoise" and not watch.stepping:
                recorder.mark("first step begins")
                recorder.step_begins()
                watch.stepping = True
            start = time.perf_counter()
            found = plain(engine, inputs)
            name = f"{stage} (network)"
            spent = time.perf_counter() - start
            recorder.seconds[name] = recorder.seconds.get(name, 0.0) + spent
            if recorder.job.get("capture"):
                watch.keep(inputs, found)
            return found

        OrtEngine.run = run  # type: ignore[method-assign]

    def told(self, stage: str, done: int, total: int) -> None:
        """Take the progress of the render."""
        recorder = self.recorder
        if stage in _ORDER and _ORDER.index(stage) > _ORDER.index(self.stage):
            self.close(stage)
        stepped = stage == self.stage == "denoise" and total == self.steps
        if stepped and len(recorder.steps) < done <= self.steps:
            recorder.step_ends()
            recorder.mark("first step ends")
            if done == self.steps:
                self.close("decode")

    def keep(self, inputs: Mapping[str, Any], found: Mapping[str, Any]) -> None:
        """Keep what goes in and out of the denoiser in the first step, and of the decoder."""
        component = {"denoise": "denoiser", "decode": "vae_decoder"}.get(self.stage, "")
        if not component or (self.stage == "denoise" and self.recorder.steps):
            return
        number = self._runs.get(component, 0)
        self._runs[component] = number + 1
        for way, arrays in (("in", inputs), ("out", found)):
            for name, value in arrays.items():
                self.recorder.outputs[f"graph_{component}_{number}_{way}_{name}"] = np.array(value)

    def close(self, following: str) -> None:
        """End the phase that runs, and begin the next one."""
        self.recorder.end(self.stage, self.begun)
        self.stage, self.begun = following, self.recorder.begin()
        self.recorder.step_begins()  # else it begins where an engine first runs


def _film(recorder: Recorder, model: Any, plan: Any, noise: Mapping[str, Any]) -> None:
    from ...runtime.model import open_photo
    from ...runtime.noise import Noise
    from ...runtime.stages import Stages
    from ...runtime.windows import Link

    class Kept(Link):
        """Looks at the latents that a film's window hands on."""

        def keep(self, latents: Any) -> None:
            recorder.outputs["latents"] = np.array(latents)

    watch = _Watch(recorder, plan.steps)
    stages = Stages(watch.told)
    texts = bool(model.bundle.section("text"))
    drawn = Noise(0, noise)
    drawn.check(model.family.noise_shapes(model.bundle, plan))
    frames = [
        np.array(frame)
        for frame in model.render(
            open_photo(recorder.arrays["photo"]),
            plan,
            prompt=PROMPT if texts else None,
            negative_prompt=NEGATIVE if texts else None,
            noise=drawn,
            stages=stages,
            link=Kept(1),
        )
    ]
    watch.close("end")
    recorder.mark("done")
    planned = model.memory(plan)
    if planned is not None:
        recorder.precisions = {row.name: row.precision for row in planned.components}
        if planned.settings:
            recorder.notes.append(f"decoding cut by the plan of memory: {dict(planned.settings)}")
    model.close()
    recorder.notes += stages.notes
    recorder.outputs["frames"] = np.stack(frames)


def _decode(recorder: Recorder, model: Any, plan: Any, noise: Mapping[str, Any]) -> None:
    """Decode latents as the VAE has them, the whole film's or a chunk's each."""
    from ...runtime.noise import Noise
    from ...runtime.stages import Stages

    arrays, family, stages = recorder.arrays, model.bundle.family, Stages()
    count = sum(name.startswith("decoder_") for name in arrays)
    given = [arrays[f"decoder_{index}"] for index in range(count)]
    placed = model._place.follow(plan, stages)
    with recorder.phase("decode"):
        if family == "ltx":
            from ...runtime.families.ltx_plan import Traits
            from ...runtime.families.ltx_stages import decode as ltx_decode

            shapes, traits = (
                model.family.noise_shapes(placed.bundle, placed.plan),
                Traits.of(placed.bundle),
            )
            drawn = ltx_decode(
                placed.bundle, traits, given[0], placed.plan, Noise(0, noise), shapes, "cpu", stages
            )
        elif family == "svd":
            from ...runtime.families.svd import decode as svd_decode

            latents = np.concatenate(given)[None]
            drawn = svd_decode(placed.bundle, latents, placed.plan, "cpu", stages)
        else:
            raise Skipped(f"decoding by itself is not known for the family {family}")
        frames = [np.array(frame) for frame in drawn]
    recorder.outputs["frames"] = np.stack(frames)


if __name__ == "__main__":
    work(run)
