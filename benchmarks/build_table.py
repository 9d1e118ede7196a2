"""The matrix of builds as a compact table in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_ORDER = ("fp32", "fp16", "bf16", "int8", "fp8", "int4", "nvfp4")


def markdown(report: Mapping[str, Any]) -> str:
    """Return a report of `build_matrix` as a table: a row a network and precision, GPUs beside.

    A cell is "seconds / peak memory / engine"; what was refused has a number that stands for why.
    """
    rows: Sequence[Mapping[str, Any]] = report["rows"]
    gpus = list(dict.fromkeys(row["gpu"] for row in rows))
    reasons: dict[str, int] = {}
    lines = [
        f"| network | precision | weights | {' | '.join(gpus)} |",
        f"|---|---|---|{'---|' * len(gpus)}",
    ]
    networks = dict.fromkeys((row["family"], row["component"]) for row in rows)
    for family, component in networks:
        for precision in _ORDER:
            found = {
                row["gpu"]: row
                for row in rows
                if (row["family"], row["component"], row["precision"])
                == (family, component, precision)
            }
            if all(row["result"] == "not there" for row in found.values()):
                continue
            weights = next((r["weight_bytes"] for r in found.values() if "weight_bytes" in r), 0)
            cells = [_cell(found.get(gpu), reasons) for gpu in gpus]
            lines.append(
                f"| {family} {component} | {precision} | {_size(weights)} | {' | '.join(cells)} |"
            )
    lines += ["", f"TensorRT-RTX {report['library']}, {_machine(report['machine'])}; seconds / "]
    lines[-1] += "peak resident memory of the build / engine."
    lines += [f"- refused ({number}): {why}" for why, number in reasons.items()]
    return "\n".join(lines)


def _cell(row: Mapping[str, Any] | None, reasons: dict[str, int]) -> str:
    if row is None or row["result"] == "not there":
        return "-"
    if row["result"] != "built":
        why = _kind(row["why"])
        return f"{row['result']} ({reasons.setdefault(why, len(reasons) + 1)})"
    return f"{row['seconds']:.1f} s / {_size(row['peak_bytes'])} / {_size(row['engine_bytes'])}"


def _kind(why: str) -> str:
    """A reason without the names of the file, node and GPU, so that like ones are one."""
    import re

    text = re.sub(r"^\S+\.onnx (?:cannot be built for \w+: )?", "", why)
    return re.sub(r"'[^']*'", "'...'", text)


def _machine(machine: Mapping[str, Any]) -> str:
    return f"{machine['processor']}, {machine['cores']} cores, {_size(machine['memory_bytes'])}"


def _size(count: int) -> str:
    if count >= 1e9:
        return f"{count / 1e9:.2f} GB"
    return f"{count / 1e6:.0f} MB" if count >= 1e7 else f"{count / 1e6:.1f} MB"
