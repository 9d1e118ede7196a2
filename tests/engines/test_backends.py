"""Which libraries load, and the line that installs what is missing."""

from __future__ import annotations

from typing import Any

import pytest
from reverie.engines.backends import (
    Backend,
    cuda_of,
    judge_backends,
    load_backends,
    pip_line,
)
from reverie.engines.machine import Machine, describe_machine


def backends(recorded: Any, name: str) -> tuple[Machine, tuple[Backend, ...]]:
    probes = recorded(name)
    machine = describe_machine(probes)
    return machine, judge_backends(machine, probes, load_backends(probes))


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("no-gpu", "pip install 'reverie[cpu,text]'"),
        ("macbook", "pip install 'reverie[text]'"),
        ("rtx3060", "pip uninstall -y onnxruntime && pip install 'reverie[cuda,rtx,text]'"),
        ("rtx4070", ""),
        ("h200", "pip install 'reverie[tensorrt]'"),
        ("orin-nano", "pip install 'reverie[cpu,text]' 'cuda-bindings==12.*'"),
        ("orin-nx", "pip install 'cuda-bindings==12.*'"),
        ("agx-thor", ""),
        (
            "two-runtimes",
            "pip uninstall -y onnxruntime onnxruntime-gpu && pip install 'reverie[cuda]'",
        ),
    ],
)
def test_the_line_that_installs_what_is_missing(recorded: Any, name: str, line: str) -> None:
    assert pip_line(*backends(recorded, name)) == line


def test_a_driver_too_old_for_the_libraries(recorded: Any) -> None:
    _, found = backends(recorded, "driver-too-old")
    old = {b.name: b for b in found if b.status == "broken"}
    assert set(old) == {"ONNX Runtime", "TensorRT-RTX", "CUDA Python"}
    for backend in old.values():
        assert backend.detail == (
            "is for CUDA 13, and the driver 550.54.15 knows CUDA 12.4 at most"
        )
        assert backend.mend == "update the NVIDIA driver to 580 or newer"


def test_both_builds_of_onnx_runtime(recorded: Any) -> None:
    _, found = backends(recorded, "two-runtimes")
    assert found[0].status == "broken"
    assert found[0].detail == (
        "onnxruntime and onnxruntime-gpu are both installed and overwrite each other"
    )


@pytest.mark.parametrize(
    ("child", "detail"),
    [
        ({"problem": "crashed (SIGSEGV)"}, "crashed (SIGSEGV) when it was loaded"),
        ({"problem": "did not answer within 6 seconds"}, "did not answer within 6 seconds"),
        ({"facts": [{"problem": "cannot be loaded (libcudart.so.13)"}]}, "libcudart.so.13"),
    ],
)
def test_a_library_that_is_broken(recorded: Any, child: Any, detail: str) -> None:
    probes = recorded("rtx4070")
    probes.about["children"]["backends tensorrt_rtx"] = child
    machine = describe_machine(probes)
    backend = {b.name: b for b in judge_backends(machine, probes, load_backends(probes))}[
        "TensorRT-RTX"
    ]
    assert (backend.status, backend.version) == ("broken", "1.7.1.116")
    assert detail in backend.detail
    assert backend.mend == "pip install --force-reinstall tensorrt-rtx"


@pytest.mark.parametrize(
    ("problem", "status", "detail"),
    [
        ("did not answer within 6 seconds", "ok", "did not answer within 6 seconds when it was"),
        ("crashed (SIGSEGV)", "broken", "crashed (SIGSEGV) when it was started; providers: CUDA"),
    ],
)
def test_a_library_that_loads_and_then_fails(
    recorded: Any, problem: str, status: str, detail: str
) -> None:
    """Starting CUDA for the first time may take longer than anyone waits here."""
    probes = recorded("rtx4070")
    facts = [{"version": "1.31.1", "detail": ""}, {"detail": "providers: CUDA, CPU"}]
    probes.about["children"]["backends onnxruntime"] = {"facts": facts, "problem": problem}
    machine = describe_machine(probes)
    first = judge_backends(machine, probes, load_backends(probes))[0]
    assert first.status == status
    assert first.detail.startswith(detail)


def test_a_library_that_could_not_be_tried(recorded: Any) -> None:
    probes = recorded("rtx4070")
    problem = "cannot be asked from this interpreter"
    probes.about["children"]["backends tensorrt_rtx"] = {"problem": problem}
    machine = describe_machine(probes)
    backend = judge_backends(machine, probes, load_backends(probes))[1]
    assert (backend.status, backend.mend) == ("ok", "")
    assert backend.detail == f"is installed, but not tried: another Python {problem}"


def test_the_tensorrt_of_an_old_jetpack(recorded: Any) -> None:
    _, found = backends(recorded, "agx-orin")
    old = {backend.name: backend for backend in found}["TensorRT"]
    assert (old.status, old.version, old.detail) == ("broken", "8.5.2.2", "is older than 10")
    assert old.mend == "update JetPack to 6 or newer"


@pytest.mark.parametrize(
    ("package", "version", "requirements", "cuda"),
    [
        ("onnxruntime-ep-nv-tensorrt-rtx-cu12", "1", [], 12),
        ("tensorrt-rtx", "1.7", ["tensorrt_rtx_cu13==1.7"], 13),
        ("tensorrt", "10.14", ["tensorrt_cu12==10.14"], 12),
        ("onnxruntime-gpu", "1.22", ['nvidia-cuda-runtime-cu12~=12.0; extra == "cuda"'], 12),
        ("onnxruntime-gpu", "1.27", ['nvidia-cuda-runtime~=13.0; extra == "cuda"'], 13),
        ("onnxruntime", "1.31", ["numpy>=1.21"], 0),
        ("cuda-bindings", "12.9.1", [], 12),
    ],
)
def test_the_cuda_that_a_package_is_for(
    recorded: Any, package: str, version: str, requirements: list[str], cuda: int
) -> None:
    probes = recorded("no-gpu", requirements={package: requirements})
    assert cuda_of(package, version, probes) == cuda
