"""What can run networks here: which libraries are installed, whether they load, what is missing."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any, Literal

from .device import choose_device, import_onnxruntime
from .libraries import LIBRARIES
from .machine import Machine
from .ort_rtx import PACKAGE as RTX_PLUGIN
from .probe import NOT_PUT, Answer, Probes, tell, together

Status = Literal["ok", "missing", "broken"]

CPU, CUDA = "onnxruntime", "onnxruntime-gpu"
_OLDEST_TENSORRT = 10
"""Its first with networks whose types are taken as they are in all precisions that are used."""

_NO_START = "CUDA (does not start)"

OLDEST_DRIVER = {12: "525", 13: "580"}
"""The first driver for each CUDA; by NVIDIA's table of minor version compatibility."""


@dataclass(frozen=True)
class Backend:
    """One library, as it was found."""

    name: str
    """What it is called in a sentence."""
    package: str
    """What pip calls it; the usual one where it is not installed."""
    status: Status
    version: str = ""
    detail: str = ""
    """What it can do, or why it cannot."""
    wanted: bool = True
    """Whether this machine has a use for it."""
    mend: str = ""
    """What to do, where there is something to do."""


@dataclass(frozen=True)
class _Row:
    name: str
    packages: tuple[str, ...]
    module: str
    wanted: Callable[[Machine], bool]


def _libraries(machine: Machine) -> set[str]:
    return {gpu.architecture.library for gpu in machine.gpus if gpu.architecture}


def _has_gpu(machine: Machine) -> bool:
    return bool(machine.gpus)


def _never(machine: Machine) -> bool:
    return False


def _rows() -> tuple[_Row, ...]:
    rtx, classic = LIBRARIES["rtx"], LIBRARIES["tensorrt"]
    plugin = "onnxruntime-ep-nv-tensorrt-rtx"
    return (
        _Row("ONNX Runtime", (CPU, CUDA), "onnxruntime", lambda machine: True),
        _Row(rtx.title, rtx.distributions, rtx.module, lambda m: "rtx" in _libraries(m)),
        _Row(
            classic.title,
            classic.distributions,
            classic.module,
            lambda m: "tensorrt" in _libraries(m),
        ),
        _Row("CUDA Python", ("cuda-bindings",), "cuda.bindings.driver", _has_gpu),
        _Row("TensorRT-RTX plug-in", (f"{plugin}-cu13", f"{plugin}-cu12"), RTX_PLUGIN, _never),
        _Row("Tokenizers (LTX, Wan)", ("tokenizers",), "tokenizers", lambda machine: True),
    )


Loaded = tuple[Answer | None, ...]


def load_backends(probes: Probes) -> Loaded:
    """Load every library that is installed, each in a process of its own; see `judge_backends`."""
    return tuple(together([partial(_load, probes, row) for row in _rows()]))


def judge_backends(machine: Machine, probes: Probes, loaded: Loaded) -> tuple[Backend, ...]:
    """Return how each library is, on this machine; one that crashed when loaded is "broken"."""
    return tuple(
        _backend(machine, probes, row, answer) for row, answer in zip(_rows(), loaded, strict=True)
    )


def _load(probes: Probes, row: _Row) -> Answer | None:
    """Load a library somewhere else; None where there is none."""
    first, *rest = row.module.split(".")
    names = [first, *(f"{first}.{name}" for name in rest[:1])]  # looking deeper would import
    found = all(probes.found(name) for name in names)
    return probes.child("backends", row.module) if found else None


def _backend(machine: Machine, probes: Probes, row: _Row, answer: Answer | None) -> Backend:
    versions = {name: probes.version(name) for name in row.packages}
    installed = [name for name, version in versions.items() if version]
    package = next(iter(installed), row.packages[0])
    fact: dict[str, Any] = {}
    for told in answer.facts if answer else ():
        fact |= told
    version = str(versions[package] or fact.get("version") or "")
    wanted = row.wanted(machine)

    def made(status: Status, detail: str, mend: str = "") -> Backend:
        return Backend(row.name, package, status, version, detail, wanted, mend)

    if row.module == "onnxruntime" and len(installed) == 2:
        build = _build(machine)
        return made(
            "broken",
            f"{CPU} and {CUDA} are both installed and overwrite each other",
            f"pip uninstall -y {CPU} {CUDA} && pip install {build}",
        )
    if answer is None:
        return made("missing", "is not installed")
    if answer.problem.startswith(NOT_PUT):
        return made("ok", f"is installed, but not tried: another Python {answer.problem}")
    if answer.problem and not fact:
        return made("broken", f"{answer.problem} when it was loaded", _again(package))
    if fact.get("problem"):
        return made("broken", str(fact["problem"]), _again(package))
    if row.name == LIBRARIES["tensorrt"].title and 0 < _major(version) < _OLDEST_TENSORRT:
        mend = "update JetPack to 6 or newer" if machine.jetson else f"pip install -U {package}"
        return made("broken", f"is older than {_OLDEST_TENSORRT}", mend)
    if old := _too_old(machine, probes, package, version):
        return made("broken", *old)
    detail = str(fact.get("detail") or "")
    if answer.problem:  # it was loaded, and then
        detail = f"{answer.problem} when it was started; {detail}".removesuffix("; ")
        if answer.problem.startswith("crashed"):
            return made("broken", detail, _again(package))
    if _NO_START in detail and machine.gpus:
        return made("ok", detail, "pip install 'onnxruntime-gpu[cuda,cudnn]'")
    return made("ok", detail)


def _again(package: str) -> str:
    return f"pip install --force-reinstall {package}"


def _build(machine: Machine) -> str:
    """The build of ONNX Runtime for a machine."""
    return CUDA if machine.gpus and machine.jetson is None else CPU


def _too_old(
    machine: Machine, probes: Probes, package: str, version: str
) -> tuple[str, str] | None:
    """Say that the driver does not know the CUDA that a package is for, and what to do."""
    needed, known = cuda_of(package, version, probes), machine.driver.cuda_major
    if not machine.gpus or not needed or not known or known >= needed:
        return None
    driver = OLDEST_DRIVER.get(needed, "")
    return (
        f"is for CUDA {needed}, and the driver {machine.driver.version} knows CUDA "
        f"{machine.driver.cuda} at most",
        f"update the NVIDIA driver{f' to {driver} or newer' if driver else ''}",
    )


def cuda_of(package: str, version: str, probes: Probes) -> int:
    """Return the major version of CUDA that an installed package is for, 0 where it is for any."""
    if package == "cuda-bindings":
        return _major(version)
    found = 0
    for text in (package, *probes.requirements(package)):
        for number in re.findall(r"(?:-|_)cu(\d\d)\b|nvidia-cuda-runtime\D{0,4}(\d\d)\.", text):
            found = max(found, *(int(part) for part in number if part))
    return found


def _major(version: str) -> int:
    text = version.partition(".")[0]
    return int(text) if text.isdecimal() else 0


def pip_line(machine: Machine, backends: Sequence[Backend]) -> str:
    """Return the one line that installs what this machine wants and lacks, "" where it has all."""
    of = {backend.name: backend for backend in backends}
    runtime = of["ONNX Runtime"]
    build = _build(machine)
    wanted = "cuda" if build == CUDA else "cpu"
    before = ""
    extras = []
    if runtime.detail.endswith("overwrite each other"):
        before, extras = f"pip uninstall -y {CPU} {CUDA} && ", [wanted]
    elif runtime.status != "ok" and runtime.package != build and runtime.version:
        before, extras = f"pip uninstall -y {runtime.package} && ", [wanted]
    elif runtime.status == "ok" and runtime.package == CPU and wanted == "cuda":
        before, extras = f"pip uninstall -y {CPU} && ", [wanted]
    elif runtime.status == "missing":
        extras = [wanted]
    for library in sorted(_libraries(machine)):
        parts = (LIBRARIES[library].title, "CUDA Python")
        if any(of[name].status == "missing" for name in parts) and machine.jetson is None:
            extras.append(library)
    if of["Tokenizers (LTX, Wan)"].status == "missing":
        extras.append("text")
    line = f"{before}pip install 'reverie[{','.join(extras)}]'" if extras else ""
    if machine.jetson and machine.gpus and of["CUDA Python"].status == "missing":
        major = machine.driver.cuda_major or 12
        bindings = f"'cuda-bindings=={major}.*'"
        line = f"{line} {bindings}" if line else f"pip install {bindings}"
    return line


def main(words: Sequence[str]) -> None:
    """Load one library and tell what it is; run in a process of its own."""
    (name,) = words
    try:
        module = import_module(name)
        tell(version=str(getattr(module, "__version__", "")), detail="")
        for detail in _details(name, module):
            tell(detail=detail)
    except (Exception, SystemExit) as error:
        lines = str(error).strip().splitlines()
        tell(problem=f"cannot be loaded ({lines[0][:200] if lines else type(error).__name__})")
        sys.exit(0)


def _details(name: str, module: Any) -> Iterator[str]:
    """Say what a library that loaded can do here, then the same after a closer look."""
    if name == "onnxruntime":
        import_onnxruntime()
        words = [p.removesuffix("ExecutionProvider") for p in module.get_available_providers()]
        words = [word for word in words if word != "Azure"]  # networks of others, never used here
        yield "providers: " + ", ".join(words)
        if "CUDA" in words and choose_device("auto").kind != "cuda":
            words[words.index("CUDA")] = _NO_START
            yield "providers: " + ", ".join(words)
    if name == RTX_PLUGIN:
        from .ort_rtx import provider_devices

        count = len(provider_devices())
        yield f"sees {count} GPU{'' if count == 1 else 's'}"
