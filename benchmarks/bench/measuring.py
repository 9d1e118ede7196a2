"""One process's renders of a case, each with what was seen of it."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from types import ModuleType
from typing import Any, NoReturn

from ...engines.device import import_onnxruntime
from ...runtime.bundle import load_bundle
from ...runtime.memory import peak_memory
from ...runtime.pipeline import Rendered
from .watch import Engines, Watch, forget_peak, replaced

Leave = Callable[[dict[str, Any]], NoReturn]


class Measuring:
    """Renders what the command line asks for, as often as the job says."""

    def __init__(
        self, pipeline: ModuleType, asked: Namespace, job: Mapping[str, Any], leave: Leave
    ) -> None:
        self._pipeline, self._asked, self._job, self._leave = pipeline, asked, job, leave

    def kinds(self) -> Iterator[str]:
        """Yield what each render is: "start", "film", "warmup", "warm", or "soak" for its time.

        A soak renders three times at least, else no third could be compared.
        """
        job = self._job
        if job["mode"] != "warm":
            yield job["mode"]
            return
        for _ in range(job["warmup"]):
            yield "warmup"
        if job["minutes"] is None:
            for _ in range(job["repeat"]):
                yield "warm"
            return
        begun, done = time.monotonic(), 0
        while done < 3 or time.monotonic() - begun < 60 * job["minutes"]:
            yield "soak"
            done += 1

    def render(self) -> dict[str, Any]:
        """Render once; returns what was seen, times as time.monotonic has them."""
        marked = self._job["mode"] != "warm" or forget_peak()
        shift = time.monotonic() - time.perf_counter()
        engines, watches = Engines(self._job["threads"]), list[Watch]()
        clips: list[Rendered] = []
        plain = self._pipeline.animate

        def starting() -> None:
            seen = watches[0]
            self._leave({"start": start + shift, **_starting(seen, engines, shift)})

        def watch(*words: Any, **options: Any) -> Watch:
            first = starting if self._job["mode"] == "start" else None
            watches.append(Watch(*words, **options, engines=engines, on_first_frame=first))
            return watches[-1]

        def animate(*words: Any, **options: Any) -> Rendered:
            clips.append(plain(*words, **options))
            return clips[-1]

        from ...cli import animate as command

        with ExitStack() as stack:
            stack.enter_context(engines.watched())
            if self._job["made_prompt"]:
                from .made_prompt import made_prompt

                stack.enter_context(made_prompt(load_bundle(self._asked.model)))
            stack.enter_context(replaced(self._pipeline, "Stages", watch))
            stack.enter_context(replaced(self._pipeline, "animate", animate))
            start = time.perf_counter()
            command.run(self._asked)
            end = time.perf_counter()
        seen, clip = watches[0], clips[0]
        first, steps, outside = seen.step_times()
        return {
            "start": start + shift,
            "end": end + shift,
            **_starting(seen, engines, shift),
            "stages": dict(clip.stages),
            "frames": seen.pieces.get("frames", []),
            "first_steps": first,
            "steps": steps,
            "outside": outside if engines.runs else [],
            "marks": [(at + shift, name) for at, name in seen.marks],
            "peak": peak_memory() if marked else None,
            "device_peak": clip.device_memory,
            "clip": _facts(clip, self._asked.model, engines.devices),
        }


def _starting(seen: Watch, engines: Engines, shift: float) -> dict[str, Any]:
    """When the first step and the first frame were done, and the seconds of opening networks."""
    frame, step = seen.first.get("frames"), seen.first_step
    return {
        "first_frame": None if frame is None else frame + shift,
        "first_step": None if step is None else step + shift,
        "opening": engines.opening,
    }


def _facts(clip: Rendered, model: str, devices: set[str]) -> dict[str, Any]:
    """What was made, and where it ran."""
    planned = {row.name: row for row in clip.memory.components} if clip.memory else {}
    known = load_bundle(model).components
    names = sorted(planned.keys() | known.keys()) if not planned else list(planned)
    ort = import_onnxruntime()
    return {
        "width": clip.width,
        "height": clip.height,
        "frames": clip.frames,
        "fps": clip.fps,
        "seconds": clip.seconds,
        "steps": clip.steps,
        "device": next((one for one in sorted(devices) if one != "cpu"), "cpu"),
        "precision": {
            name: planned[name].precision if name in planned else known[name].precision
            for name in names
        },
        "backend": sorted({row.backend for row in planned.values()}) or ["onnxruntime"],
        "planned_peak_bytes": clip.predicted_memory,
        "encoder": clip.encoder,
        "notes": list(clip.notes),
        "onnxruntime": {"version": ort.__version__, "providers": ort.get_available_providers()},
    }
