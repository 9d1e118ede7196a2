"""How a figure is written: units, rounding, tables, and the line that says what measured it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PREDICTED = "predicted"
"""The word that stands wherever a figure was not measured."""
NONE = "-"
_NAMES = {
    "onnxruntime": "ONNX Runtime",
    "onnxruntime-gpu": "ONNX Runtime (GPU)",
    "numpy": "NumPy",
    "opencv-python-headless": "OpenCV",
    "av": "PyAV",
    "torch": "PyTorch",
    "diffusers": "diffusers",
    "openvino": "OpenVINO",
    "tensorrt-rtx": "TensorRT-RTX",
}


@dataclass(frozen=True)
class Table:
    """A table before it is Markdown.

    Attributes:
        heads: one a column.
        rows: cells, as text, as many as there are heads.
        notes: sentences for the line under the table, before the hardware.
        made_on: what the machine that the results name was for, where it is not what was measured.
        own_machines: whether each row names its machine and versions, so that the line need not.
    """

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    own_machines: bool = False
    made_on: str = ""

    def __post_init__(self) -> None:
        if wrong := [row for row in self.rows if len(row) != len(self.heads)]:
            raise ValueError(f"{len(self.heads)} heads, but a row of {len(wrong[0])}: {wrong[0]}")

    def markdown(self) -> str:
        """Return the table alone."""
        lines = [_line(self.heads), "|" + "---|" * len(self.heads), *map(_line, self.rows)]
        return "\n".join(lines)

    def says_predicted(self) -> bool:
        """Whether the heads or every row hold the word for figures that nobody measured."""
        if any(PREDICTED in head for head in self.heads):
            return True
        return bool(self.rows) and all(PREDICTED in " ".join(row) for row in self.rows)


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(map(_plain, cells)) + " |"


def _plain(cell: str) -> str:
    """A cell that cannot end its row or table, whoever wrote what is in it."""
    return " ".join(cell.replace("|", "/").replace("<", "&lt;").split())


def seconds(value: float | None) -> str:
    """Return "0.58 ms", "86 ms", "0.52 s", "9.7 s" or "107 s"."""
    if value is None:
        return NONE
    if value < 0.0995:
        return f"{value * 1e3:#.2g} ms" if value < 0.00995 else f"{value * 1e3:.0f} ms"
    return (
        f"{value:.2f} s" if value < 0.995 else f"{value:.1f} s" if value < 99.95 else _whole(value)
    )


def _whole(value: float) -> str:
    return f"{value:,.0f} s"


def duration(value: float) -> str:
    """Return seconds that are known roughly: "0.52 s", "18 s", "3.9 min" or "2.4 h"."""
    if value < 99.5:
        return f"{_two(value)} s"
    return f"{_two(value / 60)} min" if value < 99.5 * 60 else f"{_two(value / 3600)} h"


def _two(value: float) -> str:
    """Two digits that count: "0.52", "4.0", "18"."""
    return f"{value:#.2g}".rstrip(".") if value < 99.5 else f"{value:.0f}"


def between(low: float, high: float, form: Callable[[float], str]) -> str:
    """Return "1.2 to 3.4 s", the unit once where both have the same."""
    least, most = form(low), form(high)
    return f"{_bare(least, most)} to {most}"


def size(count: float | None) -> str:
    """Return bytes in powers of ten: "236 kB", "24.8 MB", "585 MB", "3.85 GB"."""
    if count is None:
        return NONE
    if count >= 0.9995e9:
        return f"{count / 1e9:.2f} GB"
    if count >= 1e6:
        return f"{count / 1e6:.0f} MB" if count >= 99.95e6 else f"{count / 1e6:.1f} MB"
    return f"{count / 1e3:.0f} kB"


def ratio(value: float | None) -> str:
    """Return "1.03x" or "12x"."""
    if value is None:
        return NONE
    return f"{value:.2f}x" if value < 9.995 else f"{value:.0f}x"


def rate(value: float | None, unit: str) -> str:
    """Return a rate in "FLOP/s" or "B/s" as "98.7 GFLOP/s", "1.24 TFLOP/s", "14.6 GB/s"."""
    if value is None:
        return NONE
    if value >= 0.9995e12:
        return f"{value / 1e12:.2f} T{unit}"
    return f"{value / 1e9:.0f} G{unit}" if value >= 99.95e9 else f"{value / 1e9:.1f} G{unit}"


def percent(share: float | None, *, signed: bool = False, digits: int = 0) -> str:
    """Return a share as "73%", or an error as "+5.0%"."""
    if share is None:
        return NONE
    return f"{share * 100:+.{digits}f}%" if signed else f"{share * 100:.{digits}f}%"


def decibels(value: float | None) -> str:
    """Return "64.5 dB"."""
    return NONE if value is None else f"{value:.1f} dB"


def score(value: float | None) -> str:
    """Return a figure without a unit, such as an area under a curve: "0.95"."""
    return NONE if value is None else f"{value:.2f}"


def small(value: float) -> str:
    """Return a relative error: "1.2e-05"."""
    return f"{value:.1e}".replace("e-0", "e-")


def spread(summary: Mapping[str, Any] | None, form: Callable[[float], str] = seconds) -> str:
    """Return a summary of samples as its median, and least and 95th percentile where they differ.

    `form` writes one figure. A summary of one sample says so, for it has no spread.
    """
    if not summary:
        return NONE
    median = form(summary["median"])
    if len(summary.get("samples", (0, 0))) < 2:
        return f"{median} (once)"
    if form(summary["min"]) == form(summary["p95"]):
        return median
    return f"{median} ({between(summary['min'], summary['p95'], form)})"


def _bare(one: str, other: str) -> str:
    """`one` without its unit where `other` has the same."""
    number, _, unit = one.partition(" ")
    return number if other.endswith(f" {unit}") and unit else one


def predicted(text: str) -> str:
    """Return a figure that nobody measured, said to be one."""
    return f"{text} {PREDICTED}"


def verdict(met: bool) -> str:
    """Return what stands behind a mark that was set."""
    return "met" if met else "**missed**"


def machine_line(machine: Mapping[str, Any] | None) -> str:
    """Return hardware and versions as a result's "machine" tells them."""
    if not machine:
        return "machine not recorded"
    jetson = machine.get("jetson") or {}
    parts = [jetson["model"]] if jetson.get("model") else []
    parts += [f"power mode {jetson['power_mode']}"] if jetson.get("power_mode") else []
    parts += [str(machine["processor"]), _cores(machine)]
    if machine.get("memory_bytes"):
        parts.append(f"{machine['memory_bytes'] / 1e9:.0f} GB of memory")
    parts += [str(gpu["name"]) for gpu in machine.get("gpus") or ()]
    packages = machine.get("packages", {})
    versions = [f"Python {machine['python']}"]
    versions += [f"{_NAMES[name]} {packages[name]}" for name in _NAMES if name in packages]
    return f"{', '.join(parts)}; {', '.join(versions)}"


def _cores(machine: Mapping[str, Any]) -> str:
    cores = machine["cores"]
    usable = machine.get("usable_cores") or cores
    return f"{cores} cores" if usable == cores else f"{usable} of {cores} cores"


def same_machine(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> bool:
    """Whether two results may stand in one table without a word about it.

    Hardware, Python and every package that both name must be alike.
    """
    if not one or not other:
        return not one and not other
    alike = _hardware(one) == _hardware(other) and one["python"] == other["python"]
    mine, theirs = one.get("packages", {}), other.get("packages", {})
    return alike and all(mine[name] == theirs[name] for name in mine.keys() & theirs.keys())


def short_name(machine: Mapping[str, Any]) -> str:
    """Return what tells a machine from others: its GPU, its board, else its processor and cores."""
    if gpus := machine.get("gpus"):
        return str(gpus[0]["name"])
    jetson = machine.get("jetson") or {}
    return str(jetson.get("model") or f"{machine['processor']}, {_cores(machine)}")


def _hardware(machine: Mapping[str, Any]) -> tuple[Any, ...]:
    """What makes a machine another one; memory to a gigabyte, for systems keep some of it."""
    jetson = machine.get("jetson") or {}
    return (
        machine["processor"],
        machine["cores"],
        round((machine.get("memory_bytes") or 0) / 1e9),
        tuple(gpu["name"] for gpu in machine.get("gpus") or ()),
        (jetson.get("model"), jetson.get("power_mode")),
    )


def source_lines(
    reports: Mapping[str, Mapping[str, Any]],
    links: Mapping[str, str],
    notes: Sequence[str] = (),
    made_on: str = "",
) -> str:
    """Return the paragraph under a table: notes, hardware, versions, and where the raw figures are.

    Where the results of a table stem from different machines or versions, it says so and names
    which is which.
    """
    groups: list[tuple[Mapping[str, Any] | None, list[str]]] = []
    for name, report in reports.items():
        machine = report.get("machine")
        for known, names in groups:
            if same_machine(known, machine):
                names.append(name)
                break
        else:
            groups.append((machine, [name]))
    raws = [", ".join(f"[{name}]({links[name]})" for name in names) for _, names in groups]
    words = [f"{note.rstrip('.')}." for note in notes]
    if len(groups) == 1:
        words.append(f"{made_on} {machine_line(groups[0][0])}; raw: {raws[0]}.".strip())
    elif groups:
        words.append("Made on different machines or versions:")
        told = [f"{raw} on {machine_line(m)}" for (m, _), raw in zip(groups, raws, strict=True)]
        words.append("; ".join(told) + ".")
    return f"<sub>{' '.join(words)}</sub>" if words else ""
