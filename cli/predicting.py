"""`reverie plan MODEL --device NAME`: seconds and memory on a device that need not be here."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..engines.devices import Hardware, devices, find_device, sources, told_sources
from ..engines.sizes import size_text
from .telling import plain_text, table_console

if TYPE_CHECKING:
    from rich.console import Console

    from ..runtime.length import LengthPlan
    from ..runtime.predict import Prediction, Span

LIST = "list"
"""What --device is given to print the table of devices."""
_LIMITS = {
    "compute": "computing",
    "memory": "memory",
    "nodes": "many small steps",
    "weights": "reading weights",
    "link": "weights on their way",
    "host": "the host",
}


def predicted(
    bundle: Any,
    plan: Any,
    arguments: argparse.Namespace,
    *,
    film: tuple[int, int],
    fps: int,
    length: LengthPlan | None,
    memory: int | None,
) -> Prediction:
    """Predict a render on the device that was asked for.

    Raises:
        SettingsError: the device is not known.
        BundleError: the bundle does not say what its networks compute.
    """
    from ..runtime.predict import predict

    return predict(
        bundle,
        plan,
        find_device(arguments.device),
        film=film,
        frames=plan.num_frames if length is None else length.count,
        fps=fps,
        windows=1 if length is None else length.windows,
        memory=memory,
        precision=arguments.precision,
        backend=arguments.backend,
    )


def describe_prediction(made: Prediction) -> dict[str, Any]:
    """Return a prediction as plain data; seconds are None where the device cannot hold it."""
    return {
        "predicted": True,
        "device": made.device.name,
        "title": made.device.title,
        "mode": made.device.mode,
        **_span(made.total),
        "film_seconds": made.film_seconds,
        "real_time_factor": made.real_time_factor,
        "error_factor": made.error.factor if made.fits else None,
        "error_why": made.error.why if made.fits else None,
        "phases": [
            {
                "name": one.name,
                "predicted": True,
                **_span(one.span),
                "components": list(one.components),
                "limit": one.limit,
            }
            for one in made.phases
        ],
        "notes": list(made.notes),
        "sources": told_sources(made.device),
    }


def _span(span: Span | None) -> dict[str, float | None]:
    names = ("seconds", "low_seconds", "high_seconds")
    values = (None, None, None) if span is None else (span.seconds, span.low, span.high)
    return dict(zip(names, values, strict=True))


def print_prediction(facts: Mapping[str, Any], console: Console) -> None:
    """Print seconds of each phase and of the whole, each with its range, labelled as predicted."""
    from rich.table import Table

    if facts["seconds"] is None:
        console.print(plain_text(f"predicted for {facts['title']}: no time, for it does not fit"))
        return
    title = f"predicted seconds on {facts['title']}, {facts['mode']}"
    table = Table(title=plain_text(title), title_justify="left")
    for name in ("phase", "networks"):
        table.add_column(name, overflow="fold")
    for name in ("predicted", "range"):
        table.add_column(name, justify="right")
    table.add_column("waits for")
    for row in facts["phases"]:
        table.add_row(
            plain_text(row["name"]),
            plain_text(", ".join(row["components"])),
            seconds_text(row["seconds"]),
            f"{seconds_text(row['low_seconds'])} to {seconds_text(row['high_seconds'])}",
            _LIMITS[row["limit"]],
        )
    console.print(table)
    console.print(
        plain_text(
            f"predicted: {seconds_text(facts['seconds'])} in all "
            f"({seconds_text(facts['low_seconds'])} to {seconds_text(facts['high_seconds'])}) for "
            f"{facts['film_seconds']:.3g} s of film, {facts['real_time_factor']:.2g}x real time; "
            f"error: a factor of {facts['error_factor']:g} either way ({facts['error_why']})"
        )
    )


def seconds_text(seconds: float) -> str:
    """Return seconds with as many digits as a prediction has: "0.08 s", "7.3 s", "1240 s"."""
    if seconds >= 100:
        return f"{float(f'{seconds:.3g}'):.0f} s"
    return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"


def print_devices(as_json: bool) -> None:
    """Print the table of devices, and where its figures are from."""
    if as_json:
        told = [_described(one) for one in devices().values()]
        print(json.dumps({"devices": told}))
        return
    from rich.table import Table

    console = table_console()
    table = Table(title="devices that can be predicted", title_justify="left")
    for name in ("name", "device", "mode"):
        table.add_column(name, overflow="fold")
    for name in ("memory", "GB/s", "fp32", "fp16", "int8", "fp8", "fp4"):
        table.add_column(name, justify="right")
    for one in devices().values():
        peaks = [one.peaks.get(kind) for kind in ("fp32", "fp16", "int8", "fp8", "fp4")]
        table.add_row(
            one.name,
            plain_text(one.title),
            plain_text(one.mode),
            size_text(one.memory_bytes),
            f"{one.bandwidth / 1e9:.0f}",
            *("" if peak is None else f"{peak / 1e12:.3g}" for peak in peaks),
        )
    console.print(table)
    console.print(
        plain_text("peaks in dense TFLOPS or TOPS; fp16 and bf16 accumulate in fp32; sources:")
    )
    for one in devices().values():
        for line in told_sources(one):
            console.print(plain_text(f"{one.name}: {line}"), soft_wrap=True)


def _described(one: Hardware) -> dict[str, Any]:
    return {
        "name": one.name,
        "title": one.title,
        "kind": one.kind,
        "architecture": None if one.architecture is None else one.architecture.name,
        "memory_bytes": one.memory_bytes,
        "bandwidth": one.bandwidth,
        "peaks": dict(one.peaks),
        "mode": one.mode,
        "sources": {
            figure: [
                key if key not in sources() else f"{sources()[key].title}, {sources()[key].url}"
                for key in given
            ]
            for figure, given in one.sources.items()
        },
        "notes": list(one.notes),
    }
