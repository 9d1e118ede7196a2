"""Where a render runs: the device and backend chosen, the plan of its memory, the networks' opener.

"auto" takes the GPU by TensorRT where the library, its bindings and a driver are there, by ONNX
Runtime's CUDA provider where that starts, and the processor else. Models that make no latents stay
with ONNX Runtime, for their networks are small.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..engines.architectures import PRECISIONS
from ..engines.device import Device, choose_device
from ..engines.engine import Engine
from ..engines.errors import DeviceMemoryError, EngineError, MissingPackageError
from ..engines.host_memory import available_memory
from ..engines.libraries import library_version
from .bundle import Bundle
from .opener import Opener
from .placement import LIBRARIES, Placement, built_by
from .shapes import component_shapes
from .stages import Stages
from .take import find_family, gives_frames

if TYPE_CHECKING:
    from ..engines.architectures import Architecture
    from ..engines.machine import Machine
    from .gpu_engines import GpuEngines
    from .ladder import Rung
    from .planner import RenderPlan

_SIGNS = ("/dev/nvidiactl", "/dev/nvhost-gpu", "/dev/nvgpu", "/dev/dxg")
"""What is there where Linux has a driver for an NVIDIA GPU (or Windows lends one)."""


@dataclass(frozen=True)
class Spot:
    """A device, and what runs networks on it."""

    device: Device
    backend: str
    """One of `placement.BACKENDS` but "auto"."""
    gpu: Architecture | None = None
    machine: Machine | None = None
    """Where there was a reason to look at it."""


def find_spot(placement: Placement, *, small: bool = False) -> Spot:
    """Choose where to run.

    small: whether the model's networks are too small for engines to be worth building.

    Raises:
        EngineError: the device that was asked for is not there.
    """
    wanted, backend = placement.device, placement.backend
    kind = wanted.kind if isinstance(wanted, Device) else wanted.partition(":")[0]
    if kind == "cpu" and backend not in ("auto", "onnxruntime"):
        raise EngineError(f"backend {backend} runs on NVIDIA GPUs: leave --device away, or use it")
    if kind == "cpu" or (backend in ("auto", "onnxruntime") and not driver_there()):
        return Spot(choose_device(wanted), "onnxruntime")
    from ..engines.machine import describe_machine

    machine = describe_machine()
    index = _index(wanted)
    gpu = machine.gpus[index].architecture if index < len(machine.gpus) else None
    if backend in LIBRARIES or backend == "onnxruntime-rtx":
        if index >= len(machine.gpus):
            problem = machine.driver.problem or f"there is no NVIDIA GPU {index} in this machine"
            raise EngineError(f"{problem} (`reverie doctor` tells more)")
        if gpu is None:
            raise EngineError(
                f"no engine is built for {machine.gpus[index].name}: use --backend onnxruntime "
                "(`reverie doctor` tells more)"
            )
        kind = "cuda" if backend in LIBRARIES else "rtx"
        return Spot(Device(kind, index), backend, gpu, machine)
    if backend == "auto" and gpu is not None and not small and engines_run(gpu):
        return Spot(Device("cuda", index), built_by(gpu), gpu, machine)
    device = choose_device(wanted)
    return Spot(device, "onnxruntime", gpu if device.kind == "cuda" else None, machine)


def driver_there() -> bool:
    """Whether there may be an NVIDIA GPU; asks nothing that takes time."""
    return os.name == "nt" or any(Path(sign).exists() for sign in _SIGNS)


def engines_run(gpu: Architecture) -> bool:
    """Whether all is installed that engines for a GPU need."""
    return library_version(gpu.library) is not None and find_spec("cuda") is not None


class Place:
    """Where the renders of one model run; what it keeps open is freed by `close`."""

    def __init__(
        self,
        bundle: Bundle,
        placement: Placement,
        *,
        spot: Spot | None = None,
        gpu_engines: GpuEngines | None = None,
    ) -> None:
        self.bundle, self.placement = bundle, placement
        self._spot, self._gpu_engines = spot, gpu_engines
        self._missed = ""
        self._plan: Any = None
        self.device_peak = 0
        """Bytes of a GPU's memory that engines of TensorRT took at most, as far as was seen."""
        self._opener = Opener(bundle, placement, open_built=self._open_built, spare=self._spare)

    @property
    def spot(self) -> Spot:
        """The device and backend, found once; the processor where the ones asked for are not there.

        Raises:
            EngineError: they are not there, under `strict`.
        """
        if self._spot is None:
            latent = gives_frames(find_family(self.bundle))
            try:
                self._spot = find_spot(self.placement, small=not latent)
            except (EngineError, MissingPackageError) as error:
                if self.placement.strict:
                    raise
                self._missed = f"{error}; the CPU does it instead"
                self._spot = Spot(Device("cpu"), "onnxruntime")
        return self._spot

    def plan(self, plan: Any, *, film: tuple[int, int] | None = None) -> RenderPlan | None:
        """Plan the memory of what the family planned; None where the family tells no sizes.

        film: (width, height) of the frames, where they are encoded too.

        Raises:
            EngineError: the device is not there.
            BundleError: the manifest's figures are broken.
        """
        from .planner import memory_of, plan_render

        if not tells_shapes(self.bundle):
            return None
        spot, asked = self.spot, self.placement
        memory = asked.memory
        if memory is None and spot.gpu is None:
            memory = available_memory()
        elif memory is None and spot.machine and spot.device.index < len(spot.machine.gpus):
            own = spot.machine.gpus[spot.device.index]  # others may be like it, and be full
            memory = memory_of(spot.machine, own)
        return plan_render(
            self.bundle,
            plan,
            spot.machine,
            memory=memory,
            gpu=spot.gpu if spot.device.kind != "cpu" else None,
            backend=spot.backend,
            precision=asked.precision,
            film=film,
        )

    def follow(self, plan: Any, stages: Stages, *, film: tuple[int, int] | None = None) -> Placed:
        """Return the bundle whose networks open as planned, and the plan to render with it.

        Raises:
            DeviceMemoryError: it does not fit, under `strict`.
            EngineError, BundleError: see `plan`.
        """
        if self.bundle.opener is not None:  # somebody else opens its networks
            return Placed(self.bundle, plan, None)
        absent = self._absent()
        if absent and self.placement.strict:
            raise EngineError(absent)
        spot, made = self.spot, self.plan(plan, film=film)
        if self._missed:
            stages.note(self._missed)
        if absent:
            stages.note(absent)
        if made is not None and not made.fits:
            if self.placement.strict:
                raise DeviceMemoryError(made.verdict)
            stages.note(f"{made.verdict}; it is tried all the same")
        self._plan = plan = plan if made is None else made.plan
        self._opener.begin(made, spot, stages)
        return Placed(replace(self.bundle, opener=self._opener), plan, made)

    def _absent(self) -> str:
        """Say that no network is there in the precision that was asked for, "" where one is."""
        asked, components = self.placement.precision, self.bundle.components.values()
        there = {precision for one in components for precision in one.precisions}
        if asked == "auto" or asked in there:
            return ""
        made = f" (`reverie quantize` makes {asked})" if asked in PRECISIONS else ""
        others = ", ".join(sorted(there))
        return f"{self.bundle.name} has no network in {asked}, only in {others}{made}"

    def close(self) -> None:
        """Free what is kept open; a second call does nothing."""
        self._opener.close()
        if self._gpu_engines is not None:
            self._gpu_engines.close()
            self.device_peak = max(self.device_peak, self._gpu_engines.peak)
            self._gpu_engines = None

    def _spare(self) -> None:
        if self._gpu_engines is not None:
            self._gpu_engines.spare()

    def _open_built(self, bundle: Bundle, name: str, rung: Rung, stages: Stages) -> Engine:
        from .gpu_engines import GpuEngines

        if self._gpu_engines is None:
            self._gpu_engines = GpuEngines(rung.device.index, machine=self.spot.machine)
        shapes = component_shapes(bundle, self._plan)
        if name not in shapes:
            raise EngineError(f"{name} is run with sizes that its family does not tell")
        return self._gpu_engines.open(bundle, name, rung, shapes[name], stages)


@dataclass(frozen=True)
class Placed:
    """A render, ready to go."""

    bundle: Bundle
    plan: Any
    """The family's, with decoding cut as memory allows."""
    memory: RenderPlan | None
    """What it will take; None where that is not known."""


def tells_shapes(bundle: Bundle) -> bool:
    """Whether a bundle's family tells the sizes it runs its networks with."""
    return find_spec(f"{__package__}.families.{bundle.family}_shapes") is not None


def _index(wanted: Device | str) -> int:
    if isinstance(wanted, Device):
        return wanted.index
    number = wanted.partition(":")[2]
    return int(number) if number.isdecimal() else 0
