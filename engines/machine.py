"""What this machine is: processor, memory, GPUs and their driver, Jetson; works without extras."""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass, field, replace
from functools import partial

from .gpus import (
    CODES,
    SMI,
    SMI_XML,
    Driver,
    Gpu,
    cuda_text,
    gpus_of_driver,
    parse_smi,
    parse_smi_xml,
    share_memory,
)
from .jetson import Jetson, find_jetson
from .probe import Answer, Probes, together

__all__ = ["Driver", "Gpu", "Jetson", "Machine", "describe_machine"]

_PCI = "/sys/bus/pci/devices"
_NVIDIA, _DISPLAY = "0x10de", "0x03"
_VERSION = "/proc/driver/nvidia/version"
_HIDDEN = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Machine:
    """One machine, as far as a program on it can tell."""

    system: str
    """"Linux 6.8.0 x86_64"."""
    processor: str
    cores: int
    """That this process may use."""
    memory_bytes: int
    """The memory there is, or the limit of this process's control group where that is less."""
    available_bytes: int
    """What of it a new program can have."""
    gpus: tuple[Gpu, ...] = ()
    """Those that can be used, in the driver's order."""
    jetson: Jetson | None = None
    driver: Driver = field(default_factory=Driver)
    """NVIDIA's driver."""

    @property
    def unified(self) -> bool:
        """Whether processor and GPU share one memory, which then counts once."""
        return any(gpu.unified for gpu in self.gpus)


def describe_machine(probes: Probes | None = None) -> Machine:
    """Return what this machine is; takes a few seconds at most, and raises nothing.

    The driver is asked in a process of its own and through nvidia-smi, each with a limit, so that
    one that hangs or crashes is a line in `driver.problem`.
    """
    probes = probes or Probes()
    jetson: list[Jetson | None] = []
    answers = together(
        [
            partial(probes.child, "driver"),
            partial(probes.run, SMI),
            partial(_keep, jetson, probes),
        ]
    )
    total, available = probes.memory()
    driver, gpus = _driver(probes, answers[0], answers[1])
    return Machine(
        system=" ".join(filter(None, probes.system())),
        processor=_processor(probes),
        cores=_cores(probes),
        memory_bytes=total,
        available_bytes=available,
        gpus=tuple(share_memory(gpu, total, available) for gpu in gpus),
        jetson=jetson[0],
        driver=driver,
    )


def _keep(found: list[Jetson | None], probes: Probes) -> Answer:
    """Look for a Jetson in the same way as all else is asked."""
    found.append(find_jetson(probes))
    return Answer()


def _driver(probes: Probes, child: Answer, smi: Answer) -> tuple[Driver, tuple[Gpu, ...]]:
    """Put together what the driver library and nvidia-smi say."""
    facts = next(iter(child.facts), {})
    cuda = cuda_text(int(facts.get("cuda") or 0))
    seen = parse_smi(smi.out, cuda)
    if not seen and smi.problem.startswith("failed"):  # it knows no compute_cap
        seen = parse_smi_xml(probes.run(SMI_XML).out)
    version = str(facts.get("version") or "") or next((gpu.driver for gpu in seen), "")
    version = version or _kernel_module(probes)
    cuda = cuda or next((gpu.cuda for gpu in seen), "")
    gpus = gpus_of_driver(facts, version)
    if gpus:
        return Driver(version, cuda), gpus
    names = tuple(gpu.name for gpu in seen)
    problem = _problem(probes, facts, child.problem, version, names)
    if child.problem and not facts and seen and not _failed(child.problem):
        return Driver(version, cuda), tuple(replace(gpu, cuda=gpu.cuda or cuda) for gpu in seen)
    return Driver(version, cuda, problem, names), ()


def _failed(problem: str) -> bool:
    """Whether a question was put and went badly, rather than could not be put."""
    return problem.startswith(("crashed", "did not answer"))


def _problem(
    probes: Probes, facts: dict[str, object], asked: str, version: str, seen: tuple[str, ...]
) -> str:
    """Say why no GPU can be used, "" on a machine without one."""
    if _failed(asked):
        return f"the NVIDIA driver {asked} when it was asked: install it again"
    code = facts.get("code")
    hidden = probes.variable(_HIDDEN)
    if code == 100 and hidden is not None and (seen or version):
        return f"{_HIDDEN} is {hidden!r} and hides every GPU: take it away"
    if code == 100 and not seen and not _cards(probes):
        return ""  # a driver and nothing to drive
    if isinstance(code, int) and code != 0:
        return f"{CODES.get(code, 'the driver cannot start')} (code {code})"
    if facts.get("loaded"):
        return ""
    if seen or version:
        return (
            "the driver is there but not its library libcuda: in a container, start it with "
            "--gpus all; else install the driver again"
        )
    if _cards(probes):
        return "an NVIDIA GPU is there, and no driver for it: install NVIDIA's driver"
    return ""


def _cards(probes: Probes) -> int:
    """How many display devices of NVIDIA are on the PCI bus."""
    return sum(
        (probes.read(f"{_PCI}/{name}/vendor") or "").strip() == _NVIDIA
        and (probes.read(f"{_PCI}/{name}/class") or "").startswith(_DISPLAY)
        for name in probes.names(_PCI)
    )


def _kernel_module(probes: Probes) -> str:
    """Return the version of the driver that the kernel has loaded."""
    found = re.search(r"Module\s+(?:for \S+\s+)?(\d[\d.]+)", probes.read(_VERSION) or "")
    return found[1] if found else ""


def _cores(probes: Probes) -> int:
    """Return the cores this process may use, with its control group's share of time."""
    count = probes.cores()
    quota = re.match(r"(\d+) (\d+)", probes.read("/sys/fs/cgroup/cpu.max") or "")
    if quota and int(quota[2]):
        count = min(count, max(1, -(-int(quota[1]) // int(quota[2]))))
    return count


def _processor(probes: Probes) -> str:
    """Return the processor's name, at least its kind."""
    text = probes.read("/proc/cpuinfo") or ""
    if found := re.search(r"^(?:model name|Model|Hardware)\s*:\s*(\S.*)$", text, re.MULTILINE):
        return found[1].strip()
    if probes.system()[0] == "Darwin":
        name = probes.run(("sysctl", "-n", "machdep.cpu.brand_string")).out.strip()
        if name:
            return name
    return platform.processor() or probes.system()[2] or "unknown"
