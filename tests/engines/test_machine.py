"""What is understood of machines that are not here, from descriptions in tests/data/machines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from reverie.engines.backends import (
    judge_backends,
    load_backends,
    pip_line,
)
from reverie.engines.encoders import ENCODERS, find_encoders
from reverie.engines.gpus import Gpu
from reverie.engines.machine import describe_machine
from reverie.engines.probe import MARK

MACHINES = Path(__file__).resolve().parents[1] / "data" / "machines"
NAMES = sorted(path.stem for path in MACHINES.glob("*.json"))
MIB = 2**20
GPUS = {
    "rtx2060": ("sm75", "rtx", 6144 * MIB - 250 * MIB, 5402 * MIB, "580.95.05", "13.0"),
    "rtx3060": ("sm86", "rtx", 12288 * MIB - 250 * MIB, 11642 * MIB, "590.44.01", "13.1"),
    "rtx4070": ("sm89", "rtx", 12282 * MIB - 250 * MIB, 11390 * MIB, "580.105.08", "13.0"),
    "rtx5090": ("sm120", "rtx", 32607 * MIB - 250 * MIB, 31450 * MIB, "595.12", "13.2"),
    "h200": ("sm90", "tensorrt", 150109880320, 150109880320 - 500 * MIB, "575.57.08", "12.9"),
    "driver-too-old": ("sm89", "rtx", 12282 * MIB - 250 * MIB, 11390 * MIB, "550.54.15", "12.4"),
}


@pytest.mark.parametrize("name", NAMES)
def test_every_machine_is_described(recorded: Any, name: str) -> None:
    probes = recorded(name)
    machine = describe_machine(probes)
    assert machine.memory_bytes >= machine.available_bytes > 0
    assert machine.system
    assert machine.processor
    found = find_encoders(probes)
    assert [encoder.name for encoder in found] == list(ENCODERS)
    assert found[0].status == "ok"
    backends = judge_backends(machine, probes, load_backends(probes))
    assert {backend.status for backend in backends} <= {"ok", "missing", "broken"}
    line = pip_line(machine, backends)
    assert "\n" not in line + machine.driver.problem


@pytest.mark.parametrize("name", GPUS)
def test_discrete_gpus(recorded: Any, name: str) -> None:
    machine = describe_machine(recorded(name))
    (gpu,) = machine.gpus
    assert gpu.architecture is not None
    assert (
        gpu.architecture.name,
        gpu.architecture.library,
        gpu.memory_bytes,
        gpu.free_bytes,
        gpu.driver,
        gpu.cuda,
    ) == GPUS[name]
    assert (gpu.unified, machine.unified, machine.jetson) == (False, False, None)
    assert (machine.driver.version, machine.driver.cuda) == (gpu.driver, gpu.cuda)
    assert machine.driver.problem == ""


def test_a_gpu_that_shares_the_memory_of_a_machine_that_is_no_jetson(recorded: Any) -> None:
    machine = describe_machine(recorded("dgx-spark"))
    assert machine.jetson is None
    assert machine.unified
    assert [gpu.architecture.name for gpu in machine.gpus if gpu.architecture] == ["sm121"]
    assert machine.gpus[0].free_bytes == machine.available_bytes


def test_the_drivers_order_counts_and_not_that_of_nvidia_smi(recorded: Any) -> None:
    machine = describe_machine(recorded("two-gpus"))
    assert [(gpu.index, gpu.capability) for gpu in machine.gpus] == [(0, (12, 0)), (1, (8, 6))]


def test_thor_under_the_number_that_cuda_12_had_for_it(recorded: Any) -> None:
    probes = recorded("agx-thor")
    (device,) = probes.about["children"]["driver"]["facts"][0]["devices"]
    device |= {"major": 10, "minor": 1}
    (gpu,) = describe_machine(probes).gpus
    assert gpu.architecture is not None
    assert gpu.architecture.name == "sm110"


@pytest.mark.parametrize(
    ("name", "problem", "unusable"),
    [
        ("no-gpu", "", ()),
        ("macbook", "", ()),
        ("driver-without-device", "", ()),
        ("card-without-driver", "an NVIDIA GPU is there, and no driver for it", ()),
        (
            "gpus-hidden",
            "CUDA_VISIBLE_DEVICES is '' and hides every GPU",
            ("NVIDIA GeForce RTX 4070",),
        ),
        ("driver-mismatch", "of different versions: restart the machine (code 803)", ()),
        ("driver-hangs", "did not answer within 6 seconds when it was asked", ()),
        ("driver-crashes", "crashed (SIGSEGV) when it was asked", ("NVIDIA GeForce RTX 4070",)),
        (
            "container-without-libcuda",
            "not its library libcuda: in a container, start it with --gpus all",
            ("NVIDIA GeForce RTX 4070",),
        ),
    ],
)
def test_machines_without_a_gpu_that_can_be_used(
    recorded: Any, name: str, problem: str, unusable: tuple[str, ...]
) -> None:
    machine = describe_machine(recorded(name))
    assert machine.gpus == ()
    assert machine.driver.unusable == unusable
    assert problem in machine.driver.problem
    assert bool(problem) == bool(machine.driver.problem)


def test_a_version_of_the_driver_that_only_the_kernel_knows(recorded: Any) -> None:
    machine = describe_machine(recorded("driver-mismatch"))
    assert (machine.driver.version, machine.driver.cuda) == ("580.95.05", "13.0")


def test_a_gpu_that_only_nvidia_smi_could_tell_of(recorded: Any) -> None:
    """An interpreter that cannot start another one."""
    probes = recorded("rtx4070")
    probes.about["children"]["driver"] = {"problem": "cannot be asked from this interpreter"}
    (gpu,) = describe_machine(probes).gpus
    assert gpu.architecture is not None
    assert (gpu.architecture.name, gpu.memory_bytes) == ("sm89", 12282 * MIB)


@pytest.mark.parametrize("junk", ["", "garbage", MARK + "[1]\n" + MARK + "{", MARK + "{}"])
def test_answers_that_are_none(recorded: Any, junk: str) -> None:
    children = {"driver": {"out": junk}, "encoders": {"out": junk}, "backends": {"out": junk}}
    probes = recorded("rtx4070", children=children, commands={"nvidia-smi": junk}, files={})
    machine = describe_machine(probes)
    assert machine.gpus == ()
    assert {encoder.status for encoder in find_encoders(probes)} == {"broken"}
    judge_backends(machine, probes, load_backends(probes))


def test_a_driver_too_old_to_tell_the_capability(recorded: Any) -> None:
    refused = {"out": 'Field "compute_cap" is not a valid field to query.', "problem": "failed ()"}
    commands = {
        "nvidia-smi": refused,
        "nvidia-smi -q -x": (MACHINES / "nvidia-smi-470.xml").read_text(),
    }
    probes = recorded("driver-crashes", commands=commands)
    assert describe_machine(probes).driver.unusable == ("NVIDIA GeForce RTX 2060", "Quadro K600")
    assert describe_machine(probes).driver.version == "470.256.02"


def test_this_machine() -> None:
    machine = describe_machine()
    assert machine.cores >= 1
    assert machine.memory_bytes >= machine.available_bytes > 0
    assert all(isinstance(gpu, Gpu) for gpu in machine.gpus)
