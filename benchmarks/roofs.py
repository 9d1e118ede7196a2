"""What a phase can take at the least on a machine whose ceilings were measured; pure arithmetic.

Each kind of work takes as long as its operations at the best rate that was measured for it, or as
its bytes at the speed of copying memory, whichever is longer; kinds follow one after another. After
Williams et al., "Roofline" (2009).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..engines.errors import SettingsError
from ..runtime.cost import KINDS, PhaseCost

_MEASURED = {"matmul": "gemm", "convolution": "convolution", "attention": "attention"}
_ON_GPU = ("fp16", "bf16")


@dataclass(frozen=True)
class Ceilings:
    """The best rates of one device, at one number of threads."""

    device: str
    threads: int | None
    rates: Mapping[tuple[str, str], float]
    """(kind of work, precision) -> operations a second."""
    memory: float
    """Bytes a second read and written where memory is copied."""
    fresh: float
    """Bytes a second of elementwise work in the engine that renders use, which puts each result
    into memory of its own."""

    def rate(self, kind: str, precision: str) -> tuple[float, str]:
        """Return the rate for a kind of work, and the precision in which it was measured."""
        for name in (precision, *_fallbacks(self.device)):
            if (kind, name) in self.rates:
                return self.rates[kind, name], name
        raise SettingsError(f"the ceilings say nothing of {kind} on {self.device}: measure it")


def _fallbacks(device: str) -> tuple[str, ...]:
    """A processor computes in float32 what is stored in less, where it has no kernel of its own."""
    return ("fp32",) if device == "cpu" else (*_ON_GPU, "fp32")


def read_ceilings(path: Path, *, device: str = "cpu", threads: int | None = None) -> Ceilings:
    """Read what benchmarks/ceilings.py wrote; threads: None takes the most that were measured.

    Raises:
        SettingsError: the file is none of its, or has no rows of that device and these threads.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        rows = [row for row in found["rows"] if row["device"].partition(":")[0] == device]
        if threads is None:
            threads = max((row["threads"] for row in rows if row["threads"]), default=None)
        rows = [row for row in rows if row["threads"] == threads]
        return _ceilings(rows, device, threads)
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror or error}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SettingsError(
            f"{path} holds no ceilings of {device} at {threads or 'any'} threads ({error}): "
            "`python -m reverie.benchmarks.ceilings --name NAME` measures them"
        ) from error


def _ceilings(rows: list[dict[str, Any]], device: str, threads: int | None) -> Ceilings:
    rates: dict[tuple[str, str], float] = {}
    for row in rows:
        for kind, measured in _MEASURED.items():
            if row["kind"] == measured:
                key = kind, row["arithmetic"]
                rates[key] = max(rates.get(key, 0.0), float(row["best"]))
    elementwise = [float(row["best"]) for row in rows if row["kind"] == "elementwise"]
    copied = [
        float(row["best"]) for row in rows if row["kind"] == "memory" and row["operator"] == "copy"
    ]
    # On a GPU values stay where they are put, and elementwise work is the copy.
    memory = max(copied or elementwise)
    return Ceilings(device, threads, rates, memory, max(elementwise))


@dataclass(frozen=True)
class Roof:
    """What one row of a plan takes at the least, all its runs together."""

    phase: str
    component: str
    precision: str
    runs: int
    flops: float
    bytes: float
    seconds: float
    """At the roof."""
    fresh_seconds: float
    """The same with elementwise work at the speed at which the engine moves it."""
    bound: str
    """What most of those seconds go to: "matmul, computing", "elementwise, memory"."""

    @property
    def intensity(self) -> float:
        """Operations to a byte."""
        return self.flops / self.bytes if self.bytes else 0.0


def roof_of(cost: PhaseCost, ceilings: Ceilings) -> Roof:
    """Return what a row of `runtime.cost.phase_costs` takes at the least."""
    parts: dict[str, float] = {}
    fresh = 0.0
    for work in cost.work:
        moving, speed = work.bytes / ceilings.memory, ceilings.memory
        computing = 0.0
        if work.kind == "elementwise":
            speed = ceilings.fresh
        else:
            computing = work.flops / ceilings.rate(work.kind, cost.precision)[0]
        by = "computing" if computing > moving else "memory"
        parts[f"{work.kind}, {by}"] = max(computing, moving)
        fresh += max(computing, work.bytes / speed)
    return Roof(
        phase=cost.phase,
        component=cost.component,
        precision=cost.precision,
        runs=cost.runs,
        flops=cost.flops * cost.runs,
        bytes=cost.bytes * cost.runs,
        seconds=sum(parts.values()) * cost.runs,
        fresh_seconds=fresh * cost.runs,
        bound=max(parts, key=lambda name: parts[name], default="nothing"),
    )


def together(roofs: Iterable[Roof]) -> list[Roof]:
    """Put rows of one phase and component, of several sizes, into one."""
    found: dict[tuple[str, str], list[Roof]] = {}
    for roof in roofs:
        found.setdefault((roof.phase, roof.component), []).append(roof)
    return [_sum(rows) for rows in found.values()]


def by_phase(roofs: Iterable[Roof]) -> list[Roof]:
    """Put the networks of each phase together, as records of whole renders have them."""
    found: dict[str, list[Roof]] = {}
    for roof in roofs:
        found.setdefault(roof.phase, []).append(roof)
    return [_sum(rows) for rows in found.values()]


def _sum(rows: list[Roof]) -> Roof:
    return Roof(
        phase=rows[0].phase,
        component=", ".join(dict.fromkeys(row.component for row in rows)),
        precision=", ".join(dict.fromkeys(row.precision for row in rows)),
        runs=sum(row.runs for row in rows),
        flops=sum(row.flops for row in rows),
        bytes=sum(row.bytes for row in rows),
        seconds=sum(row.seconds for row in rows),
        fresh_seconds=sum(row.fresh_seconds for row in rows),
        bound=max(rows, key=lambda row: row.seconds).bound,
    )


def share_by_kind(cost: PhaseCost) -> dict[str, dict[str, float]]:
    """Return operations, bytes and nodes of each kind of work in one run."""
    by_kind = {work.kind: work for work in cost.work}
    return {
        kind: {
            "flops": by_kind[kind].flops,
            "bytes": by_kind[kind].bytes,
            "nodes": by_kind[kind].nodes,
        }
        for kind in KINDS
        if kind in by_kind
    }
