"""The GPUs that a person names to build engines for, and which of them can be built for here."""

from __future__ import annotations

from dataclasses import dataclass

from ..engines.architectures import ARCHITECTURES, Architecture, find_architecture
from ..engines.errors import EngineError
from ..engines.libraries import find_library
from ..engines.machine import Machine, describe_machine
from .orders import own_place


@dataclass(frozen=True)
class Target:
    """A GPU to build for."""

    architecture: Architecture
    here: bool
    """Whether engines for it can be built on this machine."""
    in_place: str = ""
    """Name and driver of the GPU in this machine, where its engines run on no other."""


def find_targets(names: str, machine: Machine | None = None) -> tuple[Target, ...]:
    """Return the GPUs of a list such as "this,sm86,sm89", each once.

    Raises:
        SettingsError: one is not known.
        EngineError: "this" was asked for and there is no GPU, or none that engines are built for.
    """
    found: dict[str, Target] = {}
    for name in names.split(","):
        if name.strip().lower() == "this":
            machine = machine or describe_machine()
            target = _this(machine)
        else:
            architecture = find_architecture(name)
            target = Target(architecture, find_library(architecture.library).ahead)
            if not target.here:
                machine = machine or describe_machine()
                target = _own(machine, architecture) or target
        found[target.architecture.name] = target
    return tuple(found.values())


def _this(machine: Machine) -> Target:
    for gpu in machine.gpus:
        if gpu.architecture is not None and (target := _own(machine, gpu.architecture)):
            return target
    what = machine.driver.problem or "there is no NVIDIA GPU in this machine"
    if machine.gpus:
        gpu = machine.gpus[0]
        major, minor = gpu.capability
        what = f"no engine is built for {gpu.name} (compute capability {major}.{minor})"
    ahead = [name for name, row in ARCHITECTURES.items() if find_library(row.library).ahead]
    raise EngineError(
        f"{what}: name the GPU to build for with --gpu, one of {', '.join(ahead)} from here "
        "(`reverie doctor` tells more)"
    )


def _own(machine: Machine, architecture: Architecture) -> Target | None:
    """The first GPU of this architecture in this machine."""
    for gpu in machine.gpus:
        if gpu.architecture == architecture:
            return Target(architecture, True, own_place(architecture.library, gpu))
    return None
