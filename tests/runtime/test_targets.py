"""GPUs that are named, and what of them can be built for on a machine."""

from __future__ import annotations

import pytest
from reverie.engines.architectures import ARCHITECTURES, architecture_of
from reverie.engines.errors import EngineError, SettingsError
from reverie.engines.gpus import Driver, Gpu
from reverie.engines.machine import Machine
from reverie.runtime.targets import Target, find_targets


def gpu(name: str, major: int, minor: int) -> Gpu:
    architecture = architecture_of(major, minor)
    return Gpu(0, name, architecture, (major, minor), 10**10, None, False, "580.65", "13.0")


def machine(*gpus: Gpu, problem: str = "") -> Machine:
    return Machine("Linux", "x86", 4, 10**10, 10**10, gpus, driver=Driver(problem=problem))


NONE = machine()
GAMER = machine(gpu("NVIDIA GeForce GTX 1080", 6, 1), gpu("NVIDIA GeForce RTX 4070", 8, 9))
ORIN = machine(gpu("Orin", 8, 7))


def test_any_machine_builds_ahead_for_the_gpus_of_tensorrt_rtx() -> None:
    found = find_targets("sm86, SM_120,sm86", NONE)
    assert found == (
        Target(ARCHITECTURES["sm86"], True),
        Target(ARCHITECTURES["sm120"], True),
    )


def test_others_are_built_on_the_device() -> None:
    assert find_targets("sm87,sm90", GAMER) == (
        Target(ARCHITECTURES["sm87"], False),
        Target(ARCHITECTURES["sm90"], False),
    )


def test_on_the_device_itself() -> None:
    here = Target(ARCHITECTURES["sm87"], True, "Orin / driver 580.65")
    assert find_targets("this", ORIN) == (here,)
    assert find_targets("sm87,this", ORIN) == (here,)


def test_this_is_the_first_gpu_that_engines_are_built_for() -> None:
    assert find_targets("this", GAMER) == (Target(ARCHITECTURES["sm89"], True),)


@pytest.mark.parametrize(
    ("where", "said"),
    [
        (NONE, "there is no NVIDIA GPU in this machine: name the GPU"),
        (machine(problem="the driver is too old"), "the driver is too old: name the GPU"),
        (
            machine(gpu("GeForce GTX 1080", 6, 1)),
            r"no engine is built for GeForce GTX 1080 \(compute capability 6\.1\): name",
        ),
    ],
)
def test_there_is_no_gpu_to_build_for(where: Machine, said: str) -> None:
    with pytest.raises(EngineError, match=f"^{said}.*one of sm75, .*sm121 from here"):
        find_targets("this", where)


def test_an_unknown_gpu() -> None:
    with pytest.raises(SettingsError, match="'rtx4090' is not known: use one of sm75"):
        find_targets("sm86,rtx4090", NONE)
