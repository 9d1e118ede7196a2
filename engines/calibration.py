"""How much of a device's peaks networks reach, how far predictions were off, and who says so.

The figures are in calibration.json. `python -m reverie.benchmarks.prediction --fit` makes them from
what was measured here and from what others publish; none is set by hand but those it calls assumed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("calibration.json")
PRODUCTS = ("matmul", "convolution", "attention")
"""Kinds of work that matrix units do; all else is elementwise."""


@dataclass(frozen=True)
class Reached:
    """What networks reach of a kind of device."""

    compute: Mapping[str, float]
    """Kind of work -> share of the peak that is computed with; for "attention" it is of float32's
    and stands for the softmax beside the products, which take the share of "matmul"."""
    products_bandwidth: float
    """Share of the memory's bandwidth in products."""
    other_bandwidth: float
    """The same in elementwise work; above 1 where nodes are fused, so that less is moved."""
    node_seconds: float
    """What a node takes by itself."""


@dataclass(frozen=True)
class HostTask:
    """What the host does for each pixel of a film."""

    seconds: float
    """A pixel, on one core."""
    parallel: float
    """Share of it that cores divide among them."""


@dataclass(frozen=True)
class Error:
    """How far off a kind of prediction is, as a factor either way."""

    factor: float
    why: str


@dataclass(frozen=True)
class Calibration:
    """All of it."""

    reached: Mapping[str, Reached]
    """"cpu" and "gpu"."""
    host_clock_mhz: float
    """Of the processor that the host's work was measured on."""
    tasks: Mapping[str, HostTask]
    """"draw" and "encode"."""
    start_seconds: float
    """Of the process, with what it imports, and the photo."""
    open_seconds: float
    """A node, of opening a network on a processor."""
    errors: Mapping[str, Error]
    """"measured", "processor", "published", "unseen" and "host"."""
    seen: tuple[str, ...]
    """Rates (see `Hardware.rate`) of GPUs that published figures were fitted on."""
    fitted_on: tuple[str, ...]
    """Devices of the table that were measured here."""


@cache
def calibration() -> Calibration:
    """Return what the package comes with."""
    return parse(json.loads(TABLE.read_text(encoding="utf-8")))


def parse(table: Mapping[str, Any]) -> Calibration:
    """Return a calibration from its plain form.

    Raises:
        KeyError, TypeError: it lacks something.
    """
    host = table["host"]
    return Calibration(
        reached={
            kind: Reached(
                compute=dict(one["compute"]),
                products_bandwidth=one["products_bandwidth"],
                other_bandwidth=one["other_bandwidth"],
                node_seconds=one["node_seconds"],
            )
            for kind, one in table["reached"].items()
        },
        host_clock_mhz=host["clock_mhz"],
        tasks={
            name: HostTask(host[name]["seconds_per_pixel"], host[name]["parallel"])
            for name in ("draw", "encode")
        },
        start_seconds=host["start_seconds"],
        open_seconds=host["open_seconds_per_node"],
        errors={name: Error(one["factor"], one["why"]) for name, one in table["errors"].items()},
        seen=tuple(table["seen"]),
        fitted_on=tuple(table["fitted_on"]),
    )
