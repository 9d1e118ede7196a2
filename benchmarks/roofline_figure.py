"""A roofline drawn: operations a second over operations a byte, both in powers of ten."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from .bench.drawing import check_drawing, colours_of
from .machine import machine_line

_SPAN = (1.0, 1e3)
_NEAR = 0.12  # ceilings nearer to each other share a label
_POINTS = "osD^vP*X"
_MARKS = {"matmul": "-", "convolution": "--", "attention": ":"}


def png(made: Mapping[str, Any]) -> bytes:
    """Return the first row of what `roofline.roofline` made as a picture.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    check_drawing()
    from matplotlib.figure import Figure

    row = made["rows"][0]
    figure = Figure(figsize=(9.0, 6.0), layout="constrained")
    axes = figure.subplots()
    memory, rates = row["ceilings"]["memory"], row["ceilings"]["rates"]
    highest = max(rates.values())
    for name, rate in rates.items():
        axes.plot(
            [min(rate / memory, _SPAN[1]), _SPAN[1]],
            [rate, rate],
            _MARKS.get(name.split()[0], "-"),
            color="#8a93a0",
            linewidth=1.2,
        )
    names: dict[float, list[str]] = {}
    for name, rate in sorted(rates.items(), key=lambda one: -one[1]):
        near = next((at for at in names if abs(at / rate - 1) < _NEAR), rate)
        names.setdefault(near, []).append(f"{name} {rate / 1e9:,.0f}")
    for rate, told in names.items():
        text = f"{', '.join(told)} GFLOP/s"
        axes.annotate(text, (_SPAN[1] * 0.95, rate * 1.02), fontsize=7, ha="right", va="bottom")
    for speed, what, colour in (
        (memory, "memory", "#333b45"),
        (row["ceilings"]["fresh"], "fresh memory, in the engine", "#c2571a"),
    ):
        end = min(highest / speed, _SPAN[1])
        axes.plot([_SPAN[0], end], [speed * _SPAN[0], speed * end], color=colour)
        label = f"{what}: {speed / 1e9:.1f} GB/s"
        axes.annotate(label, (_SPAN[0] * 1.1, speed * _SPAN[0] * 1.4), fontsize=8, color=colour)
    colours = colours_of([one["phase"] for one in row["roofline"]])
    points: list[Any] = []
    for one in row["roofline"]:
        if one["measured"] is None or not one["flops"]:
            continue
        reached = one["flops"] / one["measured"]["min"]
        axes.plot(one["intensity"], reached, "o", color=colours[one["phase"]], markersize=8)
        name = f"{one['component'] or one['phase']}: {one['achieved']:.0%} of its roof"
        drawn = axes.lines[-1]
        drawn.set_label(name)
        drawn.set_marker(_POINTS[len(points) % len(_POINTS)])
        points.append(drawn)
    if points:
        axes.legend(handles=points, loc="lower right", fontsize=8, frameon=False)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(*_SPAN)
    axes.set_xlabel("operations to a byte moved")
    axes.set_ylabel("operations a second")
    axes.set_title(f"{row['id']}\n{machine_line(made['machine'])}", fontsize=9)
    axes.grid(True, which="major", alpha=0.3)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=120)
    return out.getvalue()
