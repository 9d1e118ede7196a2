"""What a render demands of a device's memory: a family's plan turned into numbers of bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..engines.architectures import LARGEST_FIRST, Architecture
from ..engines.errors import SettingsError
from ..engines.libraries import find_library
from ..engines.plan import Cut, Stretch, Weights
from .bundle import Bundle
from .footprint import Graph, Taken, taken
from .placement import LIBRARIES, built_by
from .shapes import Phase as ShapesPhase
from .shapes import component_shapes, phases, telling

BASE = 115_000_000
"""What the process takes by itself once networks have run in it: Python, NumPy, OpenCV, PyAV, ONNX
Runtime, with the pages of their code (measured with the versions of benchmarks/plan_check.py)."""
ENCODER, ENCODER_PIXEL = 14_000_000, 86
"""What encoding takes: by itself, and for each pixel of a frame (x264 looks ahead)."""
CONTEXT = 450_000_000
"""What a CUDA context with its libraries takes on the device; a rough figure."""
STREAMED_SHARE = 0.15
"""What of its weights TensorRT must hold to stream the rest; a rough figure."""


@dataclass(frozen=True)
class Device:
    """What a device is, as far as planning goes."""

    name: str
    gpu: Architecture | None
    backend: str
    graph: Graph
    one_memory: bool
    """Whether the host's memory is the device's too."""

    @classmethod
    def of(cls, gpu: Architecture | None, backend: str) -> Device:
        if gpu is None:
            if backend not in ("auto", "onnxruntime"):
                raise SettingsError(
                    f"backend {backend} runs on NVIDIA GPUs: name one, or use onnxruntime"
                )
            return cls("cpu", None, "onnxruntime", "cpu", True)
        if backend == "auto":
            backend = built_by(gpu)
        fused: Graph = "main" if backend == "onnxruntime" else "fused"
        return cls(gpu.name, gpu, backend, fused, gpu.unified)

    @property
    def base(self) -> int:
        """What is there before any network."""
        if self.gpu is None:
            return BASE
        return CONTEXT + (BASE if self.one_memory else 0)

    def backend_for(self, precision: str) -> str:
        """What runs a precision: what a library does not build for a GPU, ONNX Runtime does."""
        if self.gpu is None or self.backend not in LIBRARIES:
            return self.backend
        refused = find_library(LIBRARIES[self.backend]).refuses.get(self.gpu.name, {})
        return "onnxruntime" if precision in refused else self.backend


@dataclass(frozen=True)
class Demand:
    """Turns a family's plans into the numbers that `engines.plan` works on."""

    bundle: Bundle
    device: Device
    precision: str
    film: tuple[int, int] | None

    def numbers(
        self, plans: list[Any]
    ) -> tuple[
        tuple[Stretch, ...],
        dict[str, tuple[Weights, ...]],
        dict[tuple[str, str, int], Taken],
    ]:
        """Stretches with a cut for each plan, every network's precisions, and what each takes."""
        found: dict[tuple[str, str, int], Taken] = {}
        told: list[tuple[ShapesPhase, ...]] = []
        for index, plan in enumerate(plans):
            shapes = component_shapes(self.bundle, plan)
            rough = telling(self.bundle).rough_bytes(self.bundle, plan)
            told.append(phases(self.bundle, plan))
            for name, sets in shapes.items():
                for precision in self._precisions(name):
                    component = self.bundle.component(name, precision)
                    found[name, precision, index] = taken(
                        self.bundle, component, sets, self._graph(precision), rough.get(name)
                    )
        options = {
            name: tuple(self._weights(found[name, p, 0], p) for p in self._precisions(name))
            for phase in told[0]
            for name in phase.components
        }
        stretches = []
        for place, phase in enumerate(told[0]):
            cuts = [
                Cut(
                    self._held(rows[place], place == len(told[0]) - 1),
                    {
                        (name, precision): one.activations
                        for (name, precision, i), one in found.items()
                        if i == index and name in phase.components
                    },
                )
                for index, rows in enumerate(told)
            ]
            same = all(one == cuts[0] for one in cuts)
            stretches.append(
                Stretch(
                    phase.name,
                    phase.components,
                    tuple(cuts[:1] if same else cuts),
                    phase.together,
                )
            )
        return tuple(stretches), options, found

    def _precisions(self, name: str) -> tuple[str, ...]:
        """What a component is there in and the device can run, best first."""
        component = self.bundle.component(name)
        there = component.precisions
        gpu = self.device.gpu
        if gpu is None:
            order = [component.precision, *(p for p in LARGEST_FIRST if p in there)]
        else:
            order = [p for p in gpu.precisions if p in there]
            halves = [p for p in order if p in ("fp16", "bf16")]
            if "fp32" in there and not halves:
                order = ["fp32", *order]
        if self.precision in there and (gpu is None or self.precision in ("fp32", *gpu.precisions)):
            order = [self.precision, *order]
        kept: list[str] = []
        for one in dict.fromkeys(order or [component.precision]):
            size = self.bundle.component(name, one).stored_bytes
            if not kept or size < self.bundle.component(name, kept[-1]).stored_bytes:
                kept.append(one)
        return tuple(kept)

    def _graph(self, precision: str) -> Graph:
        if self.device.gpu is None:
            return "cpu"
        plain = self.device.backend_for(precision) == "onnxruntime"
        return "main" if plain else self.device.graph

    def _weights(self, one: Taken, precision: str) -> Weights:
        least = one.least_weights
        if self.device.gpu and self.device.backend_for(precision) in LIBRARIES:
            least = int(one.weights * STREAMED_SHARE)
        return Weights(precision, one.weights, least)

    def _held(self, phase: ShapesPhase, last: bool) -> int:
        if not self.device.one_memory:
            return 0
        encoder = 0
        if last and self.film is not None:
            encoder = ENCODER + ENCODER_PIXEL * self.film[0] * self.film[1]
        return phase.held + encoder
