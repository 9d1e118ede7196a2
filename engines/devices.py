"""Devices that need not be here: what each computes and moves a second, and who says so.

The table is devices.json. Peaks are dense operations a second, a multiplication and an addition
being two; half precision accumulates in float32. What a row says is checked by a test against its
units, its clock and its bus, so that a figure with sparsity or of another kind stands out.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from .architectures import ARCHITECTURES, Architecture
from .errors import SettingsError

TABLE = Path(__file__).with_name("devices.json")
DERIVED = "derived"
"""What a source begins with that is a calculation."""


@dataclass(frozen=True)
class Host:
    """The processor that draws and encodes."""

    cores: int
    clock_mhz: float
    assumed: bool
    """Whether it is a guess: a card does not say what it is put into."""


@dataclass(frozen=True)
class Source:
    """Where figures come from."""

    title: str
    url: str
    how: str
    """"read" where its text was seen, "named" where its figure is quoted without."""
    says: str = ""


@dataclass(frozen=True)
class Hardware:
    """One device of the table."""

    name: str
    title: str
    kind: Literal["gpu", "cpu"]
    architecture: Architecture | None
    """None for processors."""
    memory_bytes: int
    reserved_bytes: int
    """What its system and its screen are assumed to hold of that."""
    unified: bool
    units: int
    """Multiprocessors of a GPU, cores of a processor."""
    clock_mhz: float
    rate: str
    """What it does in a clock: devices of one rate differ in size and clock alone."""
    peaks: Mapping[str, float]
    """Format of the numbers -> operations a second."""
    bandwidth: float
    """Bytes a second of its memory."""
    mode: str
    """Clock or power mode that the figures are for."""
    host: Host
    link_bandwidth: float | None
    """Bytes a second from the host; None where memory is one."""
    disk_bandwidth: float
    """Bytes a second that weights are assumed to be read with."""
    sources: Mapping[str, tuple[str, ...]]
    """Figure -> keys of `sources`, or calculations that begin with "derived"."""
    notes: tuple[str, ...] = ()

    @property
    def budget_bytes(self) -> int:
        """What a render may take."""
        return self.memory_bytes - self.reserved_bytes

    def peak(self, precision: str, *, products: bool = True) -> float:
        """Return operations a second for work on a component in a precision of bundles.

        Weights alone are in int4 and nvfp4, and processors widen halves: both compute in the
        format above. products: whether it is matrix products and convolutions; all else of an
        int8 or fp8 network is computed in half precision.
        """
        wanted = {"bf16": "fp16", "int4": "fp16", "nvfp4": "fp16"}.get(precision, precision)
        if precision == "bf16" and self.architecture and "bf16" not in self.architecture.precisions:
            wanted = "fp32"  # Turing has no units for it
        if not products and wanted in ("int8", "fp8"):
            wanted = "fp16"
        if wanted == "fp32" and products:
            wanted = "tf32"
        ladder = {"fp8": ("fp8", "fp16"), "tf32": ("tf32", "fp32")}.get(wanted, (wanted,))
        return next(self.peaks[one] for one in (*ladder, "fp32") if one in self.peaks)


@cache
def devices() -> Mapping[str, Hardware]:
    """Return the table by name, in its order."""
    return {row["name"]: _hardware(row) for row in _table()["devices"]}


@cache
def sources() -> Mapping[str, Source]:
    """Return every source by its key."""
    return {key: Source(**one) for key, one in _table()["sources"].items()}


def find_device(name: str) -> Hardware:
    """Return a device by its name, "rtx4090".

    Raises:
        SettingsError: it is not known; lists those that are near.
    """
    known = devices()
    wanted = name.strip().lower().replace(" ", "-").replace("_", "-")
    if wanted in known:
        return known[wanted]
    plain = {_plain(key): key for key in known}
    if _plain(wanted) in plain:
        return known[plain[_plain(wanted)]]
    close = difflib.get_close_matches(_plain(wanted), plain, n=4, cutoff=0.5)
    begun = [key for short, key in plain.items() if wanted and short.startswith(_plain(wanted))]
    near = list(dict.fromkeys([*begun, *(plain[short] for short in close)]))[:5]
    use = f"near it: {', '.join(near)}" if near else f"it is one of {', '.join(known)}"
    raise SettingsError(
        f"--device {name[:40]!r} is not known: {use} (`--device list` prints them all)"
    )


def told_sources(hardware: Hardware) -> list[str]:
    """Return one line for each figure of a device: who says it, and where."""
    lines = []
    for figure, given in hardware.sources.items():
        for one in given:
            if one.startswith(DERIVED):
                lines.append(f"{figure}: {one}")
            else:
                source = sources()[one]
                lines.append(f"{figure}: {source.title}, {source.url} ({source.how})")
    return lines


def _plain(name: str) -> str:
    return name.replace("-", "").removesuffix("gb")


@cache
def _table() -> Mapping[str, Any]:
    table: Mapping[str, Any] = json.loads(TABLE.read_text(encoding="utf-8"))
    return table


def _hardware(row: Mapping[str, Any]) -> Hardware:
    return Hardware(
        name=row["name"],
        title=row["title"],
        kind=row["kind"],
        architecture=ARCHITECTURES[row["architecture"]] if row["architecture"] else None,
        memory_bytes=row["memory_bytes"],
        reserved_bytes=row["reserved_bytes"],
        unified=row["unified"],
        units=row["units"],
        clock_mhz=row["clock_mhz"],
        rate=row["rate"],
        peaks=dict(row["peaks"]),
        bandwidth=row["bandwidth"],
        mode=row["mode"],
        host=Host(**row["host"]),
        link_bandwidth=row["link_bytes_per_second"],
        disk_bandwidth=row["disk_bytes_per_second"],
        sources={figure: tuple(given) for figure, given in row["sources"].items()},
        notes=tuple(row["notes"]),
    )
