"""GPUs: what the driver says of them, in its own words or in nvidia-smi's."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from xml.etree import ElementTree

from .architectures import ARCHITECTURES, Architecture, architecture_of

SMI = (
    "nvidia-smi",
    "--query-gpu=index,name,driver_version,memory.total,memory.free,compute_cap",
    "--format=csv,noheader,nounits",
)
SMI_XML = ("nvidia-smi", "-q", "-x")
"""For drivers too old to tell the compute capability in a table."""

_ALIASES = {(10, 1): "sm110"}  # Thor, as CUDA 12 counted it
_MIB = 2**20

CODES = {
    34: "the driver library found is a stub for compiling; take it from the library path",
    100: "the driver finds no GPU",
    101: "the driver finds no GPU of that number",
    803: "the driver and its library are of different versions: restart the machine",
    804: "this GPU does not work with the CUDA compatibility package: update the driver itself",
    802: "the system is not ready: is the fabric manager running?",
    999: "the driver failed: restart the machine, or install the driver again",
}
"""What the codes of the CUDA driver API mean to a person."""


@dataclass(frozen=True)
class Gpu:
    """One GPU that programs can use."""

    index: int
    name: str
    architecture: Architecture | None
    """None for one that no engine is built for."""
    capability: tuple[int, int]
    """(major, minor); (0, 0) where it is not known."""
    memory_bytes: int
    free_bytes: int | None
    """None where nobody tells."""
    unified: bool
    """Whether it shares its memory with the processor."""
    driver: str
    """Version of the driver, "580.65.06"; empty where it does not say."""
    cuda: str
    """The newest CUDA that the driver knows, "13.0"."""


@dataclass(frozen=True)
class Driver:
    """NVIDIA's driver on this machine."""

    version: str = ""
    cuda: str = ""
    """The newest CUDA it knows, "13.0"; empty where there is no driver."""
    problem: str = ""
    """Why no GPU can be used though a driver or a GPU is there; with what to do."""
    unusable: tuple[str, ...] = ()
    """GPUs that are seen but cannot be used."""

    @property
    def cuda_major(self) -> int:
        """13 of "13.0", 0 where it is not known."""
        text = self.cuda.partition(".")[0]
        return int(text) if text.isdecimal() else 0


def gpus_of_driver(facts: Mapping[str, Any], driver: str = "") -> tuple[Gpu, ...]:
    """Return the GPUs that `driver.ask_driver` told of."""
    found = []
    for index, device in enumerate(facts.get("devices") or ()):
        capability = (int(device["major"]), int(device["minor"]))
        architecture = find(capability)
        free = device.get("free")
        found.append(
            Gpu(
                index=index,
                name=str(device["name"]),
                architecture=architecture,
                capability=capability,
                memory_bytes=int(device["bytes"]),
                free_bytes=None if free is None else int(free),
                unified=bool(device["integrated"]) or bool(architecture and architecture.unified),
                driver=driver or str(facts.get("version") or ""),
                cuda=cuda_text(int(facts.get("cuda") or 0)),
            )
        )
    return tuple(found)


def find(capability: tuple[int, int]) -> Architecture | None:
    """Return the architecture of a compute capability, under whatever number CUDA had for it."""
    if capability in _ALIASES:
        return ARCHITECTURES[_ALIASES[capability]]
    return architecture_of(*capability)


def cuda_text(number: int) -> str:
    """Return "12.4" of 12040, "" of 0."""
    return f"{number // 1000}.{number % 1000 // 10}" if number else ""


def parse_smi(text: str, cuda: str = "") -> tuple[Gpu, ...]:
    """Return the GPUs in the table of `SMI`; rows that are none are passed over."""
    found = []
    for row in csv.reader(text.splitlines(), skipinitialspace=True):
        if len(row) != 6 or not row[0].strip().isdecimal():
            continue
        index, name, driver, total, free, capability = (cell.strip() for cell in row)
        found.append(_gpu(int(index), name, driver, total, free, capability, cuda))
    return tuple(found)


def parse_smi_xml(text: str) -> tuple[Gpu, ...]:
    """Return the GPUs in the output of `SMI_XML`, none where it is something else.

    Their capability is not in it.
    """
    if "<!ENTITY" in text:  # which can grow without end
        return ()
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return ()
    driver, cuda = root.findtext("driver_version", ""), root.findtext("cuda_version", "")
    return tuple(
        _gpu(
            index,
            gpu.findtext("product_name", "").strip(),
            driver.strip(),
            gpu.findtext("fb_memory_usage/total", ""),
            gpu.findtext("fb_memory_usage/free", ""),
            "",
            cuda.strip(),
        )
        for index, gpu in enumerate(root.findall("gpu"))
    )


def _gpu(
    index: int, name: str, driver: str, total: str, free: str, capability: str, cuda: str
) -> Gpu:
    numbers = re.fullmatch(r"(\d+)\.(\d+)", capability)
    pair = (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)
    architecture = find(pair)
    memory, left = _mib(total), _mib(free)
    return Gpu(
        index=index,
        name=name,
        architecture=architecture,
        capability=pair,
        memory_bytes=memory or 0,
        free_bytes=left,
        unified=bool(architecture and architecture.unified),
        driver=driver,
        cuda=cuda,
    )


def _mib(text: str) -> int | None:
    """Return the bytes of "12288" or "12288 MiB", None of "[N/A]"."""
    found = re.fullmatch(r"\s*(\d+)\s*(?:MiB)?\s*", text)
    return int(found[1]) * _MIB if found else None


def share_memory(gpu: Gpu, total: int, available: int) -> Gpu:
    """Return a GPU that shares the processor's memory with what there is of that."""
    if not gpu.unified:
        return gpu
    sizes = [size for size in (gpu.memory_bytes, total) if size]
    memory = min(sizes, default=0)
    frees = [size for size in (gpu.free_bytes, available, memory) if size is not None]
    return replace(gpu, memory_bytes=memory, free_bytes=min(frees))
